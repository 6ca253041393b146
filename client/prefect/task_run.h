/* Task runs: the nodes of a run's timeline in the UI.
 *
 * This program has no tasks; it writes a task run for each step of a flow, so that the run's page shows the steps with
 * their times, their states and arrows between them.
 * Sources: the paths beside each function, Prefect 3.4.20 to 3.9.1. Thread rule: none shared. */
#ifndef PREFECT_TASK_RUN_H
#define PREFECT_TASK_RUN_H

#include "client/prefect/state.h"

struct task_run {
	char id[UUID_SIZE];
	char flow_run_id[UUID_SIZE]; /* "" for one without */
	char *task_key;              /* owned */
	char *dynamic_key;           /* owned */
	int state_type;              /* enum state_type; STATE_UNKNOWN for one without a state */
};

void task_run_release(struct task_run *run);
void task_runs_release(struct task_run *runs, size_t count);

/* What is created; every member is borrowed. */
struct task_run_new {
	const char *flow_run_id;
	const char *name;        /* as it is shown */
	const char *task_key;    /* with `dynamic_key`: which one it is within its flow run */
	const char *dynamic_key;
	const char *tag;
	const char *const *upstream; /* ids of task runs that an arrow comes from, NULL at the end; or NULL */
	enum state_type state;   /* the state that it begins in */
	const char *message;     /* of that state; may be NULL */
};

/* POST /task_runs/: 201; 200 and the one that is there, unchanged, where the flow run has one of these keys: may be
 * repeated. */
int task_run_create(struct prefect *prefect, const struct task_run_new *wanted, struct task_run *ret_run,
                    struct error *err) MUST_CHECK;

/* POST /task_runs/{id}/set_state. @message (may be NULL) is made one harmless line. ERR_CONFLICT where the server does not
 * accept it: it takes no RUNNING of a flow run that is not Running itself. */
int task_run_set_state(struct prefect *prefect, const char *id, enum state_type type, const char *message,
                       struct error *err) MUST_CHECK;

/* A search; every member is borrowed and may be NULL or 0. */
struct task_run_query {
	const json_t *task_runs; /* TaskRunFilter */
	const json_t *flow_runs; /* FlowRunFilter */
	const json_t *flows;     /* FlowFilter */
};

/* POST /task_runs/filter: one page. Release with task_runs_release(). */
int task_run_filter(struct prefect *prefect, const struct task_run_query *query, struct task_run **ret_runs,
                    size_t *ret_count, struct error *err) MUST_CHECK;

/* POST /task_runs/count. */
int task_run_count(struct prefect *prefect, const struct task_run_query *query, int64_t *ret_count,
                   struct error *err) MUST_CHECK;

#endif
