/* What a model server does wrong: how often it is asked, how it is told, and that the key is not. */
#include <stdio.h>
#include <string.h>

#include "client/base/clock.h"
#include "client/base/text.h"
#include "tests/unit/client/llm/model_server.h"

#define STALL_MS 150
#define OK_BODY "{\"content\": [{\"type\": \"text\", \"text\": \"ok\"}], \"stop_reason\": \"end_turn\"}"
#define OK {.body = OK_BODY}
#define TYPED(status_, type, words, more) {.status = status_, .headers = "request-id: req_7\r\n" more, .body = "{\"type\": " \
	"\"error\", \"error\": {\"type\": \"" type "\", \"message\": \"" words "\"}, \"request_id\": \"req_7\"}"}
#define OVERLOADED TYPED(529, "overloaded_error", "Overloaded", "")
#define FAILED TYPED(500, "api_error", "Internal server error", "")
#define THROTTLED TYPED(429, "rate_limit_error", "rate limited", "")

struct fault {
	const char *name;
	enum llm_provider provider;
	struct http_reply replies[3]; /* up to `requests` */
	size_t requests;
	int rc;
	int status;
	const char *text; /* a part of the error */
	const char *hint; /* another */
};

static const struct fault faults[] = {
	{"429, then well", LLM_ANTHROPIC, {THROTTLED, OK}, 2, 0, 0, NULL, NULL},
	{"429 with Retry-After, then well", LLM_ANTHROPIC, {TYPED(429, "rate_limit_error", "m", "retry-after: 1\r\n"), OK}, 2, 0, 0,
	 NULL, NULL},
	{"429 for ever", LLM_ANTHROPIC, {THROTTLED, THROTTLED, THROTTLED}, 3, ERR_BUSY, 429, "HTTP 429, rate limited (several tries)",
	 "(request req_7)"},
	{"429 for longer than there is time", LLM_ANTHROPIC, {TYPED(429, "rate_limit_error", "m", "retry-after: 60\r\n")}, 1, ERR_BUSY,
	 429, "HTTP 429", NULL},
	{"429 for longer than there is time, as a date", LLM_OPENAI, {{.status = 429, .headers =
	 "Date: Thu, 01 Jan 2099 00:00:00 GMT\r\nRetry-After: Thu, 01 Jan 2099 01:00:00 GMT\r\n"}}, 1, ERR_BUSY, 429, "HTTP 429", NULL},
	{"529 twice, then well", LLM_ANTHROPIC, {OVERLOADED, OVERLOADED, OK}, 3, 0, 0, NULL, NULL},
	{"529 for ever", LLM_ANTHROPIC, {OVERLOADED, OVERLOADED, OVERLOADED}, 3, ERR_BUSY, 529, "HTTP 529, Overloaded", NULL},
	{"500 twice, then well", LLM_ANTHROPIC, {FAILED, FAILED, OK}, 3, 0, 0, NULL, NULL},
	{"500 for ever", LLM_ANTHROPIC, {FAILED, FAILED, FAILED}, 3, ERR_BUSY, 500, "Internal server error", NULL},
	{"408, 502, then well", LLM_ANTHROPIC, {{.status = 408}, {.status = 502}, OK}, 3, 0, 0, NULL, NULL},
	{"503 while it loads", LLM_OPENAI, {{.status = 503, .body = "{\"error\": {\"message\": \"Loading model\"}}"},
	 {.body = "{\"choices\": []}"}}, 2, 0, 0, NULL, NULL},
	{"cut off, then well", LLM_ANTHROPIC, {{.trick = TRICK_CLOSE}, {.body = OK_BODY, .trick = TRICK_HALF}, OK}, 3, 0, 0, NULL, NULL},
	{"cut off for ever", LLM_OPENAI, {{.body = OK_BODY, .trick = TRICK_HALF}, {.trick = TRICK_CLOSE}, {.trick = TRICK_CLOSE}}, 3,
	 ERR_TRANSPORT, 0, "OPENAI_BASE_URL: no answer from http://127.0.0.1:", "(several tries)"},
	{"400", LLM_ANTHROPIC, {TYPED(400, "invalid_request_error", "max_tokens: bad", "")}, 1, ERR_INVALID, 400, "HTTP 400, max_tokens: bad",
	 "PREFECT_JANITOR_AI_MODEL"},
	{"401", LLM_ANTHROPIC, {TYPED(401, "authentication_error", "invalid x-api-key", "")}, 1, ERR_AUTH, 401, "invalid x-api-key",
	 "check ANTHROPIC_API_KEY"},
	{"401", LLM_OPENAI, {{.status = 401, .body = "{\"error\": \"who?\"}"}}, 1, ERR_AUTH, 401, "who?", "check OPENAI_API_KEY"},
	{"403", LLM_ANTHROPIC, {{.status = 403}}, 1, ERR_AUTH, 403, "HTTP 403", "check ANTHROPIC_API_KEY"},
	{"404", LLM_ANTHROPIC, {{.status = 404, .body = "{\"detail\": \"Not Found\"}"}}, 1, ERR_NO_ROUTE, 404,
	 "check ANTHROPIC_BASE_URL (it is without /v1)", "PREFECT_JANITOR_AI_MODEL"},
	{"404 of the model", LLM_OPENAI, {{.status = 404, .body = "{\"error\": {\"message\": \"model 'x' not found\"}}"}}, 1, ERR_NO_ROUTE,
	 404, "model 'x' not found", "OPENAI_BASE_URL (it ends in /v1) and PREFECT_JANITOR_AI_MODEL"},
	{"413", LLM_ANTHROPIC, {TYPED(413, "request_too_large", "Request exceeds the maximum size", "")}, 1, ERR_INVALID, 413,
	 "Request exceeds", "the request has "},
	{"422", LLM_OPENAI, {{.status = 422}}, 1, ERR_INVALID, 422, "HTTP 422", "PREFECT_JANITOR_AI_MODEL"},
	{"a redirect", LLM_ANTHROPIC, {{.status = 307, .headers = "Location: http://127.0.0.1:9/\r\n"}}, 1, ERR_HTTP, 307, "HTTP 307",
	 "set ANTHROPIC_BASE_URL to the address that answers by itself"},
	{"teapot", LLM_ANTHROPIC, {{.status = 418}}, 1, ERR_HTTP, 418, "model 'test-model' at http://127.0.0.1:", "HTTP 418"},
	{"HTML", LLM_ANTHROPIC, {{.body = "<html>Sign in</html>"}}, 1, ERR_DECODE, 0, "ANTHROPIC_BASE_URL): not JSON", "test-model"},
	{"a key twice", LLM_OPENAI, {{.body = "{\"choices\": [], \"choices\": []}"}}, 1, ERR_DECODE, 0, "OPENAI_BASE_URL): not JSON",
	 "duplicate"},
	{"10 MB and more", LLM_ANTHROPIC, {{.trick = TRICK_ENDLESS}}, 1, ERR_TRANSPORT, 0, "the answer is larger than 4 MiB",
	 "ANTHROPIC_BASE_URL"},
	{"it hangs", LLM_ANTHROPIC, {{.trick = TRICK_STALL}}, 1, ERR_TRANSPORT, 0, "timed out", "ANTHROPIC_BASE_URL"},
	{"not HTTP", LLM_OPENAI, {{.body = "SSH-2.0\r\n", .trick = TRICK_RAW}}, 1, ERR_TRANSPORT, 0, "HTTP", "OPENAI_BASE_URL"},
	{"it repeats the key", LLM_ANTHROPIC, {TYPED(401, "authentication_error", "the key " KEY " is none: " KEY, "")}, 1, ERR_AUTH, 401,
	 "the key **************************** is none: ****", "ANTHROPIC_API_KEY"},
	{"it repeats the key in a header", LLM_OPENAI, {{.status = 402, .headers = "x-request-id: " KEY "\r\n"}}, 1, ERR_HTTP, 402,
	 "(request ****************************)", NULL},
	{"it repeats the key on the line", LLM_OPENAI, {{.body = "HTTP/1.1 " KEY "\r\n\r\n", .trick = TRICK_RAW}}, 1, ERR_TRANSPORT, 0, "OPENAI_BASE_URL", NULL},
};

static void tells_faults(void)
{
	EACH(row, faults)
	{
		struct model_server model;
		struct llm_turn turn;
		struct error err = {0};
		AUTO_JSON *before = NULL;

		model_open(&model, row->provider, row->replies, row->requests);
		if (row->replies[0].trick == TRICK_STALL) {
			llm_free(model.llm);
			model.settings.call_timeout_ms = STALL_MS;
			if (!CHECK_RC(row->name, llm_new(&model.settings, &model.llm, &err), 0, &err))
				model.llm = NULL;
		}
		before = json_deep_copy(llm_next_request(model.conversation));
		int rc = llm_ask(model.llm, model.conversation, true, &turn, &err);
		CHECK_RC(row->name, rc, row->rc, &err);
		if (rc == 0) {
			CHECK_INT(row->name, turn.tries, row->requests);
			llm_turn_release(&turn);
		} else {
			CHECK_INT(row->name, err.http_status, row->status);
			CHECK_INT(row->name, err.retry_after_ms, strstr(row->name, "for longer") != NULL ? 60000 : 0);
			CHECK_HAS(row->name, err.text, row->text);
			CHECK_HAS(row->name, err.text, row->hint != NULL ? row->hint : "");
			CHECK_LACKS(row->name, err.text, "topsecret");
			CHECK(row->name, json_equal(before, llm_next_request(model.conversation)));
		}
		CHECK(row->name, llm_bytes_sent(model.conversation) > 0);
		CHECK_INT(row->name, model_close(&model, row->name), row->requests);
	}
}

static void hides_the_key_in_an_answer(void)
{
	static const struct http_reply reply = {.body = "{\"id\": \"m\", \"content\": [{\"type\": \"text\", \"text\": \"<" KEY
	                                                ">\"}], \"stop_reason\": \"end_turn\"}", .headers = "request-id: " KEY "\r\n"};
	struct model_server model;
	struct llm_turn turn;

	model_open(&model, LLM_ANTHROPIC, &reply, 1);
	if (model_ask(&model, "key", &turn)) {
		CHECK_STR("text", turn.text, "<****************************>");
		CHECK_STR("request id", turn.request_id, "****************************");
		llm_turn_release(&turn);
	}
	(void)model_close(&model, "key");
}

/* All tries, and the time of the last answer, end with the time that the whole work has. */
static void ends_with_its_deadline(void)
{
	static const struct {
		const char *name;
		int64_t left_ms;
		struct http_reply reply;
		size_t requests;
		int rc;
		const char *text;
	} rows[] = {
		{"over", 0, OK, 0, ERR_TRANSPORT, "no time is left"},
		{"hangs", STALL_MS, {.trick = TRICK_STALL}, 1, ERR_TRANSPORT, "timed out"},
		{"no time for the wait", 900, {.status = 429, .headers = "retry-after: 1\r\n"}, 1, ERR_BUSY, "HTTP 429"},
	};

	EACH(row, rows)
	{
		struct model_server model;
		struct llm_turn turn;
		struct error err = {0};

		model_open(&model, LLM_ANTHROPIC, &row->reply, 1);
		model.settings.deadline_ms = clock_mono_ms() + row->left_ms;
		CHECK_RC(row->name, llm_ask(model.llm, model.conversation, true, &turn, &err), row->rc, &err);
		CHECK_HAS(row->name, err.text, row->text);
		CHECK_INT(row->name, model_close(&model, row->name), row->requests);
	}
}

struct patience {
	const struct model_server *model;
	int refused;
};

/* Wanted until the model has the request. */
static bool say_no(void *arg)
{
	struct patience *patience = arg;

	if (http_server_requests(patience->model->server) == 0)
		return true;
	patience->refused++;
	return false;
}

/* A model that thinks is left alone once its answer is not wanted any more. */
static void ends_when_it_is_not_wanted(void)
{
	static const struct http_reply stalls[] = {{.trick = TRICK_STALL}, OK};
	struct model_server model;
	struct llm_turn turn;
	struct error err = {0};
	struct patience patience = {&model, 0};
	int64_t began_ms = clock_mono_ms();

	model_open(&model, LLM_ANTHROPIC, stalls, 2);
	model.settings.go_on = say_no;
	model.settings.go_on_arg = &patience;
	model.settings.go_on_every_ms = 1;
	CHECK_RC("not wanted", llm_ask(model.llm, model.conversation, true, &turn, &err), ERR_STOPPED, &err);
	CHECK_INT("not asked again", patience.refused, 1);
	CHECK("at once", clock_mono_ms() - began_ms < 30000); /* its own limit is longer */
	CHECK_INT("not wanted", model_close(&model, "not wanted"), 1);
}

static void counts_every_byte_it_sends(void)
{
	static const struct http_reply replies[] = {OVERLOADED, OVERLOADED, OK};
	static const struct {
		const char *name;
		size_t tenths; /* of one request: so many bytes may be sent; 0: any number */
		size_t requests;
		int rc;
		const char *text;
	} rows[] = {
		{"any", 0, 3, 0, ""},
		{"room for all tries", 30, 3, 0, ""},
		{"room for two", 29, 2, ERR_BUSY, "(several tries) (request req_7); not tried again, since all bytes"},
		{"room for one", 10, 1, ERR_BUSY, "Overloaded (request req_7); not tried again, since all bytes"},
		{"room for none", 9, 0, ERR_TRANSPORT, "all bytes that may be sent to the model are used up (PREFECT_JANITOR_AI_MAX_BYTES)"},
	};

	EACH(row, rows)
	{
		struct model_server model;
		struct llm_turn turn;
		struct error err = {.text = ""};

		model_open(&model, LLM_ANTHROPIC, replies, row->requests);
		size_t once = llm_bytes_next(model.conversation);
		model.settings.bytes_max = (int64_t)(row->tenths * once / 10);
		int rc = llm_ask(model.llm, model.conversation, true, &turn, &err);
		CHECK_RC(row->name, rc, row->rc, &err);
		CHECK_INT(row->name, llm_bytes_sent(model.conversation), row->requests * once);
		if (rc == 0) {
			CHECK("the answer is part of the next", llm_bytes_next(model.conversation) > once);
			llm_turn_release(&turn);
		} else {
			CHECK_HAS(row->name, err.text, row->text);
		}
		CHECK_INT(row->name, model_close(&model, row->name), row->requests);
	}
}

static struct http_reply ask_to_stop(void *stop, const struct http_seen *seen)
{
	(void)seen;
	stop_ask(stop);
	return (struct http_reply)OVERLOADED;
}

static void ends_with_the_process(void)
{
	struct stop stop;
	struct llm *llm;
	struct llm_turn turn;
	struct error err;

	stop_init(&stop);
	struct http_server *server = http_server_handle(ask_to_stop, &stop);
	struct llm_settings settings = {.provider = LLM_ANTHROPIC, .base_url = http_server_url(server), .model = "m", .retries = 2,
	                                .stop = &stop};
	struct llm_conversation *conversation = llm_conversation_new(&settings, NULL, NULL, 0);
	if (CHECK_RC("new", llm_new(&settings, &llm, &err), 0, &err)) {
		CHECK_RC("stop", llm_ask(llm, conversation, true, &turn, &err), ERR_STOPPED, &err);
		llm_free(llm);
	}
	llm_conversation_free(conversation);
	size_t requests;
	free(http_server_stop(server, &requests));
	CHECK_INT("requests", requests, 1);
	stop_done(&stop);
}

UNIT_SUITE("client/llm/llm_faults", TEST(tells_faults), TEST(hides_the_key_in_an_answer), TEST(ends_with_its_deadline),
           TEST(ends_when_it_is_not_wanted), TEST(counts_every_byte_it_sends), TEST(ends_with_the_process))
