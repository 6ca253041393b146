#include "flows/database_cleanup/progress.h"

#include <stdatomic.h>
#include <string.h>

#include "tests/unit/flows/database_cleanup/server_of_runs.h"
#include "tests/unit/worker/flow_run.h"

/* The clock of these tests: requests that draw move it on by what they take. */
static _Atomic int64_t clock_ms;

static int64_t now_ms(void)
{
	return clock_ms;
}

struct page {
	struct server_of_runs server;
	int took_ms; /* of a request about a step */
};

static struct http_reply answer(void *arg, const struct http_seen *seen)
{
	struct page *page = arg;

	if (strncmp(seen->path, "/task_runs/", strlen("/task_runs/")) == 0)
		clock_ms += page->took_ms;
	return server_of_runs_handle(&page->server, seen);
}

/* Nodes of batches that were drawn, and how many of them are in this state. */
static int parts(const struct page *page, const char *state)
{
	const char *id;
	json_t *drawn;
	int count = 0;

	json_object_foreach(page->server.drawn, id, drawn)
	{
		const char *name = json_string_value(json_object_get(drawn, "name"));
		const char *type = json_string_value(json_object_get(drawn, "state_type"));

		count += name != NULL && strncmp(name, "batches-", strlen("batches-")) == 0 && (state == NULL || strcmp(type, state) == 0);
	}
	return count;
}

/* Deletes from @from to @to of @total; ends it where @to is @total. */
static void delete_runs(struct page *page, const char *row, int64_t total, int64_t batch, int64_t batch_ms, int64_t from, int64_t to)
{
	struct progress progress;
	struct unit_flow flow;

	unit_flow_open(&flow, http_server_handle(answer, page), NULL, NULL);
	clock_ms = 100000;
	clock_fake(now_ms, NULL);
	progress_start(&progress, flow.ctx, total, from);
	for (int64_t done = from; done < to; done += batch) {
		progress_batch(&progress, done);
		clock_ms += batch_ms;
		progress_note(&progress, done + batch < to ? done + batch : to);
	}
	if (to == total)
		progress_end(&progress, total, 0);
	clock_fake(NULL, NULL);
	(void)unit_flow_close(&flow, row);
}

static void draws_few_nodes(void)
{
	static const struct {
		const char *name;
		int64_t total, batch, batch_ms;
		int took_ms;
		int want;
	} rows[] = {
		{"a million", 1000000, 1000, 100, 0, 20},
		{"a million by small batches", 1000000, 500, 50, 0, 20},
		{"all in a moment", 400, 50, 100, 0, 1},
		{"few, and slow", 400, 50, 3000, 0, 8},
		{"nothing is too few", 3, 1, 1, 0, 1},
		{"a million, drawn slowly", 1000000, 1000, 100, 400, 13}, /* two requests of 400 ms each: 8 s a part */
	};

	EACH(row, rows)
	{
		struct page page = {.took_ms = row->took_ms};

		delete_runs(&page, row->name, row->total, row->batch, row->batch_ms, 0, row->total);
		CHECK_INT(row->name, parts(&page, NULL), row->want);
		CHECK_INT(row->name, parts(&page, "COMPLETED"), row->want);
		server_of_runs_release(&page.server);
	}
}

/* Killed, and started again: what it was at is ended, and the numbers go on. */
static void goes_on_with_the_next_number(void)
{
	struct page page = {.took_ms = 0};

	delete_runs(&page, "killed", 1000000, 1000, 100, 0, 510000);
	CHECK_INT("killed", parts(&page, "RUNNING"), 1);
	CHECK_INT("killed", parts(&page, NULL), 11);
	delete_runs(&page, "started again", 1000000, 1000, 100, 510000, 1000000);
	CHECK_INT("started again", parts(&page, "RUNNING"), 0);
	CHECK_INT("started again", parts(&page, NULL), 21);
	server_of_runs_release(&page.server);
}

/* However often it is killed: no more nodes than there is room for. */
static void has_an_end(void)
{
	struct page page = {.took_ms = 0};

	for (int64_t from = 0; from < 60; from++)
		delete_runs(&page, "killed", 1000000, 1000, 100, from * 1000, from * 1000 + 1000);
	CHECK_INT("killed sixty times", parts(&page, NULL), PROGRESS_NUMBER_MAX);
	server_of_runs_release(&page.server);
}

static void describes_how_far_it_is(void)
{
	static const struct {
		const char *name;
		int64_t total, begun, done, after_ms;
		const char *want;
	} rows[] = {
		{"at the start", 400, 0, 0, 0, "Deleted **0 / 400** flow runs"},
		{"nothing for a while", 400, 0, 0, 9000, "Deleted **0 / 400** flow runs"},
		{"on the way", 400, 0, 120, 2000, "Deleted **120 / 400** flow runs, 60 a second, about 4.7 s left"},
		{"started again: its own speed", 400, 100, 120, 2000, "Deleted **120 / 400** flow runs, 10 a second, about 28.0 s left"},
		{"all", 400, 0, 400, 4000, "Deleted **400 / 400** flow runs, 100 a second"},
	};

	clock_fake(now_ms, NULL);
	EACH(row, rows)
	{
		struct progress progress = {.total = row->total, .begun = row->begun, .started_ms = 1000};
		AUTO_TEXT text = {.max = 200};

		clock_ms = 1000 + row->after_ms;
		progress_describe(&progress, row->done, &text);
		CHECK_STR(row->name, text_str(&text), row->want);
	}
	clock_fake(NULL, NULL);
}

UNIT_SUITE("flows/database_cleanup/progress", TEST(draws_few_nodes), TEST(goes_on_with_the_next_number), TEST(has_an_end),
           TEST(describes_how_far_it_is))
