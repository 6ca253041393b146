#include "flows/database_cleanup/deletion_windows.h"

#include <inttypes.h>

#include "client/base/text.h"

/* So many windows of which nothing comes, and no more. */
#define IDLE_WINDOWS_MAX 3
/* Counting all artifacts of a plan may take so long. A call that takes longer than SLOW_MS, more than the tries of a server
 * that is away, is made so often: counting and finding artifacts may be too much for a large database. */
#define COUNT_MS 15000
#define SLOW_MS 12000
#define SLOW_MAX 2
/* A body that was told to stop has so long to delete the artifacts of what it deleted. */
#define SETTLE_MS 3000

/* True where @rc is 0, or a later try may be better: *ret_again. Waits out an outage. */
static bool window_step(struct deletion *d, int rc, int tries, const struct error *err, bool *ret_ok)
{
	bool again;

	*ret_ok = deletion_call_result(d, rc, tries, err, &again) == CALL_OK;
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

	if (found != NULL)
		d->window.parts = d->single;
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

/* Artifacts are deleted one by one: at the pace of the runs, with the same looks at the run's own state. */
static bool artifact_goes_on(void *arg)
{
	struct deletion *d = arg;
	const struct http_effort *effort = prefect_last_effort(flow_api(d->ctx));

	if (effort->took_ms > d->pace.settings.target_ms || effort->throttled > 0)
		(void)pace_note(&d->pace, effort, false);
	if (++d->artifacts_in_row < d->pace.batch)
		return deletion_goes_on(d);
	d->artifacts_in_row = 0;
	return deletion_rest(d, d->pace.pause_ms);
}

/* What is not cleared stays in the window, and is carried along. True unless the body has to stop. */
bool deletion_clear_window(struct deletion *d)
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

/* The runs of one window, in batches. True unless the body has to stop. */
static bool delete_window(struct deletion *d, const struct slice *slice, const json_t *found)
{
	AUTO_JSON *runs = window_run_ids(found);
	size_t count = json_array_size(runs);
	size_t to;

	for (size_t from = 0; from < count && !deletion_given_up(d); from = to) {
		size_t batch = (size_t)pace_call(&d->pace, d->pace.batch);
		to = from + batch < count ? from + batch : count;
		d->in_batch = 0;
		progress_batch(&d->progress, deletion_count(d));
		if (!deletion_delete_ids(d, slice, runs, from, to))
			return false;
		deletion_log_progress(d);
		progress_note(&d->progress, deletion_count(d));
		if (to < count && (!deletion_rest(d, d->pace.pause_ms) || !deletion_keeps_turn(d)))
			return false;
	}
	return true;
}

/* Runs of the slice that have artifacts. What cannot be found or stored now is left to the look at the end. True unless the
 * body has to stop. */
static bool delete_windows(struct deletion *d, const struct slice *slice)
{
	int idle = 0;

	while (slice->count > 0 && !deletion_given_up(d)) {
		AUTO_JSON *found = NULL;
		int64_t before = d->acknowledged;
		size_t failed = json_array_size(d->failed_ids);

		if (!deletion_spare(d))
			return false;
		if (!find_window(d, slice, &found))
			return !flow_halted(d->ctx);
		if (json_object_size(found) == 0)
			return true;
		if (!store_window(d, found))
			return !flow_halted(d->ctx);
		if (!note_window(d, delete_window(d, slice, found)) || !deletion_clear_window(d))
			return false;
		/* Nothing came of it: an answer was lost, the runs have left the plan, or the server says one thing and another. */
		idle = d->acknowledged == before && json_array_size(d->failed_ids) == failed ? idle + 1 : 0;
		if (idle == IDLE_WINDOWS_MAX)
			return true;
		if (!deletion_rest(d, d->pace.pause_ms) || !deletion_keeps_turn(d))
			return false;
	}
	return true;
}

/* What an earlier start of the body was at when it was stopped or killed. A server that does not let it be found does not stop an
 * approved deletion. True unless the body has to stop. */
static bool finish_window(struct deletion *d)
{
	struct error err;
	bool ok = false;
	bool again = true;

	for (int tries = 1; again; tries++)
		again = window_step(d, window_read(d->ctx, d->plan, &d->window, &err), tries, &err, &ok);
	if (flow_halted(d->ctx))
		return false;
	if (!ok) {
		flow_log(d->ctx, LOG_LEVEL_WARNING, "what was at work when the run was interrupted cannot be found: %s", err.text);
		d->window.unsure = true;
		d->windows_off = true;
		return true;
	}
	if (d->window.others > 0)
		flow_log(d->ctx, LOG_LEVEL_WARNING, "%" PRId64 " flow runs that were to be deleted when the run was interrupted are gone without "
		         "our doing, as it seems: they do not count as deleted, and their artifacts stay", d->window.others);
	return deletion_clear_window(d);
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
bool deletion_delete_with_artifacts(struct deletion *d, bool first_pass)
{
	int64_t artifacts = 0;
	struct error err;
	bool ok = false;
	bool again = true;
	int slow = 0;

	if (first_pass && d->again_started && !finish_window(d))
		return false;
	if (d->windows_off)
		return true;
	for (int tries = 1; again; tries++) {
		prefect_set_deadline(flow_api(d->ctx), COUNT_MS);
		int rc = window_count(flow_api(d->ctx), d->plan, &artifacts, &err);
		prefect_set_deadline(flow_api(d->ctx), 0);
		slow += prefect_last_effort(flow_api(d->ctx))->took_ms >= SLOW_MS;
		again = window_step(d, rc, tries, &err, &ok) && slow < SLOW_MAX;
	}
	if (flow_halted(d->ctx))
		return false;
	if (!ok)
		flow_log(d->ctx, LOG_LEVEL_WARNING, "the artifacts of the flow runs cannot be counted: %s", err.text);
	d->window.unsure = d->window.unsure || !ok;
	d->windows_off = !ok;
	for (size_t i = 0; artifacts > 0 && i < d->plan->slice_count; i++)
		if (!delete_windows(d, &d->plan->slices[i]))
			return false;
	return true;
}
