#include "flows/database_cleanup/deletion_calls.h"

#include <inttypes.h>

#include "client/base/text.h"
#include "client/prefect/flow_run.h"

/* Each try of a call is itself repeated for some seconds (http.h), and waits longer than the one before. */
#define TRIES_OF_A_CALL 5
/* So many refusals one after the other are not the fault of single runs any more. */
#define REFUSALS_IN_A_ROW 25
#define REFUSALS_MAX 1000
/* Longest stretch of calls without a look at the run's own state. */
#define CHECK_EVERY_MS 1000
/* Counting what matches may take one part in so many of the time. */
#define COUNT_REST 20
/* A server that fails (HTTP 500) is asked so often, with a wait in between. */
#define TRIES_OF_500 3
#define WAIT_OF_500_MS 200
#define PROGRESS_EVERY_MS 5000
#define PACE_LOG_EVERY_MS 5000
/* Runs read at once where they are deleted one by one. */
#define SINGLE_PAGE 50

/* What the server did not take, and will not take the next time. */
static bool is_refusal(int rc)
{
	return rc == ERR_HTTP || rc == ERR_INVALID || rc == ERR_CONFLICT || rc == ERR_NOT_FOUND;
}

/* What to make of the answer @rc to the @tries-th try of a call. *ret_again: try it once more. */
enum call deletion_call_result(struct deletion *d, int rc, int tries, const struct error *err, bool *ret_again)
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

bool deletion_end(struct deletion *d, const struct error *err)
{
	if (!d->ended)
		d->end = *err;
	d->ended = true;
	return false;
}

bool deletion_given_up(const struct deletion *d)
{
	return d->refusals_in_a_row >= REFUSALS_IN_A_ROW || json_array_size(d->failed_ids) >= REFUSALS_MAX;
}

/* How many of the runs of the plan are deleted, by all starts of the body. */
int64_t deletion_count(const struct deletion *d)
{
	return d->begun - d->matched - d->window.others + d->acknowledged;
}

static void note_deleted(struct deletion *d, int64_t count)
{
	d->acknowledged += count;
	d->in_batch += (int)count;
	budget_spend(&d->budget, count);
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
	/* Somebody's page in place of an answer may pass as well. */
	d->server_failed = d->server_failed || err->http_status >= 500 || !is_refusal(err->code);
	flow_count_deletions(d->ctx, 0, 1);
}

/* Adapts the pace to the @tries-th try of a call that was just made, and tells the operator. A call that fails is one step
 * down, however often it is tried: the waits between its tries get longer anyway. */
static void keep_pace(struct deletion *d, int runs, int rc, int tries)
{
	const struct http_effort *effort = prefect_last_effort(flow_api(d->ctx));
	bool failed = rc == ERR_BUSY || rc == ERR_TRANSPORT;
	AUTO_TEXT line = {.max = 300};

	if (failed && tries > 1)
		return;
	enum pace_step step = pace_note(&d->pace, effort, failed);
	if (step == PACE_SAME || clock_mono_ms() - d->pace_log_ms < PACE_LOG_EVERY_MS)
		return;
	pace_describe_step(&d->pace, step, runs, effort, failed, &line);
	flow_log(d->ctx, LOG_LEVEL_INFO, "%s", text_str(&line));
	d->pace_log_ms = clock_mono_ms();
}

/* The runs of the window that is stored, if any, go by more than one call from now on: a start after a kill has to know. Where
 * that cannot be written down, it takes for somebody else's doing what may be ours. */
static void note_parts(struct deletion *d)
{
	if (d->window.parts || json_object_size(d->window.runs) == 0 || flow_taken(d->ctx))
		return;
	d->window.parts = true;
	if (window_store(d->ctx, d->plan, &d->window, NULL) != 0)
		flow_log(d->ctx, LOG_LEVEL_DEBUG, "that the flow runs are deleted in parts cannot be written down");
}

/* --- the budget --------------------------------------------------------------------------------------------- */

/* One look; *ret_left untouched where it fails. False where the deletion has ended. */
static bool count_once(struct deletion *d, int64_t *ret_left, int *ret_rc, struct error *err)
{
	int64_t begun_ms = clock_mono_ms();
	int64_t left;
	struct error grown;

	*ret_rc = plan_count(flow_api(d->ctx), d->plan, &left, err);
	int64_t took_ms = clock_mono_ms() - begun_ms;
	d->count_ms = clock_mono_ms() + (COUNT_REST * took_ms > CHECK_EVERY_MS ? COUNT_REST * took_ms : CHECK_EVERY_MS);
	if (*ret_rc != 0)
		return true;
	*ret_left = left;
	return budget_check(&d->budget, left, &grown) == 0 || deletion_end(d, &grown);
}

bool deletion_count_left(struct deletion *d, int64_t *ret_left)
{
	struct error err;
	int rc;

	for (;;) {
		if (!count_once(d, ret_left, &rc, &err))
			return false;
		if (rc == 0)
			break;
		if (!flow_retry(d->ctx, &err))
			return flow_halted(d->ctx) ? false : deletion_end(d, &err);
	}
	flow_recovered(d->ctx);
	return true;
}

bool deletion_goes_on(struct deletion *d)
{
	struct error err;
	int64_t left;
	int rc;

	if (flow_checked_ago_ms(d->ctx) >= CHECK_EVERY_MS && !flow_may_go_on(d->ctx))
		return false;
	return !d->ended && (clock_mono_ms() < d->count_ms || count_once(d, &left, &rc, &err));
}

bool deletion_spare(struct deletion *d)
{
	struct error err;
	bool again = true;
	enum call result = CALL_REFUSED;

	for (int tries = 1; again; tries++)
		result = deletion_call_result(d, plan_spare(flow_api(d->ctx), d->plan, &err), tries, &err, &again);
	if (result == CALL_OK)
		return true;
	return result == CALL_HALT ? false : deletion_end(d, &err);
}

bool deletion_end_noting(struct deletion *d, struct error *err)
{
	(void)error_prefix(err, err->code, "how far it is cannot be noted");
	return deletion_end(d, err);
}

/* Before a call that may delete @runs: a start after a kill has to know. Without that nothing is deleted. */
static enum call note_call(struct deletion *d, int64_t runs)
{
	const struct flow_progress progress = {.done = d->budget.spent, .doubtful = runs, .expected = d->budget.expected};
	struct error err;
	bool again = true;
	enum call result = CALL_REFUSED;

	for (int tries = 1; again; tries++)
		result = deletion_call_result(d, flow_note_progress(d->ctx, &progress, &err), tries, &err, &again);
	d->noted = progress.done;
	if (result != CALL_REFUSED)
		return result;
	(void)deletion_end_noting(d, &err);
	return CALL_HALT;
}

/* A call that may delete @runs had no answer: what matches now tells. */
static bool settle_call(struct deletion *d, int64_t runs)
{
	struct budget before = d->budget;
	int64_t left;
	int rc = -1;
	struct error err;

	while (rc != 0) {
		rc = plan_count(flow_api(d->ctx), d->plan, &left, &err);
		if (rc != 0 && !flow_retry(d->ctx, &err))
			return flow_halted(d->ctx) ? false : deletion_end(d, &err);
	}
	flow_recovered(d->ctx);
	if (left <= before.expected) {
		budget_settle(&d->budget, runs, left);
		d->budget.expected = left;
		return true;
	}
	return budget_check(&before, left, &err) == 0 || deletion_end(d, &err);
}

/* --- calls -------------------------------------------------------------------------------------------------- */

/* One bulk_delete, with the waits and the lessons (limit, 404) that its answers call for.
 * *ret_deleted is set on CALL_OK; 0 also where the budget is used up. Where it turns out that there is no bulk_delete: CALL_REFUSED,
 * d->single. */
static enum call delete_many(struct deletion *d, const json_t *filter, int limit, int64_t *ret_deleted,
                             struct error *err)
{
	for (int tries = 1;; tries++) {
		AUTO_JSON *ids = NULL;
		bool ambiguous;
		bool again;
		int most;
		int runs = pace_call(&d->pace, limit);

		if (budget_room(&d->budget) < runs)
			runs = (int)budget_room(&d->budget);
		*ret_deleted = 0;
		if (runs == 0)
			return CALL_OK;
		enum call noted = note_call(d, runs);
		if (noted != CALL_OK)
			return noted;
		int rc = flow_run_bulk_delete(flow_api(d->ctx), filter, runs, ret_deleted, &ids, &most, &ambiguous, err);

		if (rc == ERR_INVALID && most > 0 && most < runs) {
			flow_log(d->ctx, LOG_LEVEL_DEBUG, "the server deletes at most %d flow runs a call", most);
			pace_limit_calls(&d->pace, most);
			note_parts(d);
			continue;
		}
		keep_pace(d, runs, rc, tries);
		if (rc == ERR_NO_ROUTE && !d->bulk_seen && !ambiguous) {
			d->single = true;
			return CALL_REFUSED;
		}
		if (rc == 0) {
			d->bulk_seen = true;
			note_ids(d, ids);
			flow_recovered(d->ctx);
			return CALL_OK;
		}
		if (ambiguous) {
			d->uncertain = true;
			d->window_lost = true;
			if (rc == ERR_STOPPED && !flow_retry(d->ctx, err))
				return CALL_HALT;
			if (!settle_call(d, runs))
				return CALL_HALT;
		}
		if (rc == ERR_HTTP && err->http_status == 500 && tries < TRIES_OF_500) {
			if (!flow_wait(d->ctx, WAIT_OF_500_MS * tries))
				return CALL_HALT;
			continue;
		}
		enum call result = deletion_call_result(d, rc, tries, err, &again);
		if (!again)
			return result;
		if (limit > d->pace.batch) { /* maybe it was too much for one answer */
			limit = d->pace.batch;
			note_parts(d);
		}
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
		result = deletion_call_result(d, rc, tries, err, &again);
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

/* Is this run still in the plan? The last look before a single delete, which takes no predicate: a run that somebody moved
 * after the plan was made is not. */
static enum call still_in_slice(struct deletion *d, const struct slice *slice, json_t *id, bool *ret_in, struct error *err)
{
	AUTO_JSON *ids = json_pack("[O]", id);
	AUTO_JSON *filter = slice_filter_ids(slice, ids, /* only= */ true);
	struct flow_run *runs = NULL;
	size_t count = 0;
	enum call result = CALL_REFUSED;
	bool again = true;

	for (int tries = 1; again; tries++) {
		int rc = filter == NULL ? error_nomem(err)
		                        : flow_run_filter(flow_api(d->ctx), &(struct flow_run_query){.flow_runs = filter, .limit = 1}, &runs,
		                                          &count, err);
		result = deletion_call_result(d, rc, tries, err, &again);
	}
	if (result != CALL_OK)
		return result;
	*ret_in = count == 1 && state_time(runs[0].state) <= d->plan->planned_at;
	flow_runs_release(runs, count);
	return CALL_OK;
}

static void note_single(struct deletion *d, json_t *id)
{
	AUTO_JSON *ids = json_pack("[O]", id);

	note_ids(d, ids);
	note_deleted(d, 1);
}

/* A run that left the slice after a try whose answer was lost: is it gone? Then that try deleted it, most likely. */
static enum call is_gone(struct deletion *d, json_t *id, bool *ret_gone, struct error *err)
{
	struct flow_run run;
	enum call result = CALL_REFUSED;
	bool again = true;

	for (int tries = 1; again; tries++) {
		int rc = flow_run_read(flow_api(d->ctx), json_string_value(id), &run, err);
		*ret_gone = rc == ERR_NOT_FOUND;
		if (rc == 0)
			flow_run_release(&run);
		result = deletion_call_result(d, *ret_gone ? 0 : rc, tries, err, &again);
	}
	return result;
}

/* It is not in the slice any more. Where that cannot be told after a lost answer, the count at the end decides. True unless the body
 * has to stop. */
static bool settle_single(struct deletion *d, json_t *id, bool tried)
{
	bool gone = false;
	struct error err;
	enum call result = tried ? is_gone(d, id, &gone, &err) : CALL_OK;

	d->uncertain = d->uncertain || result == CALL_REFUSED;
	if (result == CALL_OK && gone)
		note_single(d, id);
	return result != CALL_HALT;
}

/* True unless the body has to stop. */
static bool delete_single(struct deletion *d, const struct slice *slice, json_t *id)
{
	bool tried = false; /* an answer was lost */
	struct error err;

	for (int tries = 1;; tries++) {
		bool in_slice = false;
		bool ambiguous = false;
		bool again;
		enum call result = budget_room(&d->budget) > 0 ? still_in_slice(d, slice, id, &in_slice, &err) : CALL_OK;

		if (result == CALL_OK && !in_slice)
			return settle_single(d, id, tried);
		if (result == CALL_OK)
			result = note_call(d, 1);
		if (result == CALL_HALT)
			return false;
		int rc = result == CALL_OK ? flow_run_delete(flow_api(d->ctx), json_string_value(id), &ambiguous, &err) : err.code;

		tried = tried || ambiguous;
		keep_pace(d, 1, rc, tries);
		if (rc == ERR_NOT_FOUND && !tried)
			return true; /* somebody else deleted it between the look and the call: what it leaves is not ours */
		if (rc == ERR_NOT_FOUND)
			rc = 0;
		result = result == CALL_OK ? deletion_call_result(d, rc, tries, &err, &again) : CALL_REFUSED;
		if (result == CALL_HALT)
			return false;
		if (result == CALL_OK) {
			note_single(d, id);
			return true;
		}
		if (!again) {
			note_refused(d, json_string_value(id), &err);
			return true;
		}
	}
}

static bool delete_one_by_one(struct deletion *d, const struct slice *slice, json_t *ids, size_t from, size_t to)
{
	bool go_on = true;

	for (size_t i = from; go_on && i < to && !deletion_given_up(d); i++) {
		go_on = deletion_goes_on(d);
		if (go_on)
			go_on = delete_single(d, slice, json_array_get(ids, i));
	}
	return go_on;
}

/* Deletes the runs ids[from..to) of the slice; halves what the server refuses until single runs are left.
 * True unless the body has to stop. */
bool deletion_delete_ids(struct deletion *d, const struct slice *slice, json_t *ids, size_t from, size_t to)
{
	AUTO_JSON *part = json_array();
	struct error err;
	int64_t deleted = 0;

	if (from >= to || deletion_given_up(d))
		return true;
	if (d->single)
		return delete_one_by_one(d, slice, ids, from, to);
	if (!deletion_goes_on(d))
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

	note_parts(d);
	if (d->single)
		return delete_one_by_one(d, slice, ids, from, to);
	if (to - from == 1) {
		note_refused(d, json_string_value(json_array_get(ids, from)), &err);
		return true;
	}
	size_t middle = from + (to - from) / 2;
	return deletion_delete_ids(d, slice, ids, from, middle) && deletion_delete_ids(d, slice, ids, middle, to);
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
	bool go_on = deletion_delete_ids(d, slice, ids, 0, json_array_size(ids));
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
bool deletion_delete_some(struct deletion *d, const struct slice *slice, int limit, bool *ret_empty)
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

/* --- between two batches ------------------------------------------------------------------------------------- */

void deletion_log_progress(struct deletion *d)
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
	         deletion_count(d), d->begun, d->begun > 0 ? 100.0 * (double)deletion_count(d) / (double)d->begun : 100.0, rate,
	         text_str(&slowed));
	d->progress_ms = now;
	d->progress_count = d->acknowledged;
}

/* A pause, with a look at the run's own state at its end, and every second of a longer one. */
bool deletion_rest(struct deletion *d, int64_t ms)
{
	int64_t until = clock_mono_ms() + ms;
	int64_t left = ms;

	/* Killed in the pause, nothing is in doubt. */
	if (d->noted != d->budget.spent && note_call(d, 0) == CALL_HALT)
		return false;
	do {
		if (!flow_wait(d->ctx, left < CHECK_EVERY_MS ? left : CHECK_EVERY_MS) || !flow_may_go_on(d->ctx) || !deletion_goes_on(d))
			return false;
		left = until - clock_mono_ms();
	} while (left > 0);
	return true;
}

/* Is it still this run's turn? Asked now and then: a run with an older approval may have come back. */
bool deletion_keeps_turn(struct deletion *d)
{
	if (clock_mono_ms() - d->turn_ms < FLOW_TURN_EVERY_MS)
		return true;
	d->turn_lost = !flow_has_turn(d->ctx);
	d->turn_ms = clock_mono_ms();
	return !d->turn_lost;
}
