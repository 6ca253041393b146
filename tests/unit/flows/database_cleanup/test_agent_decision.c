/* What counts as a decision. The rows "lax" are what pydantic takes (recorded with 2.13), and what is refused here. */
#include "flows/database_cleanup/agent_decision.h"

#include <stdio.h>
#include <string.h>

#include "client/base/text.h"
#include "tests/unit/unit.h"

#define APPROVED "true or false, as a JSON boolean without quotes"
#define CONFIDENCE "a JSON number from 0 to 1, without quotes"
#define REASONING "text that is not empty, of at most 8000 characters"
#define CONCERNS "an array of at most 50 texts of at most 2000 characters each, or left out"
#define NO_OBJECT "the decision: has to be a JSON object with approved, confidence and reasoning"
/* A decision with one field replaced. */
#define WITH_APPROVED(json) "{\"approved\": " json ", \"confidence\": 0.9, \"reasoning\": \"r\"}"
#define WITH_CONFIDENCE(json) "{\"approved\": true, \"confidence\": " json ", \"reasoning\": \"r\"}"
#define WITH_REASONING(json) "{\"approved\": true, \"confidence\": 0.9, \"reasoning\": " json "}"
#define WITH_CONCERNS(json) "{\"approved\": true, \"confidence\": 0.9, \"reasoning\": \"r\", \"concerns\": " json "}"

static void takes_decisions(void)
{
	static const struct {
		const char *name;
		const char *json;
		bool approved;
		double confidence;
		const char *reasoning;
		const char *concerns;
	} rows[] = {
		{"all fields", "{\"approved\": true, \"confidence\": 0.9, \"reasoning\": \"routine\", \"concerns\": [\"a\", \"b\"]}",
		 true, 0.9, "routine", "[\"a\", \"b\"]"},
		{"no", WITH_APPROVED("false"), false, 0.9, "r", "[]"},
		{"confidence 0", WITH_CONFIDENCE("0"), true, 0, "r", "[]"},
		{"confidence 1", WITH_CONFIDENCE("1"), true, 1, "r", "[]"},
		{"confidence 0.0", WITH_CONFIDENCE("0.0"), true, 0, "r", "[]"},
		{"confidence -0.0", WITH_CONFIDENCE("-0.0"), true, 0, "r", "[]"},
		{"confidence 1e0", WITH_CONFIDENCE("1e0"), true, 1, "r", "[]"},
		{"confidence 5e-1", WITH_CONFIDENCE("5e-1"), true, 0.5, "r", "[]"},
		{"concerns null", WITH_CONCERNS("null"), true, 0.9, "r", "[]"},
		{"no concerns", WITH_CONCERNS("[]"), true, 0.9, "r", "[]"},
		{"text in other letters", WITH_REASONING("\"\\u00fcber \\ud83d\\ude00\""), true, 0.9, "\303\274ber \360\237\230\200", "[]"},
	};

	EACH(row, rows)
	{
		AUTO_JSON *json = unit_json(row->json);
		struct agent_decision decision;
		char *problems = NULL;
		struct error err;

		if (!CHECK_RC(row->name, agent_decision_read(json, &decision, &problems, &err), 0, &err)) {
			free(problems);
			continue;
		}
		CHECK_INT(row->name, decision.approved, row->approved);
		CHECK(row->name, decision.confidence >= row->confidence && decision.confidence <= row->confidence);
		CHECK_STR(row->name, decision.reasoning, row->reasoning);
		CHECK_JSON(row->name, decision.concerns, row->concerns);
		agent_decision_release(&decision);
		CHECK(row->name, decision.reasoning == NULL && decision.concerns == NULL);
	}
}

static void refuses_the_rest_with_exact_errors(void)
{
	static const struct {
		const char *name;
		const char *json; /* NULL: no object came */
		const char *problems;
	} rows[] = {
		{"lax: confidence \"0.8\"", WITH_CONFIDENCE("\"0.8\""), "confidence: is \"0.8\"; it has to be " CONFIDENCE},
		{"lax: confidence \" 0.8 \"", WITH_CONFIDENCE("\" 0.8 \""), "confidence: is \" 0.8 \"; it has to be " CONFIDENCE},
		{"lax: confidence true", WITH_CONFIDENCE("true"), "confidence: is true; it has to be " CONFIDENCE},
		{"lax: confidence false", WITH_CONFIDENCE("false"), "confidence: is false; it has to be " CONFIDENCE},
		{"confidence just above 1", WITH_CONFIDENCE("1.0000001"), "confidence: is 1.0000001; it has to be " CONFIDENCE},
		{"confidence in percent", WITH_CONFIDENCE("80"), "confidence: is 80; it has to be " CONFIDENCE},
		{"confidence huge", WITH_CONFIDENCE("1e308"), "confidence: is 1e308; it has to be " CONFIDENCE},
		{"confidence below 0", WITH_CONFIDENCE("-0.1"), "confidence: is -0.1; it has to be " CONFIDENCE},
		{"confidence \"nan\"", WITH_CONFIDENCE("\"nan\""), "confidence: is \"nan\"; it has to be " CONFIDENCE},
		{"confidence \"80%\"", WITH_CONFIDENCE("\"80%\""), "confidence: is \"80%\"; it has to be " CONFIDENCE},
		{"confidence \"high\"", WITH_CONFIDENCE("\"high\""), "confidence: is \"high\"; it has to be " CONFIDENCE},
		{"confidence \"\"", WITH_CONFIDENCE("\"\""), "confidence: is \"\"; it has to be " CONFIDENCE},
		{"confidence null", WITH_CONFIDENCE("null"), "confidence: is null; it has to be " CONFIDENCE},
		{"confidence [0.8]", WITH_CONFIDENCE("[0.8]"), "confidence: is [0.8]; it has to be " CONFIDENCE},
		{"lax: approved \"true\"", WITH_APPROVED("\"true\""), "approved: is \"true\"; it has to be " APPROVED},
		{"lax: approved \"True\"", WITH_APPROVED("\"True\""), "approved: is \"True\"; it has to be " APPROVED},
		{"lax: approved \"yes\"", WITH_APPROVED("\"yes\""), "approved: is \"yes\"; it has to be " APPROVED},
		{"lax: approved \"y\"", WITH_APPROVED("\"y\""), "approved: is \"y\"; it has to be " APPROVED},
		{"lax: approved \"T\"", WITH_APPROVED("\"T\""), "approved: is \"T\"; it has to be " APPROVED},
		{"lax: approved \"on\"", WITH_APPROVED("\"on\""), "approved: is \"on\"; it has to be " APPROVED},
		{"lax: approved \"1\"", WITH_APPROVED("\"1\""), "approved: is \"1\"; it has to be " APPROVED},
		{"lax: approved 1", WITH_APPROVED("1"), "approved: is 1; it has to be " APPROVED},
		{"lax: approved 1.0", WITH_APPROVED("1.0"), "approved: is 1.0; it has to be " APPROVED},
		{"lax: approved 0", WITH_APPROVED("0"), "approved: is 0; it has to be " APPROVED},
		{"lax: approved \"off\"", WITH_APPROVED("\"off\""), "approved: is \"off\"; it has to be " APPROVED},
		{"lax: approved \"n\"", WITH_APPROVED("\"n\""), "approved: is \"n\"; it has to be " APPROVED},
		{"approved \"approved\"", WITH_APPROVED("\"approved\""), "approved: is \"approved\"; it has to be " APPROVED},
		{"approved \" true \"", WITH_APPROVED("\" true \""), "approved: is \" true \"; it has to be " APPROVED},
		{"approved \"\"", WITH_APPROVED("\"\""), "approved: is \"\"; it has to be " APPROVED},
		{"approved 2", WITH_APPROVED("2"), "approved: is 2; it has to be " APPROVED},
		{"approved null", WITH_APPROVED("null"), "approved: is null; it has to be " APPROVED},
		{"approved 0.5", WITH_APPROVED("0.5"), "approved: is 0.5; it has to be " APPROVED},
		{"approved [true]", WITH_APPROVED("[true]"), "approved: is [true]; it has to be " APPROVED},
		{"lax: reasoning \"\"", WITH_REASONING("\"\""), "reasoning: is \"\"; it has to be " REASONING},
		{"lax: reasoning of spaces", WITH_REASONING("\" \\n\\t\""), "reasoning: is \" \\n\\t\"; it has to be " REASONING},
		{"reasoning null", WITH_REASONING("null"), "reasoning: is null; it has to be " REASONING},
		{"reasoning 5", WITH_REASONING("5"), "reasoning: is 5; it has to be " REASONING},
		{"reasoning [\"a\"]", WITH_REASONING("[\"a\"]"), "reasoning: is [\"a\"]; it has to be " REASONING},
		{"concerns \"one\"", WITH_CONCERNS("\"one\""), "concerns: is \"one\"; it has to be " CONCERNS},
		{"concerns {\"a\":1}", WITH_CONCERNS("{\"a\": 1}"), "concerns: is {\"a\":1}; it has to be " CONCERNS},
		{"concerns [\"a\",1]", WITH_CONCERNS("[\"a\", 1]"), "concerns: is [\"a\",1]; it has to be " CONCERNS},
		{"concerns [null]", WITH_CONCERNS("[null]"), "concerns: is [null]; it has to be " CONCERNS},
		{"concerns false", WITH_CONCERNS("false"), "concerns: is false; it has to be " CONCERNS},
		{"lax: one more field", "{\"approved\": true, \"confidence\": 1, \"reasoning\": \"r\", \"but\": \"not yet\"}",
		 "but: is no field of the decision; say it in the reasoning or the concerns"},
		{"other letters", "{\"Approved\": true, \"confidence\": 1, \"reasoning\": \"r\"}",
		 "approved: is missing; it has to be " APPROVED "\n"
		 "Approved: is no field of the decision; say it in the reasoning or the concerns"},
		{"a field that would break the line", "{\"approved\": true, \"confidence\": 1, \"reasoning\": \"r\", \"a\\nb\": 1}",
		 "a?b: is no field of the decision; say it in the reasoning or the concerns"},
		{"nothing at all", "{}", "approved: is missing; it has to be " APPROVED "\nconfidence: is missing; it has to be "
		 CONFIDENCE "\nreasoning: is missing; it has to be " REASONING},
		{"cut off", "{\"approved\": true}", "confidence: is missing; it has to be " CONFIDENCE
		 "\nreasoning: is missing; it has to be " REASONING},
		{"all wrong", "{\"approved\": \"yes\", \"confidence\": 1.5, \"reasoning\": 0, \"concerns\": 0}",
		 "approved: is \"yes\"; it has to be " APPROVED "\nconfidence: is 1.5; it has to be " CONFIDENCE
		 "\nreasoning: is 0; it has to be " REASONING "\nconcerns: is 0; it has to be " CONCERNS},
		{"an array", "[]", NO_OBJECT},
		{"text", "\"x\"", NO_OBJECT},
		{"null", "null", NO_OBJECT},
		{"true", "true", NO_OBJECT},
		{"none", NULL, NO_OBJECT},
	};

	EACH(row, rows)
	{
		AUTO_JSON *json = row->json != NULL ? unit_json(row->json) : NULL;
		AUTO_FREE char *problems = NULL;
		struct agent_decision decision = {.reasoning = NULL};
		struct error err;

		if (CHECK_RC(row->name, agent_decision_read(json, &decision, &problems, &err), ERR_INVALID, &err))
			CHECK_STR(row->name, problems, row->problems);
		CHECK(row->name, decision.reasoning == NULL && !decision.approved);
		agent_decision_release(&decision);
	}
}

/* "{approved, confidence, reasoning of @reasoning characters, @concerns times a concern of @length characters}". */
static json_t *large(size_t reasoning, size_t concerns, size_t length)
{
	AUTO_TEXT text = {.max = 1 << 20};
	json_t *list = json_array();

	for (size_t i = 0; i < reasoning || i < length; i++)
		text_addf(&text, "\303\274");
	for (size_t i = 0; i < concerns; i++)
		(void)json_array_append_new(list, json_stringn(text_str(&text), 2 * length));
	return json_pack("{s:b, s:f, s:o, s:o}", "approved", 1, "confidence", 1.0, "reasoning",
	                 json_stringn(text_str(&text), 2 * reasoning), "concerns", list);
}

static void keeps_to_its_limits(void)
{
	const struct {
		const char *name;
		json_t *json; /* owned */
		int rc;
		const char *problem;
	} rows[] = {
		{"the longest reasoning", large(AGENT_REASONING_MAX, 1, 1), 0, NULL},
		{"a longer one", large(AGENT_REASONING_MAX + 1, 1, 1), ERR_INVALID, "reasoning: is \""},
		{"the longest concerns", large(1, AGENT_CONCERNS_MAX, AGENT_CONCERN_MAX), 0, NULL},
		{"one too many", large(1, AGENT_CONCERNS_MAX + 1, 1), ERR_INVALID, "concerns: is [\""},
		{"one too long", large(1, 1, AGENT_CONCERN_MAX + 1), ERR_INVALID, "concerns: is [\""},
		{"NUL in the reasoning", json_pack("{s:b, s:f, s:o}", "approved", 1, "confidence", 1.0, "reasoning",
		                                   json_stringn("a\0b", 3)), ERR_INVALID, "reasoning: is \"a\\u0000b\""},
		{"NUL in a concern", json_pack("{s:b, s:f, s:s, s:[o]}", "approved", 1, "confidence", 1.0, "reasoning", "r",
		                               "concerns", json_stringn("\0", 1)), ERR_INVALID, "concerns: is [\"\\u0000\"]"},
	};

	EACH(row, rows)
	{
		AUTO_FREE char *problems = NULL;
		struct agent_decision decision = {.reasoning = NULL};
		struct error err;

		CHECK_RC(row->name, agent_decision_read(row->json, &decision, &problems, &err), row->rc, &err);
		if (row->rc != 0)
			CHECK_HAS(row->name, problems, row->problem);
		agent_decision_release(&decision);
		json_decref(row->json);
	}
}

/* However much nonsense comes, what goes back to the model stays small. */
static void lists_only_so_many_unknown_fields(void)
{
	AUTO_JSON *json = unit_json(WITH_APPROVED("true"));
	AUTO_FREE char *problems = NULL;
	struct agent_decision decision;
	struct error err;
	char name[8200];

	for (int i = 0; i < 500; i++) {
		(void)snprintf(name, sizeof name, "%08000d", i);
		(void)json_object_set_new(json, name, json_null());
	}
	if (CHECK_RC("many", agent_decision_read(json, &decision, &problems, &err), ERR_INVALID, &err))
		CHECK("many", strlen(problems) < 4096);
}

/* What the schema promises the model is what the check takes: required fields, bounds, nothing else. */
static void agrees_with_its_schema(void)
{
	AUTO_JSON *schema = NULL;
	AUTO_JSON *decision_json = unit_json(WITH_CONCERNS("[\"c\"]"));
	struct error err;
	const char *name;
	json_t *value;

	if (!CHECK_RC("schema", agent_decision_schema(&schema, &err), 0, &err))
		return;
	const json_t *properties = json_object_get(schema, "properties");
	CHECK_JSON("required", json_object_get(schema, "required"), "[\"approved\", \"confidence\", \"reasoning\"]");
	CHECK("no other fields", json_is_false(json_object_get(schema, "additionalProperties")));
	CHECK_INT("fields", json_object_size(properties), json_object_size(decision_json));
	json_object_foreach(decision_json, name, value)
		CHECK(name, json_object_get(properties, name) != NULL);

	const json_t *concerns = json_array_get(json_object_get(json_object_get(properties, "concerns"), "anyOf"), 0);
	CHECK_INT("reasoning", json_integer_value(json_object_get(json_object_get(properties, "reasoning"), "maxLength")),
	          AGENT_REASONING_MAX);
	CHECK_INT("concerns", json_integer_value(json_object_get(concerns, "maxItems")), AGENT_CONCERNS_MAX);
	CHECK_INT("concern", json_integer_value(json_object_get(json_object_get(concerns, "items"), "maxLength")),
	          AGENT_CONCERN_MAX);
}

UNIT_SUITE("flows/database_cleanup/agent_decision", TEST(takes_decisions), TEST(refuses_the_rest_with_exact_errors),
           TEST(keeps_to_its_limits), TEST(lists_only_so_many_unknown_fields), TEST(agrees_with_its_schema))
