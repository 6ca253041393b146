/* What a flow body is given: variables, checkpoints, the look at its own state. */
#include <string.h>

#include "tests/unit/worker/flow_steps.h"

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
		unit_flow_open_steps(&flow, NULL, 0, run, NULL);
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
	flow_show(flow.ctx, "**All**\n\n| Flow | All |\n|---|---:|\n| etl | 7 |\n");
	CHECK("no Markdown", unit_flow_logged(&flow, "All\n\nFlow  All\netl   7\n"));
	(void)unit_flow_close(&flow, "run");

	unit_flow_open_steps(&flow, NULL, 0, NULL, NULL);
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

		unit_flow_open_steps(&flow, row->steps, COUNT_OF(row->steps), NULL, NULL);
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

		unit_flow_open_steps(&flow, &row->step, 1, NULL, NULL);
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

	unit_flow_open_steps(&flow, let_go, COUNT_OF(let_go), NULL, NULL);
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

		unit_flow_open_steps(&flow, NULL, 0, NULL, NULL);
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

		unit_flow_open_steps(&flow, row->steps, COUNT_OF(row->steps), NULL, NULL);
		CHECK_RC(row->name, flow_checkpoint_write(flow.ctx, "k", value, &err), row->rc, &err);
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

	unit_flow_open_steps(&flow, steps, COUNT_OF(steps), NULL, NULL);
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
           TEST(asks_once_for_a_flow))
