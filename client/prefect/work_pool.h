/* Work pools, their workers and the runs that are scheduled in them.
 * Source: /work_pools, Prefect 3.4.20 to 3.9.1. Thread rule: none shared. */
#ifndef PREFECT_WORK_POOL_H
#define PREFECT_WORK_POOL_H

#include "client/prefect/flow_run.h"

struct work_pool {
	char id[UUID_SIZE];
	char *name;        /* owned */
	char *type;        /* owned */
	bool is_paused;
	json_t *template;  /* owned: base_job_template; may be NULL */
	json_t *limit;     /* owned: concurrency_limit, a number or null; may be NULL */
};

void work_pool_release(struct work_pool *pool);

/* GET /work_pools/{name}. */
int work_pool_read(struct prefect *prefect, const char *name, struct work_pool *ret_pool,
                   struct error *err) MUST_CHECK;

/* Reads the pool, or creates it with this type, description and base job template (borrowed).
 * @ret_created may be NULL. ERR_USAGE where a pool of that name has another type: its runs would be
 * meant for another kind of worker. */
int work_pool_ensure(struct prefect *prefect, const char *name, const char *type, const char *description,
                     const json_t *template, struct work_pool *ret_pool, bool *ret_created,
                     struct error *err) MUST_CHECK;

/* POST /work_pools/filter: the names of the work pools of @type, @max at most, as an array of strings (a new reference). */
int work_pool_names(struct prefect *prefect, const char *type, int max, json_t **ret_names, struct error *err) MUST_CHECK;

/* POST /work_pools/{name}/workers/heartbeat. @metadata is borrowed. */
int work_pool_heartbeat(struct prefect *prefect, const char *name, const char *worker, int interval_s,
                        const json_t *metadata, struct error *err) MUST_CHECK;

/* POST /work_pools/{name}/workers/filter: all workers that the server knows of, as an array of objects (a new reference)
 * which each have the strings `name` and `status`. */
int work_pool_workers(struct prefect *prefect, const char *name, json_t **ret_workers, struct error *err) MUST_CHECK;

/* The same: the names of the workers that the server calls ONLINE, as an array of
 * strings (a new reference). A worker is OFFLINE when three of its heartbeats are missing. */
int work_pool_online_workers(struct prefect *prefect, const char *name, json_t **ret_names,
                             struct error *err) MUST_CHECK;

/* GET /work_queues/{id}. ERR_NOT_FOUND where it was deleted. */
int work_queue_is_paused(struct prefect *prefect, const char *id, bool *ret_paused, struct error *err) MUST_CHECK;
/* The same by its name, since a deployment of 3.4 does not tell the id: GET /work_pools/{name}/queues/{queue}. */
int work_pool_queue_is_paused(struct prefect *prefect, const char *pool, const char *queue, bool *ret_paused,
                              struct error *err) MUST_CHECK;
/* The same, and whether its concurrency limit is 0: no run of it starts then. */
int work_pool_queue_is_held(struct prefect *prefect, const char *pool, const char *queue, bool *ret_paused, bool *ret_zero,
                            struct error *err) MUST_CHECK;
/* Is @limit (a concurrency_limit as the server writes it; may be NULL) 0? */
bool work_pool_limit_is_zero(const json_t *limit);

/* POST /work_pools/{name}/get_scheduled_flow_runs: runs that are due before @before, of the named queues
 * (a borrowed array of strings; empty: all), a page of the server's at most. Release with flow_runs_release(). */
int work_pool_scheduled_runs(struct prefect *prefect, const char *name, const json_t *queues, time_us before,
                             struct flow_run **ret_runs, size_t *ret_count,
                             struct error *err) MUST_CHECK;

/* The value of job variable @name: of the run, else of the deployment, else the pool's default.
 * Each of the three may be NULL. Borrowed; NULL where nobody says. */
const json_t *job_variable(const json_t *run_variables, const json_t *deployment_variables, const json_t *template,
                           const char *name);

#endif
