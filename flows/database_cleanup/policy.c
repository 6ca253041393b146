#include "flows/database_cleanup/policy.h"

#include <string.h>

#include "client/base/duration.h"

#define DEFAULT_RETENTION "P30D"
#define DEFAULT_BATCH_SIZE 100
#define BATCH_SIZE_MIN 10
#define BATCH_SIZE_MAX 1000
#define STATES_MAX 100
#define STATE_NAME_MAX 200

static const char *const default_states[] = {"Completed", "Failed", "Cancelled"};

/* Notes one problem; the list is one line, since a state's message is one line. */
#define PROBLEM(problems, ...) \
	(text_addf(problems, (problems)->len > 0 ? "; " : ""), text_addf(problems, __VA_ARGS__))

static const char *type_name(const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "a list";
	case JSON_STRING:
		return "text";
	case JSON_INTEGER:
		return "an integer";
	case JSON_REAL:
		return "a number";
	case JSON_TRUE:
	case JSON_FALSE:
		return "a boolean";
	case JSON_NULL:
		break;
	}
	return "null";
}

static void read_retention(const json_t *value, struct policy *policy, struct text *problems)
{
	struct error err;
	char number[32];
	char iso[DURATION_ISO_SIZE];
	const char *written = json_string_value(value);
	int rc;

	if (json_is_integer(value)) { /* days, as in a text */
		(void)snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
		written = number;
	}
	/* From here on it reads the same, however it was written. */
	if (written != NULL && duration_from_words(written, iso) && (json_is_integer(value) || json_string_length(value) == strlen(written))) {
		written = iso;
		rc = duration_parse(written, &policy->retention_us, &err);
	} else if (json_is_number(value)) {
		PROBLEM(problems, "config.retention_period: %.17g is not a whole number of days; write 30, \"30 days\" or P30D",
		        json_number_value(value));
		return;
	} else if (written != NULL && json_string_length(value) == strlen(written)) {
		rc = duration_parse(written, &policy->retention_us, &err);
	} else {
		PROBLEM(problems, "config.retention_period: %s is not a duration; write 30, \"30 days\" or P30D", type_name(value));
		return;
	}

	if (rc != 0)
		PROBLEM(problems, "config.retention_period: %s", err.text);
	else if (policy->retention_us <= 0)
		PROBLEM(problems, "config.retention_period: '%s' is not greater than zero", written);
	else
		policy->retention = text_dup(written);
}

static void read_state(json_t *states, size_t i, json_t *value, struct text *problems)
{
	const char *name = json_string_value(value);

	if (name == NULL) {
		PROBLEM(problems, "config.states_to_clean[%zu]: %s is not the name of a state", i, type_name(value));
		return;
	}
	if (*name == '\0' || json_string_length(value) > STATE_NAME_MAX || strlen(name) != json_string_length(value)) {
		PROBLEM(problems, "config.states_to_clean[%zu]: a state's name has 1 to %d characters", i, STATE_NAME_MAX);
		return;
	}
	if (json_list_has(states, value))
		PROBLEM(problems, "config.states_to_clean[%zu]: '%s' is named twice", i, name);
	else
		(void)json_array_append(states, value);
}

static void read_states(const json_t *value, struct policy *policy, struct text *problems)
{
	size_t i;
	json_t *row;

	if (!json_is_array(value)) {
		PROBLEM(problems, "config.states_to_clean: %s is not a list of state names", type_name(value));
		return;
	}
	if (json_array_size(value) < 1 || json_array_size(value) > STATES_MAX) {
		PROBLEM(problems, "config.states_to_clean: %zu names; at least 1 and at most %d are needed",
		        json_array_size(value), STATES_MAX);
		return;
	}
	json_array_foreach(value, i, row)
		read_state(policy->states, i, row, problems);
}

static void read_batch_size(const json_t *value, struct policy *policy, struct text *problems)
{
	json_int_t size = json_integer_value(value);

	if (!json_is_integer(value))
		PROBLEM(problems, "config.batch_size: %s is not an integer", type_name(value));
	else if (size < BATCH_SIZE_MIN)
		PROBLEM(problems, "config.batch_size: %lld is less than the minimum of %d", (long long)size, BATCH_SIZE_MIN);
	else if (size > BATCH_SIZE_MAX)
		PROBLEM(problems, "config.batch_size: %lld is greater than the maximum of %d", (long long)size,
		        BATCH_SIZE_MAX);
	else
		policy->batch_size = (int)size;
}

static void read_dry_run(const json_t *value, struct policy *policy, struct text *problems)
{
	if (!json_is_boolean(value))
		PROBLEM(problems, "config.dry_run: %s is not true or false", type_name(value));
	policy->dry_run = json_is_true(value);
}

static void read_approval_type(const json_t *value, struct policy *policy, struct text *problems)
{
	const char *name = json_string_value(value);

	if (name != NULL && strcmp(name, "human") == 0)
		policy->approval = APPROVAL_HUMAN;
	else if (name != NULL && strcmp(name, "ai") == 0)
		policy->approval = APPROVAL_AI;
	else if (name != NULL)
		PROBLEM(problems, "config.approval_type: '%.40s' is neither 'human' nor 'ai'", name);
	else
		PROBLEM(problems, "config.approval_type: %s is neither 'human' nor 'ai'", type_name(value));
}

static void read_age_by(const json_t *value, struct policy *policy, struct text *problems)
{
	const char *name = json_string_value(value);

	if (name != NULL && strcmp(name, "end") == 0)
		policy->age_by_end = true;
	else if (name != NULL && strcmp(name, "start") != 0)
		PROBLEM(problems, "config.age_by: '%.40s' is neither 'start' nor 'end'", name);
	else if (name == NULL)
		PROBLEM(problems, "config.age_by: %s is neither 'start' nor 'end'", type_name(value));
}

static const struct {
	const char *name;
	void (*read)(const json_t *value, struct policy *policy, struct text *problems);
} fields[] = {
	{"retention_period", read_retention}, {"age_by", read_age_by},   {"states_to_clean", read_states},
	{"batch_size", read_batch_size},      {"dry_run", read_dry_run}, {"approval_type", read_approval_type},
};
#define FIELD_COUNT (sizeof fields / sizeof fields[0])

static void read_config(const json_t *config, struct policy *policy, struct text *problems)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)config, name, value)
	{
		size_t i = 0;
		while (i < FIELD_COUNT && strcmp(fields[i].name, name) != 0)
			i++;
		if (i < FIELD_COUNT)
			fields[i].read(value, policy, problems);
		else
			PROBLEM(problems, "config.%.60s: there is no such field", name);
	}
}

static bool fill_defaults(struct policy *policy, bool retention_missing)
{
	if (json_array_size(policy->states) == 0)
		for (size_t i = 0; i < sizeof default_states / sizeof default_states[0]; i++)
			if (json_array_append_new(policy->states, json_string(default_states[i])) != 0)
				return false;
	if (retention_missing) {
		policy->retention = text_dup(DEFAULT_RETENTION);
		if (duration_parse(DEFAULT_RETENTION, &policy->retention_us, NULL) != 0)
			return false;
	}
	return policy->retention != NULL;
}

int policy_read(const json_t *parameters, struct policy *ret_policy, struct error *err)
{
	struct policy policy = {.batch_size = DEFAULT_BATCH_SIZE, .states = json_array()};
	AUTO_TEXT problems = {.max = 900};
	const json_t *config = json_object_get(parameters, "config");
	const char *name;
	json_t *value;
	int rc = 0;

	if (policy.states == NULL)
		return error_nomem(err);

	json_object_foreach((json_t *)(uintptr_t)parameters, name, value)
		if (strcmp(name, "config") != 0)
			PROBLEM(&problems, "%.60s: there is no such parameter; the only one is 'config'", name);
	if (json_is_object(config))
		read_config(config, &policy, &problems);
	else if (config != NULL && !json_is_null(config))
		PROBLEM(&problems, "config: %s is neither an object nor null", type_name(config));

	if (problems.len > 0 || problems.failed)
		rc = error_set(err, ERR_INVALID, POLICY_REFUSED "%s%s", text_str(&problems),
		               problems.failed ? " ... and more" : "");
	else if (!fill_defaults(&policy, json_object_get(config, "retention_period") == NULL))
		rc = error_nomem(err);

	if (rc != 0) {
		policy_release(&policy);
		return rc;
	}
	*ret_policy = policy;
	return 0;
}

void policy_release(struct policy *policy)
{
	free(policy->retention);
	json_decref(policy->states);
	*policy = (struct policy){0};
}
