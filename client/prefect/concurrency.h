/* Leases: a run of a deployment with a concurrency limit has its slot for some minutes, and has to say that it still
 * needs it. Source: POST /v2/concurrency_limits/leases/{id}/renew, Prefect 3.4.20 to 3.9.1; the server gives leases to
 * clients whose User-Agent it knows (prefect.c). Thread rule: no state. */
#ifndef PREFECT_CONCURRENCY_H
#define PREFECT_CONCURRENCY_H

#include "client/prefect/flow_run.h"

/* The lease of the run's state (state_details.deployment_concurrency_lease_id); false where it has none. */
bool concurrency_lease_of(const struct flow_run *run, char ret_lease[UUID_SIZE]);

/* Keeps the slot for @duration_s from now, 60 to 86400. ERR_NOT_FOUND: the lease has expired or was given back. */
int concurrency_lease_renew(struct prefect *prefect, const char *lease, int duration_s, struct error *err) MUST_CHECK;

#endif
