#include "flows/database_cleanup/agent_verdict.h"

#include <inttypes.h>
#include <string.h>

#include "flows/database_cleanup/guard_rails.h"

#define VERSION 1
#define RULE_MAX 4000
#define BROKEN_MAX 1500 /* of those that are stored */
/* Of texts that people read, in bytes. */
#define NOTES_MAX 4000
#define CONCERN_MAX 500
#define UNSURE_MAX 1000
#define MODEL_MAX 100
/* Of what follows the concerns, in bytes: each character may be written as five (text_add_markdown()). */
#define TAIL_MAX (5 * (UNSURE_MAX + MODEL_MAX) + 400)

int agent_verdict_unsure(const char *rule, const char *model, time_us at, struct agent_verdict *ret_verdict,
                         struct error *err)
{
	struct agent_verdict verdict = {.decided_at = at, .unsure = text_dup(rule), .model = text_dup(model)};

	if (verdict.unsure == NULL || verdict.model == NULL) {
		agent_verdict_release(&verdict);
		return error_nomem(err);
	}
	*ret_verdict = verdict;
	return 0;
}

void agent_verdict_release(struct agent_verdict *verdict)
{
	agent_decision_release(&verdict->decision);
	free(verdict->unsure);
	free(verdict->model);
	free(verdict->broken);
	*verdict = (struct agent_verdict){0};
}

struct stored_verdict {
	int64_t version;
	char *plan;
	time_us decided_at;
	json_t *decision;
	char *unsure;
	int64_t investigated;
	char *model;
	int asked;
	char *broken;
};

static const struct json_name asked_names[] = {
	{"decide", AGENT_ASKED_TO_DECIDE}, {"advise", AGENT_ASKED_TO_ADVISE}, {NULL, AGENT_ASKED_UNKNOWN},
};

static const struct json_field stored_fields[] = {
	{"version", JSON_KIND_INT, offsetof(struct stored_verdict, version), true, NULL},
	{"plan", JSON_KIND_TEXT, offsetof(struct stored_verdict, plan), true, NULL},
	{"decided_at", JSON_KIND_TIME, offsetof(struct stored_verdict, decided_at), true, NULL},
	{"decision", JSON_KIND_ANY, offsetof(struct stored_verdict, decision), false, NULL},
	{"unsure", JSON_KIND_TEXT, offsetof(struct stored_verdict, unsure), false, NULL},
	{"investigated", JSON_KIND_INT, offsetof(struct stored_verdict, investigated), true, NULL},
	{"model", JSON_KIND_TEXT, offsetof(struct stored_verdict, model), true, NULL},
	{"mode", JSON_KIND_ENUM, offsetof(struct stored_verdict, asked), false, asked_names},
	{"broken", JSON_KIND_TEXT, offsetof(struct stored_verdict, broken), false, NULL},
};

static const char *asked_name(enum agent_asked asked)
{
	return asked == AGENT_ASKED_TO_DECIDE ? "decide" : asked == AGENT_ASKED_TO_ADVISE ? "advise" : NULL;
}

json_t *agent_verdict_encode(const struct agent_verdict *verdict, const struct plan *plan)
{
	const struct agent_decision *d = &verdict->decision;
	AUTO_JSON *decision =
		verdict->has_decision ? json_pack("{s:b, s:f, s:s, s:O}", "approved", d->approved, "confidence", d->confidence,
	                                      "reasoning", d->reasoning, "concerns", d->concerns)
							  : json_null();

	return json_pack("{s:i, s:s, s:o, s:O, s:s?, s:I, s:s, s:s?, s:s?}", "version", VERSION, "plan", plan->digest, "decided_at",
	                 json_time(verdict->decided_at), "decision", decision, "unsure", verdict->unsure, "investigated",
	                 (json_int_t)verdict->investigated, "model", verdict->model, "mode", asked_name(verdict->asked),
	                 "broken", verdict->broken);
}

/* ERR_NOT_FOUND where it is about another plan, ERR_DECODE where it is nothing that this worker writes. */
static int decode_stored(struct stored_verdict *stored, const struct plan *plan, struct agent_verdict *ret_verdict,
                         struct error *err)
{
	struct agent_verdict verdict = {.decided_at = stored->decided_at, .investigated = stored->investigated,
	                                .asked = (enum agent_asked)stored->asked};
	AUTO_FREE char *problems = NULL;

	if (stored->version != VERSION)
		return error_set(err, ERR_DECODE, "it is of version %" PRId64, stored->version);
	if (strcmp(stored->plan, plan->digest) != 0)
		return error_set(err, ERR_NOT_FOUND, "it is about another plan");
	if ((stored->decision == NULL) == (stored->unsure == NULL || stored->unsure[0] == '\0'))
		return error_set(err, ERR_DECODE, "it is neither a decision nor unsure");
	if (stored->decision != NULL) {
		int rc = agent_decision_read(stored->decision, &verdict.decision, &problems, err);
		if (rc != 0)
			return rc == ERR_INVALID ? error_prefix(err, ERR_DECODE, "it") : rc;
		verdict.has_decision = true;
	}
	verdict.unsure = stored->unsure;
	verdict.model = stored->model;
	verdict.broken = stored->broken;
	stored->unsure = NULL;
	stored->model = NULL;
	stored->broken = NULL;
	*ret_verdict = verdict;
	return 0;
}

int agent_verdict_decode(const json_t *json, const struct plan *plan, struct agent_verdict *ret_verdict, struct error *err)
{
	struct stored_verdict stored;

	int rc = json_decode(json, JSON_TABLE(stored_fields), &stored, sizeof stored, err);
	if (rc == 0) {
		rc = decode_stored(&stored, plan, ret_verdict, err);
		json_release(JSON_TABLE(stored_fields), &stored);
	}
	return rc == ERR_DECODE ? error_prefix(err, rc, "the stored decision (input '" AGENT_DECISION_KEY "')") : rc;
}

int agent_verdict_settle(struct agent_verdict *verdict, const struct plan *plan, const struct ai_settings *settings,
                         struct error *err)
{
	AUTO_TEXT broken = {.max = RULE_MAX};

	verdict->asked = settings->mode == AI_MODE_ADVISE ? AGENT_ASKED_TO_ADVISE : AGENT_ASKED_TO_DECIDE;
	if (!verdict->has_decision || !verdict->decision.approved)
		return 0;
	guard_rails_check(settings, plan, &verdict->decision, verdict->investigated, &broken);
	if (broken.failed)
		return error_nomem(err);
	if (broken.len > 0 && (verdict->broken = text_take(&broken)) == NULL)
		return error_nomem(err);
	return 0;
}

/* The yes did not count when it was given: what is allowed now does not change that. */
static void add_stored_rule(const struct agent_verdict *verdict, struct text *rule)
{
	const char *between = rule->len > 0 ? "; " : "";

	if (verdict->asked == AGENT_ASKED_UNKNOWN)
		text_addf(rule, "%sthe stored decision does not say under which guard rails it was given", between);
	if (verdict->broken == NULL || strcmp(verdict->broken, text_str(rule)) == 0)
		return;
	AUTO_FREE char *cut = text_cut(verdict->broken, BROKEN_MAX);
	text_addf(rule, "%swhen the agent was asked: %s", rule->len > 0 ? "; " : "", cut != NULL ? cut : "");
}

/* Why it carries no approval: nothing where it is a no, or a yes that counts. */
static void find_rule(const struct agent_verdict *verdict, const struct plan *plan, const struct ai_settings *settings,
                      struct text *rule)
{
	if (!verdict->has_decision) {
		text_addf(rule, "%s", verdict->unsure);
	} else if (verdict->decision.approved) {
		guard_rails_check(settings, plan, &verdict->decision, verdict->investigated, rule);
		add_stored_rule(verdict, rule);
	}
}

static json_t *make_advice(const struct agent_verdict *verdict, const struct ai_settings *settings, const char *rule)
{
	const struct agent_decision *d = &verdict->decision;
	json_t *advice = json_pack("{s:s, s:I, s:o, s:s*}", "model", verdict->model, "investigated",
	                           (json_int_t)verdict->investigated, "guard_rails", guard_rails_json(settings), "unsure",
	                           *rule != '\0' ? rule : NULL);

	if (advice != NULL && verdict->has_decision &&
	    (json_object_set_new(advice, "approved", json_boolean(d->approved)) != 0 ||
	     json_object_set_new(advice, "confidence", json_real(d->confidence)) != 0 ||
	     json_object_set_new(advice, "reasoning", json_string(d->reasoning)) != 0 ||
	     json_object_set(advice, "concerns", d->concerns) != 0)) {
		json_decref(advice);
		return NULL;
	}
	return advice;
}

json_t *agent_verdict_advice(const struct agent_verdict *verdict, const struct plan *plan, const struct ai_settings *settings)
{
	AUTO_TEXT rule = {.max = RULE_MAX};

	find_rule(verdict, plan, settings, &rule);
	return make_advice(verdict, settings, text_str(&rule));
}

int agent_verdict_judge(const struct agent_verdict *verdict, const struct plan *plan, const struct ai_settings *settings,
                        struct decision *ret_decision, bool *ret_ask_person, struct error *err)
{
	AUTO_TEXT rule = {.max = RULE_MAX};

	find_rule(verdict, plan, settings, &rule);
	bool unsure = rule.len > 0 || rule.failed || !verdict->has_decision;
	bool advises = settings->mode == AI_MODE_ADVISE || verdict->asked == AGENT_ASKED_TO_ADVISE;
	struct decision decision = {
		.approved = verdict->has_decision && verdict->decision.approved && !unsure && !advises,
		.notes = text_cut(unsure ? text_str(&rule) : verdict->decision.reasoning, NOTES_MAX),
		.by = AGENT_VERDICT_BY,
		.advice = make_advice(verdict, settings, text_str(&rule)),
	};
	if (decision.notes == NULL || decision.advice == NULL) {
		decision_release(&decision);
		return error_nomem(err);
	}
	*ret_ask_person = advises || (unsure && settings->on_unsure == AI_UNSURE_HUMAN);
	*ret_decision = decision;
	return 0;
}

/* As many as there is room for: what follows them has to fit too. */
static void add_concerns(const json_t *concerns, struct text *markdown)
{
	size_t count = json_array_size(concerns);

	for (size_t i = 0; i < count; i++) {
		const char *concern = json_string_value(json_array_get(concerns, i));
		AUTO_TEXT line = {.max = 5 * CONCERN_MAX + 100};

		text_addf(&line, i == 0 ? "\nIts concerns:\n\n- " : "- ");
		text_add_markdown(&line, concern, strlen(concern), CONCERN_MAX);
		text_addf(&line, "\n");
		if (markdown->len + line.len + TAIL_MAX > markdown->max) {
			text_addf(markdown, "- ... and %zu more\n", count - i);
			return;
		}
		text_add(markdown, text_str(&line), line.len);
	}
}

void agent_advice_markdown(const json_t *advice, struct text *markdown)
{
	const char *reasoning = json_string_value(json_object_get(advice, "reasoning"));
	const char *unsure = json_string_value(json_object_get(advice, "unsure"));
	const char *model = json_string_value(json_object_get(advice, "model"));

	text_addf(markdown, "\n**An AI agent looked at this plan; you decide.**");
	if (reasoning != NULL) {
		text_addf(markdown, " It would%s approve it, with confidence %.3g:\n\n> ",
		          json_is_true(json_object_get(advice, "approved")) ? "" : " not",
		          json_number_value(json_object_get(advice, "confidence")));
		text_add_markdown(markdown, reasoning, strlen(reasoning), NOTES_MAX);
	}
	text_addf(markdown, "\n");
	add_concerns(json_object_get(advice, "concerns"), markdown);
	if (unsure != NULL) {
		text_addf(markdown, "\nIts answer carries no approval: ");
		text_add_markdown(markdown, unsure, strlen(unsure), UNSURE_MAX);
		text_addf(markdown, "\n");
	}
	if (model != NULL && *model != '\0') {
		text_addf(markdown, "\nModel: ");
		text_add_markdown(markdown, model, strlen(model), MODEL_MAX);
		text_addf(markdown, "; what it did is in the artifact cleanup-ai-transcript of this run\n");
	}
}
