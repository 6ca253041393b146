/* The report: whatever it quotes, it is written. */
#include "flows/database_cleanup/report.h"

#include <string.h>

#include "tests/unit/worker/flow_run.h"

static void quotes_any_text(void)
{
	static const struct {
		const char *name;
		const char *message;
		const char *want;
	} rows[] = {
		{"plain", "rejected, nothing was deleted", "rejected, nothing was deleted"},
		{"not ASCII", "rejected: \xc3\xa4\xc3\xa4", "rejected: \xc3\xa4\xc3\xa4"},
		{"cut inside a character", "rejected: \xc3\xa4\xc3", "rejected: \xc3\xa4?"},
		{"no UTF-8 at all", "the server: \xff\xfe", "the server: ??"},
	};

	EACH(row, rows)
	{
		struct unit_flow flow;
		const struct report report = {.outcome = "rejected", .message = row->message};

		unit_flow_open(&flow, http_server_script(NULL, 0), NULL, NULL);
		AUTO_JSON *json = report_json(flow.ctx, &report, NULL);
		AUTO_FREE char *markdown = json != NULL ? report_markdown(json) : NULL;
		CHECK_STR(row->name, json_string_value(json_object_get(json, "message")), row->want);
		CHECK(row->name, markdown != NULL && strstr(markdown, "```json") != NULL);
		(void)unit_flow_close(&flow, row->name);
	}
}

static void keeps_a_report_that_knows_more(void)
{
#define REPORT(outcome, digest, deletion) \
	"{\"outcome\": \"" outcome "\", \"plan\": {\"digest\": \"" digest "\"}, \"deletion\": " deletion "}"
#define COUNTS(deleted, more) "{\"deleted\": " deleted ", \"failed\": 0, \"remaining\": 0, \"gone\": 0" more "}"
	static const struct {
		const char *name;
		const char *written;
		bool want;
	} rows[] = {
		{"the same", REPORT("completed", "d", COUNTS("20", ", \"took_ms\": 5100, \"artifacts_deleted\": 149")), true},
		{"fewer artifacts were deleted then", REPORT("completed", "d", COUNTS("20", ", \"took_ms\": 5100")), false},
		{"another plan, so another attempt", REPORT("completed", "e", COUNTS("20", ", \"took_ms\": 1")), false},
		{"less was deleted then", REPORT("completed", "d", COUNTS("10", ", \"took_ms\": 1")), false},
		{"another end", REPORT("cancelled", "d", COUNTS("20", ", \"took_ms\": 1")), false},
		{"stopped on the way", REPORT("completed", "d", COUNTS("20", "")), false},
		{"nothing deleted", REPORT("completed", "d", "null"), false},
	};
	AUTO_JSON *now = unit_json(REPORT("completed", "d", COUNTS("20", ", \"took_ms\": 141, \"artifacts_deleted\": 7")));

	EACH(row, rows)
	{
		AUTO_JSON *written = unit_json(row->written);
		CHECK_INT(row->name, report_tells_as_much(written, now), row->want);
	}
}

static void tells_the_limits(void)
{
	struct policy policy = {.retention = (char[]){"P30D"}, .states = json_array(), .batch_size = 50};
	struct report report = {.outcome = "rejected", .message = "no", .policy = &policy};
	struct unit_flow flow;

	unit_flow_open(&flow, http_server_script(NULL, 0), OWN_RUN("RUNNING", ", \"job_variables\": {\"batch_pause_ms\": 700}"), NULL);
	AUTO_JSON *json = report_json(flow.ctx, &report, NULL);
	CHECK_JSON("limits", json_object_get(json, "limits"),
	           "{\"batch_size\": 50, \"batch_size_min\": 5, \"batch_pause_ms\": 700, \"batch_pause_max_ms\": 10000, "
	           "\"batch_target_ms\": 1000, \"approval_timeout_s\": 3600, \"ai\": null}");
	AUTO_FREE char *markdown = report_markdown(json);
	CHECK("shown", markdown != NULL && strstr(markdown, "| batches of 5 to 50 flow runs, pauses of 700 to 10000 ms") != NULL);
	report.ended = true;
	AUTO_JSON *ended = report_json(flow.ctx, &report, NULL);
	CHECK("not known", json_is_null(json_object_get(ended, "limits")));
	json_decref(policy.states);
	(void)unit_flow_close(&flow, "limits");
}

UNIT_SUITE("flows/database_cleanup/report", TEST(quotes_any_text), TEST(keeps_a_report_that_knows_more), TEST(tells_the_limits))
