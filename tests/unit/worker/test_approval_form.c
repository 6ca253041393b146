#include "worker/approval_form.h"

#include "client/base/text.h"
#include "tests/unit/api.h"

#define INPUT "/flow_runs/" ID_A "/input"
#define OF(part, value) "{\"key\": \"paused-1-" part "\", \"value\": \"" value "\"}"
#define SCHEMA OF("schema", "{\\\"type\\\": \\\"object\\\"}")
#define TEXT OF("description", "\\\"# Text\\\"")
#define LIST(inputs) {.method = "POST", .path = INPUT "/filter", .body = "\"prefix\":\"paused-1-\"", .reply = {.body = "[" inputs "]"}}
#define PUT(part) {.method = "POST", .path = INPUT, .body = "\"key\":\"paused-1-" part "\"", .reply = {.status = 201}}

static const struct question first = {.asked = true, .number = 1};

static void tells_forms_apart(void)
{
	static const struct {
		const char *name;
		struct http_step step;
		int rc;
		bool there;
		bool same;
	} rows[] = {
		{"there", LIST(SCHEMA "," TEXT), 0, true, true},
		{"among others, in another order", LIST(OF("response", "{}") "," TEXT "," SCHEMA), 0, true, true},
		{"nothing", LIST(""), 0, false, false},
		{"no schema", LIST(TEXT), 0, false, false},
		{"no text", LIST(SCHEMA), 0, false, false},
		{"another text", LIST(SCHEMA "," OF("description", "\\\"# Other\\\"")), 0, true, false},
		{"another schema", LIST(OF("schema", "{}") "," TEXT), 0, true, false},
		{"a schema that is no object", LIST(OF("schema", "7") "," TEXT), 0, false, false},
		{"a text that is no JSON", LIST(SCHEMA "," OF("description", "# Text")), 0, false, false},
		{"a text that is a number", LIST(SCHEMA "," OF("description", "7")), 0, false, false},
		{"inputs without keys", LIST("7, null, {}, {\"key\": 1}"), 0, false, false},
		{"no answer", {.method = "POST", .reply = {.status = 401}}, ERR_AUTH, false, false},
	};
	struct flow_form form = {.schema = unit_json("{\"type\": \"object\"}"), .description = text_dup("# Text")};

	EACH(row, rows)
	{
		struct api api;
		struct error err;
		uint64_t print = 0;

		api_open(&api, &row->step, 1);
		CHECK_RC(row->name, approval_form_stored(api.prefect, ID_A, &first, &print, &err), row->rc, &err);
		CHECK_INT(row->name, print != 0, row->there);
		CHECK_INT(row->name, print == approval_form_print(&form), row->same);
		(void)api_close(&api, row->name);
	}
	flow_form_release(&form);
}

static void stores_the_schema_last(void)
{
	static const struct {
		const char *name;
		struct http_step steps[5];
		int rc;
	} rows[] = {
		{"stored", {PUT("description"), PUT("schema"), LIST(SCHEMA "," TEXT)}, 0},
		{"the text is refused", {{.method = "POST", .path = INPUT, .reply = {.status = 400}}}, ERR_INVALID},
		{"the schema is refused", {PUT("description"), {.method = "POST", .path = INPUT, .reply = {.status = 400}}}, ERR_INVALID},
		{"gone again", {PUT("description"), PUT("schema"), LIST("")}, ERR_CONFLICT},
		{"cannot be read back", {PUT("description"), PUT("schema"), {.method = "POST", .path = INPUT "/filter", .reply = {.status = 401}}},
		 ERR_AUTH},
	};
	struct flow_form form = {.schema = unit_json("{\"type\": \"object\"}"), .description = text_dup("# Text")};

	EACH(row, rows)
	{
		struct api api;
		struct error err;

		api_open(&api, row->steps, COUNT_OF(row->steps));
		CHECK_RC(row->name, approval_form_store(api.prefect, ID_A, &first, &form, &err), row->rc, &err);
		(void)api_close(&api, row->name);
	}
	flow_form_release(&form);
}

#define ASKS(type, number) \
	{.method = "GET", .path = "/flow_runs/" ID_A, .reply = {.body = "{\"id\": \"" ID_A "\", \"flow_id\": \"" ID_B "\", \"name\": \"n\", " \
	 "\"state\": {\"type\": \"" type "\", \"name\": \"x\", \"timestamp\": \"2026-11-21T06:34:21Z\", \"state_details\": {\"pause_key\": \"" \
	 number "\", \"run_input_keyset\": {\"schema\": \"paused-" number "-schema\"}}}}"}}
#define NO_SCHEMA {.method = "DELETE", .path = INPUT "/paused-1-schema", .reply = {.status = 204}}

static void puts_back_only_what_is_asked(void)
{
	static const struct {
		const char *name;
		struct http_step steps[6];
		int rc;
		bool late;
	} rows[] = {
		{"asked", {NO_SCHEMA, ASKS("PAUSED", "1"), PUT("description"), PUT("schema"), LIST(SCHEMA "," TEXT)}, 0, false},
		{"there was no schema",
		 {{.method = "DELETE", .path = INPUT "/paused-1-schema", .reply = GONE}, ASKS("PAUSED", "1"), PUT("description"), PUT("schema"),
		  LIST(SCHEMA "," TEXT)}, 0, false},
		{"answered meanwhile", {NO_SCHEMA, ASKS("RUNNING", "1")}, 0, true},
		{"asked anew meanwhile", {NO_SCHEMA, ASKS("PAUSED", "2")}, 0, true},
		{"the schema stays", {{.method = "DELETE", .path = INPUT "/paused-1-schema", .reply = {.status = 401}}}, ERR_AUTH, false},
		{"deleted meanwhile", {NO_SCHEMA, {.method = "GET", .path = "/flow_runs/" ID_A, .reply = GONE}}, ERR_NOT_FOUND, false},
		{"a run without a state",
		 {NO_SCHEMA, {.method = "GET", .path = "/flow_runs/" ID_A,
		              .reply = {.body = "{\"id\": \"" ID_A "\", \"flow_id\": \"" ID_B "\", \"name\": \"n\"}"}}}, ERR_DECODE, false},
	};
	struct flow_form form = {.schema = unit_json("{\"type\": \"object\"}"), .description = text_dup("# Text")};

	EACH(row, rows)
	{
		struct api api;
		struct error err;
		bool late = false;

		api_open(&api, row->steps, COUNT_OF(row->steps));
		CHECK_RC(row->name, approval_form_put_back(api.prefect, ID_A, &first, &form, &late, &err), row->rc, &err);
		CHECK_INT(row->name, late, row->late);
		(void)api_close(&api, row->name);
	}
	flow_form_release(&form);
}

UNIT_SUITE("worker/approval_form", TEST(tells_forms_apart), TEST(stores_the_schema_last),
           TEST(puts_back_only_what_is_asked))
