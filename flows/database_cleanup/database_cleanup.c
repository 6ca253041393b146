#include "flows/database_cleanup/database_cleanup.h"

#include <inttypes.h>
#include <string.h>

#include "client/base/embed.h"
#include "client/base/text.h"
#include "flows/database_cleanup/agent_approval.h"
#include "flows/database_cleanup/approval.h"
#include "flows/database_cleanup/deletion.h"
#include "flows/database_cleanup/plan.h"
#include "flows/database_cleanup/policy.h"

#define NOTHING_DELETED "nothing was deleted"

EMBED_DECLARE(flows_database_cleanup_parameters_schema_json);
EMBED_DECLARE(flows_database_cleanup_description_md);

/* What happened to a step: NULL where the story goes on, else what the body returns. */
#define STOP_UNLESS_OK(ctx, err) (flow_halted(ctx) ? flow_halt(ctx, NOTHING_DELETED) : flow_fail(ctx, err))

/* Makes the plan and stores it; waits out an outage. */
static int make_plan(struct flow_ctx *ctx, const struct policy *policy, struct plan *ret_plan, struct error *err)
{
	int rc;

	/* "Now" is the server's: the moment at which it set this run to Running, which is past by any clock. */
	while ((rc = plan_make(flow_api(ctx), policy, flow_begun_at(ctx), ret_plan, err)) != 0)
		if (!flow_retry(ctx, err))
			return rc;
	flow_recovered(ctx);
	if (ret_plan->total == 0)
		return 0;

	AUTO_JSON *json = plan_encode(ret_plan);
	while ((rc = flow_checkpoint_write(ctx, PLAN_KEY, json, err)) != 0)
		if (!flow_retry(ctx, err)) {
			plan_release(ret_plan);
			return rc;
		}
	flow_recovered(ctx);
	return 0;
}

/* What is stored does not change. What cannot be understood is read so often before it counts: it may have been somebody
 * else's answer, and an approval is not lost for that. */
#define READS_MAX 4
#define READ_AGAIN_MS 500

static int read_stored_plan(struct flow_ctx *ctx, json_t **ret_json, struct error *err)
{
	int rc;

	while ((rc = flow_checkpoint_read(ctx, PLAN_KEY, ret_json, err)) != 0 && rc != ERR_NOT_FOUND)
		if (!flow_retry(ctx, err))
			return rc;
	flow_recovered(ctx);
	return rc;
}

/* Reads the plan that was shown; waits out an outage. */
static int read_plan(struct flow_ctx *ctx, struct plan *ret_plan, struct error *err)
{
	int rc = 0;

	for (int reads = 1; reads <= READS_MAX; reads++) {
		AUTO_JSON *json = NULL;

		rc = read_stored_plan(ctx, &json, err);
		if (rc != 0)
			return rc;
		rc = plan_decode(json, ret_plan, err);
		/* Only while the run itself is answered as a run. */
		if (rc == 0 || !flow_wait(ctx, READ_AGAIN_MS) || !flow_may_go_on(ctx))
			return rc;
	}
	return rc;
}

static int read_decision(struct flow_ctx *ctx, const struct plan *plan, struct decision *ret_decision,
                         struct error *err)
{
	for (int reads = 1;; reads++) {
		int rc;

		while ((rc = approval_read(ctx, plan, ret_decision, err)) != 0)
			if (!flow_retry(ctx, err))
				return rc;
		flow_recovered(ctx);
		if (!ret_decision->unreadable || reads == READS_MAX)
			return 0;
		decision_release(ret_decision);
		if (!flow_wait(ctx, READ_AGAIN_MS) || !flow_may_go_on(ctx))
			return error_set(err, ERR_STOPPED, "stopped");
	}
}

static enum flow_outcome finish_rejected(struct flow_ctx *ctx, const struct decision *decision)
{
	AUTO_TEXT message = {.max = 600};

	text_addf(&message, "rejected, " NOTHING_DELETED "%s%.400s", decision->notes[0] != '\0' ? ": " : "", decision->notes);
	return flow_finish(ctx, STATE_COMPLETED, text_str(&message),
	                   json_pack("{s:s, s:s}", "status", "rejected", "reason", decision->notes));
}

static enum flow_outcome finish_dry_run(struct flow_ctx *ctx, const struct plan *plan)
{
	char message[120];

	(void)snprintf(message, sizeof message, "dry run: would delete %" PRId64 " flow runs, " NOTHING_DELETED, plan->total);
	return flow_finish(ctx, STATE_COMPLETED, message,
	                   json_pack("{s:s, s:I}", "status", "dry_run", "would_delete", (json_int_t)plan->total));
}

static enum flow_outcome finish_deleted(struct flow_ctx *ctx, const struct plan *plan,
                                        const struct decision *decision, const struct deletion_result *result)
{
	char span[TIME_TEXT_SIZE];
	AUTO_TEXT message = {.max = 600};
	bool failed = result->deleted == 0 && result->left > 0;

	text_addf(&message, "deleted %" PRId64 " of %" PRId64 " flow runs", result->deleted, plan->total);
	if (result->failed > 0)
		text_addf(&message, "; %" PRId64 " could not be deleted (see the log)", result->failed);
	if (result->given_up)
		text_addf(&message, "; given up: the server refused one deletion after the other");
	if (result->left > result->failed && !result->given_up)
		text_addf(&message, "; %" PRId64 " are left without a reason given", result->left - result->failed);
	if (result->gone > 0)
		text_addf(&message, "; %" PRId64 " were run again or deleted by others", result->gone);
	flow_log(ctx, LOG_LEVEL_INFO, "the deletion took %s", span_format(result->took_ms, span));

	return flow_finish(ctx, failed ? STATE_FAILED : STATE_COMPLETED, text_str(&message),
	                   json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:O, s:s, s:s}", "status", failed ? "failed" : "completed",
	                             "deleted", (json_int_t)result->deleted, "failed", (json_int_t)result->failed,
	                             "matched", (json_int_t)plan->total, "remaining", (json_int_t)result->left, "gone",
	                             (json_int_t)result->gone, "failed_ids", result->failed_ids, "plan", plan->digest,
	                             "notes", decision->notes));
}

static enum flow_outcome halt_deletion(struct flow_ctx *ctx, const struct plan *plan, int64_t deleted)
{
	char so_far[100];
	int64_t counted = deletion_so_far(ctx, plan);

	/* What the server counts holds also for batches whose answer was lost, and for earlier starts of the body. */
	if (counted > deleted)
		deleted = counted;
	if (counted < 0 && deleted == 0)
		return flow_halt(ctx, "how many flow runs were deleted cannot be told now");
	if (deleted == 0)
		return flow_halt(ctx, NOTHING_DELETED);
	(void)snprintf(so_far, sizeof so_far, "deleted %" PRId64 " of %" PRId64 " flow runs", deleted, plan->total);
	return flow_halt(ctx, so_far);
}

/* Deletes what was approved, and reports. */
static enum flow_outcome delete_plan(struct flow_ctx *ctx, const struct policy *policy, const struct plan *plan,
                                     const struct decision *decision)
{
	struct deletion_result result = {0};
	struct error err;
	enum flow_outcome outcome;

	/* One deletion at a time on this server; what an earlier start of the body deleted stays counted. */
	if (!flow_has_turn(ctx))
		return flow_halted(ctx) ? halt_deletion(ctx, plan, 0) : flow_queue(ctx);

	int rc = deletion_run(ctx, plan, policy->batch_size, &result, &err);
	if (rc == ERR_BUSY && !flow_halted(ctx)) {
		outcome = flow_queue(ctx);
	} else if (rc == 0) {
		outcome = finish_deleted(ctx, plan, decision, &result);
	} else if (flow_halted(ctx)) {
		outcome = halt_deletion(ctx, plan, result.deleted);
	} else {
		outcome = flow_fail(ctx, &err);
	}
	deletion_result_release(&result);
	return outcome;
}

/* What was decided is done. */
static enum flow_outcome act(struct flow_ctx *ctx, const struct policy *policy, const struct plan *plan,
                             const struct decision *decision)
{
	if (!decision->approved)
		return finish_rejected(ctx, decision);
	if (plan->dry_run || policy->dry_run) /* what was shown holds; parameters that were changed since only narrow it */
		return finish_dry_run(ctx, plan);
	return delete_plan(ctx, policy, plan, decision);
}

/* The second half of the story: the run was paused and is Running again. */
static enum flow_outcome go_on_after_answer(struct flow_ctx *ctx, const struct policy *policy)
{
	struct plan plan;
	struct decision decision;
	struct error err;
	enum flow_outcome outcome;

	if (read_plan(ctx, &plan, &err) != 0)
		return STOP_UNLESS_OK(ctx, &err);

	/* Cancelled while it was paused, or while its worker was away: the state says what had been deleted by then. */
	if (!flow_may_go_on(ctx)) {
		outcome = halt_deletion(ctx, &plan, 0);
		plan_release(&plan);
		return outcome;
	}

	if (read_decision(ctx, &plan, &decision, &err) != 0) {
		outcome = flow_halted(ctx) ? halt_deletion(ctx, &plan, 0) : flow_fail(ctx, &err);
		plan_release(&plan);
		return outcome;
	}
	if (policy->approval == APPROVAL_AI)
		decision.advice = agent_advice_read(ctx, &plan);
	flow_log(ctx, LOG_LEVEL_INFO, "%s%s%s", decision.approved ? "approved" : "not approved",
	         decision.notes[0] != '\0' ? ": " : "", decision.notes);

	outcome = act(ctx, policy, &plan, &decision);
	decision_release(&decision);
	plan_release(&plan);
	return outcome;
}

static enum flow_outcome finish_no_action(struct flow_ctx *ctx)
{
	return flow_finish(ctx, STATE_COMPLETED, "no flow runs match, " NOTHING_DELETED,
	                   json_pack("{s:s, s:i}", "status", "no_action", "deleted", 0));
}

/* The first half: plan, preview, question. */
static enum flow_outcome plan_and_ask(struct flow_ctx *ctx, const struct policy *policy)
{
	struct plan plan;
	struct error err;

	if (!flow_may_go_on(ctx))
		return flow_halt(ctx, NOTHING_DELETED);
	if (make_plan(ctx, policy, &plan, &err) != 0)
		return STOP_UNLESS_OK(ctx, &err);

	enum flow_outcome outcome = plan.total == 0 ? finish_no_action(ctx) : approval_ask(ctx, &plan, NULL);
	plan_release(&plan);
	return outcome;
}

/* The plan of this very attempt, where an earlier start of the body stored it: it is the one that the agent was asked about,
 * and maybe approved. Else a new one. */
static int find_plan(struct flow_ctx *ctx, const struct policy *policy, struct plan *ret_plan, struct error *err)
{
	int rc = read_plan(ctx, ret_plan, err);

	if (rc == 0 && ret_plan->planned_at == flow_begun_at(ctx))
		return 0;
	if (rc == 0)
		plan_release(ret_plan);
	else if (flow_halted(ctx) || (rc != ERR_NOT_FOUND && rc != ERR_DECODE))
		return rc;
	return make_plan(ctx, policy, ret_plan, err);
}

/* Told to stop before anything was begun now: an earlier start of the body may have deleted by then. */
static enum flow_outcome halt_attempt(struct flow_ctx *ctx)
{
	struct plan plan;
	struct error err;

	if (read_plan(ctx, &plan, &err) != 0)
		return flow_halt(ctx, NOTHING_DELETED);
	enum flow_outcome outcome = plan.planned_at == flow_begun_at(ctx) ? halt_deletion(ctx, &plan, 0) : flow_halt(ctx, NOTHING_DELETED);
	plan_release(&plan);
	return outcome;
}

/* Asks the agent about @plan, and does what comes of it. */
static enum flow_outcome ask_agent(struct flow_ctx *ctx, const struct policy *policy, const struct plan *plan)
{
	struct decision decision;
	struct error err;
	bool ask_person = false;
	enum flow_outcome outcome;

	if (plan->total == 0)
		return finish_no_action(ctx);
	if (agent_approval(ctx, plan, &decision, &ask_person, &err) != 0)
		return flow_halted(ctx) ? halt_deletion(ctx, plan, 0) : flow_fail(ctx, &err);
	/* Whatever was decided: maybe somebody cancelled the run meanwhile. */
	if (!flow_may_go_on(ctx))
		outcome = halt_deletion(ctx, plan, 0);
	else if (ask_person)
		outcome = approval_ask(ctx, plan, decision.advice);
	else
		outcome = act(ctx, policy, plan, &decision);
	decision_release(&decision);
	return outcome;
}

/* The whole story where an agent decides: plan, investigation, deletion; or a person is asked with its advice. */
static enum flow_outcome plan_and_ask_agent(struct flow_ctx *ctx, const struct policy *policy)
{
	struct plan plan;
	struct error err;

	if (!flow_may_go_on(ctx))
		return halt_attempt(ctx);
	if (find_plan(ctx, policy, &plan, &err) != 0)
		return flow_halted(ctx) ? halt_attempt(ctx) : flow_fail(ctx, &err);
	enum flow_outcome outcome = ask_agent(ctx, policy, &plan);
	plan_release(&plan);
	return outcome;
}

enum flow_outcome database_cleanup(struct flow_ctx *ctx)
{
	struct policy policy;
	struct error err;
	enum flow_outcome outcome;

	/* 1. What is asked for? Wrong parameters end the run before the server is asked anything. */
	if (policy_read(flow_parameters(ctx), &policy, &err) != 0)
		return flow_fail(ctx, &err);

	/* 2. Started again after the answer of a person: decision, deletion, report. */
	if (flow_was_asked(ctx))
		outcome = go_on_after_answer(ctx, &policy);
	/* 3. Plan, preview, question: then the run waits, and this body ends. */
	else if (policy.approval == APPROVAL_HUMAN)
		outcome = plan_and_ask(ctx, &policy);
	/* 4. An agent is asked: it decides within the guard rails, or a person does with its advice. */
	else if (agent_approval_ready(ctx, &err) == 0)
		outcome = plan_and_ask_agent(ctx, &policy);
	else
		outcome = flow_fail(ctx, &err);

	policy_release(&policy);
	return outcome;
}

json_t *database_cleanup_schema(void)
{
	json_t *schema = NULL;

	if (json_read(EMBED_DATA(flows_database_cleanup_parameters_schema_json),
	              EMBED_SIZE(flows_database_cleanup_parameters_schema_json), &schema, NULL) != 0)
		return NULL;
	return schema;
}

json_t *database_cleanup_defaults(void)
{
	AUTO_JSON *schema = database_cleanup_schema();
	const json_t *fields =
		json_object_get(json_object_get(json_object_get(schema, "properties"), "config"), "properties");
	json_t *config = json_object();
	const char *name;
	json_t *field;

	json_object_foreach((json_t *)(uintptr_t)fields, name, field)
		(void)json_object_set(config, name, json_object_get(field, "default"));
	return json_pack("{s:o}", "config", config);
}

char *database_cleanup_description(void)
{
	struct text text = {.max = 16 * 1024};

	text_add(&text, EMBED_DATA(flows_database_cleanup_description_md), EMBED_SIZE(flows_database_cleanup_description_md));
	return text_take(&text);
}
