/* A session over streamable HTTP, with a scripted server that answers as the real one was recorded. */
#include "client/base/clock.h"
#include "client/mcp/mcp.h"

#include <string.h>

#include "tests/unit/api.h"
#include "tests/unit/client/mcp/scripted_child.h"

#define JSON_TYPE "Content-Type: application/json\r\n"
#define SSE_TYPE "Content-Type: text/event-stream\r\n"
#define SESSION "mcp-session-id: 09b50fda\r\n"
#define EVENT(json) "event: message\r\ndata: " json "\r\n\r\n"

#define INITIALIZE(type, answer) \
	{.method = "POST", .path = "/mcp", .header = "Accept: application/json, text/event-stream", .body = "\"initialize\"", \
	 .reply = {.headers = type SESSION, .body = answer}}
#define INITIALIZED \
	{.method = "POST", .path = "/mcp", .header = "MCP-Protocol-Version: 2025-06-18", .body = "notifications/initialized", \
	 .reply = {.status = 202, .headers = JSON_TYPE}}
#define OPEN INITIALIZE(JSON_TYPE, HELLO_ANSWER), INITIALIZED
#define CALL(...) {.method = "POST", .path = "/mcp", .header = "Mcp-Session-Id: 09b50fda", .body = "\"tools/call\"", .reply = __VA_ARGS__}
#define DELETE {.method = "DELETE", .path = "/mcp", .header = "Mcp-Session-Id: 09b50fda"}
#define LOST {.status = 404, .headers = JSON_TYPE, \
	.body = "{\"jsonrpc\":\"2.0\",\"id\":\"server-error\",\"error\":{\"code\":-32600,\"message\":\"Session not found\"}}"}
#define STEPS_MAX 10

static int open_at(const char *base, const char *path, struct mcp_settings *settings, char *url, size_t size,
                   struct mcp **ret_mcp, struct error *err)
{
	(void)snprintf(url, size, "%s%s", base, path);
	settings->url = url;
	if (settings->start_timeout_ms == 0)
		settings->start_timeout_ms = settings->call_timeout_ms = 60000;
	return mcp_open(settings, ret_mcp, err);
}

static void call(struct mcp *mcp, const char *row, int rc, const char *text)
{
	AUTO_JSON *arguments = unit_json("{\"limit\": 5}");
	struct mcp_result result;
	struct error err;

	if (!CHECK_RC(row, mcp_call_tool(mcp, "look", arguments, &result, &err), rc, &err))
		return;
	if (rc != 0) {
		CHECK_HAS(row, err.text, text);
		return;
	}
	CHECK_STR(row, result.text, text);
	mcp_result_release(&result);
}

static void calls_a_tool(void)
{
	static const struct {
		const char *name;
		int rc;
		const char *text;
		struct http_step steps[STEPS_MAX];
	} rows[] = {
		{"JSON", 0, "yes", {OPEN, CALL({.headers = JSON_TYPE, .body = TOOL_RESULT(2, "yes")}), DELETE}},
		{"JSON with a charset", 0, "yes",
		 {OPEN, CALL({.headers = "content-type: Application/JSON; charset=utf-8\r\n", .body = TOOL_RESULT(2, "yes")}), DELETE}},
		{"events", 0, "yes",
		 {INITIALIZE(SSE_TYPE, EVENT(HELLO_ANSWER)), INITIALIZED,
		  CALL({.headers = SSE_TYPE, .trick = TRICK_CHUNKED, .body = EVENT(TOOL_RESULT(2, "yes"))}), DELETE}},
		{"events before the answer", 0, "yes",
		 {OPEN, CALL({.headers = SSE_TYPE, .trick = TRICK_CHUNKED,
		              .body = ": ping\n\n" EVENT("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}") EVENT("no JSON")
		                      EVENT(TOOL_RESULT(9, "no")) EVENT(TOOL_RESULT(2, "yes")) EVENT(TOOL_RESULT(2, "twice"))}), DELETE}},
		{"a ping of the server", 0, "yes",
		 {OPEN, CALL({.headers = SSE_TYPE, .body = EVENT("{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"ping\"}") EVENT(TOOL_RESULT(2, "yes"))}),
		  {.method = "POST", .path = "/mcp", .body = "\"id\":7,\"result\":{}", .reply = {.status = 202}}, DELETE}},
		{"the session is lost", 0, "yes",
		 {OPEN, CALL(LOST), INITIALIZE(JSON_TYPE, "{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":{\"protocolVersion\":\"2025-06-18\"}}"),
		  INITIALIZED, CALL({.headers = JSON_TYPE, .body = TOOL_RESULT(2, "yes")}), DELETE}},
		{"the session is lost again", ERR_TRANSPORT, "the session is lost each time",
		 {OPEN, CALL(LOST), INITIALIZE(JSON_TYPE, "{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":{\"protocolVersion\":\"2025-06-18\"}}"),
		  INITIALIZED, CALL(LOST)}},
		{"400", ERR_HTTP, "HTTP 400: Bad Request (code -32600)",
		 {OPEN, CALL({.status = 400, .body = "{\"jsonrpc\":\"2.0\",\"id\":\"server-error\",\"error\":{\"code\":-32600,"
		                                     "\"message\":\"Bad Request\"}}"}), DELETE}},
		{"400 as text", ERR_HTTP, "HTTP 400: Invalid Content-Type header",
		 {OPEN, CALL({.status = 400, .body = "Invalid Content-Type header"}), DELETE}},
		{"401", ERR_AUTH, "HTTP 401", {OPEN, CALL({.status = 401}), DELETE}},
		{"500, once", ERR_HTTP, "HTTP 500: no", {OPEN, CALL({.status = 500, .body = "no"}), DELETE}},
		{"202", ERR_DECODE, "HTTP 202 without the answer", {OPEN, CALL({.status = 202}), DELETE}},
		{"a page", ERR_DECODE, "HTTP 200 without the answer: <html>",
		 {OPEN, CALL({.headers = "Content-Type: text/html\r\n", .body = "<html>"}), DELETE}},
		{"a stream without the answer", ERR_DECODE, "without the answer",
		 {OPEN, CALL({.headers = SSE_TYPE, .body = EVENT(TOOL_RESULT(9, "no"))}), DELETE}},
		{"cut off", ERR_TRANSPORT, "no answer from",
		 {OPEN, CALL({.headers = JSON_TYPE, .trick = TRICK_HALF, .body = TOOL_RESULT(2, "yes")}), DELETE}},
		{"endless", ERR_TRANSPORT, "more than 10 MiB", {OPEN, CALL({.headers = JSON_TYPE, .trick = TRICK_ENDLESS}), DELETE}},
		{"endless events", ERR_TRANSPORT, "more than 10 MiB", {OPEN, CALL({.headers = SSE_TYPE, .trick = TRICK_ENDLESS}), DELETE}},
		{"DELETE is not known", 0, "yes",
		 {OPEN, CALL({.headers = JSON_TYPE, .body = TOOL_RESULT(2, "yes")}), {.method = "DELETE", .reply = {.status = 405}}}},
	};

	EACH(row, rows)
	{
		struct http_server *server = api_script(row->steps, COUNT_OF(row->steps));
		struct mcp_settings settings = {0};
		struct mcp *mcp = NULL;
		struct error err;
		char url[100];

		if (CHECK_RC(row->name, open_at(http_server_url(server), "/mcp/", &settings, url, sizeof url, &mcp, &err), 0, &err))
			call(mcp, row->name, row->rc, row->text);
		mcp_close(mcp);
		(void)api_stop_server(server, row->name);
	}
}

static void tells_why_a_session_does_not_start(void)
{
	static const struct {
		const char *name;
		struct http_reply reply;
		int rc;
		const char *text;
	} rows[] = {
		{"404", {.status = 404, .body = "Not Found"}, ERR_HTTP, "HTTP 404: Not Found"},
		{"307", {.status = 307, .headers = "Location: http://127.0.0.1:1/mcp\r\n"}, ERR_HTTP, "it is at 'http://127.0.0.1:1/mcp'"},
		{"another version", {.headers = JSON_TYPE, .body = "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"protocolVersion\":\"1\"}}"},
		 ERR_DECODE, "version '1'"},
		{"a session that is no token", {.headers = JSON_TYPE "mcp-session-id: a b\r\n", .body = HELLO_ANSWER}, ERR_DECODE, "no token"},
		{"a page", {.body = "<html>"}, ERR_DECODE, "without the answer"},
	};

	EACH(row, rows)
	{
		struct http_step step = {.method = "POST", .path = "/x", .reply = row->reply};
		struct http_server *server = http_server_script(&step, 1);
		struct mcp_settings settings = {0};
		struct mcp *mcp = NULL;
		struct error err;
		char url[100];

		CHECK_RC(row->name, open_at(http_server_url(server), "/x", &settings, url, sizeof url, &mcp, &err), row->rc, &err);
		CHECK_HAS(row->name, err.text, row->text);
		CHECK_HAS(row->name, err.text, "PREFECT_JANITOR_AI_MCP_URL");
		(void)api_stop_server(server, row->name);
	}
}

struct hanging {
	int cancelled;
	struct stop *stop; /* asked by the call */
};

/* Answers nothing to a call, and all else. */
static struct http_reply hang_on_call(void *arg, const struct http_seen *seen)
{
	struct hanging *hanging = arg;

	if (strstr(seen->body, "\"tools/call\"") != NULL) {
		if (hanging->stop != NULL)
			stop_ask(hanging->stop);
		return (struct http_reply){.trick = TRICK_STALL};
	}
	hanging->cancelled += strstr(seen->body, "notifications/cancelled") != NULL && strstr(seen->body, "\"requestId\":2") != NULL;
	if (strstr(seen->body, "\"initialize\"") != NULL)
		return (struct http_reply){.headers = JSON_TYPE SESSION, .body = HELLO_ANSWER};
	return (struct http_reply){.status = 202};
}

static void gives_up_in_time(void)
{
	struct hanging hanging = {0};
	struct http_server *server = http_server_handle(hang_on_call, &hanging);
	struct mcp_settings settings = {.start_timeout_ms = 60000, .call_timeout_ms = 200};
	struct mcp *mcp = NULL;
	struct error err;
	char url[100];

	if (CHECK_RC("hang", open_at(http_server_url(server), "/mcp", &settings, url, sizeof url, &mcp, &err), 0, &err))
		call(mcp, "hang", ERR_BUSY, "not in time");
	mcp_close(mcp);
	(void)api_stop_server(server, "hang");
	CHECK_INT("hang", hanging.cancelled, 1);
}

static void ends_with_the_process(void)
{
	struct stop stop;
	struct hanging hanging = {.stop = &stop};
	struct http_server *server = http_server_handle(hang_on_call, &hanging);
	struct mcp_settings settings = {.stop = &stop};
	struct mcp *mcp = NULL;
	struct error err;
	char url[100];

	stop_init(&stop);
	if (CHECK_RC("stop", open_at(http_server_url(server), "/mcp", &settings, url, sizeof url, &mcp, &err), 0, &err))
		call(mcp, "stop", ERR_STOPPED, "shutting down");
	mcp_close(mcp);
	(void)api_stop_server(server, "stop");
	stop_done(&stop);
}

/* What came with the answer is enough, even if the stream does not end after it. */
static void does_not_need_the_streams_end(void)
{
	static const struct http_step steps[] = {
		OPEN, CALL({.headers = SSE_TYPE, .trick = TRICK_OPEN, .body = EVENT(TOOL_RESULT(2, "yes"))}), DELETE};
	struct http_server *server = http_server_script(steps, COUNT_OF(steps));
	struct mcp_settings settings = {.start_timeout_ms = 60000, .call_timeout_ms = 60000};
	struct mcp *mcp = NULL;
	struct error err;
	char url[100];
	int64_t began_ms = clock_mono_ms();

	if (CHECK_RC("open", open_at(http_server_url(server), "/mcp", &settings, url, sizeof url, &mcp, &err), 0, &err))
		call(mcp, "open", 0, "yes");
	CHECK("open", clock_mono_ms() - began_ms < 30000);
	mcp_close(mcp);
	(void)api_stop_server(server, "open");
}

UNIT_SUITE("client/mcp/streamable", TEST(calls_a_tool), TEST(tells_why_a_session_does_not_start), TEST(gives_up_in_time),
           TEST(ends_with_the_process), TEST(does_not_need_the_streams_end))
