/* The question, and its answer. */
#include <string.h>

#include "tests/unit/worker/flow_steps.h"

#define ASKING                                                                                              \
	{.method = "DELETE", .path = INPUT "/paused-3-response", .reply = GONE},                            \
	{.method = "GET", .path = INPUT "/paused-3-response", .reply = GONE},                               \
	{.method = "DELETE", .path = INPUT "/paused-3-schema", .reply = GONE},                              \
	{.method = "POST", .path = INPUT, .body = "\"key\":\"paused-3-schema\",\"value\":\"{}\"", .reply = {.status = 201}}, \
	{.method = "DELETE", .path = INPUT "/paused-3-description", .reply = GONE},                         \
	{.method = "POST", .path = INPUT, .body = "\"value\":\"\\\"# Text\\\"\"", .reply = {.status = 201}}, \
	LOOK("RUNNING", "")
#define PAUSING                                                                                             \
	.method = "POST", .path = SET_STATE,                                                                \
	.body = "\"message\":\"7 things; waiting for an approval until 1970-01-01 01:00:00 UTC\",\"data\":null,\"state_details\":{" \
	        "\"pause_timeout\":\"1970-01-01T01:00:00Z\",\"pause_key\":\"3\",\"pause_reschedule\":false," \
	        "\"run_input_keyset\":{\"schema\":\"paused-3-schema\",\"description\":\"paused-3-description\"," \
	        "\"response\":\"paused-3-response\"}"
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
	} rows[] = {
		{"paused", {ASKING, {PAUSING, .reply = ANSWER("ACCEPT", STATE("PAUSED"), "{}")}}, 0, FLOW_PARKED},
		{"refused",
		 {ASKING, {PAUSING, .reply = REFUSED}, {.method = "GET", .path = HISTORY, .reply = {.body = "[]"}}}, ERR_CONFLICT,
		 FLOW_LEFT},
		{"the form is refused",
		 {{.method = "DELETE", .reply = GONE}, {.method = "GET", .reply = GONE}, {.method = "DELETE", .reply = GONE},
		  {.method = "POST", .path = INPUT, .reply = {.status = 400}}}, ERR_INVALID, FLOW_LEFT},
		{"paused and resumed already",
		 {ASKING, {PAUSING, .reply = REFUSED}, {.method = "GET", .path = HISTORY, .reply = {.body = WAS_ASKED}}}, 0, FLOW_LEFT},
	};
	static const struct question third = {.number = 3};
	AUTO_JSON *schema = unit_json("{}");
	const struct flow_form form = {.schema = schema, .description = "# Text", .summary = "7 things", .timeout_s = 3600};

	EACH(row, rows)
	{
		struct unit_flow flow;
		enum flow_outcome outcome = FLOW_LEFT;
		struct error err;

		unit_flow_open_steps(&flow, row->steps, COUNT_OF(row->steps), NULL, &third);
		unit_clock_ms = 0;
		unit_clock_step_ms = 0;
		clock_fake(NULL, unit_now_us);
		CHECK_RC(row->name, flow_ask(flow.ctx, &form, &outcome, &err), row->rc, &err);
		CHECK_INT(row->name, outcome, row->outcome);
		clock_fake(NULL, NULL);
		(void)unit_flow_close(&flow, row->name);
	}
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
