/* The deletion: an approved plan, batch by batch, one call at a time.
 *
 * By bulk_delete with the plan's predicate where the server has it; else run by run, each checked against
 * the predicate right before. A call that keeps failing is narrowed down to the runs at fault, which are
 * left out. The run's own state is asked for between two batches: anything but Running stops. */
#ifndef FLOWS_DATABASE_CLEANUP_DELETION_H
#define FLOWS_DATABASE_CLEANUP_DELETION_H

#include "flows/database_cleanup/plan.h"
#include "flows/flow.h"

struct deletion_result {
	int64_t doubtful; /* where the deletion failed: so many more may be deleted, by a call that a kill cut off */
	int64_t deleted;   /* also by an earlier start of the body */
	int64_t failed;    /* runs that the server refused to delete */
	int64_t left;      /* runs that match the plan at the end, failed ones included */
	int64_t gone;      /* in the plan, but not when the deletion came to them: run again, or deleted by others */
	bool counted;      /* `deleted` goes by what is left of the plan: an answer was lost, or an earlier start of the body deleted some */
	bool given_up;     /* too many refusals in a row: the rest was not tried */
	json_t *failed_ids; /* owned */
	int64_t took_ms;   /* from the first start of the body on */
	int64_t artifacts_deleted; /* of deleted runs, also by an earlier start of the body */
	int64_t artifacts_left;    /* of deleted runs; -1: not known */
	int64_t logs_checked;      /* deleted runs whose logs were looked for */
	int64_t logs_left;         /* those among them that still have some */
	bool logs_more;            /* ... at least: not all log lines were looked at */
};

/* Deletes what still matches @plan. Returns 0; ERR_STOPPED where flow_halted() is true (then @ret_result says how
 * far it came); ERR_BUSY where a run with an older approval goes first (return flow_queue()); or an error that ends the
 * run. */
int deletion_run(struct flow_ctx *ctx, const struct plan *plan, int batch_size, struct deletion_result *ret_result,
                 struct error *err) MUST_CHECK;

/* Artifacts of runs that were deleted just before the body was told to stop: deletes them, as far as that can be done now, within
 * a few seconds. */
void deletion_settle(struct flow_ctx *ctx, const struct plan *plan);

/* How many runs of @plan were deleted since the first start of the body began to; 0 where none began, -1 where the server
 * does not say. */
int64_t deletion_so_far(struct flow_ctx *ctx, const struct plan *plan);

void deletion_result_release(struct deletion_result *result);

#endif
