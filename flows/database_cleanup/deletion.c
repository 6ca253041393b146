#include "flows/database_cleanup/deletion.h"

#include <inttypes.h>
#include <string.h>

#include "client/base/text.h"
#include "client/prefect/flow_run.h"
#include "flows/database_cleanup/belongings.h"
#include "flows/database_cleanup/pace.h"
#include "flows/database_cleanup/progress.h"
#include "flows/database_cleanup/window.h"

/* Checkpoint: how many runs matched when the deletion began. With it, a body that is started again knows
 * how many its predecessor deleted, without a write per batch. */
#define BEGUN_KEY "cleanup-deletion"
/* Checkpoint: when the last run was deleted, and a page of those that were. With it, a body that is started again only to
 * report can tell what its predecessor would have. */
#define ENDED_KEY "cleanup-ended"

/* Each try of a call is itself repeated for some seconds (http.h), and waits longer than the one before. */
#define TRIES_OF_A_CALL 5
/* So many refusals one after the other are not the fault of single runs any more. */
#define REFUSALS_IN_A_ROW 25
#define REFUSALS_MAX 1000
/* Longest stretch of calls without a look at the run's own state. */
#define CHECK_EVERY_MS 1000
#define PROGRESS_EVERY_MS 5000
#define PACE_LOG_EVERY_MS 5000
/* So many times as long as noting how far it came took, that is not done again. */
#define NOTE_REST 10
/* Runs read at once where they are deleted one by one. */
#define SINGLE_PAGE 50
/* A slice that does not become empty although every call succeeds is given this many passes. */
#define PASSES_MAX 3
/* Nor more windows of artifacts of which nothing comes. */
#define IDLE_WINDOWS_MAX 3
/* Counting all artifacts of a plan may take so long. A call that takes longer than SLOW_MS, more than the tries of a server
 * that is away, is made so often: counting and finding artifacts may be too much for a large database. */
#define COUNT_MS 15000
#define SLOW_MS 12000
#define SLOW_MAX 2
/* A body that was told to stop has so long to delete the artifacts of what it deleted. */
#define SETTLE_MS 3000
/* Before each other chance for runs at which the server failed (HTTP 5xx): it may have had a bad moment. Not longer than
 * the longest pause that the settings allow. */
static const int64_t chance_rests_ms[] = {2000, 10000};
#define CHANCES (sizeof chance_rests_ms / sizeof chance_rests_ms[0])

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
	int64_t note_ms;        /* when it may be noted next */
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
	CALL_HALT,    /* the body has to stop */
};

/* What the server did not take, and will not take the next time. */
static bool is_refusal(int rc)
{
	return rc == ERR_HTTP || rc == ERR_INVALID || rc == ERR_CONFLICT || rc == ERR_NOT_FOUND;
}

/* What to make of the answer @rc to the @tries-th try of a call. *ret_again: try it once more. */
static enum call call_result(struct deletion *d, int rc, int tries, const struct error *err, bool *ret_again)
{
	*ret_again = false;
	if (rc == 0) {
		flow_recovered(d->ctx);
		return CALL_OK;
	}
	/* Five times no, while the server answers everything else: it is this call, not the server. */
	if (is_refusal(rc) || tries > TRIES_OF_A_CALL)
		return CALL_REFUSED;
	*ret_again = flow_retry(d->ctx, err);
	return flow_halted(d->ctx) ? CALL_HALT : CALL_REFUSED;
}

static bool given_up(const struct deletion *d)
{
	return d->refusals_in_a_row >= REFUSALS_IN_A_ROW || json_array_size(d->failed_ids) >= REFUSALS_MAX;
}

/* How many of the runs of the plan are deleted, by all starts of the body. */
static int64_t deleted_by_now(const struct deletion *d)
{
	return d->begun - d->matched - d->window.others + d->acknowledged;
}

static void note_deleted(struct deletion *d, int64_t count)
{
	d->acknowledged += count;
	d->in_batch += (int)count;
	flow_count_deletions(d->ctx, count, 0);
	if (count > 0)
		d->refusals_in_a_row = 0;
}

/* The server says that it deleted these. */
static void note_ids(struct deletion *d, const json_t *ids)
{
	size_t i;
	json_t *id;

	tally_add(&d->tally, ids);
	json_array_foreach(ids, i, id)
		window_note_deleted(&d->window, json_string_value(id));
}

static void note_refused(struct deletion *d, const char *id, const struct error *err)
{
	flow_log(d->ctx, LOG_LEVEL_WARNING, "flow run %s cannot be deleted, leaving it out: %s", id, err->text);
	(void)json_array_append_new(d->failed_ids, json_string(id));
	d->refusals_in_a_row++;
	d->server_failed = d->server_failed || err->http_status >= 500;
	flow_count_deletions(d->ctx, 0, 1);
}

/* Adapts the pace to a call that was just made, and tells the operator. */
static void keep_pace(struct deletion *d, int runs, int rc)
{
	const struct http_effort *effort = prefect_last_effort(flow_api(d->ctx));
	bool failed = rc == ERR_BUSY || rc == ERR_TRANSPORT;
	AUTO_TEXT line = {.max = 300};

	enum pace_step step = pace_note(&d->pace, effort, failed);
	if (step == PACE_SAME || clock_mono_ms() - d->pace_log_ms < PACE_LOG_EVERY_MS)
		return;
	pace_describe_step(&d->pace, step, runs, effort, &line);
	flow_log(d->ctx, LOG_LEVEL_INFO, "%s", text_str(&line));
	d->pace_log_ms = clock_mono_ms();
}

/* One bulk_delete, with the waits and the lessons (limit, 404) that its answers call for.
 * *ret_deleted is set on CALL_OK. Where it turns out that there is no bulk_delete: CALL_REFUSED, d->single. */
static enum call delete_many(struct deletion *d, const json_t *filter, int limit, int64_t *ret_deleted,
                             struct error *err)
{
	for (int tries = 1;; tries++) {
		AUTO_JSON *ids = NULL;
		bool ambiguous;
		bool again;
		int most;
		int runs = pace_call(&d->pace, limit);
		int rc = flow_run_bulk_delete(flow_api(d->ctx), filter, runs, ret_deleted, &ids, &most, &ambiguous, err);

		d->uncertain = d->uncertain || ambiguous;
		d->window_lost = d->window_lost || ambiguous;
		if (rc == ERR_INVALID && most > 0 && most < runs) {
			flow_log(d->ctx, LOG_LEVEL_DEBUG, "the server deletes at most %d flow runs a call", most);
			pace_limit_calls(&d->pace, most);
			continue;
		}
		keep_pace(d, runs, rc);
		if (rc == ERR_NO_ROUTE && !d->bulk_seen && !ambiguous) {
			d->single = true;
			return CALL_REFUSED;
		}
		if (rc == 0) {
			d->bulk_seen = true;
			note_ids(d, ids);
		}
		if (limit > d->pace.batch) /* maybe it was too much for one answer */
			limit = d->pace.batch;
		enum call result = call_result(d, rc, tries, err, &again);
		if (!again)
			return result;
	}
}

/* Ids of up to @limit runs that match the slice, as an array; in the order in which bulk_delete takes them. */
static enum call read_ids(struct deletion *d, const struct slice *slice, int limit, json_t **ret_ids, struct error *err)
{
	AUTO_JSON *filter = slice_filter_ids(slice, d->failed_ids, /* only= */ false);
	struct flow_run *runs = NULL;
	size_t count = 0;
	enum call result = CALL_REFUSED;
	bool again = true;

	/* A server with another PREFECT_SERVER_API_DEFAULT_LIMIT takes smaller pages. */
	for (int tries = 1; again; tries++) {
		int rc = filter == NULL ? error_nomem(err)
		                        : flow_run_filter(flow_api(d->ctx),
		                                          &(struct flow_run_query){
													  .flow_runs = filter, .sort = "ID_DESC", .limit = limit},
		                                          &runs, &count, err);
		if (rc == ERR_INVALID && limit > 1) {
			limit /= 2;
			continue;
		}
		result = call_result(d, rc, tries, err, &again);
	}
	if (result != CALL_OK)
		return result;

	json_t *ids = json_array();
	for (size_t i = 0; i < count; i++)
		(void)json_array_append_new(ids, json_string(runs[i].id));
	flow_runs_release(runs, count);
	*ret_ids = ids;
	return CALL_OK;
}

static bool check_due(const struct deletion *d)
{
	return flow_checked_ago_ms(d->ctx) >= CHECK_EVERY_MS;
}

/* Is this run still in the plan? The last look before a single delete, which takes no predicate. */
static enum call still_in_slice(struct deletion *d, const struct slice *slice, json_t *id, bool *ret_in, struct error *err)
{
	AUTO_JSON *ids = json_pack("[O]", id);
	AUTO_JSON *filter = slice_filter_ids(slice, ids, /* only= */ true);
	int64_t count = 0;
	enum call result = CALL_REFUSED;
	bool again = true;

	for (int tries = 1; again; tries++) {
		int rc = filter == NULL ? error_nomem(err)
		                        : flow_run_count(flow_api(d->ctx), &(struct flow_run_query){.flow_runs = filter}, &count,
		                                         err);
		result = call_result(d, rc, tries, err, &again);
	}
	*ret_in = count == 1;
	return result;
}

/* True unless the body has to stop. */
static bool delete_single(struct deletion *d, const struct slice *slice, json_t *id)
{
	struct error err;
	bool in_slice = false;
	bool again;
	enum call result = still_in_slice(d, slice, id, &in_slice, &err);

	if (result == CALL_OK && !in_slice)
		return true; /* gone, or run again: the count at the end shows it */

	for (int tries = 1; result == CALL_OK; tries++) {
		int rc = flow_run_delete(flow_api(d->ctx), json_string_value(id), &err);

		keep_pace(d, 1, rc);
		if (rc == ERR_NOT_FOUND)
			rc = 0; /* gone is what was wanted */
		result = call_result(d, rc, tries, &err, &again);
		if (result == CALL_OK) {
			AUTO_JSON *ids = json_pack("[O]", id);
			note_ids(d, ids);
			note_deleted(d, 1);
			return true;
		}
		if (again)
			result = CALL_OK;
	}
	if (result == CALL_HALT)
		return false;
	note_refused(d, json_string_value(id), &err);
	return true;
}

static bool delete_one_by_one(struct deletion *d, const struct slice *slice, json_t *ids, size_t from, size_t to)
{
	bool go_on = true;

	for (size_t i = from; go_on && i < to && !given_up(d); i++) {
		go_on = !check_due(d) || flow_may_go_on(d->ctx);
		if (go_on)
			go_on = delete_single(d, slice, json_array_get(ids, i));
	}
	return go_on;
}

/* Deletes the runs ids[from..to) of the slice; halves what the server refuses until single runs are left.
 * True unless the body has to stop. */
static bool delete_ids(struct deletion *d, const struct slice *slice, json_t *ids, size_t from, size_t to)
{
	AUTO_JSON *part = json_array();
	struct error err;
	int64_t deleted = 0;

	if (from >= to || given_up(d))
		return true;
	if (d->single)
		return delete_one_by_one(d, slice, ids, from, to);
	if (check_due(d) && !flow_may_go_on(d->ctx))
		return false;

	for (size_t i = from; i < to; i++)
		(void)json_array_append(part, json_array_get(ids, i));
	AUTO_JSON *filter = slice_filter_ids(slice, part, /* only= */ true);
	if (filter == NULL)
		return true;

	switch (delete_many(d, filter, (int)(to - from), &deleted, &err)) {
	case CALL_OK:
		note_deleted(d, deleted);
		return true;
	case CALL_HALT:
		return false;
	case CALL_REFUSED:
		break;
	}

	if (d->single)
		return delete_one_by_one(d, slice, ids, from, to);
	if (to - from == 1) {
		note_refused(d, json_string_value(json_array_get(ids, from)), &err);
		return true;
	}
	size_t middle = from + (to - from) / 2;
	return delete_ids(d, slice, ids, from, middle) && delete_ids(d, slice, ids, middle, to);
}

/* A call with the predicate was refused: find the runs at fault among those that it would have taken. */
static bool narrow_down(struct deletion *d, const struct slice *slice, int limit, const struct error *why)
{
	json_t *ids = NULL;
	struct error err;

	flow_log(d->ctx, LOG_LEVEL_WARNING, "deleting %d flow runs at once was refused, looking for those at fault: %s", limit,
	         why->text);
	enum call result = read_ids(d, slice, limit, &ids, &err);
	if (result == CALL_REFUSED) {
		flow_log(d->ctx, LOG_LEVEL_ERROR, "the flow runs at fault cannot be found: %s", err.text);
		d->refusals_in_a_row = REFUSALS_IN_A_ROW;
		return true;
	}
	if (result == CALL_HALT)
		return false;

	size_t failed = json_array_size(d->failed_ids);
	int64_t deleted = d->acknowledged;
	bool go_on = delete_ids(d, slice, ids, 0, json_array_size(ids));
	/* Refused together but not one by one: nothing to leave out, so this must not repeat for ever. */
	if (json_array_size(d->failed_ids) == failed && d->acknowledged == deleted)
		d->refusals_in_a_row++;
	json_decref(ids);
	return go_on;
}

/* One page, run by run. *ret_empty: nothing matches the slice any more. */
static bool delete_page(struct deletion *d, const struct slice *slice, int limit, bool *ret_empty)
{
	json_t *ids = NULL;
	struct error err;

	enum call result = read_ids(d, slice, limit < SINGLE_PAGE ? limit : SINGLE_PAGE, &ids, &err);
	if (result == CALL_HALT)
		return false;
	if (result == CALL_REFUSED) {
		flow_log(d->ctx, LOG_LEVEL_ERROR, "the flow runs to delete cannot be read: %s", err.text);
		d->refusals_in_a_row = REFUSALS_IN_A_ROW;
		return true;
	}

	*ret_empty = json_array_size(ids) == 0;
	bool go_on = delete_one_by_one(d, slice, ids, 0, json_array_size(ids));
	json_decref(ids);
	return go_on;
}

/* One call's worth. *ret_empty: nothing (else) matches the slice. True unless the body has to stop. */
static bool delete_some(struct deletion *d, const struct slice *slice, int limit, bool *ret_empty)
{
	struct error err;
	int64_t deleted = 0;

	(void)error_nomem(&err);
	*ret_empty = false;
	if (d->single)
		return delete_page(d, slice, limit, ret_empty);

	AUTO_JSON *filter = slice_filter_ids(slice, d->failed_ids, /* only= */ false);
	enum call result = filter != NULL ? delete_many(d, filter, limit, &deleted, &err) : CALL_REFUSED;
	if (result == CALL_OK) {
		note_deleted(d, deleted);
		*ret_empty = deleted == 0;
		return true;
	}
	if (result == CALL_HALT)
		return false;
	if (d->single) {
		flow_log(d->ctx, LOG_LEVEL_INFO, "this server has no bulk_delete: deleting one flow run at a time");
		return true;
	}
	return narrow_down(d, slice, pace_call(&d->pace, limit), &err);
}

static void log_progress(struct deletion *d)
{
	int64_t now = clock_mono_ms();
	int64_t tenth = d->matched / 10;

	if (now - d->progress_ms < PROGRESS_EVERY_MS && d->acknowledged - d->progress_count < tenth)
		return;
	if (d->acknowledged == d->progress_count)
		return;

	int64_t ms = now - d->started_ms;
	double rate = ms > 0 ? (double)d->acknowledged * 1000 / (double)ms : 0;
	AUTO_TEXT slowed = {.max = 100};
	if (pace_is_slowed(&d->pace)) {
		text_addf(&slowed, "; slowed: ");
		pace_describe(&d->pace, &slowed);
	}
	flow_log(d->ctx, LOG_LEVEL_INFO, "deleted %" PRId64 " of %" PRId64 " flow runs (%.0f %%, %.0f/s%s)",
	         deleted_by_now(d), d->begun, d->begun > 0 ? 100.0 * (double)deleted_by_now(d) / (double)d->begun : 100.0, rate,
	         text_str(&slowed));
	d->progress_ms = now;
	d->progress_count = d->acknowledged;
	/* A worker that dies now has not died at the same place as the one before. No harm where it cannot be noted; nor must it slow
	 * the deletion down. */
	if (now < d->note_ms)
		return;
	(void)flow_note_progress(d->ctx, deleted_by_now(d));
	d->note_ms = clock_mono_ms() + NOTE_REST * (clock_mono_ms() - now);
}

/* A pause, with a look at the run's own state at its end, and every second of a longer one. */
static bool rest(struct deletion *d, int64_t ms)
{
	int64_t until = clock_mono_ms() + ms;
	int64_t left = ms;

	do {
		if (!flow_wait(d->ctx, left < CHECK_EVERY_MS ? left : CHECK_EVERY_MS) || !flow_may_go_on(d->ctx))
			return false;
		left = until - clock_mono_ms();
	} while (left > 0);
	return true;
}

/* Is it still this run's turn? Asked now and then: a run with an older approval may have come back. */
static bool keeps_turn(struct deletion *d)
{
	if (clock_mono_ms() - d->turn_ms < FLOW_TURN_EVERY_MS)
		return true;
	d->turn_lost = !flow_has_turn(d->ctx);
	d->turn_ms = clock_mono_ms();
	return !d->turn_lost;
}

/* One slice in batches, with a pause and a look at the run's own state between two of them. */
static bool delete_slice(struct deletion *d, const struct slice *slice)
{
	bool empty = slice->count == 0; /* a slice cannot grow */

	while (!empty && !given_up(d)) {
		d->in_batch = 0;
		if (d->acknowledged < d->matched)
			progress_batch(&d->progress, deleted_by_now(d));
		while (!empty && d->in_batch < d->pace.batch && !given_up(d)) {
			if (check_due(d) && !flow_may_go_on(d->ctx))
				return false;
			if (!delete_some(d, slice, d->pace.batch - d->in_batch, &empty))
				return false;
		}
		log_progress(d);
		progress_note(&d->progress, deleted_by_now(d));
		/* What comes after the last batch finds nothing, and needs no pause before it. */
		if (!empty && d->acknowledged < d->matched && (!rest(d, d->pace.pause_ms) || !keeps_turn(d)))
			return false;
	}
	return true;
}

/* --- runs with artifacts: window by window (window.h) -------------------------------------------------------- */

/* True where @rc is 0, or a later try may be better: *ret_again. Waits out an outage. */
static bool window_step(struct deletion *d, int rc, int tries, const struct error *err, bool *ret_ok)
{
	bool again;

	*ret_ok = call_result(d, rc, tries, err, &again) == CALL_OK;
	return again;
}

static bool find_window(struct deletion *d, const struct slice *slice, json_t **ret_runs)
{
	AUTO_JSON *filter = slice_filter_ids(slice, d->failed_ids, /* only= */ false);
	struct error err;
	bool ok = false;
	bool again = true;
	bool whole = true;
	int slow = 0;

	for (int tries = 1; again; tries++) {
		/* What one call deletes: window.h. */
		int rc = window_find(flow_api(d->ctx), filter, (size_t)pace_call(&d->pace, d->pace.batch), ret_runs, &whole, &err);
		slow += prefect_last_effort(flow_api(d->ctx))->took_ms >= SLOW_MS;
		again = window_step(d, rc, tries, &err, &ok) && slow < SLOW_MAX;
	}
	d->window.unsure = d->window.unsure || !whole || !ok;
	d->windows_off = !ok;
	return ok;
}

/* Writes the window down, with what an earlier one has left; @found NULL: with what was deleted of it. */
static bool store_window(struct deletion *d, const json_t *found)
{
	struct error err;
	bool ok = false;
	bool again = true;

	for (int tries = 1; again; tries++) {
		int rc = found != NULL ? window_add(&d->window, found, &err) : 0;
		if (rc == 0)
			rc = window_store(d->ctx, d->plan, &d->window, &err);
		again = window_step(d, rc, tries, &err, &ok);
	}
	d->window.unsure = d->window.unsure || (found != NULL && !ok);
	return ok;
}

/* Writes down what was deleted of the window, before its artifacts go: also where the body has to stop. True unless it has to. */
static bool note_window(struct deletion *d, bool go_on)
{
	struct error err;

	if (json_object_size(d->window.ours) == 0 || flow_taken(d->ctx))
		return go_on;
	if (go_on)
		return store_window(d, NULL) || !flow_halted(d->ctx);
	if (window_store(d->ctx, d->plan, &d->window, &err) != 0)
		flow_log(d->ctx, LOG_LEVEL_DEBUG, "what was deleted last cannot be written down: %s", err.text);
	return false;
}

static bool rest(struct deletion *d, int64_t ms);

/* Artifacts are deleted one by one: at the pace of the runs, with the same looks at the run's own state. */
static bool artifact_goes_on(void *arg)
{
	struct deletion *d = arg;
	const struct http_effort *effort = prefect_last_effort(flow_api(d->ctx));

	if (effort->took_ms > d->pace.settings.target_ms || effort->throttled > 0)
		(void)pace_note(&d->pace, effort, false);
	if (++d->artifacts_in_row < d->pace.batch)
		return !check_due(d) || flow_may_go_on(d->ctx);
	d->artifacts_in_row = 0;
	return rest(d, d->pace.pause_ms);
}

/* What is not cleared stays in the window, and is carried along. True unless the body has to stop. */
static bool clear_window(struct deletion *d)
{
	const struct window_care care = {artifact_goes_on, d};
	struct error err;
	bool ok = false;
	bool again = true;

	for (int tries = 1; again; tries++) {
		int rc = window_clear(flow_api(d->ctx), &d->window, d->window_lost, &care, &err);
		if (flow_halted(d->ctx))
			return false;
		d->window_lost = d->window_lost && rc != 0;
		again = window_step(d, rc, tries, &err, &ok);
	}
	if (flow_halted(d->ctx))
		return false;
	if (!ok)
		flow_log(d->ctx, LOG_LEVEL_WARNING, "artifacts of deleted flow runs stay for now: %s", err.text);
	return true;
}

/* The ids of the flow runs of @found, as an array. */
static json_t *runs_of(const json_t *found)
{
	json_t *runs = json_array();
	const char *run;
	json_t *artifacts;

	json_object_foreach((json_t *)(uintptr_t)found, run, artifacts)
		(void)json_array_append_new(runs, json_string(run));
	return runs;
}

/* The runs of one window, in batches. True unless the body has to stop. */
static bool delete_window(struct deletion *d, const struct slice *slice, const json_t *found)
{
	AUTO_JSON *runs = runs_of(found);
	size_t count = json_array_size(runs);
	size_t to;

	for (size_t from = 0; from < count && !given_up(d); from = to) {
		size_t batch = (size_t)pace_call(&d->pace, d->pace.batch);
		to = from + batch < count ? from + batch : count;
		d->in_batch = 0;
		progress_batch(&d->progress, deleted_by_now(d));
		if (!delete_ids(d, slice, runs, from, to))
			return false;
		log_progress(d);
		progress_note(&d->progress, deleted_by_now(d));
		if (to < count && (!rest(d, d->pace.pause_ms) || !keeps_turn(d)))
			return false;
	}
	return true;
}

/* Runs of the slice that have artifacts. What cannot be found or stored now is left to the look at the end. True unless the
 * body has to stop. */
static bool delete_windows(struct deletion *d, const struct slice *slice)
{
	int idle = 0;

	while (slice->count > 0 && !given_up(d)) {
		AUTO_JSON *found = NULL;
		int64_t before = d->acknowledged;
		size_t failed = json_array_size(d->failed_ids);

		if (!find_window(d, slice, &found))
			return !flow_halted(d->ctx);
		if (json_object_size(found) == 0)
			return true;
		if (!store_window(d, found))
			return !flow_halted(d->ctx);
		if (!note_window(d, delete_window(d, slice, found)) || !clear_window(d))
			return false;
		/* Nothing came of it: an answer was lost, the runs have left the plan, or the server says one thing and another. */
		idle = d->acknowledged == before && json_array_size(d->failed_ids) == failed ? idle + 1 : 0;
		if (idle == IDLE_WINDOWS_MAX)
			return true;
		if (!rest(d, d->pace.pause_ms) || !keeps_turn(d))
			return false;
	}
	return true;
}

/* What an earlier start of the body was at when it was stopped or killed. */
static bool finish_window(struct deletion *d, int *ret_rc, struct error *err)
{
	while ((*ret_rc = window_read(d->ctx, d->plan, &d->window, err)) != 0)
		if (!flow_retry(d->ctx, err))
			return false;
	flow_recovered(d->ctx);
	if (d->window.others > 0)
		flow_log(d->ctx, LOG_LEVEL_WARNING, "%" PRId64 " flow runs that were to be deleted when the run was interrupted are gone without "
		         "our doing, as it seems: they do not count as deleted, and their artifacts stay", d->window.others);
	return clear_window(d);
}

static bool settle_goes_on(void *arg)
{
	return clock_mono_ms() < *(const int64_t *)arg;
}

void deletion_settle(struct flow_ctx *ctx, const struct plan *plan)
{
	int64_t until = clock_mono_ms() + SETTLE_MS;
	const struct window_care care = {settle_goes_on, &until};
	struct window window = {0};
	struct error err;

	if (flow_taken(ctx))
		return;
	int rc = window_read(ctx, plan, &window, &err);
	if (rc == 0)
		rc = window_clear(flow_api(ctx), &window, false, &care, &err);
	if (rc != 0)
		flow_log(ctx, LOG_LEVEL_WARNING, "artifacts of deleted flow runs may be left: %s", err.text);
	window_release(&window);
}

/* Every window of the plan, where it has artifacts at all. One that refuses to count them is not asked again: the look at the
 * end finds what is left. */
static bool delete_with_artifacts(struct deletion *d, bool first_pass, int *ret_rc, struct error *err)
{
	int64_t artifacts = 0;
	bool ok = false;
	bool again = true;
	int slow = 0;

	if (first_pass && d->again_started && !finish_window(d, ret_rc, err))
		return false;
	if (d->windows_off)
		return true;
	for (int tries = 1; again; tries++) {
		prefect_set_deadline(flow_api(d->ctx), COUNT_MS);
		int rc = window_count(flow_api(d->ctx), d->plan, &artifacts, err);
		prefect_set_deadline(flow_api(d->ctx), 0);
		slow += prefect_last_effort(flow_api(d->ctx))->took_ms >= SLOW_MS;
		again = window_step(d, rc, tries, err, &ok) && slow < SLOW_MAX;
	}
	if (flow_halted(d->ctx))
		return false;
	if (!ok)
		flow_log(d->ctx, LOG_LEVEL_WARNING, "the artifacts of the flow runs cannot be counted: %s", err->text);
	d->window.unsure = d->window.unsure || !ok;
	d->windows_off = !ok;
	for (size_t i = 0; artifacts > 0 && i < d->plan->slice_count; i++)
		if (!delete_windows(d, &d->plan->slices[i]))
			return false;
	return true;
}

/* How many runs match now; false where the body has to stop or *ret_rc is an error. */
static bool count_left(struct deletion *d, int64_t *ret_left, int *ret_rc, struct error *err)
{
	while ((*ret_rc = plan_count(flow_api(d->ctx), d->plan, ret_left, err)) != 0)
		if (!flow_retry(d->ctx, err))
			return false;
	flow_recovered(d->ctx);
	return true;
}

/* The time under @key, 0 where there is none. */
static time_us time_of(const json_t *stored, const char *key)
{
	const char *text = json_string_value(json_object_get(stored, key));
	time_us time;

	return text != NULL && time_parse(text, &time) ? time : 0;
}

/* The checkpoint of the first start, if it is one of this plan: how many runs matched then, else -1; and when it began. */
static int read_begun(struct flow_ctx *ctx, const struct plan *plan, int64_t *ret_matched, time_us *ret_at, struct error *err)
{
	AUTO_JSON *stored = NULL;

	*ret_matched = -1;
	*ret_at = 0;
	int rc = flow_checkpoint_read(ctx, BEGUN_KEY, &stored, err);
	if (rc != 0)
		return rc == ERR_NOT_FOUND ? 0 : rc;
	const char *digest = json_string_value(json_object_get(stored, "plan"));
	if (!json_is_object(stored))
		return error_set(err, ERR_DECODE, "the checkpoint '" BEGUN_KEY "' is not as this worker writes it");
	if (digest != NULL && strcmp(digest, plan->digest) == 0) {
		*ret_matched = json_integer_value(json_object_get(stored, "matched"));
		*ret_at = time_of(stored, "at");
	}
	return 0;
}

int64_t deletion_so_far(struct flow_ctx *ctx, const struct plan *plan)
{
	struct window window = {0};
	int64_t begun;
	int64_t left;
	time_us at;

	if (read_begun(ctx, plan, &begun, &at, NULL) != 0)
		return -1;
	if (begun < 0)
		return 0;
	if (plan_count(flow_api(ctx), plan, &left, NULL) != 0)
		return -1;
	if (begun <= left)
		return 0;
	/* What others deleted while nobody was at it. */
	if (window_read(ctx, plan, &window, NULL) == 0)
		left += window.others;
	window_release(&window);
	return begun > left ? begun - left : 0;
}

/* Reads or writes the checkpoint of the first start. */
static bool begin(struct deletion *d, int *ret_rc, struct error *err)
{
	if (!count_left(d, &d->matched, ret_rc, err))
		return false;
	while ((*ret_rc = read_begun(d->ctx, d->plan, &d->begun, &d->begun_at, err)) != 0)
		if (!flow_retry(d->ctx, err))
			return false;

	d->again_started = d->begun >= 0;
	if (!d->again_started) {
		d->begun = d->matched;
		d->begun_at = prefect_now(flow_api(d->ctx));
		AUTO_JSON *value = json_pack("{s:s, s:I, s:o}", "plan", d->plan->digest, "matched", (json_int_t)d->matched, "at",
		                             json_time(d->begun_at));
		while ((*ret_rc = flow_checkpoint_write(d->ctx, BEGUN_KEY, value, err)) != 0)
			if (!flow_retry(d->ctx, err))
				return false;
	}
	flow_recovered(d->ctx);
	if (d->matched > d->plan->total || d->matched > d->begun) {
		*ret_rc = error_set(err, ERR_CONFLICT, "%" PRId64 " flow runs match the plan now, but it was approved for %" PRId64
		                    ": somebody changed the states of old runs meanwhile; start a new run", d->matched,
		                    d->plan->total);
		return false;
	}
	if (d->begun > d->plan->total) {
		*ret_rc = error_set(err, ERR_DECODE, "the checkpoint '" BEGUN_KEY "' is not as this worker writes it; start a new run");
		return false;
	}
	return true;
}

/* How long the deletion took, with all starts and what lay between them. */
static int64_t took_ms(const struct deletion *d)
{
	time_us until = d->ended_at != 0 ? d->ended_at : prefect_now(flow_api(d->ctx));

	return d->begun_at != 0 && until > d->begun_at ? (until - d->begun_at) / 1000 : clock_mono_ms() - d->started_ms;
}

/* Everything is deleted: writes down when, and some of the runs; or reads what an earlier start wrote. */
static void note_end(struct deletion *d)
{
	AUTO_JSON *stored = NULL;
	AUTO_JSON *ids = tally_page(&d->tally, 0);

	if (d->acknowledged == 0 && flow_checkpoint_read(d->ctx, ENDED_KEY, &stored, NULL) == 0) {
		const char *digest = json_string_value(json_object_get(stored, "plan"));
		if (digest != NULL && strcmp(digest, d->plan->digest) == 0) {
			d->ended_at = time_of(stored, "at");
			tally_add(&d->tally, json_object_get(stored, "ids"));
			return;
		}
	}
	AUTO_JSON *value = json_pack("{s:s, s:o, s:O}", "plan", d->plan->digest, "at", json_time(prefect_now(flow_api(d->ctx))),
	                             "ids", ids);
	if (d->acknowledged > 0 && (value == NULL || flow_checkpoint_write(d->ctx, ENDED_KEY, value, NULL) != 0))
		flow_log(d->ctx, LOG_LEVEL_DEBUG, "the end of the deletion cannot be written down");
}

static void fill_result(const struct deletion *d, int64_t left, struct deletion_result *ret_result)
{
	int64_t vanished = d->begun - left - d->window.others;
	int64_t deleted = deleted_by_now(d);

	if (d->uncertain || deleted > vanished)
		deleted = vanished;
	*ret_result = (struct deletion_result){
		.deleted = deleted,
		.failed = (int64_t)json_array_size(d->failed_ids),
		.left = left,
		.gone = d->plan->total - left - deleted,
		.given_up = given_up(d),
		.counted = d->matched != d->begun || d->uncertain,
		.failed_ids = json_incref(d->failed_ids),
		.took_ms = took_ms(d),
	};
}

/* Gives the runs that were left out another chance where the server failed at them; false where there is none left. */
static bool another_chance(struct deletion *d)
{
	if (!d->server_failed || d->chances == CHANCES)
		return false;
	flow_log(d->ctx, LOG_LEVEL_INFO, "the server failed at %zu flow runs, trying them again", json_array_size(d->failed_ids));
	int64_t ms = chance_rests_ms[d->chances++];
	if (ms > d->pace.settings.pause_most_ms)
		ms = d->pace.settings.pause_most_ms;
	if (!rest(d, ms))
		return true; /* the next step sees that the body has to stop */
	(void)json_array_clear(d->failed_ids);
	d->refusals_in_a_row = 0;
	d->server_failed = false;
	return true;
}

/* Everything once: runs with artifacts, then the others. True unless the body has to stop, or *ret_rc is an error. */
static bool delete_pass(struct deletion *d, bool first, int64_t *ret_left, int *ret_rc, struct error *err)
{
	if (!delete_with_artifacts(d, first, ret_rc, err))
		return false;
	for (size_t i = 0; i < d->plan->slice_count; i++)
		if (!delete_slice(d, &d->plan->slices[i]))
			return false;
	return count_left(d, ret_left, ret_rc, err);
}

/* Passes until nothing that can be deleted is left. Returns as deletion_run(). */
static int delete_all(struct deletion *d, int64_t *ret_left, struct error *err)
{
	bool first = true;
	int rc = 0;

	*ret_left = d->matched;
	for (int pass = 1; pass <= PASSES_MAX; pass++) {
		if (!delete_pass(d, first, ret_left, &rc, err)) {
			*ret_left = d->matched - d->acknowledged;
			if (flow_halted(d->ctx))
				return error_set(err, ERR_STOPPED, "stopped");
			return d->turn_lost ? error_set(err, ERR_BUSY, "it is another run's turn") : rc;
		}
		first = false;
		if (*ret_left > (int64_t)json_array_size(d->failed_ids) && !given_up(d))
			continue;
		if (!another_chance(d))
			break;
		pass = 0;
	}
	return 0;
}

/* The step "verify": is everything gone that belonged to the deleted runs? */
static void verify(struct deletion *d, struct deletion_result *result)
{
	struct leftovers left;
	AUTO_TEXT message = {.max = 300};

	flow_step_begin(d->ctx, "verify", progress_last_step(&d->progress));
	if (json_object_size(d->window.runs) > 0)
		(void)clear_window(d); /* maybe the server takes now what it did not before */
	leftovers_look(d->ctx, &d->tally, &left);
	result->artifacts_deleted = d->window.deleted + left.artifacts_deleted;
	result->artifacts_left = left.artifacts_left;
	/* Where something was lost sight of, only a look at every deleted run can tell; of those that somebody else deleted, as it
	 * seems, nothing can. */
	if (d->window.others > 0)
		result->artifacts_left = -1;
	if ((d->window.unsure || json_object_size(d->window.runs) > 0) && (int64_t)d->tally.count < result->deleted)
		result->artifacts_left = -1;
	result->logs_checked = left.logs_checked;
	result->logs_left = left.logs_left;
	result->logs_more = left.logs_more;
	text_addf(&message, "%" PRId64 " flow runs of the plan are left; of %" PRId64 " deleted ones %s%" PRId64 " still have logs; ",
	          result->left, left.logs_checked, left.logs_more ? "at least " : "", left.logs_left);
	if (result->artifacts_left < 0)
		text_addf(&message, "whether artifacts of deleted ones are left cannot be told");
	else
		text_addf(&message, "%" PRId64 " artifacts of deleted ones are left", result->artifacts_left);
	if (left.logs_left > 0)
		flow_log(d->ctx, LOG_LEVEL_WARNING, "the server has not yet deleted the logs of %s%" PRId64 " of the deleted flow runs",
		         left.logs_more ? "at least " : "", left.logs_left);
	if (result->artifacts_left != 0)
		flow_log(d->ctx, LOG_LEVEL_WARNING, "%s", text_str(&message));
	bool clean = result->left == 0 && left.logs_left == 0 && result->artifacts_left == 0;
	flow_step_end(d->ctx, "verify", clean ? STATE_COMPLETED : STATE_FAILED, text_str(&message));
}

int deletion_run(struct flow_ctx *ctx, const struct plan *plan, int batch_size, struct deletion_result *ret_result,
                 struct error *err)
{
	AUTO_JSON *failed_ids = json_array();
	struct deletion d = {
		.ctx = ctx,
		.plan = plan,
		.failed_ids = failed_ids,
		.started_ms = clock_mono_ms(),
		.progress_ms = clock_mono_ms(),
		.turn_ms = clock_mono_ms(),
	};
	struct pace_settings settings;
	int64_t left = 0;
	int rc = 0;

	pace_read(ctx, batch_size, &settings);
	pace_init(&d.pace, &settings);
	if (!flow_may_go_on(ctx) || !begin(&d, &rc, err))
		return flow_halted(ctx) ? error_set(err, ERR_STOPPED, "stopped") : rc;

	progress_start(&d.progress, ctx, d.begun, deleted_by_now(&d));
	rc = delete_all(&d, &left, err);
	if (rc == 0)
		note_end(&d);
	fill_result(&d, left, ret_result);
	if (rc == 0) {
		progress_end(&d.progress, ret_result->deleted, left);
		verify(&d, ret_result);
	}
	tally_release(&d.tally);
	window_release(&d.window);
	return rc;
}

void deletion_result_release(struct deletion_result *result)
{
	json_decref(result->failed_ids);
	*result = (struct deletion_result){0};
}
