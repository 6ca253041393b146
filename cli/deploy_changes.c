#include "cli/deploy_changes.h"

#include <string.h>

#include "cli/deploy_body.h"
#include "client/base/json.h"
#include "client/base/text.h"
#include "flows/database_cleanup/database_cleanup.h"

#define VALUE_MAX 400
#define NO_SCHEDULE "none: start it with Quick run, or deploy with --cron"

static void add_clean(struct text *text, const char *value)
{
	char clean[VALUE_MAX];

	text_clean(clean, sizeof clean, value, strlen(value));
	text_addf(text, "%s", clean);
}

static void print_change(FILE *out, const char *name, const char *was, const char *is)
{
	if (*was != '\0' && *is == '\0')
		(void)fprintf(out, "%-10s  removed (was %s)\n", name, was);
	else if (strcmp(was, is) != 0)
		(void)fprintf(out, "%-10s  %s -> %s\n", name, *was != '\0' ? was : "none", is);
}

/* In the largest unit that leaves no rest. */
static void add_interval(struct text *text, double seconds)
{
	static const struct {
		double seconds;
		const char *unit;
	} units[] = {{86400, "day"}, {3600, "hour"}, {60, "minute"}, {1, "second"}};
	size_t i = 0;

	while (i < 3 && seconds / units[i].seconds != (double)(long long)(seconds / units[i].seconds))
		i++;
	double count = seconds / units[i].seconds;
	text_addf(text, "every %g %s%s", count, units[i].unit, count != 1 ? "s" : "");
}

void deploy_schedule_add(struct text *text, const json_t *entry)
{
	const json_t *schedule = json_object_get(entry, "schedule");
	const char *cron = json_string_value(json_object_get(schedule, "cron"));
	const char *rrule = json_string_value(json_object_get(schedule, "rrule"));
	const char *timezone = json_string_value(json_object_get(schedule, "timezone"));
	const char *start = rrule != NULL ? strrchr(rrule, '\n') : NULL; /* the server writes the rule's start before it */

	if (cron != NULL)
		add_clean(text, cron);
	else if (rrule != NULL)
		add_clean(text, start != NULL ? start + 1 : rrule);
	else
		add_interval(text, json_number_value(json_object_get(schedule, "interval")));
	text_addf(text, " (");
	add_clean(text, timezone != NULL ? timezone : "UTC");
	text_addf(text, ")%s", json_is_false(json_object_get(entry, "active")) ? ", switched off" : "");
}

static void add_schedules(struct text *text, const json_t *schedules)
{
	size_t i;
	json_t *entry;

	json_array_foreach(schedules, i, entry)
	{
		text_addf(text, "%s", i > 0 ? "; " : "");
		deploy_schedule_add(text, entry);
	}
}

static void print_schedule(const json_t *existing, const json_t *body, FILE *out)
{
	AUTO_TEXT was = {.max = 4096};
	AUTO_TEXT is = {.max = 4096};

	add_schedules(&was, json_object_get(existing, "schedules"));
	add_schedules(&is, json_object_get(body, "schedules"));
	if (existing != NULL && strcmp(text_str(&was), text_str(&is)) != 0)
		print_change(out, "schedule", text_str(&was), text_str(&is));
	else
		(void)fprintf(out, "schedule    %s\n", is.len > 0 ? text_str(&is) : NO_SCHEDULE);
}

static void add_value(struct text *text, const json_t *value)
{
	AUTO_FREE char *dump = json_is_string(value) || value == NULL ? NULL : json_dumps(value, JSON_ENCODE_ANY);

	if (json_is_string(value))
		add_clean(text, json_string_value(value));
	else if (dump != NULL)
		add_clean(text, dump);
}

static void print_parameter(const char *field, const json_t *old, const json_t *new, FILE *out)
{
	AUTO_TEXT was = {.max = VALUE_MAX};
	AUTO_TEXT is = {.max = VALUE_MAX};
	AUTO_TEXT name = {.max = VALUE_MAX};

	add_clean(&name, field);
	add_value(&was, old);
	add_value(&is, new);
	if (!json_equal(old, new))
		print_change(out, text_str(&name), text_str(&was), text_str(&is));
}

static void print_parameters(const json_t *existing, const json_t *body, FILE *out)
{
	json_t *old = json_object_get(json_object_get(existing, "parameters"), "config");
	json_t *new = json_object_get(json_object_get(body, "parameters"), "config");
	const char *field;
	json_t *value;

	json_object_foreach(new, field, value)
		print_parameter(field, json_object_get(old, field), value, out);
	json_object_foreach(old, field, value)
		if (json_object_get(new, field) == NULL)
			print_parameter(field, value, NULL, out);
}

/* "a, b": the tags that are not in @other; true where there is one. */
static bool add_tags(struct text *text, const json_t *tags, const json_t *other)
{
	size_t i;
	json_t *tag;

	json_array_foreach(tags, i, tag)
	{
		if (json_list_has(other, tag))
			continue;
		text_addf(text, "%s", text->len > 0 ? ", " : "");
		add_value(text, tag);
	}
	return text->len > 0;
}

static void print_tags(const json_t *existing, const json_t *body, FILE *out)
{
	const json_t *old = json_object_get(existing, "tags");
	const json_t *new = json_object_get(body, "tags");
	AUTO_TEXT more = {.max = VALUE_MAX};

	if (add_tags(&more, new, old))
		(void)fprintf(out, "tags        added: %s\n", text_str(&more));
}

/* Whole texts are not printed: they have many lines. */
static void print_description(const json_t *existing, const json_t *body, FILE *out)
{
	AUTO_FREE char *ours = database_cleanup_description();
	const char *description = json_text_of(body, "description");
	bool same = strcmp(json_text_of(existing, "description"), description) == 0;

	if (same && ours != NULL && strcmp(ours, description) != 0)
		(void)fprintf(out, "description  kept: it was edited; empty it in the UI and deploy again, to have this program's\n");
	else if (!same)
		(void)fprintf(out, "description  changed\n");
}

static void print_limit(const json_t *existing, const json_t *body, FILE *out)
{
	const json_t *limit = json_object_get(body, "concurrency_limit");
	AUTO_TEXT was = {.max = VALUE_MAX};
	AUTO_TEXT is = {.max = VALUE_MAX};

	if (limit == NULL) /* stays */
		return;
	add_value(&was, json_object_get(json_object_get(existing, "global_concurrency_limit"), "limit"));
	if (!json_is_null(limit))
		add_value(&is, limit);
	print_change(out, "concurrency limit", text_str(&was), text_str(&is));
}

static void print_timeout(const json_t *existing, const json_t *body, FILE *out)
{
	const json_t *new = json_object_get(json_object_get(body, "job_variables"), "approval_timeout");
	const json_t *old = json_object_get(json_object_get(existing, "job_variables"), "approval_timeout");
	AUTO_TEXT was = {.max = VALUE_MAX};
	AUTO_TEXT is = {.max = VALUE_MAX};

	if (new == NULL) /* stays */
		return;
	if (old != NULL)
		add_value(&was, old);
	add_value(&is, new);
	print_change(out, "approval timeout, in seconds", text_str(&was), text_str(&is));
}

static void print_pool(const json_t *existing, const json_t *body, FILE *out)
{
	const char *new = json_text_of(body, "work_pool_name");
	const char *old = json_text_of(existing, "work_pool_name"); /* none where the pool was deleted */
	AUTO_TEXT was = {.max = VALUE_MAX};

	add_clean(&was, old);
	if (*old == '\0')
		(void)fprintf(out, "moved       to work pool '%s'; it was in none\n", new);
	else if (strcmp(old, new) != 0)
		(void)fprintf(out, "moved       from work pool '%s' to '%s'\n", text_str(&was), new);
}

void deploy_changes_print(const json_t *existing, const json_t *body, FILE *out)
{
	print_schedule(existing, body, out);
	if (existing == NULL)
		return;
	print_pool(existing, body, out);
	print_parameters(existing, body, out);
	print_tags(existing, body, out);
	print_description(existing, body, out);
	print_limit(existing, body, out);
	print_timeout(existing, body, out);
	print_change(out, "paused", json_is_true(json_object_get(existing, "paused")) ? "yes" : "no",
	             json_is_true(json_object_get(body, "paused")) ? "yes" : "no");
	if (!json_equal(json_object_get(existing, "parameter_openapi_schema"), json_object_get(body, "parameter_openapi_schema")) ||
	    !json_is_true(json_object_get(existing, "enforce_parameter_schema")))
		(void)fprintf(out, "parameters  checked by the server as this program (" JANITOR_VERSION ") reads them\n");
}
