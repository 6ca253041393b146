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
		if (CHECK_RC(row->name, history_read(api.prefect, row->limit, &reports, &err), 0, &err))
			CHECK_INT(row->name, json_array_size(reports), row->there < row->limit ? row->there : row->limit);
		CHECK_INT(row->name, api_close(&api, row->name), row->requests);
	}
}

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
	if (CHECK_RC("unreadable", history_read(api.prefect, 20, &reports, &err), 0, &err))
		CHECK_JSON("unreadable", reports,
		           "[{\"artifact_id\": \"" ID_A "\", \"flow_run_id\": \"" ID_B "\", \"unreadable\": \"it is no text\"},"
		           " {\"artifact_id\": \"" ID_C "\", \"flow_run_id\": \"\", \"unreadable\": \"it has no block for programs\"}]");
	(void)api_close(&api, "unreadable");
}

UNIT_SUITE("cli/history", TEST(parses_reports), TEST(reads_as_many_as_wanted), TEST(tells_what_it_cannot_read))
