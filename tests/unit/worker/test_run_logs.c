#include "worker/run_logs.h"

#include <stdio.h>
#include <string.h>

#include "client/base/log.h"
#include "tests/unit/api.h"

/* A server that takes log lines, and what it was sent. */
struct log_server {
	struct run_logs *logs;
	json_t *lines;             /* owned: of all requests that were accepted */
	size_t batches[256];       /* their sizes, refused ones too */
	size_t requests;
	int first_status;          /* of the first request; 0: as the others */
	const char *poison;        /* 422 for every request that has this in it */
	int status;                /* of the others; 0: 201 */
	size_t busy_at;            /* the request that is answered with 401; 0: none */
	size_t end_at;             /* the request at which the end is asked for; 0: never */
};

static struct http_reply take_lines(void *arg, const struct http_seen *seen)
{
	struct log_server *server = arg;
	AUTO_JSON *body = unit_json(seen->body);
	bool first = server->requests == 0;
	int status = first && server->first_status != 0 ? server->first_status : server->status != 0 ? server->status : 201;

	if (server->requests < COUNT_OF(server->batches))
		server->batches[server->requests] = json_array_size(body);
	server->requests++;
	if (server->poison != NULL && strstr(seen->body, server->poison) != NULL)
		status = 422;
	if (server->requests == server->busy_at)
		status = 401;
	if (strcmp(seen->path, "/logs/") != 0)
		status = 404;
	if (status < 300)
		(void)json_array_extend(server->lines, body);
	if (server->requests == server->end_at)
		run_logs_end(server->logs);
	return (struct http_reply){.status = status};
}

struct fixture {
	struct run_logs logs;
	struct server_clock clock;
	struct http_settings settings;
	struct http_server *http;
	struct log_server server;
};

static void open_fixture(struct fixture *f)
{
	f->server.logs = &f->logs;
	f->server.lines = json_array();
	f->http = http_server_handle(take_lines, &f->server);
	f->settings = api_settings(http_server_url(f->http));
	run_logs_init(&f->logs, &f->settings, &f->clock);
}

/* Runs the thread to its end. @end: it is asked for before it begins. */
static void ship(struct fixture *f, bool end)
{
	pthread_t thread;

	if (end)
		run_logs_end(&f->logs);
	CHECK_INT("create", pthread_create(&thread, NULL, run_logs_thread, &f->logs), 0);
	CHECK_INT("join", pthread_join(thread, NULL), 0);
}

static void close_fixture(struct fixture *f, const char *row)
{
	(void)api_stop_server(f->http, row);
	json_decref(f->server.lines);
	run_logs_done(&f->logs);
}

static void add_lines(struct fixture *f, int from, int to)
{
	char text[32];

	for (int i = from; i < to; i++) {
		(void)snprintf(text, sizeof text, "line %d", i);
		run_logs_add(&f->logs, i % 2 ? ID_A : ID_B, LOG_LEVEL_INFO, text);
	}
}

/* Lines 0..count in order, each with a later time than the one before. */
static void check_order(const char *row, const json_t *lines, size_t count)
{
	char text[32];
	time_us before = INT64_MIN;
	size_t i;
	json_t *line;
	size_t wrong = 0;

	CHECK_INT(row, json_array_size(lines), count);
	json_array_foreach(lines, i, line)
	{
		time_us time = INT64_MIN;
		(void)snprintf(text, sizeof text, "line %zu", i);
		wrong += strcmp(json_string_value(json_object_get(line, "message")), text) != 0;
		wrong += !time_parse(json_string_value(json_object_get(line, "timestamp")), &time) || time <= before;
		before = time;
	}
	CHECK_INT(row, wrong, 0);
}

static void ships_in_batches_and_in_order(void)
{
	struct fixture f = {.server = {.requests = 0}};

	open_fixture(&f);
	unit_clock_ms = 1795242861000;
	unit_clock_step_ms = 0; /* all in one moment */
	clock_fake(NULL, unit_now_us);
	add_lines(&f, 0, 150);
	unit_clock_ms -= 5000; /* and then the clock is set back */
	add_lines(&f, 150, 250);
	clock_fake(NULL, NULL);
	ship(&f, /* end= */ true);

	CHECK_INT("requests", f.server.requests, 3);
	CHECK("batches", f.server.batches[0] == 100 && f.server.batches[1] == 100 && f.server.batches[2] == 50);
	check_order("order", f.server.lines, 250);
	CHECK_JSON("a line", json_array_get(f.server.lines, 1),
	           "{\"name\": \"prefect.flow_runs.janitor\", \"level\": 20, \"message\": \"line 1\", "
	           "\"timestamp\": \"2026-11-21T06:34:21.000001Z\", \"flow_run_id\": \"" ID_A "\"}");
	close_fixture(&f, "batches");
}

/* A batch that was not taken is sent again, in its place. */
static void keeps_what_was_not_taken(void)
{
	struct fixture f = {.server = {.first_status = 401, .end_at = 1}};

	open_fixture(&f);
	add_lines(&f, 0, 120);
	ship(&f, /* end= */ false);
	CHECK_INT("requests", f.server.requests, 3);
	CHECK("batches", f.server.batches[0] == 100 && f.server.batches[1] == 100 && f.server.batches[2] == 20);
	check_order("order", f.server.lines, 120);
	close_fixture(&f, "kept");
}

/* A line that the server will never take must not hold up the others. */
static void leaves_out_what_is_refused(void)
{
	struct fixture f = {.server = {.poison = "line 42\""}};

	open_fixture(&f);
	add_lines(&f, 0, 130);
	ship(&f, /* end= */ true);
	CHECK_INT("a batch, its lines, a batch", f.server.requests, 1 + 100 + 1);
	CHECK_INT("all others", json_array_size(f.server.lines), 129);
	CHECK_JSON("in order", json_object_get(json_array_get(f.server.lines, 42), "message"), "\"line 43\"");
	close_fixture(&f, "refused");
}

/* Of a batch that goes line by line, what was taken is not sent again where a later line fails. */
static void sends_no_line_twice(void)
{
	struct fixture f = {.server = {.poison = "line 1\"", .busy_at = 4, .end_at = 4}};

	open_fixture(&f);
	add_lines(&f, 0, 4);
	ship(&f, /* end= */ false);
	CHECK_INT("the batch, three lines, the other two at once", f.server.requests, 5);
	CHECK_INT("the rest alone", f.server.batches[4], 2);
	CHECK_INT("all others", json_array_size(f.server.lines), 3);
	CHECK_JSON("in order", json_object_get(json_array_get(f.server.lines, 0), "message"), "\"line 0\"");
	CHECK_JSON("in order", json_object_get(json_array_get(f.server.lines, 1), "message"), "\"line 2\"");
	CHECK_JSON("in order", json_object_get(json_array_get(f.server.lines, 2), "message"), "\"line 3\"");
	close_fixture(&f, "twice");
}

static void ends_although_nobody_takes_them(void)
{
	struct fixture f = {.server = {.status = 401}};

	open_fixture(&f);
	add_lines(&f, 0, 300);
	ship(&f, /* end= */ true);
	CHECK_INT("one try", f.server.requests, 1);
	close_fixture(&f, "nobody");
}

static void says_what_was_dropped(void)
{
	struct fixture f = {.server = {.requests = 0}};

	open_fixture(&f);
	add_lines(&f, 0, RUN_LOGS_QUEUE_MAX + 3);
	CHECK_INT("no more than fit", json_array_size(f.logs.queue), RUN_LOGS_QUEUE_MAX);
	CHECK_INT("the others are counted", f.logs.dropped, 3);
	check_order("the oldest are kept", f.logs.queue, RUN_LOGS_QUEUE_MAX);

	json_array_clear(f.logs.queue); /* as if the thread had sent them */
	run_logs_add(&f.logs, ID_A, LOG_LEVEL_ERROR, "next");
	CHECK_INT("a note and the line", json_array_size(f.logs.queue), 2);
	CHECK_JSON("note", json_object_get(json_array_get(f.logs.queue, 0), "message"),
	           "\"3 log lines were dropped: the server did not take them\"");
	CHECK_JSON("note", json_object_get(json_array_get(f.logs.queue, 0), "level"), "30");
	CHECK_JSON("line", json_object_get(json_array_get(f.logs.queue, 1), "message"), "\"next\"");
	run_logs_add(&f.logs, ID_A, LOG_LEVEL_ERROR, "next");
	CHECK_INT("noted once", json_array_size(f.logs.queue), 3);
	close_fixture(&f, "dropped");
}

static void takes_any_text(void)
{
	static const struct {
		const char *name;
		const char *text;
		const char *want; /* JSON */
	} rows[] = {
		{"lines", "a\nb", "\"a\\nb\""},
		{"empty", "", "\"\""},
		{"UTF-8", "\u00e4", "\"\u00e4\""},
		{"not UTF-8", "a\xff" "b", "\"a?b\""},
	};
	struct fixture f = {.server = {.requests = 0}};

	open_fixture(&f);
	EACH(row, rows)
	{
		run_logs_add(&f.logs, ID_A, LOG_LEVEL_INFO, row->text);
		CHECK_INT(row->name, json_array_size(f.logs.queue), row - rows + 1);
		CHECK_JSON(row->name, json_object_get(json_array_get(f.logs.queue, (size_t)(row - rows)), "message"), row->want);
	}
	close_fixture(&f, "text");
}

static void *write_lines(void *arg)
{
	for (int i = 0; i < 200; i++)
		run_logs_add(&((struct fixture *)arg)->logs, ID_A, LOG_LEVEL_INFO, "x");
	return NULL;
}

static void takes_lines_from_many_threads(void)
{
	struct fixture f = {.server = {.requests = 0}};
	pthread_t writers[4];
	pthread_t shipper;

	open_fixture(&f);
	CHECK_INT("create", pthread_create(&shipper, NULL, run_logs_thread, &f.logs), 0);
	EACH(writer, writers)
		CHECK_INT("create", pthread_create(writer, NULL, write_lines, &f), 0);
	EACH(writer, writers)
		CHECK_INT("join", pthread_join(*writer, NULL), 0);
	run_logs_end(&f.logs);
	CHECK_INT("join", pthread_join(shipper, NULL), 0);
	CHECK_INT("all arrived", json_array_size(f.server.lines), 800);
	close_fixture(&f, "threads");
}

UNIT_SUITE("worker/run_logs", TEST(ships_in_batches_and_in_order), TEST(keeps_what_was_not_taken), TEST(leaves_out_what_is_refused),
           TEST(sends_no_line_twice), TEST(ends_although_nobody_takes_them), TEST(says_what_was_dropped), TEST(takes_any_text),
           TEST(takes_lines_from_many_threads))
