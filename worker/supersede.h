/* One open question for each deployment: a run that asks takes the place of an older one of its deployment that still asks, which
 * ends as Cancelled, "superseded by NAME", with nothing deleted. Of several runs that are due only the newest works.
 *
 * No approval is lost by that. Before an older run is cancelled its form's schema is removed: without it the server refuses every
 * answer ("Run input schema not found."). Then the run is read again. Where somebody had answered before, the form is put back, and
 * that decision stands. A run is never cancelled once it is Running, Pending or being resumed. Whoever does this may be killed at any
 * point: the list of live runs that every worker of the pool reads at its heartbeats shows what is left to do, and the watch service
 * puts a form back that was removed in vain.
 *
 * Runs without a deployment are left alone. A retry of a run is the same run: it asks anew and is the newest then.
 * Source: POST /flow_runs/filter, /flow_runs/{id}/resume, Prefect 3.4.20 to 3.9.1. Thread rule: no state. */
#ifndef WORKER_SUPERSEDE_H
#define WORKER_SUPERSEDE_H

#include "worker/worker.h"

/* @run is due and was not claimed. Where a newer run of its deployment is due too, or works, @run ends as Cancelled and
 * *ret_superseded is true; its flow is not started. */
int supersede_late(struct worker *worker, struct prefect *prefect, const struct flow_run *run, bool *ret_superseded,
                   struct error *err) MUST_CHECK;

/* Of the runs of a deployment that ask, ends all but the one that asked last. Waits a second for each of them. */
int supersede_older(struct worker *worker, struct prefect *prefect, const char *deployment_id, struct error *err) MUST_CHECK;

/* Does another run of the deployment ask that asked later than the run @id, which is in @state? All borrowed. */
int supersede_is_due(struct prefect *prefect, const char *id, const char *deployment_id, const json_t *state, bool *ret_due,
                     struct error *err) MUST_CHECK;

#endif
