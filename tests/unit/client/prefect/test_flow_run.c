#include "client/prefect/flow_run.h"

#include <string.h>

#include "tests/unit/api.h"

#define RUN(more) "{\"id\": \"" ID_A "\", \"flow_id\": \"" ID_B "\", \"name\": \"curly-otter\"" more "}"

static void decodes_runs(void)
{
	AUTO_JSON *full = unit_json(
		RUN(", \"deployment_id\": \"" ID_C "\", \"state_type\": \"PAUSED\", \"state_name\": \"Paused\", "
	            "\"expected_start_time\": \"1970-01-01T00:00:01Z\", \"next_scheduled_start_time\": \"1970-01-01T00:00:02Z\", "
	            "\"start_time\": \"1970-01-01T00:00:03Z\", \"end_time\": \"1970-01-01T00:00:04Z\", "
	            "\"parameters\": {\"config\": null}, \"job_variables\": {\"a\": 1}, \"labels\": {\"l\": \"v\"}, "
	            "\"empirical_policy\": {\"pause_keys\": [\"1\"]}, \"state\": {\"type\": \"PAUSED\"}, \"tags\": []"));
	struct flow_run run;
	struct error err;

	if (!CHECK_RC("full", flow_run_decode(full, &run, &err), 0, &err))
		return;
	CHECK_STR("id", run.id, ID_A);
	CHECK_STR("flow", run.flow_id, ID_B);
	CHECK_STR("deployment", run.deployment_id, ID_C);
	CHECK_STR("name", run.name, "curly-otter");
	CHECK_INT("type", run.state_type, STATE_PAUSED);
	CHECK_INT("expected", run.expected_start, US_PER_SEC);
	CHECK_INT("next", run.next_scheduled_start, 2 * US_PER_SEC);
	CHECK_INT("start", run.start_time, 3 * US_PER_SEC);
	CHECK_INT("end", run.end_time, 4 * US_PER_SEC);
	CHECK_JSON("parameters", run.parameters, "{\"config\": null}");
	CHECK("pause", flow_run_pause_fired(&run, "1"));
	CHECK("other pause", !flow_run_pause_fired(&run, "2"));
	flow_run_release(&run);
	CHECK("released", run.name == NULL && run.id[0] == '\0');
}

static void decodes_sparse_runs(void)
{
	static const struct {
		const char *name;
		const char *json;
		const char *refused; /* the field at fault; NULL: decodes */
	} rows[] = {
		{"nothing but the needed", RUN(""), NULL},
		{"nulls", RUN(", \"deployment_id\": null, \"state_type\": null, \"start_time\": null, \"labels\": null"), NULL},
		{"a state type of the future", RUN(", \"state_type\": \"DREAMING\""), NULL},
		{"a policy without pauses", RUN(", \"empirical_policy\": {\"pause_keys\": null}"), NULL},
		{"pauses that are no text", RUN(", \"empirical_policy\": {\"pause_keys\": [1, null]}"), NULL},
		{"no name", "{\"id\": \"" ID_A "\", \"flow_id\": \"" ID_B "\"}", "'name'"},
		{"no id", "{\"flow_id\": \"" ID_B "\", \"name\": \"x\"}", "'id'"},
		{"a time without a zone", RUN(", \"end_time\": \"2026-11-21T06:34:21\""), "'end_time'"},
		{"labels that are a list", RUN(", \"labels\": []"), "'labels'"},
	};

	EACH(row, rows)
	{
		AUTO_JSON *json = unit_json(row->json);
		struct flow_run run;
		struct error err;
		int rc = flow_run_decode(json, &run, &err);

		if (!CHECK_RC(row->name, rc, row->refused != NULL ? ERR_DECODE : 0, &err))
			continue;
		if (rc != 0) {
			CHECK_HAS(row->name, err.text, row->refused);
			continue;
		}
		CHECK(row->name, run.deployment_id[0] == '\0' && run.start_time == 0 && run.labels == NULL);
		CHECK_INT(row->name, run.state_type, STATE_UNKNOWN);
		CHECK(row->name, !flow_run_pause_fired(&run, "1"));
		flow_run_release(&run);
	}
}

static void searches(void)
{
	static const struct http_step steps[] = {
		{.method = "POST", .path = "/flow_runs/filter",
		 .body = "{\"flow_runs\":{\"a\":1},\"flows\":{\"b\":2},\"sort\":\"ID_DESC\",\"limit\":5,\"offset\":10}",
		 .reply = {.body = "[" RUN("") "," RUN("") "]"}},
		{.method = "POST", .path = "/flow_runs/filter", .body = "{}", .reply = {.body = "[]"}},
		{.method = "POST", .path = "/flow_runs/filter", .reply = {.body = "[" RUN("") ", 1]"}},
		{.method = "POST", .path = "/flow_runs/filter", .reply = {.body = "{}"}},
	};
	AUTO_JSON *a = unit_json("{\"a\": 1}");
	AUTO_JSON *b = unit_json("{\"b\": 2}");
	const struct flow_run_query query = {.flow_runs = a, .flows = b, .sort = "ID_DESC", .limit = 5, .offset = 10};
	const struct flow_run_query all = {0};
	struct flow_run *runs = NULL;
	size_t count = 0;
	struct api api;
	struct error err;

	api_open(&api, steps, COUNT_OF(steps));
	CHECK_RC("two", flow_run_filter(api.prefect, &query, &runs, &count, &err), 0, &err);
	CHECK_INT("two", count, 2);
	flow_runs_release(runs, count);
	CHECK_RC("none", flow_run_filter(api.prefect, &all, &runs, &count, &err), 0, &err);
	CHECK_INT("none", count, 0);
	flow_runs_release(runs, count);
	CHECK_RC("a bad row", flow_run_filter(api.prefect, &all, &runs, &count, &err), ERR_DECODE, &err);
	CHECK_HAS("a bad row", err.text, "POST /flow_runs/filter: ");
	CHECK_RC("no list", flow_run_filter(api.prefect, &all, &runs, &count, &err), ERR_DECODE, &err);
	(void)api_close(&api, "searches");
}

static void counts(void)
{
	static const struct {
		const char *body;
		int rc;
		int64_t count;
	} rows[] = {
		{"0", 0, 0},
		{"230000", 0, 230000},
		{"-1", ERR_DECODE, -7},
		{"9223372036854775807", ERR_DECODE, -7},
		{"1.0", ERR_DECODE, -7},
		{"\"1\"", ERR_DECODE, -7},
		{"null", ERR_DECODE, -7},
		{"[1]", ERR_DECODE, -7},
		{"", ERR_DECODE, -7},
	};

	EACH(row, rows)
	{
		struct http_step step = {.method = "POST", .path = "/flow_runs/count", .reply = {.body = row->body}};
		int64_t count = -7;
		struct api api;
		struct error err;

		api_open(&api, &step, 1);
		CHECK_RC(row->body, flow_run_count(api.prefect, &(struct flow_run_query){.limit = 3}, &count, &err), row->rc, &err);
		CHECK_INT(row->body, count, row->count);
		(void)api_close(&api, row->body);
	}
}

#define REFUSED(loc, ctx)                                                                          \
	"{\"exception_message\": \"Invalid request received.\", \"exception_detail\": [{\"msg\": \"x\"}, " \
	"{\"loc\": " loc ", \"msg\": \"too many\", \"ctx\": " ctx "}]}"

static const struct {
	const char *name;
	struct http_reply replies[2];
	int rc;
	int64_t deleted;
	int max;
	bool ambiguous;
} bulk_rows[] = {
	{"two deleted", {{.body = "{\"deleted\": [\"" ID_A "\", \"" ID_B "\"]}"}}, 0, 2, 0, false},
	{"none deleted", {{.body = "{\"deleted\": []}"}}, 0, 0, 0, false},
	{"a lost answer: not once more, without a look", {{.trick = TRICK_CLOSE}}, ERR_TRANSPORT, -7, 0, true},
	{"no list", {{.body = "{\"deleted\": 2}"}}, ERR_DECODE, -7, 0, true},
	{"no object", {{.body = "[]"}}, ERR_DECODE, -7, 0, true},
	{"a page", {{.body = "<html>"}}, ERR_BUSY, -7, 0, true},
	{"the limit is too large", {{.status = 422, .body = REFUSED("[\"body\", \"limit\"]", "{\"le\": 50}")}}, ERR_INVALID, -7, 50,
	 false},
	{"another field is refused", {{.status = 422, .body = REFUSED("[\"body\", \"flow_runs\"]", "{\"le\": 50}")}}, ERR_INVALID,
	 -7, 0, false},
	{"no place", {{.status = 422, .body = REFUSED("[]", "{\"le\": 50}")}}, ERR_INVALID, -7, 0, false},
	{"a place that is a number", {{.status = 422, .body = REFUSED("[0]", "{\"le\": 50}")}}, ERR_INVALID, -7, 0, false},
	{"no bound", {{.status = 422, .body = REFUSED("[\"body\", \"limit\"]", "{}")}}, ERR_INVALID, -7, 0, false},
	{"a bound of nothing", {{.status = 422, .body = REFUSED("[\"body\", \"limit\"]", "{\"le\": 0}")}}, ERR_INVALID, -7, 0, false},
	{"a bound that is too large", {{.status = 422, .body = REFUSED("[\"body\", \"limit\"]", "{\"le\": 99999999999}")}},
	 ERR_INVALID, -7, 0, false},
	{"422 without JSON", {{.status = 422, .body = "<html>"}}, ERR_INVALID, -7, 0, false},
	{"this server does not have it", {{.status = 404, .body = "{\"detail\": \"Not Found\"}"}}, ERR_NO_ROUTE, -7, 0, false},
	{"nor under this method", {{.status = 405, .body = "{\"detail\": \"Method Not Allowed\"}"}}, ERR_NO_ROUTE, -7, 0, false},
	{"somebody else's 404", {{.status = 404, .body = "<html>"}}, ERR_BUSY, -7, 0, false},
	{"not allowed", {{.status = 401}}, ERR_AUTH, -7, 0, false},
};

static void deletes_many(void)
{
	AUTO_JSON *filter = unit_json("{\"a\": 1}");

	EACH(row, bulk_rows)
	{
		struct http_step steps[2];
		for (size_t i = 0; i < 2; i++)
			steps[i] = (struct http_step){
				.method = i == 0 ? "POST" : NULL, .path = "/flow_runs/bulk_delete",
				.body = "{\"flow_runs\":{\"a\":1},\"limit\":100}", .reply = row->replies[i]};
		struct api api;
		struct error err;
		int64_t deleted = -7;
		int max = -7;
		bool ambiguous = !row->ambiguous;

		api_open(&api, steps, 2);
		CHECK_RC(row->name, flow_run_bulk_delete(api.prefect, filter, 100, &deleted, NULL, &max, &ambiguous, &err), row->rc, &err);
		CHECK_INT(row->name, deleted, row->deleted);
		CHECK_INT(row->name, max, row->max);
		CHECK_INT(row->name, ambiguous, row->ambiguous);
		(void)api_close(&api, row->name);
	}
}

static void changes_single_runs(void)
{
	static const struct http_step steps[] = {
		{.method = "GET", .path = "/flow_runs/" ID_A, .reply = {.body = RUN("")}},
		{.method = "GET", .path = "/flow_runs/" ID_A, .reply = GONE},
		{.method = "PATCH", .path = "/flow_runs/" ID_A "/labels", .body = "{\"l\":\"v\"}", .reply = {.status = 204}},
		{.method = "PATCH", .path = "/flow_runs/" ID_A, .body = "{\"infrastructure_pid\":\"host:1\"}", .reply = {.status = 204}},
		{.method = "DELETE", .path = "/flow_runs/" ID_A, .reply = {.status = 204}},
		{.method = "DELETE", .path = "/flow_runs/" ID_A, .reply = GONE},
	};
	struct flow_run run;
	struct api api;
	struct error err;
	bool ambiguous;

	api_open(&api, steps, COUNT_OF(steps));
	if (CHECK_RC("read", flow_run_read(api.prefect, ID_A, &run, &err), 0, &err))
		flow_run_release(&run);
	CHECK_RC("read", flow_run_read(api.prefect, ID_A, &run, &err), ERR_NOT_FOUND, &err);
	CHECK_RC("labels", flow_run_set_labels(api.prefect, ID_A, unit_json("{\"l\": \"v\"}"), &err), 0, &err);
	CHECK_RC("pid", flow_run_set_pid(api.prefect, ID_A, "host:1", &err), 0, &err);
	CHECK_RC("delete", flow_run_delete(api.prefect, ID_A, &ambiguous, &err), 0, &err);
	CHECK_RC("delete", flow_run_delete(api.prefect, ID_A, &ambiguous, &err), ERR_NOT_FOUND, &err);
	(void)api_close(&api, "single runs");
}

/* A server that holds runs, two a page; those of a page leave the search before the next one is asked for. */
struct leaving {
	int gone[2];         /* these have left: from, count */
	size_t requests;
	bool stubborn;       /* answers with the first page whatever is asked */
};

static struct http_reply leave(void *arg, const struct http_seen *seen)
{
	struct leaving *server = arg;
	AUTO_JSON *body = unit_json(seen->body);
	const json_t *id = json_object_get(json_object_get(body, "flow_runs"), "id");
	const json_t *unwanted = json_object_get(id, "not_any_");
	json_t *page = json_array();

	server->requests++;
	CHECK_JSON("the search stays", json_object_get(json_object_get(json_object_get(body, "flow_runs"), "state"), "x"), "1");
	for (int i = 0; i < 5 && json_array_size(page) < 2; i++) {
		char one[UUID_SIZE];
		size_t k;
		json_t *not;
		bool skip = !server->stubborn && i >= server->gone[0] && i < server->gone[0] + server->gone[1];

		(void)snprintf(one, sizeof one, "aaaaaaaa-0000-4000-8000-00000000000%c", (char)(48 + i));
		json_array_foreach(unwanted, k, not)
			skip = skip || (!server->stubborn && strcmp(json_string_value(not), one) == 0);
		if (!skip)
			(void)json_array_append_new(page, json_pack("{s:s, s:s, s:s}", "id", one, "flow_id", ID_B, "name", "r"));
	}
	if (server->requests == 1)
		server->gone[1] = 2;
	char *text = json_write(page, 0);
	json_decref(page);
	return (struct http_reply){.owned = text};
}

static void finds_all_of_a_changing_search(void)
{
	static const struct {
		const char *name;
		bool stubborn;
		size_t runs, requests;
	} rows[] = {{"the first page leaves", false, 5, 4}, {"the same page for ever", true, 2, 2}};

	EACH(row, rows)
	{
		struct leaving server = {.stubborn = row->stubborn};
		AUTO_JSON *filter = unit_json("{\"state\": {\"x\": 1}}");
		AUTO_JSON *seen = json_object();
		struct flow_run *runs;
		struct error err;
		struct api api;
		size_t all = 0;
		size_t count;

		api_open_handler(&api, leave, &server);
		do {
			if (!CHECK_RC(row->name, flow_run_filter_unseen(api.prefect, &(struct flow_run_query){.flow_runs = filter}, seen, &runs,
			                                                &count, &err), 0, &err))
				break;
			all += count;
			flow_runs_release(runs, count);
		} while (count > 0);
		CHECK_INT(row->name, all, row->runs);
		CHECK_INT(row->name, json_object_size(seen), row->runs);
		CHECK_INT(row->name, api_close(&api, row->name), row->requests);
		CHECK_JSON("the caller's filter is as it was", filter, "{\"state\": {\"x\": 1}}");
	}
}

UNIT_SUITE("client/prefect/flow_run", TEST(finds_all_of_a_changing_search), TEST(decodes_runs), TEST(decodes_sparse_runs), TEST(searches), TEST(counts),
           TEST(deletes_many), TEST(changes_single_runs))
