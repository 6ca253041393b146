/* What a flow body is given: variables, checkpoints, the look at its own state, the question, the end. */
#include <string.h>

#include "tests/unit/worker/flow_run.h"

#define LOOK(type, more) {.method = "GET", .path = "/flow_runs/" OWN_ID, .reply = {.body = OWN_RUN(type, more)}}
#define LOOK_LABELLED(type, labels) \
	{.method = "GET", .path = "/flow_runs/" OWN_ID, .reply = {.body = RUN_LABELLED(type, labels, "")}}
#define INPUT "/flow_runs/" OWN_ID "/input"
#define TAKINGS(list) {.method = "POST", .path = INPUT "/filter", .reply = {.body = "[" list "]"}}
#define TAKING(number, instance)                                                                                 \
	"{\"key\": \"janitor-owner-" number "\", \"value\": \"{\\\"worker\\\": \\\"me\\\", \\\"instance\\\": \\\"" instance \
	"\\\", \\\"progress\\\": \\\"x\\\"}\"}"
#define OURS(number) TAKING(number, OWN_INSTANCE)
#define THEIRS(number) TAKING(number, ID_A)
#define OTHERS THEIRS("1")
#define LET_GO(number) "{\"key\": \"janitor-owner-" number "-let-go\", \"value\": \"{}\"}"
#define SET_STATE "/flow_runs/" OWN_ID "/set_state"
#define ANSWER(verdict, new_state, why) \
	{.status = 201, .body = "{\"status\": \"" verdict "\", \"state\": " new_state ", \"details\": " why "}"}
#define STATE(type) "{\"type\": \"" type "\", \"name\": \"x\", \"timestamp\": \"2026-11-21T06:34:21Z\"}"

/* Opens @flow over the steps up to the first without a method. */
static void open_steps(struct unit_flow *flow, const struct http_step *steps, size_t max, const char *run)
{
	size_t count = 0;

	while (count < max && steps[count].method != NULL)
		count++;
	unit_flow_open(flow, http_server_script(steps, count), run, NULL);
}

static void reads_job_variables(void)
{
	static const struct {
		const char *name;
		const char *value;
		int64_t want;
		bool warns;
	} rows[] = {
		{"within", "50", 50, false},
		{"the least", "10", 10, false},
		{"the most", "99", 99, false},
		{"a fraction is cut", "50.9", 50, false},
		{"too little", "9", 10, true},
		{"too much", "100", 99, true},
		{"negative", "-1", 10, true},
		{"far too much", "1e300", 99, true},
		{"far too little", "-1e300", 10, true},
		{"text", "\"50\"", 42, true},
		{"a boolean", "true", 42, true},
		{"null", "null", 42, false},
	};

	EACH(row, rows)
	{
		struct unit_flow flow;
		char run[512];

		(void)snprintf(run, sizeof run, OWN_RUN("RUNNING", ", \"job_variables\": {\"v\": %s}"), row->value);
		open_steps(&flow, NULL, 0, run);
		CHECK_INT(row->name, flow_job_variable(flow.ctx, "v", 42, 10, 99), row->want);
		CHECK_INT(row->name, unit_flow_logged(&flow, "job variable 'v' is not a number from 10 to 99"), row->warns);
		CHECK_INT(row->name, flow_job_variable(flow.ctx, "other", 42, 10, 99), 42);
		(void)unit_flow_close(&flow, row->name);
	}
}

static void knows_its_run(void)
{
	struct unit_flow flow;

	const struct question asked = {.asked = true, .number = 7};

	unit_flow_open(&flow, http_server_script(NULL, 0), OWN_RUN("RUNNING", ", \"parameters\": {\"config\": null}"), &asked);
	CHECK_STR("id", flow_run_id(flow.ctx), OWN_ID);
	CHECK_JSON("parameters", flow_parameters(flow.ctx), "{\"config\": null}");
	CHECK_INT("running since", flow_running_since(flow.ctx), INT64_C(1795242861) * US_PER_SEC);
	CHECK("was asked", flow_was_asked(flow.ctx));
	CHECK("nothing halts", !flow_halted(flow.ctx) && flow_wait(flow.ctx, 0));
	flow_log(flow.ctx, LOG_LEVEL_INFO, "two\nlines of %d", 7);
	CHECK("one line", unit_flow_logged(&flow, "two?lines of 7"));
	flow_show(flow.ctx, "two\nlines");
	CHECK("logged as it is", unit_flow_logged(&flow, "two\nlines"));
	(void)unit_flow_close(&flow, "run");

	open_steps(&flow, NULL, 0, NULL);
	CHECK("was not asked", !flow_was_asked(flow.ctx));
	(void)unit_flow_close(&flow, "run");
}

static void goes_on_only_while_running(void)
{
	static const struct {
		const char *name;
		struct http_step steps[5];
		bool goes_on;
		enum flow_outcome outcome; /* of flow_halt() */
	} rows[] = {
		{"running", {LOOK("RUNNING", "")}, true, FLOW_DONE},
		{"taken by another worker", {LOOK_LABELLED("RUNNING", LABELS("you", OWN_INSTANCE)), TAKINGS(OTHERS), TAKINGS(OTHERS)},
		 false, FLOW_DONE},
		{"by another process of the same name", {LOOK_LABELLED("RUNNING", LABELS("me", ID_A)), TAKINGS(OTHERS), TAKINGS(OTHERS)},
		 false, FLOW_DONE},
		{"by another process, after us",
		 {LOOK_LABELLED("RUNNING", LABELS("me", ID_A)), TAKINGS(OURS("1") "," THEIRS("2")), TAKINGS(OURS("1") "," THEIRS("2")),
		  {.method = "POST", .path = INPUT, .body = "janitor-owner-1-let-go", .reply = {.status = 201}}},
		 false, FLOW_DONE},
		{"by another process, after us, as was noted before",
		 {LOOK_LABELLED("RUNNING", LABELS("me", ID_A)), TAKINGS(OURS("1") "," THEIRS("2")),
		  TAKINGS(OURS("1") "," THEIRS("2") "," LET_GO("1"))},
		 false, FLOW_DONE},
		{"by nobody", {LOOK_LABELLED("RUNNING", "{}"), TAKINGS(""), TAKINGS("")}, false, FLOW_DONE},
		{"ours, but the labels did not arrive",
		 {LOOK_LABELLED("RUNNING", "null"), TAKINGS(THEIRS("1") "," OURS("2")), {.method = "GET", .path = "/work_pools/p",
		  .reply = {.body = "{\"id\": \"" ID_A "\", \"name\": \"p\", \"type\": \"janitor\"}"}},
		  {.method = "PATCH", .path = "/flow_runs/" OWN_ID "/labels", .body = OWN_INSTANCE, .reply = {.status = 204}},
		  {.method = "PATCH", .path = "/flow_runs/" OWN_ID, .reply = {.status = 204}}},
		 true, FLOW_DONE},
		{"paused from outside", {LOOK("PAUSED", "")}, false, FLOW_PARKED},
		{"failed by the server", {LOOK("FAILED", "")}, false, FLOW_DONE},
		{"a state of the future", {LOOK("DREAMING", "")}, false, FLOW_DONE},
		{"deleted", {{.method = "GET", .reply = GONE}}, false, FLOW_DONE},
	};

	EACH(row, rows)
	{
		struct unit_flow flow;

		open_steps(&flow, row->steps, COUNT_OF(row->steps), NULL);
		flow.settings.pool = (char[]){"p"};
		CHECK_INT(row->name, flow_may_go_on(flow.ctx), row->goes_on);
		CHECK_INT(row->name, flow_halted(flow.ctx), !row->goes_on);
		if (!row->goes_on)
			CHECK_INT(row->name, flow_halt(flow.ctx, "nothing was deleted"), row->outcome);
		(void)unit_flow_close(&flow, row->name);
	}
}

/* One question, which waits nothing out and decides nothing that it cannot tell. */
static void glances_at_the_run(void)
{
	static const struct {
		const char *name;
		struct http_step step;
		bool goes_on;
		bool cancelling;
	} rows[] = {
		{"running", LOOK("RUNNING", ""), true, false},
		{"being cancelled", LOOK("CANCELLING", ""), false, true},
		{"failed by the server", LOOK("FAILED", ""), false, false},
		{"the server is busy", {.method = "GET", .reply = {.status = 503}}, true, false},
		{"no answer", {.method = "GET", .reply = {.trick = TRICK_CLOSE}}, true, false},
		{"deleted, maybe", {.method = "GET", .reply = GONE}, true, false},
	};

	EACH(row, rows)
	{
		struct unit_flow flow;

		open_steps(&flow, &row->step, 1, NULL);
		flow.settings.pool = (char[]){"p"};
		CHECK_INT(row->name, flow_glance(flow.ctx), row->goes_on);
		CHECK_INT(row->name, flow_halted(flow.ctx), !row->goes_on);
		CHECK_INT(row->name, flow_cancelling(flow.ctx), row->cancelling);
		(void)unit_flow_close(&flow, row->name);
	}
}

static void stops_with_the_worker(void)
{
	static const struct http_step let_go[] = {
		TAKINGS(OURS("1")), {.method = "POST", .path = INPUT, .body = "janitor-owner-1-let-go", .reply = {.status = 201}}};
	struct unit_flow flow;
	struct error err = {.code = ERR_TRANSPORT};

	open_steps(&flow, let_go, COUNT_OF(let_go), NULL);
	stop_ask(&flow.worker.stop);
	CHECK("look", !flow_may_go_on(flow.ctx));
	CHECK("wait", !flow_wait(flow.ctx, 3600000));
	CHECK("retry", !flow_retry(flow.ctx, &err));
	CHECK_INT("left as it is", flow_halt(flow.ctx, "nothing was deleted"), FLOW_LEFT);
	(void)unit_flow_close(&flow, "stop");
}

static void does_not_retry_what_cannot_be_cured(void)
{
	static const int rows[] = {ERR_INVALID, ERR_HTTP, ERR_NOT_FOUND, ERR_CONFLICT};

	EACH(row, rows)
	{
		struct unit_flow flow;
		struct error err = {.code = *row};

		open_steps(&flow, NULL, 0, NULL);
		CHECK("no retry", !flow_retry(flow.ctx, &err) && !flow_halted(flow.ctx));
		(void)unit_flow_close(&flow, "no retry");
	}
}

static void writes_checkpoints(void)
{
	static const struct {
		const char *name;
		struct http_step steps[4];
		int rc;
	} rows[] = {
		{"new",
		 {{.method = "DELETE", .path = INPUT "/k", .reply = GONE},
		  {.method = "POST", .path = INPUT, .body = "{\\\"a\\\":1}", .reply = {.status = 201}}}, 0},
		{"a lost answer, repeated",
		 {{.method = "DELETE", .reply = {.status = 204}},
		  {.method = "POST", .reply = {.status = 409}},
		  {.method = "GET", .path = INPUT "/k", .reply = {.body = "{\"a\":1}"}}}, 0},
		{"somebody else's",
		 {{.method = "DELETE", .reply = {.status = 204}},
		  {.method = "POST", .reply = {.status = 409}},
		  {.method = "GET", .reply = {.body = "{\"a\":2}"}}}, ERR_CONFLICT},
		{"gone again",
		 {{.method = "DELETE", .reply = {.status = 204}},
		  {.method = "POST", .reply = {.status = 409}},
		  {.method = "GET", .reply = GONE}}, ERR_NOT_FOUND},
	};
	AUTO_JSON *value = unit_json("{\"a\": 1}");

	EACH(row, rows)
	{
		struct unit_flow flow;
		struct error err;

		open_steps(&flow, row->steps, COUNT_OF(row->steps), NULL);
		CHECK_RC(row->name, flow_checkpoint_write(flow.ctx, "k", value, &err), row->rc, &err);
		(void)unit_flow_close(&flow, row->name);
	}
}

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
#define REFUSED ANSWER("ABORT", "null", "{\"reason\": \"no\"}")
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
		size_t count = 0;

		while (count < COUNT_OF(row->steps) && row->steps[count].method != NULL)
			count++;
		unit_flow_open(&flow, http_server_script(row->steps, count), NULL, &third);
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

static void proposes_the_end(void)
{
	static const struct {
		const char *name;
		struct http_step steps[4];
		enum flow_outcome outcome;
	} rows[] = {
		{"completed with a result",
		 {LOOK("RUNNING", ""),
		  {.method = "POST", .path = SET_STATE,
		   .body = "{\"type\":\"COMPLETED\",\"name\":\"Completed\",\"message\":\"done\",\"data\":{\"n\":1}",
		   .reply = ANSWER("ACCEPT", STATE("COMPLETED"), "{}")}}, FLOW_DONE},
		{"not over the head of a cancellation",
		 {LOOK("CANCELLING", ""),
		  {.method = "POST", .body = "\"type\":\"CANCELLED\",\"name\":\"Cancelled\",\"message\":\"cancelled: done\"",
		   .reply = ANSWER("ACCEPT", STATE("CANCELLED"), "{}")}}, FLOW_DONE},
		{"cancelled at the last moment",
		 {LOOK("RUNNING", ""),
		  {.method = "POST", .body = "\"type\":\"COMPLETED\"", .reply = ANSWER("REJECT", STATE("CANCELLING"), "{\"reason\": \"r\"}")},
		  {.method = "POST", .body = "\"type\":\"CANCELLED\"", .reply = ANSWER("ACCEPT", STATE("CANCELLED"), "{}")}}, FLOW_DONE},
		{"refused, and still Running", {LOOK("RUNNING", ""), {.method = "POST", .reply = REFUSED}, LOOK("RUNNING", "")}, FLOW_LEFT},
		{"refused, and ended meanwhile", {LOOK("RUNNING", ""), {.method = "POST", .reply = REFUSED}, LOOK("FAILED", "")}, FLOW_DONE},
		{"gone meanwhile", {LOOK("RUNNING", ""), {.method = "POST", .reply = GONE}}, FLOW_DONE},
		{"deleted before", {{.method = "GET", .reply = GONE}}, FLOW_DONE},
		{"better without the words than not at all",
		 {LOOK("RUNNING", ""), {.method = "POST", .body = "\"message\":\"done\"", .reply = {.status = 422}},
		  {.method = "POST", .body = "\"type\":\"COMPLETED\",\"name\":\"Completed\",\"message\":null,\"data\":null",
		   .reply = ANSWER("ACCEPT", STATE("COMPLETED"), "{}")}}, FLOW_DONE},
	};

	EACH(row, rows)
	{
		struct unit_flow flow;

		open_steps(&flow, row->steps, COUNT_OF(row->steps), NULL);
		CHECK_INT(row->name, flow_finish(flow.ctx, STATE_COMPLETED, "done", unit_json("{\"n\": 1}")), row->outcome);
		(void)unit_flow_close(&flow, row->name);
	}
}

static void asks_once_for_a_flow(void)
{
	static const struct http_step steps[] = {
		{.method = "GET", .path = "/flows/" ID_A, .reply = {.body = "{\"id\": \"" ID_A "\", \"name\": \"database-cleanup\"}"}},
		{.method = "GET", .path = "/flows/" ID_B, .reply = {.body = "{\"id\": \"" ID_B "\", \"name\": \"etl\"}"}},
		{.method = "GET", .path = "/flows/" ID_C, .reply = GONE},
	};
	struct unit_flow flow;
	const struct flow_spec *spec;
	struct error err;

	open_steps(&flow, steps, COUNT_OF(steps), NULL);
	for (int i = 0; i < 2; i++) {
		CHECK_RC("ours", worker_find_flow(&flow.worker, flow.prefect, ID_A, &spec, &err), 0, &err);
		CHECK_STR("ours", spec->name, "database-cleanup");
		CHECK_RC("not known", worker_find_flow(&flow.worker, flow.prefect, ID_B, &spec, &err), 0, &err);
		CHECK("not known", spec == NULL);
	}
	CHECK_RC("gone", worker_find_flow(&flow.worker, flow.prefect, ID_C, &spec, &err), ERR_NOT_FOUND, &err);
	(void)unit_flow_close(&flow, "flows");
	CHECK("by name", flow_find("database-cleanup") != NULL && flow_find("Database-Cleanup") == NULL && flow_find("") == NULL);
}

UNIT_SUITE("worker/flow_ctx", TEST(reads_job_variables), TEST(knows_its_run), TEST(goes_on_only_while_running),
           TEST(glances_at_the_run), TEST(stops_with_the_worker), TEST(does_not_retry_what_cannot_be_cured), TEST(writes_checkpoints),
           TEST(asks_a_person), TEST(reads_the_answer), TEST(proposes_the_end), TEST(asks_once_for_a_flow))
