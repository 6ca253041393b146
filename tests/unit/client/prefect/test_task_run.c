#include "client/prefect/task_run.h"

#include "tests/unit/api.h"

#define NODE(more) "{\"id\": \"" ID_A "\", \"flow_run_id\": \"" ID_B "\", \"task_key\": \"janitor.query\", \"dynamic_key\": \"1\"" more "}"

static void creates(void)
{
	static const char *const arrows[] = {ID_C, NULL};
	static const struct {
		const char *name;
		const char *const *upstream;
		const char *body;
		struct http_reply reply;
		int rc;
		enum state_type state;
	} rows[] = {
		{"with an arrow", arrows, "\"task_inputs\":{\"upstream\":[{\"input_type\":\"task_run\",\"id\":\"" ID_C "\"}]},"
		 "\"state\":{\"type\":\"RUNNING\",\"message\":\"a?b\"}}",
		 {.status = 201, .body = NODE(", \"state_type\": \"RUNNING\"")}, 0, STATE_RUNNING},
		{"that is there", NULL,
		 "{\"flow_run_id\":\"" ID_B "\",\"name\":\"query\",\"task_key\":\"janitor.query\",\"dynamic_key\":\"1\",\"tags\":[\"t\"],",
		 {.body = NODE(", \"state_type\": \"COMPLETED\"")}, 0, STATE_COMPLETED},
		{"without a state", NULL, "", {.body = NODE("")}, 0, STATE_UNKNOWN},
		{"of a run that is gone", NULL, "", {.status = 404, .body = "{\"detail\": \"Flow run not found\"}"}, ERR_NOT_FOUND, 0},
		{"an odd answer", NULL, "", {.body = "[]"}, ERR_DECODE, 0},
	};

	EACH(row, rows)
	{
		struct http_step step = {.method = "POST", .path = "/task_runs/", .body = row->body, .reply = row->reply};
		struct task_run made;
		struct api api;
		struct error err;

		api_open(&api, &step, 1);
		int rc = task_run_create(api.prefect,
		                         &(struct task_run_new){.flow_run_id = ID_B, .name = "query", .task_key = "janitor.query",
		                                                .dynamic_key = "1", .tag = "t", .upstream = row->upstream,
		                                                .state = STATE_RUNNING, .message = "a\nb"},
		                         &made, &err);
		if (CHECK_RC(row->name, rc, row->rc, &err) && rc == 0) {
			CHECK_STR(row->name, made.id, ID_A);
			CHECK_INT(row->name, made.state_type, row->state);
			task_run_release(&made);
		}
		(void)api_close(&api, row->name);
	}
}

static void sets_states(void)
{
	static const struct {
		const char *name;
		struct http_reply reply;
		int rc;
	} rows[] = {
		{"accepted", {.status = 201, .body = "{\"status\": \"ACCEPT\"}"}, 0},
		{"of a run that has ended", {.body = "{\"status\": \"ABORT\", \"details\": {\"reason\": \"x\"}}"}, ERR_CONFLICT},
		{"no status", {.body = "{}"}, ERR_DECODE},
		{"gone", {.status = 404, .body = "{\"detail\": \"Task run not found\"}"}, ERR_NOT_FOUND},
	};

	EACH(row, rows)
	{
		struct http_step step = {.method = "POST", .path = "/task_runs/" ID_A "/set_state",
		                         .body = "{\"state\":{\"type\":\"FAILED\",\"message\":\"why\"},\"force\":false}", .reply = row->reply};
		struct api api;
		struct error err;

		api_open(&api, &step, 1);
		CHECK_RC(row->name, task_run_set_state(api.prefect, ID_A, STATE_FAILED, "why", &err), row->rc, &err);
		(void)api_close(&api, row->name);
	}
}

static void finds(void)
{
	static const struct http_step steps[] = {
		{.method = "POST", .path = "/task_runs/filter", .body = "{\"task_runs\":{\"a\":1},\"flow_runs\":{\"b\":2}}",
		 .reply = {.body = "[" NODE(", \"state_type\": \"FAILED\"") "," NODE("") "]"}},
		{.method = "POST", .path = "/task_runs/filter", .body = "{\"flow_runs\":{\"b\":2}}", .reply = {.body = "{}"}},
	};
	AUTO_JSON *a = unit_json("{\"a\": 1}");
	AUTO_JSON *b = unit_json("{\"b\": 2}");
	struct task_run *found = NULL;
	size_t count = 0;
	struct api api;
	struct error err;

	api_open(&api, steps, COUNT_OF(steps));
	if (CHECK_RC("two", task_run_filter(api.prefect, &(struct task_run_query){.task_runs = a, .flow_runs = b}, &found, &count,
	                                    &err), 0, &err)) {
		CHECK_INT("two", count, 2);
		CHECK_INT("state", found[0].state_type, STATE_FAILED);
		CHECK_STR("key", found[1].task_key, "janitor.query");
		task_runs_release(found, count);
	}
	CHECK_RC("no list", task_run_filter(api.prefect, &(struct task_run_query){.flow_runs = b}, &found, &count, &err),
	         ERR_DECODE, &err);
	(void)api_close(&api, "finds");
}

static void counts(void)
{
	static const struct http_step step = {.method = "POST", .path = "/task_runs/count", .body = "{\"flow_runs\":{\"b\":2}}",
	                                      .reply = {.body = "3"}};
	AUTO_JSON *filter = unit_json("{\"b\": 2}");
	int64_t number = 0;
	struct api api;
	struct error err;

	api_open(&api, &step, 1);
	CHECK_RC("count", task_run_count(api.prefect, &(struct task_run_query){.flow_runs = filter}, &number, &err), 0, &err);
	CHECK_INT("count", number, 3);
	(void)api_close(&api, "count");
}

UNIT_SUITE("client/prefect/task_run", TEST(creates), TEST(sets_states), TEST(finds), TEST(counts))
