#include "flows/database_cleanup/belongings.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/flows/database_cleanup/server_of_runs.h"
#include "tests/unit/worker/flow_run.h"

static void keeps_a_sample(void)
{
	static const struct {
		const char *name;
		int64_t add;
		size_t count;
	} rows[] = {
		{"none", 0, 0},
		{"few", 3, 3},
		{"as many as it keeps", TALLY_MAX, TALLY_MAX},
		{"more", 10 * TALLY_MAX, TALLY_MAX},
	};

	EACH(row, rows)
	{
		struct tally tally = {0};
		size_t late = 0;

		for (int64_t i = 0; i < row->add; i++) {
			char id[UUID_SIZE];

			(void)snprintf(id, sizeof id, "00000000-0000-4000-8000-%012d", (int)i);
			AUTO_JSON *ids = json_pack("[s, s, i]", id, "no id", 7);
			tally_add(&tally, ids);
		}
		CHECK_INT(row->name, tally.count, row->count);
		CHECK_INT(row->name, tally.seen, row->add);
		for (size_t i = 0; i < tally.count; i++)
			late += atol(tally.ids[i] + 24) >= row->add / 2;
		/* Those that come late are kept as often as the early ones. */
		if (row->add > TALLY_MAX)
			CHECK(row->name, late > tally.count * 45 / 100 && late < tally.count * 55 / 100);
		tally_release(&tally);
	}
}

static void hands_out_pages(void)
{
	static const struct {
		size_t from;
		size_t size;
	} rows[] = {{0, PREFECT_PAGE_MAX}, {PREFECT_PAGE_MAX, 50}, {PREFECT_PAGE_MAX + 50, 0}, {9999, 0}};
	struct tally tally = {0};

	for (size_t i = 0; i < PREFECT_PAGE_MAX + 50; i++) {
		AUTO_JSON *ids = unit_json("[\"" ID_A "\"]");
		tally_add(&tally, ids);
	}
	EACH(row, rows)
	{
		AUTO_JSON *page = tally_page(&tally, row->from);

		CHECK_INT("page", json_array_size(page), row->size);
	}
	tally_release(&tally);
}

/* --- the look at the end --------------------------------------------------------------------------------- */

static _Atomic int64_t clock_ms;

static int64_t now_ms(void)
{
	return clock_ms;
}

struct rest {
	struct server_of_runs server;
	const char *refuses; /* 501 for paths that begin so; NULL for none */
	const char *logs;    /* lines that are there, as JSON; NULL for none */
	int log_looks;       /* so many looks find them; then they are gone */
};

static struct http_reply answer(void *arg, const struct http_seen *seen)
{
	struct rest *rest = arg;

	if (rest->refuses != NULL && strncmp(seen->path, rest->refuses, strlen(rest->refuses)) == 0)
		return (struct http_reply){.status = 501};
	if (strcmp(seen->path, "/logs/filter") != 0)
		return server_of_runs_handle(&rest->server, seen);
	if (rest->log_looks <= 0)
		return (struct http_reply){.body = "[]"};
	if (--rest->log_looks == 0)
		clock_ms += 60000; /* longer than anybody waits */
	return (struct http_reply){.body = rest->logs};
}

#define LINE(id) "{\"flow_run_id\": \"" id "\"}"

static void looks_what_is_left(void)
{
	static const struct {
		const char *name;
		struct rest rest;
		int artifacts; /* of each of the two runs */
		int reports;
		struct leftovers want;
	} rows[] = {
		{"nothing", {.refuses = NULL}, 0, 0, {.logs_checked = 2}},
		{"artifacts that came late", {.refuses = NULL}, 2, 0, {.artifacts_deleted = 4, .logs_checked = 2}},
		{"reports stay", {.refuses = NULL}, 1, 1, {.artifacts_deleted = 2, .logs_checked = 2}},
		{"artifacts that cannot be deleted", {.server = {.refuse_artifacts = 9}}, 1, 0, {.artifacts_left = 2, .logs_checked = 2}},
		{"artifacts that cannot be counted", {.refuses = "/artifacts/"}, 1, 0, {.artifacts_left = -1, .logs_checked = 2}},
		{"logs that stay", {.logs = "[" LINE(ID_A) "," LINE(ID_A) "," LINE(ID_B) "]", .log_looks = 1}, 0, 0,
		 {.logs_checked = 2, .logs_left = 2}},
		{"logs that cannot be read", {.refuses = "/logs/"}, 0, 0, {.artifacts_left = -1}},
	};

	EACH(row, rows)
	{
		struct rest rest = row->rest;
		struct tally tally = {0};
		struct leftovers found = {0};
		struct unit_flow flow;
		AUTO_JSON *ids = json_array();

		server_of_runs_add(&rest.server, 0, 2);
		for (size_t i = 0; i < rest.server.count; i++) {
			rest.server.runs[i].gone = true;
			rest.server.runs[i].artifacts = row->artifacts;
			rest.server.runs[i].reports = row->reports;
			(void)json_array_append_new(ids, json_string(rest.server.runs[i].id));
		}
		tally_add(&tally, ids);
		unit_flow_open(&flow, http_server_handle(answer, &rest), NULL, NULL);
		clock_ms = 100000;
		clock_fake(now_ms, NULL);
		leftovers_look(flow.ctx, &tally, &found);
		clock_fake(NULL, NULL);
		CHECK_INT(row->name, found.artifacts_deleted, row->want.artifacts_deleted);
		CHECK_INT(row->name, found.artifacts_left, row->want.artifacts_left);
		CHECK_INT(row->name, found.logs_checked, row->want.logs_checked);
		CHECK_INT(row->name, found.logs_left, row->want.logs_left);
		tally_release(&tally);
		(void)unit_flow_close(&flow, row->name);
		CHECK_INT(row->name, rest.server.reports_deleted, 0);
		CHECK_INT(row->name, rest.server.artifacts_too_soon, 0);
		server_of_runs_release(&rest.server);
	}
}

UNIT_SUITE("flows/database_cleanup/belongings", TEST(keeps_a_sample), TEST(hands_out_pages), TEST(looks_what_is_left))
