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
		AUTO_JSON *filter = json_deep_copy(plan->slices[i].filter);
		int64_t count;

		if (plan->slices[i].count == 0)
			continue;
		if (state != NULL)
			(void)json_object_set_new(json_object_get(filter, "state"), "name", json_pack("{s:[s]}", "any_", state));
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
	*preview = (struct preview){0};
}

static void add_name(struct text *t, const char *name)
{
	text_add_markdown(t, name, strlen(name), NAME_MAX_BYTES);
}

/* What goes with them. A number is the server's, or says that it is not. */
static void add_extent(struct text *t, const struct preview_extent *extent)
{
	if (!extent->known) {
		text_addf(t, "\n- With them go their task runs, states, inputs, logs and artifacts\n\n");
		return;
	}
	text_addf(t, "\n- With them go their states and inputs, %" PRId64 " task runs, %" PRId64 " artifacts and ", extent->task_runs,
	          extent->artifacts);
	if (extent->logs_known)
		text_addf(t, "%" PRId64 " log lines\n\n", extent->log_lines);
	else
		text_addf(t, "their log lines (the server does not count them: %" PRId64 "%s in the %" PRId64 " flow runs that were looked "
		          "at)\n\n", extent->log_lines, extent->log_lines >= PREFECT_PAGE_MAX ? " or more" : "", extent->log_runs);
}

static void add_head(struct text *t, const struct preview *preview, const struct plan *plan)
{
	char buf[TIME_TEXT_SIZE];
	size_t i;
	json_t *state;

	text_addf(t, "**Preview: %" PRId64 " flow run%s would be deleted**", plan->total, plan->total == 1 ? "" : "s");
	text_addf(t, plan->dry_run ? " (dry run: nothing will be deleted, whatever you decide)\n\n" : "\n\n");
	text_addf(t, "- Retention: ");
	add_name(t, plan->retention);
	text_addf(t, ", runs that started at or before %s\n- States: ", time_format_human(plan->cutoff, buf));
	json_array_foreach(plan->states, i, state)
	{
		text_addf(t, i > 0 ? ", " : "");
		add_name(t, json_string_value(state));
	}
	if (preview->run_count > 0 && preview->newest != 0) {
		text_addf(t, "\n- Oldest: %s", time_format_human(preview->oldest, buf));
		text_addf(t, "\n- Newest: %s", time_format_human(preview->newest, buf));
	}
	add_extent(t, &preview->extent);
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
		text_addf(t, "\n| ... and %s%zu more flows |", preview->more_flows ? "more than " : "",
		          preview->flow_count - shown);
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
