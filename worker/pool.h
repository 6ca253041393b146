/* The work pool as worker and deployment need it. Thread rule: no state. */
#ifndef WORKER_POOL_H
#define WORKER_POOL_H

#include "client/prefect/work_pool.h"

#define WORKER_TYPE "janitor"

/* work_pool_ensure() with our type, description and base job template (base-job-template.json). */
int pool_ensure(struct prefect *prefect, const char *name, struct work_pool *ret_pool, bool *ret_created,
                struct error *err) MUST_CHECK;

#endif
