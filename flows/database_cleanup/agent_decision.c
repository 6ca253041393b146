#include "flows/database_cleanup/agent_decision.h"

#include <string.h>

#include "client/base/embed.h"
#include "client/base/json.h"
#include "client/base/text.h"

#define PROBLEMS_MAX (16 * 1024)
#define PROBLEM_LINES_MAX 20
/* Of a wrong value that is quoted. */
#define QUOTE_SIZE 80

EMBED_DECLARE(flows_database_cleanup_cleanup_decision_schema_json);

int agent_decision_schema(json_t **ret_schema, struct error *err)
{
	return json_read(EMBED_DATA(flows_database_cleanup_cleanup_decision_schema_json),
	                 EMBED_SIZE(flows_database_cleanup_cleanup_decision_schema_json), ret_schema, err);
}

static bool is_confidence(const json_t *value)
{
	double number = json_number_value(value);

	return json_is_number(value) && number >= 0 && number <= 1; /* NaN is neither */
}

/* A string without NUL of at most @max characters. */
static bool is_text(const json_t *value, size_t max)
{
	const char *text = json_string_value(value);
	size_t characters = 0;

	if (text == NULL || strlen(text) != json_string_length(value))
		return false;
	for (; *text != '\0'; text++)
		characters += ((unsigned char)*text & 0xc0) != 0x80;
	return characters <= max;
}

static bool is_approved(const json_t *value)
{
	return json_is_boolean(value);
}

static bool is_reasoning(const json_t *value)
{
	const char *text = json_string_value(value);

	return is_text(value, AGENT_REASONING_MAX) && text[strspn(text, " \t\r\n")] != '\0';
}

static bool are_concerns(const json_t *value)
{
	size_t i;
	json_t *concern;

	json_array_foreach(value, i, concern)
		if (!is_text(concern, AGENT_CONCERN_MAX))
			return false;
	return json_is_null(value) || (json_is_array(value) && json_array_size(value) <= AGENT_CONCERNS_MAX);
}

static const struct {
	const char *name;
	bool required;
	bool (*is_right)(const json_t *value);
	const char *wanted;
} fields[] = {
	{"approved", true, is_approved, "true or false, as a JSON boolean without quotes"},
	{"confidence", true, is_confidence, "a JSON number from 0 to 1, without quotes"},
	{"reasoning", true, is_reasoning, "text that is not empty, of at most 8000 characters"},
	{"concerns", false, are_concerns, "an array of at most 50 texts of at most 2000 characters each, or left out"},
};

static bool is_field(const char *name)
{
	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
		if (strcmp(fields[i].name, name) == 0)
			return true;
	return false;
}

/* @value as one short line. */
static void quote(const json_t *value, char ret_quote[QUOTE_SIZE])
{
	AUTO_FREE char *json = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));

	text_clean(ret_quote, QUOTE_SIZE, json != NULL ? json : "?", json != NULL ? strlen(json) : 1);
}

static void list_problems(const json_t *arguments, struct text *problems)
{
	char seen[QUOTE_SIZE];
	const char *name;
	json_t *value;
	int unknown = 0;

	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
		value = json_object_get(arguments, fields[i].name);
		if (value == NULL && fields[i].required) {
			text_addf(problems, "%s: is missing; it has to be %s\n", fields[i].name, fields[i].wanted);
		} else if (value != NULL && !fields[i].is_right(value)) {
			quote(value, seen);
			text_addf(problems, "%s: is %s; it has to be %s\n", fields[i].name, seen, fields[i].wanted);
		}
	}
	json_object_foreach((json_t *)(uintptr_t)arguments, name, value)
	{
		if (is_field(name) || ++unknown > PROBLEM_LINES_MAX)
			continue;
		text_clean(seen, sizeof seen, name, strlen(name));
		text_addf(problems, "%s: is no field of the decision; say it in the reasoning or the concerns\n", seen);
	}
}

static int report(struct text *problems, char **ret_problems, struct error *err)
{
	char *text = text_take(problems);

	if (text == NULL)
		return error_nomem(err);
	text[strlen(text) - 1] = '\0'; /* the last line break */
	*ret_problems = text;
	return error_set(err, ERR_INVALID, "no valid decision: %s", text);
}

int agent_decision_read(const json_t *arguments, struct agent_decision *ret_decision, char **ret_problems,
                        struct error *err)
{
	AUTO_TEXT problems = {.max = PROBLEMS_MAX};

	if (json_is_object(arguments))
		list_problems(arguments, &problems);
	else
		text_addf(&problems, "the decision: has to be a JSON object with approved, confidence and reasoning\n");
	if (problems.len > 0)
		return report(&problems, ret_problems, err);

	json_t *concerns = json_object_get(arguments, "concerns");
	struct agent_decision decision = {
		.approved = json_is_true(json_object_get(arguments, "approved")),
		.confidence = json_number_value(json_object_get(arguments, "confidence")),
		.reasoning = text_dup(json_string_value(json_object_get(arguments, "reasoning"))),
		.concerns = json_is_array(concerns) ? json_copy(concerns) : json_array(),
	};
	if (decision.reasoning == NULL || decision.concerns == NULL) {
		agent_decision_release(&decision);
		return error_nomem(err);
	}
	*ret_decision = decision;
	return 0;
}

void agent_decision_release(struct agent_decision *decision)
{
	free(decision->reasoning);
	json_decref(decision->concerns);
	*decision = (struct agent_decision){0};
}
