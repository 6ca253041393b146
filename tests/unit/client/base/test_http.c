/* One request against a scripted server: what is tried again, what is an answer, what is an error. */
#include "client/base/http.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/api.h"

#define STEPS_MAX 4
/* Long enough to be answered, short enough to wait for. */
#define STALL_MS 150

struct call_row {
	const char *name;
	const char *method;
	bool repeatable;
	struct http_reply replies[STEPS_MAX]; /* up to `requests` */
	size_t requests;
	int rc;
	int status;
	const char *text; /* the whole body, or a part of the error */
	bool ambiguous;
};

static const struct call_row answers[] = {
	{"200", "GET", true, {{.body = "hello"}}, 1, 0, 200, "hello", false},
	{"204 without a body", "PATCH", true, {{.status = 204}}, 1, 0, 204, "", false},
	{"404 is an answer", "GET", true, {{.status = 404, .body = "no"}}, 1, 0, 404, "no", false},
	{"a redirect is not followed", "GET", true, {{.status = 307, .headers = "Location: /other\r\n"}}, 1, 0, 307, "", false},
	{"chunked", "GET", true, {{.body = "seven and seven and one", .trick = TRICK_CHUNKED}}, 1, 0, 200,
	 "seven and seven and one", false},
	{"Content-Length is less than what comes", "GET", true, {{.body = "hello", .headers = "Content-Length: 4\r\n"}}, 1, 0,
	 200, "hell", false},
	{"503, then 200", "GET", true, {{.status = 503}, {.body = "ok"}}, 2, 0, 200, "ok", false},
	{"503 is repeated whatever it does", "POST", false, {{.status = 503}, {.body = "ok"}}, 2, 0, 200, "ok", false},
	{"429 is repeated whatever it does", "POST", false, {{.status = 429, .headers = "Retry-After: 0\r\n"}, {.body = "ok"}}, 2,
	 0, 200, "ok", false},
	{"429 that wishes for more than there is", "POST", true, {{.status = 429, .headers = "Retry-After: 60\r\n"}}, 1, 0, 429,
	 "", false},
	{"408, then 200", "POST", true, {{.status = 408}, {.body = "ok"}}, 2, 0, 200, "ok", false},
	{"408 is not repeated once", "POST", false, {{.status = 408}}, 1, 0, 408, "", false},
	{"500, then 200", "POST", true, {{.status = 500}, {.body = "ok"}}, 2, 0, 200, "ok", true},
	{"500 three times", "POST", true, {{.status = 500}, {.status = 500}, {.status = 500, .body = "why"}}, 3, 0, 500, "why", true},
	{"500 is not repeated once", "POST", false, {{.status = 500}}, 1, 0, 500, "", true},
	{"502 and 504, then 200", "GET", true, {{.status = 502}, {.status = 504}, {.body = "ok"}}, 3, 0, 200, "ok", true},
	{"504 is not repeated once", "POST", false, {{.status = 504}}, 1, 0, 504, "", true},
	{"501 is never repeated", "GET", true, {{.status = 501}}, 1, 0, 501, "", false},
	{"cut off, then 200", "POST", true, {{.trick = TRICK_CLOSE}, {.body = "ok"}}, 2, 0, 200, "ok", true},
	{"half a body, then 200", "POST", true, {{.body = "hello", .trick = TRICK_HALF}, {.body = "ok"}}, 2, 0, 200, "ok", true},
	{"503 and cut off, then 200", "POST", true, {{.status = 503}, {.trick = TRICK_CLOSE}, {.body = "ok"}}, 3, 0, 200, "ok", true},
};

static const struct call_row failures[] = {
	{"cut off before an answer", "POST", false, {{.trick = TRICK_CLOSE}}, 1, ERR_TRANSPORT, 0, "Empty reply", true},
	{"half a body", "POST", false, {{.body = "hello", .trick = TRICK_HALF}}, 1, ERR_TRANSPORT, 0, "transfer closed", true},
	{"503, then cut off", "POST", false, {{.status = 503}, {.trick = TRICK_CLOSE}}, 2, ERR_TRANSPORT, 0, "(several tries)", true},
	{"not HTTP", "GET", true, {{.body = "SSH-2.0-OpenSSH_9.2\r\n", .trick = TRICK_RAW}}, 1, ERR_TRANSPORT, 0, "HTTP", true},
	{"a broken status line", "POST", false, {{.body = "HTTP/1.1 banana\r\n\r\n", .trick = TRICK_RAW}}, 1, ERR_TRANSPORT, 0,
	 "no answer from", true},
	{"headers without an end", "POST", false,
	 {{.body = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nA: b", .trick = TRICK_RAW}}, 1, ERR_TRANSPORT, 0, "no answer from", true},
	{"Content-Length is no number", "POST", false, {{.body = "hello", .headers = "Content-Length: banana\r\n"}}, 1,
	 ERR_TRANSPORT, 0, "Content-Length", true},
	{"Content-Length is negative", "POST", false, {{.body = "hello", .headers = "Content-Length: -5\r\n"}}, 1, ERR_TRANSPORT,
	 0, "Content-Length", true},
	{"a chunk without a length", "POST", false,
	 {{.body = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", .trick = TRICK_RAW}}, 1, ERR_TRANSPORT, 0,
	 "no answer from", true},
	{"chunks without an end", "POST", false,
	 {{.body = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", .trick = TRICK_RAW}}, 1, ERR_TRANSPORT, 0,
	 "no answer from", true},
	{"a body without an end", "GET", true, {{.trick = TRICK_ENDLESS}}, 1, ERR_TRANSPORT, 0, "larger than 64 MiB", true},
	{"no answer in time", "POST", false, {{.trick = TRICK_STALL}}, 1, ERR_TRANSPORT, 0, "timed out", true},
};

static void run_row(const struct call_row *row)
{
	struct http_step steps[STEPS_MAX] = {0};
	AUTO_JSON *body = json_pack("{s:s}", "k", "v");
	bool sends = strcmp(row->method, "GET") != 0;

	for (size_t i = 0; i < row->requests; i++)
		steps[i] = (struct http_step){.method = row->method, .path = "/api/x?y=1", .body = sends ? "{\"k\":\"v\"}" : NULL,
		                              .header = "Content-Type: application/json", .reply = row->replies[i]};
	struct http_server *server = http_server_script(steps, row->requests);
	char url[80];
	(void)snprintf(url, sizeof url, "%s/api", http_server_url(server));
	struct http_settings settings = api_settings(url);
	if (row->replies[0].trick == TRICK_STALL)
		settings.request_timeout_ms = STALL_MS;
	struct http *http = http_new(&settings);
	struct http_answer answer = {.body = NULL};
	struct error err = {0};
	bool ambiguous = !row->ambiguous;

	int rc = http_call(http,
	                   &(struct http_request){.method = row->method, .path = "/x?y=1", .body = sends ? body : NULL,
	                                          .repeatable = row->repeatable},
	                   &answer, &ambiguous, &err);
	CHECK_RC(row->name, rc, row->rc, &err);
	CHECK_INT(row->name, ambiguous, row->ambiguous);
	if (rc == 0) {
		CHECK_INT(row->name, answer.status, row->status);
		CHECK_STR(row->name, answer.body, row->text);
		CHECK_INT(row->name, answer.len, strlen(row->text));
		CHECK_INT(row->name, answer.ambiguous, row->ambiguous);
	} else {
		CHECK_HAS(row->name, err.text, row->text);
		CHECK(row->name, answer.body == NULL);
	}
	http_answer_release(&answer);
	http_free(http);
	CHECK_INT(row->name, api_stop_server(server, row->name), row->requests);
}

static void answers_as_the_table_says(void)
{
	EACH(row, answers)
		run_row(row);
}

static void fails_as_the_table_says(void)
{
	EACH(row, failures)
		run_row(row);
}

static void classifies_statuses(void)
{
	static const struct {
		const char *name;
		int status;
		enum http_retry retry;
	} rows[] = {
		{"200", 200, HTTP_RETRY_NEVER},      {"307", 307, HTTP_RETRY_NEVER},      {"400", 400, HTTP_RETRY_NEVER},
		{"401", 401, HTTP_RETRY_NEVER},      {"403", 403, HTTP_RETRY_NEVER},      {"404", 404, HTTP_RETRY_NEVER},
		{"408", 408, HTTP_RETRY_REPEATABLE}, {"409", 409, HTTP_RETRY_NEVER},      {"422", 422, HTTP_RETRY_NEVER},
		{"425", 425, HTTP_RETRY_REPEATABLE}, {"429", 429, HTTP_RETRY_ALWAYS},     {"500", 500, HTTP_RETRY_REPEATABLE},
		{"501", 501, HTTP_RETRY_NEVER},      {"502", 502, HTTP_RETRY_REPEATABLE}, {"503", 503, HTTP_RETRY_ALWAYS},
		{"504", 504, HTTP_RETRY_REPEATABLE}, {"529", 529, HTTP_RETRY_ALWAYS},
	};

	EACH(row, rows)
		CHECK_INT(row->name, http_retry_status(row->status), row->retry);
}

/* A port on which nobody listens, and which nobody else gets meanwhile. */
static int closed_port(char *url, size_t size)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof address;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK("bind", bind(fd, (struct sockaddr *)&address, sizeof address) == 0);
	CHECK("name", getsockname(fd, (struct sockaddr *)&address, &len) == 0);
	(void)snprintf(url, size, "http://127.0.0.1:%d", ntohs(address.sin_port));
	return fd;
}

static void tries_again_where_nobody_listens(void)
{
	static const struct {
		const char *name;
		int64_t budget_ms;
		bool several;
	} rows[] = {{"no time for a second try", 1, false}, {"time for some", 1000, true}};
	char url[64];
	int fd = closed_port(url, sizeof url);
	struct http_settings settings = api_settings(url);
	struct http *http = http_new(&settings);

	EACH(row, rows)
	{
		struct http_answer answer;
		struct error err;
		bool ambiguous = true;

		unit_clock_ms = 0;
		unit_clock_step_ms = 300;
		clock_fake(unit_mono_ms, NULL);
		int rc = http_call(http, &(struct http_request){.method = "POST", .path = "/", .budget_ms = row->budget_ms}, &answer,
		                   &ambiguous, &err);
		clock_fake(NULL, NULL);
		CHECK_RC(row->name, rc, ERR_TRANSPORT, &err);
		CHECK(row->name, !ambiguous);
		CHECK_HAS(row->name, err.text, url);
		CHECK_INT(row->name, strstr(err.text, "several tries") != NULL, row->several);
	}
	http_free(http);
	(void)close(fd);
}

static struct http_reply ask_to_stop(void *stop, const struct http_seen *seen)
{
	(void)seen;
	stop_ask(stop);
	return (struct http_reply){.status = 503, .headers = "Retry-After: 20\r\n"};
}

struct stopping_server {
	struct stop *stop;
	size_t requests;
	struct http_reply second;
};

/* 503 and the stop, then the other answer. */
static struct http_reply stop_then_answer(void *arg, const struct http_seen *seen)
{
	struct stopping_server *server = arg;

	(void)seen;
	stop_ask(server->stop);
	return server->requests++ == 0 ? (struct http_reply){.status = 503} : server->second;
}

static void a_stop_ends_the_waits(void)
{
	struct stop stop;
	struct http_answer answer;
	struct error err;

	stop_init(&stop);
	struct http_server *server = http_server_handle(ask_to_stop, &stop);
	struct http_settings settings = api_settings(http_server_url(server));
	settings.stop = &stop;
	struct http *http = http_new(&settings);

	CHECK_RC("stop", http_call(http, &(struct http_request){.method = "GET", .path = "/"}, &answer, NULL, &err),
	         ERR_STOPPED, &err);
	http_free(http);
	CHECK_INT("requests", api_stop_server(server, "stop"), 1);
	stop_done(&stop);
}

struct tries {
	struct http_try seen[STEPS_MAX];
	size_t count;
};

static void note_try(void *arg, const struct http_try *seen)
{
	struct tries *tries = arg;

	if (tries->count < STEPS_MAX)
		tries->seen[tries->count] = *seen;
	tries->count++;
}

static void tells_its_observer(void)
{
	static const struct http_step steps[] = {
		{.method = "GET", .reply = {.status = 503}}, {.method = "GET", .reply = {.trick = TRICK_CLOSE}},
		{.method = "GET", .reply = {.body = "ok"}}, {.method = "GET", .reply = {.status = 404}}};
	static const struct http_try rows[] = {{503, 0, false}, {0, 0, true}, {200, 0, true}, {404, 0, false}};
	struct http_server *server = http_server_script(steps, COUNT_OF(steps));
	struct http_settings settings = api_settings(http_server_url(server));
	struct tries tries = {.count = 0};
	struct error err;

	settings.observer = note_try;
	settings.observer_arg = &tries;
	struct http *http = http_new(&settings);
	for (int i = 0; i < 2; i++) {
		struct http_answer answer = {.body = NULL};
		CHECK_RC("call", http_call(http, &(struct http_request){.method = "GET", .path = "/", .repeatable = true}, &answer,
		                           NULL, &err), 0, &err);
		http_answer_release(&answer);
	}
	CHECK_INT("every try", tries.count, COUNT_OF(rows));
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		CHECK_INT("status", tries.seen[i].status, rows[i].status);
		CHECK_INT("again", tries.seen[i].again, rows[i].again);
		CHECK("took", tries.seen[i].took_us > 0);
	}
	http_free(http);
	(void)api_stop_server(server, "observer");
}

/* The stop is asked for while a request is under way. */
static void ends_in_time(void)
{
	static const struct {
		const char *name;
		int64_t grace_ms;
		bool tries_on;
		enum http_trick trick; /* of the second answer */
		int rc;
		size_t requests;
	} rows[] = {
		{"between two tries", 30000, false, TRICK_NONE, ERR_STOPPED, 1},
		{"between two tries, and on", 30000, true, TRICK_NONE, 0, 2},
		{"in a try that hangs", 1, true, TRICK_STALL, ERR_STOPPED, 2},
	};

	EACH(row, rows)
	{
		struct stop stop;
		stop_init(&stop);
		struct stopping_server script = {.stop = &stop, .second = {.trick = row->trick}};
		struct http_server *server = http_server_handle(stop_then_answer, &script);
		struct http_settings settings = api_settings(http_server_url(server));
		settings.stop = &stop;
		settings.stop_grace_ms = row->grace_ms;
		settings.tries_while_stopping = row->tries_on;
		struct http *http = http_new(&settings);
		struct http_answer answer = {0};
		struct error err;
		bool ambiguous = false;

		/* In the last row the very first try is the one that hangs. */
		if (row->trick == TRICK_STALL)
			script.requests = 1;
		CHECK_RC(row->name, http_call(http, &(struct http_request){.method = "GET", .path = "/"}, &answer, &ambiguous, &err),
		         row->rc, &err);
		CHECK_INT(row->name, ambiguous, row->trick == TRICK_STALL);
		http_answer_release(&answer);
		http_free(http);
		(void)api_stop_server(server, row->name);
		CHECK_INT(row->name, script.requests, row->requests);
		stop_done(&stop);
	}
}

static void refuses_other_schemes(void)
{
	static const char *const rows[] = {"file:///etc/passwd?", "ftp://127.0.0.1", "gopher://127.0.0.1", "not an address"};

	EACH(row, rows)
	{
		struct http_settings settings = api_settings(*row);
		struct http *http = http_new(&settings);
		struct http_answer answer;
		struct error err;

		CHECK_RC(*row, http_call(http, &(struct http_request){.method = "GET", .path = "/", .repeatable = true}, &answer,
		                         NULL, &err), ERR_TRANSPORT, &err);
		CHECK_LACKS(*row, err.text, "several tries");
		http_free(http);
	}
}

static void keeps_to_the_limits_of_a_request(void)
{
	static const struct {
		const char *name;
		int tries_max;
		int64_t limit_ms;
		size_t answer_max;
		struct http_reply reply;
		size_t requests;
		int rc;
		const char *text; /* of the error */
	} rows[] = {
		{"one try", 1, 0, 0, {.status = 503}, 1, 0, NULL},
		{"three tries", 3, 0, 0, {.status = 529}, 3, 0, NULL},
		{"two tries that are cut off", 2, 0, 0, {.trick = TRICK_CLOSE}, 2, ERR_TRANSPORT, "(several tries)"},
		{"no time for the wait", 0, 900, 0, {.status = 429, .headers = "Retry-After: 1\r\n"}, 1, 0, NULL},
		{"no time for the answer", 0, STALL_MS, 0, {.trick = TRICK_STALL}, 1, ERR_TRANSPORT, "timed out"},
		{"an answer without an end", 0, 0, 2 << 20, {.trick = TRICK_ENDLESS}, 1, ERR_TRANSPORT, "larger than 2 MiB"},
	};

	EACH(row, rows)
	{
		struct http_step steps[STEPS_MAX] = {0};
		for (size_t i = 0; i < row->requests; i++)
			steps[i] = (struct http_step){.method = "GET", .reply = row->reply};
		struct http_server *server = http_server_script(steps, row->requests);
		struct http_settings settings = api_settings(http_server_url(server));
		settings.answer_max = row->answer_max;
		settings.first_wait_ms = 1;
		struct http *http = http_new(&settings);
		struct http_answer answer = {.body = NULL};
		struct error err = {0};

		CHECK_RC(row->name, http_call(http, &(struct http_request){.method = "GET", .path = "/", .repeatable = true,
		                                                           .tries_max = row->tries_max, .limit_ms = row->limit_ms},
		                              &answer, NULL, &err), row->rc, &err);
		if (row->rc != 0)
			CHECK_HAS(row->name, err.text, row->text);
		http_answer_release(&answer);
		http_free(http);
		CHECK_INT(row->name, api_stop_server(server, row->name), row->requests);
	}
}

UNIT_SUITE("client/base/http", TEST(answers_as_the_table_says), TEST(fails_as_the_table_says), TEST(classifies_statuses),
           TEST(tries_again_where_nobody_listens), TEST(a_stop_ends_the_waits), TEST(ends_in_time), TEST(tells_its_observer),
           TEST(refuses_other_schemes), TEST(keeps_to_the_limits_of_a_request))
