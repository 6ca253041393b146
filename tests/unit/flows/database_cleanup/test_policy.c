#include "flows/database_cleanup/policy.h"

#include <string.h>

#include "client/base/clock.h"
#include "flows/database_cleanup/database_cleanup.h"
#include "tests/unit/unit.h"

#define DAY_US (86400 * US_PER_SEC)
#define DEFAULT_STATES "[\"Completed\", \"Failed\", \"Cancelled\"]"

static void check_defaults(const char *row, const json_t *parameters)
{
	struct policy policy;
	struct error err;

	if (!CHECK_RC(row, policy_read(parameters, &policy, &err), 0, &err))
		return;
	CHECK_STR(row, policy.retention, "P30D");
	CHECK_INT(row, policy.retention_us, 30 * DAY_US);
	CHECK_JSON(row, policy.states, DEFAULT_STATES);
	CHECK_INT(row, policy.batch_size, 100);
	CHECK_INT(row, policy.dry_run, false);
	CHECK_INT(row, policy.approval, APPROVAL_HUMAN);
	policy_release(&policy);
	CHECK(row, policy.retention == NULL && policy.states == NULL);
}

static void fills_in_defaults(void)
{
	static const char *const rows[] = {"{}", "{\"config\": null}", "{\"config\": {}}"};

	EACH(row, rows)
	{
		AUTO_JSON *parameters = unit_json(*row);
		check_defaults(*row, parameters);
	}
	check_defaults("no parameters at all", NULL);
	AUTO_JSON *deployed = database_cleanup_defaults();
	check_defaults("what a deployment stores", deployed);
}

static void reads_every_field(void)
{
	static const struct {
		const char *config;
		const char *retention;
		int64_t retention_us;
		const char *states;
		int batch_size;
		bool dry_run;
		enum approval_type approval;
	} rows[] = {
		{"{\"retention_period\": \"P6M\"}", "P6M", 180 * DAY_US, DEFAULT_STATES, 100, false, APPROVAL_HUMAN},
		{"{\"retention_period\": \"PT0.000001S\"}", "PT0.000001S", 1, DEFAULT_STATES, 100, false, APPROVAL_HUMAN},
		{"{\"retention_period\": 30}", "P30D", 30 * DAY_US, DEFAULT_STATES, 100, false, APPROVAL_HUMAN},
		{"{\"retention_period\": \"30\"}", "P30D", 30 * DAY_US, DEFAULT_STATES, 100, false, APPROVAL_HUMAN},
		{"{\"retention_period\": \"30d\"}", "P30D", 30 * DAY_US, DEFAULT_STATES, 100, false, APPROVAL_HUMAN},
		{"{\"retention_period\": \"30 days\"}", "P30D", 30 * DAY_US, DEFAULT_STATES, 100, false, APPROVAL_HUMAN},
		{"{\"states_to_clean\": [\"Crashed\"]}", "P30D", 30 * DAY_US, "[\"Crashed\"]", 100, false, APPROVAL_HUMAN},
		{"{\"states_to_clean\": [\"completed\", \"Completed\", \"My \u00e4nd\"]}", "P30D", 30 * DAY_US,
		 "[\"completed\", \"Completed\", \"My \u00e4nd\"]", 100, false, APPROVAL_HUMAN},
		{"{\"batch_size\": 10}", "P30D", 30 * DAY_US, DEFAULT_STATES, 10, false, APPROVAL_HUMAN},
		{"{\"batch_size\": 1000}", "P30D", 30 * DAY_US, DEFAULT_STATES, 1000, false, APPROVAL_HUMAN},
		{"{\"dry_run\": true}", "P30D", 30 * DAY_US, DEFAULT_STATES, 100, true, APPROVAL_HUMAN},
		{"{\"approval_type\": \"ai\"}", "P30D", 30 * DAY_US, DEFAULT_STATES, 100, false, APPROVAL_AI},
		{"{\"approval_type\": \"human\", \"dry_run\": false, \"batch_size\": 11, \"states_to_clean\": [\"Failed\"], "
		 "\"retention_period\": \"PT12H\"}", "PT12H", DAY_US / 2, "[\"Failed\"]", 11, false, APPROVAL_HUMAN},
	};

	EACH(row, rows)
	{
		AUTO_JSON *parameters = json_pack("{s:o}", "config", unit_json(row->config));
		struct policy policy;
		struct error err;

		if (!CHECK_RC(row->config, policy_read(parameters, &policy, &err), 0, &err))
			continue;
		CHECK_STR(row->config, policy.retention, row->retention);
		CHECK_INT(row->config, policy.retention_us, row->retention_us);
		CHECK_JSON(row->config, policy.states, row->states);
		CHECK_INT(row->config, policy.batch_size, row->batch_size);
		CHECK_INT(row->config, policy.dry_run, row->dry_run);
		CHECK_INT(row->config, policy.approval, row->approval);
		policy_release(&policy);
	}
}

static const struct {
	const char *config;
	const char *problem;
} refused[] = {
	{"{\"retention_period\": \"\"}", "config.retention_period: '' is not an ISO 8601 duration"},
	{"{\"retention_period\": \"30 dogs\"}", "config.retention_period: '30 dogs' is not an ISO 8601 duration"},
	{"{\"retention_period\": 1.5}", "1.5 is not a whole number of days; write 30, \"30 days\" or P30D"},
	{"{\"retention_period\": \"P0D\"}", "config.retention_period: 'P0D' is not greater than zero"},
	{"{\"retention_period\": \"-P1D\"}", "config.retention_period: '-P1D' is not greater than zero"},
	{"{\"retention_period\": \"PT0.0000004S\"}", "'PT0.0000004S' is not greater than zero"},
	{"{\"retention_period\": \"P999999999Y\"}", "too large"},
	{"{\"retention_period\": 0}", "config.retention_period: 'P0D' is not greater than zero"},
	{"{\"retention_period\": -1}", "config.retention_period: -1 is not a whole number of days"},
	{"{\"retention_period\": 1e300}", "is not a whole number of days"},
	{"{\"retention_period\": 9223372036854775807}", "is not a whole number of days"},
	{"{\"retention_period\": true}", "config.retention_period: a boolean is not a duration; write 30"},
	{"{\"retention_period\": null}", "config.retention_period: null is not a duration; write 30"},
	{"{\"retention_period\": [\"P1D\"]}", "config.retention_period: a list is not"},
	{"{\"retention_period\": {}}", "config.retention_period: an object is not"},
	{"{\"retention_period\": \"P1D\\u0000\"}", "config.retention_period: text is not"},
	{"{\"states_to_clean\": []}", "config.states_to_clean: 0 names; at least 1"},
	{"{\"states_to_clean\": \"Failed\"}", "config.states_to_clean: text is not a list of state names"},
	{"{\"states_to_clean\": null}", "config.states_to_clean: null is not a list"},
	{"{\"states_to_clean\": {\"a\": 1}}", "config.states_to_clean: an object is not a list"},
	{"{\"states_to_clean\": [\"Failed\", \"Failed\"]}", "config.states_to_clean[1]: 'Failed' is named twice"},
	{"{\"states_to_clean\": [\"Failed\", 1]}", "config.states_to_clean[1]: an integer is not the name of a state"},
	{"{\"states_to_clean\": [null]}", "config.states_to_clean[0]: null is not the name"},
	{"{\"states_to_clean\": [\"\"]}", "config.states_to_clean[0]: a state's name has 1 to 200"},
	{"{\"states_to_clean\": [\"a\\u0000b\"]}", "config.states_to_clean[0]: a state's name has 1 to 200"},
	{"{\"batch_size\": 9}", "config.batch_size: 9 is less than the minimum of 10"},
	{"{\"batch_size\": 0}", "config.batch_size: 0 is less"},
	{"{\"batch_size\": -9223372036854775808}", "config.batch_size: -9223372036854775808 is less"},
	{"{\"batch_size\": 1001}", "config.batch_size: 1001 is greater than the maximum of 1000"},
	{"{\"batch_size\": 4294967396}", "config.batch_size: 4294967396 is greater"},
	{"{\"batch_size\": 100.0}", "config.batch_size: a number is not an integer"},
	{"{\"batch_size\": \"100\"}", "config.batch_size: text is not an integer"},
	{"{\"batch_size\": true}", "config.batch_size: a boolean is not an integer"},
	{"{\"batch_size\": null}", "config.batch_size: null is not an integer"},
	{"{\"dry_run\": 1}", "config.dry_run: an integer is not true or false"},
	{"{\"dry_run\": \"true\"}", "config.dry_run: text is not true or false"},
	{"{\"dry_run\": null}", "config.dry_run: null is not true or false"},
	{"{\"approval_type\": \"robot\"}", "config.approval_type: 'robot' is neither 'human' nor 'ai'"},
	{"{\"approval_type\": \"Human\"}", "config.approval_type: 'Human' is neither"},
	{"{\"approval_type\": \"\"}", "config.approval_type: '' is neither"},
	{"{\"approval_type\": true}", "config.approval_type: a boolean is neither"},
	{"{\"approval_type\": null}", "config.approval_type: null is neither"},
	{"{\"retention\": \"P1D\"}", "config.retention: there is no such field"},
	{"{\"a\\nb\": 1}", "config.a?b: there is no such field"},
	{"[]", "config: a list is neither an object nor null"},
	{"\"P30D\"", "config: text is neither an object nor null"},
	{"false", "config: a boolean is neither an object nor null"},
};

static void refuses_wrong_values(void)
{
	EACH(row, refused)
	{
		AUTO_JSON *parameters = json_pack("{s:o}", "config", unit_json(row->config));
		struct policy policy = {.batch_size = -7};
		struct error err;

		CHECK_RC(row->config, policy_read(parameters, &policy, &err), ERR_INVALID, &err);
		CHECK_HAS(row->config, err.text, row->problem);
		CHECK_HAS(row->config, err.text, "nothing was done");
		CHECK_LACKS(row->config, err.text, "; config");
		CHECK(row->config, policy.batch_size == -7 && policy.states == NULL);
	}
}

static void lists_every_problem(void)
{
	static const char *const parts[] = {
		"retention: there is no such parameter; the only one is 'config'",
		"config.retention_period: 'x'",
		"config.states_to_clean[0]: an integer",
		"config.states_to_clean[2]: 'A' is named twice",
		"config.batch_size: 1 is less",
		"config.dry_run: text is not",
		"config.approval_type: 'me' is neither",
		"config.extra: there is no such field",
	};
	AUTO_JSON *parameters = unit_json(
		"{\"retention\": 1, \"config\": {\"retention_period\": \"x\", \"states_to_clean\": [1, \"A\", \"A\"], "
		"\"batch_size\": 1, \"dry_run\": \"no\", \"approval_type\": \"me\", \"extra\": 0}}");
	struct policy policy;
	struct error err;

	CHECK_RC("all", policy_read(parameters, &policy, &err), ERR_INVALID, &err);
	EACH(part, parts)
		CHECK_HAS("all", err.text, *part);
	CHECK_LACKS("all", err.text, "and more");
}

/* What does not fit into one message is not lost without a word. */
static void says_where_there_is_more(void)
{
	AUTO_JSON *parameters = unit_json("{\"config\": {\"batch_size\": 1}}");
	json_t *states = json_array();
	struct policy policy;
	struct error err;

	for (int i = 0; i < 101; i++)
		(void)json_array_append_new(states, json_integer(i));
	json_object_set_new(json_object_get(parameters, "config"), "states_to_clean", states);
	CHECK_RC("101 states", policy_read(parameters, &policy, &err), ERR_INVALID, &err);
	CHECK_HAS("101 states", err.text, "config.batch_size: 1 is less");
	CHECK_HAS("101 states", err.text, "config.states_to_clean: 101 names; at least 1 and at most 100");

	json_array_remove(states, 0);
	CHECK_RC("100 problems", policy_read(parameters, &policy, &err), ERR_INVALID, &err);
	CHECK_HAS("100 problems", err.text, "config.batch_size: 1 is less");
	CHECK_HAS("100 problems", err.text, "config.states_to_clean[3]: an integer");
	CHECK_HAS("100 problems", err.text, "and more");
}

static void bounds_the_length_of_a_name(void)
{
	static const struct {
		const char *name;
		size_t len;
		int rc;
	} rows[] = {{"200 bytes", 200, 0}, {"201 bytes", 201, ERR_INVALID}};

	EACH(row, rows)
	{
		char name[256] = "";
		struct policy policy;
		struct error err;

		memset(name, 'x', row->len);
		AUTO_JSON *parameters = json_pack("{s:{s:[s]}}", "config", "states_to_clean", name);
		if (CHECK_RC(row->name, policy_read(parameters, &policy, &err), row->rc, &err) && row->rc == 0)
			policy_release(&policy);
	}
}

/* The form and the checks here must not drift apart. */
static void agrees_with_the_schema(void)
{
	AUTO_JSON *schema = database_cleanup_schema();
	const json_t *config = json_object_get(json_object_get(schema, "properties"), "config");
	const json_t *fields = json_object_get(config, "properties");
	const char *description = NULL;

	CHECK_INT("fields", json_object_size(fields), 6);
	CHECK_JSON("no others", json_object_get(config, "additionalProperties"), "false");
	CHECK_JSON("no others", json_object_get(schema, "additionalProperties"), "false");
	CHECK_JSON("batch size", json_object_get(json_object_get(fields, "batch_size"), "minimum"), "10");
	CHECK_JSON("batch size", json_object_get(json_object_get(fields, "batch_size"), "maximum"), "1000");
	CHECK_JSON("approval", json_object_get(json_object_get(fields, "approval_type"), "enum"), "[\"human\", \"ai\"]");

	CHECK_JSON("age by", json_object_get(json_object_get(fields, "age_by"), "enum"), "[\"start\", \"end\"]");

	AUTO_JSON *parameters = database_cleanup_defaults();
	struct policy policy;
	struct error err;
	if (CHECK_RC("the defaults of the form", policy_read(parameters, &policy, &err), 0, &err))
		policy_release(&policy);

	char *text = database_cleanup_description();
	description = text;
	CHECK("a description", description != NULL && strlen(description) > 100);
	free(text);
}

UNIT_SUITE("flows/database_cleanup/policy", TEST(fills_in_defaults), TEST(reads_every_field), TEST(refuses_wrong_values),
           TEST(lists_every_problem), TEST(says_where_there_is_more), TEST(bounds_the_length_of_a_name),
           TEST(agrees_with_the_schema))
