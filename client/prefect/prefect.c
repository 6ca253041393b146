#include "client/prefect/prefect.h"

#include <curl/curl.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>

#include "client/base/text.h"

/* Below this difference the clocks are taken to agree: the Date header is up to two seconds old. */
#define CLOCK_TOLERANCE_US (3 * US_PER_SEC)
/* The REST API version that the recordings were made with. */
#define API_VERSION "0.8.4"
/* The server gives a lease on a slot of a deployment's concurrency limit only to a client that calls itself
 * "prefect/VERSION (API ...)" with a version from 3.4.11 on, and takes it back from any other one when its run starts:
 * RemoveDeploymentConcurrencyLeaseForOldClientVersions, Prefect 3.4.20 to 3.9.1. */
#define USER_AGENT "prefect/3.9.1 (API " API_VERSION ";prefect-janitor/" JANITOR_VERSION ")"

struct prefect {
	struct http *http;
	const struct http_settings *settings; /* borrowed */
	struct server_clock *clock;
	char client_id[UUID_SIZE]; /* names this session to the server's CSRF protection */
	int64_t deadline_ms;       /* of all requests, by clock_mono_ms(); 0: none */
};

struct prefect *prefect_new(const struct http_settings *http, struct server_clock *clock)
{
	struct prefect *prefect = calloc(1, sizeof *prefect);

	if (prefect == NULL)
		return NULL;
	prefect->clock = clock;
	prefect->settings = http;
	prefect->http = http_new(http);
	if (prefect->http == NULL || http_set_header(prefect->http, "x-prefect-api-version", API_VERSION, NULL) != 0 ||
	    http_set_header(prefect->http, "User-Agent", USER_AGENT, NULL) != 0) {
		prefect_free(prefect);
		return NULL;
	}
	uuid_make(prefect->client_id);
	return prefect;
}

void prefect_free(struct prefect *prefect)
{
	if (prefect == NULL)
		return;
	http_free(prefect->http);
	free(prefect);
}

time_us server_clock_now(const struct server_clock *clock)
{
	int64_t since_mono = atomic_load(&clock->since_mono_us);

	return since_mono != 0 ? clock_mono_ms() * 1000 + since_mono : clock_now_us();
}

time_us prefect_now(const struct prefect *prefect)
{
	return server_clock_now(prefect->clock);
}

static void learn_clock(struct server_clock *clock, time_us date)
{
	if (date == 0)
		return;

	/* The header is cut to the second and may be a second old: its middle is one second later. */
	time_us now = clock_now_us();
	int64_t ahead = date + US_PER_SEC - now;
	if (ahead <= CLOCK_TOLERANCE_US && ahead >= -CLOCK_TOLERANCE_US)
		ahead = 0; /* ours is finer then */
	atomic_store(&clock->ahead_us, ahead);
	atomic_store(&clock->since_mono_us, now + ahead - clock_mono_ms() * 1000);
}

void prefect_set_deadline(struct prefect *prefect, int64_t ms)
{
	prefect->deadline_ms = ms > 0 ? clock_mono_ms() + ms : 0;
}

const struct http_effort *prefect_last_effort(const struct prefect *prefect)
{
	return http_last_effort(prefect->http);
}

char *http_escape(const char *text)
{
	char *escaped = curl_easy_escape(NULL, text, 0);
	char *copy = text_dup(escaped);

	curl_free(escaped);
	return copy;
}

char *prefect_ui_url(const char *api_url, const char *path)
{
	struct text url = {.max = 64 * 1024};
	size_t len = strlen(api_url);

	if (len >= 4 && strcmp(api_url + len - 4, "/api") == 0)
		len -= 4;
	text_add(&url, api_url, len);
	text_addf(&url, "/v2%s", path);
	return text_take(&url);
}

/* The server's own words in the body of a failed request; "" where there are none. */
static void explain(const json_t *body, struct text *ret_words)
{
	const json_t *detail = json_object_get(body, "detail");
	const json_t *message = json_object_get(body, "exception_message");
	size_t i;
	json_t *row;

	if (json_is_string(detail))
		text_addf(ret_words, "%.600s", json_string_value(detail));
	else if (json_is_string(message))
		text_addf(ret_words, "%.600s", json_string_value(message));
	json_array_foreach(json_object_get(body, "exception_detail"), i, row)
	{
		const char *msg = json_string_value(json_object_get(row, "msg"));
		if (msg != NULL)
			text_addf(ret_words, "%s%s", ret_words->len > 0 ? " " : "", msg);
	}
}

static int status_code(int status)
{
	switch (status) {
	case 400:
	case 422:
		return ERR_INVALID;
	case 401:
	case 403:
	case 407:
		return ERR_AUTH;
	case 404:
	case 405:
	case 410:
		return ERR_NO_ROUTE;
	case 409:
		return ERR_CONFLICT;
	default:
		return http_retry_status(status) != HTTP_RETRY_NEVER && status != 500 ? ERR_BUSY : ERR_HTTP;
	}
}

/* Does Prefect itself say that the object is not there? A path that does not exist is "Not Found" without more. */
static bool is_object_missing(const json_t *body)
{
	const char *detail = json_string_value(json_object_get(body, "detail"));

	return (detail != NULL && strcmp(detail, "Not Found") != 0) ||
	       json_is_string(json_object_get(body, "exception_message"));
}

static int status_error(const char *method, const char *path, const struct http_answer *answer,
                        json_t **ret_refusal, struct error *err)
{
	AUTO_TEXT words = {.max = 700};
	AUTO_JSON *body = NULL;
	int code = status_code(answer->status);

	if (json_read(answer->body, answer->len, &body, NULL) == 0)
		explain(body, &words);
	if (answer->status != 405 && code == ERR_NO_ROUTE && is_object_missing(body))
		code = ERR_NOT_FOUND;
	if (ret_refusal != NULL && body != NULL)
		*ret_refusal = json_incref(body);
	(void)error_set(err, code, "%s %s: HTTP %d%s%s%s", method, path, answer->status, words.len > 0 ? ", " : "",
	                text_str(&words),
	                code == ERR_AUTH ? "; check PREFECT_API_AUTH_STRING, PREFECT_API_KEY and "
	                                   "PREFECT_CLIENT_CUSTOM_HEADERS"
	                                 : "");
	if (answer->status == 407)
		(void)error_set(err, code, "%s %s: HTTP 407: a proxy asks for a user; put USER:PASSWORD@ before its host in http_proxy "
		                "or https_proxy", method, path);
	if (code == ERR_NO_ROUTE)
		(void)error_set(err, code, "%s %s: HTTP %d; is PREFECT_API_URL the address of the API (it ends in /api)?", method,
		                path, answer->status);
	if (answer->status >= 300 && answer->status < 400)
		(void)error_set(err, code, "%s %s: HTTP %d redirects; set PREFECT_API_URL to the address that "
		                "answers by itself", method, path, answer->status);
	if (err != NULL) {
		err->http_status = answer->status;
		err->retry_after_ms = answer->retry_after_ms;
	}
	return code;
}

/* Source: GET /csrf-token?client=..., Prefect 3.x; 422 where the protection is off. */
static int fetch_csrf_token(struct prefect *prefect, struct error *err)
{
	char path[64 + UUID_SIZE];
	struct http_answer answer;

	(void)snprintf(path, sizeof path, "/csrf-token?client=%s", prefect->client_id);
	int rc = http_call(prefect->http, &(struct http_request){.method = "GET", .path = path, .repeatable = true},
	                   &answer, NULL, err);
	if (rc != 0)
		return rc;

	AUTO_JSON *body = NULL;
	const char *token = NULL;
	if (answer.status == 200 && json_read(answer.body, answer.len, &body, NULL) == 0)
		token = json_string_value(json_object_get(body, "token"));
	if (token == NULL)
		rc = status_error("GET", "/csrf-token", &answer, NULL, err);
	http_answer_release(&answer);

	if (rc == 0)
		rc = http_set_header(prefect->http, "Prefect-Csrf-Token", token, err);
	if (rc == 0)
		rc = http_set_header(prefect->http, "Prefect-Csrf-Client", prefect->client_id, err);
	return rc;
}

/* 403 with these words is how the server asks for a (new) token. */
static bool wants_csrf_token(const struct http_answer *answer)
{
	return answer->status == 403 && strstr(answer->body, "CSRF") != NULL;
}

static int send_request(struct prefect *prefect, const struct http_request *request, struct http_answer *ret_answer,
                        bool *ret_ambiguous, struct error *err)
{
	int rc = http_call(prefect->http, request, ret_answer, ret_ambiguous, err);

	if (rc != 0 || !wants_csrf_token(ret_answer))
		return rc;

	http_answer_release(ret_answer);
	rc = fetch_csrf_token(prefect, err);
	return rc != 0 ? rc : http_call(prefect->http, request, ret_answer, ret_ambiguous, err);
}

static int read_answer(const struct prefect_request *request, const struct http_answer *answer, const char *path,
                       json_t **ret_json, struct error *err)
{
	AUTO_JSON *unread = NULL;

	if (ret_json == NULL)
		ret_json = &unread; /* looked at all the same: a page means that nothing was done */
	if (answer->len == 0) {
		*ret_json = json_null();
		return 0;
	}
	if (request->text_answer) {
		*ret_json = json_stringn(answer->body, answer->len);
		return *ret_json != NULL ? 0 : error_set(err, ERR_DECODE, "%s %s: the answer is not UTF-8",
		                                         request->method, path);
	}

	int rc = json_read(answer->body, answer->len, ret_json, err);
	if (rc == ERR_DECODE) {
		char start[60];
		text_clean(start, sizeof start, answer->body, answer->len);
		/* A page is not Prefect's: a proxy answers in its place, maybe only for a while. */
		rc = error_set(err, start[0] == '<' ? ERR_NO_ROUTE : rc, "%s %s: the answer is not JSON but '%s'; is PREFECT_API_URL the address of "
		               "the API (it ends in /api)?", request->method, path, start);
	}
	return rc;
}

/* The variable by which libcurl finds a proxy for @url, NULL where none is set. NO_PROXY may still leave it out. */
static const char *proxy_variable(const char *url)
{
	static const char *const names[] = {"https_proxy", "HTTPS_PROXY", "http_proxy", "all_proxy", "ALL_PROXY"};
	bool tls = strncasecmp(url, "https:", 6) == 0;

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		bool fits = strncasecmp(names[i], "all", 3) == 0 || (strncasecmp(names[i], "https", 5) == 0) == tls;
		const char *value = getenv(names[i]);
		if (fits && value != NULL && *value != '\0')
			return names[i];
	}
	return NULL;
}

/* Adds what to do about a server that gives no answer: what may be wrong, and where that was set. */
static int hint_no_answer(const struct prefect *prefect, int rc, struct error *err)
{
	if (rc != ERR_TRANSPORT || err == NULL)
		return rc;

	const struct http_settings *settings = prefect->settings;
	struct error plain = *err;
	const char *proxy = proxy_variable(settings->url);
	char from[340] = "";

	if (settings->url_from != NULL)
		(void)snprintf(from, sizeof from, " (from %.300s)", settings->url_from);
	if (strstr(plain.text, "certificate") != NULL || strstr(plain.text, "SSL") != NULL)
		return error_set(err, rc, "%s; check PREFECT_API_URL%s (http or https, the name of the host) and "
		                 "PREFECT_API_SSL_CERT_FILE", plain.text, from);
	if (settings->url_is_default)
		return error_set(err, rc, "%s; is the server running? %s is the default address, as nothing names another: set "
		                 "PREFECT_API_URL, or choose a profile (prefect profile use NAME)", plain.text, settings->url);
	if (proxy != NULL)
		return error_set(err, rc, "%s; is the server running, PREFECT_API_URL%s right, and the proxy that %s names (NO_PROXY takes "
		                 "a host out)?", plain.text, from, proxy);
	return error_set(err, rc, "%s; is the server running, and PREFECT_API_URL%s right?", plain.text, from);
}

static int call_path(struct prefect *prefect, const struct prefect_request *request, const char *path,
                     json_t **ret_json, struct error *err)
{
	struct http_request http = {
		.method = request->method,
		.path = path,
		.body = request->body,
		.repeatable = request->repeat == PREFECT_REPEATABLE,
		.budget_ms = request->budget_ms,
		.limit_ms = request->once_ms,
		.tries_max = request->once_ms > 0 ? 1 : 0,
	};
	struct http_answer answer;

	if (prefect->deadline_ms > 0) {
		int64_t left = prefect->deadline_ms - clock_mono_ms();
		http.limit_ms = left > 1 ? left : 1;
	}

	int rc = send_request(prefect, &http, &answer, request->ret_ambiguous, err);
	if (rc != 0)
		return hint_no_answer(prefect, rc, err);

	learn_clock(prefect->clock, answer.date);
	if (answer.status >= 200 && answer.status < 300) {
		rc = read_answer(request, &answer, path, ret_json, err);
		if (rc != 0 && request->ret_ambiguous != NULL)
			*request->ret_ambiguous = true; /* whoever wrote this, the server may have done it */
	} else {
		rc = status_error(request->method, path, &answer, request->ret_refusal, err);
	}
	http_answer_release(&answer);
	return rc;
}

int prefect_call(struct prefect *prefect, struct prefect_request request, json_t **ret_json, struct error *err,
                 const char *path_fmt, ...)
{
	AUTO_JSON *body = request.body;

	if (body == NULL && strcmp(request.method, "GET") != 0 && strcmp(request.method, "DELETE") != 0)
		return error_nomem(err);

	char *formatted = NULL;
	va_list args;
	va_start(args, path_fmt);
	int len = vasprintf(&formatted, path_fmt, args);
	va_end(args);
	if (len < 0)
		return error_nomem(err);

	AUTO_FREE char *owned = formatted;
	return call_path(prefect, &request, owned, ret_json, err);
}

int prefect_count(struct prefect *prefect, json_t *body, int64_t *ret_count, struct error *err, const char *path)
{
	AUTO_JSON *answer = NULL;

	int rc = prefect_post(prefect, body, PREFECT_REPEATABLE, &answer, err, "%s", path);
	if (rc != 0)
		return rc;
	if (!json_is_integer(answer) || json_integer_value(answer) < 0 || json_integer_value(answer) > PREFECT_COUNT_MAX)
		return error_set(err, ERR_DECODE, "POST %s: the answer is not a number", path);
	*ret_count = json_integer_value(answer);
	return 0;
}
