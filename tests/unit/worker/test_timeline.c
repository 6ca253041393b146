/* The timeline: steps in order, once, and what becomes of them where the server is away. */
#include "worker/timeline.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/worker/flow_run.h"

#define LIST "/task_runs/filter"
#define NODE(id, step, attempt, state) \
	"{\"id\": \"" id "\", \"flow_run_id\": \"" OWN_ID "\", \"task_key\": \"janitor." step "\", \"dynamic_key\": \"" attempt \
	"\", \"state_type\": \"" state "\"}"
/* A task run of another flow that has our tag. */
#define THEIRS(id) "{\"id\": \"" id "\", \"flow_run_id\": \"" OWN_ID "\", \"task_key\": \"etl\", \"dynamic_key\": \"1\", \"state_type\": \"RUNNING\"}"
#define KNOWN(list) {.method = "POST", .path = LIST, .body = "{\"id\":{\"any_\":[\"" OWN_ID "\"]}}", .reply = {.body = "[" list "]"}}
#define MADE(id, step, more) \
	{.method = "POST", .path = "/task_runs/", .body = "\"task_key\":\"janitor." step "\",\"dynamic_key\":\"1\"" more, \
	 .reply = {.status = 201, .body = NODE(id, step, "1", "RUNNING")}}
#define SET(id, state) \
	{.method = "POST", .path = "/task_runs/" id "/set_state", .body = "{\"type\":\"" state "\"", \
	 .reply = {.status = 201, .body = "{\"status\": \"ACCEPT\"}"}}

static void tell_story(struct timeline *timeline)
{
	timeline_begin(timeline, "query", NULL);
	timeline_end(timeline, "query", STATE_COMPLETED, "12 found");
	timeline_begin(timeline, "preview", "query");
}

static void draws_each_step_once(void)
{
	static const struct {
		const char *name;
		struct http_step steps[6];
	} rows[] = {
		{"the first start",
		 {KNOWN(""), MADE(ID_A, "query", ",\"tags\":[\"prefect-janitor\"],\"task_inputs\":{\"upstream\":[]}"), SET(ID_A, "COMPLETED"),
		  MADE(ID_B, "preview", ",\"tags\":[\"prefect-janitor\"],\"task_inputs\":{\"upstream\":[{\"input_type\":\"task_run\",\"id\":\"" ID_A "\"}]}"),
		  SET(ID_B, "FAILED")}},
		{"started again after the query",
		 {KNOWN(NODE(ID_A, "query", "1", "COMPLETED")), MADE(ID_B, "preview", ",\"tags\":[\"prefect-janitor\"],\"task_inputs\":{\"upstream\":[{\"input_type\":\"task_run\",\"id\":\"" ID_A "\"}]}"), SET(ID_B, "FAILED")}},
		{"started again in the preview",
		 {KNOWN(NODE(ID_B, "preview", "1", "RUNNING") "," NODE(ID_A, "query", "1", "COMPLETED")), SET(ID_B, "FAILED")}},
		{"another attempt before",
		 {KNOWN(NODE(ID_C, "query", "2", "COMPLETED")), MADE(ID_A, "query", ""), SET(ID_A, "COMPLETED"), MADE(ID_B, "preview", ""),
		  SET(ID_B, "FAILED")}},
		{"a step that is not begun here ends with the run",
		 {KNOWN(NODE(ID_C, "approval", "1", "RUNNING")), MADE(ID_A, "query", ""), SET(ID_A, "COMPLETED"), MADE(ID_B, "preview", ""),
		  SET(ID_C, "FAILED"), SET(ID_B, "FAILED")}},
	};

	EACH(row, rows)
	{
		struct timeline timeline;
		struct api api;

		api_open(&api, row->steps, COUNT_OF(row->steps));
		timeline_init(&timeline, &api.settings, &api.clock, OWN_ID, 1);
		tell_story(&timeline);
		timeline_end_all(&timeline, STATE_FAILED, "no");
		CHECK(row->name, timeline_flush(&timeline));
		CHECK_STR(row->name, timeline_step_id(&timeline, "preview"), ID_B);
		CHECK_INT(row->name, timeline.trouble.code, 0);
		timeline_release(&timeline);
		(void)api_close(&api, row->name);
	}
}

/* While it is away nobody is asked twice, and what was missed is drawn at the end. */
static void keeps_quiet_while_the_server_is_away(void)
{
	static const struct http_step steps[] = {
		{.method = "POST", .path = LIST, .reply = {.status = 401}},
		KNOWN(""),
		{.method = "POST", .path = "/task_runs/", .body = "\"state\":{\"type\":\"COMPLETED\",\"message\":\"12 found\"}",
		 .reply = {.status = 201, .body = NODE(ID_A, "query", "1", "COMPLETED")}},
		{.method = "POST", .path = "/task_runs/", .body = "\"state\":{\"type\":\"COMPLETED\",\"message\":\"done\"}",
		 .reply = {.status = 201, .body = NODE(ID_B, "preview", "1", "COMPLETED")}},
	};
	struct timeline timeline;
	struct api api;
	struct error err;
	char id[UUID_SIZE];

	api_open(&api, steps, COUNT_OF(steps));
	timeline_init(&timeline, &api.settings, &api.clock, OWN_ID, 1);
	tell_story(&timeline);
	CHECK_INT("told", timeline.trouble.code, ERR_AUTH);
	CHECK_RC("no artifact", timeline_put(&timeline, &(struct artifact_text){.type = "markdown", .flow_run_id = OWN_ID}, id, &err),
	         ERR_BUSY, &err);
	CHECK("not written", !timeline_flush(&timeline));
	timeline.quiet_until_ms = 0;
	timeline_end_all(&timeline, STATE_COMPLETED, "done");
	CHECK("written", timeline_flush(&timeline));
	timeline_release(&timeline);
	(void)api_close(&api, "away");
}

/* A report that could not be written brings a worker back; what a killed start of the body had begun is over. */
static void leaves_what_is_to_be_done_later(void)
{
	static const struct http_step steps[] = {
		KNOWN(NODE(ID_A, "report", "1", "RUNNING") "," NODE(ID_B, "batches-01", "1", "RUNNING") "," NODE(ID_C, "delete", "1", "RUNNING")),
		SET(ID_B, "COMPLETED"),
		SET(ID_C, "FAILED"),
	};
	struct timeline timeline;
	struct api api;

	api_open(&api, steps, COUNT_OF(steps));
	timeline_init(&timeline, &api.settings, &api.clock, OWN_ID, 1);
	CHECK_INT("state", timeline_step_state(&timeline, "report"), STATE_RUNNING);
	CHECK_INT("no such step", timeline_step_state(&timeline, "verify"), STATE_UNKNOWN);
	timeline_end_like(&timeline, "batches-", STATE_COMPLETED, "it was killed");
	timeline_leave(&timeline, "report");
	timeline_end_all(&timeline, STATE_FAILED, "no");
	CHECK_INT("left", timeline_step_state(&timeline, "report"), STATE_RUNNING);
	timeline_release(&timeline);
	(void)api_close(&api, "left");
}

/* The server takes no RUNNING of a run that has ended: that is not asked again and again. */
static void gives_up_what_is_refused(void)
{
	static const struct http_step steps[] = {
		KNOWN(NODE(ID_A, "query", "1", "PENDING")),
		{.method = "POST", .path = "/task_runs/" ID_A "/set_state", .reply = {.body = "{\"status\": \"ABORT\"}"}},
	};
	struct timeline timeline;
	struct api api;

	api_open(&api, steps, COUNT_OF(steps));
	timeline_init(&timeline, &api.settings, &api.clock, OWN_ID, 1);
	timeline_begin(&timeline, "query", NULL);
	CHECK("settled", timeline_flush(&timeline));
	CHECK_INT("told", timeline.trouble.code, ERR_CONFLICT);
	timeline_release(&timeline);
	(void)api_close(&api, "refused");
}

static void has_room_for_so_many(void)
{
	static const struct http_step steps[] = {{.method = "POST", .path = LIST, .reply = {.status = 401}}};
	struct timeline timeline;
	struct api api;
	char name[TIMELINE_NAME_SIZE];

	api_open(&api, steps, COUNT_OF(steps));
	timeline_init(&timeline, &api.settings, &api.clock, OWN_ID, 1);
	for (int i = 0; i < TIMELINE_STEPS_MAX + 5; i++) {
		(void)snprintf(name, sizeof name, "step-%d", i);
		timeline_begin(&timeline, name, NULL);
	}
	CHECK_INT("steps", timeline.count, TIMELINE_STEPS_MAX);
	timeline_release(&timeline);
	(void)api_close(&api, "room");
}

static void ends_what_nobody_ended(void)
{
	static const struct http_step steps[] = {
		{.method = "POST", .path = LIST, .body = "\"tags\":{\"all_\":[\"prefect-janitor\"]}",
		 .reply = {.body = "[" THEIRS(ID_B) "," NODE(ID_A, "approval", "1", "RUNNING") "]"}},
		SET(ID_A, "FAILED"),
		{.method = "POST", .path = LIST, .body = "\"end_time\":{\"after_\":\"1970-01-01T00:00:01Z\",\"before_\":\"1970-01-01T00:00:02Z\"}",
		 .reply = {.body = "[" NODE(ID_A, "approval", "1", "RUNNING") "," NODE(ID_B, "delete", "1", "RUNNING") "]"}},
		{.method = "POST", .path = LIST, .reply = {.body = "[" THEIRS(ID_A) "]"}},
	};
	AUTO_JSON *runs = NULL;
	AUTO_JSON *none = NULL;
	struct api api;
	struct error err;

	api_open(&api, steps, COUNT_OF(steps));
	CHECK_RC("one run", timeline_close(api.prefect, OWN_ID, STATE_FAILED, "nobody answered", &err), 0, &err);
	CHECK_RC("open", timeline_find_open(api.prefect, US_PER_SEC, 2 * US_PER_SEC, &runs, &err), 0, &err);
	CHECK_JSON("open", runs, "[\"" OWN_ID "\"]");
	CHECK_RC("none", timeline_find_open(api.prefect, US_PER_SEC, 2 * US_PER_SEC, &none, &err), 0, &err);
	CHECK_JSON("none", none, "[]");
	(void)api_close(&api, "ends");
}

UNIT_SUITE("worker/timeline", TEST(draws_each_step_once), TEST(keeps_quiet_while_the_server_is_away), TEST(leaves_what_is_to_be_done_later),
           TEST(gives_up_what_is_refused), TEST(has_room_for_so_many), TEST(ends_what_nobody_ended))
