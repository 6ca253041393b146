/* An answer that is looked at while it comes, its headers, and a timeout of one request's own. */
#include "client/base/http.h"

#include <string.h>

#include "tests/unit/api.h"

struct sink {
	struct http *http;
	size_t seen;
	size_t wanted;  /* 0: all */
	char type[80];  /* what the header said meanwhile */
};

static bool count(void *arg, const char *data, size_t len)
{
	struct sink *sink = arg;

	(void)data;
	sink->seen += len;
	(void)snprintf(sink->type, sizeof sink->type, "%s", http_answer_header(sink->http, "content-type"));
	return sink->wanted == 0 || sink->seen < sink->wanted;
}

static void shows_the_body_as_it_comes(void)
{
	static const struct {
		const char *name;
		struct http_reply reply;
		size_t wanted;
		int status;
		size_t least;
		size_t most;
	} rows[] = {
		{"all of it", {.body = "0123456789"}, 0, 200, 10, 10},
		{"in chunks", {.body = "0123456789", .trick = TRICK_CHUNKED}, 0, 200, 10, 10},
		{"enough of an endless one", {.trick = TRICK_ENDLESS}, 1000000, 200, 1000000, 2000000},
		{"no body", {.status = 202}, 0, 202, 0, 0},
		{"an error's body is none", {.status = 404, .body = "0123456789"}, 1, 404, 0, 0},
	};

	EACH(row, rows)
	{
		struct http_step step = {.method = "POST", .reply = row->reply};
		step.reply.headers = "Content-Type: text/x; a=b\r\n";
		struct http_server *server = http_server_script(&step, 1);
		struct http_settings settings = api_settings(http_server_url(server));
		struct sink sink = {.http = http_new(&settings), .wanted = row->wanted};
		struct http_request request = {.method = "POST", .path = "", .on_body = count, .on_body_arg = &sink};
		struct http_answer answer = {0};
		struct error err;

		CHECK_RC(row->name, http_call(sink.http, &request, &answer, NULL, &err), 0, &err);
		CHECK_INT(row->name, answer.status, row->status);
		CHECK(row->name, sink.seen >= row->least && sink.seen <= row->most);
		CHECK(row->name, answer.len >= sink.seen);
		CHECK_STR(row->name, sink.seen > 0 ? sink.type : "text/x; a=b", "text/x; a=b");
		CHECK_STR(row->name, http_answer_header(sink.http, "CONTENT-TYPE"), "text/x; a=b");
		CHECK_STR(row->name, http_answer_header(sink.http, "X-None"), "");
		http_answer_release(&answer);
		http_free(sink.http);
		(void)api_stop_server(server, row->name);
	}
}

/* The one request's timeout does not become that of the next. */
static void has_a_timeout_of_its_own(void)
{
	static const struct http_step steps[] = {
		{.method = "POST", .reply = {.trick = TRICK_STALL}},
		{.method = "POST", .reply = {.body = "yes"}},
	};
	struct http_server *server = http_server_script(steps, COUNT_OF(steps));
	struct http_settings settings = api_settings(http_server_url(server));
	struct http *http = http_new(&settings);
	struct http_answer answer = {0};
	struct error err;

	CHECK_RC("short", http_call(http, &(struct http_request){.method = "POST", .path = "/", .timeout_ms = 1000}, &answer, NULL,
	                            &err), ERR_TRANSPORT, &err);
	CHECK_RC("default", http_call(http, &(struct http_request){.method = "POST", .path = "/"}, &answer, NULL, &err), 0, &err);
	http_answer_release(&answer);
	http_free(http);
	(void)api_stop_server(server, "timeout");
}

UNIT_SUITE("client/base/http_sink", TEST(shows_the_body_as_it_comes), TEST(has_a_timeout_of_its_own))
