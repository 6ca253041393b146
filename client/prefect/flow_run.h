/* Flow runs: reading, finding, counting, deleting.
 * Sources: the paths beside each function, Prefect 3.4.20 to 3.9.1. Thread rule: none shared. */
#ifndef PREFECT_FLOW_RUN_H
#define PREFECT_FLOW_RUN_H

#include "client/prefect/state.h"

struct flow_run {
	char id[UUID_SIZE];
	char flow_id[UUID_SIZE];
	char deployment_id[UUID_SIZE]; /* "" for a run without a deployment */
	char work_queue_id[UUID_SIZE]; /* "" for a run outside of work pools */
	char *name;                    /* owned; as a JSON_KIND_LABEL, as is state_name */
	int state_type;                /* enum state_type */
	char *state_name;              /* owned; NULL for a run without a state */
	time_us expected_start;        /* 0 where there is none, as below */
	time_us next_scheduled_start;
	time_us start_time;
	time_us end_time;
	json_t *parameters;            /* owned */
	json_t *job_variables;         /* owned; may be NULL */
	json_t *labels;                /* owned; may be NULL */
	json_t *policy;                /* owned: empirical_policy; may be NULL */
	json_t *state;                 /* owned; NULL in answers that leave it out */
};

int flow_run_decode(const json_t *json, struct flow_run *ret_run, struct error *err) MUST_CHECK;
void flow_run_release(struct flow_run *run);

/* The same for a list of runs; release with flow_runs_release(). */
int flow_runs_decode(const json_t *list, struct flow_run **ret_runs, size_t *ret_count,
                     struct error *err) MUST_CHECK;
void flow_runs_release(struct flow_run *runs, size_t count);

/* Has the pause with this key fired since the run last left a terminal state? (empirical_policy.pause_keys) */
bool flow_run_pause_fired(const struct flow_run *run, const char *pause_key);

/* Did the server itself end the run, since nobody answered its pause in time? By the words of its two ways to do so:
 * services/pause_expirations.py and HandleResumingPausedFlows, the same in Prefect 3.4.20 to 3.9.1. */
bool flow_run_pause_expired(const struct flow_run *run);

/* GET /flow_runs/{id}. ERR_NOT_FOUND where it was deleted. */
int flow_run_read(struct prefect *prefect, const char *id, struct flow_run *ret_run, struct error *err) MUST_CHECK;
/* The same in one try, of @ms milliseconds at most. */
int flow_run_glance(struct prefect *prefect, const char *id, int64_t ms, struct flow_run *ret_run, struct error *err) MUST_CHECK;

/* A search: every member is borrowed and may be NULL or 0. */
struct flow_run_query {
	const json_t *flow_runs;  /* FlowRunFilter */
	const json_t *flows;      /* FlowFilter */
	const json_t *task_runs;  /* TaskRunFilter: runs that have such a task run */
	const json_t *work_pools; /* WorkPoolFilter */
	const char *sort;         /* FlowRunSort; the server's default is ID_DESC */
	int limit;                /* 0: a whole page, PREFECT_PAGE_MAX */
	int64_t offset;
};

/* POST /flow_runs/filter. One page: @ret_runs is an array of @ret_count runs, released with
 * flow_runs_release(). */
int flow_run_filter(struct prefect *prefect, const struct flow_run_query *query, struct flow_run **ret_runs,
                    size_t *ret_count, struct error *err) MUST_CHECK;

/* The same without the runs whose ids are keys of @seen (an object), and puts those that it finds there. By page after page
 * of these each run that stays in the search is found, also where others leave it meanwhile: an offset would skip some.
 * No run: that was all. `offset` of the query is to be 0. */
int flow_run_filter_unseen(struct prefect *prefect, const struct flow_run_query *query, json_t *seen, struct flow_run **ret_runs,
                           size_t *ret_count, struct error *err) MUST_CHECK;

/* POST /flow_runs/count. `limit`, `offset` and `sort` of the query do not count. */
int flow_run_count(struct prefect *prefect, const struct flow_run_query *query, int64_t *ret_count,
                   struct error *err) MUST_CHECK;

/* PATCH /flow_runs/{id}/labels, /flow_runs/{id}; 204. @labels is taken. */
int flow_run_set_labels(struct prefect *prefect, const char *id, json_t *labels, struct error *err) MUST_CHECK;
int flow_run_set_pid(struct prefect *prefect, const char *id, const char *pid, struct error *err) MUST_CHECK;

/* DELETE /flow_runs/{id}. ERR_NOT_FOUND where it is gone already. Not repeated where the answer is lost: @ret_ambiguous says
 * that it may have been deleted. */
int flow_run_delete(struct prefect *prefect, const char *id, bool *ret_ambiguous, struct error *err) MUST_CHECK;

/* POST /flow_runs/bulk_delete (since 3.6): finds and deletes up to @limit runs that match the filter, in one
 * transaction, and returns how many. On SQLite nothing can come between the two; on PostgreSQL (READ COMMITTED) a run
 * that changes in those milliseconds is still deleted.
 * ERR_NO_ROUTE: this server does not have it. ERR_INVALID: where the limit was too large,
 * @ret_max is set to the largest that the server takes, else to 0.
 * @ret_ids (may be NULL): those runs' ids, a new array, on success only.
 * @ret_ambiguous: the call failed, but runs may have been deleted. It is not repeated then. */
int flow_run_bulk_delete(struct prefect *prefect, const json_t *filter, int limit, int64_t *ret_deleted,
                         json_t **ret_ids, int *ret_max, bool *ret_ambiguous, struct error *err) MUST_CHECK;

#endif
