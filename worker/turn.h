/* One deletion at a time, for a whole server: of the runs that were approved and are Running, the one with the oldest
 * approval works, the others wait for it.
 *
 * The queue is the server's own list, so that there is nothing to lock, to leak or to release: a run that joins puts
 * LABEL_APPROVED on itself, and leaves by not being Running any more. A run whose worker the server calls OFFLINE does
 * not count until somebody takes it over. Two that work at once for a moment are harmless: both were approved, and a
 * deletion can be repeated; whoever finds an older approval than its own makes room.
 *
 * Waiting costs no thread: the body returns FLOW_QUEUED, and the watch service starts it again when the first of the
 * queue is another one than it was.
 * Source: POST /flow_runs/filter, PATCH /flow_runs/{id}/labels, POST /work_pools/{name}/workers/filter. Thread rule: no
 * state. */
#ifndef WORKER_TURN_H
#define WORKER_TURN_H

#include "client/prefect/flow_run.h"
#include "worker/ownership.h"

/* When the run was approved, by the server's clock: the place in the queue. */
#define LABEL_APPROVED "janitor.approved"

struct turn {
	char first[UUID_SIZE]; /* the run whose turn it is; "" where nobody is in the queue */
	char *first_name;      /* owned; NULL for nobody */
	json_t *queued;        /* owned: the ids of all runs in the queue, dead workers' included */
};

/* Reads the queue. @pool and @self are of this worker, whose own runs are alive. */
int turn_read(struct prefect *prefect, const char *pool, const struct owner *self, struct turn *ret_turn,
              struct error *err) MUST_CHECK;
void turn_release(struct turn *turn);

/* Joins the queue: @approved_at is the place. Nothing to do where the run is in it with this very time. */
int turn_join(struct prefect *prefect, const struct flow_run *run, time_us approved_at, struct error *err) MUST_CHECK;

/* How the state's message begins while a run waits; and does it, going by that? */
#define TURN_WAITING "approved, waiting for its turn: one deletion at a time, and "
bool turn_is_waiting(const struct flow_run *run);

/* Is the run in the queue, going by its labels, and did it join before @since? And out of it: a run that is started afresh
 * has not been approved. */
bool turn_is_joined(const struct flow_run *run);
bool turn_is_of_before(const struct flow_run *run, time_us since);
int turn_leave(struct prefect *prefect, const char *id, struct error *err) MUST_CHECK;

bool turn_has(const struct turn *turn, const char *id);

#endif
