/* The question, and its answer. */
#include <string.h>

#include "client/base/text.h"
#include "tests/unit/worker/flow_steps.h"

#define ASKING                                                                                              \
	{.method = "DELETE", .path = INPUT "/paused-3-response", .reply = GONE},                            \
	{.method = "GET", .path = INPUT "/paused-3-response", .reply = GONE},                               \
	LOOK("RUNNING", "")
#define DESCRIBING \
	{.method = "POST", .path = INPUT, .body = "\"key\":\"paused-3-description\",\"value\":\"\\\"# Text\\\"\"", .reply = {.status = 201}}
#define STORING \
	{.method = "POST", .path = INPUT, .body = "\"key\":\"paused-3-schema\",\"value\":\"{}\"", .reply = {.status = 201}}
#define INPUT_OF(part, value) "{\"key\": \"paused-3-" part "\", \"value\": \"" value "\"}"
#define READING(inputs) \
	{.method = "POST", .path = INPUT "/filter", .body = "\"prefix\":\"paused-3-\"", .reply = {.body = "[" inputs "]"}}
#define THE_FORM INPUT_OF("schema", "{}") "," INPUT_OF("description", "\\\"# Text\\\"")
#define PAUSING                                                                                             \
	.method = "POST", .path = SET_STATE,                                                                \
	.body = "\"message\":\"7 things; waiting for an approval until 1970-01-01 01:00:00 UTC\",\"data\":null,\"state_details\":{" \
	        "\"pause_timeout\":\"1970-01-01T01:00:00Z\",\"pause_key\":\"3\",\"pause_reschedule\":false," \
	        "\"run_input_keyset\":{\"schema\":\"paused-3-schema\",\"description\":\"paused-3-description\"," \
	        "\"response\":\"paused-3-response\"}"
#define PAUSED_NOW ANSWER("ACCEPT", STATE("PAUSED"), "{}")
#define HISTORY "/flow_run_states/?flow_run_id=" OWN_ID
#define WAS_ASKED                                                                                                          \
	"[{\"type\": \"PAUSED\", \"name\": \"Paused\", \"timestamp\": \"2026-11-21T06:34:21Z\", \"state_details\": {\"pause_key\": " \
	"\"3\", \"run_input_keyset\": {\"schema\": \"paused-3-schema\"}}}]"

static void asks_a_person(void)
{
	static const struct {
		const char *name;
		struct http_step steps[11];
		int rc;
		enum flow_outcome outcome;
		bool stored;
	} rows[] = {
		{"paused", {ASKING, {PAUSING, .reply = PAUSED_NOW}, DESCRIBING, STORING, READING(THE_FORM)}, 0, FLOW_PARKED, true},
		{"refused",
		 {ASKING, {PAUSING, .reply = REFUSED}, {.method = "GET", .path = HISTORY, .reply = {.body = "[]"}}}, ERR_CONFLICT,
		 FLOW_LEFT, false},
		{"the form is refused",
		 {ASKING, {PAUSING, .reply = PAUSED_NOW}, {.method = "POST", .path = INPUT, .reply = {.status = 400}}}, 0, FLOW_PARKED, false},
		{"half of it is refused",
		 {ASKING, {PAUSING, .reply = PAUSED_NOW}, DESCRIBING, {.method = "POST", .path = INPUT, .reply = {.status = 400}}}, 0,
		 FLOW_PARKED, false},
		{"not what was stored",
		 {ASKING, {PAUSING, .reply = PAUSED_NOW}, DESCRIBING, STORING, READING(INPUT_OF("schema", "{}"))}, 0, FLOW_PARKED, false},
		{"one of an earlier try is there",
		 {ASKING, {PAUSING, .reply = PAUSED_NOW}, {.method = "POST", .path = INPUT, .reply = {.status = 409}},
		  {.method = "GET", .path = INPUT "/paused-3-description", .reply = {.body = "\"# Other\""}},
		  {.method = "DELETE", .path = INPUT "/paused-3-description", .reply = {.status = 204}}, DESCRIBING, STORING,
		  READING(THE_FORM)}, 0, FLOW_PARKED, true},
		{"paused and resumed already",
		 {ASKING, {PAUSING, .reply = REFUSED}, {.method = "GET", .path = HISTORY, .reply = {.body = WAS_ASKED}}}, 0, FLOW_LEFT,
		 false},
	};
	static const struct question third = {.number = 3};
	struct flow_form form = {.schema = unit_json("{}"), .description = text_dup("# Text")};
	const struct flow_question question = {.form = &form, .summary = "7 things", .until = 3600 * US_PER_SEC};

	EACH(row, rows)
	{
		struct unit_flow flow;
		enum flow_outcome outcome = FLOW_LEFT;
		struct error err;

		unit_flow_open_steps(&flow, row->steps, COUNT_OF(row->steps), NULL, &third);
		unit_clock_ms = 0;
		unit_clock_step_ms = 0;
		clock_fake(NULL, unit_now_us);
		CHECK_RC(row->name, flow_ask(flow.ctx, &question, &outcome, &err), row->rc, &err);
		CHECK_INT(row->name, outcome, row->outcome);
		CHECK_INT(row->name, flow_ctx_form(flow.ctx).print != 0, row->stored);
		CHECK_INT(row->name, flow_ctx_form(flow.ctx).number, row->stored ? 3 : 0);
		clock_fake(NULL, NULL);
		(void)unit_flow_close(&flow, row->name);
	}
	flow_form_release(&form);
}

static void reads_the_answer(void)
{
	static const struct {
		const char *name;
		struct http_step steps[2];
		int rc;
		const char *description;
	} rows[] = {
		{"both", {{.method = "GET", .path = INPUT "/paused-2-response", .reply = {.body = "{\"approve\": true}"}},
		          {.method = "GET", .path = INPUT "/paused-2-description", .reply = {.body = "\"# Text\""}}}, 0, "# Text"},
		{"no description", {{.method = "GET", .reply = {.body = "{\"approve\": true}"}}, {.method = "GET", .reply = GONE}}, 0, NULL},
		{"a description that is no text",
		 {{.method = "GET", .reply = {.body = "{\"approve\": true}"}}, {.method = "GET", .reply = {.body = "7"}}}, 0, NULL},
		{"no answer", {{.method = "GET", .reply = GONE}}, ERR_NOT_FOUND, NULL},
		{"not allowed to see the description",
		 {{.method = "GET", .reply = {.body = "{}"}}, {.method = "GET", .reply = {.status = 401}}}, ERR_AUTH, NULL},
	};
	static const struct question second = {.asked = true, .number = 2};

	EACH(row, rows)
	{
		struct unit_flow flow;
		struct error err;
		json_t *answer = NULL;
		char *description = NULL;

		unit_flow_open(&flow, http_server_script(row->steps, row->steps[1].method != NULL ? 2 : 1), NULL, &second);
		CHECK_RC(row->name, flow_answer(flow.ctx, &answer, &description, &err), row->rc, &err);
		CHECK_STR(row->name, description, row->description);
		if (row->rc == 0)
			CHECK_JSON(row->name, answer, "{\"approve\": true}");
		json_decref(answer);
		free(description);
		(void)unit_flow_close(&flow, row->name);
	}
}

UNIT_SUITE("worker/flow_ask", TEST(asks_a_person), TEST(reads_the_answer))
