#include "cli/parameters.h"

#include <regex.h>
#include <stdio.h>
#include <string.h>

#include "client/base/duration.h"
#include "client/base/nearest.h"
#include "client/base/text.h"
#include "flows/database_cleanup/database_cleanup.h"

/* What Prefect's CLI makes of @text: JSON, or else the text itself where it has no quote and opens no object or list. */
static json_t *read_value(const char *text)
{
	json_t *value = NULL;
	AUTO_TEXT quoted = {.max = strlen(text) + 2};

	if (json_read(text, strlen(text), &value, NULL) == 0)
		return value;
	if (strchr(text, '"') != NULL || strchr("{[", text[strspn(text, " ")]) == NULL || text[strspn(text, " ")] == '\0') {
		text_addf(&quoted, "\"%s\"", text);
		if (strchr(text, '"') == NULL && json_read(text_str(&quoted), quoted.len, &value, NULL) == 0)
			return value;
	}
	return NULL;
}

/* Splits "KEY=VALUE". */
static int read_pair(const char *flag, const char *pair, char **ret_key, json_t **ret_value, struct error *err)
{
	const char *equals = strchr(pair, '=');

	if (equals == NULL || equals == pair)
		return error_set(err, ERR_USAGE, "%s: '%.80s' is not KEY=VALUE, like %s", flag, pair,
		                 strcmp(flag, "--param") == 0 ? "retention_period=P60D" : "batch_pause_ms=500");
	*ret_value = read_value(equals + 1);
	if (*ret_value == NULL)
		return error_set(err, ERR_USAGE, "%s: '%.80s' is neither JSON nor a text without quotes", flag, equals + 1);
	*ret_key = strndup(pair, (size_t)(equals - pair));
	return *ret_key != NULL ? 0 : error_nomem(err);
}

int parameters_read_pairs(const char *flag, const json_t *pairs, json_t *values, struct error *err)
{
	size_t i;
	json_t *pair;

	json_array_foreach(pairs, i, pair)
	{
		AUTO_FREE char *key = NULL;
		AUTO_JSON *value = NULL;

		int rc = read_pair(flag, json_string_value(pair), &key, &value, err);
		if (rc != 0)
			return rc;
		if (json_object_set(values, key, value) != 0)
			return error_nomem(err);
	}
	return 0;
}

/* Puts one KEY=VALUE into the parameters: KEY is `config`, `config.FIELD` or FIELD. */
static int set_param(json_t *config, const char *param, struct error *err)
{
	AUTO_FREE char *key = NULL;
	AUTO_JSON *value = NULL;

	int rc = read_pair("--param", param, &key, &value, err);
	if (rc != 0)
		return rc;
	const char *field = strncmp(key, "config.", 7) == 0 ? key + 7 : key;
	if (strcmp(key, "config") == 0 && json_is_object(value))
		rc = json_object_update(config, value);
	else if (strcmp(key, "config") == 0)
		return error_set(err, ERR_USAGE, "--param: config is an object, like config='{\"dry_run\": true}'");
	else
		rc = json_object_set(config, field, value);
	return rc == 0 ? 0 : error_nomem(err);
}

/* Days and words as every server's schema takes them: "30 days" and 30 become "P30D". */
static int write_retention(json_t *config)
{
	json_t *value = json_object_get(config, "retention_period");
	char number[32] = "";
	char iso[DURATION_ISO_SIZE];

	if (json_is_integer(value))
		(void)snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	const char *text = json_is_integer(value) ? number : json_string_value(value);
	if (text == NULL || !duration_from_words(text, iso))
		return 0;
	return json_object_set_new(config, "retention_period", json_string(iso));
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
	if (SETTINGS_SOURCE(settings, dry_run) == OPTION_FROM_FLAG)
		rc |= json_object_set_new(flags, "dry_run", json_boolean(settings->dry_run));
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
	if (write_retention(fresh) != 0)
		return error_nomem(err);
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
	char iso[DURATION_ISO_SIZE];

	if (duration_from_words(text, iso))
		return true;

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

/* Any name may be that of a state of the user's own, but not one that is nearly Prefect's. */
static int check_state(const char *name, struct error *err)
{
	if (name == NULL) /* stored when no schema was enforced */
		return error_set(err, ERR_USAGE, "config.states_to_clean: the deployment's has something that is no text; deploy it again");

	struct nearest nearest = {.to = name};
	char hint[NEAREST_SIZE];

	for (size_t i = 0; i < sizeof final_states / sizeof final_states[0]; i++) {
		if (strcmp(final_states[i], name) == 0)
			return 0;
		nearest_offer(&nearest, final_states[i]);
	}
	for (size_t i = 0; i < sizeof other_states / sizeof other_states[0]; i++)
		if (strcasecmp(other_states[i], name) == 0)
			return error_set(err, ERR_USAGE, "config.states_to_clean: a flow run that is %s has not ended, and is never cleaned",
			                 other_states[i]);
	if (*nearest_hint(&nearest, "", hint) == '\0')
		return 0;
	return error_set(err, ERR_USAGE, "config.states_to_clean: '%.80s' is no state of Prefect%s", name, hint);
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
		if (rc == 0)
			rc = check_state(json_string_value(name), err);
	return rc;
}
