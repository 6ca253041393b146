#include "client/prefect/block.h"

#include <string.h>

#include "tests/unit/api.h"

#define FIND(...) {.method = "GET", .path = "/block_types/slug/webhook/block_documents/name/a%20b", .reply = __VA_ARGS__}
#define DOCUMENT(capabilities) {.body = "{\"id\": \"" ID_A "\", \"block_schema\": {\"capabilities\": " capabilities "}}"}
#define TYPE {.method = "GET", .path = "/block_types/slug/webhook", .reply = {.body = "{\"id\": \"" ID_B "\"}"}}
#define SCHEMA                                                              \
	{.method = "POST", .path = "/block_schemas/filter", .body = ID_B, \
	 .reply = {.body = "[{\"id\": \"" ID_C "\"}, {\"id\": \"" ID_A "\"}]"}}
#define CREATE(answer_status)                                                                                   \
	{.method = "POST", .path = "/block_documents/", .body = "{\"name\":\"a b\",\"data\":{\"url\":\"u\"}," \
	 "\"block_type_id\":\"" ID_B "\",\"block_schema_id\":\"" ID_C "\"}", .reply = {.status = answer_status}}
#define MAX_STEPS 6

static void finds_a_block(void)
{
	static const struct {
		const char *name;
		struct http_step step;
		int rc;
		bool notifies;
	} rows[] = {
		{"a webhook", FIND(DOCUMENT("[]")), 0, false},
		{"one that notifies", FIND(DOCUMENT("[\"x\", 7, \"notify\"]")), 0, true},
		{"without a schema", FIND({.body = "{\"id\": \"" ID_A "\"}"}), 0, false},
		{"none", FIND(GONE), ERR_NOT_FOUND, false},
		{"no id", FIND({.body = "{}"}), ERR_DECODE, false},
	};

	EACH(row, rows)
	{
		struct api api;
		struct block block = {0};
		struct error err;

		api_open(&api, &row->step, 1);
		int rc = block_find(api.prefect, "webhook", "a b", &block, &err);
		if (CHECK_RC(row->name, rc, row->rc, &err) && rc == 0)
			CHECK_STR(row->name, block.id, ID_A);
		CHECK(row->name, block.notifies == row->notifies);
		(void)api_close(&api, row->name);
	}
}

static void ensures_a_block(void)
{
	static const struct {
		const char *name;
		struct http_step steps[MAX_STEPS];
		int rc;
	} rows[] = {
		{"it is there",
		 {FIND(DOCUMENT("[]")), {.method = "PATCH", .path = "/block_documents/" ID_A, .body = "{\"data\":{\"url\":\"u\"},"
		  "\"merge_existing_data\":true}", .reply = {.status = 204}}}, 0},
		{"it is made", {FIND(GONE), TYPE, SCHEMA, CREATE(201), FIND(DOCUMENT("[]"))}, 0},
		{"another was faster", {FIND(GONE), TYPE, SCHEMA, CREATE(409), FIND(DOCUMENT("[]"))}, 0},
		{"refused", {FIND(GONE), TYPE, SCHEMA, CREATE(422)}, ERR_INVALID},
		{"the server has no such type", {FIND(GONE), {.method = "GET", .reply = GONE}}, ERR_NOT_FOUND},
		{"a type without a schema", {FIND(GONE), TYPE, {.method = "POST", .reply = {.body = "[]"}}}, ERR_DECODE},
	};

	EACH(row, rows)
	{
		struct api api;
		struct block block = {0};
		struct error err;

		api_open(&api, row->steps, COUNT_OF(row->steps));
		int rc = block_ensure(api.prefect, "webhook", "a b", unit_json("{\"url\": \"u\"}"), &block, &err);
		if (CHECK_RC(row->name, rc, row->rc, &err) && rc == 0)
			CHECK_STR(row->name, block.id, ID_A);
		(void)api_close(&api, row->name);
	}
}

static void deletes_a_block(void)
{
	static const struct {
		const char *name;
		struct http_step steps[MAX_STEPS];
		int rc;
		bool was_there;
	} rows[] = {
		{"it is there",
		 {FIND(DOCUMENT("[]")), {.method = "DELETE", .path = "/block_documents/" ID_A, .reply = {.status = 204}}}, 0, true},
		{"it is not", {FIND(GONE)}, 0, false},
		{"gone meanwhile", {FIND(DOCUMENT("[]")), {.method = "DELETE", .reply = GONE}}, 0, true},
		{"not allowed", {FIND({.status = 401})}, ERR_AUTH, false},
	};

	EACH(row, rows)
	{
		struct api api;
		struct error err;
		bool was_there = !row->was_there;

		api_open(&api, row->steps, COUNT_OF(row->steps));
		CHECK_RC(row->name, block_delete(api.prefect, "webhook", "a b", &was_there, &err), row->rc, &err);
		CHECK(row->name, was_there == row->was_there);
		(void)api_close(&api, row->name);
	}
}

UNIT_SUITE("client/prefect/block", TEST(finds_a_block), TEST(ensures_a_block), TEST(deletes_a_block))
