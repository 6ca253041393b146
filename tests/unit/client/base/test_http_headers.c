/* What a request carries, what an answer's headers say, and that secrets stay where they belong. */
#include "client/base/http.h"

#include <string.h>

#include "client/base/text.h"
#include "tests/unit/api.h"

#define BEARER "pnu_topsecretkey"
#define BASIC "admin:topsecretword"
#define CUSTOM "topsecretheader"

/* Every text in which the secrets could show: as they are, and as they are sent. */
static void check_no_secret(const char *row, const struct error *err)
{
	CHECK_LACKS(row, err->text, "topsecret");
	CHECK_LACKS(row, err->text, "YWRtaW46dG9wc2VjcmV0d29yZA");
}

static void sends_secrets_but_never_tells(void)
{
	static const struct {
		const char *name;
		const char *bearer;
		const char *basic;
		const char *header;
		struct http_reply reply;
	} rows[] = {
		{"bearer", BEARER, NULL, "Authorization: Bearer " BEARER, {.trick = TRICK_CLOSE}},
		{"basic", NULL, BASIC, "Authorization: Basic YWRtaW46dG9wc2VjcmV0d29yZA==", {.trick = TRICK_CLOSE}},
		{"custom", NULL, NULL, "X-Secret: " CUSTOM, {.trick = TRICK_CLOSE}},
		{"the server repeats them", BEARER, NULL, "Authorization: Bearer " BEARER,
		 {.body = "GET / HTTP/1.1\r\nAuthorization: Bearer " BEARER "\r\n\r\n", .trick = TRICK_RAW}},
		{"half a body", NULL, BASIC, "X-Secret: " CUSTOM, {.body = BASIC " " BEARER, .trick = TRICK_HALF}},
	};
	AUTO_JSON *headers = json_pack("{s:s}", "X-Secret", CUSTOM);

	EACH(row, rows)
	{
		struct http_step step = {.method = "GET", .header = row->header, .reply = row->reply};
		struct http_server *server = http_server_script(&step, 1);
		struct http_settings settings = api_settings(http_server_url(server));
		settings.bearer = row->bearer;
		settings.basic = row->basic;
		settings.headers = headers;
		struct http *http = http_new(&settings);
		struct http_answer answer;
		struct error err;

		CHECK_RC(row->name, http_call(http, &(struct http_request){.method = "GET", .path = "/"}, &answer, NULL, &err),
		         ERR_TRANSPORT, &err);
		check_no_secret(row->name, &err);
		http_free(http);
		(void)api_stop_server(server, row->name);
	}
}

/* A redirect to another host must not take the secrets with it: it is not followed at all. */
static void keeps_secrets_from_redirects(void)
{
	struct http_server *other = http_server_script(NULL, 0);
	char location[120];
	(void)snprintf(location, sizeof location, "Location: %s/elsewhere\r\n", http_server_url(other));
	struct http_step step = {.method = "GET", .reply = {.status = 302, .headers = location}};
	struct http_server *server = http_server_script(&step, 1);
	struct http_settings settings = api_settings(http_server_url(server));
	settings.bearer = BEARER;
	struct http *http = http_new(&settings);
	struct http_answer answer;
	struct error err;

	CHECK_RC("302", http_call(http, &(struct http_request){.method = "GET", .path = "/"}, &answer, NULL, &err), 0, &err);
	CHECK_INT("302", answer.status, 302);
	http_answer_release(&answer);
	http_free(http);
	(void)api_stop_server(server, "first");
	CHECK_INT("requests", api_stop_server(other, "second"), 0);
}

/* Answers with the headers that came. */
static struct http_reply tell_headers(void *arg, const struct http_seen *seen)
{
	(void)arg;
	return (struct http_reply){.owned = text_dup(seen->headers)};
}

static void call_and_check_header(struct http *http, const json_t *body, const char *name, const char *want)
{
	struct http_answer answer;
	struct error err;
	char value[200];

	if (!CHECK_RC(name, http_call(http, &(struct http_request){.method = "POST", .path = "/", .body = body}, &answer, NULL,
	                              &err), 0, &err))
		return;
	http_seen_header(answer.body, name, value, sizeof value);
	CHECK_STR(name, value, want);
	http_answer_release(&answer);
}

/* None of the headers has this value. */
static void call_and_check_absence(struct http *http, const char *value)
{
	struct http_answer answer;
	struct error err;

	if (!CHECK_RC(value, http_call(http, &(struct http_request){.method = "POST", .path = "/"}, &answer, NULL, &err), 0, &err))
		return;
	CHECK_LACKS(value, answer.body, value);
	http_answer_release(&answer);
}

static void sends_its_headers(void)
{
	struct http_server *server = http_server_handle(tell_headers, NULL);
	struct http_settings settings = api_settings(http_server_url(server));
	struct http *http = http_new(&settings);
	AUTO_JSON *large = json_stringn(memset((char[8000]){0}, 'x', 8000), 8000);
	struct error err;

	call_and_check_header(http, NULL, "Accept", "application/json");
	call_and_check_header(http, NULL, "User-Agent", "prefect-janitor/" JANITOR_VERSION);
	call_and_check_header(http, large, "Expect", "");
	call_and_check_header(http, NULL, "Authorization", "");
	CHECK_RC("set", http_set_header(http, "X-Token", "one", &err), 0, &err);
	CHECK_RC("set", http_set_header(http, "X-Token-Other", "two", &err), 0, &err);
	call_and_check_header(http, NULL, "X-Token", "one");
	CHECK_RC("replace", http_set_header(http, "x-token", "three", &err), 0, &err);
	call_and_check_header(http, NULL, "X-Token", "three");
	call_and_check_absence(http, "one");
	call_and_check_header(http, NULL, "X-Token-Other", "two");
	call_and_check_header(http, NULL, "Content-Type", "application/json");
	http_free(http);
	(void)api_stop_server(server, "headers");
}

/* A session goes over to newer settings before its next request, with everything that was set for itself. */
static void takes_over_newer_settings(void)
{
	struct http_server *server = http_server_handle(tell_headers, NULL);
	AUTO_JSON *headers = json_pack("{s:s, s:s}", "X-Team", "ops", "x-token", "not this");
	struct http_settings first = api_settings(http_server_url(server));
	struct http_settings second = first;
	struct http_settings third = first;
	first.bearer = BEARER;
	second.basic = BASIC;
	second.headers = headers;
	struct http *http = http_new(&first);
	struct error err;

	CHECK_RC("set", http_set_header(http, "X-Token", "one", &err), 0, &err);
	call_and_check_header(http, NULL, "Authorization", "Bearer " BEARER);
	atomic_store(&first.newer, &second);
	call_and_check_header(http, NULL, "Authorization", "Basic YWRtaW46dG9wc2VjcmV0d29yZA==");
	call_and_check_header(http, NULL, "X-Team", "ops");
	call_and_check_header(http, NULL, "X-Token", "one");
	call_and_check_absence(http, "not this");
	call_and_check_header(http, NULL, "Content-Type", "application/json");
	atomic_store(&second.newer, &third);
	call_and_check_header(http, NULL, "Authorization", "");
	call_and_check_absence(http, "ops");
	call_and_check_header(http, NULL, "X-Token", "one");
	http_free(http);

	first.newer = &second;
	second.newer = NULL;
	http = http_new(&first);
	call_and_check_header(http, NULL, "X-Team", "ops");
	http_free(http);
	(void)api_stop_server(server, "newer");
}

static void reads_the_date(void)
{
	static const struct {
		const char *name;
		const char *headers;
		time_us date;
	} rows[] = {
		{"as servers write it", "Date: Sat, 21 Nov 2026 06:34:21 GMT\r\n", INT64_C(1795242861) * US_PER_SEC},
		{"none", "", 0},
		{"no date", "Date: soon\r\n", 0},
		{"empty", "Date:\r\n", 0},
	};

	EACH(row, rows)
	{
		struct http_step step = {.method = "GET", .reply = {.headers = row->headers}};
		struct http_server *server = http_server_script(&step, 1);
		struct http_settings settings = api_settings(http_server_url(server));
		struct http *http = http_new(&settings);
		struct http_answer answer = {0};
		struct error err;

		CHECK_RC(row->name, http_call(http, &(struct http_request){.method = "GET", .path = "/"}, &answer, NULL, &err), 0,
		         &err);
		CHECK_INT(row->name, answer.date, row->date);
		CHECK_STR(row->name, http_answer_header(http, "content-length"), "0");
		CHECK_STR(row->name, http_answer_header(http, "X-Other"), "");
		http_answer_release(&answer);
		http_free(http);
		(void)api_stop_server(server, row->name);
	}
}

static void reads_retry_after(void)
{
#define DATE "Mon, 01 Jan 2001 12:00:00 GMT"
	static const struct {
		const char *value;
		const char *date;
		int64_t ms;
	} rows[] = {
		{"1", "", 1000},
		{"59", DATE, 59000},
		{"60", DATE, 60000},
		{"61", DATE, 60000},
		{"999999999999999999999999", "", 60000},
		{"0", DATE, 0},
		/* a date counts from the server's own, which is far from ours */
		{"Mon, 01 Jan 2001 12:00:30 GMT", DATE, 30000},
		{"Monday, 01-Jan-01 12:00:30 GMT", DATE, 30000},
		{"Mon, 01 Jan 2001 12:05:00 GMT", DATE, 60000},
		{"Fri, 31 Dec 9999 23:59:59 GMT", DATE, 60000},
		{"Mon, 01 Jan 2001 12:00:00 GMT", DATE, 0},
		{"Mon, 01 Jan 2001 11:59:00 GMT", DATE, 0},
		/* and from ours where it tells none */
		{"Mon, 01 Jan 2001 12:00:30 GMT", "", 0},
		{"Fri, 31 Dec 9999 23:59:59 GMT", "", 60000},
		/* neither */
		{"", DATE, 0},
		{"-5", DATE, 0},
		{"1.5", DATE, 0},
		{"20s", DATE, 0},
		{"soon", DATE, 0},
	};

	EACH(row, rows)
	{
		time_us date = *row->date != '\0' ? INT64_C(978350400) * US_PER_SEC : 0;
		struct text headers = {.max = 1000};
		struct http_step step = {.method = "GET", .reply = {.status = 200}};
		struct http_answer answer = {0};
		struct error err;

		CHECK_INT(row->value, http_retry_after_ms(row->value, date), row->ms);
		if (*row->date != '\0')
			text_addf(&headers, "Date: %s\r\n", row->date);
		text_addf(&headers, "Retry-After: %s\r\n", row->value);
		step.reply.headers = text_str(&headers);
		struct http_server *server = http_server_script(&step, 1);
		struct http_settings settings = api_settings(http_server_url(server));
		struct http *http = http_new(&settings);
		CHECK_RC(row->value, http_call(http, &(struct http_request){.method = "GET", .path = "/"}, &answer, NULL, &err), 0,
		         &err);
		CHECK_INT(row->value, answer.retry_after_ms, row->ms);
		http_answer_release(&answer);
		http_free(http);
		(void)api_stop_server(server, row->value);
		text_release(&headers);
	}
#undef DATE
}

/* One handle, one request after the other: nothing of the one before is left. */
static void forgets_the_request_before(void)
{
	static const struct http_step steps[] = {
		{.method = "POST", .path = "/a", .body = "[1]", .reply = {.body = "a long answer"}},
		{.method = "GET", .path = "/b", .header = "Content-Length: ", .reply = {.body = "b"}},
		{.method = "DELETE", .path = "/c", .header = "Content-Length: ", .reply = {.status = 204}},
		{.method = "PATCH", .path = "/d", .body = "[1]", .reply = {.body = "d"}},
	};
	static const char *const bodies[] = {"a long answer", "b", "", "d"};
	struct http_server *server = http_server_script(steps, COUNT_OF(steps));
	struct http_settings settings = api_settings(http_server_url(server));
	struct http *http = http_new(&settings);
	AUTO_JSON *body = unit_json("[1]");

	for (size_t i = 0; i < COUNT_OF(steps); i++) {
		struct http_answer answer = {0};
		struct error err;

		CHECK_RC(steps[i].path, http_call(http, &(struct http_request){.method = steps[i].method, .path = steps[i].path,
		                                                             .body = steps[i].body != NULL ? body : NULL},
		                                  &answer, NULL, &err), 0, &err);
		CHECK_STR(steps[i].path, answer.body, bodies[i]);
		http_answer_release(&answer);
	}
	http_free(http);
	(void)api_stop_server(server, "four requests");
}

UNIT_SUITE("client/base/http_headers", TEST(sends_secrets_but_never_tells), TEST(keeps_secrets_from_redirects),
           TEST(sends_its_headers), TEST(takes_over_newer_settings), TEST(reads_the_date), TEST(reads_retry_after),
           TEST(forgets_the_request_before))
