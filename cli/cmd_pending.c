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

struct listing {
	struct table table;
	json_t *rows; /* owned */
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

static int list_each(struct session *session, const struct cleanup_run *run, void *arg, struct error *err)
{
	struct listing *listing = arg;

	listing->now = prefect_now(session->prefect);
	if (!session->settings->quiet)
		return list_one(session, listing, run, err);
	printf("%s\n", run->run.name);
	return 0;
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
		.rows = json_array()};
	int rc = listing.rows != NULL ? 0 : error_nomem(err);

	if (rc == 0)
		rc = check_pool(session, err);
	if (rc == 0)
		rc = cleanup_run_for_each_open(session, session->settings->pool, list_each, &listing, err);
	if (rc == 0 && !session->settings->quiet)
		rc = print_listing(session, &listing, err);
	table_release(&listing.table);
	json_decref(listing.rows);
	return rc;
}

int command_pending(int argc, char **argv)
{
	return command_client(
		&(struct client_command){
			.name = "pending", .bit = COMMAND_PENDING, .intro = INTRO, .outro = OUTRO, .run = run_pending}, argc, argv);
}
