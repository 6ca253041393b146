/* Reports as they are read again; anybody can write an artifact of that key. */
#include "cli/history.h"
#include "flows/database_cleanup/report.h"

#include <stdio.h>
#include <string.h>

#include "client/base/text.h"
#include "tests/unit/api.h"

static void parses_reports(void)
{
	static const struct {
		const char *name, *markdown;
		int rc;
		const char *want; /* the outcome, or what the error says */
	} rows[] = {
		{"a report", "# Cleanup report\n\n```json\n{\"version\": 1, \"outcome\": \"completed\"}\n```\n", 0, "completed"},
		{"the last block counts",
		 "x\n```json\n{\"version\": 1, \"outcome\": \"forged\"}\n```\n\n```json\n{\"version\": 1, \"outcome\": \"rejected\"}\n```\n", 0,
		 "rejected"},
		{"no end of line after it", "\n```json\n{\"version\": 1, \"outcome\": \"failed\"}\n```", 0, "failed"},
		{"empty", "", ERR_DECODE, "no block"},
		{"no block", "# Cleanup report\n", ERR_DECODE, "no block"},
		{"no end", "\n```json\n{\"version\": 1, \"outcome\": \"failed\"}\n", ERR_DECODE, "no block"},
		{"not JSON", "\n```json\n{\"version\": 1\n```\n", ERR_DECODE, ""},
		{"no object", "\n```json\n[1]\n```\n", ERR_DECODE, "version 0"},
		{"of a later program", "\n```json\n{\"version\": 2, \"outcome\": \"completed\"}\n```\n", ERR_DECODE, "version 2"},
		{"no outcome", "\n```json\n{\"version\": 1, \"outcome\": 5}\n```\n", ERR_DECODE, "how the run ended"},
	};

	EACH(row, rows)
	{
		AUTO_JSON *report = NULL;
		struct error err = {0};

		CHECK_RC(row->name, report_parse(row->markdown, &report, &err), row->rc, &err);
		if (row->rc == 0)
			CHECK_STR(row->name, json_string_value(json_object_get(report, "outcome")), row->want);
		else
			CHECK_HAS(row->name, err.text, row->want);
	}
}

/* A page of @count reports as the server tells them. The caller frees it. */
static char *page(int count)
{
	struct text text = {.max = 1024 * 1024};

	text_addf(&text, "[");
	for (int i = 0; i < count; i++)
		text_addf(&text, "%s{\"id\": \"" ID_A "\", \"flow_run_id\": \"" ID_B "\", \"data\": "
		          "\"\\n```json\\n{\\\"version\\\": 1, \\\"outcome\\\": \\\"completed\\\"}\\n```\\n\"}", i > 0 ? ", " : "");
	text_addf(&text, "]");
	return text_take(&text);
}

static void reads_as_many_as_wanted(void)
{
	static const struct {
		const char *name;
		int64_t limit;
		int there;
		size_t requests;
	} rows[] = {
		{"none", 20, 0, 1},      {"few", 20, 3, 1},          {"as many as wanted", 20, 20, 1},
		{"a page", 200, 200, 1}, {"several", 450, 450, 3},   {"fewer than wanted", 450, 230, 2},
	};

	EACH(row, rows)
	{
		struct http_step steps[3] = {{0}};
		char bodies[3][40];
		int left = row->there < row->limit ? row->there : (int)row->limit;
		struct api api;
		AUTO_JSON *reports = NULL;
		struct error err;

		for (size_t i = 0; i < row->requests; i++) {
			int64_t wanted = row->limit - (int64_t)i * 200;
			int asked = wanted < 200 ? (int)wanted : 200;
			int given = left < asked ? left : asked;

			(void)snprintf(bodies[i], sizeof bodies[i], "\"limit\":%d", asked);
			steps[i] = (struct http_step){.method = "POST", .path = "/artifacts/filter", .body = bodies[i],
			                              .reply = {.owned = page(given)}};
			left -= given;
		}
		api_open(&api, steps, row->requests);
		if (CHECK_RC(row->name, history_read(api.prefect, NULL, row->limit, &reports, &err), 0, &err))
			CHECK_INT(row->name, json_array_size(reports), row->there < row->limit ? row->there : row->limit);
		CHECK_INT(row->name, api_close(&api, row->name), row->requests);
	}
}

#define NOTHING_KNOWN                                                                                              \
	"\"version\": null, \"outcome\": null, \"message\": null, \"worker\": null, \"worker_version\": null, "             \
	"\"finished_at\": null, \"policy\": null, \"limits\": null, \"plan\": null, \"decision\": null, \"flows\": null, \"flows_left_out\": null"
#define THE_REST_UNKNOWN                                                                                              \
	"\"remaining\": null, \"gone\": null, \"given_up\": null, \"took_ms\": null, \"runs_per_second\": null, "             \
	"\"artifacts_deleted\": null, \"artifacts_left\": null, \"logs_checked\": null, \"logs_left\": null, \"logs_more\": null, \"counted\": null"
#define NOTHING_COUNTED "\"deleted\": null, \"failed\": null, \"failed_ids\": null, " THE_REST_UNKNOWN
#define WHOLE(artifacts_left)                                                                                          \
	"\"deleted\": 4, \"failed\": 1, \"failed_ids\": [\"" ID_C "\"], \"remaining\": 1, \"gone\": 0, \"given_up\": false, "     \
	"\"took_ms\": 5, \"runs_per_second\": 2.5, \"artifacts_deleted\": 3, \"artifacts_left\": " #artifacts_left ", "             \
	"\"logs_checked\": 4, \"logs_left\": 0, \"logs_more\": false, \"counted\": true"

/* What cannot be read is there all the same. */
static void tells_what_it_cannot_read(void)
{
	static const struct http_step steps[] = {
		{.method = "POST", .path = "/artifacts/filter", .body = "cleanup-report",
		 .reply = {.body = "[{\"id\": \"" ID_A "\", \"flow_run_id\": \"" ID_B "\", \"data\": {\"a\": 1}},"
		                   " {\"id\": \"" ID_C "\", \"flow_run_id\": null, \"data\": \"words\"}]"}},
	};
	struct api api;
	AUTO_JSON *reports = NULL;
	struct error err;

	api_open(&api, steps, COUNT_OF(steps));
	if (CHECK_RC("unreadable", history_read(api.prefect, NULL, 20, &reports, &err), 0, &err))
		CHECK_JSON("unreadable", reports,
		           "[{" NOTHING_KNOWN ", \"deletion\": {" NOTHING_COUNTED "}, \"artifact_id\": \"" ID_A "\", \"flow_run_id\": \"" ID_B
		           "\", \"unreadable\": \"it is no text\"},"
		           " {" NOTHING_KNOWN ", \"deletion\": {" NOTHING_COUNTED "}, \"artifact_id\": \"" ID_C "\", \"flow_run_id\": null, "
		           "\"unreadable\": \"it has no block for programs\"}]");
	(void)api_close(&api, "unreadable");
}

/* @deletion as the report has it, and as it is told: the same keys, whatever became of the run. */
static void tells_deletions_in_one_shape(void)
{
	static const struct {
		const char *name, *deletion, *want;
	} rows[] = {
		{"nothing was deleted", ", \"deletion\": null", "{\"deleted\": 0, \"failed\": 0, \"failed_ids\": [], " THE_REST_UNKNOWN "}"},
		{"stopped on the way", ", \"deletion\": {\"deleted\": 40}",
		 "{\"deleted\": 40, \"failed\": null, \"failed_ids\": null, " THE_REST_UNKNOWN "}"},
		{"stopped, and the server did not answer", ", \"deletion\": {\"deleted\": -1}", "{" NOTHING_COUNTED "}"},
		{"the whole", ", \"deletion\": {" WHOLE(2) "}", "{" WHOLE(2) "}"},
		{"artifacts cannot be told", ", \"deletion\": {" WHOLE(-1) "}", "{" WHOLE(null) "}"},
		{"not said", "", "{" NOTHING_COUNTED "}"},
		{"no object", ", \"deletion\": 7", "{" NOTHING_COUNTED "}"},
	};

	EACH(row, rows)
	{
		AUTO_TEXT block = {.max = 4096};
		struct api api;
		AUTO_JSON *reports = NULL;
		struct error err;

		text_addf(&block, "\n```json\n{\"version\": 1, \"outcome\": \"x\"%s}\n```\n", row->deletion);
		AUTO_JSON *list = json_pack("[{s:s, s:s, s:s}]", "id", ID_A, "flow_run_id", ID_B, "data", text_str(&block));
		AUTO_FREE char *body = json_write(list, 0);
		const struct http_step step = {.method = "POST", .path = "/artifacts/filter",
		                               .body = "{\"key\":{\"any_\":[\"cleanup-report\"]},\"flow_run_id\":{\"any_\":[\"" ID_B "\"]}}",
		                               .reply = {.body = body}};
		api_open(&api, &step, 1);
		if (CHECK_RC(row->name, history_read(api.prefect, ID_B, 1, &reports, &err), 0, &err))
			CHECK_JSON(row->name, json_object_get(json_array_get(reports, 0), "deletion"), row->want);
		(void)api_close(&api, row->name);
	}
}

UNIT_SUITE("cli/history", TEST(parses_reports), TEST(reads_as_many_as_wanted), TEST(tells_what_it_cannot_read),
           TEST(tells_deletions_in_one_shape))
