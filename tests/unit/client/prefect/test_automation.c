#include "client/prefect/automation.h"

#include <string.h>

#include "tests/unit/api.h"

#define FOUND(members) \
	{.method = "POST", .path = "/automations/filter", .body = "{\"automations\":{\"name\":{\"any_\":[\"a: b\"]}}}", \
	 .reply = {.body = "[" members "]"}}
#define HAS(members) "{\"id\": \"" ID_A "\", \"name\": \"a: b\", " members "}"
#define ON "\"enabled\": true, "
#define OFF "\"enabled\": false, "
#define TRIGGER(within) "\"trigger\": {\"id\": \"x\", \"for_each\": [], \"expect\": [\"e\", \"f\"], \"within\": " within "}"

static void ensures_an_automation(void)
{
	static const struct {
		const char *name;
		struct http_step steps[3];
		int rc;
		enum automation_change change;
	} rows[] = {
		{"there is none",
		 {FOUND(""), {.method = "POST", .path = "/automations/", .body = "\"within\":0", .reply = {.status = 201, .body = "{}"}}},
		 0, AUTOMATION_CREATED},
		{"it is so, with what the server adds", {FOUND(HAS(ON TRIGGER("0.0")))}, 0, AUTOMATION_SAME},
		{"in another order", {FOUND(HAS(ON "\"trigger\": {\"expect\": [\"f\", \"e\"], \"within\": 0}"))}, 0, AUTOMATION_SAME},
		{"another event", {FOUND(HAS(ON "\"trigger\": {\"expect\": [\"e\", \"g\"], \"within\": 0}")),
		  {.method = "PUT", .reply = {.status = 204}}}, 0, AUTOMATION_UPDATED},
		{"another number",
		 {FOUND(HAS(ON TRIGGER("1"))),
		  {.method = "PUT", .path = "/automations/" ID_A, .body = "\"enabled\":true", .reply = {.status = 204}}}, 0, AUTOMATION_UPDATED},
		{"a longer list",
		 {FOUND(HAS(ON "\"trigger\": {\"expect\": [\"e\", \"f\", \"g\"], \"within\": 0}")), {.method = "PUT", .reply = {.status = 204}}},
		 0, AUTOMATION_UPDATED},
		{"a field that is gone", {FOUND(HAS(ON "\"trigger\": null")), {.method = "PUT", .reply = {.status = 204}}}, 0,
		 AUTOMATION_UPDATED},
		{"switched off by a person", {FOUND(HAS(OFF TRIGGER("0")))}, 0, AUTOMATION_SAME},
		{"switched off, and other now",
		 {FOUND(HAS(OFF TRIGGER("1"))), {.method = "PUT", .body = "\"enabled\":false", .reply = {.status = 204}}}, 0,
		 AUTOMATION_UPDATED},
		{"not allowed", {FOUND(""), {.method = "POST", .reply = {.status = 401}}}, ERR_AUTH, AUTOMATION_SAME},
		{"no list", {{.method = "POST", .reply = {.body = "{}"}}}, ERR_DECODE, AUTOMATION_SAME},
		{"no id", {FOUND("{}")}, ERR_DECODE, AUTOMATION_SAME},
	};

	EACH(row, rows)
	{
		struct api api;
		struct error err;
		enum automation_change change = AUTOMATION_SAME;

		api_open(&api, row->steps, COUNT_OF(row->steps));
		json_t *body = unit_json("{\"name\": \"a: b\", " ON "\"trigger\": {\"expect\": [\"e\", \"f\"], \"within\": 0}}");
		int rc = automation_ensure(api.prefect, body, &change, &err);
		if (CHECK_RC(row->name, rc, row->rc, &err) && rc == 0)
			CHECK_INT(row->name, change, row->change);
		(void)api_close(&api, row->name);
	}
}

#define DELETE(id, answer_status) {.method = "DELETE", .path = "/automations/" id, .reply = {.status = answer_status}}

static void deletes_all_of_a_name(void)
{
	static const struct {
		const char *name;
		struct http_step steps[3];
		int rc;
		size_t count;
	} rows[] = {
		{"none", {FOUND("")}, 0, 0},
		{"two", {FOUND("{\"id\": \"" ID_A "\"}, {\"id\": \"" ID_B "\"}"), DELETE(ID_A, 204), DELETE(ID_B, 204)}, 0, 2},
		{"gone meanwhile", {FOUND("{\"id\": \"" ID_A "\"}"), {.method = "DELETE", .reply = GONE}}, 0, 1},
		{"not allowed", {FOUND("{\"id\": \"" ID_A "\"}, {\"id\": \"" ID_B "\"}"), DELETE(ID_A, 401)}, ERR_AUTH, 2},
	};

	EACH(row, rows)
	{
		struct api api;
		struct error err;
		size_t count = 99;

		api_open(&api, row->steps, COUNT_OF(row->steps));
		CHECK_RC(row->name, automation_delete(api.prefect, "a: b", &count, &err), row->rc, &err);
		CHECK_INT(row->name, count, row->count);
		(void)api_close(&api, row->name);
	}
}

static void emits_an_event(void)
{
	const struct http_step step = {
		.method = "POST", .path = "/events", .reply = {.status = 204},
		.body = "\"resource\":{\"prefect.resource.id\":\"r\"},\"related\":[{\"prefect.resource.id\":\"d\",\"prefect.resource.role\":"
		        "\"deployment\"}]"};
	struct api api;
	struct error err;

	api_open(&api, &step, 1);
	CHECK_RC("event", event_emit(api.prefect, "e", "r", "d", "deployment", &err), 0, &err);
	(void)api_close(&api, "event");
}

UNIT_SUITE("client/prefect/automation", TEST(ensures_an_automation), TEST(deletes_all_of_a_name), TEST(emits_an_event))
