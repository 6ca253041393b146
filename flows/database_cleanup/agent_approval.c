#include "flows/database_cleanup/agent_approval.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client/agent/transcript.h"
#include "client/base/clock.h"
#include "client/base/text.h"
#include "flows/database_cleanup/agent_decision.h"
#include "flows/database_cleanup/agent_setup.h"
#include "flows/database_cleanup/agent_verdict.h"
#include "flows/database_cleanup/preview_page.h"

/* The MCP server says that Prefect does not answer, while it answers this worker. */
#define UNREACHABLE_MAX 3
#define APPROVAL_STEP "approval"
/* What is stored does not change: what cannot be understood is read so often before it counts. */
#define READS_MAX 4
#define READ_AGAIN_MS 500

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

/* --- checkpoints ------------------------------------------------------------------------------------- */

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
static int read_verdict(struct flow_ctx *ctx, const struct plan *plan, struct agent_verdict *ret_verdict, struct error *err)
{
	int rc = ERR_DECODE;

	for (int reads = 1; rc == ERR_DECODE && reads <= READS_MAX; reads++) {
		AUTO_JSON *json = NULL;

		if (reads > 1 && (!flow_wait(ctx, READ_AGAIN_MS) || !flow_may_go_on(ctx)))
			return error_set(err, ERR_STOPPED, "stopped");
		rc = read_checkpoint(ctx, AGENT_DECISION_KEY, &json, err);
		if (rc == 0)
			rc = agent_verdict_decode(json, plan, ret_verdict, err);
	}
	if (rc != ERR_DECODE)
		return rc;
	struct error why = *err;
	return agent_verdict_unsure(why.text, "", prefect_now(flow_api(ctx)), ret_verdict, err);
}

/* --- the investigation ------------------------------------------------------------------------------- */

static bool may_go_on(void *arg)
{
	return flow_may_go_on(arg);
}

static bool glance(void *arg)
{
	return flow_glance(arg);
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

/* For whoever wants to know why; without it everything goes on all the same. */
static void show_transcript(struct flow_ctx *ctx, const json_t *transcript)
{
	AUTO_FREE char *markdown = transcript_markdown(transcript);
	AUTO_JSON *data = markdown != NULL ? json_string(markdown) : NULL;

	if (data != NULL && flow_artifact(ctx, &(struct flow_artifact){.step = APPROVAL_STEP, .type = "markdown",
	                                                               .key = AGENT_TRANSCRIPT_KEY,
	                                                               .description = "What the AI agent did", .data = data}))
		flow_log(ctx, LOG_LEVEL_INFO, "what the AI agent did is in the artifact '" AGENT_TRANSCRIPT_KEY "' of this run");
	else
		flow_log(ctx, LOG_LEVEL_WARNING, "what the AI agent did cannot be stored as an artifact, going on without");
}

static int make_setup(struct flow_ctx *ctx, const struct flow_ai *ai, const struct plan *plan, struct agent_setup *ret_setup,
                      struct error *err)
{
	struct preview preview;
	char page[UUID_SIZE];
	int rc;

	while ((rc = preview_show(ctx, plan, NULL, &preview, page, err)) != 0)
		if (!flow_retry(ctx, err))
			return rc;
	flow_recovered(ctx);
	flow_step_begin(ctx, "approval", "preview");
	rc = agent_setup_init(ai, &preview, plan, flow_run_id(ctx), ret_setup, err);
	preview_release(&preview);
	if (rc != 0)
		return rc;
	ret_setup->settings.may_go_on = may_go_on;
	ret_setup->settings.llm.go_on = glance;
	ret_setup->settings.llm.go_on_arg = ctx;
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
	int64_t began_ms = clock_mono_ms();
	while ((rc = agent_run(&setup->settings, ret_result, err)) == ERR_BUSY && ++unreachable < UNREACHABLE_MAX) {
		agent_result_release(ret_result);
		setup->settings.total_ms -= clock_mono_ms() - began_ms; /* of all tries; not the waiting between them */
		/* Maybe an outage of Prefect: the worker sees it too then, and waits. */
		if (!flow_retry(ctx, err))
			return rc;
		began_ms = clock_mono_ms();
	}
	flow_recovered(ctx);
	return rc;
}

static int take_result(struct flow_ctx *ctx, const struct agent_setup *setup, const struct agent_result *result,
                       struct agent_verdict *ret_verdict, struct error *err)
{
	struct agent_verdict verdict = {.decided_at = prefect_now(flow_api(ctx)), .investigated = result->investigated};
	const char *model = setup->settings.llm.model;
	AUTO_FREE char *problems = NULL;

	if (result->decision == NULL)
		return agent_verdict_unsure(result->unsure, model, verdict.decided_at, ret_verdict, err);
	verdict.model = text_dup(model);
	int rc = verdict.model != NULL ? agent_decision_read(result->decision, &verdict.decision, &problems, err) : error_nomem(err);
	verdict.has_decision = rc == 0;
	if (rc == 0)
		*ret_verdict = verdict;
	else
		agent_verdict_release(&verdict);
	return rc;
}

/* Stopped in order: that start does not count. */
static void uncount_start(struct flow_ctx *ctx, const struct plan *plan, json_int_t starts)
{
	AUTO_JSON *before = encode_starts(plan, starts);
	struct error err;

	if (before != NULL && flow_checkpoint_write(ctx, AGENT_STARTS_KEY, before, &err) != 0)
		flow_log(ctx, LOG_LEVEL_DEBUG, "the start of the investigation stays counted: %s", err.text);
}

/* With what the settings make of it now. */
static int store_verdict(struct flow_ctx *ctx, const struct plan *plan, struct agent_verdict *verdict, struct error *err)
{
	int rc = agent_verdict_settle(verdict, plan, flow_ai(ctx).settings, err);

	if (rc != 0)
		return rc;
	AUTO_JSON *json = agent_verdict_encode(verdict, plan);
	return write_checkpoint(ctx, AGENT_DECISION_KEY, json, err);
}

/* What the agent came to is stored before anything else is done; it is shown also where it broke. */
static int conclude(struct flow_ctx *ctx, const struct plan *plan, struct agent_setup *setup,
                    struct agent_verdict *ret_verdict, struct error *err)
{
	struct agent_result result = {0};
	struct agent_verdict verdict = {0};

	int rc = run_agent(ctx, setup, &result, err);
	if (rc == 0)
		rc = take_result(ctx, setup, &result, &verdict, err);
	/* Another worker that has the run now may have stored one, and acted on it. */
	if (rc == 0 && !flow_may_go_on(ctx) && flow_taken(ctx))
		rc = error_set(err, ERR_STOPPED, "stopped");
	else if (rc == 0)
		rc = store_verdict(ctx, plan, &verdict, err);
	/* A verdict is kept, whatever happened meanwhile. Without one: was the worker asked to stop, or the run cancelled? */
	else if (rc == ERR_STOPPED ? !flow_retry(ctx, err) : !flow_may_go_on(ctx))
		rc = error_set(err, ERR_STOPPED, "stopped");
	if (rc == 0 || !flow_halted(ctx))
		show_transcript(ctx, result.transcript);
	agent_result_release(&result);
	if (rc == 0)
		*ret_verdict = verdict;
	else
		agent_verdict_release(&verdict);
	return rc;
}

/* Counts the start, asks, and stores what comes of it. */
static int investigate(struct flow_ctx *ctx, const struct flow_ai *ai, const struct plan *plan, json_int_t starts,
                       struct agent_verdict *ret_verdict, struct error *err)
{
	struct agent_setup setup;

	int rc = make_setup(ctx, ai, plan, &setup, err);
	if (rc != 0)
		return rc;
	flow_step_begin(ctx, APPROVAL_STEP, NULL);
	AUTO_JSON *started = encode_starts(plan, starts + 1);
	rc = write_checkpoint(ctx, AGENT_STARTS_KEY, started, err);
	if (rc == 0) {
		rc = conclude(ctx, plan, &setup, ret_verdict, err);
		if (rc != 0 && flow_halted(ctx) && !flow_taken(ctx))
			uncount_start(ctx, plan, starts);
	}
	agent_setup_release(&setup);
	return rc;
}

/* There is none, and nobody is asked any more. */
static int give_up(struct flow_ctx *ctx, const struct plan *plan, struct agent_verdict *ret_verdict, struct error *err)
{
	int rc = agent_verdict_unsure("the investigation was started three times, and its worker died each time", "",
	                              prefect_now(flow_api(ctx)), ret_verdict, err);

	if (rc != 0)
		return rc;
	rc = store_verdict(ctx, plan, ret_verdict, err);
	if (rc != 0)
		agent_verdict_release(ret_verdict);
	return rc;
}

/* What is said about @plan: stored before, or found out now and stored. */
static int find_verdict(struct flow_ctx *ctx, const struct flow_ai *ai, const struct plan *plan,
                        struct agent_verdict *ret_verdict, struct error *err)
{
	json_int_t starts;

	int rc = read_verdict(ctx, plan, ret_verdict, err);
	if (rc != ERR_NOT_FOUND)
		return rc;
	if (!agent_is_enabled(ai->settings))
		return agent_verdict_unsure("AI approval is switched off on this worker (PREFECT_JANITOR_AI_ENABLED)", "",
		                            prefect_now(flow_api(ctx)), ret_verdict, err);
	rc = read_starts(ctx, plan, &starts, err);
	if (rc != 0)
		return rc;
	return starts >= AGENT_STARTS_MAX ? give_up(ctx, plan, ret_verdict, err)
	                                  : investigate(ctx, ai, plan, starts, ret_verdict, err);
}

/* @is_news: it was not said before, when the run was queued. */
static void log_verdict(struct flow_ctx *ctx, const struct agent_verdict *verdict, const json_t *advice, bool is_news)
{
	const struct agent_decision *d = &verdict->decision;
	const char *unsure = json_string_value(json_object_get(advice, "unsure"));
	size_t i;
	json_t *concern;

	if (is_news && verdict->has_decision) {
		flow_log(ctx, LOG_LEVEL_INFO, "the AI agent %s, confidence %.3g: %s", d->approved ? "approves" : "does not approve",
		         d->confidence, d->reasoning);
		json_array_foreach(d->concerns, i, concern)
			flow_log(ctx, LOG_LEVEL_WARNING, "the AI agent's concern: %s", json_string_value(concern));
	}
	if (unsure != NULL)
		flow_log(ctx, LOG_LEVEL_WARNING, "the AI agent's answer carries no approval: %s", unsure);
}

/* What @verdict (taken) comes to. */
static int judge(struct flow_ctx *ctx, const struct plan *plan, struct agent_verdict *verdict, bool is_news,
                 struct decision *ret_decision, bool *ret_ask_person, struct error *err)
{
	int rc = agent_verdict_judge(verdict, plan, flow_ai(ctx).settings, ret_decision, ret_ask_person, err);

	if (rc == 0) {
		log_verdict(ctx, verdict, ret_decision->advice, is_news);
		if (ret_decision->approved)
			flow_note_approval(ctx, verdict->decided_at);
	}
	agent_verdict_release(verdict);
	return rc;
}

int agent_approval(struct flow_ctx *ctx, const struct plan *plan, struct decision *ret_decision, bool *ret_ask_person,
                   struct error *err)
{
	struct flow_ai ai = flow_ai(ctx);
	struct agent_verdict verdict;

	int rc = find_verdict(ctx, &ai, plan, &verdict, err);
	if (rc != 0)
		return flow_halted(ctx) ? rc
		                        : error_prefix(err, rc, "the AI agent is broken, nothing was deleted; mend it, or run it again with "
		                                       "approval_type 'human'");
	return judge(ctx, plan, &verdict, /* is_news= */ true, ret_decision, ret_ask_person, err);
}

int agent_approval_stored(struct flow_ctx *ctx, const struct plan *plan, struct decision *ret_decision, struct error *err)
{
	struct flow_ai ai = flow_ai(ctx);
	struct agent_verdict verdict;
	bool advises = ai.settings->mode == AI_MODE_ADVISE;
	bool ask_person;

	int rc = read_verdict(ctx, plan, &verdict, err);
	if (rc == ERR_NOT_FOUND)
		rc = agent_verdict_unsure("what the AI agent decided is not stored any more", "", prefect_now(flow_api(ctx)), &verdict, err);
	if (rc == 0) {
		advises = advises || verdict.asked == AGENT_ASKED_TO_ADVISE;
		rc = judge(ctx, plan, &verdict, /* is_news= */ false, ret_decision, &ask_person, err);
	}
	if (rc != 0 || ret_decision->approved || !ask_person || !advises)
		return rc;
	/* Its reasoning is no reason here. */
	free(ret_decision->notes);
	ret_decision->notes = text_dup("the AI agent only advises (PREFECT_JANITOR_AI_MODE), and no person was asked");
	if (ret_decision->notes != NULL)
		return 0;
	decision_release(ret_decision);
	return error_nomem(err);
}

json_t *agent_advice_read(struct flow_ctx *ctx, const struct plan *plan)
{
	struct flow_ai ai = flow_ai(ctx);
	AUTO_JSON *json = NULL;
	struct agent_verdict verdict;
	struct error err;

	if (read_checkpoint(ctx, AGENT_DECISION_KEY, &json, &err) != 0 || agent_verdict_decode(json, plan, &verdict, &err) != 0)
		return NULL;
	json_t *advice = agent_verdict_advice(&verdict, plan, ai.settings);
	agent_verdict_release(&verdict);
	return advice;
}
