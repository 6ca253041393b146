/* Statuses and answers of the API turned into error codes with the server's own words; CSRF; the server's clock. */
#include "client/prefect/prefect.h"

#include <stdlib.h>
#include <string.h>

#include "client/base/text.h"
#include "tests/unit/api.h"

#define REFUSAL_422                                                                                       \
	"{\"exception_message\": \"Invalid request received.\", \"exception_detail\": [{\"loc\": [\"body\", " \
	"\"limit\"], \"msg\": \"Input should be less than or equal to 50\"}, {\"msg\": \"and one more\"}]}"

static void turns_statuses_into_errors(void)
{
	static const struct {
		const char *name;
		struct http_reply reply;
		int rc;
		const char *text;
	} rows[] = {
		{"400", {.status = 400}, ERR_INVALID, "GET /things/1: HTTP 400"},
		{"401", {.status = 401}, ERR_AUTH, "check PREFECT_API_AUTH_STRING, PREFECT_API_KEY and PREFECT_CLIENT_CUSTOM_HEADERS"},
		{"407", {.status = 407}, ERR_AUTH, "HTTP 407: a proxy asks for a user; put USER:PASSWORD@ before its host in http_proxy"},
		{"403", {.status = 403, .body = "{\"detail\": \"Forbidden\"}"}, ERR_AUTH, "HTTP 403, Forbidden; check"},
		{"404", {.status = 404, .body = "{\"detail\": \"Flow run not found\"}"}, ERR_NOT_FOUND,
		 "GET /things/1: HTTP 404, Flow run not found"},
		{"404 with a message", {.status = 404, .body = "{\"exception_message\": \"Resource not found\"}"}, ERR_NOT_FOUND,
		 "HTTP 404, Resource not found"},
		{"404 of a path", {.status = 404, .body = "{\"detail\": \"Not Found\"}"}, ERR_NO_ROUTE,
		 "GET /things/1: HTTP 404; is PREFECT_API_URL the address of the API (it ends in /api)?"},
		{"404 of a proxy", {.status = 404}, ERR_NO_ROUTE, "GET /things/1: HTTP 404; is PREFECT_API_URL"},
		{"405", {.status = 405, .body = "{\"detail\": \"Method Not Allowed\"}"}, ERR_NO_ROUTE, "HTTP 405; is PREFECT_API_URL"},
		{"409", {.status = 409, .body = "{\"detail\": \"A flow run input with that key exists\"}"}, ERR_CONFLICT,
		 "HTTP 409, A flow run input with that key exists"},
		{"409 with a message", {.status = 409, .body = "{\"exception_message\": \"in use\"}"}, ERR_CONFLICT, "409, in use"},
		{"422", {.status = 422, .body = REFUSAL_422}, ERR_INVALID,
		 "Invalid request received. Input should be less than or equal to 50 and one more"},
		{"500", {.status = 500, .body = "{\"exception_message\": \"Internal Server Error\"}"}, ERR_HTTP,
		 "HTTP 500, Internal Server Error"},
		{"501", {.status = 501}, ERR_HTTP, "HTTP 501"},
		{"418", {.status = 418}, ERR_HTTP, "HTTP 418"},
		{"a redirect", {.status = 307, .headers = "Location: https://x/api/\r\n"}, ERR_HTTP,
		 "HTTP 307 redirects; set PREFECT_API_URL"},
		{"429 until the budget is spent", {.status = 429, .headers = "Retry-After: 60\r\n"}, ERR_BUSY, "HTTP 429"},
		{"503 until the budget is spent",
		 {.status = 503, .headers = "Retry-After: 60\r\n", .body = "{\"exception_message\": \"Service Unavailable\"}"},
		 ERR_BUSY, "HTTP 503, Service Unavailable"},
		{"504 until the budget is spent", {.status = 504, .headers = "Retry-After: 60\r\n"}, ERR_BUSY, "HTTP 504"},
		{"HTML", {.status = 404, .body = "<html>\n<b>"}, ERR_NO_ROUTE, "HTTP 404"},
		{"a list", {.status = 404, .body = "[1]"}, ERR_NO_ROUTE, "HTTP 404"},
		{"a detail that is no text", {.status = 404, .body = "{\"detail\": {\"a\": 1}}"}, ERR_NO_ROUTE, "HTTP 404"},
		{"rows that are no objects", {.status = 422, .body = "{\"exception_detail\": [1, null, {\"msg\": 3}]}"},
		 ERR_INVALID, "HTTP 422"},
		{"control characters", {.status = 409, .body = "{\"detail\": \"a\\n\\u001b[31mb\"}"}, ERR_CONFLICT, "409, a??[31mb"},
	};

	EACH(row, rows)
	{
		/* A status that is repeated at once comes three times. */
		struct http_step steps[3];
		EACH(step, steps)
			*step = (struct http_step){.method = row->reply.status == 500 || step == steps ? "GET" : NULL,
			                           .path = "/things/1", .reply = row->reply};
		struct api api;
		struct error err;
		json_t *json = NULL;

		api_open(&api, steps, COUNT_OF(steps));
		CHECK_RC(row->name, prefect_get(api.prefect, &json, &err, "/things/%d", 1), row->rc, &err);
		CHECK_INT(row->name, err.http_status, row->reply.status);
		CHECK_HAS(row->name, err.text, row->text);
		CHECK(row->name, json == NULL);
		(void)api_close(&api, row->name);
	}
}

/* A wish that is beyond the budget is handed on, without a wait. */
static void hands_on_the_wish(void)
{
	static const struct {
		const char *name;
		struct http_reply reply;
		int64_t ms;
	} rows[] = {
		{"429 with seconds", {.status = 429, .headers = "Retry-After: 45\r\n"}, 45000},
		{"503 with seconds", {.status = 503, .headers = "Retry-After: 3600\r\n"}, 60000},
		{"503 with a date", {.status = 503, .headers = "Date: Mon, 01 Jan 2001 12:00:00 GMT\r\n"
		                     "Retry-After: Mon, 01 Jan 2001 12:00:40 GMT\r\n"}, 40000},
		{"409 without", {.status = 409}, 0},
	};

	EACH(row, rows)
	{
		struct http_step step = {.method = "GET", .reply = row->reply};
		struct api api;
		struct error err = {.retry_after_ms = 1};

		api_open(&api, &step, 1);
		CHECK(row->name, prefect_get(api.prefect, NULL, &err, "/x") != 0);
		CHECK_INT(row->name, err.retry_after_ms, row->ms);
		(void)api_close(&api, row->name);
	}
}

/* However long the server's words are, the beginning of them is there. */
static void cuts_long_words(void)
{
	struct text body = {.max = 10000};
	text_addf(&body, "{\"detail\": \"the disk is full: %0*d\"}", 3000, 0);
	struct http_step step = {.method = "GET", .reply = {.status = 409, .body = text_str(&body)}};
	struct api api;
	struct error err;

	api_open(&api, &step, 1);
	CHECK_RC("409", prefect_get(api.prefect, NULL, &err, "/x"), ERR_CONFLICT, &err);
	CHECK_HAS("409", err.text, "HTTP 409, the disk is full: 000");
	(void)api_close(&api, "409");
	text_release(&body);
}

static void reads_answers(void)
{
	static const struct {
		const char *name;
		const char *body;
		bool as_text;
		int rc;
		const char *want; /* JSON, or a part of the error */
	} rows[] = {
		{"an object", "{\"a\": 1}", false, 0, "{\"a\": 1}"},
		{"a number", "12", false, 0, "12"},
		{"empty", "", false, 0, "null"},
		{"HTML", "<!doctype html>\n<html>", false, ERR_NO_ROUTE,
		 "GET /x: the answer is not JSON but '<!doctype html>?<html>'; is PREFECT_API_URL the address of the API"},
		{"another text", "pong", false, ERR_DECODE, "not JSON but 'pong'"},
		{"a repeated key", "{\"a\": 1, \"a\": 2}", false, ERR_DECODE, "not JSON but"},
		{"cut off", "{\"a\": 1", false, ERR_DECODE, "not JSON but"},
		{"text", "# Title", true, 0, "\"# Title\""},
		{"empty text", "", true, 0, "null"},
		{"text that is not UTF-8", "a\xff", true, ERR_DECODE, "GET /x: the answer is not UTF-8"},
	};

	EACH(row, rows)
	{
		struct http_step step = {.method = "GET", .path = "/x", .reply = {.body = row->body}};
		struct api api;
		struct error err;
		json_t *json = NULL;

		api_open(&api, &step, 1);
		CHECK_RC(row->name, prefect_call(api.prefect, (struct prefect_request){.method = "GET", .text_answer = row->as_text},
		                                 &json, &err, "/x"), row->rc, &err);
		if (row->rc == 0)
			CHECK_JSON(row->name, json, row->want);
		else
			CHECK_HAS(row->name, err.text, row->want);
		json_decref(json);
		(void)api_close(&api, row->name);
	}
}

static void says_what_to_look_at(void)
{
	static const struct http_step step = {.method = "POST", .reply = {.trick = TRICK_CLOSE}};
	struct api api;
	struct error err;
	bool ambiguous = false;

	api_open(&api, &step, 1);
	CHECK_RC("cut off", prefect_call(api.prefect, (struct prefect_request){.method = "POST", .body = unit_json("1"),
	                                                                     .ret_ambiguous = &ambiguous}, NULL, &err, "/x"),
	         ERR_TRANSPORT, &err);
	CHECK_HAS("cut off", err.text, "no answer from http://127.0.0.1:");
	CHECK_HAS("cut off", err.text, "; is the server running, and PREFECT_API_URL right?");
	CHECK("cut off", ambiguous);
	(void)api_close(&api, "cut off");
}

/* The address at which nobody is: where it comes from. */
static void names_the_source_of_the_address(void)
{
	static const struct {
		const char *name, *from;
		bool is_default;
		const char *want;
	} rows[] = {
		{"of a profile", "profile 'p' in /x", false, "; is the server running, and PREFECT_API_URL (from profile 'p' in /x) right?"},
		{"the default one", "defaults", true,
		 "; is the server running? http://127.0.0.1:1/api is the default address, as nothing names another: set PREFECT_API_URL, or"},
	};

	EACH(row, rows)
	{
		struct http_settings settings = {.url = "http://127.0.0.1:1/api", .url_from = row->from, .url_is_default = row->is_default,
		                                 .connect_timeout_ms = 1000, .request_timeout_ms = 1000};
		struct server_clock clock = {0};
		struct error err;
		struct prefect *prefect = prefect_new(&settings, &clock);

		CHECK_RC(row->name, prefect_get(prefect, NULL, &err, "/x"), ERR_TRANSPORT, &err);
		CHECK_HAS(row->name, err.text, row->want);
		prefect_free(prefect);
	}
}

static void hands_out_the_refusal(void)
{
	static const struct http_step steps[] = {
		{.method = "POST", .body = "[1]", .header = "x-prefect-api-version: 0.8.4",
		 .reply = {.status = 422, .body = "{\"x\": 1}"}},
		{.method = "POST", .reply = {.status = 422, .body = "<html>"}},
		{.method = "POST", .reply = {.body = "[2]"}},
		{.method = "POST", .reply = {.body = "<html>"}},
	};
	struct api api;
	struct error err;
	json_t *refusal = NULL;

	api_open(&api, steps, COUNT_OF(steps));
	CHECK_RC("JSON", prefect_call(api.prefect, (struct prefect_request){.method = "POST", .body = unit_json("[1]"),
	                                                                  .ret_refusal = &refusal}, NULL, &err, "/x"),
	         ERR_INVALID, &err);
	CHECK_JSON("JSON", refusal, "{\"x\": 1}");
	json_decref(refusal);
	refusal = NULL;
	CHECK_RC("HTML", prefect_call(api.prefect, (struct prefect_request){.method = "POST", .body = unit_json("[1]"),
	                                                                  .ret_refusal = &refusal}, NULL, &err, "/x"),
	         ERR_INVALID, &err);
	CHECK("HTML", refusal == NULL);
	CHECK_RC("nobody wants the answer", prefect_post(api.prefect, unit_json("[1]"), PREFECT_ONCE, NULL, &err, "/x"), 0, &err);
	CHECK_RC("a page is no answer", prefect_post(api.prefect, unit_json("[1]"), PREFECT_ONCE, NULL, &err, "/x"), ERR_NO_ROUTE,
	         &err);
	CHECK_RC("no memory for a body", prefect_post(api.prefect, NULL, PREFECT_ONCE, NULL, &err, "/x"), ERR_NOMEM, &err);
	(void)api_close(&api, "five calls");
}

/* --- CSRF ---------------------------------------------------------------------------------------------- */

struct csrf {
	int token;         /* that the server takes now; 0: none will do */
	int asked;         /* tokens handed out */
	bool off;          /* the server does not hand out tokens */
	char client[64];
	bool wrong_client; /* a request with a token of somebody else */
};

static struct http_reply csrf_server(void *arg, const struct http_seen *seen)
{
	struct csrf *csrf = arg;
	char token[32];
	char client[64];
	char body[64];

	if (strncmp(seen->path, "/csrf-token?client=", 19) == 0) {
		if (csrf->off)
			return (struct http_reply){.status = 422, .body = "{\"detail\": \"CSRF protection is disabled.\"}"};
		csrf->asked++;
		(void)snprintf(csrf->client, sizeof csrf->client, "%s", seen->path + 19);
		(void)snprintf(body, sizeof body, "{\"token\": \"t%d\"}", csrf->asked);
		return (struct http_reply){.owned = text_dup(body)};
	}
	http_seen_header(seen->headers, "Prefect-Csrf-Token", token, sizeof token);
	http_seen_header(seen->headers, "Prefect-Csrf-Client", client, sizeof client);
	if (token[0] == '\0')
		return (struct http_reply){.status = 403, .body = "{\"detail\": \"Missing CSRF token\"}"};
	csrf->wrong_client = csrf->wrong_client || strcmp(client, csrf->client) != 0;
	if (csrf->token == 0 || atoi(token + 1) != csrf->token)
		return (struct http_reply){.status = 403, .body = "{\"detail\": \"Invalid CSRF token or client identifier.\"}"};
	return (struct http_reply){.body = "1"};
}

static int csrf_post(struct api *api, struct error *err)
{
	AUTO_JSON *json = NULL;

	return prefect_post(api->prefect, unit_json("{}"), PREFECT_ONCE, &json, err, "/x");
}

static void fetches_csrf_tokens(void)
{
	struct csrf csrf = {.token = 1};
	struct api api;
	struct error err;

	api_open_handler(&api, csrf_server, &csrf);
	CHECK_RC("the first call", csrf_post(&api, &err), 0, &err);
	CHECK_RC("the second call", csrf_post(&api, &err), 0, &err);
	/* Three requests for the first call, one for the second. */
	CHECK_INT("requests", api_close(&api, "csrf"), 4);
	CHECK_INT("one token for both", csrf.asked, 1);
	CHECK("under its own name", !csrf.wrong_client && strlen(csrf.client) == UUID_SIZE - 1);
}

static void renews_csrf_tokens(void)
{
	struct csrf csrf = {.token = 2, .asked = 1}; /* as if the first token had expired */
	struct api api;
	struct error err;

	api_open_handler(&api, csrf_server, &csrf);
	CHECK_RC("first token", csrf_post(&api, &err), 0, &err);
	(void)api_close(&api, "csrf");

	csrf = (struct csrf){.token = 0};
	api_open_handler(&api, csrf_server, &csrf);
	CHECK_RC("no token helps", csrf_post(&api, &err), ERR_AUTH, &err);
	CHECK_INT("asked once only", csrf.asked, 1);
	CHECK_RC("nor the next time", csrf_post(&api, &err), ERR_AUTH, &err);
	(void)api_close(&api, "csrf");
	CHECK_INT("asked once more", csrf.asked, 2);

	csrf = (struct csrf){.off = true};
	api_open_handler(&api, csrf_server, &csrf);
	CHECK_RC("no tokens there", csrf_post(&api, &err), ERR_INVALID, &err);
	CHECK_HAS("no tokens there", err.text, "CSRF protection is disabled");
	(void)api_close(&api, "csrf");
}

/* --- clock --------------------------------------------------------------------------------------------- */

static void learns_the_servers_clock(void)
{
	static const struct {
		const char *name;
		int64_t ours_s; /* beside the server's 1795242861 */
		const char *headers;
		int64_t ahead_us;
	} rows[] = {
		{"they agree", 0, "Date: Sat, 21 Nov 2026 06:34:21 GMT\r\n", 0},
		{"within what the header can tell", 4, "Date: Sat, 21 Nov 2026 06:34:21 GMT\r\n", 0},
		{"ours is behind", -3600, "Date: Sat, 21 Nov 2026 06:34:21 GMT\r\n", 3601 * US_PER_SEC},
		{"ours is ahead", 3600, "Date: Sat, 21 Nov 2026 06:34:21 GMT\r\n", -3599 * US_PER_SEC},
		{"no header", 0, "", 0},
		{"an unreadable one", 3600, "Date: soon\r\n", 0},
	};

	EACH(row, rows)
	{
		struct http_step step = {.method = "GET", .reply = {.headers = row->headers}};
		struct api api;
		struct error err;

		api_open(&api, &step, 1);
		unit_clock_ms = (1795242861 + row->ours_s) * 1000;
		unit_clock_step_ms = 0;
		clock_fake(unit_mono_ms, unit_now_us);
		CHECK_RC(row->name, prefect_get(api.prefect, NULL, &err, "/x"), 0, &err);
		CHECK_INT(row->name, atomic_load(&api.clock.ahead_us), row->ahead_us);
		CHECK_INT(row->name, prefect_now(api.prefect), unit_clock_ms * 1000 + row->ahead_us);
		CHECK_INT(row->name, server_clock_now(&api.clock), unit_clock_ms * 1000 + row->ahead_us);
		clock_fake(NULL, NULL);
		(void)api_close(&api, row->name);
	}
}

static int64_t mono_ms;
static time_us wall_us;

static int64_t fake_mono_ms(void)
{
	return mono_ms;
}

static time_us fake_wall_us(void)
{
	return wall_us;
}

/* Between two answers our own time may jump: the server's goes on as before, and the next answer tells the difference. */
static void outlasts_jumps_of_our_clock(void)
{
	static const struct {
		const char *name;
		int64_t jump_s;
	} rows[] = {{"a day ahead", 86400}, {"a day back", -86400}, {"to 1970", -1795242861}};
	const time_us server_us = INT64_C(1795242861) * US_PER_SEC;

	EACH(row, rows)
	{
		static const struct http_step steps[] = {
			{.method = "GET", .reply = {.headers = "Date: Sat, 21 Nov 2026 06:34:21 GMT\r\n"}},
			{.method = "GET", .reply = {.headers = "Date: Sat, 21 Nov 2026 06:35:21 GMT\r\n"}},
			{.method = "GET"},
		};
		struct api api;
		struct error err;

		api_open(&api, steps, COUNT_OF(steps));
		mono_ms = 5000;
		wall_us = server_us;
		clock_fake(fake_mono_ms, fake_wall_us);
		CHECK_RC(row->name, prefect_get(api.prefect, NULL, &err, "/x"), 0, &err);
		mono_ms += 60000;
		wall_us += (60 + row->jump_s) * US_PER_SEC;
		CHECK_INT(row->name, prefect_now(api.prefect), server_us + 60 * US_PER_SEC);
		CHECK_INT(row->name, atomic_load(&api.clock.ahead_us), 0);

		CHECK_RC(row->name, prefect_get(api.prefect, NULL, &err, "/x"), 0, &err);
		CHECK_INT(row->name, prefect_now(api.prefect), server_us + 61 * US_PER_SEC);
		CHECK_INT(row->name, atomic_load(&api.clock.ahead_us), (1 - row->jump_s) * US_PER_SEC);

		mono_ms += 1000;
		CHECK_RC("no header", prefect_get(api.prefect, NULL, &err, "/x"), 0, &err);
		CHECK_INT("no header keeps what is known", prefect_now(api.prefect), server_us + 62 * US_PER_SEC);
		clock_fake(NULL, NULL);
		(void)api_close(&api, row->name);
	}
}

static void makes_addresses(void)
{
	static const struct {
		const char *api;
		const char *page;
	} rows[] = {
		{"http://127.0.0.1:4200/api", "http://127.0.0.1:4200/v2/runs"},
		{"https://x/prefect/api", "https://x/prefect/v2/runs"},
		{"https://x/gate", "https://x/gate/v2/runs"},
		{"api", "api/v2/runs"},
	};

	EACH(row, rows)
	{
		char *page = prefect_ui_url(row->api, "/runs");
		CHECK_STR(row->api, page, row->page);
		free(page);
	}
	char *escaped = http_escape("a b/c?d#\u00e4%");
	CHECK_STR("escaped", escaped, "a%20b%2Fc%3Fd%23%C3%A4%25");
	free(escaped);
}

/* A server that does not answer is waited for until then, whatever the settings say. */
static void keeps_its_deadline(void)
{
	static const struct http_step steps[] = {{.method = "GET", .path = "/x", .reply = {.trick = TRICK_STALL}},
	                                         {.method = "GET", .path = "/x", .reply = {.body = "1"}}};
	AUTO_JSON *answer = NULL;
	struct api api;
	struct error err;

	api_open(&api, steps, COUNT_OF(steps));
	prefect_set_deadline(api.prefect, 50);
	CHECK_RC("late", prefect_get(api.prefect, &answer, &err, "/x"), ERR_TRANSPORT, &err);
	CHECK_INT("tries", prefect_last_effort(api.prefect)->tries, 1);
	prefect_set_deadline(api.prefect, 0);
	CHECK_RC("without", prefect_get(api.prefect, &answer, &err, "/x"), 0, &err);
	(void)api_close(&api, "deadline");
}

UNIT_SUITE("client/prefect/prefect", TEST(turns_statuses_into_errors), TEST(hands_on_the_wish), TEST(cuts_long_words),
           TEST(reads_answers), TEST(says_what_to_look_at), TEST(names_the_source_of_the_address), TEST(hands_out_the_refusal), TEST(fetches_csrf_tokens), TEST(renews_csrf_tokens),
           TEST(learns_the_servers_clock), TEST(outlasts_jumps_of_our_clock), TEST(makes_addresses), TEST(keeps_its_deadline))
