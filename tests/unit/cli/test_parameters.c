#include "cli/parameters.h"

#include "flows/database_cleanup/database_cleanup.h"
#include "tests/unit/unit.h"
#include "tests/unit/worker/settings_source.h"

/* @want: the parameters after the flags, or NULL: @error is what is said. */
static const struct {
	const char *name;
	struct settings_source source;
	const char *stored, *want;
	bool changed;
	const char *error;
} rows[] = {
	{"no flags", {.args = {NULL}}, "{\"config\": {\"batch_size\": 50}}", "{\"config\": {\"batch_size\": 50}}", false, NULL},
	{"no flags, no parameters", {.args = {NULL}}, "{}", "{\"config\": {}}", false, NULL},
	{"null is no object", {.args = {"--dry-run"}}, "{\"config\": null}", "{\"config\": {\"dry_run\": true}}", true, NULL},
	{"a flag goes before", {.args = {"--batch-size=20"}}, "{\"config\": {\"batch_size\": 50, \"dry_run\": true}}",
	 "{\"config\": {\"batch_size\": 20, \"dry_run\": true}}", true, NULL},
	{"a flag that says the same", {.args = {"--batch-size=50"}}, "{\"config\": {\"batch_size\": 50}}",
	 "{\"config\": {\"batch_size\": 50}}", false, NULL},
	{"retention and type", {.args = {"--retention-period", "P6M", "--approval-type", "ai"}}, "{}",
	 "{\"config\": {\"retention_period\": \"P6M\", \"approval_type\": \"ai\"}}", true, NULL},
	{"states, by comma and repeated", {.args = {"--states", "Completed, Failed", "--states", "Crashed"}},
	 "{\"config\": {\"states_to_clean\": [\"Cancelled\"]}}",
	 "{\"config\": {\"states_to_clean\": [\"Completed\", \"Failed\", \"Crashed\"]}}", true, NULL},
	{"--param", {.args = {"--param", "batch_size=30", "--param", "config.dry_run=true"}}, "{}",
	 "{\"config\": {\"batch_size\": 30, \"dry_run\": true}}", true, NULL},
	{"a flag goes before --param", {.args = {"--param", "batch_size=30", "--batch-size", "40"}}, "{}",
	 "{\"config\": {\"batch_size\": 40}}", true, NULL},
	{"--param that is a text", {.args = {"--param", "retention_period=P60D"}}, "{}", "{\"config\": {\"retention_period\": \"P60D\"}}",
	 true, NULL},
	{"--param with days", {.args = {"--param", "retention_period=60 days"}}, "{}", "{\"config\": {\"retention_period\": \"P60D\"}}", true,
	 NULL},
	{"--param with a number", {.args = {"--param", "retention_period=60"}}, "{}", "{\"config\": {\"retention_period\": \"P60D\"}}", true,
	 NULL},
	{"--param that is half of a list", {.args = {"--param", "states_to_clean=[\"A"}}, "{}", NULL, false,
	 "is neither JSON nor a text without quotes"},
	{"--param without a value", {.args = {"--param", "dry_run"}}, "{}", NULL, false, "'dry_run' is not KEY=VALUE"},
	{"a flag in days", {.args = {"--retention-period", "30d"}}, "{}", "{\"config\": {\"retention_period\": \"P30D\"}}", true, NULL},
	{"a switch that is off", {.args = {"--dry-run=false"}}, "{\"config\": {\"dry_run\": true}}", "{\"config\": {\"dry_run\": false}}",
	 true, NULL},
	{"other parameters stay", {.args = {"--dry-run"}}, "{\"other\": 1}", "{\"other\": 1, \"config\": {\"dry_run\": true}}",
	 true, NULL},
};

static void puts_flags_over_parameters(void)
{
	EACH(row, rows)
	{
		struct settings_source source = row->source;
		struct settings settings;
		struct error err = {0};
		bool help;
		bool changed = false;
		char file[64];
		AUTO_JSON *parameters = unit_json(row->stored);

		source.command = COMMAND_PREVIEW;
		source.no_pool = "";
		if (!CHECK_RC(row->name, settings_from(&source, &settings, &help, file, &err), 0, &err))
			continue;
		int rc = parameters_apply(&settings, parameters, &changed, &err);
		CHECK_RC(row->name, rc, row->want != NULL ? 0 : ERR_USAGE, &err);
		if (row->want != NULL) {
			CHECK_JSON(row->name, parameters, row->want);
			CHECK_INT(row->name, changed, row->changed);
		} else {
			CHECK_HAS(row->name, err.text, row->error);
		}
		settings_release(&settings);
	}
}

static void checks_flags_before_the_server_is_asked(void)
{
	static const struct {
		const char *name;
		struct settings_source source;
		const char *text;
	} wrong[] = {
		{"retention", {.args = {"--retention-period", "5x"}}, "'5x' is not an ISO 8601 duration"},
		{"a state without a name", {.args = {"--states", "A,,B"}}, "config.states_to_clean[1]"},
		{"a state twice", {.args = {"--states", "A,A"}}, "'A' is named twice"},
		{"who decides", {.args = {"--approval-type", "dice"}}, "'dice' is neither 'human' nor 'ai'"},
	};

	EACH(row, wrong)
	{
		struct settings_source source = row->source;
		struct settings settings;
		struct error err = {0};
		bool help;
		char file[64];

		source.command = COMMAND_RUN;
		source.no_pool = "";
		if (!CHECK_RC(row->name, settings_from(&source, &settings, &help, file, &err), 0, &err))
			continue;
		CHECK_RC(row->name, parameters_check_flags(&settings, &err), ERR_USAGE, &err);
		CHECK_HAS(row->name, err.text, row->text);
		settings_release(&settings);
	}
}

/* @enforced: 1, 0, or -1 for no deployment. @error: NULL where they are taken. */
static void refuses_what_the_server_refuses(void)
{
	static const struct {
		const char *name, *config;
		int enforced;
		const char *error;
	} rules[] = {
		{"nothing", "{}", 1, NULL},
		{"usual", "{\"retention_period\": \"P60D\", \"states_to_clean\": [\"TimedOut\", \"Cached\"]}", 1, NULL},
		{"all units", "{\"retention_period\": \"P1Y2M3DT4H5M6.5S\"}", 1, NULL},
		{"weeks", "{\"retention_period\": \"P2W\"}", 1, NULL},
		{"a fraction of a day", "{\"retention_period\": \"P1.5D\"}", 1, "'P1.5D' is not a duration like P30D"},
		{"not in order", "{\"retention_period\": \"P1D1M\"}", 1, "'P1D1M' is not a duration"},
		{"a sign", "{\"retention_period\": \"+P1D\"}", 1, "'+P1D' is not a duration"},
		{"a T too many", "{\"retention_period\": \"P1DT\"}", 1, "'P1DT' is not a duration"},
		{"a number", "{\"retention_period\": 5}", 1, "'5' is not a duration"},
		{"a state of one's own", "{\"states_to_clean\": [\"Completed\", \"Skipped\"]}", 1, NULL},
		{"types", "{\"states_to_clean\": [\"COMPLETED\", \"CRASHED\"]}", 1, NULL},
		{"in small letters", "{\"states_to_clean\": [\"completed\"]}", 1, "did you mean 'Completed'?"},
		{"misspelt", "{\"states_to_clean\": [\"Completd\"]}", 1, "did you mean 'Completed'?"},
		{"no text", "{\"states_to_clean\": [7]}", 1, "something that is no text"},
		{"days", "{\"retention_period\": \"30 days\"}", 1, NULL},
		{"one that is no end", "{\"states_to_clean\": [\"Running\"]}", 1, "a flow run that is Running has not ended"},
		{"no deployment", "{\"states_to_clean\": [\"timedout\"]}", -1, "did you mean 'TimedOut'?"},
		{"a schema that is not enforced", "{\"states_to_clean\": [\"Foo\"], \"retention_period\": \"P1.5D\"}", 0, NULL},
	};

	EACH(row, rules)
	{
		AUTO_JSON *config = unit_json(row->config);
		AUTO_JSON *parameters = json_pack("{s:O}", "config", config);
		AUTO_JSON *deployment = json_pack("{s:o, s:b}", "parameter_openapi_schema", database_cleanup_schema(),
		                                  "enforce_parameter_schema", row->enforced);
		struct error err = {0};

		int rc = parameters_check_schema(row->enforced >= 0 ? deployment : NULL, parameters, &err);
		CHECK_RC(row->name, rc, row->error != NULL ? ERR_USAGE : 0, &err);
		if (row->error != NULL)
			CHECK_HAS(row->name, err.text, row->error);
	}
}

UNIT_SUITE("cli/parameters", TEST(puts_flags_over_parameters), TEST(checks_flags_before_the_server_is_asked),
           TEST(refuses_what_the_server_refuses))
