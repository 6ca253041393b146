#include "cli/parameters.h"

#include <regex.h>
#include <string.h>
#include <strings.h>

#include "client/base/text.h"
#include "flows/database_cleanup/database_cleanup.h"

/* Puts one KEY=JSON into the parameters: KEY is `config`, `config.FIELD` or FIELD. */
static int set_param(json_t *config, const char *param, struct error *err)
{
	const char *equals = strchr(param, '=');
	AUTO_JSON *value = NULL;

	if (equals == NULL || equals == param)
		return error_set(err, ERR_USAGE, "--param: '%.80s' is not KEY=JSON, like retention_period='\"P60D\"'", param);
	if (json_read(equals + 1, strlen(equals + 1), &value, NULL) != 0)
		return error_set(err, ERR_USAGE, "--param: '%.80s' is not JSON; text needs quotes, like %.*s='\"...\"'", equals + 1,
		                 (int)(equals - param), param);

	AUTO_FREE char *key = strndup(param, (size_t)(equals - param));
	if (key == NULL)
		return error_nomem(err);
	const char *field = strncmp(key, "config.", 7) == 0 ? key + 7 : key;
	int rc;
	if (strcmp(key, "config") == 0 && json_is_object(value))
		rc = json_object_update(config, value);
	else if (strcmp(key, "config") == 0)
		return error_set(err, ERR_USAGE, "--param: config is an object, like config='{\"dry_run\": true}'");
	else
		rc = json_object_set(config, field, value);
	return rc == 0 ? 0 : error_nomem(err);
}

/* --states A,B --states C: all of them, without the blanks around them. */
static json_t *split_states(const json_t *lists)
{
	json_t *states = json_array();
	size_t i;
	json_t *list;

	json_array_foreach(lists, i, list)
	{
		const char *at = json_string_value(list);
		for (;;) {
			size_t len = strcspn(at, ",");
			size_t blank = strspn(at, " ");
			const char *end = at + len;
			const char *last = end;

			while (last > at + blank && last[-1] == ' ')
				last--;
			const char *name = blank < len ? at + blank : last;
			if (json_array_append_new(states, json_stringn(name, (size_t)(last - name))) != 0) {
				json_decref(states);
				return NULL;
			}
			if (*end == '\0')
				break;
			at = end + 1;
		}
	}
	return states;
}

/* The flags of the policy; a field that has none is NULL. */
static int set_flags(const struct settings *settings, json_t *config, struct error *err)
{
	AUTO_JSON *flags = json_object();
	int rc = flags != NULL ? 0 : -1;

	if (settings->retention != NULL)
		rc |= json_object_set_new(flags, "retention_period", json_string(settings->retention));
	if (json_array_size(settings->states) > 0)
		rc |= json_object_set_new(flags, "states_to_clean", split_states(settings->states));
	if (settings->batch_size > 0)
		rc |= json_object_set_new(flags, "batch_size", json_integer(settings->batch_size));
	if (settings->dry_run)
		rc |= json_object_set_new(flags, "dry_run", json_true());
	if (settings->approval_type != NULL)
		rc |= json_object_set_new(flags, "approval_type", json_string(settings->approval_type));
	return rc == 0 && json_object_update(config, flags) == 0 ? 0 : error_nomem(err);
}

int parameters_apply(const struct settings *settings, json_t *parameters, bool *ret_changed, struct error *err)
{
	json_t *config = json_object_get(parameters, "config");
	AUTO_JSON *fresh = json_is_object(config) ? json_copy(config) : json_object();
	size_t i;
	json_t *param;

	if (fresh == NULL)
		return error_nomem(err);
	json_array_foreach(settings->params, i, param)
	{
		int rc = set_param(fresh, json_string_value(param), err);
		if (rc != 0)
			return rc;
	}
	int rc = set_flags(settings, fresh, err);
	if (rc != 0)
		return rc;
	*ret_changed = config == NULL ? json_object_size(fresh) > 0 : !json_equal(config, fresh);
	return json_object_set(parameters, "config", fresh) == 0 ? 0 : error_nomem(err);
}

int parameters_check(const json_t *parameters, struct policy *ret_policy, struct error *err)
{
	int rc = policy_read(parameters, ret_policy, err);

	if (rc != ERR_INVALID)
		return rc;
	/* What a run says of itself is not news here. */
	const char *what = strncmp(err->text, POLICY_REFUSED, strlen(POLICY_REFUSED)) == 0 ? err->text + strlen(POLICY_REFUSED) : err->text;
	memmove(err->text, what, strlen(what) + 1);
	return err->code = ERR_USAGE;
}

int parameters_check_flags(const struct settings *settings, struct error *err)
{
	AUTO_JSON *parameters = json_object();
	struct policy policy;
	bool changed;

	int rc = parameters != NULL ? parameters_apply(settings, parameters, &changed, err) : error_nomem(err);
	if (rc == 0)
		rc = parameters_check(parameters, &policy, err);
	if (rc == 0)
		policy_release(&policy);
	return rc;
}

/* --- what the server's schema asks for ------------------------------------------------------------------- */

/* The pattern of parameters.schema.json; POSIX knows no look-ahead. */
#define DURATION_PATTERN "^P([0-9]+W|([0-9]+Y)?([0-9]+M)?([0-9]+D)?(T([0-9]+H)?([0-9]+M)?([0-9]+([.][0-9]+)?S)?)?)$"

static bool is_duration(const char *text)
{
	regex_t pattern;

	if (regcomp(&pattern, DURATION_PATTERN, REG_EXTENDED | REG_NOSUB) != 0)
		return true;
	bool matches = regexec(&pattern, text, 0, NULL, 0) == 0;
	regfree(&pattern);
	return matches && strcmp(text, "P") != 0 && text[strlen(text) - 1] != 'T';
}

static int check_retention(const json_t *value, struct error *err)
{
	const char *text = json_string_value(value);
	AUTO_FREE char *other = value != NULL && text == NULL ? json_write(value, JSON_ENCODE_ANY) : NULL;

	if (value == NULL || (text != NULL && is_duration(text)))
		return 0;
	return error_set(err, ERR_USAGE, "config.retention_period: '%.40s' is not a duration like P30D, P6M, P2W or PT12H: whole numbers, "
	                 "in the order of years, months, days, T, hours, minutes, seconds", text != NULL ? text : other != NULL ? other : "");
}

/* The states and types that Prefect itself ends runs in, and states in which no run has ended. */
static const char *const final_states[] = {"Completed", "Failed",  "Cancelled", "Crashed",   "TimedOut", "Cached",
                                           "RolledBack", "COMPLETED", "FAILED", "CANCELLED", "CRASHED"};
static const char *const other_states[] = {"Scheduled", "Late",      "Resuming", "AwaitingRetry", "AwaitingConcurrencySlot", "Pending",
                                           "Running",   "Retrying",  "Paused",   "Suspended",     "Cancelling"};

static const char *same_but_for_case(const char *const *names, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(names[i], name) == 0)
			return names[i];
	for (size_t i = 0; i < count; i++)
		if (strcasecmp(names[i], name) == 0)
			return names[i];
	return NULL;
}

/* Any name may be that of a state of the user's own, but not one that looks like Prefect's. */
static int check_state(const char *name, struct error *err)
{
	const char *meant = same_but_for_case(final_states, sizeof final_states / sizeof final_states[0], name);
	const char *other = same_but_for_case(other_states, sizeof other_states / sizeof other_states[0], name);

	if (meant != NULL && strcmp(meant, name) != 0)
		return error_set(err, ERR_USAGE, "config.states_to_clean: '%.80s' is no state of Prefect; did you mean '%s'?", name, meant);
	if (other != NULL)
		return error_set(err, ERR_USAGE, "config.states_to_clean: a flow run that is %s has not ended, and is never cleaned", other);
	return 0;
}

int parameters_check_schema(const json_t *deployment, const json_t *parameters, struct error *err)
{
	const json_t *config = json_object_get(parameters, "config");
	size_t i;
	json_t *name;

	if (deployment != NULL && !json_is_true(json_object_get(deployment, "enforce_parameter_schema")))
		return 0;
	int rc = check_retention(json_object_get(config, "retention_period"), err);
	json_array_foreach(json_object_get(config, "states_to_clean"), i, name)
		if (rc == 0 && json_is_string(name))
			rc = check_state(json_string_value(name), err);
	return rc;
}
