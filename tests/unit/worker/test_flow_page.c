/* What a flow draws on its page: how often it is written, and what is said where it cannot be. */
#include <stdatomic.h>
#include <string.h>

#include "tests/unit/worker/flow_steps.h"

/* The clock of these tests: writes move it on by what they take. */
static _Atomic int64_t clock_ms;

static int64_t now_ms(void)
{
	return clock_ms;
}

struct page {
	int took_ms; /* each write */
	int status;  /* of writes; 0: they succeed */
	_Atomic int writes; /* looked at while the server goes on */
};

static struct http_reply answer(void *arg, const struct http_seen *seen)
{
	struct page *page = arg;

	if (strcmp(seen->path, "/artifacts/filter") == 0)
		return (struct http_reply){.body = "[]"};
	page->writes++;
	clock_ms += page->took_ms;
	return (struct http_reply){.status = page->status != 0 ? page->status : strcmp(seen->method, "PATCH") == 0 ? 204 : 201,
	                           .body = "{\"id\": \"" ID_A "\"}"};
}

/* Once a second at most; where the server takes its time for it, ten times what the last one took. */
static void writes_progress_in_its_time(void)
{
	static const struct {
		const char *name;
		int took_ms;
		int every_ms; /* it is called so often, for 20 s */
		int writes;
	} rows[] = {
		{"a quick server, many calls", 0, 100, 20},
		{"few calls", 0, 5000, 4},
		{"as long as can be without a longer rest", 100, 100, 19}, /* 100 ms, and 1000 ms of rest */
		{"a slow server", 500, 100, 4},                            /* 500 ms, and 5 s of rest */
		{"a very slow one", 3000, 100, 1},                         /* 3 s, and 30 s of rest */
	};

	EACH(row, rows)
	{
		struct page page = {.took_ms = row->took_ms};
		struct unit_flow flow;

		unit_flow_open(&flow, http_server_handle(answer, &page), NULL, NULL);
		clock_ms = 100000;
		clock_fake(now_ms, NULL);
		for (int64_t end = clock_ms + 20000; clock_ms < end; clock_ms += row->every_ms)
			flow_progress(flow.ctx, "delete", "cleanup-progress", 50, "half", false);
		CHECK_INT(row->name, page.writes, row->writes);
		flow_progress(flow.ctx, "delete", "cleanup-progress", 100, "all", true);
		CHECK_INT(row->name, page.writes, row->writes + 1);
		clock_fake(NULL, NULL);
		(void)unit_flow_close(&flow, row->name);
	}
}

static void goes_on_without(void)
{
	struct page page = {.status = 400};
	struct unit_flow flow;
	AUTO_JSON *data = json_string("text");

	unit_flow_open(&flow, http_server_handle(answer, &page), NULL, NULL);
	clock_ms = 100000;
	clock_fake(now_ms, NULL);
	CHECK("refused", !flow_artifact(flow.ctx, &(struct flow_artifact){.step = "report", .type = "markdown", .key = "cleanup-x",
	                                                                  .data = data}));
	CHECK_INT("not tried again", page.writes, 1);
	CHECK("said", unit_flow_logged(&flow, "cleanup-x cannot be written, going on without"));
	flow_progress(flow.ctx, "delete", "cleanup-progress", 50, "half", false);
	CHECK("said once", !unit_flow_logged(&flow, "cleanup-progress cannot be written"));
	clock_fake(NULL, NULL);
	(void)unit_flow_close(&flow, "refused");
}

UNIT_SUITE("worker/flow_page", TEST(writes_progress_in_its_time), TEST(goes_on_without))
