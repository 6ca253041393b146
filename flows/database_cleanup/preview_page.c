#include "flows/database_cleanup/preview_page.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/base/text.h"
#include "client/prefect/artifact.h"
#include "client/prefect/deployment.h"
#include "client/prefect/run_log.h"
#include "client/prefect/task_run.h"
#include "flows/database_cleanup/agent_verdict.h"
#include "flows/database_cleanup/report.h"
#include "flows/database_cleanup/window.h"

/* Runs in which log lines are looked for. */
#define LOG_RUNS 20
#define DEPLOYMENTS_NAMED 3
/* Who waits for the form is not kept waiting longer for what stands beside the counts. */
#define MEASURE_MS 10000
#define TABLE_MS 10000
#define CELL_SIZE 400
#define PAGE_MAX (160 * 1024)
_Static_assert(PREVIEW_MARKDOWN_MAX + AGENT_ADVICE_ROOM + PREVIEW_TABLE_ROWS * 2 * CELL_SIZE <= PAGE_MAX, "all of it fits");
#define REPORTS_READ 5
#define PACE_MAX 1e6

/* The part of the plan that one row is about, or all of it. */
struct part {
	json_t *filters; /* owned: a FlowRunFilter for each slice that has runs */
	json_t *flows;   /* owned: a FlowFilter; NULL for all flows */
};

static void part_release(struct part *part)
{
	json_decref(part->filters);
	json_decref(part->flows);
	*part = (struct part){0};
}

/* @flow_id, @state: NULL for all. A slice that has none of the state is left out. */
static int part_make(const struct plan *plan, const char *flow_id, const char *state, struct part *ret_part, struct error *err)
{
	struct part part = {.filters = json_array(), .flows = flow_id != NULL ? json_pack("{s:{s:[s]}}", "id", "any_", flow_id) : NULL};
	bool made = part.filters != NULL && (flow_id == NULL || part.flows != NULL);

	for (size_t i = 0; made && i < plan->slice_count; i++) {
		if (plan->slices[i].count == 0)
			continue;
		json_t *filter = state != NULL ? slice_filter_state(&plan->slices[i], state) : json_deep_copy(plan->slices[i].filter);
		made = filter != NULL ? json_array_append_new(part.filters, filter) == 0 : state != NULL;
	}
	if (!made) {
		part_release(&part);
		return error_nomem(err);
	}
	*ret_part = part;
	return 0;
}

/* Task runs and artifacts of a part, exactly. */
static int count_belongings(struct prefect *prefect, const struct part *part, struct preview_extent *extent, struct error *err)
{
	size_t i;
	json_t *filter;

	json_array_foreach(part->filters, i, filter)
	{
		int64_t task_runs = 0;
		int64_t artifacts = 0;

		int rc = task_run_count(prefect, &(struct task_run_query){.flow_runs = filter, .flows = part->flows}, &task_runs, err);
		if (rc == 0)
			rc = window_count_artifacts(prefect, NULL, filter, part->flows, &artifacts, err);
		if (rc != 0)
			return rc;
		extent->task_runs += task_runs;
		extent->artifacts += artifacts;
	}
	return 0;
}

static int first_runs(struct prefect *prefect, const struct part *part, const json_t *filter, const char *sort, int limit,
                      struct flow_run **ret_runs, size_t *ret_count, struct error *err)
{
	struct flow_run_query query = {.flow_runs = filter, .flows = part->flows, .sort = sort, .limit = limit};

	return flow_run_filter(prefect, &query, ret_runs, ret_count, err);
}

/* The newest runs of a part: the time of the newest, and log lines in these few. */
static int look_at_newest(struct prefect *prefect, const struct part *part, time_us *ret_newest, struct preview_extent *extent,
                          struct error *err)
{
	AUTO_JSON *ids = json_array();
	size_t i;
	json_t *filter;

	json_array_foreach(part->filters, i, filter)
	{
		struct flow_run *runs;
		size_t count;

		int rc = first_runs(prefect, part, filter, "START_TIME_DESC", LOG_RUNS, &runs, &count, err);
		if (rc != 0)
			return rc;
		for (size_t k = 0; k < count; k++) {
			time_us age = preview_run_age(&runs[k]);
			*ret_newest = age > *ret_newest ? age : *ret_newest;
			if (json_array_size(ids) < LOG_RUNS)
				(void)json_array_append_new(ids, json_string(runs[k].id));
		}
		flow_runs_release(runs, count);
	}
	extent->log_runs = (int64_t)json_array_size(ids);
	return extent->log_runs == 0 ? 0 : run_log_look(prefect, ids, &extent->log_lines, NULL, err);
}

static int read_oldest(struct prefect *prefect, const struct part *part, time_us *ret_oldest, struct error *err)
{
	size_t i;
	json_t *filter;

	json_array_foreach(part->filters, i, filter)
	{
		struct flow_run *runs;
		size_t count;

		int rc = first_runs(prefect, part, filter, "START_TIME_ASC", 1, &runs, &count, err);
		if (rc != 0)
			return rc;
		if (count > 0 && (*ret_oldest == 0 || preview_run_age(&runs[0]) < *ret_oldest))
			*ret_oldest = preview_run_age(&runs[0]);
		flow_runs_release(runs, count);
	}
	return 0;
}

/* Deployments that have runs of the part: "a, b and others"; "" where none has, "?" where it cannot be read. */
static void name_deployments(struct prefect *prefect, const struct part *part, struct text *names)
{
	AUTO_JSON *known = json_object(); /* one may have runs in both slices */
	size_t named = 0;
	size_t i;
	json_t *filter;

	json_array_foreach(part->filters, i, filter)
	{
		AUTO_JSON *found = NULL;
		size_t k;
		json_t *row;

		json_t *body = json_pack("{s:O, s:O*, s:s, s:i}", "flow_runs", filter, "flows", part->flows, "sort", "NAME_ASC", "limit",
		                         DEPLOYMENTS_NAMED + 1);
		if (deployment_filter(prefect, body, &found, NULL) != 0) {
			text_addf(names, "%s?", named > 0 ? ", " : "");
			return;
		}
		json_array_foreach(found, k, row)
		{
			const char *name = json_string_value(json_object_get(row, "name"));
			char clean[JSON_LABEL_SIZE];

			if (name == NULL || named > DEPLOYMENTS_NAMED || json_object_get(known, name) != NULL)
				continue;
			(void)json_object_set_new(known, name, json_true());
			text_clean(clean, sizeof clean, name, strlen(name));
			if (named == DEPLOYMENTS_NAMED)
				text_addf(names, " and others");
			else
				text_addf(names, "%s%s", named > 0 ? ", " : "", clean);
			named++;
		}
	}
}

static bool logs_are_all(const struct preview_extent *extent, int64_t runs)
{
	return extent->log_runs >= runs && extent->log_lines < PREFECT_PAGE_MAX;
}

/* One row; NULL where something of it cannot be read. */
static json_t *read_row(struct prefect *prefect, const struct part *part, const char *flow, const char *state, int64_t count)
{
	struct preview_extent extent = {0};
	AUTO_TEXT deployments = {.max = CELL_SIZE};
	char logs[60];
	char from[TIME_TEXT_SIZE];
	char to[TIME_TEXT_SIZE];
	time_us oldest = 0;
	time_us newest = 0;

	if (count_belongings(prefect, part, &extent, NULL) != 0 || look_at_newest(prefect, part, &newest, &extent, NULL) != 0 ||
	    read_oldest(prefect, part, &oldest, NULL) != 0)
		return NULL;
	name_deployments(prefect, part, &deployments);
	(void)snprintf(logs, sizeof logs, logs_are_all(&extent, count) ? "%" PRId64 : "%" PRId64 " or more", extent.log_lines);
	return json_pack("{s:s, s:s, s:s, s:I, s:s, s:s, s:I, s:s, s:I}", "flow", flow, "deployment", text_str(&deployments),
	                 "state", state, "flow runs", (json_int_t)count, "oldest",
	                 oldest != 0 ? time_format_human(oldest, from) : "", "newest",
	                 newest != 0 ? time_format_human(newest, to) : "", "task runs", (json_int_t)extent.task_runs, "log lines",
	                 logs, "artifacts", (json_int_t)extent.artifacts);
}

static json_t *make_row(struct prefect *prefect, const struct plan *plan, const struct preview_flow *flow, const char *state,
                        int64_t count)
{
	struct part part;

	if (part_make(plan, flow->id, state, &part, NULL) != 0)
		return NULL;
	json_t *row = read_row(prefect, &part, flow->name, state, count);
	part_release(&part);
	return row;
}

json_t *preview_table(struct prefect *prefect, const struct plan *plan, const struct preview *preview)
{
	int64_t until = clock_mono_ms() + TABLE_MS;
	json_t *rows = json_array();
	int64_t rest = plan->total;

	for (size_t i = 0; i < preview->flow_count && i < PREVIEW_FLOWS_SHOWN; i++)
		for (size_t k = 0; k < preview->state_count; k++) {
			const struct preview_flow *flow = &preview->flows[i];
			if (flow->by_state[k] == 0 || json_array_size(rows) == PREVIEW_TABLE_ROWS || clock_mono_ms() > until)
				continue;
			json_t *row = make_row(prefect, plan, flow, preview->states[k], flow->by_state[k]);
			if (row != NULL && json_array_append_new(rows, row) == 0)
				rest -= flow->by_state[k];
		}
	if (rest > 0)
		(void)json_array_append_new(rows, json_pack("{s:s, s:s, s:s, s:I}", "flow", "... and more", "deployment", "", "state", "",
		                                            "flow runs", (json_int_t)rest));
	return rows;
}

json_t *preview_summary(const struct preview *preview, const struct plan *plan)
{
	json_t *flows = json_array();
	int64_t rest = plan->total;

	for (size_t i = 0; i < preview->flow_count && i < PREVIEW_FLOWS_SHOWN; i++) {
		json_t *states = json_object();
		for (size_t k = 0; k < preview->state_count; k++)
			if (preview->flows[i].by_state[k] > 0)
				(void)json_object_set_new(states, preview->states[k], json_integer((json_int_t)preview->flows[i].by_state[k]));
		if (json_array_append_new(flows, json_pack("{s:s, s:I, s:o}", "name", preview->flows[i].name, "count",
		                                           (json_int_t)preview->flows[i].count, "states", states)) == 0)
			rest -= preview->flows[i].count;
	}
	return json_pack("{s:s, s:o, s:I}", "plan", plan->digest, "flows", flows, "left_out", (json_int_t)(rest > 0 ? rest : 0));
}

static void measure_extent(struct prefect *prefect, const struct plan *plan, struct preview *preview)
{
	struct preview_extent extent = {0};
	time_us newest = 0;
	struct part all;

	if (part_make(plan, NULL, NULL, &all, NULL) != 0)
		return;
	int rc = count_belongings(prefect, &all, &extent, NULL);
	if (rc == 0)
		rc = look_at_newest(prefect, &all, &newest, &extent, NULL);
	part_release(&all);
	if (rc != 0)
		return;
	extent.known = true;
	extent.logs_known = logs_are_all(&extent, plan->total);
	preview->extent = extent;
}

/* Flow runs a second, in the last cleanup that deleted some; 0 where none is reported. */
static double read_pace(struct prefect *prefect)
{
	AUTO_JSON *filter = json_pack("{s:{s:[s]}}", "key", "any_", REPORT_KEY);
	struct artifact *found;
	size_t count;
	double pace = 0;

	if (filter == NULL || artifact_filter(prefect, &(struct artifact_query){.artifacts = filter, .limit = REPORTS_READ}, &found, &count,
	                                      NULL) != 0)
		return 0;
	for (size_t i = 0; i < count && pace <= 0; i++) {
		const char *markdown = json_string_value(found[i].data);
		AUTO_JSON *report = NULL;

		if (markdown == NULL || report_parse(markdown, &report, NULL) != 0)
			continue;
		pace = json_number_value(json_object_get(json_object_get(report, "deletion"), "runs_per_second"));
	}
	artifacts_release(found, count);
	return pace > 0 && pace < PACE_MAX ? pace : 0;
}

void preview_measure(struct prefect *prefect, const struct plan *plan, struct preview *preview)
{
	prefect_set_deadline(prefect, MEASURE_MS);
	measure_extent(prefect, plan, preview);
	if (preview_stays_read(prefect, plan, &preview->stays, NULL) != 0)
		preview->stays.known = false;
	preview->pace = read_pace(prefect);
	prefect_set_deadline(prefect, 0);
}

static void add_cell(struct text *t, const json_t *value)
{
	const char *words = json_string_value(value);

	if (words != NULL)
		text_add_markdown(t, words, strlen(words), CELL_SIZE);
	else if (json_is_integer(value))
		text_addf(t, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	text_addf(t, " |");
}

static void add_rows(struct text *t, const json_t *rows)
{
	static const char *const columns[] = {"flow", "deployment", "state", "flow runs", "oldest", "newest", "task runs", "log lines",
	                                      "artifacts"};
	const size_t count = sizeof columns / sizeof columns[0];
	size_t i;
	json_t *row;

	text_addf(t, "\n\n| Flow | Deployment | State | Flow runs | Oldest | Newest | Task runs | Log lines | Artifacts |\n"
	          "|---|---|---|---:|---|---|---:|---:|---:|\n");
	json_array_foreach(rows, i, row)
	{
		text_addf(t, "| ");
		for (size_t k = 0; k < count; k++) {
			add_cell(t, json_object_get(row, columns[k]));
			text_addf(t, k + 1 < count ? " " : "\n");
		}
	}
}

char *preview_page(const struct preview *preview, const struct plan *plan, const json_t *rows, const json_t *advice)
{
	AUTO_FREE char *markdown = preview_markdown(preview, plan);
	struct text t = {.max = PAGE_MAX};

	if (markdown == NULL)
		return NULL;
	text_add(&t, markdown, strlen(markdown));
	if (json_array_size(rows) > 0)
		add_rows(&t, rows);
	if (advice != NULL)
		agent_advice_markdown(advice, &t);
	return text_take(&t);
}

static void show_page(struct flow_ctx *ctx, const struct plan *plan, const struct preview *preview, const json_t *advice,
                      char ret_id[UUID_SIZE])
{
	prefect_set_deadline(flow_api(ctx), TABLE_MS);
	AUTO_JSON *rows = preview_table(flow_api(ctx), plan, preview);
	prefect_set_deadline(flow_api(ctx), 0);
	AUTO_FREE char *page = preview_page(preview, plan, rows, advice);
	AUTO_JSON *data = page != NULL ? json_string(page) : NULL;
	char description[160];

	(void)snprintf(description, sizeof description, "%" PRId64 " flow runs, plan `sha256:%s`", plan->total, plan->digest);
	if (data != NULL)
		(void)flow_artifact(ctx, &(struct flow_artifact){.step = "preview", .type = "markdown", .key = PREVIEW_PAGE_KEY,
		                                                 .description = description, .data = data, .ret_id = ret_id});
}

int preview_show(struct flow_ctx *ctx, const struct plan *plan, const json_t *advice, struct preview *ret_preview,
                 char ret_page[UUID_SIZE], struct error *err)
{
	struct error unread;

	ret_page[0] = '\0';
	flow_step_begin(ctx, "preview", "query");
	int rc = preview_collect(flow_api(ctx), plan, ret_preview, err);
	if (rc != 0)
		return rc;
	preview_measure(flow_api(ctx), plan, ret_preview);
	show_page(ctx, plan, ret_preview, advice, ret_page);
	AUTO_JSON *summary = preview_summary(ret_preview, plan);
	if (summary == NULL || flow_checkpoint_write(ctx, PREVIEW_KEY, summary, &unread) != 0)
		flow_log(ctx, LOG_LEVEL_DEBUG, "the counts by flow cannot be kept for the report");
	flow_step_end(ctx, "preview", STATE_COMPLETED, NULL);
	return 0;
}
