/* What a verdict comes to by the guard rails, and how it is stored. */
#include "flows/database_cleanup/agent_verdict.h"

#include <stdio.h>
#include <string.h>

#include "client/base/text.h"
#include "tests/unit/unit.h"

#define DAY_US (INT64_C(86400) * US_PER_SEC)
#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static char retention[] = "P30D";

static struct plan plan_of(int64_t total)
{
	struct plan plan = {.planned_at = 100 * DAY_US, .cutoff = 70 * DAY_US, .retention = retention, .total = total};

	(void)snprintf(plan.digest, sizeof plan.digest, "%s", DIGEST);
	return plan;
}

/* As the options are by default, with a key. */
static char key[] = "sk-1";
#define LIMITS(confidence, runs, ...) \
	{.enabled = -1, .anthropic_key = key, .min_confidence = confidence, .max_runs = runs, __VA_ARGS__}
#define SETTINGS(...) LIMITS(0.8, 1000, __VA_ARGS__)

static char least[] = "P31D";

static const struct {
	const char *name;
	struct ai_settings settings;
	bool approved;
	double confidence;
	int64_t investigated;
	int64_t total;
	const char *unsure; /* what the agent itself came to, in place of a decision */
	bool want;
	const char *rule;   /* a part of it; NULL: none is broken */
	bool ask_person;
} rows[] = {
	{"a yes", SETTINGS(.mode = 0), true, 0.9, 1, 10, NULL, true, NULL, false},
	{"a no", SETTINGS(.mode = 0), false, 0.9, 1, 10, NULL, false, NULL, false},
	{"a no that is not sure", SETTINGS(.mode = 0), false, 0.1, 0, 10, NULL, false, NULL, false},
	{"just confident enough", SETTINGS(.mode = 0), true, 0.8, 1, 10, NULL, true, NULL, false},
	{"not confident", SETTINGS(.mode = 0), true, 0.79, 1, 10, NULL, false, "confidence 0.79 is below the minimum 0.8", false},
	{"certain, and that is needed", LIMITS(1, 1000, .mode = 0), true, 1, 1, 10, NULL, true, NULL, false},
	{"nothing is needed", LIMITS(0, 1000, .mode = 0), true, 0, 1, 10, NULL, true, NULL, false},
	{"without a look", SETTINGS(.mode = 0), true, 1, 0, 10, NULL, false, "without one successful investigation", false},
	{"as many as it may", SETTINGS(.mode = 0), true, 1, 1, 1000, NULL, true, NULL, false},
	{"one more", SETTINGS(.mode = 0), true, 1, 1, 1001, NULL, false, "1001 flow runs are more than the 1000", false},
	{"none at all", LIMITS(0.8, 0, .mode = 0), true, 1, 1, 1, NULL, false, "1 flow runs are more than the 0", false},
	{"old enough", SETTINGS(.min_retention = retention, .min_retention_us = 30 * DAY_US), true, 1, 1, 10, NULL, true, NULL, false},
	{"too young", SETTINGS(.min_retention = least, .min_retention_us = 31 * DAY_US), true, 1, 1, 10, NULL, false,
	 "the retention period P30D is shorter than the P31D", false},
	{"switched off", {.enabled = 0, .anthropic_key = key, .max_runs = 10}, true, 1, 1, 10, NULL, false, "switched off", false},
	{"not configured", {.enabled = -1, .max_runs = 10}, true, 1, 1, 10, NULL, false, "switched off", false},
	{"switched on", {.enabled = 1, .max_runs = 10}, true, 1, 1, 10, NULL, true, NULL, false},
	{"all at once", LIMITS(0.8, 1, .mode = 0), true, 0.5, 0, 10, NULL, false, "investigation of the server; the agent's confidence", false},
	{"unsure", SETTINGS(.mode = 0), false, 0, 1, 10, "the model refused", false, "the model refused", false},
	/* who is asked then */
	{"unsure, and a person is asked", SETTINGS(.on_unsure = AI_UNSURE_HUMAN), false, 0, 1, 10, "refused", false, "refused", true},
	{"beyond, and a person is asked", SETTINGS(.on_unsure = AI_UNSURE_HUMAN), true, 0.5, 1, 10, NULL, false, "confidence", true},
	{"sure, and nobody is asked", SETTINGS(.on_unsure = AI_UNSURE_HUMAN), true, 0.9, 1, 10, NULL, true, NULL, false},
	{"a no asks nobody", SETTINGS(.on_unsure = AI_UNSURE_HUMAN), false, 0.9, 1, 10, NULL, false, NULL, false},
	{"advice: yes", SETTINGS(.mode = AI_MODE_ADVISE), true, 1, 1, 10, NULL, false, NULL, true},
	{"advice: no", SETTINGS(.mode = AI_MODE_ADVISE), false, 1, 1, 10, NULL, false, NULL, true},
	{"advice: unsure", SETTINGS(.mode = AI_MODE_ADVISE), true, 0.1, 1, 10, NULL, false, "confidence", true},
};

static struct agent_verdict verdict_of(bool approved, double confidence, int64_t investigated, const char *unsure)
{
	struct agent_verdict verdict = {.decided_at = 5 * US_PER_SEC, .investigated = investigated, .model = text_dup("m"),
	                                .asked = AGENT_ASKED_TO_DECIDE};

	if (unsure != NULL) {
		verdict.unsure = text_dup(unsure);
		return verdict;
	}
	verdict.has_decision = true;
	verdict.decision = (struct agent_decision){.approved = approved, .confidence = confidence, .reasoning = text_dup("Because."),
	                                           .concerns = unit_json("[\"a\", \"b\"]")};
	return verdict;
}

static void counts_only_within_the_guard_rails(void)
{
	EACH(row, rows)
	{
		struct agent_verdict verdict = verdict_of(row->approved, row->confidence, row->investigated, row->unsure);
		struct plan plan = plan_of(row->total);
		struct decision decision = {0};
		struct error err;
		bool ask = !row->ask_person;

		if (CHECK_RC(row->name, agent_verdict_judge(&verdict, &plan, &row->settings, &decision, &ask, &err), 0, &err)) {
			CHECK_INT(row->name, decision.approved, row->want);
			CHECK_INT(row->name, ask, row->ask_person);
			CHECK_STR(row->name, decision.by, "an AI agent");
			const char *rule = json_string_value(json_object_get(decision.advice, "unsure"));
			CHECK_HAS(row->name, rule != NULL ? rule : "", row->rule != NULL ? row->rule : "");
			CHECK_INT(row->name, rule != NULL, row->rule != NULL);
			CHECK_STR(row->name, decision.notes, rule != NULL ? rule : "Because.");
		}
		decision_release(&decision);
		agent_verdict_release(&verdict);
	}
}

static void is_stored_and_read(void)
{
	struct plan plan = plan_of(10);

	for (int unsure = 0; unsure < 2; unsure++) {
		const char *name = unsure ? "unsure" : "decision";
		struct agent_verdict verdict = verdict_of(true, 0.95, 3, unsure ? "because" : NULL);
		struct agent_verdict again = {0};
		struct error err;
		AUTO_JSON *json = agent_verdict_encode(&verdict, &plan);
		CHECK_JSON(name, json,
		           unsure ? "{\"version\": 1, \"plan\": \"" DIGEST "\", \"decided_at\": \"1970-01-01T00:00:05Z\", \"decision\": null, "
		                    "\"unsure\": \"because\", \"investigated\": 3, \"model\": \"m\", \"mode\": \"decide\", \"broken\": null}"
		                  : "{\"version\": 1, \"plan\": \"" DIGEST "\", \"decided_at\": \"1970-01-01T00:00:05Z\", \"decision\": "
		                    "{\"approved\": true, \"confidence\": 0.95, \"reasoning\": \"Because.\", \"concerns\": [\"a\", \"b\"]}, "
		                    "\"unsure\": null, \"investigated\": 3, \"model\": \"m\", \"mode\": \"decide\", \"broken\": null}");
		CHECK_RC(name, agent_verdict_decode(json, &plan, &again, &err), 0, &err);
		AUTO_JSON *twice = agent_verdict_encode(&again, &plan);
		CHECK(name, json_equal(json, twice));
		agent_verdict_release(&verdict);
		agent_verdict_release(&again);
	}
}

#define STORED(plan, rest) "{\"version\": 1, \"plan\": \"" plan "\", \"decided_at\": \"2026-11-21T06:34:21Z\", \"model\": \"m\", " rest "}"
#define YES "\"decision\": {\"approved\": true, \"confidence\": 1, \"reasoning\": \"x\"}"

static void takes_only_what_was_stored(void)
{
	static const struct {
		const char *name;
		const char *json;
		int rc;
	} stored[] = {
		{"as it should be", STORED(DIGEST, YES ", \"investigated\": 1"), 0},
		{"before it was stored what it was asked for", STORED(DIGEST, YES ", \"investigated\": 1, \"mode\": null"), 0},
		{"asked for something else", STORED(DIGEST, YES ", \"investigated\": 1, \"mode\": \"x\""), 0},
		{"another plan", STORED("0123", YES ", \"investigated\": 1"), ERR_NOT_FOUND},
		{"another version", "{\"version\": 2, \"plan\": \"" DIGEST "\", \"decided_at\": \"2026-11-21T06:34:21Z\", \"model\": \"m\", "
		                    "\"investigated\": 1, " YES "}", ERR_DECODE},
		{"both", STORED(DIGEST, YES ", \"unsure\": \"x\", \"investigated\": 1"), ERR_DECODE},
		{"neither", STORED(DIGEST, "\"investigated\": 1"), ERR_DECODE},
		{"an empty rule", STORED(DIGEST, "\"unsure\": \"\", \"investigated\": 1"), ERR_DECODE},
		{"a yes in words", STORED(DIGEST, "\"decision\": {\"approved\": \"true\", \"confidence\": 1, \"reasoning\": \"x\"}, "
		                                  "\"investigated\": 1"), ERR_DECODE},
		{"more than certain", STORED(DIGEST, "\"decision\": {\"approved\": true, \"confidence\": 80, \"reasoning\": \"x\"}, "
		                                     "\"investigated\": 1"), ERR_DECODE},
		{"how many looks?", STORED(DIGEST, YES), ERR_DECODE},
		{"a list", "[]", ERR_DECODE},
		{"nothing", "{}", ERR_DECODE},
		{"text", "\"yes\"", ERR_DECODE},
	};
	struct plan plan = plan_of(10);

	EACH(row, stored)
	{
		struct agent_verdict verdict = {.investigated = -7};
		struct error err;
		AUTO_JSON *json = json_loads(row->json, JSON_DECODE_ANY, NULL);

		CHECK_RC(row->name, agent_verdict_decode(json, &plan, &verdict, &err), row->rc, &err);
		CHECK_INT(row->name, verdict.investigated, row->rc == 0 ? 1 : -7);
		if (row->rc == 0)
			agent_verdict_release(&verdict);
	}
}

/* Settings may have changed between the question and the time when its answer is used. */
static void counts_then_and_now(void)
{
	static const struct {
		const char *name;
		struct ai_settings then;
		struct ai_settings now;
		const char *without; /* a field that is not stored */
		bool want;
		const char *rule;
		bool ask_person;
	} changes[] = {
		{"no change", SETTINGS(.mode = 0), SETTINGS(.mode = 0), "", true, "", false},
		{"wider", LIMITS(0.8, 9, .mode = 0), SETTINGS(.mode = 0), "", false,
		 "when the agent was asked: 10 flow runs are more than the 9", false},
		{"wider, a person is asked", LIMITS(0.95, 9, .mode = 0), SETTINGS(.on_unsure = AI_UNSURE_HUMAN), "", false,
		 "when the agent was asked: the agent's confidence", true},
		{"as narrow as it was", LIMITS(0.8, 9, .mode = 0), LIMITS(0.8, 9, .mode = 0), "", false, "10 flow runs are more", false},
		{"narrower", SETTINGS(.mode = 0), LIMITS(0.8, 9, .mode = 0), "", false, "10 flow runs are more than the 9", false},
		{"narrow in another way", LIMITS(0.8, 8, .mode = 0), LIMITS(0.8, 9, .mode = 0), "", false,
		 "than the 9 that AI may approve at once (PREFECT_JANITOR_AI_MAX_RUNS); when the agent was asked: 10 flow runs are more than "
		 "the 8", false},
		{"only advice, now it may decide", SETTINGS(.mode = AI_MODE_ADVISE), SETTINGS(.mode = 0), "", false, "", true},
		{"might decide, now it advises", SETTINGS(.mode = 0), SETTINGS(.mode = AI_MODE_ADVISE), "", false, "", true},
		{"stored without", SETTINGS(.mode = 0), SETTINGS(.mode = 0), "mode", false, "does not say under which guard rails", false},
	};
	struct plan plan = plan_of(10);

	EACH(row, changes)
	{
		struct agent_verdict verdict = verdict_of(true, 0.9, 1, NULL);
		struct agent_verdict read = {0};
		struct decision decision = {0};
		struct error err;
		bool ask = !row->ask_person;

		CHECK_RC(row->name, agent_verdict_settle(&verdict, &plan, &row->then, &err), 0, &err);
		AUTO_JSON *json = agent_verdict_encode(&verdict, &plan);
		(void)json_object_del(json, row->without);
		CHECK_RC(row->name, agent_verdict_decode(json, &plan, &read, &err), 0, &err);
		CHECK_RC(row->name, agent_verdict_judge(&read, &plan, &row->now, &decision, &ask, &err), 0, &err);
		CHECK_INT(row->name, decision.approved, row->want);
		CHECK_INT(row->name, ask, row->ask_person);
		const char *rule = json_string_value(json_object_get(decision.advice, "unsure"));
		CHECK_INT(row->name, rule != NULL, *row->rule != '\0');
		CHECK_HAS(row->name, rule != NULL ? rule : "", row->rule);
		if (strcmp(row->name, "as narrow as it was") == 0)
			CHECK_LACKS(row->name, rule != NULL ? rule : "", "when the agent was asked");
		decision_release(&decision);
		agent_verdict_release(&verdict);
		agent_verdict_release(&read);
	}
}

static void is_harmless_in_the_form(void)
{
	AUTO_JSON *advice = unit_json("{\"model\": \"m|x\", \"approved\": true, \"confidence\": 0.75, \"reasoning\": \"# Yes\\n\\n<b>![x](y)\", "
	                              "\"concerns\": [\"`a`\", \"b\"], \"unsure\": \"too *many*\"}");
	AUTO_JSON *bare = unit_json("{\"model\": \"\", \"unsure\": \"switched off\"}");
	AUTO_TEXT text = {.max = 10000};

	agent_advice_markdown(advice, &text);
	CHECK_HAS("advice", text_str(&text), "It would approve it, with confidence 0.75:");
	CHECK_HAS("advice", text_str(&text), "Its concerns:\n\n- \\`a\\`\n- b\n");
	CHECK_HAS("advice", text_str(&text), "Its answer carries no approval: too \\*many\\*");
	CHECK_LACKS("advice", text_str(&text), "<b>");
	CHECK_LACKS("advice", text_str(&text), "\n# Yes");
	CHECK_LACKS("advice", text_str(&text), "](");
	agent_advice_markdown(bare, &text);
	CHECK_HAS("nothing but the rule", text_str(&text), "you decide.**\n\nIts answer carries no approval: switched off\n");
}

/* Whatever an agent writes, the person gets the form. */
static void fits_into_the_form(void)
{
	static const struct {
		const char *name;
		size_t room;
		bool all;
		const char *tail;
	} rooms[] = {
		{"room for all", 160 * 1024, true, NULL},
		{"room for some", 96 * 1024, false, "- ... and "},
		{"room for none", AGENT_ADVICE_ROOM - 5000, false, "- ... and 50 more\n"},
		{"beside the largest preview", AGENT_ADVICE_ROOM, false, "- ... and "},
	};
	static char hostile[8001];
	AUTO_JSON *advice = json_pack("{s:b, s:f}", "approved", 1, "confidence", 1.0);
	json_t *concerns = json_array();

	memset(hostile, '&', sizeof hostile - 1);
	for (int i = 0; i < 50; i++)
		(void)json_array_append_new(concerns, json_stringn(hostile, 2000));
	(void)json_object_set_new(advice, "reasoning", json_string(hostile));
	(void)json_object_set_new(advice, "unsure", json_string(hostile));
	(void)json_object_set_new(advice, "model", json_string(hostile));
	(void)json_object_set_new(advice, "concerns", concerns);
	EACH(row, rooms)
	{
		AUTO_TEXT text = {.max = row->room};

		agent_advice_markdown(advice, &text);
		CHECK(row->name, !text.failed);
		CHECK_HAS(row->name, text_str(&text), "; what it did is in the artifact cleanup-ai-transcript of this run\n");
		CHECK_HAS(row->name, text_str(&text), "Its answer carries no approval: &amp;");
		if (row->tail != NULL)
			CHECK_HAS(row->name, text_str(&text), row->tail);
		CHECK(row->name, (strstr(text_str(&text), "... and ") == NULL) == row->all);
	}
}

UNIT_SUITE("flows/database_cleanup/agent_verdict", TEST(counts_only_within_the_guard_rails), TEST(is_stored_and_read),
           TEST(counts_then_and_now), TEST(takes_only_what_was_stored), TEST(is_harmless_in_the_form), TEST(fits_into_the_form))
