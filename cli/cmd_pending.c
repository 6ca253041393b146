/* `prefect-janitor pending`: the runs that wait for a decision. Reads only. */
#include <inttypes.h>
#include <stdio.h>

#include "cli/cleanup_run.h"
#include "cli/table.h"
#include "client/prefect/work_pool.h"
#include "flows/database_cleanup/database_cleanup.h"

#define INTRO                                                                                     \
	"Lists the runs of database-cleanup that wait for a decision: since when, until when, and how\n" \
	"many flow runs they would delete.\n"                                                           \
	"\n"                                                                                            \
	"Usage: prefect-janitor pending [--pool NAME] [OPTIONS]\n"

#define OUTRO                                                                                      \
	"prefect-janitor show RUN prints the whole preview of one; approve and reject decide it.\n"

/* Pages of runs that are looked at: more questions than anybody answers. */
#define PAGES_MAX 50

struct listing {
	struct table table;
	json_t *rows; /* owned */
	json_t *seen; /* owned: ids of the runs that were looked at */
	size_t count;
	time_us now;
};

static int list_one(struct session *session, struct listing *listing, const struct cleanup_run *run, struct error *err)
{
	struct plan plan = {0};
	AUTO_FREE char *description = NULL;
	AUTO_FREE char *page = cleanup_run_page(session, run->run.id);
	char waits[TIME_TEXT_SIZE];
	char left[TIME_TEXT_SIZE] = "";
	char until[WHEN_SIZE] = "";
	json_t *json = cleanup_run_json(session, run);

	int rc = cleanup_run_read(session, run, &plan, &description, err);
	bool has_plan = rc == 0;
	if (rc == ERR_NOT_FOUND || rc == ERR_DECODE) /* it waits all the same */
		rc = 0;
	bool expired = run->deadline != 0 && run->deadline <= listing->now;
	if (rc == 0)
		rc = json_object_set_new(json, "total", has_plan ? json_integer(plan.total) : json_null()) |
		     json_object_set_new(json, "retention_period", has_plan ? json_string(plan.retention) : json_null()) |
		     json_object_set_new(json, "dry_run", has_plan ? json_boolean(plan.dry_run) : json_null()) |
		     json_object_set_new(json, "digest", has_plan ? json_string(plan.digest) : json_null());
	if (rc == -1 || json_array_append_new(listing->rows, json) != 0)
		rc = error_nomem(err);

	struct table *table = &listing->table;
	table_add(table, COLOUR_BOLD, "%s", run->run.name);
	table_add(table, COLOUR_NONE, "%s", age_format((listing->now - run->asked_at) / 1000, waits));
	if (run->deadline != 0) {
		(void)age_format((run->deadline - listing->now) / 1000, left);
		(void)when_format(run->deadline, until);
	}
	table_add(table, expired ? COLOUR_RED : COLOUR_NONE, "%s", expired ? "expired" : left);
	table_add(table, COLOUR_NONE, "%s", until);
	if (has_plan)
		table_add(table, COLOUR_YELLOW, "%" PRId64 "%s", plan.total, plan.dry_run ? " (dry run)" : "");
	else
		table_add(table, COLOUR_RED, "unreadable");
	table_add(table, COLOUR_NONE, "%s", has_plan ? plan.retention : "");
	table_add(table, COLOUR_DIM, "%s", page != NULL ? page : "");
	listing->count++;
	plan_release(&plan);
	return rc;
}

static int list_page(struct session *session, struct listing *listing, size_t *ret_count, struct error *err)
{
	const char *pool = session->settings->pool;
	AUTO_JSON *flow_runs = json_pack("{s:{s:{s:[s]}}}", "state", "type", "any_", "PAUSED");
	AUTO_JSON *flows = json_pack("{s:{s:[s]}}", "name", "any_", DATABASE_CLEANUP_FLOW);
	AUTO_JSON *pools = pool != NULL ? json_pack("{s:{s:[s]}}", "name", "any_", pool) : NULL;
	struct flow_run *runs;

	if (flow_runs == NULL || flows == NULL || (pool != NULL && pools == NULL))
		return error_nomem(err);
	int rc = flow_run_filter_unseen(session->prefect,
	                                &(struct flow_run_query){
										.flow_runs = flow_runs, .flows = flows, .work_pools = pools, .sort = "START_TIME_ASC"},
	                                listing->seen, &runs, ret_count, err);
	if (rc != 0)
		return rc;
	listing->now = prefect_now(session->prefect);
	for (size_t i = 0; rc == 0 && i < *ret_count; i++) {
		struct cleanup_run run;
		rc = cleanup_run_from(&runs[i], &run, err);
		if (rc != 0)
			break;
		if (cleanup_run_is_open(&run))
			rc = list_one(session, listing, &run, err);
		cleanup_run_release(&run);
	}
	flow_runs_release(runs, *ret_count);
	return rc;
}

static int print_listing(struct session *session, const struct listing *listing, struct error *err)
{
	if (session->settings->output == OUTPUT_JSON)
		return command_print_json(json_incref(listing->rows), err);
	if (listing->count == 0) {
		printf("No run waits for a decision.\n");
		return 0;
	}
	return table_print(&listing->table, &session->style, err);
}

/* "No run waits" is not said of a pool that is misspelt. */
static int check_pool(struct session *session, struct error *err)
{
	const char *name = session->settings->pool;
	struct work_pool pool = {0};

	if (name == NULL)
		return 0;
	int rc = work_pool_read(session->prefect, name, &pool, err);
	if (rc == 0)
		work_pool_release(&pool);
	return rc == ERR_NOT_FOUND ? error_set(err, ERR_USAGE, "--pool: there is no work pool '%.80s' at %s", name,
	                                       session->settings->api_url) : rc;
}

static int run_pending(struct session *session, struct error *err)
{
	struct listing listing = {
		.table = {.columns = {{.title = "RUN"}, {.title = "WAITING SINCE", .right = true}, {.title = "TIME LEFT", .right = true},
	                          {.title = "DECIDE BY"}, {.title = "FLOW RUNS", .right = true}, {.title = "RETENTION", .cut = true}, {.title = "PAGE"}}},
		.rows = json_array(), .seen = json_object()};
	size_t count = PREFECT_PAGE_MAX;
	int rc = listing.rows != NULL && listing.seen != NULL ? 0 : error_nomem(err);

	if (rc == 0)
		rc = check_pool(session, err);
	for (int page = 0; rc == 0 && count == PREFECT_PAGE_MAX && page < PAGES_MAX; page++)
		rc = list_page(session, &listing, &count, err);
	if (rc == 0)
		rc = print_listing(session, &listing, err);
	table_release(&listing.table);
	json_decref(listing.rows);
	json_decref(listing.seen);
	return rc;
}

int command_pending(int argc, char **argv)
{
	return command_client(
		&(struct client_command){
			.name = "pending", .bit = COMMAND_PENDING, .intro = INTRO, .outro = OUTRO, .run = run_pending}, argc, argv);
}
