/* The artifacts of a plan's flow runs, which the server leaves behind.
 *
 * They are deleted after their runs, and only those of runs that are gone: which they are can then no longer be asked by the
 * plan's predicate, so they are written down first. A *window* is some runs of the plan, as many as one call deletes, with the ids
 * of their artifacts. It is stored with the run, then those runs are deleted, then it is stored again with those of them that the
 * server said it deleted (`ours`), then their artifacts go, and no others: what somebody makes later is not touched. What could
 * not be deleted is carried along in the windows that follow. A plan without artifacts has no windows and costs no request.
 *
 * Killed in between, the next start of the body finds the window and goes on with it. Where the answer to the call was not written
 * down: a call deletes all or nothing, so with a run of it still in the plan, the call never came to pass, and whatever is gone,
 * somebody else deleted: its artifacts stay, it counts as gone, and the report says that it cannot tell (`unsure`). Where the
 * runs go by more than one call (one by one, or fewer at once than was thought), that is written down before the second one
 * (`parts`), and what is gone counts as ours: the report says then that it goes by what is left.
 *
 * It is stored under two keys in turn, the latest has the highest number: at no moment is there none.
 *
 * Cleanup reports (REPORT_KEY) stay: they are the trail of what was deleted, also when the run that wrote them is deleted.
 * Thread rule: no state but what belongs to its deletion. */
#ifndef FLOWS_DATABASE_CLEANUP_WINDOW_H
#define FLOWS_DATABASE_CLEANUP_WINDOW_H

#include "flows/database_cleanup/plan.h"
#include "flows/flow.h"

#define WINDOW_KEY "cleanup-artifacts"
#define WINDOW_KEY_OTHER "cleanup-artifacts-2"

struct window {
	json_t *runs;    /* owned: ids of flow runs, each with an array of the ids of its artifacts */
	json_t *ours;    /* owned: the ids of those of them that the server said it deleted for us, as keys; may be NULL */
	int64_t deleted; /* artifacts, by all windows and all starts of the body */
	int64_t others;  /* flow runs that were found gone without our doing, by all starts of the body */
	int64_t number;  /* of the latest that is stored */
	bool unsure;     /* some were lost sight of: whether artifacts are left is not known */
	bool parts;      /* its runs are deleted by more than one call */
};

void window_release(struct window *window);

/* How many artifacts the runs of the plan have now. */
int window_count(struct prefect *prefect, const struct plan *plan, int64_t *ret_count, struct error *err) MUST_CHECK;

/* How many artifacts @filter (an ArtifactFilter) and @flow_runs (a FlowRunFilter; both may be NULL) find, without cleanup
 * reports; @flows likewise. */
int window_count_artifacts(struct prefect *prefect, const json_t *filter, const json_t *flow_runs, const json_t *flows,
                           int64_t *ret_count, struct error *err) MUST_CHECK;

/* Some runs, @most at most, that match @filter (a FlowRunFilter) and have artifacts, with those: a new object, as in struct window;
 * empty where there are none. @ret_whole: those are all artifacts of these runs. */
int window_find(struct prefect *prefect, const json_t *filter, size_t most, json_t **ret_runs, bool *ret_whole,
                struct error *err) MUST_CHECK;

/* The same for the artifacts of these runs (an array of ids), whether they are there or not. */
int window_find_of(struct prefect *prefect, const json_t *runs, json_t **ret_runs, bool *ret_whole, struct error *err) MUST_CHECK;

/* The ids of the flow runs of @runs (as in struct window), as a new array; NULL without memory. */
json_t *window_run_ids(const json_t *runs);

/* Adds the runs of @found to what the window holds already. What would be too much is dropped: `unsure`. */
int window_add(struct window *window, const json_t *found, struct error *err) MUST_CHECK;

/* The server says that it deleted this run: one of `ours`, if it is in the window. */
void window_note_deleted(struct window *window, const char *run);

/* Stores a window for @plan, and reads the one that is stored (an empty one where there is none of this plan; `unsure` where it
 * is not as this worker writes it). A reader decides on runs whose deletion was not written down, as said above, and counts what it
 * finds deleted already. */
int window_store(struct flow_ctx *ctx, const struct plan *plan, struct window *window, struct error *err) MUST_CHECK;
int window_read(struct flow_ctx *ctx, const struct plan *plan, struct window *ret_window, struct error *err) MUST_CHECK;

/* Asked after each artifact: false ends the work with ERR_STOPPED. */
struct window_care {
	bool (*go_on)(void *arg);
	void *arg;
};

/* Deletes the artifacts of those runs of the window that do not exist any more, and of them only `ours` (@all: an answer was lost,
 * so all that are gone are). The other runs leave the window, as does what is done; what cannot be done now stays in it. */
int window_clear(struct prefect *prefect, struct window *window, bool all, const struct window_care *care,
                 struct error *err) MUST_CHECK;

#endif
