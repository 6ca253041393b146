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
	"{\"outcome\": \"" outcome "\", \"plan\": {\"digest\": \"" digest "\"}, \"limits\": null, \"deletion\": " deletion "}"
#define COUNTS(deleted, more) "{\"deleted\": " deleted ", \"failed\": 0, \"remaining\": 0, \"gone\": 0" more "}"
#define WHOLE COUNTS("20", ", \"took_ms\": 141, \"artifacts_deleted\": 7")
#define BETTER COUNTS("20", ", \"took_ms\": 5100, \"artifacts_deleted\": 149")
	static const struct {
		const char *name;
		const char *written;
		const char *now;
		bool same;  /* it need not be written again */
		bool learn; /* the deletion is told as it was */
	} rows[] = {
		{"the same", REPORT("completed", "d", BETTER), REPORT("completed", "d", WHOLE), true, true},
		{"fewer artifacts were deleted then", REPORT("completed", "d", COUNTS("20", ", \"took_ms\": 5100")), REPORT("completed", "d", WHOLE), false, false},
		{"another plan, so another attempt", REPORT("completed", "e", BETTER), REPORT("completed", "d", WHOLE), false, false},
		{"no plan", REPORT("completed", "", BETTER), REPORT("completed", "", WHOLE), false, false},
		{"less was deleted then", REPORT("completed", "d", COUNTS("10", ", \"took_ms\": 1")), REPORT("completed", "d", WHOLE), false, false},
		{"another end", REPORT("completed", "d", BETTER), REPORT("cancelled", "d", WHOLE), false, true},
		{"stopped on the way", REPORT("completed", "d", COUNTS("20", "")), REPORT("completed", "d", WHOLE), false, false},
		{"nothing was deleted then", REPORT("completed", "d", "null"), REPORT("completed", "d", WHOLE), false, false},
		{"ended without its body", REPORT("completed", "d", BETTER), REPORT("ended", "d", "{\"deleted\": 20}"), false, true},
		{"that could not write it", REPORT("completed", "d", BETTER), REPORT("completed", "d", "{\"deleted\": 20}"), true, true},
		{"nor count", REPORT("completed", "d", BETTER), REPORT("completed", "d", "{\"deleted\": -1}"), true, true},
		{"but counts otherwise", REPORT("completed", "d", BETTER), REPORT("completed", "d", "{\"deleted\": 19}"), false, false},
		{"nothing deleted", REPORT("rejected", "d", "null"), REPORT("rejected", "d", "null"), true, false},
	};

	EACH(row, rows)
	{
		AUTO_JSON *written = unit_json(row->written);
		AUTO_JSON *now = unit_json(row->now);

		(void)json_object_set_new(written, "limits", unit_json("{\"batch_size\": 5}"));
		CHECK_INT(row->name, report_learn(now, written), row->same);
		CHECK_INT(row->name, json_integer_value(json_object_get(json_object_get(now, "deletion"), "took_ms")) == 5100, row->learn);
		CHECK_INT(row->name, json_is_object(json_object_get(now, "limits")), row->learn || row->same);
	}
}

static void says_no_more_than_was_seen(void)
{
	static const struct {
		const char *name;
		const char *deletion;
		const char *want;
	} rows[] = {
		{"all of them", "\"logs_checked\": 20, \"artifacts_deleted\": 3",
		 "| Artifacts | 3 deleted with their flow runs; of 20 deleted flow runs 0 left; cleanup reports stay |\n"
		 "| Logs | looked for those of 20 deleted flow runs: 0 still have some |\n"},
		{"a sample", "\"logs_checked\": 4, \"artifacts_left\": 2, \"logs_left\": 1, \"logs_more\": true",
		 "| Artifacts | 0 deleted with their flow runs; of 4 of the 20 deleted flow runs 2 left; cleanup reports stay |\n"
		 "| Logs | looked for those of 4 of the 20 deleted flow runs: at least 1 still have some |\n"},
		{"not known", "\"logs_checked\": 20, \"artifacts_left\": -1", "; whether some are left cannot be told; cleanup reports stay |\n"},
	};

	EACH(row, rows)
	{
		AUTO_TEXT text = {.max = 1000};

		text_addf(&text, "{\"deletion\": {\"deleted\": 20, \"failed\": 0, \"took_ms\": 1, %s}}", row->deletion);
		AUTO_JSON *report = unit_json(text_str(&text));
		AUTO_FREE char *markdown = report_markdown(report);
		CHECK_HAS(row->name, markdown, row->want);
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
	           "\"batch_target_ms\": 1000, \"approval_timeout_s\": 259200, \"ai\": null}");
	AUTO_FREE char *markdown = report_markdown(json);
	CHECK("shown", markdown != NULL && strstr(markdown, "| batches of 5 to 50 flow runs, pauses of 700 to 10000 ms") != NULL);
	report.ended = true;
	AUTO_JSON *ended = report_json(flow.ctx, &report, NULL);
	CHECK("not known", json_is_null(json_object_get(ended, "limits")));
	json_decref(policy.states);
	(void)unit_flow_close(&flow, "limits");
}

UNIT_SUITE("flows/database_cleanup/report", TEST(quotes_any_text), TEST(keeps_a_report_that_knows_more), TEST(says_no_more_than_was_seen),
           TEST(tells_the_limits))
