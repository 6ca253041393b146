/* What `deploy` makes of what is there, where that is odd. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/deploy_body.h"
#include "cli/deploy_changes.h"
#include "client/base/text.h"
#include "tests/unit/unit.h"
#include "tests/unit/worker/settings_source.h"

/* Reads the flags for pool lab; what is printed, or the error. The caller frees it. */
static char *deployed(const struct settings_source *flags, const char *existing, json_t **ret_body)
{
	struct settings_source source = *flags;
	AUTO_JSON *old = existing != NULL ? unit_json(existing) : NULL;
	struct settings settings;
	struct error err = {0};
	char *printed = NULL;
	size_t size = 0;
	bool help;
	char file[64];

	*ret_body = NULL;
	source.command = COMMAND_DEPLOY;
	if (!CHECK_RC("settings", settings_from(&source, &settings, &help, file, &err), 0, &err))
		return NULL;
	int rc = deploy_body_check(&settings, &err);
	if (rc == 0)
		rc = deploy_body(&settings, old, ret_body, &err);
	FILE *out = open_memstream(&printed, &size);
	if (rc == 0)
		deploy_changes_print(old, *ret_body, out);
	else
		(void)fputs(err.text, out);
	(void)fclose(out);
	settings_release(&settings);
	return printed;
}

static void takes_what_is_there(void)
{
	static const struct {
		const char *name;
		struct settings_source flags;
		const char *existing, *says, *field, *want; /* @want: of that field, as JSON */
	} rows[] = {
		{"a pool that was deleted", {.args = {NULL}}, "{\"name\": \"x\", \"work_pool_name\": null}", "it was in none", "paused", "false"},
		{"nothing but nulls", {.args = {NULL}},
		 "{\"work_pool_name\": null, \"work_queue_name\": null, \"tags\": null, \"schedules\": null, \"parameters\": null, "
		 "\"description\": null, \"job_variables\": null, \"global_concurrency_limit\": null}", "it was in none", "tags",
		 "[\"database-maintenance\", \"cleanup\"]"},
		{"things of other types", {.args = {NULL}},
		 "{\"work_pool_name\": 7, \"work_queue_name\": [], \"tags\": [1, null], \"schedules\": [null, {}, {\"schedule\": 1}], "
		 "\"parameters\": [], \"description\": {}, \"job_variables\": 1}", "", "paused", NULL},
		{"tags are added", {.args = {"--tag", "x"}}, "{\"tags\": [\"cleanup\", \"ui\"]}", "added: database-maintenance, x", "tags",
		 "[\"database-maintenance\", \"cleanup\", \"ui\", \"x\"]"},
		{"a description that was edited", {.args = {NULL}}, "{\"description\": \"ask Bob\"}", "description  kept", "description",
		 "\"ask Bob\""},
		{"one that is named", {.args = {"--description", "ask Eve"}}, "{\"description\": \"ask Bob\"}", "description  changed",
		 "description", "\"ask Eve\""},
		{"job variables", {.args = {"--job-variable", "batch_pause_ms=7"}}, "{\"job_variables\": {\"approval_timeout\": 60}}", "",
		 "job_variables", "{\"approval_timeout\": 60, \"batch_pause_ms\": 7}"},
		{"no job variables", {.args = {NULL}}, "{\"job_variables\": {\"approval_timeout\": 60}}", "", "job_variables", NULL},
		{"flags of the policy", {.args = {"--retention-period", "60 days", "--batch-size", "20", "--dry-run"}}, NULL, "", "parameters",
		 "{\"config\": {\"retention_period\": \"P60D\", \"states_to_clean\": [\"Completed\", \"Failed\", \"Cancelled\"], "
		 "\"batch_size\": 20, \"dry_run\": true, \"approval_type\": \"human\", \"age_by\": \"start\"}}"},
		{"six fields", {.args = {"--cron", "0 0 2 * * ?"}}, NULL, "has 6 fields; five are right", "parameters", NULL},
		{"the five that were meant", {.args = {"--cron", "0 0 2 * * ?"}}, NULL, "without the seconds: '0 2 * * *'", "parameters", NULL},
		{"seven fields", {.args = {"--cron", "0 30 2 1 * ? 2027"}}, NULL, "without the seconds: '30 2 1 * *'", "parameters", NULL},
		{"five", {.args = {"--cron", " 0  2 * * * "}}, NULL, "schedule", "parameters", NULL},
	};

	EACH(row, rows)
	{
		AUTO_JSON *body = NULL;
		AUTO_FREE char *printed = deployed(&row->flags, row->existing, &body);

		CHECK_HAS(row->name, printed, row->says);
		if (row->want != NULL)
			CHECK_JSON(row->name, json_object_get(body, row->field), row->want);
		else if (strcmp(row->field, "job_variables") == 0)
			CHECK(row->name, json_object_get(body, row->field) == NULL);
	}
}

UNIT_SUITE("cli/deploy", TEST(takes_what_is_there))
