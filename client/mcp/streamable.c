/* Streamable HTTP: each message is a POST, whose answer is one message as JSON or a stream of events with messages. */
#include "client/mcp/transport.h"

#include <string.h>
#include <strings.h>

#include "client/base/http.h"
#include "client/base/json.h"
#include "client/base/text.h"
#include "client/mcp/sse.h"

#define CONNECT_TIMEOUT_MS 10000
#define SIDE_TIMEOUT_MS 2000 /* for what nobody waits for: replies to the server, the end of the session */
#define SESSION_MAX 256
#define SESSION_HEADER "Mcp-Session-Id"

struct streamable {
	struct http_settings settings;
	struct text url;
	struct http *http;
	bool has_session;
};

/* One answer, as it comes. */
struct reading {
	struct http *http;
	int64_t id;
	struct sse sse;
	size_t bytes;
	struct message *answer; /* filled where found */
	bool found;
	json_t *replies;        /* to the requests of the server that came with it */
	int rc;
	struct error *err;
};

static void free_all(void *self)
{
	struct streamable *t = self;

	http_free(t->http);
	text_release(&t->url);
	free(t);
}

/* "application/json; charset=utf-8" is of type "application/json". */
static bool is_type(struct http *http, const char *type)
{
	const char *value = http_answer_header(http, "Content-Type");
	size_t len = strlen(type);

	return strncasecmp(value, type, len) == 0 && strchr("; ", value[len]) != NULL;
}

/* One message of the answer. A message that cannot be read is passed over: the answer may still come. */
static bool on_message(void *arg, const char *data, size_t len)
{
	struct reading *reading = arg;
	struct message message;

	int rc = message_read(data, len, &message, reading->err);
	if (rc != 0) {
		reading->rc = rc == ERR_NOMEM ? rc : 0;
		return reading->rc == 0;
	}
	if (!reading->found && message_answers(&message, reading->id)) {
		*reading->answer = message;
		reading->found = true;
		return false;
	}
	if (message.kind == MESSAGE_REQUEST && json_array_append_new(reading->replies, message_reply(&message)) != 0)
		reading->rc = error_nomem(reading->err);
	message_release(&message);
	return reading->rc == 0;
}

static bool on_data(void *arg, const char *data, size_t len)
{
	struct reading *reading = arg;

	reading->bytes += len;
	if (reading->bytes > MCP_MESSAGE_MAX)
		reading->rc = error_set(reading->err, ERR_TRANSPORT, "an answer of more than 10 MiB");
	else if (is_type(reading->http, "text/event-stream"))
		reading->rc = sse_feed(&reading->sse, data, len, on_message, reading, reading->err);
	return reading->rc == 0 && !reading->found; /* nothing else is waited for */
}

/* The server's own words for a refusal. */
static int status_error(struct streamable *t, const struct http_answer *answer, struct error *err)
{
	int code = answer->status == 401 || answer->status == 403 ? ERR_AUTH : ERR_HTTP;
	struct message message = {0};

	if (answer->status == 404 && t->has_session) {
		t->has_session = false;
		int rc = http_set_header(t->http, SESSION_HEADER, "", err);
		return rc != 0 ? rc : error_set(err, ERR_NOT_FOUND, "the session is lost");
	}
	if (answer->status / 100 == 3)
		error_set(err, code, "HTTP %d: it is at '%s'", answer->status, http_answer_header(t->http, "Location"));
	else if (message_read(answer->body, answer->len, &message, NULL) == 0 && message.reason != NULL)
		error_set(err, code, "HTTP %d: %s", answer->status, message.reason);
	else
		error_set(err, code, "HTTP %d: %.300s", answer->status, answer->body);
	message_release(&message);
	if (err != NULL)
		err->http_status = answer->status;
	return code;
}

/* The server names the session in its answer to initialize. */
static int note_session(struct streamable *t, struct error *err)
{
	const char *session = http_answer_header(t->http, SESSION_HEADER);
	size_t len = strlen(session);

	if (t->has_session || len == 0)
		return 0;
	for (const char *c = session; *c != '\0'; c++)
		if (*c <= ' ' || *c > '~' || len > SESSION_MAX)
			return error_set(err, ERR_DECODE, "the session's id is no token of at most %d characters", SESSION_MAX);
	AUTO_FREE char *copy = text_dup(session);
	int rc = copy != NULL ? http_set_header(t->http, SESSION_HEADER, copy, err) : error_nomem(err);
	t->has_session = rc == 0;
	return rc;
}

/* What nobody waits for: that it fails does no harm. */
static void send_aside(struct streamable *t, const char *method, const json_t *message)
{
	struct http_request request = {.method = method, .path = "", .body = message, .budget_ms = SIDE_TIMEOUT_MS,
	                               .timeout_ms = SIDE_TIMEOUT_MS};
	struct http_answer answer;

	if (http_call(t->http, &request, &answer, NULL, NULL) == 0)
		http_answer_release(&answer);
}

static int read_answer(struct streamable *t, const struct http_answer *answer, struct reading *reading)
{
	struct error *err = reading->err;
	json_t *reply;
	size_t i;

	if (answer->status / 100 != 2)
		return status_error(t, answer, err);
	int rc = note_session(t, err);
	if (rc != 0 || reading->id == 0)
		return rc;
	if (is_type(t->http, "application/json"))
		(void)on_message(reading, answer->body, answer->len);
	json_array_foreach(reading->replies, i, reply)
		send_aside(t, "POST", reply);
	if (reading->rc != 0 || reading->found)
		return reading->rc;
	return error_set(err, ERR_DECODE, "HTTP %d without the answer: %.200s", answer->status, answer->body);
}

/* What was found counts, however the stream ends after it. */
static int post(struct streamable *t, const json_t *message, int64_t timeout_ms, struct reading *reading)
{
	struct http_request request = {.method = "POST", .path = "", .body = message, .budget_ms = timeout_ms,
	                               .timeout_ms = timeout_ms, .on_body = on_data, .on_body_arg = reading};
	struct http_answer answer = {0};
	int64_t started = clock_mono_ms();

	int rc = http_call(t->http, &request, &answer, NULL, reading->err);
	if (reading->rc != 0)
		rc = reading->rc;
	else if (rc == ERR_TRANSPORT && reading->found)
		rc = 0;
	else if (rc == ERR_TRANSPORT && clock_mono_ms() - started >= timeout_ms)
		rc = error_prefix(reading->err, ERR_BUSY, "not in time");
	else if (rc == 0)
		rc = read_answer(t, &answer, reading);
	http_answer_release(&answer);
	return rc;
}

static int streamable_exchange(void *self, const json_t *message, int64_t id, int64_t timeout_ms,
                               struct message *ret_answer, struct error *err)
{
	struct streamable *t = self;
	struct message answer = {0};
	AUTO_JSON *replies = json_array();
	struct reading reading = {.http = t->http, .id = id, .sse = SSE_INIT(MCP_MESSAGE_MAX), .answer = &answer,
	                          .replies = replies, .err = err};

	if (replies == NULL)
		return error_nomem(err);
	int rc = post(t, message, timeout_ms, &reading);
	sse_release(&reading.sse);
	if (rc == 0 && id != 0)
		*ret_answer = answer;
	else
		message_release(&answer);
	return rc;
}

static int streamable_set_version(void *self, const char *version, struct error *err)
{
	struct streamable *t = self;

	return http_set_header(t->http, "MCP-Protocol-Version", version, err);
}

static void streamable_close(void *self)
{
	struct streamable *t = self;

	if (t->has_session)
		send_aside(t, "DELETE", NULL);
	free_all(t);
}

const struct transport transport_http = {
	.exchange = streamable_exchange, .set_version = streamable_set_version, .close = streamable_close};

int streamable_open(const struct mcp_settings *settings, void **ret_self, struct error *err)
{
	struct streamable *t = calloc(1, sizeof *t);
	size_t len = strlen(settings->url);

	if (t == NULL)
		return error_nomem(err);
	/* Servers redirect /mcp/ to /mcp, and no redirect is followed. */
	while (len > 0 && settings->url[len - 1] == '/')
		len--;
	t->url.max = len;
	text_add(&t->url, settings->url, len);
	t->settings = (struct http_settings){
		.url = text_str(&t->url),
		.connect_timeout_ms = CONNECT_TIMEOUT_MS,
		.request_timeout_ms = settings->call_timeout_ms,
		.retry_budget_ms = settings->call_timeout_ms,
		.stop = settings->stop,
	};
	t->http = t->url.failed ? NULL : http_new(&t->settings);
	/* Without both, and in this form, a server answers 406. */
	int rc = t->http != NULL ? http_set_header(t->http, "Accept", "application/json, text/event-stream", err)
	                         : error_nomem(err);
	if (rc != 0)
		free_all(t);
	else
		*ret_self = t;
	return rc;
}
