#include "cli/deploy_body.h"

#include <stdio.h>
#include <string.h>

#include "cli/parameters.h"
#include "client/base/duration.h"
#include "client/base/text.h"
#include "flows/database_cleanup/database_cleanup.h"
#include "flows/database_cleanup/policy.h"

/* Schedules are counted from here, so that a second deploy does not move an interval. */
#define INTERVAL_ANCHOR "2020-01-01T00:00:00Z"
#define IS_NAMED(settings, member) (SETTINGS_SOURCE(settings, member) != OPTION_FROM_DEFAULT)

/* What the worker would refuse does not stay: a deploy mends it. */
static int keep_parameters(const json_t *existing, json_t *config, struct error *err)
{
	const char *field;
	json_t *value;

	json_object_foreach(json_object_get(json_object_get(existing, "parameters"), "config"), field, value)
	{
		AUTO_JSON *alone = json_pack("{s:{s:O}}", "config", field, value);
		struct policy policy;

		if (alone == NULL)
			return error_nomem(err);
		if (policy_read(alone, &policy, NULL) != 0)
			continue;
		policy_release(&policy);
		if (json_object_set(config, field, value) != 0)
			return error_nomem(err);
	}
	return 0;
}

/* Defaults, the deployment's own and --param together, checked as the worker will check them. */
static int make_parameters(const struct settings *settings, const json_t *existing, json_t **ret_parameters, struct error *err)
{
	AUTO_JSON *parameters = database_cleanup_defaults();
	struct policy policy;
	bool changed;

	if (parameters == NULL)
		return error_nomem(err);
	int rc = keep_parameters(existing, json_object_get(parameters, "config"), err);
	if (rc == 0)
		rc = parameters_apply(settings, parameters, &changed, err);
	if (rc != 0)
		return rc;
	rc = parameters_check(parameters, &policy, err);
	if (rc == 0) {
		policy_release(&policy);
		rc = parameters_check_schema(NULL, parameters, err);
	}
	/* Without the deployment they were right: deploy_body_check(). What it has is not replaced by a default that deletes more. */
	if (rc == ERR_USAGE)
		return existing != NULL                              ? error_prefix(err, rc, "the deployment's own parameters, which --param changes")
		       : json_array_size(settings->params) > 0 ? error_prefix(err, rc, "--param")
		                                               : rc;
	if (rc != 0)
		return rc;
	*ret_parameters = json_incref(parameters);
	return 0;
}

/* "PT12H" or "43200": whole seconds, at least one. */
static int interval_seconds(const char *text, double *ret_seconds, struct error *err)
{
	int64_t us = 0;
	char *end;
	double seconds = strtod(text, &end);
	bool number = end != text && *end == '\0';
	int rc = number ? duration_from_seconds(seconds, &us, err) : duration_parse(text, &us, err);

	if (rc != 0)
		return error_prefix(err, ERR_USAGE, "--interval");
	if (us < US_PER_SEC)
		return error_set(err, ERR_USAGE, "--interval: '%.40s' is less than a second", text);
	*ret_seconds = (double)us / (double)US_PER_SEC;
	return 0;
}

#define CRON_FIELDS 5

/* Starts of the fields of @cron, and how many there are. */
static size_t cron_fields(const char *cron, const char *starts[CRON_FIELDS + 3])
{
	size_t count = 0;

	for (cron += strspn(cron, " \t"); *cron != '\0'; cron += strspn(cron, " \t")) {
		if (count < CRON_FIELDS + 3)
			starts[count] = cron;
		count++;
		cron += strcspn(cron, " \t");
	}
	return count;
}

size_t deploy_cron_fields(const char *cron)
{
	const char *starts[CRON_FIELDS + 3];

	return cron_fields(cron, starts);
}

/* Six fields are seconds first for some programs (Quartz, with a year as the seventh) and seconds last for the server, which
 * starts a run in each of them: nobody means that. */
static int check_cron(const char *cron, struct error *err)
{
	const char *starts[CRON_FIELDS + 3];
	size_t count = cron_fields(cron, starts);
	char five[120] = "";
	size_t used = 0;

	if (count <= CRON_FIELDS)
		return 0;
	for (size_t i = 1; i <= CRON_FIELDS && count <= CRON_FIELDS + 2; i++) {
		int len = (int)strcspn(starts[i], " \t");
		bool any = len == 1 && *starts[i] == '?'; /* as Quartz writes "any" */
		used += (size_t)snprintf(five + used, sizeof five - used, "%s%.*s", i > 1 ? " " : "", any ? 1 : len < 20 ? len : 20,
		                         any ? "*" : starts[i]);
	}
	return error_set(err, ERR_USAGE, "--cron: '%.80s' has %zu fields; five are right: minute, hour, day, month, day of the week%s%s%s",
	                 cron, count, *five != '\0' ? "; without the seconds: '" : "", five, *five != '\0' ? "'" : "");
}

/* The schedule that the settings name; *ret_schedule stays NULL where they name none. */
static int named_schedule(const struct settings *settings, const char *timezone, json_t **ret_schedule, struct error *err)
{
	double seconds = 0;

	if (settings->cron == NULL && settings->rrule == NULL && settings->interval == NULL)
		return 0;
	int rc = settings->cron != NULL ? check_cron(settings->cron, err) : 0;
	if (rc != 0)
		return rc;
	if (settings->cron != NULL) {
		*ret_schedule = json_pack("{s:s, s:s}", "cron", settings->cron, "timezone", timezone);
	} else if (settings->rrule != NULL) {
		*ret_schedule = json_pack("{s:s, s:s}", "rrule", settings->rrule, "timezone", timezone);
	} else {
		rc = interval_seconds(settings->interval, &seconds, err);
		if (rc != 0)
			return rc;
		*ret_schedule = json_pack("{s:f, s:s, s:s}", "interval", seconds, "anchor_date", INTERVAL_ANCHOR, "timezone", timezone);
	}
	return *ret_schedule != NULL ? 0 : error_nomem(err);
}

/* What the work pool's template takes; *ret_seconds stays 0 where none is named. */
#define TIMEOUT_MIN_S 10
#define TIMEOUT_MAX_S (30 * 86400)

static int timeout_seconds(const struct settings *settings, int64_t *ret_seconds, struct error *err)
{
	int64_t us;

	if (settings->approval_timeout == NULL)
		return 0;
	int rc = duration_parse(settings->approval_timeout, &us, err);
	if (rc == ERR_NOMEM)
		return rc;
	if (rc != 0)
		return error_prefix(err, ERR_USAGE, "--approval-timeout");
	if (us < TIMEOUT_MIN_S * US_PER_SEC || us > TIMEOUT_MAX_S * US_PER_SEC)
		return error_set(err, ERR_USAGE, "--approval-timeout: '%.40s' is not from PT10S to P30D", settings->approval_timeout);
	*ret_seconds = us / US_PER_SEC;
	return 0;
}

/* @named (taken) with what it leaves open as @old has it: the days of a cron, the start of an interval. */
static json_t *merge_schedule(const json_t *old, json_t *named)
{
	static const char *const kinds[] = {"cron", "interval", "rrule"};
	json_t *merged = NULL;

	for (size_t i = 0; merged == NULL && i < sizeof kinds / sizeof kinds[0]; i++)
		if (json_object_get(old, kinds[i]) != NULL && json_object_get(named, kinds[i]) != NULL)
			merged = json_deep_copy(old);
	if (merged == NULL)
		return named;
	if (json_object_get(old, "anchor_date") != NULL)
		(void)json_object_del(named, "anchor_date");
	int rc = json_object_update(merged, named);
	json_decref(named);
	if (rc != 0) {
		json_decref(merged);
		return NULL;
	}
	return merged;
}

/* A schedule of the deployment, as it is created anew, with what of it is named changed. @named (taken): the schedule that takes
 * the place of its own; NULL: none. */
static json_t *copy_schedule(const struct settings *settings, const json_t *entry, json_t *named)
{
	static const char *const kept[] = {"active", "parameters", "slug", "max_scheduled_runs"};
	json_t *copy = json_object();
	const json_t *old = json_object_get(entry, "schedule");
	json_t *schedule = named != NULL ? merge_schedule(old, named) : json_deep_copy(old);
	int rc = 0;

	if (IS_NAMED(settings, timezone))
		rc |= json_object_set_new(schedule, "timezone", json_string(settings->timezone));
	rc |= json_object_set_new(copy, "schedule", schedule);
	for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
		json_t *value = json_object_get(entry, kept[i]);
		if (value != NULL && !json_is_null(value))
			rc |= json_object_set(copy, kept[i], value);
	}
	if (IS_NAMED(settings, paused))
		rc |= json_object_set_new(copy, "active", json_boolean(!settings->paused));
	if (rc != 0) {
		json_decref(copy);
		return NULL;
	}
	return copy;
}

static int keep_schedules(const struct settings *settings, const json_t *old, json_t *schedules, struct error *err)
{
	size_t i;
	json_t *entry;

	if (IS_NAMED(settings, timezone) && json_array_size(old) == 0)
		return error_set(err, ERR_USAGE, "--timezone: there is no schedule that it could be of; give --cron, --interval or --rrule too");
	json_array_foreach(old, i, entry)
		if (json_array_append_new(schedules, copy_schedule(settings, entry, NULL)) != 0)
			return error_nomem(err);
	return 0;
}

/* A schedule that takes the place of one that is switched off is not switched on by that. */
static bool new_schedule_active(const struct settings *settings, const json_t *existing, const json_t *old)
{
	size_t i;
	json_t *entry;

	if (IS_NAMED(settings, paused) || existing == NULL)
		return !settings->paused;
	json_array_foreach(old, i, entry)
		if (json_is_true(json_object_get(entry, "active")))
			return true;
	return json_array_size(old) == 0 && !json_is_true(json_object_get(existing, "paused"));
}

static int make_schedules(const struct settings *settings, const json_t *existing, json_t **ret_schedules, struct error *err)
{
	const json_t *old = json_object_get(existing, "schedules");
	const char *timezone = json_string_value(json_object_get(json_object_get(json_array_get(old, 0), "schedule"), "timezone"));
	AUTO_JSON *schedules = json_array();
	json_t *schedule = NULL;

	if (schedules == NULL)
		return error_nomem(err);
	if (IS_NAMED(settings, timezone) || timezone == NULL)
		timezone = settings->timezone;
	int rc = settings->no_schedule ? 0 : named_schedule(settings, timezone, &schedule, err);
	if (rc == 0 && schedule == NULL && !settings->no_schedule)
		rc = keep_schedules(settings, old, schedules, err);
	if (rc == 0 && schedule != NULL) {
		json_t *made = json_array_size(old) == 1 ? copy_schedule(settings, json_array_get(old, 0), schedule)
		                                         : json_pack("{s:o}", "schedule", schedule);
		bool active = new_schedule_active(settings, existing, old);
		rc = json_array_append_new(schedules, made) == 0 && json_object_set_new(made, "active", json_boolean(active)) == 0
		             ? 0
		             : error_nomem(err);
	}
	if (rc != 0)
		return rc;
	*ret_schedules = json_incref(schedules);
	return 0;
}

/* Appends the tags of @more that are not there yet. */
static int add_tags(json_t *tags, const json_t *more)
{
	size_t i;
	json_t *tag;

	json_array_foreach(more, i, tag)
		if (!json_list_has(tags, tag) && json_array_append(tags, tag) != 0)
			return -1;
	return 0;
}

/* Ours, those that the deployment has, and those that are named. */
static json_t *make_tags(const struct settings *settings, const json_t *existing)
{
	json_t *tags = json_pack("[s,s]", DEPLOY_TAG_AREA, DEPLOY_TAG_KIND);

	if (add_tags(tags, json_object_get(existing, "tags")) == 0 && add_tags(tags, settings->tags) == 0)
		return tags;
	json_decref(tags);
	return NULL;
}

/* What somebody wrote stays; the caller frees it. */
static char *make_description(const struct settings *settings, const json_t *existing)
{
	const char *theirs = json_text_of(existing, "description");

	if (settings->description != NULL)
		return text_dup(settings->description);
	return *theirs != '\0' ? text_dup(theirs) : database_cleanup_description();
}

/* The deployment's, with those that are named; NULL where nothing is named: the server leaves them alone then. */
static int make_job_variables(const struct settings *settings, const json_t *existing, json_t **ret_variables, struct error *err)
{
	AUTO_JSON *variables = json_object();
	json_t *old = json_object_get(existing, "job_variables");
	int64_t timeout_s = 0;

	int rc = timeout_seconds(settings, &timeout_s, err);
	if (rc != 0 || (timeout_s == 0 && json_array_size(settings->job_variables) == 0))
		return rc;
	if (variables == NULL || (json_is_object(old) && json_object_update(variables, old) != 0))
		return error_nomem(err);
	rc = parameters_read_pairs("--job-variable", settings->job_variables, variables, err);
	if (rc == 0 && timeout_s > 0 && json_object_set_new(variables, "approval_timeout", json_integer(timeout_s)) != 0)
		rc = error_nomem(err);
	if (rc == 0)
		*ret_variables = json_incref(variables);
	return rc;
}

/* What the server leaves alone where the body has nothing of it. */
static int add_rest(const struct settings *settings, const json_t *existing, json_t *body)
{
	const char *pool = json_string_value(json_object_get(existing, "work_pool_name"));
	json_t *queue = json_object_get(existing, "work_queue_name");
	int rc = 0;

	if (existing == NULL || IS_NAMED(settings, concurrency_limit)) {
		bool limited = settings->concurrency_limit > 0;
		rc |= json_object_set_new(body, "concurrency_limit", limited ? json_integer(settings->concurrency_limit) : json_null());
		rc |= json_object_set_new(body, "concurrency_options",
		                          limited ? json_pack("{s:s}", "collision_strategy", "ENQUEUE") : json_null());
	}
	/* Without it the server takes the pool's default queue. */
	if (pool != NULL && strcmp(pool, settings->pool) == 0 && json_is_string(queue))
		rc |= json_object_set(body, "work_queue_name", queue);
	return rc;
}

int deploy_body(const struct settings *settings, const json_t *existing, json_t **ret_body, struct error *err)
{
	AUTO_JSON *parameters = NULL;
	AUTO_JSON *schedules = NULL;
	AUTO_JSON *variables = NULL;
	AUTO_FREE char *description = make_description(settings, existing);
	bool paused = existing != NULL && !IS_NAMED(settings, paused) ? json_is_true(json_object_get(existing, "paused"))
	                                                              : settings->paused;

	int rc = make_parameters(settings, existing, &parameters, err);
	if (rc == 0)
		rc = make_schedules(settings, existing, &schedules, err);
	if (rc == 0)
		rc = make_job_variables(settings, existing, &variables, err);
	if (rc != 0)
		return rc;
	AUTO_JSON *body = json_pack("{s:s, s:s, s:O, s:o, s:b, s:O, s:s, s:o, s:s, s:b}", "name", settings->deployment_name,
	                            "description", description, "parameters", parameters, "parameter_openapi_schema",
	                            database_cleanup_schema(), "enforce_parameter_schema", 1, "schedules", schedules,
	                            "work_pool_name", settings->pool, "tags", make_tags(settings, existing), "entrypoint",
	                            "prefect-janitor:database-cleanup", "paused", paused);
	if (body == NULL || add_rest(settings, existing, body) != 0 ||
	    (variables != NULL && json_object_set(body, "job_variables", variables) != 0))
		return error_nomem(err);
	*ret_body = json_incref(body);
	return 0;
}

int deploy_body_check(const struct settings *settings, struct error *err)
{
	AUTO_JSON *parameters = NULL;
	AUTO_JSON *schedule = NULL;
	AUTO_JSON *variables = NULL;

	int rc = make_parameters(settings, NULL, &parameters, err);
	if (rc == 0)
		rc = make_job_variables(settings, NULL, &variables, err);
	return rc != 0 ? rc : named_schedule(settings, settings->timezone, &schedule, err);
}
