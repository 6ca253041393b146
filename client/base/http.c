#include "client/base/http.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "client/base/json.h"
#include "client/base/text.h"

/* A Prefect server on SQLite answers every second write with 503 while it is busy, and takes the next one: the first
 * tries follow closely, then the waits double. */
#define BACKOFF_FIRST_MS 50
#define BACKOFF_FLAT_TRIES 4
#define BACKOFF_MAX_MS 5000
#define TRIES_OF_500 3
#define TRIES_IN_TROUBLE 2 /* one for a database that is locked for a moment */
#define CONNECTION_LIFETIME_S 300L

/* Debian 12's libcurl; later ones call it by another name. */
#define USER_AGENT "prefect-janitor/" JANITOR_VERSION

struct http {
	const struct http_settings *settings;
	CURL *curl;
	struct curl_slist *set;     /* headers that http_set_header() has added */
	struct curl_slist *headers; /* what every request sends */
	struct text body;           /* of the try under way */
	struct text url;
	bool in_trouble;            /* the last call came to nothing, whatever was tried */
	int sent;                   /* how often libcurl sent the try under way */
	char reason[CURL_ERROR_SIZE];
	struct http_effort effort;  /* of the latest call */
	const struct http_request *request; /* under way */
	bool enough;                /* its on_body wants no more of it */
	bool unwanted;              /* its go_on said no */
	int64_t asked_ms;           /* when it was asked last; at first, when the call began */
};

int http_init(struct error *err)
{
	if (curl_global_init(CURL_GLOBAL_ALL) != CURLE_OK)
		return error_set(err, ERR_SYSTEM, "libcurl does not start");
	return 0;
}

void http_cleanup(void)
{
	curl_global_cleanup();
}

static bool sink_wants_more(struct http *http, const char *data, size_t len)
{
	const struct http_request *request = http->request;
	long status = 0;

	if (request->on_body == NULL)
		return true;
	(void)curl_easy_getinfo(http->curl, CURLINFO_RESPONSE_CODE, &status);
	return status / 100 != 2 || request->on_body(request->on_body_arg, data, len);
}

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
	struct http *http = arg;

	text_add(&http->body, data, size * count);
	http->enough = !sink_wants_more(http, data, size * count);
	return http->body.failed || http->enough ? 0 : size * count;
}

static bool grace_is_over(const struct http *http)
{
	return stop_asked_ago_ms(http->settings->stop) > http->settings->stop_grace_ms;
}

static bool is_wanted(struct http *http)
{
	const struct http_request *request = http->request;
	int64_t every_ms = request->go_on_every_ms > 0 ? request->go_on_every_ms : HTTP_GO_ON_EVERY_MS;

	if (request->go_on == NULL || clock_mono_ms() - http->asked_ms < every_ms)
		return true;
	http->unwanted = !request->go_on(request->go_on_arg);
	http->asked_ms = clock_mono_ms();
	return !http->unwanted;
}

/* libcurl calls this about once a second: a transfer that hangs must not hold up the end of the process. */
static int on_progress(void *arg, curl_off_t dltotal, curl_off_t dlnow, curl_off_t ultotal, curl_off_t ulnow)
{
	struct http *http = arg;

	(void)dltotal, (void)dlnow, (void)ultotal, (void)ulnow;
	return grace_is_over(http) || !is_wanted(http);
}

/* libcurl sends a request again by itself when a kept connection ends without an answer, and does not say so. But the
 * server may have carried the first one out: that is for the retry table to decide. */
static int on_send(void *arg, char *conn_primary_ip, char *conn_local_ip, int conn_primary_port, int conn_local_port)
{
	struct http *http = arg;

	(void)conn_primary_ip, (void)conn_local_ip, (void)conn_primary_port, (void)conn_local_port;
	return http->sent++ == 0 ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT;
}

static bool append(struct curl_slist **list, const char *line)
{
	struct curl_slist *longer = curl_slist_append(*list, line);

	if (longer == NULL)
		return false;
	*list = longer;
	return true;
}

static bool add_header(struct curl_slist **list, const char *name, const char *value)
{
	AUTO_TEXT line = {.max = 64 * 1024};

	text_addf(&line, "%s: %s", name, value);
	return !line.failed && append(list, text_str(&line));
}

static bool is_header(const char *line, const char *name)
{
	size_t len = strlen(name);

	return strncasecmp(line, name, len) == 0 && line[len] == ':';
}

static bool has_header(const struct curl_slist *list, const char *name)
{
	while (list != NULL && !is_header(list->data, name))
		list = list->next;
	return list != NULL;
}

/* Everything that a request sends: what was set for the session goes before the settings' own, and those before ours. */
static bool list_headers(const struct http_settings *settings, const struct curl_slist *set, struct curl_slist **list)
{
	static const char *const ours[][2] = {
		{"Content-Type", "application/json"},
		{"Accept", "application/json"},
		{"Expect", ""}, /* libcurl would wait for "100 Continue" before it sends a larger body */
	};
	const char *name;
	json_t *value;

	for (; set != NULL; set = set->next)
		if (!append(list, set->data))
			return false;
	json_object_foreach((json_t *)(uintptr_t)settings->headers, name, value)
		if (!has_header(*list, name) && !add_header(list, name, json_string_value(value)))
			return false;
	for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
		if (!has_header(*list, ours[i][0]) && !add_header(list, ours[i][0], ours[i][1]))
			return false;
	return true;
}

/* Options that hold for every request of this handle. */
static bool set_options(struct http *http, CURL *curl, const struct http_settings *s)
{
	CURLcode rc = CURLE_OK;

#define SET(option, value) rc = rc != CURLE_OK ? rc : curl_easy_setopt(curl, option, value)
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long)s->connect_timeout_ms);
	SET(CURLOPT_MAXLIFETIME_CONN, CONNECTION_LIFETIME_S);
	SET(CURLOPT_TCP_KEEPALIVE, 1L);
	SET(CURLOPT_SSL_VERIFYPEER, s->insecure ? 0L : 1L);
	SET(CURLOPT_SSL_VERIFYHOST, s->insecure ? 0L : 2L);
	SET(CURLOPT_USERAGENT, USER_AGENT);
	SET(CURLOPT_WRITEFUNCTION, on_body);
	SET(CURLOPT_WRITEDATA, http);
	SET(CURLOPT_ERRORBUFFER, http->reason);
	SET(CURLOPT_NOPROGRESS, 0L);
	SET(CURLOPT_XFERINFOFUNCTION, on_progress);
	SET(CURLOPT_XFERINFODATA, http);
	SET(CURLOPT_PREREQFUNCTION, on_send);
	SET(CURLOPT_PREREQDATA, http);
	/* Whichever is named takes the place of libcurl's own file and folder. */
	if (s->ca_file != NULL || s->ca_dir != NULL) {
		SET(CURLOPT_CAINFO, s->ca_file);
		SET(CURLOPT_CAPATH, s->ca_file == NULL ? s->ca_dir : NULL);
	}
	if (s->bearer != NULL) {
		SET(CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
		SET(CURLOPT_XOAUTH2_BEARER, s->bearer);
	} else if (s->basic != NULL) {
		SET(CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
		SET(CURLOPT_USERPWD, s->basic);
	}
#undef SET
	return rc == CURLE_OK;
}

static const struct http_settings *newest(const struct http_settings *settings)
{
	const struct http_settings *newer;

	while ((newer = atomic_load(&settings->newer)) != NULL)
		settings = newer;
	return settings;
}

/* Goes over to @settings, with a handle of their own: credentials, connections and authorities of the former ones are
 * gone with theirs. False without memory; then everything is as before. */
static bool use_settings(struct http *http, const struct http_settings *settings)
{
	struct curl_slist *headers = NULL;
	CURL *curl = curl_easy_init();

	if (curl == NULL || !set_options(http, curl, settings) || !list_headers(settings, http->set, &headers)) {
		curl_easy_cleanup(curl);
		curl_slist_free_all(headers);
		return false;
	}
	curl_easy_cleanup(http->curl);
	curl_slist_free_all(http->headers);
	http->settings = settings;
	http->curl = curl;
	http->headers = headers;
	return true;
}

struct http *http_new(const struct http_settings *settings)
{
	struct http *http = calloc(1, sizeof *http);

	if (http == NULL)
		return NULL;
	http->body.max = settings->answer_max > 0 ? settings->answer_max : HTTP_ANSWER_MAX;
	http->url.max = 64 * 1024;
	if (!use_settings(http, newest(settings))) {
		http_free(http);
		return NULL;
	}
	return http;
}

void http_free(struct http *http)
{
	if (http == NULL)
		return;
	curl_easy_cleanup(http->curl);
	curl_slist_free_all(http->headers);
	curl_slist_free_all(http->set);
	text_release(&http->body);
	text_release(&http->url);
	free(http);
}

int http_set_header(struct http *http, const char *name, const char *value, struct error *err)
{
	struct curl_slist *headers = NULL;
	struct curl_slist *set = NULL;
	bool ok = add_header(&set, name, value);

	for (const struct curl_slist *old = http->set; ok && old != NULL; old = old->next)
		ok = is_header(old->data, name) || append(&set, old->data);
	if (!ok || !list_headers(http->settings, set, &headers)) {
		curl_slist_free_all(set);
		curl_slist_free_all(headers);
		return error_nomem(err);
	}
	curl_slist_free_all(http->set);
	curl_slist_free_all(http->headers);
	http->set = set;
	http->headers = headers;
	return 0;
}

void http_answer_release(struct http_answer *answer)
{
	free(answer->body);
	*answer = (struct http_answer){0};
}

/* Did the request surely not reach the server? Then it may be sent again, whatever it does. */
static bool surely_unsent(CURLcode rc)
{
	return rc == CURLE_COULDNT_RESOLVE_HOST || rc == CURLE_COULDNT_RESOLVE_PROXY || rc == CURLE_COULDNT_CONNECT ||
	       rc == CURLE_SSL_CONNECT_ERROR || rc == CURLE_PEER_FAILED_VERIFICATION;
}

/* A failure that no further try can cure. */
static bool is_hopeless(CURLcode rc)
{
	return rc == CURLE_URL_MALFORMAT || rc == CURLE_UNSUPPORTED_PROTOCOL || rc == CURLE_WRITE_ERROR ||
	       rc == CURLE_SSL_CACERT_BADFILE || rc == CURLE_OUT_OF_MEMORY || rc == CURLE_PEER_FAILED_VERIFICATION;
}

enum http_retry http_retry_status(int status)
{
	static const struct {
		int status;
		enum http_retry retry;
	} table[] = {
		{408, HTTP_RETRY_REPEATABLE}, {425, HTTP_RETRY_REPEATABLE}, {429, HTTP_RETRY_ALWAYS},
		{500, HTTP_RETRY_REPEATABLE}, {502, HTTP_RETRY_REPEATABLE}, {503, HTTP_RETRY_ALWAYS},
		{504, HTTP_RETRY_REPEATABLE}, {529, HTTP_RETRY_ALWAYS},
	};

	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
		if (table[i].status == status)
			return table[i].retry;
	return HTTP_RETRY_NEVER;
}

const char *http_answer_header(struct http *http, const char *name)
{
	struct curl_header *header;

	return curl_easy_header(http->curl, name, 0, CURLH_HEADER, -1, &header) == CURLHE_OK ? header->value : "";
}

/* A date as HTTP writes it, 0 where it is none. */
static time_us read_date(const char *text)
{
	time_t date = curl_getdate(text, NULL);

	return date > 0 ? (time_us)date * US_PER_SEC : 0;
}

int64_t http_retry_after_ms(const char *value, time_us date)
{
	const int64_t max_s = HTTP_RETRY_AFTER_MAX_MS / 1000;
	const char *end = value + strspn(value, "0123456789");
	int64_t seconds;

	if (end > value && *end == '\0') {
		seconds = end - value > 9 ? max_s : strtol(value, NULL, 10);
	} else {
		time_us until = read_date(value);
		seconds = until != 0 ? (until - (date != 0 ? date : clock_now_us())) / US_PER_SEC : 0;
	}
	if (seconds <= 0)
		return 0;
	return (seconds < max_s ? seconds : max_s) * 1000;
}

/* One try. On CURLE_OK @answer is filled. @again: not the first one. */
static CURLcode try_once(struct http *http, bool again, struct http_answer *answer)
{
	const struct http_settings *settings = http->settings;
	curl_off_t took_us = 0;
	long status = 0;

	http->reason[0] = '\0';
	http->sent = 0;
	http->body.len = 0;
	http->body.failed = false;
	http->enough = false;

	CURLcode rc = curl_easy_perform(http->curl);
	if (rc == CURLE_WRITE_ERROR && http->enough)
		rc = CURLE_OK;
	(void)curl_easy_getinfo(http->curl, CURLINFO_TOTAL_TIME_T, &took_us);
	if (rc == CURLE_OK)
		(void)curl_easy_getinfo(http->curl, CURLINFO_RESPONSE_CODE, &status);
	if (settings->observer != NULL)
		settings->observer(settings->observer_arg,
		                   &(struct http_try){.status = (int)status, .took_us = took_us, .again = again});
	answer->took_ms = took_us / 1000;
	answer->retry_after_ms = 0;
	if (rc != CURLE_OK)
		return rc;

	answer->status = (int)status;
	answer->date = read_date(http_answer_header(http, "Date"));
	answer->retry_after_ms = http_retry_after_ms(http_answer_header(http, "Retry-After"), answer->date);
	return CURLE_OK;
}

static int transport_error(struct http *http, CURLcode rc, int tries, struct error *err)
{
	const char *reason = http->reason[0] != '\0' ? http->reason : curl_easy_strerror(rc);
	char too_large[64];

	if (http->body.failed && http->body.len >= http->body.max / 2) {
		(void)snprintf(too_large, sizeof too_large, "the answer is larger than %zu MiB", http->body.max >> 20);
		reason = too_large;
	}
	if (http->sent > 1)
		reason = "the connection ended without an answer";
	return error_set(err, ERR_TRANSPORT, "no answer from %s: %s%s", http->settings->url, reason,
	                 tries > 1 ? " (several tries)" : "");
}

/* How long to wait before the next try; the server's own wish goes first. */
static int64_t next_wait_ms(const struct http_answer *answer, int64_t first_ms, int tries)
{
	int64_t wait = first_ms > 0 ? first_ms : BACKOFF_FIRST_MS;

	if (answer->retry_after_ms > 0)
		return answer->retry_after_ms;
	for (; tries > (first_ms > 0 ? 1 : BACKOFF_FLAT_TRIES) && wait < BACKOFF_MAX_MS; tries--)
		wait *= 2;
	return wait_jitter(wait < BACKOFF_MAX_MS ? wait : BACKOFF_MAX_MS);
}

static void note_effort(struct http *http, CURLcode rc, int status, int64_t took_ms)
{
	struct http_effort *effort = &http->effort;

	effort->took_ms = took_ms;
	effort->tries++;
	effort->busy += rc == CURLE_OK && status == 503;
	effort->throttled += rc == CURLE_OK && status == 429;
}

const struct http_effort *http_last_effort(const struct http *http)
{
	return &http->effort;
}

/* True where the process has to stop instead. */
static bool wait_for_next_try(struct http *http, int64_t ms)
{
	if (!http->settings->tries_while_stopping)
		return stop_wait(http->settings->stop, ms);
	(void)stop_wait(NULL, ms);
	return grace_is_over(http);
}

/* The time of the next try, of a request whose first one began at @started. */
static void limit_try(struct http *http, const struct http_request *request, int64_t started)
{
	int64_t timeout = request->timeout_ms > 0 ? request->timeout_ms : http->settings->request_timeout_ms;

	if (request->limit_ms > 0) {
		int64_t left = started + request->limit_ms - clock_mono_ms();
		timeout = left < timeout ? left : timeout;
	}
	(void)curl_easy_setopt(http->curl, CURLOPT_TIMEOUT_MS, (long)(timeout > 0 ? timeout : 1));
}

/* Does waiting for the gate still make sense? */
static bool goes_on(void *arg)
{
	struct http *http = arg;

	return !grace_is_over(http) && is_wanted(http);
}

/* Waits until the gate lets the next try through. */
static int enter_gate(struct http *http, const struct http_request *request, int64_t started, int64_t *waited_ms,
                      struct error *err)
{
	const struct http_gate *gate = http->settings->gate;
	int64_t began = clock_mono_ms();
	int64_t until = began + http->settings->request_timeout_ms;

	if (gate == NULL)
		return 0;
	if (request->limit_ms > 0 && started + request->limit_ms < until)
		until = started + request->limit_ms;
	bool through = gate->enter(gate->arg, request, until, goes_on, http);
	*waited_ms += clock_mono_ms() - began;
	if (through)
		return 0;
	if (http->unwanted)
		return error_set(err, ERR_STOPPED, "the answer is not wanted any more");
	if (stop_asked(http->settings->stop))
		return error_set(err, ERR_STOPPED, "shutting down");
	return error_set(err, ERR_TRANSPORT, "no answer from %s: a request waited for %lld s for others to be answered, and was not sent",
	                 http->settings->url, (long long)(clock_mono_ms() - began) / 1000);
}

static void leave_gate(struct http *http, const struct http_request *request, CURLcode rc, int64_t took_ms)
{
	const struct http_gate *gate = http->settings->gate;
	bool hung = rc == CURLE_OPERATION_TIMEDOUT && took_ms >= HTTP_HUNG_MS;

	if (gate != NULL)
		gate->leave(gate->arg, request, rc == CURLE_OK ? HTTP_ANSWERED : hung ? HTTP_HUNG : HTTP_NO_ANSWER);
}

/* Repeats the prepared request as the table allows. */
static int try_often(struct http *http, const struct http_request *request, struct http_answer *answer,
                     bool *ret_ambiguous, struct error *err)
{
	int64_t budget = request->budget_ms > 0 ? request->budget_ms : http->settings->retry_budget_ms;
	int64_t started = clock_mono_ms();
	int64_t deadline = started + (request->limit_ms > 0 && request->limit_ms < budget ? request->limit_ms : budget);
	bool few = http->settings->few_tries && http->in_trouble;
	int64_t gated_ms = 0;

	http->effort = (struct http_effort){0};
	for (int tries = 1;; tries++) {
		enum http_retry retry;

		int held = enter_gate(http, request, started, &gated_ms, err);
		if (held != 0)
			return held;
		limit_try(http, request, started);
		CURLcode rc = try_once(http, tries > 1, answer);
		leave_gate(http, request, rc, answer->took_ms);
		note_effort(http, rc, answer->status, clock_mono_ms() - started - gated_ms);

		if (rc != CURLE_OK)
			retry = surely_unsent(rc) ? HTTP_RETRY_ALWAYS : HTTP_RETRY_REPEATABLE;
		else
			retry = http_retry_status(answer->status);
		bool lost = rc != CURLE_OK || answer->status >= 500;
		if (retry == HTTP_RETRY_REPEATABLE && lost)
			*ret_ambiguous = true;
		if (rc == CURLE_ABORTED_BY_CALLBACK && http->unwanted)
			return error_set(err, ERR_STOPPED, "the answer is not wanted any more");
		if (rc == CURLE_ABORTED_BY_CALLBACK && grace_is_over(http))
			return error_set(err, ERR_STOPPED, "shutting down");

		int64_t wait = next_wait_ms(answer, http->settings->first_wait_ms, tries);
		bool again = retry == HTTP_RETRY_ALWAYS || (retry == HTTP_RETRY_REPEATABLE && request->repeatable);
		if (is_hopeless(rc) || (rc == CURLE_OK && answer->status == 500 && tries >= TRIES_OF_500) ||
		    (request->tries_max > 0 && tries >= request->tries_max))
			again = false;
		if (clock_mono_ms() + wait >= deadline + gated_ms || (few && tries >= TRIES_IN_TROUBLE))
			again = false;
		http->in_trouble = retry != HTTP_RETRY_NEVER;
		if (!again)
			return rc == CURLE_OK ? 0 : transport_error(http, rc, tries, err);
		if (wait_for_next_try(http, wait))
			return error_set(err, ERR_STOPPED, "shutting down");
	}
}

/* Method, URL and body of @request; @body is the serialised JSON or NULL and must outlive the tries. */
static int prepare(struct http *http, const struct http_request *request, const char *body, struct error *err)
{
	http->request = request;
	http->unwanted = false;
	http->asked_ms = clock_mono_ms();
	http->url.len = 0;
	text_addf(&http->url, "%s%s", http->settings->url, request->path);
	if (http->url.failed)
		return error_nomem(err);

	CURLcode rc = curl_easy_setopt(http->curl, CURLOPT_URL, text_str(&http->url));
	if (rc == CURLE_OK && body != NULL)
		rc = curl_easy_setopt(http->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
	if (rc == CURLE_OK && body != NULL)
		rc = curl_easy_setopt(http->curl, CURLOPT_POSTFIELDS, body);
	if (rc == CURLE_OK && body == NULL)
		rc = curl_easy_setopt(http->curl, CURLOPT_HTTPGET, 1L);
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(http->curl, CURLOPT_CUSTOMREQUEST, request->method);
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(http->curl, CURLOPT_HTTPHEADER, http->headers);
	return rc == CURLE_OK ? 0 : error_nomem(err);
}

int http_call(struct http *http, const struct http_request *request, struct http_answer *ret_answer,
              bool *ret_ambiguous, struct error *err)
{
	const struct http_settings *latest = newest(http->settings);
	struct http_answer answer = {0};
	bool ambiguous = false;
	AUTO_FREE char *body = NULL;

	if (latest != http->settings && !use_settings(http, latest))
		return error_nomem(err);
	if (request->body != NULL) {
		body = json_write(request->body, 0);
		if (body == NULL)
			return error_nomem(err);
	}

	int rc = prepare(http, request, body, err);
	if (rc == 0)
		rc = try_often(http, request, &answer, &ambiguous, err);
	if (ret_ambiguous != NULL)
		*ret_ambiguous = ambiguous;
	if (rc != 0)
		return rc;

	answer.ambiguous = ambiguous;
	answer.len = http->body.len;
	answer.body = text_take(&http->body);
	if (answer.body == NULL)
		return error_nomem(err);
	*ret_answer = answer;
	return 0;
}
