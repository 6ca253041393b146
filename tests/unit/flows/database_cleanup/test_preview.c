#include "flows/database_cleanup/preview.h"

#include <stdlib.h>
#include <string.h>

#include "client/base/text.h"
#include "tests/unit/api.h"

#define OLD (INT64_C(1795242861) * US_PER_SEC) /* 2026-11-21 06:34:21 UTC */
#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static char retention[] = "P30D";

/* A plan without filters, for the Markdown alone; release with json_decref(plan.states). */
static struct plan plan_of(int64_t total, const char *states)
{
	struct plan plan = {.cutoff = OLD, .planned_at = OLD + INT64_C(30) * 86400 * US_PER_SEC, .retention = retention,
	                    .states = unit_json(states), .total = total, .digest = DIGEST};

	return plan;
}

/* --- the Markdown -------------------------------------------------------------------------------------- */

static void reads_well(void)
{
	struct plan plan = plan_of(9, "[\"Completed\", \"My_State\"]");
	char otter[] = "curly-otter";
	char odd[] = "*bold* | <b>\n[x](y)";
	struct preview_flow flows[] = {{.name = otter, .count = 6, .by_state = {4, 2}}, {.name = odd, .count = 3, .by_state = {3, 0}}};
	struct flow_run runs[] = {
		{.name = otter, .state_type = STATE_COMPLETED, .start_time = OLD - 2 * US_PER_SEC, .expected_start = 5},
		{.name = odd, .state_type = STATE_CANCELLED, .expected_start = OLD - US_PER_SEC},
	};
	struct preview preview = {.states = {"Completed", "My_State"}, .by_state = {7, 2}, .state_count = 2, .flows = flows,
	                          .flow_count = 2, .oldest = OLD - 2 * US_PER_SEC, .newest = OLD, .runs = runs, .run_count = 2};

	AUTO_FREE char *text = preview_markdown(&preview, &plan);
	CHECK_STR("whole", text,
	          "**Preview: 9 flow runs would be deleted**\n"
	          "\n"
	          "- Retention: 30 days, runs that started at or before 2026-11-21 06:34:21 UTC\n"
	          "- States: Completed 7, My\\_State 2\n"
	          "- Oldest: 2026-11-21 06:34:19 UTC\n"
	          "- Newest: 2026-11-21 06:34:21 UTC\n"
	          "- With them go their task runs, states, inputs, logs and artifacts\n"
	          "\n"
	          "| Flow | Completed | My\\_State | All |\n"
	          "|---|---:|---:|---:|\n"
	          "| curly-otter | 4 | 2 | 6 |\n"
	          "| \\*bold\\* \\| &lt;b\\>?\\[x\\]\\(y\\) | 3 | 0 | 3 |\n"
	          "| **All** | 7 | 2 | **9** |\n"
	          "\n"
	          "The oldest:\n"
	          "\n"
	          "- curly-otter (COMPLETED) - 2026-11-21 06:34:19 UTC\n"
	          "- \\*bold\\* \\| &lt;b\\>?\\[x\\]\\(y\\) (CANCELLED) - 2026-11-21 06:34:20 UTC (never started)\n"
	          "\n"
	          "... and 7 more\n"
	          "\n"
	          "Plan `sha256:" DIGEST "`\n");
	json_decref(plan.states);
}

static void says_what_differs(void)
{
	static const struct {
		const char *name;
		int64_t total;
		bool dry_run;
		const char *has;
		const char *lacks;
	} rows[] = {
		{"one run", 1, false, "**Preview: 1 flow run would be deleted**\n\n", "more"},
		{"two runs", 2, false, "**Preview: 2 flow runs would be deleted**\n\n", "dry run"},
		{"a dry run", 2, true, "deleted** (dry run: nothing will be deleted, whatever you decide)\n\n", NULL},
		{"all shown", 1, false, "UTC\n", "... and"},
		{"one not shown", 2, false, "UTC\n\n... and 1 more\n", NULL},
	};
	char name[] = "run";
	struct flow_run runs[] = {{.name = name, .state_type = STATE_FAILED, .start_time = OLD}};
	const struct preview preview = {.runs = runs, .run_count = 1};

	EACH(row, rows)
	{
		struct plan plan = plan_of(row->total, "[\"Completed\"]");
		plan.dry_run = row->dry_run;
		AUTO_FREE char *text = preview_markdown(&preview, &plan);
		CHECK_HAS(row->name, text, row->has);
		if (row->lacks != NULL)
			CHECK_LACKS(row->name, text, row->lacks);
		json_decref(plan.states);
	}
}

static void says_what_goes_with_them(void)
{
	static const struct {
		const char *name;
		struct preview_extent extent;
		const char *has;
	} rows[] = {
		{"all counted", {.known = true, .task_runs = 12, .artifacts = 3, .log_lines = 137, .log_runs = 9, .logs_known = true},
		 "12 task runs, 3 artifacts, 137 log lines, their states and inputs\n"},
		{"logs in some", {.known = true, .log_lines = 37, .log_runs = 20},
		 "about 16 log lines (going by 20 flow runs), their states"},
		{"more than a page", {.known = true, .log_lines = 200, .log_runs = 20}, "about 90 or more log lines (going by 20 flow runs)"},
		{"no runs any more", {.known = true}, "0 artifacts, their log lines, their states"},
		{"not known", {0}, "task runs, states, inputs, logs and artifacts\n"},
	};

	EACH(row, rows)
	{
		struct plan plan = plan_of(9, "[\"Completed\"]");
		const struct preview preview = {.extent = row->extent};
		AUTO_FREE char *text = preview_markdown(&preview, &plan);
		CHECK_HAS(row->name, text, row->has);
		json_decref(plan.states);
	}
}

static void sums_up_what_does_not_fit(void)
{
	static const struct {
		const char *name;
		size_t flows;
		bool more;
		int64_t total;
		int64_t all;
		const char *has;
		const char *lacks;
	} rows[] = {
		{"all flows shown", 20, false, 200, 20, "| flow |", "more flows"},
		{"one flow too many", 21, false, 210, 0, "| ... and 1 more flows | | 10 |\n", NULL},
		{"how many there are is not known", 21, true, 500, 0, "| ... and more than 1 more flows | | 300 |\n", NULL},
		{"flows that were not counted one by one", 21, true, 500, 250, "| ... and 230 more flows | | 300 |\n", NULL},
		{"they have no runs any more", 21, false, 200, 21, "| flow |", "more flows"},
	};
	char name[] = "flow";
	struct preview_flow flows[30];

	EACH(flow, flows)
		*flow = (struct preview_flow){.name = name, .count = 10};
	EACH(row, rows)
	{
		struct plan plan = plan_of(row->total, "[\"Completed\"]");
		struct preview preview = {.states = {"Completed"}, .state_count = 1, .flows = flows, .flow_count = row->flows,
		                          .more_flows = row->more, .flows_total = row->all};
		AUTO_FREE char *text = preview_markdown(&preview, &plan);
		CHECK_HAS(row->name, text, row->has);
		CHECK_HAS(row->name, text, "The server cannot show them one by one.\n");
		CHECK_LACKS(row->name, text, "Oldest");
		if (row->lacks != NULL)
			CHECK_LACKS(row->name, text, row->lacks);
		json_decref(plan.states);
	}
}

/* As much as there can be: a hundred states of 200 bytes, names of any length. */
static void stays_within_its_limit(void)
{
	struct plan plan = plan_of(INT64_MAX / 4, "[]");
	static char long_name[5000];
	struct preview_flow flows[PREVIEW_FLOWS_SHOWN];
	struct flow_run runs[PREVIEW_RUNS];
	struct preview preview = {.flows = flows, .flow_count = COUNT_OF(flows), .state_count = PREVIEW_STATES_SHOWN,
	                          .runs = runs, .run_count = PREVIEW_RUNS, .more_flows = true};

	memset(long_name, '<', sizeof long_name - 1);
	for (int i = 0; i < 100; i++)
		(void)json_array_append_new(plan.states, json_stringn(long_name, 200));
	EACH(flow, flows)
		*flow = (struct preview_flow){.name = long_name};
	EACH(run, runs)
		*run = (struct flow_run){.name = long_name};
	for (size_t i = 0; i < PREVIEW_STATES_SHOWN; i++)
		preview.states[i] = long_name;

	AUTO_FREE char *text = preview_markdown(&preview, &plan);
	CHECK("made", text != NULL);
	CHECK_HAS("made", text, "&lt;... |");
	CHECK_LACKS("cut", text, "<");
	json_decref(plan.states);
}

/* --- what it asks for ---------------------------------------------------------------------------------- */

#define RUN(id, name, times) \
	"{\"id\": \"" id "\", \"flow_id\": \"" ID_A "\", \"name\": \"" name "\", \"state_type\": \"FAILED\"" times "}"
#define NAMED(id, name) "{\"id\": \"" id "\", \"name\": \"" name "\"}"
#define STATE(names) "{\"type\":{\"any_\":[\"FAILED\"]},\"name\":{\"any_\":[" names "]}}"

static const struct http_step collecting[] = {
	/* by state: slice one, slice two */
	{.method = "POST", .path = "/flow_runs/count",
	 .body = "{\"flow_runs\":{\"n\":1,\"state\":" STATE("\"A\"") "}}", .reply = {.body = "4"}},
	{.method = "POST", .path = "/flow_runs/count",
	 .body = "{\"flow_runs\":{\"n\":2,\"state\":" STATE("\"A\"") "}}", .reply = {.body = "1"}},
	{.method = "POST", .path = "/flow_runs/count", .body = STATE("\"B\""), .reply = {.body = "0"}},
	{.method = "POST", .path = "/flow_runs/count", .body = STATE("\"B\""), .reply = {.body = "0"}},
	/* the flows of both slices */
	{.method = "POST", .path = "/flows/filter", .body = "\"n\":1",
	 .reply = {.body = "[" NAMED(ID_A, "few") "," NAMED(ID_B, "many") "]"}},
	{.method = "POST", .path = "/flows/filter", .body = "\"n\":2", .reply = {.body = "[" NAMED(ID_B, "many") "]"}},
	{.method = "POST", .path = "/flow_runs/count", .body = "\"flows\":{\"id\":{\"any_\":[\"" ID_A "\"]}}", .reply = {.body = "1"}},
	{.method = "POST", .path = "/flow_runs/count", .body = "\"n\":2", .reply = {.body = "0"}},
	{.method = "POST", .path = "/flow_runs/count", .body = "\"flows\":{\"id\":{\"any_\":[\"" ID_B "\"]}}", .reply = {.body = "3"}},
	{.method = "POST", .path = "/flow_runs/count", .body = "\"n\":2", .reply = {.body = "1"}},
	/* cells, the larger flow first */
	{.method = "POST", .path = "/flow_runs/count", .body = ID_B, .reply = {.body = "3"}},
	{.method = "POST", .path = "/flow_runs/count", .body = ID_B, .reply = {.body = "1"}},
	{.method = "POST", .path = "/flow_runs/count", .body = ID_A, .reply = {.body = "1"}},
	{.method = "POST", .path = "/flow_runs/count", .body = ID_A, .reply = {.body = "0"}},
	/* oldest and newest of each slice */
	{.method = "POST", .path = "/flow_runs/filter", .body = "\"sort\":\"START_TIME_ASC\",\"limit\":5",
	 .reply = {.body = "[" RUN(ID_A, "second", ", \"start_time\": \"1970-01-01T00:00:02Z\"") ","
	                   RUN(ID_B, "third", ", \"start_time\": \"1970-01-01T00:00:03Z\"") "]"}},
	{.method = "POST", .path = "/flow_runs/filter", .body = "\"sort\":\"START_TIME_DESC\",\"limit\":1",
	 .reply = {.body = "[" RUN(ID_A, "last", ", \"start_time\": \"1970-01-01T00:00:09Z\"") "]"}},
	{.method = "POST", .path = "/flow_runs/filter", .body = "\"n\":2",
	 .reply = {.body = "[" RUN(ID_C, "first", ", \"expected_start_time\": \"1970-01-01T00:00:01Z\"") "]"}},
	{.method = "POST", .path = "/flow_runs/filter", .body = "\"n\":2",
	 .reply = {.body = "[" RUN(ID_C, "first", ", \"expected_start_time\": \"1970-01-01T00:00:01Z\"") "]"}},
	{.method = "POST", .path = "/flows/count", .body = "\"n\":1", .reply = {.body = "250"}},
	{.method = "POST", .path = "/deployments/count", .body = "\"n\":1", .reply = {.body = "31"}},
};

static struct plan two_slices(void)
{
	struct plan plan = {.retention = strdup(retention), .states = unit_json("[\"A\", \"B\"]"), .slice_count = 2, .total = 5};

	plan.slices[0] = (struct slice){.filter = unit_json("{\"n\": 1, \"state\": " STATE("\"A\", \"B\"") "}"), .count = 4};
	plan.slices[1] = (struct slice){.filter = unit_json("{\"n\": 2, \"state\": " STATE("\"A\", \"B\"") "}"), .count = 1};
	return plan;
}

static void asks_the_server(void)
{
	struct plan plan = two_slices();
	struct preview preview;
	struct api api;
	struct error err;

	api_open(&api, collecting, COUNT_OF(collecting));
	if (CHECK_RC("collect", preview_collect(api.prefect, &plan, &preview, &err), 0, &err)) {
		CHECK_INT("states with runs", preview.state_count, 1);
		CHECK_STR("states with runs", preview.states[0], "A");
		CHECK_INT("states with runs", preview.by_state[0], 5);
		CHECK_INT("flows", preview.flow_count, 2);
		CHECK_STR("the larger first", preview.flows[0].name, "many");
		CHECK_INT("the larger first", preview.flows[0].by_state[0], 4);
		CHECK_INT("the smaller", preview.flows[1].count, 1);
		CHECK_INT("runs", preview.run_count, 3);
		CHECK_STR("the oldest first, whatever its slice", preview.runs[0].name, "first");
		CHECK_STR("the youngest last", preview.runs[2].name, "third");
		CHECK_INT("oldest", preview.oldest, US_PER_SEC);
		CHECK_INT("newest", preview.newest, 9 * US_PER_SEC);
		CHECK_INT("all flows", preview.flows_total, 250);
		CHECK_INT("all deployments", preview.deployments_total, 31);
		preview_release(&preview);
	}
	(void)api_close(&api, "collect");
	plan_release(&plan);
}

/* Each request in turn fails: where signing in is the trouble nothing is handed out, where the server stumbles over
 * what it holds the preview is what was there until then. */
static void survives_every_failure(void)
{
	static const struct {
		const char *name;
		int status;
		int rc;
		bool spares_examples; /* the runs shown one by one are no reason to fail: the counts are what is approved */
	} rows[] = {{"401", 401, ERR_AUTH, false}, {"501", 501, ERR_HTTP, true}};

	EACH(row, rows)
		for (size_t failing = 0; failing < COUNT_OF(collecting); failing++) {
			struct http_step steps[COUNT_OF(collecting) + 2];
			struct plan plan = two_slices();
			struct preview preview = {.oldest = -7};
			struct api api;
			struct error err;
			char name[32];
			bool example = strcmp(collecting[failing].path, "/flow_runs/filter") == 0;
			/* How many flows there are in all is only told. */
			bool told = strncmp(collecting[failing].path, "/flow_runs/", 11) != 0 && strcmp(collecting[failing].path, "/flows/filter") != 0;
			int rc = told || (row->spares_examples && example) ? 0 : row->rc;

			(void)snprintf(name, sizeof name, "%s at request %zu", row->name, failing);
			memcpy(steps, collecting, sizeof collecting);
			steps[failing].reply = (struct http_reply){.status = row->status};
			/* What is only told is asked for all the same. */
			size_t asked = told ? COUNT_OF(collecting) : failing + 1;
			if (rc == 0 && !told)
				for (const struct http_step *step = collecting + COUNT_OF(collecting) - 2; step < collecting + COUNT_OF(collecting); step++)
					steps[asked++] = *step;
			api_open(&api, steps, asked);
			CHECK_RC(name, preview_collect(api.prefect, &plan, &preview, &err), rc, &err);
			if (rc == 0) {
				AUTO_FREE char *text = preview_markdown(&preview, &plan);
				CHECK_HAS(name, text, "**Preview: 5 flow runs would be deleted**");
				preview_release(&preview);
			} else {
				CHECK(name, preview.oldest == -7 && preview.flows == NULL);
			}
			(void)api_close(&api, name);
			plan_release(&plan);
		}
}

UNIT_SUITE("flows/database_cleanup/preview", TEST(reads_well), TEST(says_what_differs), TEST(says_what_goes_with_them), TEST(sums_up_what_does_not_fit),
           TEST(stays_within_its_limit), TEST(asks_the_server), TEST(survives_every_failure))
