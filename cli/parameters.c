#include "cli/parameters.h"

#include <string.h>

#include "client/base/text.h"

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

	return rc == ERR_INVALID ? error_prefix(err, ERR_USAGE, "parameters") : rc;
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
