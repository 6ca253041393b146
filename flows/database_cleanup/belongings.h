/* What belongs to flow runs and does not go by itself: their artifacts, which the server leaves behind, and their logs, which
 * it deletes some time later.
 *
 * Artifacts are deleted after their runs, and only those of runs that are gone: which they are can then no longer be asked by
 * the plan's predicate, so the runs are written down first. A *window* is a page of artifacts of the plan: the ids of their
 * runs are stored with the run (checkpoint WINDOW_KEY), then those runs are deleted, then the artifacts of those that are
 * gone. Killed in between, the next start of the body finds the window and goes on with it: no artifact is lost sight of, and
 * none is deleted of a run that is there. A plan without artifacts has no windows and costs no request.
 * Thread rule: no state but what belongs to its deletion. */
#ifndef FLOWS_DATABASE_CLEANUP_BELONGINGS_H
#define FLOWS_DATABASE_CLEANUP_BELONGINGS_H

#include "flows/database_cleanup/plan.h"
#include "flows/flow.h"

#define WINDOW_KEY "cleanup-artifacts"
/* Deleted runs that are looked after at the end: all of them up to so many, then a sample of it that treats all alike. */
#define TALLY_MAX 4000

/* Ids of runs that the server says it deleted. Zero-initialise. */
struct tally {
	char (*ids)[UUID_SIZE]; /* owned */
	size_t count;
	size_t size;
	int64_t seen;           /* of so many */
	uint64_t random;        /* state of the sample */
};

void tally_add(struct tally *tally, const json_t *ids);
void tally_release(struct tally *tally);

/* How many artifacts the runs of the plan have now. */
int belongings_count(struct prefect *prefect, const struct plan *plan, int64_t *ret_count, struct error *err) MUST_CHECK;

/* The flow runs of one page of artifacts of @filter (a FlowRunFilter): a new array of ids without repetitions. */
int window_find(struct prefect *prefect, const json_t *filter, json_t **ret_runs, struct error *err) MUST_CHECK;

/* Stores a window for @plan, and reads the one that is stored (an empty array where there is none of this plan). */
int window_store(struct flow_ctx *ctx, const struct plan *plan, const json_t *runs, struct error *err) MUST_CHECK;
int window_read(struct flow_ctx *ctx, const struct plan *plan, json_t **ret_runs, struct error *err) MUST_CHECK;

/* Deletes the artifacts of those of @runs (ids, PREFECT_PAGE_MAX at most) that do not exist any more, and adds to
 * *ret_deleted how many. */
int window_clear(struct prefect *prefect, const json_t *runs, int64_t *ret_deleted, struct error *err) MUST_CHECK;

/* What is left of runs that were deleted. */
struct leftovers {
	int64_t artifacts_deleted; /* found and deleted now */
	int64_t artifacts_left;    /* -1: not known */
	int64_t logs_checked;      /* runs */
	int64_t logs_left;         /* runs among them that still have log lines */
};

/* Looks for logs and artifacts of the runs of @tally, and waits for the server to delete the logs: some seconds at most. */
void leftovers_look(struct flow_ctx *ctx, const struct tally *tally, struct leftovers *ret_leftovers);

#endif
