#include "flows/database_cleanup/preview_page.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/api.h"

#define DIGEST "d1"
#define STATE(names) "{\"type\":{\"any_\":[\"FAILED\"]},\"name\":{\"any_\":[" names "]}}"

/* A server whose runs are alike: what it has of each kind in every slice and flow. */
struct shelf {
	const char *refuses;     /* 501 for paths that begin so; NULL for none */
	int log_lines;           /* in all runs that are looked at */
	int runs;                /* in a list, limit permitting */
	const char *deployments; /* their names, as JSON; NULL for none */
	int requests;
	bool wrong;              /* a request was not about one flow and one state of one slice */
};

static struct http_reply list_of(int count, const char *row)
{
	json_t *list = json_array();

	for (int i = 0; i < count; i++)
		(void)json_array_append_new(list, unit_json(row));
	struct http_reply reply = {.owned = json_dumps(list, JSON_COMPACT)};
	json_decref(list);
	return reply;
}

static struct http_reply answer(void *arg, const struct http_seen *seen)
{
	struct shelf *shelf = arg;
	AUTO_JSON *body = unit_json(seen->body);
	const json_t *filter = json_object_get(body, "flow_runs");
	const json_t *names = json_object_get(json_object_get(json_object_get(filter, "state"), "name"), "any_");
	int limit = (int)json_integer_value(json_object_get(body, "limit"));
	bool oldest = strstr(seen->body, "START_TIME_ASC") != NULL;

	shelf->requests++;
	if (shelf->refuses != NULL && strncmp(seen->path, shelf->refuses, strlen(shelf->refuses)) == 0)
		return (struct http_reply){.status = 501};
	if (strcmp(seen->path, "/logs/filter") == 0)
		return list_of(shelf->log_lines < limit ? shelf->log_lines : limit, "{\"flow_run_id\": \"" ID_A "\"}");
	shelf->wrong |= json_array_size(names) != 1 || json_object_get(body, "flows") == NULL || json_object_get(filter, "n") == NULL;
	if (strcmp(seen->path, "/task_runs/count") == 0)
		return (struct http_reply){.body = "3"};
	if (strcmp(seen->path, "/artifacts/count") == 0) /* one of them a report, which stays */
		return (struct http_reply){.body = strstr(seen->body, "cleanup-report") != NULL ? "1" : "5"};
	if (strcmp(seen->path, "/flow_runs/filter") == 0)
		return list_of(shelf->runs < limit ? shelf->runs : limit,
		               oldest ? "{\"id\": \"" ID_A "\", \"flow_id\": \"" ID_A "\", \"name\": \"r\", \"start_time\": \"1970-01-02T00:00:00Z\"}"
		                      : "{\"id\": \"" ID_B "\", \"flow_id\": \"" ID_A "\", \"name\": \"r\", \"start_time\": \"1970-01-03T00:00:00Z\"}");
	if (strcmp(seen->path, "/deployments/filter") == 0)
		return (struct http_reply){.body = shelf->deployments != NULL ? shelf->deployments : "[]"};
	return (struct http_reply){.status = 418};
}

/* A plan of one slice with runs and one without, or of two with runs. */
static struct plan plan_of(int64_t total, bool both)
{
	struct plan plan = {.retention = strdup("P30D"), .states = unit_json("[\"A\", \"B\"]"), .slice_count = 2, .total = total,
	                    .digest = DIGEST};

	plan.slices[0] = (struct slice){.filter = unit_json("{\"n\": 1, \"state\": " STATE("\"A\", \"B\"") "}"), .count = total};
	plan.slices[1] = (struct slice){.filter = unit_json("{\"n\": 2, \"state\": " STATE("\"A\", \"B\"") "}"), .count = both ? 1 : 0};
	return plan;
}

#define NAMED(name) "{\"name\": \"" name "\"}"
#define ROW(deployment, state, runs, task_runs, logs, artifacts) \
	"{\"flow\": \"etl\", \"deployment\": \"" deployment "\", \"state\": \"" state "\", \"flow runs\": " runs ", \"oldest\": " \
	"\"1970-01-02 00:00:00 UTC\", \"newest\": \"1970-01-03 00:00:00 UTC\", \"task runs\": " task_runs ", \"log lines\": \"" logs \
	"\", \"artifacts\": " artifacts "}"
#define MORE(runs) "{\"flow\": \"... and more\", \"deployment\": \"\", \"state\": \"\", \"flow runs\": " runs "}"

static void counts_what_goes_with_each_row(void)
{
	static const struct {
		const char *name;
		struct shelf shelf;
		bool both;
		int64_t total;
		const char *want;
	} rows[] = {
		{"all of it", {.log_lines = 7, .runs = 4, .deployments = "[" NAMED("daily") "]"}, false, 6,
		 "[" ROW("daily", "A", "4", "3", "7", "4") "," ROW("daily", "B", "2", "3", "7", "4") "]"},
		{"in two slices", {.log_lines = 7, .runs = 2, .deployments = "[" NAMED("daily") "]"}, true, 6,
		 "[" ROW("daily", "A", "4", "6", "7", "8") "," ROW("daily", "B", "2", "6", "7", "8") "]"},
		{"logs were looked for in some", {.log_lines = 7, .runs = 3}, false, 6,
		 "[" ROW("", "A", "4", "3", "7 or more", "4") "," ROW("", "B", "2", "3", "7", "4") "]"},
		{"more logs than one page", {.log_lines = 500, .runs = 4}, false, 6,
		 "[" ROW("", "A", "4", "3", "200 or more", "4") "," ROW("", "B", "2", "3", "200 or more", "4") "]"},
		{"many deployments", {.runs = 4, .deployments = "[" NAMED("a") "," NAMED("b\\n|c") "," NAMED("d") "," NAMED("e") "]"}, false, 6,
		 "[" ROW("a, b?|c, d and others", "A", "4", "3", "0", "4") "," ROW("a, b?|c, d and others", "B", "2", "3", "0", "4") "]"},
		{"deployments that cannot be read", {.runs = 4, .refuses = "/deployments/"}, false, 6,
		 "[" ROW("?", "A", "4", "3", "0", "4") "," ROW("?", "B", "2", "3", "0", "4") "]"},
		{"task runs that cannot be counted", {.runs = 4, .refuses = "/task_runs/"}, false, 6, "[" MORE("6") "]"},
		{"artifacts that cannot be counted", {.runs = 4, .refuses = "/artifacts/"}, false, 6, "[" MORE("6") "]"},
		{"runs that cannot be listed", {.runs = 4, .refuses = "/flow_runs/"}, false, 6, "[" MORE("6") "]"},
		{"logs that cannot be read", {.runs = 4, .refuses = "/logs/"}, false, 6, "[" MORE("6") "]"},
		{"runs of other flows", {.runs = 4}, false, 10,
		 "[" ROW("", "A", "4", "3", "0", "4") "," ROW("", "B", "2", "3", "0", "4") "," MORE("4") "]"},
	};

	EACH(row, rows)
	{
		static char etl[] = "etl";
		struct preview_flow flow = {.name = etl, .id = ID_A, .count = 6, .by_state = {4, 2, 0}};
		struct preview preview = {.states = {"A", "B", "C"}, .state_count = 3, .flows = &flow, .flow_count = 1};
		struct plan plan = plan_of(row->total, row->both);
		struct shelf shelf = row->shelf;
		struct api api;

		api_open_handler(&api, answer, &shelf);
		AUTO_JSON *table = preview_table(api.prefect, &plan, &preview);
		(void)api_close(&api, row->name);
		CHECK_JSON(row->name, table, row->want);
		CHECK(row->name, !shelf.wrong);
		plan_release(&plan);
	}
}

/* However many flows and states there are: so many rows, and the rest in one. */
static void ends_with_what_did_not_fit(void)
{
	static char name[] = "etl";
	struct preview_flow flows[PREVIEW_FLOWS_SHOWN];
	struct preview preview = {.states = {"A", "B"}, .state_count = 2, .flows = flows, .flow_count = COUNT_OF(flows)};
	struct plan plan = plan_of(1000000, false);
	struct shelf shelf = {.runs = 1};
	struct api api;

	EACH(flow, flows)
		*flow = (struct preview_flow){.name = name, .id = ID_A, .count = 20, .by_state = {10, 10}};
	api_open_handler(&api, answer, &shelf);
	AUTO_JSON *table = preview_table(api.prefect, &plan, &preview);
	(void)api_close(&api, "many");
	CHECK_INT("rows", json_array_size(table), PREVIEW_TABLE_ROWS + 1);
	CHECK_JSON("the rest", json_array_get(table, PREVIEW_TABLE_ROWS), MORE("999750"));
	CHECK("some two hundred small requests", shelf.requests <= 8 * PREVIEW_TABLE_ROWS);
	plan_release(&plan);
}

/* Where the server takes its time, nobody waits for the form for long. */
static void takes_no_more_time_than_it_has(void)
{
	static char name[] = "etl";
	struct preview_flow flow = {.name = name, .id = ID_A, .count = 2, .by_state = {1, 1}};
	struct preview preview = {.states = {"A", "B"}, .state_count = 2, .flows = &flow, .flow_count = 1};
	struct plan plan = plan_of(2, false);
	struct shelf shelf = {.runs = 1};
	struct api api;

	api_open_handler(&api, answer, &shelf);
	unit_clock_ms = 0;
	unit_clock_step_ms = 60000;
	clock_fake(unit_mono_ms, NULL);
	AUTO_JSON *table = preview_table(api.prefect, &plan, &preview);
	clock_fake(NULL, NULL);
	(void)api_close(&api, "slow");
	CHECK_JSON("slow", table, "[" MORE("2") "]");
	CHECK_INT("slow", shelf.requests, 0);
	plan_release(&plan);
}

static struct http_reply measured(void *arg, const struct http_seen *seen)
{
	struct shelf *shelf = arg;
	struct http_reply reply = answer(shelf, seen);

	shelf->wrong = strstr(seen->body, "\"flows\"") != NULL; /* the whole plan here */
	return reply;
}

static void measures_the_whole_plan(void)
{
	static const struct {
		const char *name;
		struct shelf shelf;
		struct preview_extent want;
	} rows[] = {
		{"all logs", {.log_lines = 9, .runs = 2}, {.known = true, .task_runs = 6, .artifacts = 8, .log_lines = 9, .log_runs = 4,
		                                           .logs_known = true}},
		{"logs of some", {.log_lines = 9, .runs = 1}, {.known = true, .task_runs = 6, .artifacts = 8, .log_lines = 9, .log_runs = 2}},
		{"no runs any more", {.log_lines = 9}, {.known = true, .task_runs = 6, .artifacts = 8}},
		{"not known", {.runs = 2, .refuses = "/artifacts/"}, {.known = false}},
		{"logs not known", {.runs = 2, .refuses = "/logs/"}, {.known = false}},
	};

	EACH(row, rows)
	{
		struct preview preview = {0};
		struct plan plan = plan_of(4, true);
		struct shelf shelf = row->shelf;
		struct api api;

		api_open_handler(&api, measured, &shelf);
		preview_measure(api.prefect, &plan, &preview);
		(void)api_close(&api, row->name);
		CHECK(row->name, !shelf.wrong);
		CHECK_INT(row->name, preview.extent.known, row->want.known);
		CHECK_INT(row->name, preview.extent.task_runs, row->want.task_runs);
		CHECK_INT(row->name, preview.extent.artifacts, row->want.artifacts);
		CHECK_INT(row->name, preview.extent.log_lines, row->want.log_lines);
		CHECK_INT(row->name, preview.extent.log_runs, row->want.log_runs);
		CHECK_INT(row->name, preview.extent.logs_known, row->want.logs_known);
		plan_release(&plan);
	}
}

static void sums_up_for_the_report(void)
{
	static char etl[] = "etl";
	static char ml[] = "ml";
	struct preview_flow flows[] = {{.name = etl, .count = 6, .by_state = {4, 2}}, {.name = ml, .count = 1, .by_state = {0, 1}}};
	struct preview preview = {.states = {"A", "B"}, .state_count = 2, .flows = flows, .flow_count = 2};
	static const struct {
		const char *name;
		int64_t total;
		const char *want;
	} rows[] = {
		{"all shown", 7, "0"},
		{"others too", 9, "2"},
		{"fewer than were counted a moment ago", 5, "0"},
	};

	EACH(row, rows)
	{
		struct plan plan = plan_of(row->total, false);
		char want[300];

		(void)snprintf(want, sizeof want, "{\"plan\": \"" DIGEST "\", \"flows\": [{\"name\": \"etl\", \"count\": 6, \"states\": "
		               "{\"A\": 4, \"B\": 2}}, {\"name\": \"ml\", \"count\": 1, \"states\": {\"B\": 1}}], \"left_out\": %s}", row->want);
		AUTO_JSON *summary = preview_summary(&preview, &plan);
		CHECK_JSON(row->name, summary, want);
		plan_release(&plan);
	}
}

UNIT_SUITE("flows/database_cleanup/preview_page", TEST(counts_what_goes_with_each_row), TEST(ends_with_what_did_not_fit),
           TEST(takes_no_more_time_than_it_has), TEST(measures_the_whole_plan), TEST(sums_up_for_the_report))
