#include "client/prefect/work_pool.h"

#include <string.h>

#include "client/prefect/deployment.h"
#include "client/prefect/run_input.h"
#include "tests/unit/api.h"

#define POOL(type)                                                                               \
	"{\"id\": \"" ID_A "\", \"name\": \"a b\", \"type\": \"" type "\", \"is_paused\": true, \"base_job_template\": {}}"
#define RUN "{\"id\": \"" ID_A "\", \"flow_id\": \"" ID_B "\", \"name\": \"curly-otter\"}"

static void takes_the_nearest_variable(void)
{
	static const struct {
		const char *name;
		const char *run, *deployment, *template;
		const char *want; /* JSON, NULL for none */
	} rows[] = {
		{"the run's", "{\"v\": 1}", "{\"v\": 2}", "{\"variables\": {\"properties\": {\"v\": {\"default\": 3}}}}", "1"},
		{"the deployment's", "{\"w\": 1}", "{\"v\": 2}", "{\"variables\": {\"properties\": {\"v\": {\"default\": 3}}}}", "2"},
		{"the pool's default", "{}", "{}", "{\"variables\": {\"properties\": {\"v\": {\"default\": 3}}}}", "3"},
		{"null is no value", "{\"v\": null}", "{\"v\": false}", "{}", "false"},
		{"null everywhere", "{\"v\": null}", "{\"v\": null}", "{\"variables\": {\"properties\": {\"v\": {\"default\": null}}}}", NULL},
		{"no default", "{}", "{}", "{\"variables\": {\"properties\": {\"v\": {\"type\": \"integer\"}}}}", NULL},
		{"a template of another shape", "{}", "{}", "{\"variables\": [1]}", NULL},
		{"nobody says", NULL, NULL, NULL, NULL},
	};

	EACH(row, rows)
	{
		AUTO_JSON *run = row->run != NULL ? unit_json(row->run) : NULL;
		AUTO_JSON *deployment = row->deployment != NULL ? unit_json(row->deployment) : NULL;
		AUTO_JSON *template = row->template != NULL ? unit_json(row->template) : NULL;
		const json_t *value = job_variable(run, deployment, template, "v");

		if (row->want == NULL)
			CHECK(row->name, value == NULL);
		else
			CHECK_JSON(row->name, value, row->want);
	}
}

static void ensures_the_pool(void)
{
	static const struct {
		const char *name;
		struct http_step steps[4];
		int rc;
		bool created;
	} rows[] = {
		{"it is there", {{.method = "GET", .path = "/work_pools/a%20b", .reply = {.body = POOL("janitor")}}}, 0, false},
		{"it is made",
		 {{.method = "GET", .reply = GONE},
		  {.method = "POST", .path = "/work_pools/",
		   .body = "{\"name\":\"a b\",\"type\":\"janitor\",\"description\":\"d\",\"base_job_template\":{\"t\":1}}",
		   .reply = {.status = 201, .body = "{}"}},
		  {.method = "GET", .path = "/work_pools/a%20b", .reply = {.body = POOL("janitor")}}}, 0, true},
		{"another worker was faster",
		 {{.method = "GET", .reply = GONE},
		  {.method = "POST", .reply = {.status = 409}},
		  {.method = "GET", .reply = {.body = POOL("janitor")}}}, 0, false},
		{"another type", {{.method = "GET", .reply = {.body = POOL("process")}}}, ERR_USAGE, false},
		{"not allowed to make it",
		 {{.method = "GET", .reply = GONE}, {.method = "POST", .reply = {.status = 401}}}, ERR_AUTH, false},
		{"an answer that cannot be read", {{.method = "GET", .reply = {.body = "{\"id\": 1}"}}}, ERR_DECODE, false},
	};
	AUTO_JSON *template = unit_json("{\"t\": 1}");

	EACH(row, rows)
	{
		struct api api;
		struct work_pool pool;
		struct error err;
		bool created = !row->created;

		api_open(&api, row->steps, COUNT_OF(row->steps));
		int rc = work_pool_ensure(api.prefect, "a b", "janitor", "d", template, &pool, &created, &err);
		if (CHECK_RC(row->name, rc, row->rc, &err) && rc == 0) {
			CHECK_INT(row->name, created, row->created);
			CHECK(row->name, pool.is_paused && strcmp(pool.type, "janitor") == 0);
			work_pool_release(&pool);
		}
		if (rc == ERR_USAGE)
			CHECK_STR(row->name, err.text, "work pool 'a b' has type 'process', but this worker takes pools of type "
			          "'janitor': name another pool with --pool; it is created if it does not exist");
		(void)api_close(&api, row->name);
	}
}

static void fetches_scheduled_runs(void)
{
	static const struct {
		const char *name;
		const char *answer;
		int rc;
		size_t count;
	} rows[] = {
		{"two", "[{\"work_pool_id\": \"x\", \"flow_run\": " RUN "}, {\"flow_run\": " RUN "}]", 0, 2},
		{"none", "[]", 0, 0},
		{"a row without a run", "[{\"flow_run\": " RUN "}, {}]", ERR_DECODE, 0},
		{"a run that cannot be read", "[{\"flow_run\": " RUN "}, {\"flow_run\": {}}]", ERR_DECODE, 0},
		{"no list", "{}", ERR_DECODE, 0},
		{"nothing", "", ERR_DECODE, 0},
	};
	AUTO_JSON *queues = unit_json("[\"q\"]");

	EACH(row, rows)
	{
		struct http_step step = {.method = "POST", .path = "/work_pools/p%2Fq/get_scheduled_flow_runs",
		                         .body = "{\"work_queue_names\":[\"q\"],\"scheduled_before\":\"1970-01-01T00:00:00Z\"}",
		                         .reply = {.body = row->answer}};
		struct api api;
		struct flow_run *runs = NULL;
		size_t count = 0;
		struct error err;

		api_open(&api, &step, 1);
		CHECK_RC(row->name, work_pool_scheduled_runs(api.prefect, "p/q", queues, 0, &runs, &count, &err), row->rc, &err);
		CHECK_INT(row->name, count, row->count);
		flow_runs_release(runs, count);
		(void)api_close(&api, row->name);
	}
}

#define WORKER(name, status) "{\"name\": \"" name "\", \"status\": \"" status "\"}"

/* @read gets names by these steps; @want: NULL where it fails. */
static void check_names(const char *row, const struct http_step *steps, size_t count,
                        int (*read)(struct prefect *prefect, json_t **ret_names, struct error *err), int rc, const char *want)
{
	struct api api;
	struct error err;
	json_t *names = NULL;

	api_open(&api, steps, count);
	CHECK_RC(row, read(api.prefect, &names, &err), rc, &err);
	if (want != NULL)
		CHECK_JSON(row, names, want);
	else
		CHECK(row, names == NULL);
	json_decref(names);
	(void)api_close(&api, row);
}

static int online_workers(struct prefect *prefect, json_t **ret_names, struct error *err)
{
	return work_pool_online_workers(prefect, "p/q", ret_names, err);
}

static int pools(struct prefect *prefect, json_t **ret_names, struct error *err)
{
	return work_pool_names(prefect, "janitor", 9, ret_names, err);
}

static void asks_who_is_there(void)
{
	static const struct {
		const char *name;
		struct http_step steps[7];
		int rc;
		const char *want;
	} rows[] = {
		{"pages",
		 {{.method = "POST", .path = "/work_pools/p%2Fq/workers/filter", .body = "{\"offset\":0}",
		   .reply = {.body = "[" WORKER("a", "ONLINE") "," WORKER("b", "OFFLINE") "]"}},
		  {.method = "POST", .body = "{\"offset\":2}", .reply = {.body = "[" WORKER("c", "ONLINE") "]"}},
		  {.method = "POST", .body = "{\"offset\":3}", .reply = {.body = "[]"}},
		  {.method = "POST", .body = "{\"offset\":0}", .reply = {.body = "[" WORKER("a", "ONLINE") "," WORKER("b", "OFFLINE") "]"}},
		  {.method = "POST", .body = "{\"offset\":2}", .reply = {.body = "[" WORKER("c", "ONLINE") "]"}},
		  {.method = "POST", .body = "{\"offset\":3}", .reply = {.body = "[]"}}}, 0, "[\"a\", \"c\"]"},
		{"nobody", {{.method = "POST", .reply = {.body = "[]"}}}, 0, "[]"},
		{"a word that is not known is not OFFLINE",
		 {{.method = "POST", .reply = {.body = "[" WORKER("a", "RESTING") "]"}}, {.method = "POST", .reply = {.body = "[]"}}}, 0,
		 "[\"a\"]"},
		{"no status", {{.method = "POST", .reply = {.body = "[{\"name\": \"a\"}]"}}}, ERR_DECODE, NULL},
		{"no name", {{.method = "POST", .reply = {.body = "[{\"status\": \"ONLINE\"}]"}}}, ERR_DECODE, NULL},
		{"no list", {{.method = "POST", .reply = {.body = "{}"}}}, ERR_DECODE, NULL},
		{"the second page fails",
		 {{.method = "POST", .reply = {.body = "[" WORKER("a", "ONLINE") "]"}}, {.method = "POST", .reply = {.status = 401}}},
		 ERR_AUTH, NULL},
	};

	EACH(row, rows)
		check_names(row->name, row->steps, COUNT_OF(row->steps), online_workers, row->rc, row->want);
}

static void lists_pools_of_a_type(void)
{
	static const struct {
		const char *name;
		struct http_step step;
		int rc;
		const char *want;
	} rows[] = {
		{"some",
		 {.method = "POST", .path = "/work_pools/filter", .body = "{\"work_pools\":{\"type\":{\"any_\":[\"janitor\"]}},\"limit\":9}",
		  .reply = {.body = "[{\"name\": \"b\"}, {\"name\": \"a\", \"type\": \"janitor\"}]"}}, 0, "[\"b\", \"a\"]"},
		{"none", {.method = "POST", .reply = {.body = "[]"}}, 0, "[]"},
		{"no name", {.method = "POST", .reply = {.body = "[{\"name\": 7}]"}}, ERR_DECODE, NULL},
		{"no list", {.method = "POST", .reply = {.body = "{}"}}, ERR_DECODE, NULL},
		{"refused", {.method = "POST", .reply = {.status = 401}}, ERR_AUTH, NULL},
	};

	EACH(row, rows)
		check_names(row->name, &row->step, 1, pools, row->rc, row->want);
}

static void sends_heartbeats(void)
{
	static const struct http_step step = {
		.method = "POST", .path = "/work_pools/p/workers/heartbeat",
		.body = "{\"name\":\"w\",\"heartbeat_interval_seconds\":30,\"metadata\":{}}", .reply = {.status = 204}};
	AUTO_JSON *metadata = unit_json("{}");
	struct api api;
	struct error err;

	api_open(&api, &step, 1);
	CHECK_RC("heartbeat", work_pool_heartbeat(api.prefect, "p", "w", 30, metadata, &err), 0, &err);
	(void)api_close(&api, "heartbeat");
}

static void keeps_inputs(void)
{
#define INPUT "/flow_runs/" ID_A "/input"
	static const struct http_step steps[] = {
		{.method = "GET", .path = INPUT "/k", .reply = {.body = "{\"a\": 1}", .headers = "Content-Type: text/plain\r\n"}},
		{.method = "GET", .path = INPUT "/k", .reply = GONE},
		{.method = "GET", .path = INPUT "/k", .reply = {.body = "{\"a\": 1, \"a\": 2}"}},
		{.method = "POST", .path = INPUT, .body = "{\"key\":\"k\",\"value\":\"{\\\"a\\\":1,\\\"b\\\":\\\"x\\\"}\"}",
		 .reply = {.status = 201}},
		{.method = "POST", .path = INPUT, .body = "\"value\":\"\\\"text\\\"\"", .reply = {.status = 409}},
		{.method = "GET", .path = INPUT "/k", .reply = {.body = "\"other\""}},
		{.method = "POST", .path = INPUT, .reply = {.status = 409}},
		{.method = "GET", .path = INPUT "/k", .reply = {.body = "\"text\""}},
		{.method = "POST", .path = INPUT, .reply = {.status = 409}},
		{.method = "GET", .path = INPUT "/k", .reply = GONE},
		{.method = "DELETE", .path = INPUT "/k", .reply = GONE},
		{.method = "DELETE", .path = INPUT "/k", .reply = {.status = 204}},
		{.method = "POST", .path = INPUT, .reply = {.status = 201}},
		{.method = "DELETE", .path = INPUT "/k", .reply = {.status = 401}},
		{.method = "POST", .path = INPUT "/filter", .body = "{\"prefix\":\"k-\",\"limit\":200}", .reply = {.body = "[{}]"}},
		{.method = "POST", .path = INPUT "/filter", .reply = {.body = "{}"}},
	};
	AUTO_JSON *object = unit_json("{\"b\": \"x\", \"a\": 1}");
	AUTO_JSON *text = unit_json("\"text\"");
	json_t *value = NULL;
	struct api api;
	struct error err;

	api_open(&api, steps, COUNT_OF(steps));
	CHECK_RC("read", run_input_read(api.prefect, ID_A, "k", &value, &err), 0, &err);
	CHECK_JSON("read", value, "{\"a\": 1}");
	json_decref(value);
	CHECK_RC("missing", run_input_read(api.prefect, ID_A, "k", &value, &err), ERR_NOT_FOUND, &err);
	CHECK_RC("a repeated key", run_input_read(api.prefect, ID_A, "k", &value, &err), ERR_DECODE, &err);
	CHECK_RC("create", run_input_create(api.prefect, ID_A, "k", object, &err), 0, &err);
	CHECK_RC("taken", run_input_create(api.prefect, ID_A, "k", text, &err), ERR_CONFLICT, &err);
	CHECK_RC("taken by a try whose answer was lost", run_input_create(api.prefect, ID_A, "k", text, &err), 0, &err);
	CHECK_RC("taken and gone", run_input_create(api.prefect, ID_A, "k", text, &err), ERR_NOT_FOUND, &err);
	CHECK_RC("delete what is not there", run_input_delete(api.prefect, ID_A, "k", &err), 0, &err);
	CHECK_RC("replace", run_input_replace(api.prefect, ID_A, "k", text, &err), 0, &err);
	CHECK_RC("replace what cannot be deleted", run_input_replace(api.prefect, ID_A, "k", text, &err), ERR_AUTH, &err);
	CHECK_RC("list", run_input_list(api.prefect, ID_A, "k-", &value, &err), 0, &err);
	CHECK_JSON("list", value, "[{}]");
	json_decref(value);
	CHECK_RC("no list", run_input_list(api.prefect, ID_A, "k-", &value, &err), ERR_DECODE, &err);
	(void)api_close(&api, "inputs");
}

static void handles_flows_and_deployments(void)
{
	static const struct http_step steps[] = {
		{.method = "GET", .path = "/flows/" ID_A, .reply = {.body = "{\"id\": \"" ID_A "\", \"name\": \"f\"}"}},
		{.method = "POST", .path = "/flows/", .body = "{\"name\":\"f\"}", .reply = {.body = "{\"id\": \"" ID_A "\", \"name\": \"f\"}"}},
		{.method = "POST", .path = "/flows/filter", .body = "{\"flow_runs\":{},\"sort\":\"NAME_ASC\",\"offset\":200}",
		 .reply = {.body = "[{\"id\": \"" ID_A "\", \"name\": \"f\"}]"}},
		{.method = "POST", .path = "/flows/filter", .reply = {.body = "[{\"id\": \"" ID_A "\"}]"}},
		{.method = "GET", .path = "/deployments/" ID_B,
		 .reply = {.body = "{\"id\": \"" ID_B "\", \"flow_id\": \"" ID_A "\", \"name\": \"d\", \"job_variables\": {}}"}},
		{.method = "POST", .path = "/deployments/", .body = "{\"x\":1}", .reply = {.status = 422}},
	};
	AUTO_JSON *filter = unit_json("{}");
	struct api api;
	struct flow flow;
	struct flow *flows;
	struct deployment deployment;
	size_t count;
	struct error err;

	api_open(&api, steps, COUNT_OF(steps));
	if (CHECK_RC("flow", flow_read(api.prefect, ID_A, &flow, &err), 0, &err))
		flow_release(&flow);
	if (CHECK_RC("flow", flow_ensure(api.prefect, "f", &flow, &err), 0, &err))
		flow_release(&flow);
	if (CHECK_RC("flows", flow_filter(api.prefect, filter, 200, &flows, &count, &err), 0, &err))
		flows_release(flows, count);
	CHECK_RC("bad flows", flow_filter(api.prefect, filter, 0, &flows, &count, &err), ERR_DECODE, &err);
	if (CHECK_RC("deployment", deployment_read(api.prefect, ID_B, &deployment, &err), 0, &err))
		deployment_release(&deployment);
	CHECK_RC("upsert", deployment_upsert(api.prefect, unit_json("{\"x\": 1}"), &deployment, &err), ERR_INVALID, &err);
	(void)api_close(&api, "flows and deployments");
}

#define WORKERS {.method = "POST", .path = "/work_pools/p/workers/filter"
#define WORKER_OF(name) "{\"name\": \"" name "\", \"status\": \"ONLINE\"}"

/* The latest heartbeat is listed first: a worker that sends one between two pages is on neither. */
static void finds_a_worker_that_moves(void)
{
	static const struct http_step steps[] = {
		WORKERS, .body = "{\"offset\":0}", .reply = {.body = "[" WORKER_OF("a") "," WORKER_OF("b") "]"}},
		WORKERS, .body = "{\"offset\":2}", .reply = {.body = "[" WORKER_OF("b") "]"}}, /* c has moved to the front */
		WORKERS, .body = "{\"offset\":3}", .reply = {.body = "[]"}},
		WORKERS, .body = "{\"offset\":0}", .reply = {.body = "[" WORKER_OF("c") "," WORKER_OF("a") "]"}},
		WORKERS, .body = "{\"offset\":2}", .reply = {.body = "[" WORKER_OF("b") "]"}},
		WORKERS, .body = "{\"offset\":3}", .reply = {.body = "[]"}},
		WORKERS, .body = "{\"offset\":0}", .reply = {.body = "[" WORKER_OF("c") "," WORKER_OF("a") "]"}},
		WORKERS, .body = "{\"offset\":2}", .reply = {.body = "[" WORKER_OF("b") "]"}},
		WORKERS, .body = "{\"offset\":3}", .reply = {.body = "[]"}},
	};
	struct api api;
	AUTO_JSON *names = NULL;
	struct error err;

	api_open(&api, steps, COUNT_OF(steps));
	if (CHECK_RC("read", work_pool_online_workers(api.prefect, "p", &names, &err), 0, &err))
		CHECK_JSON("all", names, "[\"a\", \"b\", \"c\"]");
	(void)api_close(&api, "moves");
}

UNIT_SUITE("client/prefect/work_pool", TEST(finds_a_worker_that_moves), TEST(takes_the_nearest_variable), TEST(ensures_the_pool),
           TEST(fetches_scheduled_runs), TEST(asks_who_is_there), TEST(lists_pools_of_a_type), TEST(sends_heartbeats),
           TEST(keeps_inputs), TEST(handles_flows_and_deployments))
