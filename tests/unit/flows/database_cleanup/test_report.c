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

UNIT_SUITE("flows/database_cleanup/report", TEST(quotes_any_text))
