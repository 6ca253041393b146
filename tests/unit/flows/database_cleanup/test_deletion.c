/* The deletion against a server that holds runs: batches, limits, refusals, narrowing down, stops, restarts. */
#include "flows/database_cleanup/deletion.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/flows/database_cleanup/server_of_runs.h"
#include "tests/unit/worker/flow_run.h"

#define NO_PAUSE ", \"job_variables\": {\"batch_pause_ms\": 0, \"batch_pause_max_ms\": 0}"

struct fixture {
	struct server_of_runs server;
	struct unit_flow flow;
	struct plan plan;
	struct deletion_result result;
	struct error err;
};

/* A plan over what the server of @f holds now; @run: the run that deletes. */
static void open_fixture_of(struct fixture *f, const char *run)
{
	f->plan = (struct plan){.slice_count = 2, .digest = "the digest"};
	for (size_t i = 0; i < f->server.count; i++)
		f->plan.slices[f->server.runs[i].slice].count++;
	for (int i = 0; i < 2; i++) {
		f->plan.slices[i].filter = json_pack("{s:i}", "slice", i);
		f->plan.total += f->plan.slices[i].count;
	}
	unit_flow_open(&f->flow, http_server_handle(server_of_runs_handle, &f->server), run, NULL);
}

static void open_fixture(struct fixture *f)
{
	open_fixture_of(f, OWN_RUN("RUNNING", NO_PAUSE));
}

static size_t close_fixture(struct fixture *f, const char *row)
{
	deletion_result_release(&f->result);
	plan_release(&f->plan);
	size_t requests = unit_flow_close(&f->flow, row);
	server_of_runs_release(&f->server);
	return requests;
}

static const struct row {
	const char *name;
	size_t started, not_started; /* runs in the two slices */
	int batch_size;
	int bad[4];                  /* which of the runs cannot be deleted; 0 ends the list */
	int bad_status;
	int max_limit;
	bool no_bulk;
	int64_t deleted, left;
	size_t calls;                /* of bulk_delete; 0: not looked at */
} rows[] = {
	{"one batch", 5, 0, 10, {0}, 0, 0, false, 5, 0, 1},
	{"a full batch", 10, 0, 10, {0}, 0, 0, false, 10, 0, 1},
	{"three batches", 25, 0, 10, {0}, 0, 0, false, 25, 0, 3},
	{"both slices", 12, 3, 10, {0}, 0, 0, false, 15, 0, 4},
	{"only runs that never started", 0, 3, 10, {0}, 0, 0, false, 3, 0, 1},
	{"the server's limit is learned", 25, 0, 20, {0}, 0, 8, false, 25, 0, 0},
	{"a limit of one", 4, 0, 10, {0}, 0, 1, false, 4, 0, 0},
	{"one bad run", 12, 0, 20, {5}, 501, 0, false, 11, 1, 0},
	{"one bad run, by 500", 3, 0, 10, {1}, 500, 0, false, 2, 1, 0},
	{"the first and the last are bad", 9, 0, 20, {8, 1}, 501, 0, false, 7, 2, 0},
	{"bad ones in both slices", 6, 6, 10, {2, 9}, 422, 0, false, 10, 2, 0},
	{"neighbours are bad", 16, 0, 16, {6, 7, 8}, 409, 0, false, 13, 3, 0},
	{"the only run is bad", 2, 0, 10, {1}, 501, 0, false, 1, 1, 0},
	{"bad, and a small limit", 12, 0, 12, {4, 9}, 501, 5, false, 10, 2, 0},
	{"one by one", 7, 2, 10, {0}, 0, 0, true, 9, 0, 1},
	{"one by one, more than a page", 55, 0, 1000, {0}, 0, 0, true, 55, 0, 1},
	{"one by one, with bad ones", 7, 2, 10, {3, 7}, 501, 0, true, 7, 2, 1},
	{"nothing is left to delete", 0, 0, 10, {0}, 0, 0, false, 0, 0, 0},
};

static void set_up(struct fixture *f, const struct row *row)
{
	*f = (struct fixture){.server = {.bad_status = row->bad_status, .max_limit = row->max_limit, .no_bulk = row->no_bulk}};
	server_of_runs_add(&f->server, 0, row->started);
	server_of_runs_add(&f->server, 1, row->not_started);
	for (size_t i = 0; i < COUNT_OF(row->bad) && row->bad[i] != 0; i++)
		f->server.runs[row->bad[i]].bad = true;
	open_fixture(f);
}

/* Exactly the bad runs are named as failed and still there. */
static void check_failed(const struct fixture *f, const char *name)
{
	size_t bad = 0;

	for (size_t i = 0; i < f->server.count; i++) {
		const struct server_run *run = &f->server.runs[i];
		AUTO_JSON *id = json_string(run->id);
		size_t k;
		json_t *failed;
		bool named = false;

		json_array_foreach(f->result.failed_ids, k, failed)
			named = named || json_equal(failed, id);
		bad += run->bad;
		if (named != run->bad || run->gone == run->bad)
			CHECK_STR(name, run->id, "deleted or failed");
	}
	CHECK_INT(name, f->result.failed, bad);
	CHECK_INT(name, json_array_size(f->result.failed_ids), bad);
}

static void deletes_what_it_can(void)
{
	EACH(row, rows)
	{
		struct fixture f;

		set_up(&f, row);
		CHECK_RC(row->name, deletion_run(f.flow.ctx, &f.plan, row->batch_size, &f.result, &f.err), 0, &f.err);
		CHECK_INT(row->name, f.result.deleted, row->deleted);
		CHECK_INT(row->name, f.result.left, row->left);
		CHECK_INT(row->name, f.result.gone, 0);
		CHECK(row->name, !f.result.given_up);
		check_failed(&f, row->name);
		if (row->calls > 0)
			CHECK_INT(row->name, f.server.bulk_deletes, row->calls);
		CHECK(row->name, f.server.largest_limit <= row->batch_size);
		CHECK(row->name, row->no_bulk || f.server.single_deletes == 0);
		CHECK_JSON(row->name, json_object_get(json_object_get(f.server.checkpoint, "cleanup-deletion"), "plan"), "\"the digest\"");
		(void)close_fixture(&f, row->name);
	}
}

static void names_the_runs_at_fault(void)
{
	const struct row row = {.started = 4, .bad = {2}, .bad_status = 409};
	struct fixture f;

	set_up(&f, &row);
	CHECK_RC("log", deletion_run(f.flow.ctx, &f.plan, 10, &f.result, &f.err), 0, &f.err);
	CHECK("log", unit_flow_logged(&f.flow, "looking for those at fault: POST /flow_runs/bulk_delete: HTTP 409"));
	CHECK("log", unit_flow_logged(&f.flow, "flow run 00000000-0000-4000-8000-000000000002 cannot be deleted, leaving it out: "
	                                       "POST /flow_runs/bulk_delete: HTTP 409"));
	(void)close_fixture(&f, "log");
}

static void gives_up_where_nothing_can_be_deleted(void)
{
	struct fixture f = {.server = {.bad_status = 501}};

	server_of_runs_add(&f.server, 0, 40);
	for (size_t i = 0; i < f.server.count; i++)
		f.server.runs[i].bad = true;
	open_fixture(&f);
	CHECK_RC("all bad", deletion_run(f.flow.ctx, &f.plan, 50, &f.result, &f.err), 0, &f.err);
	CHECK("all bad", f.result.given_up);
	CHECK_INT("all bad", f.result.deleted, 0);
	CHECK_INT("all bad", f.result.failed, 25);
	CHECK_INT("all bad", f.result.left, 40);
	(void)close_fixture(&f, "all bad");

	f = (struct fixture){.server = {.bad_status = 501, .refuses_lists = true}};
	server_of_runs_add(&f.server, 0, 4);
	f.server.runs[1].bad = true;
	open_fixture(&f);
	CHECK_RC("cannot be found", deletion_run(f.flow.ctx, &f.plan, 50, &f.result, &f.err), 0, &f.err);
	CHECK("cannot be found", f.result.given_up);
	CHECK_INT("cannot be found", f.result.deleted, 0);
	CHECK_INT("cannot be found", f.result.left, 4);
	CHECK("cannot be found", unit_flow_logged(&f.flow, "the flow runs at fault cannot be found"));
	(void)close_fixture(&f, "cannot be found");
}

/* A run that leaves the plan between the list and its turn is not touched. */
static void looks_again_before_a_single_delete(void)
{
	struct fixture f = {.server = {.no_bulk = true}};

	server_of_runs_add(&f.server, 0, 4);
	f.server.runs[2].leaves = true;
	open_fixture(&f);
	f.server.cancel_after = 3;
	CHECK_RC("left the plan", deletion_run(f.flow.ctx, &f.plan, 10, &f.result, &f.err), ERR_STOPPED, &f.err);
	CHECK("left the plan", !f.server.runs[2].gone);
	CHECK_INT("left the plan", f.server.single_deletes, 3);
	(void)close_fixture(&f, "left the plan");
}

/* Somebody else was faster: gone is what was wanted, but it is not ours. */
static void takes_404_for_gone(void)
{
	struct fixture f = {.server = {.no_bulk = true}};

	server_of_runs_add(&f.server, 0, 4);
	f.server.runs[2].vanishes = true;
	open_fixture(&f);
	CHECK_RC("404", deletion_run(f.flow.ctx, &f.plan, 10, &f.result, &f.err), 0, &f.err);
	CHECK_INT("404", f.result.deleted, 3);
	CHECK_INT("404", f.result.gone, 1);
	CHECK_INT("404", f.result.failed, 0);
	CHECK_INT("404", f.result.left, 0);
	(void)close_fixture(&f, "404");
}

static void counts_what_others_took(void)
{
	struct fixture f = {0};

	server_of_runs_add(&f.server, 0, 6);
	open_fixture(&f);
	f.server.runs[0].gone = true; /* between the plan and the deletion */
	CHECK_RC("gone", deletion_run(f.flow.ctx, &f.plan, 10, &f.result, &f.err), 0, &f.err);
	CHECK_INT("gone", f.result.deleted, 5);
	CHECK_INT("gone", f.result.gone, 1);
	(void)close_fixture(&f, "gone");
}

/* Old runs that somebody moved into the plan by hand were not approved. */
static void refuses_a_plan_that_has_grown(void)
{
	struct fixture f = {.server = {.max_limit = 0}};

	server_of_runs_add(&f.server, 0, 5);
	open_fixture(&f);
	server_of_runs_add(&f.server, 0, 1);
	CHECK_RC("grown", deletion_run(f.flow.ctx, &f.plan, 10, &f.result, &f.err), ERR_CONFLICT, &f.err);
	CHECK_HAS("grown", f.err.text, "6 flow runs match the plan where 5 should");
	CHECK_INT("grown", f.server.deleted, 0);
	(void)close_fixture(&f, "grown");
}

/* Nor were those that come while it goes on: they stay, and so does what was approved and not yet deleted. */
static void stops_where_it_grows(void)
{
	static const struct {
		const char *name;
		size_t joining; /* runs that join the plan after ten deletions */
		size_t leaving; /* runs of the plan that somebody else deletes before the first */
		bool no_bulk;
		int rc;
		size_t most;    /* deleted at most */
		const char *said;
	} growths[] = {
		{"many", 15, 0, false, ERR_CONFLICT, 30, "somebody changed the states of old runs meanwhile"},
		{"one for one that is gone", 1, 1, false, ERR_CONFLICT, 29, "flow runs match the plan"},
		{"one by one", 15, 0, true, ERR_CONFLICT, 30, "somebody changed the states of old runs meanwhile"},
	};

	EACH(growth, growths)
	{
		struct fixture f = {.server = {.no_bulk = growth->no_bulk}};

		server_of_runs_add(&f.server, 0, 30);
		open_fixture(&f);
		server_of_runs_add(&f.server, 0, growth->joining);
		for (size_t i = 30; i < f.server.count; i++)
			f.server.runs[i].joins = 10;
		for (size_t i = 0; i < growth->leaving; i++)
			f.server.runs[i].gone = true;
		CHECK_RC(growth->name, deletion_run(f.flow.ctx, &f.plan, 10, &f.result, &f.err), growth->rc, &f.err);
		CHECK_HAS(growth->name, f.err.text, growth->said);
		CHECK(growth->name, f.server.deleted <= growth->most);
		CHECK_INT(growth->name, f.result.deleted, f.server.deleted);
		for (size_t i = 30; growth->no_bulk && i < f.server.count; i++)
			CHECK("moved by hand", !f.server.runs[i].gone);
		(void)close_fixture(&f, growth->name);
	}
}

/* Over all starts: what an earlier one deleted is noted, and what its last call did is told by what matches. */
static void keeps_the_budget_after_a_restart(void)
{
	static const struct {
		const char *name;
		int64_t done, doubtful, expected; /* as noted */
		size_t gone;    /* runs of the plan that are deleted by then */
		size_t joined;  /* runs that joined meanwhile */
		int rc;
		size_t most;    /* deleted by this start at most */
	} restarts[] = {
		{"nothing was under way", 10, 0, 20, 10, 0, 0, 20},
		{"the last call came to pass", 10, 5, 20, 15, 0, 0, 15},
		{"it did not", 10, 5, 20, 10, 0, 0, 20},
		{"grown by many", 10, 0, 20, 10, 5, ERR_CONFLICT, 0},
		{"the call came to pass, and it has grown by more", 10, 5, 20, 15, 9, ERR_CONFLICT, 0},
		{"the call came to pass, and it has grown by fewer", 10, 5, 20, 15, 3, ERR_CONFLICT, 15},
		{"more noted than there can be", 40, 0, 20, 10, 0, 0, 20},
		{"expected more than there can be", 10, 0, 25, 10, 0, 0, 20},
	};

	EACH(restart, restarts)
	{
		struct fixture f = {.server = {.checkpoint = unit_json("{\"cleanup-deletion\": {\"plan\": \"the digest\", \"matched\": 30}}")}};
		char run[600];

		server_of_runs_add(&f.server, 0, 30);
		(void)snprintf(run, sizeof run, RUN_LABELLED("RUNNING", "{\"prefect.worker.name\": \"me\", \"janitor.instance\": \"" OWN_INSTANCE
		               "\", \"janitor.progress\": %d, \"janitor.doubtful\": %d, \"janitor.expected\": %d}", NO_PAUSE),
		               (int)restart->done, (int)restart->doubtful, (int)restart->expected);
		open_fixture_of(&f, run);
		server_of_runs_add(&f.server, 0, restart->joined);
		for (size_t i = 0; i < restart->gone; i++)
			f.server.runs[i].gone = true;
		CHECK_RC(restart->name, deletion_run(f.flow.ctx, &f.plan, 10, &f.result, &f.err), restart->rc, &f.err);
		CHECK(restart->name, f.server.deleted <= restart->most);
		CHECK(restart->name, restart->rc != 0 || f.server.deleted == restart->most);
		CHECK(restart->name, restart->gone + f.server.deleted <= 30);
		(void)close_fixture(&f, restart->name);
	}
}

/* Where it cannot be noted, nothing is deleted: a start after a kill could not keep the budget. */
static void deletes_nothing_unnoted(void)
{
	struct fixture f = {.server = {.refuse_notes = true}};

	server_of_runs_add(&f.server, 0, 5);
	open_fixture(&f);
	CHECK_RC("not noted", deletion_run(f.flow.ctx, &f.plan, 10, &f.result, &f.err), ERR_INVALID, &f.err);
	CHECK_INT("not noted", f.server.deleted, 0);
	(void)close_fixture(&f, "not noted");
}

static void counts_after_a_lost_answer(void)
{
	struct fixture f = {.server = {.lose_answer = 2}};

	server_of_runs_add(&f.server, 0, 25);
	open_fixture(&f);
	CHECK_RC("lost answer", deletion_run(f.flow.ctx, &f.plan, 10, &f.result, &f.err), 0, &f.err);
	CHECK_INT("lost answer", f.result.deleted, 25);
	CHECK_INT("lost answer", f.result.left, 0);
	CHECK_INT("lost answer", f.result.gone, 0);
	(void)close_fixture(&f, "lost answer");
}

static void stops_where_the_run_is_not_running(void)
{
	static const struct {
		const char *name;
		const char *own_state;
		size_t cancel_after;
		size_t deleted;
	} stops[] = {{"at the start", "CANCELLING", 0, 0}, {"failed by the server", "FAILED", 0, 0}, {"after a batch", NULL, 10, 10},
	             {"after two", NULL, 11, 20}};

	EACH(stop, stops)
	{
		struct fixture f = {.server = {.own_state = stop->own_state, .cancel_after = stop->cancel_after}};

		server_of_runs_add(&f.server, 0, 30);
		open_fixture(&f);
		CHECK_RC(stop->name, deletion_run(f.flow.ctx, &f.plan, 10, &f.result, &f.err), ERR_STOPPED, &f.err);
		CHECK_INT(stop->name, f.server.deleted, stop->deleted);
		CHECK_INT(stop->name, f.result.deleted, stop->deleted);
		CHECK(stop->name, flow_halted(f.flow.ctx));
		(void)close_fixture(&f, stop->name);
	}
}

static void stops_with_the_worker(void)
{
	struct fixture f = {0};

	server_of_runs_add(&f.server, 0, 3);
	open_fixture(&f);
	stop_ask(&f.flow.worker.stop);
	CHECK_RC("stop", deletion_run(f.flow.ctx, &f.plan, 10, &f.result, &f.err), ERR_STOPPED, &f.err);
	CHECK_INT("no requests", close_fixture(&f, "stop"), 0);
}

/* Started again after a predecessor: its deletions count. */
static void goes_on_after_a_restart(void)
{
	static const struct {
		const char *name;
		const char *checkpoint;
		int rc;
		int64_t deleted, gone;
	} restarts[] = {
		{"a predecessor deleted four", "{\"plan\": \"the digest\", \"matched\": 10}", 0, 10, 0},
		{"one was gone before it", "{\"plan\": \"the digest\", \"matched\": 9}", 0, 9, 1},
		{"of another plan", "{\"plan\": \"another\", \"matched\": 10}", 0, 6, 4},
		{"of no plan", "{\"matched\": 10}", 0, 6, 4},
		{"less than there are", "{\"plan\": \"the digest\", \"matched\": 5}", ERR_CONFLICT, 0, 0},
		{"more than were planned", "{\"plan\": \"the digest\", \"matched\": 11}", ERR_DECODE, 0, 0},
		{"no number", "{\"plan\": \"the digest\", \"matched\": \"10\"}", ERR_CONFLICT, 0, 0},
	};

	EACH(restart, restarts)
	{
		struct fixture f = {.server = {.checkpoint = json_pack("{s:o}", "cleanup-deletion", unit_json(restart->checkpoint))}};

		server_of_runs_add(&f.server, 0, 10);
		open_fixture(&f);
		for (int i = 0; i < 4; i++)
			f.server.runs[i].gone = true;
		CHECK_RC(restart->name, deletion_run(f.flow.ctx, &f.plan, 10, &f.result, &f.err), restart->rc, &f.err);
		CHECK_INT(restart->name, f.result.deleted, restart->deleted);
		CHECK_INT(restart->name, f.result.gone, restart->gone);
		CHECK_INT(restart->name, f.server.deleted, restart->rc == 0 ? 6 : 0);
		(void)close_fixture(&f, restart->name);
	}
}

/* What is stored of the first @count runs: each with its artifacts. */
static json_t *window_of(const struct server_of_runs *server, size_t count)
{
	json_t *runs = json_object();

	for (size_t i = 0; i < count; i++) {
		json_t *ids = json_array();
		for (int k = 0; k < server->runs[i].artifacts; k++) {
			char id[40];
			(void)snprintf(id, sizeof id, "a0000000-%04zx-4000-8000-%012x", i & 0xffff, (unsigned)k);
			(void)json_array_append_new(ids, json_string(id));
		}
		(void)json_object_set_new(runs, server->runs[i].id, ids);
	}
	return runs;
}

/* Artifacts go after their runs, and only theirs; a predecessor's window is finished first. */
static void takes_artifacts_along(void)
{
	static const struct {
		const char *name;
		bool no_bulk;
		size_t bad;            /* position of a run that cannot be deleted, with artifacts; 0: none */
		size_t restarted;      /* after a predecessor, so many runs of its window are gone; 0: none was */
		bool noted;            /* ... and it had written down that it deleted them */
		size_t lose_answer;
		size_t cancel_after;
		int64_t artifacts;     /* deleted in all */
		int artifacts_of_gone; /* left of deleted runs */
		bool unsure;
		int64_t others;        /* runs that count as deleted by others */
	} plans[] = {
		{"all", false, 0, 0, false, 0, 0, 24, 0, false, 0},
		{"one by one", true, 0, 0, false, 0, 0, 24, 0, false, 0},
		{"one that stays keeps its own", false, 8, 0, false, 0, 0, 21, 0, false, 0},
		{"after a restart", false, 0, 6, true, 0, 0, 24, 0, false, 0},
		{"the answer was not written down", false, 0, 6, false, 0, 0, 24, 0, false, 0},
		{"some were, and written down", false, 0, 4, true, 0, 0, 24, 0, false, 0},
		{"others took some of them", false, 0, 4, false, 0, 0, 19, 5, true, 4},
		{"a lost answer", false, 0, 0, false, 1, 0, 24, 0, false, 0},
		{"cancelled in the window", false, 0, 0, false, 0, 5, 6, 0, false, 0},
		{"cancelled in it, one by one", true, 0, 0, false, 0, 5, 6, 0, false, 0},
	};

	EACH(row, plans)
	{
		struct fixture f = {.server = {.no_bulk = row->no_bulk, .bad_status = 409, .lose_answer = row->lose_answer,
		                               .cancel_after = row->cancel_after}};

		server_of_runs_add(&f.server, 0, 20);
		open_fixture(&f);
		for (size_t i = 0; i < 20; i += 4) /* 0, 4, 8: 2 + 3 + 4 ... artifacts */
			f.server.runs[i].artifacts = i == 8 ? 3 : i == 16 ? 6 : 5;
		f.server.runs[8].bad = row->bad == 8;
		if (row->restarted > 0) {
			AUTO_JSON *ours = json_array();
			f.server.checkpoint = unit_json("{\"cleanup-deletion\": {\"plan\": \"the digest\", \"matched\": 20}}");
			AUTO_JSON *window = window_of(&f.server, 6);
			(void)json_object_set_new(f.server.checkpoint, "cleanup-artifacts",
			                          json_pack("{s:s, s:O, s:O}", "plan", "the digest", "runs", window, "ours", ours));
			for (size_t i = 0; i < row->restarted; i++) {
				f.server.runs[i].gone = true;
				if (row->noted)
					(void)json_array_append_new(ours, json_string(f.server.runs[i].id));
			}
		}
		int rc = deletion_run(f.flow.ctx, &f.plan, 10, &f.result, &f.err);
		CHECK_RC(row->name, rc, row->cancel_after > 0 ? ERR_STOPPED : 0, &f.err);
		if (row->cancel_after > 0)
			deletion_settle(f.flow.ctx, &f.plan);
		else
			CHECK_INT(row->name, f.result.artifacts_left, row->unsure ? -1 : 0);
		if (row->cancel_after == 0) {
			CHECK_INT(row->name, f.result.deleted, 20 - row->others - (row->bad > 0));
			CHECK_INT(row->name, f.result.gone, row->others);
			CHECK_INT(row->name, f.result.counted, row->restarted > 0 || row->lose_answer > 0);
			CHECK_INT(row->name, deletion_so_far(f.flow.ctx, &f.plan), f.result.deleted);
		}
		CHECK_INT(row->name, f.server.artifacts_too_soon, 0);
		int left = 0;
		for (size_t i = 0; i < 20; i++)
			left += f.server.runs[i].gone ? f.server.runs[i].artifacts : 0;
		CHECK_INT(row->name, left, row->artifacts_of_gone);
		if (row->cancel_after == 0)
			CHECK_INT(row->name, f.server.artifacts_deleted, row->artifacts);
		(void)close_fixture(&f, row->name);
	}
}

/* A start after a kill has to know whether the call for a window was one of several: it is written down before the second. */
static void tells_a_window_in_parts(void)
{
	static const struct {
		const char *name;
		bool no_bulk;
		int max_limit;
		bool bad;
		size_t cancel_after;
		bool parts;
	} windows[] = {
		{"one call", false, 0, false, 1, false},
		{"one by one", true, 0, false, 2, true},
		{"the server's limit is learned", false, 2, false, 1, true},
		{"a run cannot be deleted", false, 0, true, 1, true},
	};

	EACH(row, windows)
	{
		struct fixture f = {.server = {.no_bulk = row->no_bulk, .max_limit = row->max_limit, .bad_status = 409,
		                               .cancel_after = row->cancel_after}};
		bool parts = false;
		const char *key;
		json_t *stored;

		server_of_runs_add(&f.server, 0, 6);
		for (size_t i = 0; i < 6; i++)
			f.server.runs[i].artifacts = 1;
		f.server.runs[2].bad = row->bad;
		open_fixture(&f);
		CHECK_RC(row->name, deletion_run(f.flow.ctx, &f.plan, 10, &f.result, &f.err), ERR_STOPPED, &f.err);
		json_object_foreach(f.server.checkpoint, key, stored)
			parts = parts || json_is_true(json_object_get(stored, "parts"));
		CHECK_INT(row->name, parts, row->parts);
		(void)close_fixture(&f, row->name);
	}
}

/* The server does not let the window be found that was at work: what was approved is deleted all the same. */
static void goes_on_without_the_window(void)
{
	struct fixture f = {.server = {.refuses_lists = true}};

	server_of_runs_add(&f.server, 0, 10);
	f.server.runs[0].artifacts = 1;
	open_fixture(&f);
	f.server.checkpoint = json_pack("{s:{s:s, s:i}, s:{s:s, s:o}}", "cleanup-deletion", "plan", "the digest", "matched", 10,
	                                "cleanup-artifacts", "plan", "the digest", "runs", window_of(&f.server, 2));
	f.server.runs[0].gone = true;
	CHECK_RC("no window", deletion_run(f.flow.ctx, &f.plan, 10, &f.result, &f.err), 0, &f.err);
	CHECK_INT("no window", f.result.left, 0);
	CHECK_INT("no window", f.result.deleted, 10);
	CHECK("no window", f.result.counted);
	CHECK_INT("no window", f.server.runs[0].artifacts, 1);
	CHECK_INT("cannot be told", f.result.artifacts_left, -1);
	(void)close_fixture(&f, "no window");
}

/* The worker was killed; a run of its window left the plan, got an artifact more, and was deleted by a person. */
static void leaves_what_came_after_the_window(void)
{
	struct fixture f = {0};

	server_of_runs_add(&f.server, 0, 4);
	open_fixture(&f);
	f.server.runs[0].artifacts = 2;
	f.server.runs[1].artifacts = 1;
	f.server.checkpoint = json_pack("{s:{s:s, s:i}, s:{s:s, s:o, s:i}}", "cleanup-deletion", "plan", "the digest", "matched", 4,
	                                "cleanup-artifacts", "plan", "the digest", "runs", window_of(&f.server, 2), "deleted", 30);
	f.server.runs[0].artifacts = 3; /* its ids go by number: the third is the later one */
	f.server.runs[0].gone = true;
	f.server.runs[1].gone = true;
	f.server.runs[1].artifacts = 0;
	CHECK_RC("later", deletion_run(f.flow.ctx, &f.plan, 10, &f.result, &f.err), 0, &f.err);
	CHECK_INT("later", f.server.artifacts_deleted, 2);
	CHECK_INT("later", f.server.runs[0].artifacts, 1);
	CHECK_INT("all starts", f.result.artifacts_deleted, 33);
	(void)close_fixture(&f, "later");

	/* Nothing of a run that the answer of bulk_delete does not name. */
	f = (struct fixture){0};
	server_of_runs_add(&f.server, 0, 3);
	open_fixture(&f);
	f.server.runs[0].artifacts = f.server.runs[1].artifacts = 1;
	f.server.runs[1].taken = true;
	CHECK_RC("others", deletion_run(f.flow.ctx, &f.plan, 10, &f.result, &f.err), 0, &f.err);
	CHECK_INT("others", f.server.runs[1].artifacts, 1);
	CHECK_INT("others", f.server.artifacts_deleted, 1);
	CHECK_INT("others", f.result.gone, 1);
	(void)close_fixture(&f, "others");
}

/* Killed between the deletion and the final state: the next start says what the one before would have said. */
static void reports_what_a_predecessor_did(void)
{
	struct fixture f = {0};
	int64_t took;

	server_of_runs_add(&f.server, 0, 20);
	open_fixture(&f);
	f.server.runs[3].artifacts = 2;
	CHECK_RC("first", deletion_run(f.flow.ctx, &f.plan, 10, &f.result, &f.err), 0, &f.err);
	took = f.result.took_ms;
	deletion_result_release(&f.result);
	/* The deletion took ten seconds, and ended an hour ago. */
	time_us end = clock_now_us() - 3600 * US_PER_SEC;
	(void)json_object_set_new(json_object_get(f.server.checkpoint, "cleanup-deletion"), "at", json_time(end - 10 * US_PER_SEC));
	(void)json_object_set_new(json_object_get(f.server.checkpoint, "cleanup-ended"), "at", json_time(end));
	CHECK_RC("second", deletion_run(f.flow.ctx, &f.plan, 10, &f.result, &f.err), 0, &f.err);
	CHECK_INT("second", f.result.deleted, 20);
	CHECK_INT("second", f.result.artifacts_deleted, 2);
	CHECK_INT("second", f.result.artifacts_left, 0);
	CHECK_INT("second", f.result.logs_checked, 20);
	CHECK_INT("second", f.result.took_ms, 10000);
	CHECK("first", took < 60000);
	(void)close_fixture(&f, "second");
}

/* What cannot be deleted now is carried along; what was lost sight of is said. */
static void carries_artifacts_along(void)
{
	static const struct {
		const char *name;
		int refuse, page_max;
		bool garbage;        /* larger pages cannot be read */
		const char *window; /* of a predecessor */
		int64_t left;
	} cases[] = {
		{"refused once", 1, 0, false, NULL, 0},
		{"small pages", 0, 3, false, NULL, 0},
		{"large pages cannot be read", 0, 3, true, NULL, 0},
		{"refused for ever", 100000, 0, false, NULL, 60},
		{"a window that cannot be read", 0, 0, false, "{\"plan\": \"the digest\", \"runs\": [1]}", -1},
		{"one that was uncertain", 0, 0, false, "{\"plan\": \"the digest\", \"runs\": {}, \"unsure\": true}", -1},
	};

	EACH(one, cases)
	{
		struct fixture f = {.server = {.refuse_artifacts = one->refuse, .page_max = one->page_max,
		                               .page_garbage = one->garbage}};

		server_of_runs_add(&f.server, 0, 60);
		open_fixture(&f);
		for (size_t i = 0; i < 60; i++)
			f.server.runs[i].artifacts = 1;
		if (one->window != NULL) {
			f.server.checkpoint = json_pack("{s:{s:s, s:i}, s:o}", "cleanup-deletion", "plan", "the digest", "matched", 60,
			                                "cleanup-artifacts", unit_json(one->window));
			f.server.runs[0].gone = true;
			f.server.runs[0].artifacts = 0;
		}
		CHECK_RC(one->name, deletion_run(f.flow.ctx, &f.plan, 20, &f.result, &f.err), 0, &f.err);
		CHECK_INT(one->name, f.result.deleted, 60);
		CHECK_INT(one->name, f.result.artifacts_left, one->left);
		CHECK_INT(one->name, f.server.artifacts_too_soon, 0);
		if (one->left == 0)
			CHECK_INT(one->name, f.server.artifacts_deleted, 60);
		(void)close_fixture(&f, one->name);
	}
}

/* They are the trail of what was deleted. */
static void keeps_cleanup_reports(void)
{
	struct fixture f = {0};

	server_of_runs_add(&f.server, 0, 50);
	open_fixture(&f);
	for (size_t i = 0; i < 50; i++)
		f.server.runs[i].reports = 1;
	f.server.runs[49].artifacts = f.server.runs[2].artifacts = 2;
	CHECK_RC("reports", deletion_run(f.flow.ctx, &f.plan, 50, &f.result, &f.err), 0, &f.err);
	CHECK_INT("reports", f.result.deleted, 50);
	CHECK_INT("reports", f.server.artifacts_deleted, 4);
	CHECK_INT("reports", f.server.reports_deleted, 0);
	CHECK_INT("reports", f.result.artifacts_left, 0);
	(void)close_fixture(&f, "reports");
}

/* Many artifacts are deleted at the pace of the runs: a run that is cancelled stops between them. */
static void stops_between_artifacts(void)
{
	struct fixture f = {.server = {.cancel_after_artifacts = 30}};

	server_of_runs_add(&f.server, 0, 3);
	open_fixture(&f);
	f.server.runs[1].artifacts = 300;
	CHECK_RC("cancelled", deletion_run(f.flow.ctx, &f.plan, 10, &f.result, &f.err), ERR_STOPPED, &f.err);
	CHECK("cancelled", f.server.artifacts_deleted >= 30 && f.server.artifacts_deleted <= 40);
	CHECK("looks", f.server.looks_in_artifacts >= 3);
	CHECK("cancelled", flow_halted(f.flow.ctx));
	deletion_settle(f.flow.ctx, &f.plan);
	(void)close_fixture(&f, "cancelled");
}

UNIT_SUITE("flows/database_cleanup/deletion", TEST(takes_artifacts_along), TEST(tells_a_window_in_parts),
           TEST(goes_on_without_the_window), TEST(leaves_what_came_after_the_window), TEST(carries_artifacts_along),
           TEST(reports_what_a_predecessor_did), TEST(keeps_cleanup_reports), TEST(stops_between_artifacts),
           TEST(deletes_what_it_can), TEST(names_the_runs_at_fault), TEST(gives_up_where_nothing_can_be_deleted),
           TEST(looks_again_before_a_single_delete), TEST(takes_404_for_gone), TEST(counts_what_others_took),
           TEST(stops_where_it_grows), TEST(keeps_the_budget_after_a_restart), TEST(deletes_nothing_unnoted),
           TEST(refuses_a_plan_that_has_grown), TEST(counts_after_a_lost_answer), TEST(stops_where_the_run_is_not_running),
           TEST(stops_with_the_worker), TEST(goes_on_after_a_restart))
