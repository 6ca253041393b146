#include "client/prefect/artifact.h"

#include "tests/unit/api.h"

#define ONE "{\"id\": \"" ID_A "\", \"flow_run_id\": \"" ID_B "\", \"key\": \"k\", \"data\": \"x\"}"

static void creates(void)
{
	static const struct {
		const char *name;
		const char *task_run_id, *description;
		const char *body;
		struct http_reply reply;
		int rc;
	} rows[] = {
		{"all", ID_C, "d",
		 "{\"type\":\"markdown\",\"key\":\"k\",\"description\":\"d\",\"data\":\"x\",\"flow_run_id\":\"" ID_B "\",\"task_run_id\":\"" ID_C "\"}",
		 {.status = 201, .body = ONE}, 0},
		{"the least", NULL, NULL, "{\"type\":\"markdown\",\"key\":\"k\",\"data\":\"x\",\"flow_run_id\":\"" ID_B "\"}",
		 {.status = 201, .body = ONE}, 0},
		{"refused", NULL, NULL, "", {.status = 422}, ERR_INVALID},
		{"an answer without an id", NULL, NULL, "", {.body = "{}"}, ERR_DECODE},
		{"lost, and not made a second time", NULL, NULL, "", {.trick = TRICK_CLOSE}, ERR_TRANSPORT},
	};

	EACH(row, rows)
	{
		struct http_step step = {.method = "POST", .path = "/artifacts/", .body = row->body, .reply = row->reply};
		AUTO_JSON *data = json_string("x");
		char id[UUID_SIZE] = "";
		struct api api;
		struct error err;

		api_open(&api, &step, 1);
		CHECK_RC(row->name,
		         artifact_create(api.prefect,
		                         &(struct artifact_text){.type = "markdown", .key = "k", .description = row->description,
		                                                 .data = data, .flow_run_id = ID_B, .task_run_id = row->task_run_id},
		                         id, &err),
		         row->rc, &err);
		CHECK_STR(row->name, id, row->rc == 0 ? ID_A : "");
		(void)api_close(&api, row->name);
	}
}

static void puts_in_place(void)
{
	static const struct {
		const char *name;
		struct http_step steps[2];
		int rc;
	} rows[] = {
		{"there is none",
		 {{.method = "POST", .path = "/artifacts/filter", .body = "{\"flow_run_id\":{\"any_\":[\"" ID_B "\"]},\"key\":{\"any_\":[\"k\"]},"
		   "\"task_run_id\":{\"any_\":[\"" ID_C "\"]}}", .reply = {.body = "[]"}},
		  {.method = "POST", .path = "/artifacts/", .body = "\"data\":5.0", .reply = {.status = 201, .body = ONE}}}, 0},
		{"there is one",
		 {{.method = "POST", .path = "/artifacts/filter", .reply = {.body = "[" ONE "]"}},
		  {.method = "PATCH", .path = "/artifacts/" ID_A, .body = "{\"data\":5.0}", .reply = {.status = 204}}}, 0},
		{"not known", {{.method = "POST", .path = "/artifacts/filter", .reply = {.status = 422}}}, ERR_INVALID},
	};

	EACH(row, rows)
	{
		AUTO_JSON *data = json_real(5);
		char id[UUID_SIZE] = "";
		struct api api;
		struct error err;

		api_open(&api, row->steps, COUNT_OF(row->steps));
		CHECK_RC(row->name,
		         artifact_put(api.prefect, &(struct artifact_text){.type = "progress", .key = "k", .data = data,
		                                                           .flow_run_id = ID_B, .task_run_id = ID_C}, id, &err),
		         row->rc, &err);
		CHECK_STR(row->name, id, row->rc == 0 ? ID_A : "");
		(void)api_close(&api, row->name);
	}
}

static void finds_counts_and_deletes(void)
{
	static const struct http_step steps[] = {
		{.method = "POST", .path = "/artifacts/filter", .body = "{\"artifacts\":{\"a\":1},\"flow_runs\":{\"b\":2},\"limit\":7}",
		 .reply = {.body = "[" ONE ", {\"id\": \"" ID_C "\", \"flow_run_id\": null}]"}},
		{.method = "POST", .path = "/artifacts/filter", .body = "{}", .reply = {.body = "[{\"id\": 1}]"}},
		{.method = "POST", .path = "/artifacts/count", .body = "{\"flow_runs\":{\"b\":2}}", .reply = {.body = "12"}},
		{.method = "POST", .path = "/artifacts/count", .reply = {.body = "-1"}},
		{.method = "DELETE", .path = "/artifacts/" ID_A, .reply = {.status = 204}},
		{.method = "DELETE", .path = "/artifacts/" ID_A, .reply = GONE},
		{.method = "DELETE", .path = "/artifacts/" ID_A, .reply = {.status = 409}},
	};
	AUTO_JSON *a = unit_json("{\"a\": 1}");
	AUTO_JSON *b = unit_json("{\"b\": 2}");
	struct artifact *found = NULL;
	size_t count = 0;
	int64_t number = 0;
	struct api api;
	struct error err;

	api_open(&api, steps, COUNT_OF(steps));
	if (CHECK_RC("two", artifact_filter(api.prefect, &(struct artifact_query){.artifacts = a, .flow_runs = b, .limit = 7},
	                                    &found, &count, &err), 0, &err)) {
		CHECK_INT("two", count, 2);
		CHECK_STR("two", found[0].flow_run_id, ID_B);
		CHECK_STR("of no run", found[1].flow_run_id, "");
		artifacts_release(found, count);
	}
	CHECK_RC("odd", artifact_filter(api.prefect, &(struct artifact_query){0}, &found, &count, &err), ERR_DECODE, &err);
	CHECK_RC("count", artifact_count(api.prefect, &(struct artifact_query){.flow_runs = b}, &number, &err), 0, &err);
	CHECK_INT("count", number, 12);
	CHECK_RC("no count", artifact_count(api.prefect, &(struct artifact_query){.flow_runs = b}, &number, &err), ERR_DECODE, &err);
	CHECK_RC("deleted", artifact_delete(api.prefect, ID_A, &err), 0, &err);
	CHECK_RC("gone", artifact_delete(api.prefect, ID_A, &err), ERR_NOT_FOUND, &err);
	CHECK_RC("refused", artifact_delete(api.prefect, ID_A, &err), ERR_CONFLICT, &err);
	(void)api_close(&api, "finds");
}

UNIT_SUITE("client/prefect/artifact", TEST(creates), TEST(puts_in_place), TEST(finds_counts_and_deletes))
