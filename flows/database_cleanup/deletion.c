#include "flows/database_cleanup/deletion.h"

#include <inttypes.h>
#include <string.h>

#include "client/base/text.h"
#include "flows/database_cleanup/belongings.h"
#include "flows/database_cleanup/deletion_calls.h"
#include "flows/database_cleanup/deletion_windows.h"

/* Checkpoint: how many runs matched when the deletion began. With it, a body that is started again knows
 * how many its predecessor deleted, without a write per batch. */
#define BEGUN_KEY "cleanup-deletion"
/* Checkpoint: when the last run was deleted, and a page of those that were. With it, a body that is started again only to
 * report can tell what its predecessor would have. */
#define ENDED_KEY "cleanup-ended"

/* A slice that does not become empty although every call succeeds is given this many passes. */
#define PASSES_MAX 3
/* Before each other chance for runs at which the server failed (HTTP 5xx): it may have had a bad moment. Not longer than
 * the longest pause that the settings allow. */
static const int64_t chance_rests_ms[] = {2000, 10000};
#define CHANCES (sizeof chance_rests_ms / sizeof chance_rests_ms[0])

/* One slice in batches, with a pause and a look at the run's own state between two of them. */
static bool delete_slice(struct deletion *d, const struct slice *slice)
{
	bool empty = slice->count == 0; /* a slice cannot grow */

	while (!empty && !deletion_given_up(d)) {
		if (!deletion_spare(d))
			return false;
		d->in_batch = 0;
		if (d->acknowledged < d->matched)
			progress_batch(&d->progress, deletion_count(d));
		while (!empty && d->in_batch < d->pace.batch && !deletion_given_up(d)) {
			if (!deletion_goes_on(d))
				return false;
			if (!deletion_delete_some(d, slice, d->pace.batch - d->in_batch, &empty))
				return false;
		}
		deletion_log_progress(d);
		progress_note(&d->progress, deletion_count(d));
		/* What comes after the last batch finds nothing, and needs no pause before it. */
		if (!empty && d->acknowledged < d->matched && (!deletion_rest(d, d->pace.pause_ms) || !deletion_keeps_turn(d)))
			return false;
	}
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
	if (window_read(ctx, plan, &window, NULL) != 0)
		return -1;
	left += window.others;
	window_release(&window);
	return begun > left ? begun - left : 0;
}

/* A first start: what is noted of an earlier attempt is none of this one's, and goes before the checkpoint says that it began. */
static bool begin_first(struct deletion *d)
{
	const struct flow_progress none = {.expected = d->matched};
	struct error err;

	d->begun = d->matched;
	d->begun_at = prefect_now(flow_api(d->ctx));
	AUTO_JSON *value = json_pack("{s:s, s:I, s:o}", "plan", d->plan->digest, "matched", (json_int_t)d->matched, "at",
	                             json_time(d->begun_at));
	while (flow_note_progress(d->ctx, &none, &err) != 0)
		if (!flow_retry(d->ctx, &err))
			return flow_halted(d->ctx) ? false : deletion_end_noting(d, &err);
	while (flow_checkpoint_write(d->ctx, BEGUN_KEY, value, &err) != 0)
		if (!flow_retry(d->ctx, &err))
			return flow_halted(d->ctx) ? false : deletion_end(d, &err);
	return true;
}

/* A later start: what the one before it noted. A worker of version 0.1 noted nothing that says it. */
static bool take_note(struct deletion *d)
{
	struct flow_progress noted;
	bool sound = flow_noted_progress(d->ctx, &noted) && noted.done <= d->begun && noted.expected <= d->begun - noted.done;

	if (!sound)
		noted = (struct flow_progress){.expected = d->begun};
	d->budget.spent = noted.done;
	d->budget.expected = noted.expected;
	d->doubtful = noted.doubtful;
	return sound;
}

/* What matches now tells whether the last call of the start before came to pass; @before: as that start left it. */
static void settle_note(struct deletion *d, bool noted, struct budget before)
{
	if (noted)
		budget_settle(&before, d->doubtful, d->matched);
	else /* what is missing counts as deleted by us */
		before.spent = d->begun > d->matched ? d->begun - d->matched : 0;
	d->budget.spent = before.spent;
	d->doubtful = 0;
}

/* Reads or writes the checkpoint of the first start. */
static bool begin(struct deletion *d)
{
	struct error err;

	if (!deletion_spare(d))
		return false;
	while (read_begun(d->ctx, d->plan, &d->begun, &d->begun_at, &err) != 0)
		if (!flow_retry(d->ctx, &err))
			return flow_halted(d->ctx) ? false : deletion_end(d, &err);
	flow_recovered(d->ctx);
	d->again_started = d->begun >= 0;
	if (d->begun > d->plan->total) {
		(void)error_set(&err, ERR_DECODE, "the checkpoint '" BEGUN_KEY "' is not as this worker writes it; start a new run");
		return deletion_end(d, &err);
	}
	d->budget = (struct budget){.approved = d->plan->total, .expected = d->plan->total};
	bool noted = d->again_started && take_note(d);
	const struct budget before = d->budget;
	if (!deletion_count_left(d, &d->matched))
		return false;
	if (!d->again_started)
		return begin_first(d);
	settle_note(d, noted, before);
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
	int64_t deleted = deletion_count(d);

	bool counted = d->matched != d->begun || d->uncertain || deleted > vanished;

	if (d->uncertain || deleted > vanished)
		deleted = vanished;
	*ret_result = (struct deletion_result){
		.deleted = deleted,
		.failed = (int64_t)json_array_size(d->failed_ids),
		.left = left,
		.gone = d->plan->total - left - deleted,
		.given_up = deletion_given_up(d),
		.counted = counted,
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
	if (!deletion_rest(d, ms))
		return true; /* the next step sees that the body has to stop */
	(void)json_array_clear(d->failed_ids);
	d->refusals_in_a_row = 0;
	d->server_failed = false;
	return true;
}

/* Everything once: runs with artifacts, then the others. True unless the body has to stop. */
static bool delete_pass(struct deletion *d, bool first, int64_t *ret_left)
{
	if (!deletion_delete_with_artifacts(d, first))
		return false;
	for (size_t i = 0; i < d->plan->slice_count; i++)
		if (!delete_slice(d, &d->plan->slices[i]))
			return false;
	return deletion_count_left(d, ret_left);
}

/* What matches still, when everything that was approved is used up. */
static bool check_budget(struct deletion *d, int64_t left)
{
	struct error err;

	if (budget_room(&d->budget) > 0 || left <= (int64_t)json_array_size(d->failed_ids))
		return true;
	(void)error_set(&err, ERR_CONFLICT, "%" PRId64 " flow runs match the plan still, although as many as were approved may be deleted by "
	                "now: somebody changed the states of old runs meanwhile, or an answer was lost; nothing more is deleted; start a new "
	                "run", left);
	return deletion_end(d, &err);
}

static int why_stopped(const struct deletion *d, struct error *err)
{
	if (d->ended) {
		*err = d->end;
		return d->end.code;
	}
	return d->turn_lost && !flow_halted(d->ctx) ? error_set(err, ERR_BUSY, "it is another run's turn")
	                                            : error_set(err, ERR_STOPPED, "stopped");
}

/* Passes until nothing that can be deleted is left. Returns as deletion_run(). */
static int delete_all(struct deletion *d, int64_t *ret_left, struct error *err)
{
	bool first = true;

	*ret_left = d->matched;
	for (int pass = 1; pass <= PASSES_MAX; pass++) {
		if (!delete_pass(d, first, ret_left) || !check_budget(d, *ret_left)) {
			*ret_left = d->matched - d->acknowledged;
			return why_stopped(d, err);
		}
		first = false;
		if (*ret_left > (int64_t)json_array_size(d->failed_ids) && !deletion_given_up(d))
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
		(void)deletion_clear_window(d); /* maybe the server takes now what it did not before */
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
		flow_log(d->ctx, LOG_LEVEL_INFO, "the server is still deleting logs: those of %s%" PRId64 " of the deleted flow runs",
		         left.logs_more ? "at least " : "", left.logs_left);
	if (result->artifacts_left != 0)
		flow_log(d->ctx, LOG_LEVEL_WARNING, "%s", text_str(&message));
	/* Logs go by themselves: the server deletes them after the runs. */
	if (left.logs_left > 0)
		text_addf(&message, "; the server is still deleting logs");
	bool clean = result->left == 0 && result->artifacts_left == 0;
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

	pace_read(ctx, batch_size, &settings);
	pace_init(&d.pace, &settings);
	if (!flow_may_go_on(ctx) || !begin(&d)) {
		*ret_result = (struct deletion_result){.deleted = d.budget.spent, .doubtful = d.doubtful, .left = d.matched, .counted = true,
		                                       .failed_ids = json_incref(failed_ids)};
		return why_stopped(&d, err);
	}

	progress_start(&d.progress, ctx, d.begun, deletion_count(&d));
	int rc = delete_all(&d, &left, err);
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
