/* The calls that delete, for the deletion alone: each with its retries, and with what its answers teach (the server's limit, no
 * bulk_delete, a busy server, runs at fault); and what lies between two batches. struct deletion is the work in progress, which
 * deletion.c begins and ends. Thread rule: it belongs to the thread of its flow body. */
#ifndef FLOWS_DATABASE_CLEANUP_DELETION_CALLS_H
#define FLOWS_DATABASE_CLEANUP_DELETION_CALLS_H

#include "flows/database_cleanup/belongings.h"
#include "flows/database_cleanup/budget.h"
#include "flows/database_cleanup/deletion.h"
#include "flows/database_cleanup/pace.h"
#include "flows/database_cleanup/progress.h"
#include "flows/database_cleanup/window.h"

struct deletion {
	struct flow_ctx *ctx;
	const struct plan *plan;
	struct pace pace;
	int64_t pace_log_ms;    /* when a change of pace was last logged */
	int64_t turn_ms;        /* when it was last this run's turn */
	bool turn_lost;         /* a run with an older approval goes first */
	bool single;            /* this server has no bulk_delete */
	bool bulk_seen;         /* it has: a 404 now is somebody else's */
	bool uncertain;         /* an answer was lost: count instead of adding up */
	int64_t matched;        /* runs that matched when this start of the body began to delete */
	int64_t begun;          /* the same when the first start of the body began */
	time_us begun_at;       /* when that was, by the server's clock; 0: not known */
	time_us ended_at;       /* when the last run was deleted, if an earlier start did that; else 0 */
	int64_t acknowledged;   /* deleted by this start of the body, by the server's answers */
	json_t *failed_ids;     /* owned: refused runs, left out from then on */
	int refusals_in_a_row;
	bool server_failed;     /* among the refusals were some of HTTP 5xx */
	size_t chances;         /* how often those were tried again */
	int in_batch;           /* runs deleted in the current batch */
	int64_t started_ms;
	int64_t progress_ms;    /* when progress was last logged */
	int64_t progress_count;
	struct budget budget;
	int64_t doubtful;      /* deleted or not by a call that a kill cut off: the counts do not tell */
	int64_t noted;         /* of it, as it was noted with the run last */
	int64_t count_ms;       /* when to look next whether more runs match than should */
	bool ended;             /* nothing more may be deleted: why */
	struct error end;
	struct progress progress; /* on the run's page */
	struct tally tally;       /* runs deleted, by the server's answers */
	struct window window;     /* the runs with artifacts that are being deleted */
	bool window_lost;         /* an answer was lost: those of its runs that are gone count as deleted */
	bool again_started;       /* an earlier start of the body came so far */
	bool windows_off;         /* artifacts cannot be counted or found in time: the look at the end has to do */
	int artifacts_in_row;     /* deleted since the last pause */
};

/* What a call to the server came to, after every wait that could help. */
enum call {
	CALL_OK,
	CALL_REFUSED, /* the server says no, and will say no again */
	CALL_HALT,    /* the body has to stop, or the deletion has ended */
};

/* What to make of the answer @rc to the @tries-th try of a call. *ret_again: try it once more; waits before that. */
enum call deletion_call_result(struct deletion *d, int rc, int tries, const struct error *err, bool *ret_again);

/* Too many refusals: the rest is not tried. */
bool deletion_given_up(const struct deletion *d);
/* How many of the runs of the plan are deleted, by all starts of the body. */
int64_t deletion_count(const struct deletion *d);
/* Ends the deletion: nothing more is deleted, and the run ends with @err. Always false. */
bool deletion_end(struct deletion *d, const struct error *err);
/* The same, since how far the deletion is could not be noted with the run. */
bool deletion_end_noting(struct deletion *d, struct error *err);
/* From time to time: may the run go on, and do no more runs match than should? True unless the body has to stop. */
bool deletion_goes_on(struct deletion *d);
/* Before a batch: leaves out the subflow runs of parents that have not ended. True unless the body has to stop. */
bool deletion_spare(struct deletion *d);
/* How many runs match the plan now: *ret_left. The deletion ends where those are more than should. True unless the body has to
 * stop. */
bool deletion_count_left(struct deletion *d, int64_t *ret_left);

/* Deletes the runs ids[from..to) of the slice, as far as they still match it; halves what the server refuses until single runs are
 * left, and leaves those out (failed_ids). True unless the body has to stop. */
bool deletion_delete_ids(struct deletion *d, const struct slice *slice, json_t *ids, size_t from, size_t to);

/* One call's worth, @limit runs at most. *ret_empty: nothing (else) matches the slice. True unless the body has to stop. */
bool deletion_delete_some(struct deletion *d, const struct slice *slice, int limit, bool *ret_empty);

/* Between two batches: tells how far it is, now and then; a pause, with looks at the run's own state; is it still this run's turn?
 * The latter two: true unless the body has to stop. */
void deletion_log_progress(struct deletion *d);
bool deletion_rest(struct deletion *d, int64_t ms);
bool deletion_keeps_turn(struct deletion *d);

#endif
