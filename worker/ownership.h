/* Which worker a flow run belongs to, decided by the server.
 *
 * Every time a worker takes a run (claims it, takes it up after a restart, takes it over from a worker that is gone)
 * it creates an input of the run, `janitor-owner-N`, with N one more than the highest that is there. The server
 * creates a key only once, so of two that try at the same time one gets it, and the other lets go. After that the
 * winner puts its name and its instance (one per process) into the run's labels, which is what a body compares
 * before every batch: a former owner that comes back sees another instance there, and stops.
 *
 * Source: /flow_runs/{id}/input, 409 for a key that is there; Prefect 3.4.20 to 3.9.1. Thread rule: no state. */
#ifndef WORKER_OWNERSHIP_H
#define WORKER_OWNERSHIP_H

#include "client/prefect/flow_run.h"

#define LABEL_WORKER_NAME "prefect.worker.name"
#define LABEL_POOL_NAME "prefect.work-pool.name"
#define LABEL_INSTANCE "janitor.instance"
/* How far a deletion has come; a part of what tells whether a restart made progress. */
#define LABEL_PROGRESS "janitor.progress"
#define LABEL_DOUBTFUL "janitor.doubtful"
#define LABEL_EXPECTED "janitor.expected"

/* Set when the run's log says how a wait for an answer ended, so that it is said once. */
#define LABEL_ENDED "janitor.ended"

#define OWNER_NAME_SIZE 128
#define OWNER_PROGRESS_SIZE 160

/* A run is given up after so many takings one after the other without progress. */
#define OWNERSHIP_STALLED_MAX 3

struct owner {
	const char *worker;
	const char *instance;
};

/* The latest taking of a run. */
struct taking {
	int number;                /* 0: nobody has taken it yet */
	char worker[OWNER_NAME_SIZE]; /* "" where the record cannot be read */
	char instance[UUID_SIZE];
	char noted[OWNER_PROGRESS_SIZE]; /* how far the run was then */
	bool let_go;               /* that worker stopped in good order, or lost the run to another one */
	int stalled;               /* how many of the latest takings found the run where it is now, began, and did not let it go */
};

/* Reads the latest taking; @progress is how far the run is now. */
int ownership_read(struct prefect *prefect, const char *flow_run_id, const char *progress, struct taking *ret_latest,
                   struct error *err) MUST_CHECK;

/* Takes the run for @owner, after @latest, on which the decision to take it was made. Returns 0, ERR_CONFLICT where
 * another worker was faster, or what the request returns. */
int ownership_take(struct prefect *prefect, const char *flow_run_id, const struct owner *owner,
                   const struct taking *latest, const char *progress, struct error *err) MUST_CHECK;

/* Notes that the body begins by our taking @number: only such a taking can count as one that the run has killed. */
int ownership_begin(struct prefect *prefect, const char *flow_run_id, const struct owner *owner, int number,
                    struct error *err) MUST_CHECK;

/* Notes that this process is done with the run and alive: it stops in good order, or has found that another worker took
 * the run. Such a taking does not count as one that the run has killed. */
int ownership_let_go(struct prefect *prefect, const char *flow_run_id, const struct owner *owner,
                     struct error *err) MUST_CHECK;

/* How far a run is, for a taking: its state, since when, and the progress label. */
void ownership_progress(const struct flow_run *run, char ret_progress[OWNER_PROGRESS_SIZE]);

/* The message of the Pending state with which a worker claims a run: it tells whose the run is before the first mark
 * can be put on it. And back: false where the run is not Pending by such a claim. */
void ownership_claim_message(const struct owner *owner, char ret_message[OWNER_NAME_SIZE + 32]);
bool ownership_claimed_by(const struct flow_run *run, char ret_worker[OWNER_NAME_SIZE]);

/* The name in the run's labels, NULL for none; and whether @owner is the one in them. */
const char *ownership_worker(const struct flow_run *run);
bool ownership_is(const struct flow_run *run, const struct owner *owner);

/* Does LABEL_ENDED stand on the run, for the state that it is in now? And the label as it would be set. */
bool ownership_ended(const struct flow_run *run);
json_t *ownership_ended_label(const struct flow_run *run);

#endif
