#include "flows/database_cleanup/agent_approval.h"

#include <inttypes.h>
#include <string.h>

#include "client/agent/transcript.h"
#include "client/base/text.h"
#include "flows/database_cleanup/agent_decision.h"
#include "flows/database_cleanup/agent_setup.h"
#include "flows/database_cleanup/guard_rails.h"
#include "flows/database_cleanup/preview.h"

#define STORED_VERSION 1
/* The MCP server says that Prefect does not answer, while it answers this worker. */
#define UNREACHABLE_MAX 3
/* What is stored does not change: what cannot be understood is read so often before it counts. */
#define READS_MAX 4
#define READ_AGAIN_MS 500
#define NOTES_MAX 4000

/* What an investigation came to, as it is stored. */
struct verdict {
	time_us decided_at;
	bool has_decision;
	struct agent_decision decision; /* where has_decision */
	char *unsure;                   /* owned; NULL where it decided */
	int64_t investigated;
	char *model;                    /* owned */
};

static void verdict_release(struct verdict *verdict)
{
	agent_decision_release(&verdict->decision);
	free(verdict->unsure);
	free(verdict->model);
	*verdict = (struct verdict){0};
}

int agent_approval_ready(const struct flow_ctx *ctx, struct error *err)
{
	struct flow_ai ai = flow_ai(ctx);

	/* Switched off, or switched on without a key: that is said later, and in other words. */
	if (ai.settings->enabled >= 0 || agent_is_configured(ai.settings))
		return 0;
	return error_set(err, ERR_USAGE, "config.approval_type 'ai': no model is configured on this worker, nothing was deleted; set "
	                 "ANTHROPIC_API_KEY (or OPENAI_BASE_URL and the like) and PREFECT_JANITOR_AI_MODEL there, or run it again "
	                 "with 'human'");
}

/* --- the decision, stored --------------------------------------------------------------------------- */

struct stored_verdict {
	int64_t version;
	char *plan;
	time_us decided_at;
	json_t *decision;
	char *unsure;
	int64_t investigated;
	char *model;
};

static const struct json_field stored_fields[] = {
	{"version", JSON_KIND_INT, offsetof(struct stored_verdict, version), true, NULL},
	{"plan", JSON_KIND_TEXT, offsetof(struct stored_verdict, plan), true, NULL},
	{"decided_at", JSON_KIND_TIME, offsetof(struct stored_verdict, decided_at), true, NULL},
	{"decision", JSON_KIND_ANY, offsetof(struct stored_verdict, decision), false, NULL},
	{"unsure", JSON_KIND_TEXT, offsetof(struct stored_verdict, unsure), false, NULL},
	{"investigated", JSON_KIND_INT, offsetof(struct stored_verdict, investigated), true, NULL},
	{"model", JSON_KIND_TEXT, offsetof(struct stored_verdict, model), true, NULL},
};
#define STORED_FIELDS stored_fields, sizeof stored_fields / sizeof stored_fields[0]

static json_t *encode_verdict(const struct verdict *verdict, const struct plan *plan)
{
	const struct agent_decision *d = &verdict->decision;
	AUTO_JSON *decision =
		verdict->has_decision ? json_pack("{s:b, s:f, s:s, s:O}", "approved", d->approved, "confidence", d->confidence,
	                                      "reasoning", d->reasoning, "concerns", d->concerns)
							  : json_null();

	return json_pack("{s:i, s:s, s:o, s:O, s:s?, s:I, s:s}", "version", STORED_VERSION, "plan", plan->digest, "decided_at",
	                 json_time(verdict->decided_at), "decision", decision, "unsure", verdict->unsure, "investigated",
	                 (json_int_t)verdict->investigated, "model", verdict->model);
}

/* ERR_NOT_FOUND where it is about another plan, ERR_DECODE where it is nothing that this worker writes. */
static int decode_stored(struct stored_verdict *stored, const struct plan *plan, struct verdict *ret_verdict,
                         struct error *err)
{
	struct verdict verdict = {.decided_at = stored->decided_at, .investigated = stored->investigated};
	AUTO_FREE char *problems = NULL;

	if (stored->version != STORED_VERSION)
		return error_set(err, ERR_DECODE, "it is of version %" PRId64, stored->version);
	if (strcmp(stored->plan, plan->digest) != 0)
		return error_set(err, ERR_NOT_FOUND, "it is about another plan");
	if ((stored->decision == NULL) == (stored->unsure == NULL))
		return error_set(err, ERR_DECODE, "it is neither a decision nor unsure");
	if (stored->decision != NULL) {
		int rc = agent_decision_read(stored->decision, &verdict.decision, &problems, err);
		if (rc != 0)
			return rc == ERR_INVALID ? error_prefix(err, ERR_DECODE, "it") : rc;
		verdict.has_decision = true;
	}
	verdict.unsure = stored->unsure;
	verdict.model = stored->model;
	stored->unsure = NULL;
	stored->model = NULL;
	*ret_verdict = verdict;
	return 0;
}

static int decode_verdict(const json_t *json, const struct plan *plan, struct verdict *ret_verdict, struct error *err)
{
	struct stored_verdict stored;

	int rc = json_decode(json, STORED_FIELDS, &stored, sizeof stored, err);
	if (rc == 0) {
		rc = decode_stored(&stored, plan, ret_verdict, err);
		json_release(STORED_FIELDS, &stored);
	}
	return rc == ERR_DECODE ? error_prefix(err, rc, "the stored decision (input '" AGENT_DECISION_KEY "')") : rc;
}

/* Reads a checkpoint, and waits out an outage. ERR_NOT_FOUND where there is none. */
static int read_checkpoint(struct flow_ctx *ctx, const char *key, json_t **ret_json, struct error *err)
{
	int rc;

	while ((rc = flow_checkpoint_read(ctx, key, ret_json, err)) != 0 && rc != ERR_NOT_FOUND && rc != ERR_DECODE)
		if (!flow_retry(ctx, err))
			return rc;
	flow_recovered(ctx);
	return rc;
}

static int write_checkpoint(struct flow_ctx *ctx, const char *key, const json_t *json, struct error *err)
{
	int rc;

	if (json == NULL)
		return error_nomem(err);
	while ((rc = flow_checkpoint_write(ctx, key, json, err)) != 0)
		if (!flow_retry(ctx, err))
			return rc;
	flow_recovered(ctx);
	return 0;
}

/* The decision about @plan: ERR_NOT_FOUND where there is none. One that cannot be read is no approval, whatever it was. */
static int read_verdict(struct flow_ctx *ctx, const struct plan *plan, struct verdict *ret_verdict, struct error *err)
{
	int rc = ERR_DECODE;

	for (int reads = 1; rc == ERR_DECODE && reads <= READS_MAX; reads++) {
		AUTO_JSON *json = NULL;

		if (reads > 1 && (!flow_wait(ctx, READ_AGAIN_MS) || !flow_may_go_on(ctx)))
			return error_set(err, ERR_STOPPED, "stopped");
		rc = read_checkpoint(ctx, AGENT_DECISION_KEY, &json, err);
		if (rc == 0)
			rc = decode_verdict(json, plan, ret_verdict, err);
	}
	if (rc != ERR_DECODE)
		return rc;
	*ret_verdict = (struct verdict){.unsure = text_dup(err->text), .model = text_dup("")};
	if (ret_verdict->unsure != NULL && ret_verdict->model != NULL)
		return 0;
	verdict_release(ret_verdict);
	return error_nomem(err);
}

/* --- the investigation ------------------------------------------------------------------------------- */

static bool may_go_on(void *arg)
{
	return flow_may_go_on(arg);
}

static void tell(void *arg, int level, const char *line)
{
	flow_log(arg, level, "%s", line);
}

static int read_starts(struct flow_ctx *ctx, const struct plan *plan, json_int_t *ret_starts, struct error *err)
{
	AUTO_JSON *json = NULL;
	const char *digest;

	*ret_starts = 0;
	int rc = read_checkpoint(ctx, AGENT_STARTS_KEY, &json, err);
	if (rc != 0)
		return rc == ERR_NOT_FOUND || rc == ERR_DECODE ? 0 : rc;
	digest = json_string_value(json_object_get(json, "plan"));
	if (digest != NULL && strcmp(digest, plan->digest) == 0)
		*ret_starts = json_integer_value(json_object_get(json, "starts"));
	return 0;
}

static json_t *encode_starts(const struct plan *plan, json_int_t starts)
{
	return json_pack("{s:s, s:I}", "plan", plan->digest, "starts", starts);
}

static void show_transcript(struct flow_ctx *ctx, const json_t *transcript)
{
	AUTO_FREE char *markdown = transcript_markdown(transcript);

	if (markdown != NULL)
		flow_show(ctx, markdown);
}

static int make_setup(struct flow_ctx *ctx, const struct flow_ai *ai, const struct plan *plan, struct agent_setup *ret_setup,
                      struct error *err)
{
	struct preview preview;
	int rc;

	while ((rc = preview_collect(flow_api(ctx), plan, &preview, err)) != 0)
		if (!flow_retry(ctx, err))
			return rc;
	flow_recovered(ctx);
	rc = agent_setup_init(ai, &preview, plan, flow_run_id(ctx), ret_setup, err);
	preview_release(&preview);
	if (rc != 0)
		return rc;
	ret_setup->settings.may_go_on = may_go_on;
	ret_setup->settings.tell = tell;
	ret_setup->settings.arg = ctx;
	return 0;
}

static int check(const json_t *arguments, char **ret_problems, struct error *err)
{
	struct agent_decision decision;

	int rc = agent_decision_read(arguments, &decision, ret_problems, err);
	if (rc == 0)
		agent_decision_release(&decision);
	return rc;
}

/* Runs the agent until it decided, is unsure or broken. */
static int run_agent(struct flow_ctx *ctx, struct agent_setup *setup, struct agent_result *ret_result, struct error *err)
{
	int unreachable = 0;
	int rc;

	setup->settings.check = check;
	flow_log(ctx, LOG_LEVEL_INFO, "asking the AI agent: model '%.100s' (%s), within %" PRId64 " answers and %" PRId64
	         " calls of tools", setup->settings.llm.model != NULL ? setup->settings.llm.model : "",
	         llm_provider_name(setup->settings.llm.provider), setup->settings.max_turns, setup->settings.max_tool_calls);
	while ((rc = agent_run(&setup->settings, ret_result, err)) == ERR_BUSY && ++unreachable < UNREACHABLE_MAX) {
		agent_result_release(ret_result);
		/* Maybe an outage of Prefect: the worker sees it too then, and waits. */
		if (!flow_retry(ctx, err))
			return rc;
	}
	flow_recovered(ctx);
	return rc;
}

static int take_result(struct flow_ctx *ctx, const struct agent_setup *setup, const struct agent_result *result,
                       struct verdict *ret_verdict, struct error *err)
{
	struct verdict verdict = {.decided_at = prefect_now(flow_api(ctx)), .investigated = result->investigated,
	                          .model = text_dup(setup->settings.llm.model)};
	AUTO_FREE char *problems = NULL;
	int rc = verdict.model != NULL ? 0 : error_nomem(err);

	if (rc == 0 && result->decision != NULL) {
		rc = agent_decision_read(result->decision, &verdict.decision, &problems, err);
		verdict.has_decision = rc == 0;
	} else if (rc == 0) {
		verdict.unsure = text_dup(result->unsure);
		rc = verdict.unsure != NULL ? 0 : error_nomem(err);
	}
	if (rc != 0) {
		verdict_release(&verdict);
		return rc;
	}
	*ret_verdict = verdict;
	return 0;
}

/* Counts the start, asks, and stores what comes of it. */
static int investigate(struct flow_ctx *ctx, const struct flow_ai *ai, const struct plan *plan, json_int_t starts,
                       struct verdict *ret_verdict, struct error *err)
{
	struct agent_setup setup;
	struct agent_result result = {0};

	int rc = make_setup(ctx, ai, plan, &setup, err);
	if (rc != 0)
		return rc;
	AUTO_JSON *started = encode_starts(plan, starts + 1);
	rc = write_checkpoint(ctx, AGENT_STARTS_KEY, started, err);
	if (rc == 0) {
		rc = run_agent(ctx, &setup, &result, err);
		if (rc != 0 && flow_halted(ctx)) { /* stopped in order: that start does not count */
			AUTO_JSON *before = encode_starts(plan, starts);
			if (before != NULL && flow_checkpoint_write(ctx, AGENT_STARTS_KEY, before, NULL) != 0)
				flow_log(ctx, LOG_LEVEL_DEBUG, "the start of the investigation stays counted");
		} else {
			show_transcript(ctx, result.transcript);
		}
	}
	if (rc == 0)
		rc = take_result(ctx, &setup, &result, ret_verdict, err);
	agent_result_release(&result);
	agent_setup_release(&setup);
	return rc;
}

static int unsure_without(const char *rule, struct flow_ctx *ctx, struct verdict *ret_verdict, struct error *err)
{
	*ret_verdict = (struct verdict){.decided_at = prefect_now(flow_api(ctx)), .unsure = text_dup(rule), .model = text_dup("")};
	if (ret_verdict->unsure != NULL && ret_verdict->model != NULL)
		return 0;
	verdict_release(ret_verdict);
	return error_nomem(err);
}

/* What is said about @plan: stored before, or found out now and stored. */
static int find_verdict(struct flow_ctx *ctx, const struct flow_ai *ai, const struct plan *plan,
                        struct verdict *ret_verdict, struct error *err)
{
	json_int_t starts;

	int rc = read_verdict(ctx, plan, ret_verdict, err);
	if (rc != ERR_NOT_FOUND)
		return rc;
	if (!agent_is_enabled(ai->settings))
		return unsure_without("AI approval is switched off on this worker (PREFECT_JANITOR_AI_ENABLED)", ctx, ret_verdict, err);
	rc = read_starts(ctx, plan, &starts, err);
	if (rc != 0)
		return rc;
	rc = starts >= AGENT_STARTS_MAX
	             ? unsure_without("the investigation was started three times, and its worker ended each time", ctx, ret_verdict, err)
	             : investigate(ctx, ai, plan, starts, ret_verdict, err);
	if (rc != 0)
		return rc;
	AUTO_JSON *json = encode_verdict(ret_verdict, plan);
	rc = write_checkpoint(ctx, AGENT_DECISION_KEY, json, err);
	if (rc != 0)
		verdict_release(ret_verdict);
	return rc;
}

/* --- what it means ------------------------------------------------------------------------------------ */

static json_t *make_advice(const struct verdict *verdict, const struct ai_settings *settings, const char *rule)
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

static void log_verdict(struct flow_ctx *ctx, const struct verdict *verdict, const char *rule)
{
	const struct agent_decision *d = &verdict->decision;
	size_t i;
	json_t *concern;

	if (verdict->has_decision) {
		flow_log(ctx, LOG_LEVEL_INFO, "the AI agent %s, confidence %.3g: %s", d->approved ? "approves" : "does not approve",
		         d->confidence, d->reasoning);
		json_array_foreach(d->concerns, i, concern)
			flow_log(ctx, LOG_LEVEL_WARNING, "the AI agent's concern: %s", json_string_value(concern));
	}
	if (*rule != '\0')
		flow_log(ctx, LOG_LEVEL_WARNING, "the AI agent's answer carries no approval: %s", rule);
}

/* The decision that a verdict comes to, by the guard rails as they are now. */
static int judge(struct flow_ctx *ctx, const struct flow_ai *ai, const struct plan *plan, const struct verdict *verdict,
                 struct decision *ret_decision, bool *ret_ask_person, struct error *err)
{
	const struct ai_settings *s = ai->settings;
	AUTO_TEXT rule = {.max = 2000};

	if (!verdict->has_decision)
		text_addf(&rule, "%s", verdict->unsure);
	else if (verdict->decision.approved)
		guard_rails_check(s, plan, &verdict->decision, verdict->investigated, &rule);
	bool unsure = rule.len > 0 || rule.failed;
	log_verdict(ctx, verdict, text_str(&rule));

	struct decision decision = {
		.approved = verdict->has_decision && verdict->decision.approved && !unsure && s->mode == AI_MODE_DECIDE,
		.notes = text_cut(unsure ? text_str(&rule) : verdict->decision.reasoning, NOTES_MAX),
		.by = "an AI agent",
		.advice = make_advice(verdict, s, text_str(&rule)),
	};
	if (decision.notes == NULL || decision.advice == NULL) {
		decision_release(&decision);
		return error_nomem(err);
	}
	*ret_ask_person = s->mode == AI_MODE_ADVISE || (unsure && s->on_unsure == AI_UNSURE_HUMAN);
	if (decision.approved)
		flow_note_approval(ctx, verdict->decided_at);
	*ret_decision = decision;
	return 0;
}

int agent_approval(struct flow_ctx *ctx, const struct plan *plan, struct decision *ret_decision, bool *ret_ask_person,
                   struct error *err)
{
	struct flow_ai ai = flow_ai(ctx);
	struct verdict verdict;

	int rc = find_verdict(ctx, &ai, plan, &verdict, err);
	if (rc != 0)
		return flow_halted(ctx) ? rc
		                        : error_prefix(err, rc, "the AI agent is broken, nothing was deleted; mend it, or run it again with "
		                                       "approval_type 'human'");
	rc = judge(ctx, &ai, plan, &verdict, ret_decision, ret_ask_person, err);
	verdict_release(&verdict);
	return rc;
}

json_t *agent_advice_read(struct flow_ctx *ctx, const struct plan *plan)
{
	struct flow_ai ai = flow_ai(ctx);
	AUTO_JSON *json = NULL;
	AUTO_TEXT rule = {.max = 2000};
	struct verdict verdict;
	struct error err;

	if (read_checkpoint(ctx, AGENT_DECISION_KEY, &json, &err) != 0 || decode_verdict(json, plan, &verdict, &err) != 0)
		return NULL;
	if (!verdict.has_decision)
		text_addf(&rule, "%s", verdict.unsure);
	else if (verdict.decision.approved)
		guard_rails_check(ai.settings, plan, &verdict.decision, verdict.investigated, &rule);
	json_t *advice = make_advice(&verdict, ai.settings, text_str(&rule));
	verdict_release(&verdict);
	return advice;
}

void agent_advice_markdown(const json_t *advice, struct text *markdown)
{
	const char *reasoning = json_string_value(json_object_get(advice, "reasoning"));
	const char *unsure = json_string_value(json_object_get(advice, "unsure"));
	const char *model = json_string_value(json_object_get(advice, "model"));
	size_t i;
	json_t *concern;

	text_addf(markdown, "\n**An AI agent looked at this plan; you decide.**");
	if (reasoning != NULL) {
		text_addf(markdown, " It would%s approve it, with confidence %.3g:\n\n> ",
		          json_is_true(json_object_get(advice, "approved")) ? "" : " not",
		          json_number_value(json_object_get(advice, "confidence")));
		text_add_markdown(markdown, reasoning, strlen(reasoning), NOTES_MAX);
	}
	text_addf(markdown, "\n");
	json_array_foreach(json_object_get(advice, "concerns"), i, concern)
	{
		text_addf(markdown, i == 0 ? "\nIts concerns:\n\n- " : "- ");
		text_add_markdown(markdown, json_string_value(concern), strlen(json_string_value(concern)), 500);
		text_addf(markdown, "\n");
	}
	if (unsure != NULL) {
		text_addf(markdown, "\nIts answer carries no approval: ");
		text_add_markdown(markdown, unsure, strlen(unsure), 1000);
		text_addf(markdown, "\n");
	}
	if (model != NULL && *model != '\0') {
		text_addf(markdown, "\nModel: ");
		text_add_markdown(markdown, model, strlen(model), 100);
		text_addf(markdown, "; what it did is in the run's log\n");
	}
}
