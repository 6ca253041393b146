/* Which runs make way for a newer one; tests/integration/test_superseded.py sees what the real server makes of it. */
#include "worker/supersede.h"

#include <string.h>

#include "tests/unit/worker/flow_run.h"

#define ID_D "dddddddd-0000-4000-8000-000000000004"
#define KEYSET "\"run_input_keyset\": {\"schema\": \"paused-1-schema\", \"description\": \"paused-1-description\", \"response\": \"paused-1-response\"}"
#define ASKS(time) "{\"type\": \"PAUSED\", \"name\": \"Paused\", \"timestamp\": \"" time "\", \"state_details\": {\"pause_key\": \"1\", " KEYSET "}}"
#define PLAIN(type) "{\"type\": \"" type "\", \"name\": \"x\", \"timestamp\": \"2026-11-21T06:34:21Z\"}"
#define RUN(id, name, type, state, more)                                                                                       \
	"{\"id\": \"" id "\", \"flow_id\": \"" ID_C "\", \"deployment_id\": \"" ID_D "\", \"name\": \"" name "\", \"state_type\": \"" type "\", " \
	"\"state\": " state more "}"
#define OLD RUN(ID_A, "older", "PAUSED", ASKS("2026-11-21T06:00:00Z"), "")
#define NEW RUN(ID_B, "newer", "PAUSED", ASKS("2026-11-21T07:00:00Z"), "")
#define BY_HAND RUN(ID_B, "by hand", "PAUSED", PLAIN("PAUSED"), "")

#define INPUT "/flow_runs/" ID_A "/input"
#define LIST(runs) {.method = "POST", .path = "/flow_runs/filter", .body = ID_D, .reply = {.body = "[" runs "]"}}
#define FORM                                                                              \
	{.method = "POST", .path = INPUT "/filter",                                       \
	 .reply = {.body = "[{\"key\": \"paused-1-schema\", \"value\": \"{\\\"a\\\": 1}\"}]"}}
#define DELETE_SCHEMA {.method = "DELETE", .path = INPUT "/paused-1-schema", .reply = {.status = 204}}
#define PUT_SCHEMA {.method = "POST", .path = INPUT, .body = "{\\\"a\\\":1}", .reply = {.status = 201}}
#define READ(run) {.method = "GET", .path = "/flow_runs/" ID_A, .reply = {.body = run}}
#define CANCEL                                                                                                           \
	{.method = "POST", .path = "/flow_runs/" ID_A "/set_state", .body = "\"message\":\"superseded by newer\"",      \
	 .reply = {.status = 201, .body = "{\"status\": \"ACCEPT\", \"details\": {}, \"state\": " PLAIN("CANCELLED") "}"}}
#define MAX_STEPS 8

static void ends_older_questions(void)
{
	static const struct {
		const char *name;
		struct http_step steps[MAX_STEPS];
		bool ended;
	} rows[] = {
		{"it still asks", {LIST(OLD "," NEW), FORM, DELETE_SCHEMA, READ(OLD), CANCEL}, true},
		{"it was answered before its form was gone",
		 {LIST(OLD "," NEW), FORM, DELETE_SCHEMA, READ(RUN(ID_A, "older", "RUNNING", PLAIN("RUNNING"), "")), DELETE_SCHEMA, PUT_SCHEMA}, false},
		{"it ended before", {LIST(OLD "," NEW), FORM, DELETE_SCHEMA, READ(RUN(ID_A, "older", "FAILED", PLAIN("FAILED"), ""))}, false},
		{"it was deleted before",
		 {LIST(OLD "," NEW), FORM, DELETE_SCHEMA, {.method = "GET", .path = "/flow_runs/" ID_A, .reply = GONE}}, false},
		{"alone", {LIST(OLD)}, false},
		{"beside a run that somebody paused by hand", {LIST(OLD "," BY_HAND)}, false},
	};

	EACH(row, rows)
	{
		struct unit_flow flow;
		struct error err;

		unit_flow_open_steps(&flow, row->steps, MAX_STEPS, NULL, NULL);
		CHECK_RC(row->name, supersede_older(&flow.worker, flow.prefect, ID_D, &err), 0, &err);
		CHECK_INT(row->name, unit_flow_logged(&flow, "superseded by newer"), row->ended);
		(void)unit_flow_close(&flow, row->name);
	}
}

#define WAITS(name, at) \
	"{\"type\": \"SCHEDULED\", \"name\": \"" name "\", \"timestamp\": \"2026-11-01T00:00:00Z\"}", \
	", \"state_name\": \"" name "\", \"expected_start_time\": \"" at "\""
#define SCHEDULED(id, run_name, ...) SCHEDULED_(id, run_name, __VA_ARGS__)
#define SCHEDULED_(id, run_name, state, more) RUN(id, run_name, "SCHEDULED", state, more)
#define LATE SCHEDULED(ID_A, "older", WAITS("Late", "2020-11-01T02:00:00Z"))
#define LATER SCHEDULED(ID_B, "newer", WAITS("Scheduled", "2020-11-02T02:00:00Z"))
#define RETRIED SCHEDULED(ID_A, "older", WAITS("AwaitingRetry", "2020-11-01T02:00:00Z"))
#define RESUMING SCHEDULED(ID_A, "older", WAITS("Resuming", "2020-11-01T02:00:00Z"))

static void makes_way_for_a_newer_run(void)
{
	static const struct {
		const char *name, *run;
		struct http_step steps[MAX_STEPS];
		bool superseded;
	} rows[] = {
		{"a newer one is due", LATE, {LIST(LATER "," LATE), READ(LATE), CANCEL}, true},
		{"it is the newest", LATE, {LIST(LATE)}, false},
		{"it was claimed meanwhile", LATE, {LIST(LATER), READ(RUN(ID_A, "older", "PENDING", PLAIN("PENDING"), ""))}, false},
		{"the newer one comes later",
		 LATE, {LIST(SCHEDULED(ID_B, "newer", WAITS("Scheduled", "2020-11-02T02:00:00Z\", \"next_scheduled_start_time\": \"2999-01-01T00:00:00Z")))}, false},
		{"a retry", RETRIED, {{0}}, false},
		{"goes on after a pause", RESUMING, {{0}}, false},
		{"no deployment", "{\"id\": \"" ID_A "\", \"flow_id\": \"" ID_C "\", \"name\": \"older\", \"state_type\": \"SCHEDULED\", \"state_name\": "
		 "\"Late\", \"expected_start_time\": \"2020-11-01T02:00:00Z\"}", {{0}}, false},
	};

	EACH(row, rows)
	{
		AUTO_JSON *json = unit_json(row->run);
		struct unit_flow flow;
		struct flow_run run;
		struct error err;
		bool superseded = false;

		unit_flow_open_steps(&flow, row->steps, MAX_STEPS, NULL, NULL);
		if (CHECK_RC(row->name, flow_run_decode(json, &run, &err), 0, &err)) {
			CHECK_RC(row->name, supersede_late(&flow.worker, flow.prefect, &run, &superseded, &err), 0, &err);
			flow_run_release(&run);
		}
		CHECK_INT(row->name, superseded, row->superseded);
		(void)unit_flow_close(&flow, row->name);
	}
}

static void tells_whether_a_newer_question_is_open(void)
{
	static const struct {
		const char *name, *asked_at;
		struct http_step steps[MAX_STEPS];
		bool due;
	} rows[] = {
		{"a newer one", "2026-11-21T06:00:00Z", {LIST(OLD "," NEW)}, true},
		{"an older one", "2026-11-21T08:00:00Z", {LIST(OLD "," NEW)}, false},
		{"itself alone", "2026-11-21T06:00:00Z", {LIST(OLD)}, false},
		{"one that asks nothing", "2026-11-21T06:00:00Z", {LIST(OLD "," BY_HAND)}, false},
	};

	EACH(row, rows)
	{
		AUTO_JSON *state = json_pack("{s:s}", "timestamp", row->asked_at);
		struct unit_flow flow;
		struct error err;
		bool due = false;

		unit_flow_open_steps(&flow, row->steps, MAX_STEPS, NULL, NULL);
		CHECK_RC(row->name, supersede_is_due(flow.prefect, ID_A, ID_D, state, &due, &err), 0, &err);
		CHECK_INT(row->name, due, row->due);
		(void)unit_flow_close(&flow, row->name);
	}
}

UNIT_SUITE("worker/supersede", TEST(ends_older_questions), TEST(makes_way_for_a_newer_run), TEST(tells_whether_a_newer_question_is_open))
