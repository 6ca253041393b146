#include "flows/database_cleanup/preview.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client/base/text.h"
#include "client/prefect/deployment.h"

#define NAME_MAX_BYTES 80

time_us preview_run_age(const struct flow_run *run)
{
	return run->start_time != 0 ? run->start_time : run->expected_start;
}

/* Runs of the plan in one flow (NULL: all) and one state (NULL: all). */
static int count_cell(struct prefect *prefect, const struct plan *plan, const char *flow_id, const char *state,
                      int64_t *ret_count, struct error *err)
{
	AUTO_JSON *flows = flow_id != NULL ? json_pack("{s:{s:[s]}}", "id", "any_", flow_id) : NULL;
	int64_t total = 0;

	for (size_t i = 0; i < plan->slice_count; i++) {
		const struct slice *slice = &plan->slices[i];
		AUTO_JSON *filter = state != NULL ? slice_filter_state(slice, state) : json_deep_copy(slice->filter);
		int64_t count;

		if (slice->count == 0 || filter == NULL)
			continue;
		int rc = flow_run_count(prefect, &(struct flow_run_query){.flow_runs = filter, .flows = flows}, &count, err);
		if (rc != 0)
			return rc;
		total += count;
	}
	*ret_count = total;
	return 0;
}

static int collect_states(struct prefect *prefect, const struct plan *plan, struct preview *preview,
                          struct error *err)
{
	size_t i;
	json_t *state;

	json_array_foreach(plan->states, i, state)
	{
		int64_t count;
		if (preview->state_count == PREVIEW_STATES_SHOWN)
			break;
		int rc = count_cell(prefect, plan, NULL, json_string_value(state), &count, err);
		if (rc != 0)
			return rc;
		if (count > 0) {
			preview->states[preview->state_count] = json_string_value(state);
			preview->by_state[preview->state_count++] = count;
		}
	}
	return 0;
}

/* Takes over the names of @found that are not yet in the preview. */
static void merge_flows(struct preview *preview, struct flow *found, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		size_t k = 0;
		while (k < preview->flow_count && strcmp(preview->flows[k].id, found[i].id) != 0)
			k++;
		if (k < preview->flow_count)
			continue;
		if (k == PREVIEW_FLOWS_COUNTED) {
			preview->more_flows = true;
			return;
		}
		memcpy(preview->flows[k].id, found[i].id, UUID_SIZE);
		preview->flows[k].name = found[i].name;
		found[i].name = NULL;
		preview->flow_count++;
	}
}

static int find_flows(struct prefect *prefect, const struct plan *plan, struct preview *preview, struct error *err)
{
	preview->flows = calloc(PREVIEW_FLOWS_COUNTED, sizeof *preview->flows);
	if (preview->flows == NULL)
		return error_nomem(err);

	for (size_t i = 0; i < plan->slice_count; i++) {
		struct flow *found;
		size_t count;

		if (plan->slices[i].count == 0)
			continue;
		/* One page is more than PREVIEW_FLOWS_COUNTED. */
		int rc = flow_filter(prefect, plan->slices[i].filter, 0, &found, &count, err);
		if (rc != 0)
			return rc;
		merge_flows(preview, found, count);
		flows_release(found, count);
	}
	return 0;
}

static int by_count(const void *a, const void *b)
{
	const struct preview_flow *x = a;
	const struct preview_flow *y = b;

	if (x->count != y->count)
		return x->count < y->count ? 1 : -1;
	return strcmp(x->name, y->name);
}

static int collect_flows(struct prefect *prefect, const struct plan *plan, struct preview *preview,
                         struct error *err)
{
	int rc = find_flows(prefect, plan, preview, err);

	for (size_t i = 0; rc == 0 && i < preview->flow_count; i++)
		rc = count_cell(prefect, plan, preview->flows[i].id, NULL, &preview->flows[i].count, err);
	if (rc != 0)
		return rc;

	qsort(preview->flows, preview->flow_count, sizeof *preview->flows, by_count);
	for (size_t i = 0; i < preview->flow_count && i < PREVIEW_FLOWS_SHOWN; i++)
		for (size_t k = 0; rc == 0 && k < preview->state_count; k++)
			rc = count_cell(prefect, plan, preview->flows[i].id, preview->states[k],
			                &preview->flows[i].by_state[k], err);
	return rc;
}

static int by_age(const void *a, const void *b)
{
	time_us x = preview_run_age(a);
	time_us y = preview_run_age(b);

	return x < y ? -1 : x > y;
}

/* Adds a slice's oldest runs to those that are there and keeps the oldest of them all. */
static int add_oldest(struct prefect *prefect, const struct slice *slice, struct preview *preview, struct error *err)
{
	struct flow_run *found;
	size_t count;
	struct flow_run both[2 * PREVIEW_RUNS];

	int rc = flow_run_filter(prefect,
	                         &(struct flow_run_query){
								 .flow_runs = slice->filter, .sort = "START_TIME_ASC", .limit = PREVIEW_RUNS},
	                         &found, &count, err);
	if (rc != 0)
		return rc;

	if (count > PREVIEW_RUNS) {
		flow_runs_release(found, count);
		return error_set(err, ERR_DECODE, "POST /flow_runs/filter: more runs than were asked for");
	}
	memcpy(both, preview->runs, preview->run_count * sizeof *both);
	memcpy(both + preview->run_count, found, count * sizeof *both);
	free(found); /* its runs live on in `both` */
	count += preview->run_count;
	qsort(both, count, sizeof *both, by_age);

	preview->run_count = count < PREVIEW_RUNS ? count : PREVIEW_RUNS;
	memcpy(preview->runs, both, preview->run_count * sizeof *both);
	for (size_t i = preview->run_count; i < count; i++)
		flow_run_release(&both[i]);
	return 0;
}

static int note_newest(struct prefect *prefect, const struct slice *slice, struct preview *preview, struct error *err)
{
	struct flow_run *found;
	size_t count;

	int rc = flow_run_filter(
		prefect, &(struct flow_run_query){.flow_runs = slice->filter, .sort = "START_TIME_DESC", .limit = 1}, &found,
		&count, err);
	if (rc != 0)
		return rc;
	if (count > 0 && (preview->newest == 0 || preview_run_age(&found[0]) > preview->newest))
		preview->newest = preview_run_age(&found[0]);
	flow_runs_release(found, count);
	return 0;
}

static int collect_runs(struct prefect *prefect, const struct plan *plan, struct preview *preview, struct error *err)
{
	int rc = 0;

	preview->runs = calloc(PREVIEW_RUNS, sizeof *preview->runs);
	if (preview->runs == NULL)
		return error_nomem(err);

	for (size_t i = 0; rc == 0 && i < plan->slice_count; i++) {
		if (plan->slices[i].count == 0)
			continue;
		rc = add_oldest(prefect, &plan->slices[i], preview, err);
		if (rc == 0)
			rc = note_newest(prefect, &plan->slices[i], preview, err);
	}
	preview->oldest = preview->run_count > 0 ? preview_run_age(&preview->runs[0]) : 0;
	return rc;
}

/* Exactly, also where there are more than are counted one by one. */
static void count_flows(struct prefect *prefect, const struct plan *plan, struct preview *preview)
{
	AUTO_JSON *filter = plan_look_filter(plan);

	if (filter == NULL || flow_count(prefect, filter, &preview->flows_total, NULL) != 0)
		preview->flows_total = 0;
	if (filter == NULL || deployment_count(prefect, filter, &preview->deployments_total, NULL) != 0)
		preview->deployments_total = 0;
}

int preview_collect(struct prefect *prefect, const struct plan *plan, struct preview *ret_preview, struct error *err)
{
	struct preview preview = {0};

	int rc = collect_states(prefect, plan, &preview, err);
	if (rc == 0)
		rc = collect_flows(prefect, plan, &preview, err);
	if (rc == 0) {
		rc = collect_runs(prefect, plan, &preview, err);
		/* One run that cannot be read must not keep the others from being cleaned: the counts are what is approved. */
		if (rc == ERR_HTTP || rc == ERR_DECODE)
			rc = 0;
	}
	if (rc == 0)
		count_flows(prefect, plan, &preview);
	if (rc != 0) {
		preview_release(&preview);
		return rc;
	}
	*ret_preview = preview;
	return 0;
}

void preview_release(struct preview *preview)
{
	for (size_t i = 0; i < preview->flow_count; i++)
		free(preview->flows[i].name);
	free(preview->flows);
	flow_runs_release(preview->runs, preview->run_count);
	preview_stays_release(&preview->stays);
	*preview = (struct preview){0};
}

static void add_name(struct text *t, const char *name)
{
	text_add_markdown(t, name, strlen(name), NAME_MAX_BYTES);
}

/* In the largest unit that says it exactly. */
void preview_add_period(const struct plan *plan, struct text *t)
{
	static const struct {
		int64_t us;
		const char *name;
	} units[] = {{86400 * US_PER_SEC, "day"}, {3600 * US_PER_SEC, "hour"}, {60 * US_PER_SEC, "minute"}};
	int64_t us = plan->planned_at - plan->cutoff;

	for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
		if (us >= units[i].us && us % units[i].us == 0) {
			text_addf(t, "%" PRId64 " %s%s", us / units[i].us, units[i].name, us == units[i].us ? "" : "s");
			return;
		}
	add_name(t, plan->retention);
}

void preview_add_states(const struct preview *preview, const struct plan *plan, struct text *t)
{
	size_t i;
	json_t *state;

	json_array_foreach(plan->states, i, state)
	{
		int64_t count = 0;

		for (size_t k = 0; k < preview->state_count; k++)
			if (strcmp(preview->states[k], json_string_value(state)) == 0)
				count = preview->by_state[k];
		if (i == PREVIEW_STATES_SHOWN) {
			text_addf(t, ", and %zu states more", json_array_size(plan->states) - i);
			return;
		}
		text_addf(t, i > 0 ? ", " : "");
		add_name(t, json_string_value(state));
		text_addf(t, " %" PRId64, count);
	}
}

int64_t preview_log_lines(const struct preview_extent *extent, const struct plan *plan)
{
	if (extent->logs_known || extent->log_runs == 0)
		return extent->log_lines;
	return (int64_t)((double)extent->log_lines / (double)extent->log_runs * (double)plan->total);
}

/* A number is the server's, or says that it is none. */
static void add_extent(struct text *t, const struct preview_extent *extent, const struct plan *plan)
{
	if (!extent->known) {
		text_addf(t, "their task runs, states, inputs, logs and artifacts");
		return;
	}
	text_addf(t, "%" PRId64 " task runs, %" PRId64 " artifacts, ", extent->task_runs, extent->artifacts);
	if (extent->logs_known)
		text_addf(t, "%" PRId64 " log lines", extent->log_lines);
	else if (extent->log_runs > 0)
		text_addf(t, "about %" PRId64 "%s log lines (going by %" PRId64 " flow runs)", preview_log_lines(extent, plan), extent->log_lines >= PREFECT_PAGE_MAX ? " or more" : "", extent->log_runs);
	else
		text_addf(t, "their log lines");
	text_addf(t, ", their states and inputs");
}

static void add_head(struct text *t, const struct preview *preview, const struct plan *plan)
{
	char buf[TIME_TEXT_SIZE];

	text_addf(t, "**Preview: %" PRId64 " flow run%s would be deleted**", plan->total, plan->total == 1 ? "" : "s");
	text_addf(t, plan->dry_run ? " (dry run: nothing will be deleted, whatever you decide)\n\n" : "\n\n");
	text_addf(t, "- Retention: ");
	preview_add_period(plan, t);
	text_addf(t, ", runs that %s at or before %s\n- States: ", plan->by_end ? "ended" : "started", time_format_human(plan->cutoff, buf));
	preview_add_states(preview, plan, t);
	if (preview->flows_total > 0)
		text_addf(t, "\n- Of %" PRId64 " flows", preview->flows_total);
	if (preview->flows_total > 0 && preview->deployments_total > 0)
		text_addf(t, " and %" PRId64 " deployments", preview->deployments_total);
	if (preview->run_count > 0 && preview->newest != 0) {
		text_addf(t, "\n- Oldest: %s", time_format_human(preview->oldest, buf));
		text_addf(t, "\n- Newest: %s", time_format_human(preview->newest, buf));
	}
	text_addf(t, "\n- With them go ");
	add_extent(t, &preview->extent, plan);
	if (preview->stays.known) {
		AUTO_TEXT stays = {.max = 1000};
		preview_stays_add(&preview->stays, plan, &stays);
		text_addf(t, "\n- Old flow runs that stay: %s", stays.len > 0 ? text_str(&stays) : "none");
		if (!plan->by_end && preview->stays.ended_within > 0)
			text_addf(t, "\n- Ended within the period, and go, since the start counts: %" PRId64, preview->stays.ended_within);
	}
	text_addf(t, "\n\n");
}

static void add_table(struct text *t, const struct preview *preview, const struct plan *plan)
{
	size_t shown = preview->flow_count < PREVIEW_FLOWS_SHOWN ? preview->flow_count : PREVIEW_FLOWS_SHOWN;
	int64_t rest = plan->total;

	text_addf(t, "| Flow |");
	for (size_t k = 0; k < preview->state_count; k++) {
		text_addf(t, " ");
		add_name(t, preview->states[k]);
		text_addf(t, " |");
	}
	text_addf(t, " All |\n|---|");
	for (size_t k = 0; k <= preview->state_count; k++)
		text_addf(t, "---:|");

	for (size_t i = 0; i < shown; i++) {
		text_addf(t, "\n| ");
		add_name(t, preview->flows[i].name);
		for (size_t k = 0; k < preview->state_count; k++)
			text_addf(t, " | %" PRId64, preview->flows[i].by_state[k]);
		text_addf(t, " | %" PRId64 " |", preview->flows[i].count);
		rest -= preview->flows[i].count;
	}
	if (rest > 0 && (preview->more_flows || preview->flow_count > shown)) {
		bool exact = preview->flows_total >= (int64_t)preview->flow_count;
		text_addf(t, "\n| ... and %s%" PRId64 " more flows |", exact || !preview->more_flows ? "" : "more than ",
		          (exact ? preview->flows_total : (int64_t)preview->flow_count) - (int64_t)shown);
		for (size_t k = 0; k < preview->state_count; k++)
			text_addf(t, " |");
		text_addf(t, " %" PRId64 " |", rest);
	}
	text_addf(t, "\n| **All** |");
	for (size_t k = 0; k < preview->state_count; k++)
		text_addf(t, " %" PRId64 " |", preview->by_state[k]);
	text_addf(t, " **%" PRId64 "** |\n\n", plan->total);
}

static void add_runs(struct text *t, const struct preview *preview, const struct plan *plan)
{
	char buf[TIME_TEXT_SIZE];
	int64_t rest = plan->total - (int64_t)preview->run_count;

	text_addf(t, preview->run_count > 0 ? "The oldest:\n\n" : "The server cannot show them one by one.\n");
	for (size_t i = 0; i < preview->run_count; i++) {
		const struct flow_run *run = &preview->runs[i];

		text_addf(t, "- ");
		add_name(t, run->name);
		text_addf(t, " (%s) - %s%s\n", state_type_name((enum state_type)run->state_type),
		          time_format_human(preview_run_age(run), buf), run->start_time == 0 ? " (never started)" : "");
	}
	/* The blank line keeps the UI from gluing this to the last bullet. */
	if (rest > 0)
		text_addf(t, "\n... and %" PRId64 " more\n", rest);
	text_addf(t, "\n" PLAN_SHOWN "%s`\n", plan->digest);
}

char *preview_markdown(const struct preview *preview, const struct plan *plan)
{
	struct text t = {.max = PREVIEW_MARKDOWN_MAX};

	add_head(&t, preview, plan);
	add_table(&t, preview, plan);
	add_runs(&t, preview, plan);
	return text_take(&t);
}

bool preview_shows_plan(const char *markdown, const struct plan *plan)
{
	char shown[sizeof PLAN_SHOWN + DIGEST_SIZE];

	(void)snprintf(shown, sizeof shown, PLAN_SHOWN "%s`", plan->digest);
	return markdown != NULL && strstr(markdown, shown) != NULL;
}
