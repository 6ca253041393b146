/* The window as it is stored: two keys in turn, and what the next start of the body makes of it. */
#include "flows/database_cleanup/window.h"

#include <string.h>

#include "tests/unit/flows/database_cleanup/server_of_runs.h"
#include "tests/unit/worker/flow_run.h"

struct fixture {
	struct server_of_runs server;
	struct unit_flow flow;
	struct plan plan;
	struct error err;
};

/* Three runs that match the plan, with an artifact each. */
static void open_fixture(struct fixture *f, json_t *checkpoint)
{
	*f = (struct fixture){.server = {.checkpoint = checkpoint}, .plan = {.slice_count = 1, .digest = "the digest", .total = 3}};
	server_of_runs_add(&f->server, 0, 3);
	for (size_t i = 0; i < 3; i++)
		f->server.runs[i].artifacts = 1;
	f->plan.slices[0] = (struct slice){.count = 3, .filter = json_pack("{s:i}", "slice", 0)};
	unit_flow_open(&f->flow, http_server_handle(server_of_runs_handle, &f->server), OWN_RUN("RUNNING", ""), NULL);
}

static void close_fixture(struct fixture *f, const char *row)
{
	plan_release(&f->plan);
	(void)unit_flow_close(&f->flow, row);
	server_of_runs_release(&f->server);
}

static json_t *one_run(const struct fixture *f, size_t i)
{
	char id[40];

	(void)snprintf(id, sizeof id, "a0000000-%04zx-4000-8000-000000000000", i);
	return json_pack("{s:[s]}", f->server.runs[i].id, id);
}

/* Killed at any moment while a window replaces another one, there is one. */
static void is_never_lost(void)
{
	struct window window = {0};
	struct window read = {0};
	struct fixture f;

	open_fixture(&f, NULL);
	for (size_t i = 0; i < 3; i++) {
		AUTO_JSON *found = one_run(&f, i);

		CHECK_RC("add", window_add(&window, found, &f.err), 0, &f.err);
		CHECK_RC("store", window_store(f.flow.ctx, &f.plan, &window, &f.err), 0, &f.err);
		CHECK_INT("number", window.number, (int64_t)i + 1);
		CHECK_RC("read", window_read(f.flow.ctx, &f.plan, &read, &f.err), 0, &f.err);
		CHECK_INT("the latest", json_object_size(read.runs), i + 1);
		CHECK_INT("of the same number", read.number, window.number);
		window_release(&read);
		if (i == 0)
			continue;
		/* The next one was on its way: the key of the one before the last is gone. */
		(void)json_object_del(f.server.checkpoint, i % 2 != 0 ? WINDOW_KEY : WINDOW_KEY_OTHER);
		CHECK_RC("killed", window_read(f.flow.ctx, &f.plan, &read, &f.err), 0, &f.err);
		CHECK_INT("killed", json_object_size(read.runs), i + 1);
		CHECK("killed", !read.unsure);
		window_release(&read);
	}
	window_release(&window);
	close_fixture(&f, "never lost");
}

static void tells_what_it_was(void)
{
	static const struct {
		const char *name;
		const char *first, *second; /* under the two keys */
		int64_t others;
		bool unsure;
	} rows[] = {
		{"none", NULL, NULL, 0, false},
		{"of another plan", "{\"plan\": \"x\", \"runs\": 5}", NULL, 0, false},
		{"that cannot be read", "{\"plan\": \"the digest\", \"runs\": 5}", NULL, 0, true},
		{"one of two cannot", "{\"plan\": \"the digest\", \"number\": 3, \"runs\": {}}", "{\"plan\": \"the digest\", \"runs\": 5}", 0, true},
		{"the latest is unsure", "{\"plan\": \"the digest\", \"number\": 3, \"runs\": {}}",
		 "{\"plan\": \"the digest\", \"number\": 4, \"runs\": {}, \"unsure\": true, \"others\": 2}", 2, true},
		{"the one before was", "{\"plan\": \"the digest\", \"number\": 5, \"runs\": {}}",
		 "{\"plan\": \"the digest\", \"number\": 4, \"runs\": {}, \"unsure\": true, \"others\": 2}", 0, false},
		{"odd numbers", "{\"plan\": \"the digest\", \"others\": -1, \"runs\": {}}", NULL, 0, true},
		{"odd ids", "{\"plan\": \"the digest\", \"ours\": [\"x\"], \"runs\": {}}", NULL, 0, true},
	};

	EACH(row, rows)
	{
		json_t *checkpoint = json_object();
		struct window window = {0};
		struct fixture f;

		if (row->first != NULL)
			(void)json_object_set_new(checkpoint, WINDOW_KEY, unit_json(row->first));
		if (row->second != NULL)
			(void)json_object_set_new(checkpoint, WINDOW_KEY_OTHER, unit_json(row->second));
		open_fixture(&f, checkpoint);
		CHECK_RC(row->name, window_read(f.flow.ctx, &f.plan, &window, &f.err), 0, &f.err);
		CHECK_INT(row->name, json_object_size(window.runs), 0);
		CHECK_INT(row->name, window.others, row->others);
		CHECK_INT(row->name, window.unsure, row->unsure);
		window_release(&window);
		close_fixture(&f, row->name);
	}
}

/* No answer was written down: a call deletes all or nothing. */
static void decides_whose_doing_it_was(void)
{
	static const struct {
		const char *name;
		size_t noted, gone, left_plan; /* the first so many of three runs */
		size_t ours, runs;
		int64_t others;
		bool parts;
	} rows[] = {
		{"nothing was deleted", 0, 0, 0, 0, 3, 0, false},
		{"all were", 0, 3, 0, 3, 3, 0, false},
		{"all that were in the plan", 0, 2, 3, 2, 3, 0, false},
		{"some are gone by other hands", 0, 2, 0, 0, 1, 2, false},
		{"some are gone, of a window in parts", 0, 2, 0, 2, 3, 0, true},
		{"written down", 3, 3, 0, 3, 3, 0, false},
		{"two written down of an earlier window, the third deleted", 2, 3, 0, 3, 3, 0, false},
		{"one written down of an earlier window", 1, 2, 0, 1, 2, 1, false},
	};

	EACH(row, rows)
	{
		struct window window = {0};
		struct window read = {0};
		struct fixture f;

		open_fixture(&f, NULL);
		for (size_t i = 0; i < 3; i++) {
			AUTO_JSON *found = one_run(&f, i);
			CHECK_RC(row->name, window_add(&window, found, &f.err), 0, &f.err);
			if (i < row->noted)
				window_note_deleted(&window, f.server.runs[i].id);
			f.server.runs[i].gone = i < row->gone;
			f.server.runs[i].slice = i < row->left_plan ? 1 : 0;
		}
		window_note_deleted(&window, "no such run");
		window.parts = row->parts;
		CHECK_RC(row->name, window_store(f.flow.ctx, &f.plan, &window, &f.err), 0, &f.err);
		CHECK_RC(row->name, window_read(f.flow.ctx, &f.plan, &read, &f.err), 0, &f.err);
		CHECK_INT(row->name, json_object_size(read.ours), row->ours);
		CHECK_INT(row->name, json_object_size(read.runs), row->runs);
		CHECK_INT(row->name, read.others, row->others);
		CHECK_INT(row->name, read.unsure, row->others > 0);
		CHECK_INT(row->name, read.parts, row->parts);
		CHECK_RC(row->name, window_clear(f.flow.prefect, &read, false, NULL, &f.err), 0, &f.err);
		CHECK_INT(row->name, read.deleted, (int64_t)row->ours);
		CHECK_INT(row->name, f.server.artifacts_too_soon, 0);
		window_release(&read);
		window_release(&window);
		close_fixture(&f, row->name);
	}
}

UNIT_SUITE("flows/database_cleanup/window", TEST(is_never_lost), TEST(tells_what_it_was), TEST(decides_whose_doing_it_was))
