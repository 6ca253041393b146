/* The parts of a deletion on the run's page: numbered without holes, and drawn in a fraction of the time. */
#include "flows/database_cleanup/progress.h"

#include <string.h>

#include "tests/unit/flows/database_cleanup/server_of_runs.h"
#include "tests/unit/worker/flow_run.h"

#define NODE(name, state) \
	"{\"id\": \"cccccccc-0000-4000-8000-0000000090" name "\", \"flow_run_id\": \"" OWN_ID "\", \"task_key\": \"janitor.batches-" name \
	"\", \"dynamic_key\": \"1795242861000000\", \"state_type\": \"" state "\"}"

/* The state of the task run of this step, and what its latest state says. */
static const char *state_of(const struct server_of_runs *server, const char *step)
{
	char key[64];
	const char *id;
	json_t *drawn;

	(void)snprintf(key, sizeof key, "janitor.%s", step);
	json_object_foreach(server->drawn, id, drawn)
		if (json_is_string(json_object_get(drawn, "task_key")) &&
		    strcmp(json_string_value(json_object_get(drawn, "task_key")), key) == 0)
			return json_string_value(json_object_get(drawn, "state_type"));
	return "none";
}

static void numbers_parts_without_holes(void)
{
	static const struct {
		const char *name;
		const char *first, *second; /* parts of an earlier start; NULL for none */
		const char *next;
		const char *then;
	} rows[] = {
		{"the first start", NULL, NULL, "batches-01", "batches-02"},
		{"killed in the first part", NODE("01", "RUNNING"), NULL, "batches-02", "batches-03"},
		{"killed in the second part", NODE("01", "COMPLETED"), NODE("02", "RUNNING"), "batches-03", "batches-04"},
		{"killed between two", NODE("01", "COMPLETED"), NODE("02", "COMPLETED"), "batches-03", "batches-04"},
	};

	EACH(row, rows)
	{
		struct server_of_runs server = {.drawn = json_object()};
		struct progress progress;
		struct unit_flow flow;

		if (row->first != NULL)
			(void)json_object_set_new(server.drawn, "cccccccc-0000-4000-8000-000000009001", unit_json(row->first));
		if (row->second != NULL)
			(void)json_object_set_new(server.drawn, "cccccccc-0000-4000-8000-000000009002", unit_json(row->second));
		unit_flow_open(&flow, http_server_handle(server_of_runs_handle, &server), OWN_RUN("RUNNING", ""), NULL);
		progress_start(&progress, flow.ctx, 100, row->first != NULL ? 40 : 0);
		CHECK_STR(row->name, state_of(&server, "batches-01"), row->first != NULL ? "COMPLETED" : "none");
		CHECK_STR(row->name, state_of(&server, "batches-02"), row->second != NULL ? "COMPLETED" : "none");
		progress_batch(&progress, 40);
		CHECK_STR(row->name, progress.part, row->next);
		CHECK_STR(row->name, state_of(&server, row->next), "RUNNING");
		progress.part_ms -= 60000;
		progress_note(&progress, 60);
		CHECK_STR(row->name, state_of(&server, row->next), "COMPLETED");
		progress_batch(&progress, 60);
		CHECK_STR(row->name, progress.part, row->then);
		progress_end(&progress, 90, 10);
		CHECK_STR(row->name, state_of(&server, row->then), "FAILED");
		CHECK_STR(row->name, state_of(&server, "delete"), "FAILED");
		CHECK_STR(row->name, progress_last_step(&progress), row->then);
		(void)unit_flow_close(&flow, row->name);
		server_of_runs_release(&server);
	}
}

static void draws_seldom_where_drawing_is_slow(void)
{
	static const struct {
		const char *name;
		int64_t write_ms, lasted_ms, done;
		bool ends;
	} rows[] = {
		{"long enough", 5, PROGRESS_PART_MS, 50, true},
		{"too short", 5, PROGRESS_PART_MS / 2, 50, false},
		{"too few", 5, 60000, 4, false},
		{"none", 5, 60000, 0, false},
		{"drawing takes a second", 1000, 5000, 50, false},
		{"and the part was ten times as long", 1000, 11000, 50, true},
	};

	EACH(row, rows)
	{
		struct server_of_runs server = {0};
		struct progress progress;
		struct unit_flow flow;

		unit_flow_open(&flow, http_server_handle(server_of_runs_handle, &server), OWN_RUN("RUNNING", ""), NULL);
		progress_start(&progress, flow.ctx, 100, 0);
		progress_batch(&progress, 0);
		progress.write_ms = row->write_ms;
		progress.part_ms = clock_mono_ms() - row->lasted_ms;
		progress_note(&progress, row->done);
		CHECK_INT(row->name, progress.part[0] == '\0', row->ends);
		(void)unit_flow_close(&flow, row->name);
		server_of_runs_release(&server);
	}
}

UNIT_SUITE("flows/database_cleanup/progress", TEST(numbers_parts_without_holes), TEST(draws_seldom_where_drawing_is_slow))
