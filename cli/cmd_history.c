/* `prefect-janitor history`: what past cleanups came to, by their reports. Reads only. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/history.h"
#include "cli/table.h"

#define INTRO                                                                                            \
	"Lists past cleanups, the latest first: how they ended, who decided, how much was deleted. They are\n" \
	"read from the report that each one leaves (artifact cleanup-report), also where its flow run is\n"   \
	"gone.\n"                                                                                            \
	"\n"                                                                                               \
	"Usage: prefect-janitor history [--limit N] [OPTIONS]\n"

#define OUTRO                                                                                             \
	"With --output json each is an object with all that the report holds: outcome, policy, plan, decision,\n" \
	"deletion, flows. All have the same keys, and so has deletion: {deleted, failed, remaining, gone,\n"      \
	"given_up, failed_ids, took_ms, runs_per_second, artifacts_deleted, artifacts_left, logs_checked,\n"      \
	"logs_left, logs_more, counted}. null: not known. A report that cannot be read says why under\n"          \
	"unreadable.\n"

static enum colour outcome_colour(const char *outcome)
{
	static const struct {
		const char *outcome;
		enum colour colour;
	} colours[] = {{"completed", COLOUR_GREEN}, {"failed", COLOUR_RED}, {"no_action", COLOUR_DIM}, {"dry_run", COLOUR_DIM}};

	for (size_t i = 0; i < sizeof colours / sizeof colours[0]; i++)
		if (strcmp(colours[i].outcome, outcome) == 0)
			return colours[i].colour;
	return COLOUR_YELLOW;
}

/* A number of the report; nothing where it is not known. */
static void add_number(struct table *table, const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	if (json_is_integer(value) && json_integer_value(value) >= 0)
		table_add(table, COLOUR_NONE, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	else
		table_add(table, COLOUR_NONE, "%s", "");
}

static void add_report(struct table *table, const json_t *report)
{
	const json_t *decision = json_object_get(report, "decision");
	const json_t *deletion = json_object_get(report, "deletion");
	const json_t *took = json_object_get(deletion, "took_ms");
	const char *outcome = json_text_of(report, "outcome");
	const char *unreadable = json_text_of(report, "unreadable");
	char when[TIME_TEXT_SIZE];
	char span[TIME_TEXT_SIZE];
	time_us at;

	table_add(table, COLOUR_NONE, "%s", time_parse(json_text_of(report, "finished_at"), &at) ? time_format_human(at, when) : "");
	if (*unreadable != '\0')
		table_add(table, COLOUR_RED, "unreadable");
	else
		table_add(table, outcome_colour(outcome), "%s", outcome);
	table_add(table, COLOUR_NONE, "%s", json_text_of(decision, "by"));
	add_number(table, json_object_get(report, "plan"), "total");
	add_number(table, deletion, "deleted");
	add_number(table, deletion, "failed");
	table_add(table, COLOUR_NONE, "%s", json_is_integer(took) ? span_format(json_integer_value(took), span) : "");
	table_add(table, COLOUR_DIM, "%s", json_text_of(report, "flow_run_id"));
	table_add(table, COLOUR_NONE, "%s", *unreadable != '\0' ? unreadable : json_text_of(decision, "notes"));
}

static int print_table(const json_t *reports, const struct style *style, struct error *err)
{
	AUTO_TABLE table = {.columns = {{.title = "FINISHED"}, {.title = "OUTCOME"}, {.title = "DECIDED BY", .cut = true},
	                                {.title = "MATCHED", .right = true}, {.title = "DELETED", .right = true},
	                                {.title = "FAILED", .right = true}, {.title = "TOOK", .right = true}, {.title = "FLOW RUN"},
	                                {.title = "NOTES", .cut = true}}};
	size_t i;
	json_t *report;

	if (json_array_size(reports) == 0) {
		printf("No cleanup has left a report yet.\n");
		return 0;
	}
	json_array_foreach(reports, i, report)
		add_report(&table, report);
	return table_print(&table, style, err);
}

static int run_history(struct session *session, struct error *err)
{
	AUTO_JSON *reports = NULL;

	int rc = history_read(session->prefect, NULL, session->settings->history_limit, &reports, err);
	if (rc != 0)
		return rc;
	return session->settings->output == OUTPUT_JSON ? command_print_json(json_incref(reports), err)
	                                                : print_table(reports, &session->style, err);
}

int command_history(int argc, char **argv)
{
	return command_client(
		&(struct client_command){
			.name = "history", .bit = COMMAND_HISTORY, .intro = INTRO, .outro = OUTRO, .run = run_history}, argc, argv);
}
