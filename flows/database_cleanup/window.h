/* The artifacts of a plan's flow runs, which the server leaves behind.
 *
 * They are deleted after their runs, and only those of runs that are gone: which they are can then no longer be asked by the
 * plan's predicate, so they are written down first. A *window* is some runs of the plan with the ids of their artifacts. It is
 * stored with the run (checkpoint WINDOW_KEY), then those runs are deleted, then those artifacts of those of them that are
 * gone, and no others: what somebody makes later is not touched. Killed in between, the next start of the body finds the
 * window and goes on with it. What could not be deleted is carried along in the windows that follow. A plan without artifacts
 * has no windows and costs no request.
 *
 * Cleanup reports (REPORT_KEY) stay: they are the trail of what was deleted, also when the run that wrote them is deleted.
 * Thread rule: no state but what belongs to its deletion. */
#ifndef FLOWS_DATABASE_CLEANUP_WINDOW_H
#define FLOWS_DATABASE_CLEANUP_WINDOW_H

#include "flows/database_cleanup/plan.h"
#include "flows/flow.h"

#define WINDOW_KEY "cleanup-artifacts"

struct window {
	json_t *runs;    /* owned: ids of flow runs, each with an array of the ids of its artifacts */
	int64_t deleted; /* artifacts, by all windows and all starts of the body */
	bool unsure;     /* some were lost sight of: whether artifacts are left is not known */
};

void window_release(struct window *window);

/* How many artifacts the runs of the plan have now. */
int window_count(struct prefect *prefect, const struct plan *plan, int64_t *ret_count, struct error *err) MUST_CHECK;

/* How many artifacts @filter (an ArtifactFilter) and @flow_runs (a FlowRunFilter; both may be NULL) find, without cleanup
 * reports; @flows likewise. */
int window_count_artifacts(struct prefect *prefect, const json_t *filter, const json_t *flow_runs, const json_t *flows,
                           int64_t *ret_count, struct error *err) MUST_CHECK;

/* Some runs that match @filter (a FlowRunFilter) and have artifacts, with those: a new object, as in struct window; empty where
 * there are none. @ret_whole: those are all artifacts of these runs. */
int window_find(struct prefect *prefect, const json_t *filter, json_t **ret_runs, bool *ret_whole, struct error *err) MUST_CHECK;

/* The same for the artifacts of these runs (an array of ids), whether they are there or not. */
int window_find_of(struct prefect *prefect, const json_t *runs, json_t **ret_runs, bool *ret_whole, struct error *err) MUST_CHECK;

/* Adds the runs of @found to what the window holds already. What would be too much is dropped: `unsure`. */
int window_add(struct window *window, const json_t *found, struct error *err) MUST_CHECK;

/* Stores a window for @plan, and reads the one that is stored (an empty one where there is none of this plan; `unsure` where it
 * is not as this worker writes it). What a reader finds deleted of it already is counted. */
int window_store(struct flow_ctx *ctx, const struct plan *plan, const struct window *window, struct error *err) MUST_CHECK;
int window_read(struct flow_ctx *ctx, const struct plan *plan, struct window *ret_window, struct error *err) MUST_CHECK;

/* Asked after each artifact: false ends the work with ERR_STOPPED. */
struct window_care {
	bool (*go_on)(void *arg);
	void *arg;
};

/* Deletes the artifacts of those runs of the window that do not exist any more, and of them only @ours (an object with their
 * ids; NULL: all). The other runs leave the window, as does what is done; what cannot be done now stays in it. */
int window_clear(struct prefect *prefect, struct window *window, const json_t *ours, const struct window_care *care,
                 struct error *err) MUST_CHECK;

#endif
