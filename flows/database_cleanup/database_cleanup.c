#include "flows/database_cleanup/database_cleanup.h"

#include <inttypes.h>
#include <string.h>

#include "client/base/embed.h"
#include "client/base/text.h"
#include "flows/database_cleanup/agent_approval.h"
#include "flows/database_cleanup/agent_verdict.h"
#include "flows/database_cleanup/approval.h"
#include "flows/database_cleanup/deletion.h"
#include "flows/database_cleanup/plan.h"
#include "flows/database_cleanup/policy.h"
#include "flows/database_cleanup/report.h"

#define NOTHING_DELETED "nothing was deleted"
#define UNKNOWN_DELETED "how many flow runs were deleted cannot be told now"

EMBED_DECLARE(flows_database_cleanup_parameters_schema_json);
EMBED_DECLARE(flows_database_cleanup_description_md);

/* What is quoted of notes, in bytes. */
#define NOTES_SHOWN 400

/* Appends @before and @quoted, where there is something to quote. */
static void add_quoted(struct text *message, const char *before, const char *quoted)
{
	AUTO_FREE char *cut = text_cut(quoted, NOTES_SHOWN);

	if (cut != NULL && cut[0] != '\0')
		text_addf(message, "%s%s", before, cut);
}

/* --- how it ends: the report, then the state ---------------------------------------------------------------- */

/* The body was told to stop. Only a run that is being cancelled ends by that. */
static enum flow_outcome halt(struct flow_ctx *ctx, struct report report, const char *so_far)
{
	AUTO_TEXT message = {.max = 600};

	if (flow_cancelling(ctx)) {
		text_addf(&message, "cancelled: %s", so_far);
		report.outcome = "cancelled";
		report.message = text_str(&message);
		(void)report_write(ctx, &report);
	}
	return flow_halt(ctx, so_far);
}

static enum flow_outcome finish(struct flow_ctx *ctx, enum state_type type, const struct report *report, json_t *data)
{
	if (!flow_may_go_on(ctx)) {
		json_decref(data);
		return halt(ctx, *report, report->message);
	}
	(void)report_write(ctx, report);
	if (data != NULL && report->decision != NULL && report->decision->advice != NULL)
		(void)json_object_set(data, "advice", report->decision->advice);
	return flow_finish(ctx, type, report->message, data);
}

static enum flow_outcome fail(struct flow_ctx *ctx, struct report report, const struct error *err)
{
	if (!flow_may_go_on(ctx))
		return halt(ctx, report, err->text);
	report.outcome = "failed";
	report.message = err->text;
	(void)report_write(ctx, &report);
	return flow_fail(ctx, err);
}

/* A step did not come to its end: the body was told to stop, or it failed. */
static enum flow_outcome stop(struct flow_ctx *ctx, struct report report, const struct error *err)
{
	return flow_halted(ctx) ? halt(ctx, report, NOTHING_DELETED) : fail(ctx, report, err);
}

/* --- the plan ---------------------------------------------------------------------------------------------- */

/* Makes the plan and stores it; waits out an outage. */
static int make_plan(struct flow_ctx *ctx, const struct policy *policy, struct plan *ret_plan, struct error *err)
{
	char found[80];
	int rc;

	flow_step_begin(ctx, "query", NULL);
	/* "Now" is the server's: the moment at which it set this run to Running, which is past by any clock. */
	while ((rc = plan_make(flow_api(ctx), policy, flow_begun_at(ctx), ret_plan, err)) != 0)
		if (!flow_retry(ctx, err))
			return rc;
	flow_recovered(ctx);
	(void)snprintf(found, sizeof found, "%" PRId64 " flow runs match", ret_plan->total);
	flow_step_end(ctx, "query", STATE_COMPLETED, found);
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

/* How many flow runs of @plan this attempt has deleted by now: -1 where that cannot be told. */
static int64_t count_deleted(struct flow_ctx *ctx, const struct plan *plan)
{
	int64_t deleted = deletion_so_far(ctx, plan);

	/* flow_may_go_on() waits out an outage. */
	for (int reads = 1; deleted < 0 && reads < READS_MAX && flow_wait(ctx, READ_AGAIN_MS) && flow_may_go_on(ctx); reads++)
		deleted = deletion_so_far(ctx, plan);
	return deleted;
}

/* What was approved and begun is approved no longer, by @rule: nobody is asked again, and it is said how far it came. */
static enum flow_outcome finish_stopped(struct flow_ctx *ctx, struct report report, int64_t deleted, const char *rule)
{
	const int64_t total = report.plan->total;
	AUTO_TEXT message = {.max = 600};

	add_quoted(&message, "stopped: ", rule);
	text_addf(&message, "; ");
	if (deleted < 0)
		text_addf(&message, UNKNOWN_DELETED);
	else
		text_addf(&message, "deleted %" PRId64 " of %" PRId64 " flow runs", deleted, total);
	deletion_settle(ctx, report.plan);
	report.outcome = "stopped";
	report.message = text_str(&message);
	report.deleted = &deleted;
	return finish(ctx, STATE_FAILED, &report,
	              json_pack("{s:s, s:o, s:I, s:s}", "status", report.outcome, "deleted",
	                        deleted < 0 ? json_null() : json_integer(deleted), "matched", (json_int_t)total, "reason", rule));
}

static enum flow_outcome finish_rejected(struct flow_ctx *ctx, struct report report)
{
	const char *notes = report.decision->notes;
	AUTO_TEXT message = {.max = 600};

	text_addf(&message, "rejected, " NOTHING_DELETED);
	add_quoted(&message, ": ", notes);
	report.outcome = "rejected";
	report.message = text_str(&message);
	return finish(ctx, STATE_COMPLETED, &report, json_pack("{s:s, s:s}", "status", "rejected", "reason", notes));
}

static enum flow_outcome finish_dry_run(struct flow_ctx *ctx, struct report report)
{
	int64_t total = report.plan->total;
	char message[120];

	(void)snprintf(message, sizeof message, "dry run: would delete %" PRId64 " flow runs, " NOTHING_DELETED, total);
	report.outcome = "dry_run";
	report.message = message;
	return finish(ctx, STATE_COMPLETED, &report,
	              json_pack("{s:s, s:I}", "status", "dry_run", "would_delete", (json_int_t)total));
}

static void describe_deletion(const struct plan *plan, const struct deletion_result *result, struct text *message)
{
	text_addf(message, "deleted %" PRId64 " of %" PRId64 " flow runs", result->deleted, plan->total);
	if (result->failed > 0)
		text_addf(message, "; %" PRId64 " could not be deleted (see the log)", result->failed);
	if (result->given_up)
		text_addf(message, "; given up: the server refused one deletion after the other");
	if (result->left > result->failed && !result->given_up)
		text_addf(message, "; %" PRId64 " are left without a reason given", result->left - result->failed);
	if (result->gone > 0)
		text_addf(message, "; %" PRId64 " were run again or deleted by others", result->gone);
}

static enum flow_outcome finish_deleted(struct flow_ctx *ctx, struct report report, const struct deletion_result *result)
{
	const struct plan *plan = report.plan;
	char span[TIME_TEXT_SIZE];
	AUTO_TEXT message = {.max = 600};
	bool failed = result->deleted == 0 && result->left > 0;

	describe_deletion(plan, result, &message);
	flow_log(ctx, LOG_LEVEL_INFO, "the deletion took %s", span_format(result->took_ms, span));
	report.outcome = failed ? "failed" : "completed";
	report.message = text_str(&message);
	report.result = result;
	report.after = "verify";
	return finish(ctx, failed ? STATE_FAILED : STATE_COMPLETED, &report,
	              json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:O, s:s, s:s}", "status", report.outcome, "deleted",
	                        (json_int_t)result->deleted, "failed", (json_int_t)result->failed, "matched",
	                        (json_int_t)plan->total, "remaining", (json_int_t)result->left, "gone",
	                        (json_int_t)result->gone, "failed_ids", result->failed_ids, "plan", plan->digest, "notes",
	                        report.decision->notes));
}

/* The deletion ended before its end, by @err: nothing more is deleted, and it is said how far it came. */
static enum flow_outcome fail_deletion(struct flow_ctx *ctx, struct report report, const struct deletion_result *result,
                                       const struct error *err)
{
	const int64_t total = report.plan->total;
	const int64_t known = result->doubtful > 0 ? -1 : result->deleted;
	AUTO_TEXT message = {.max = 900};

	deletion_settle(ctx, report.plan);
	text_addf(&message, "deleted %" PRId64, result->deleted);
	if (known < 0) /* a kill came between the call and its note */
		text_addf(&message, " to %" PRId64, result->deleted + result->doubtful);
	text_addf(&message, " of %" PRId64 " flow runs, then stopped: %s", total, err->text);
	report.outcome = "failed";
	report.message = text_str(&message);
	report.deleted = &known;
	return finish(ctx, STATE_FAILED, &report,
	              json_pack("{s:s, s:o, s:I, s:s}", "status", report.outcome, "deleted",
	                        known < 0 ? json_null() : json_integer((json_int_t)known), "matched", (json_int_t)total, "reason",
	                        err->text));
}

/* What was decided about the plan, where somebody decided: for a report, so one look is enough. */
static bool look_for_decision(struct flow_ctx *ctx, const struct report *report, struct decision *ret_decision)
{
	bool by_agent = report->policy != NULL && report->policy->approval == APPROVAL_AI;
	AUTO_JSON *answer = NULL;
	struct error err;

	if (flow_was_asked(ctx)) {
		if (flow_answer(ctx, &answer, NULL, &err) != 0 || approval_read(ctx, report->plan, ret_decision, &err) != 0)
			return false;
		ret_decision->advice = by_agent ? agent_advice_read(ctx, report->plan) : NULL;
		return true;
	}
	/* Nobody else can have approved what was deleted. */
	json_t *advice = by_agent && report->deleted != NULL ? agent_advice_read(ctx, report->plan) : NULL;
	if (advice == NULL)
		return false;
	*ret_decision = (struct decision){.approved = true, .by = AGENT_VERDICT_BY, .notes = text_dup(""), .advice = advice};
	return ret_decision->notes != NULL;
}

static enum flow_outcome halt_deletion(struct flow_ctx *ctx, struct report report, int64_t deleted)
{
	struct decision decision = {0};
	char so_far[100];
	int64_t counted = deletion_so_far(ctx, report.plan);

	/* What the server counts holds also for batches whose answer was lost, and for earlier starts of the body. */
	if (counted > deleted)
		deleted = counted;
	int64_t known = counted < 0 && deleted == 0 ? -1 : deleted;
	if (known != 0) {
		report.deleted = &known;
		deletion_settle(ctx, report.plan);
	}
	if (report.decision == NULL && flow_cancelling(ctx) && look_for_decision(ctx, &report, &decision))
		report.decision = &decision;
	if (known < 0)
		(void)snprintf(so_far, sizeof so_far, UNKNOWN_DELETED);
	else if (known == 0)
		(void)snprintf(so_far, sizeof so_far, NOTHING_DELETED);
	else
		(void)snprintf(so_far, sizeof so_far, "deleted %" PRId64 " of %" PRId64 " flow runs", deleted, report.plan->total);
	enum flow_outcome outcome = halt(ctx, report, so_far);
	decision_release(&decision);
	return outcome;
}

/* Deletes what was approved, and reports. */
static enum flow_outcome delete_plan(struct flow_ctx *ctx, const struct report *report)
{
	struct deletion_result result = {0};
	struct error err;
	enum flow_outcome outcome;

	/* One deletion at a time on this server; what an earlier start of the body deleted stays counted. */
	if (!flow_has_turn(ctx))
		return flow_halted(ctx) ? halt_deletion(ctx, *report, 0) : flow_queue(ctx);

	int rc = deletion_run(ctx, report->plan, report->policy->batch_size, &result, &err);
	if (rc == ERR_BUSY && !flow_halted(ctx)) {
		outcome = flow_queue(ctx);
	} else if (rc == 0) {
		outcome = finish_deleted(ctx, *report, &result);
	} else if (flow_halted(ctx)) {
		outcome = halt_deletion(ctx, *report, result.deleted);
	} else {
		outcome = fail_deletion(ctx, *report, &result, &err);
	}
	deletion_result_release(&result);
	return outcome;
}

/* What was decided is done. An earlier start of the body may have begun to do it, by a decision, settings or parameters that
 * were others then. */
static enum flow_outcome act(struct flow_ctx *ctx, const struct report *report)
{
	const struct decision *decision = report->decision;
	/* What was shown holds; parameters that were changed since only narrow it. */
	bool dry_run = report->plan->dry_run || report->policy->dry_run;
	AUTO_TEXT message = {.max = 600};

	text_addf(&message, "%s by %s", decision->approved ? "approved" : "not approved", decision->by);
	add_quoted(&message, ": ", decision->notes);
	flow_step_end(ctx, "approval", STATE_COMPLETED, text_str(&message));
	if (decision->approved && !dry_run)
		return delete_plan(ctx, report);
	int64_t deleted = count_deleted(ctx, report->plan);
	if (flow_halted(ctx))
		return halt_deletion(ctx, *report, 0);
	if (deleted != 0)
		return finish_stopped(ctx, *report, deleted, decision->approved ? "dry_run is set now" : decision->notes);
	return decision->approved ? finish_dry_run(ctx, *report) : finish_rejected(ctx, *report);
}

static enum flow_outcome go_on_with_plan(struct flow_ctx *ctx, struct report report)
{
	struct decision decision;
	struct error err;

	/* Cancelled while it was paused, or while its worker was away: the state says what had been deleted by then. */
	if (!flow_may_go_on(ctx))
		return halt_deletion(ctx, report, 0);
	if (read_decision(ctx, report.plan, &decision, &err) != 0)
		return flow_halted(ctx) ? halt_deletion(ctx, report, 0) : fail(ctx, report, &err);
	if (report.policy->approval == APPROVAL_AI)
		decision.advice = agent_advice_read(ctx, report.plan);
	/* Once, also where an earlier start of the body came so far. */
	if (!state_type_is_terminal(flow_step_state(ctx, "approval")))
		flow_log(ctx, LOG_LEVEL_INFO, "%s%s%s", decision.approved ? "approved" : "not approved",
		         decision.notes[0] != '\0' ? ": " : "", decision.notes);

	report.decision = &decision;
	enum flow_outcome outcome = act(ctx, &report);
	decision_release(&decision);
	return outcome;
}

/* The second half of the story: the run was paused and is Running again. */
static enum flow_outcome go_on_after_answer(struct flow_ctx *ctx, const struct policy *policy)
{
	struct report report = {.policy = policy, .after = "approval"};
	struct plan plan;
	struct error err;

	if (read_plan(ctx, &plan, &err) != 0)
		return stop(ctx, report, &err);
	report.plan = &plan;
	enum flow_outcome outcome = go_on_with_plan(ctx, report);
	plan_release(&plan);
	return outcome;
}

static enum flow_outcome finish_no_action(struct flow_ctx *ctx, const struct policy *policy, const struct plan *plan)
{
	return finish(ctx, STATE_COMPLETED,
	              &(struct report){.outcome = "no_action", .message = "no flow runs match, " NOTHING_DELETED,
	                               .policy = policy, .plan = plan, .after = "query"},
	              json_pack("{s:s, s:i}", "status", "no_action", "deleted", 0));
}

/* The plan that an earlier start of the body stored in this very attempt: an agent was asked about it, and maybe approved
 * it. ERR_NOT_FOUND where there is none. */
static int read_own_plan(struct flow_ctx *ctx, struct plan *ret_plan, struct error *err)
{
	int rc = read_plan(ctx, ret_plan, err);

	if (rc == 0 && ret_plan->planned_at == flow_begun_at(ctx))
		return 0;
	if (rc == 0)
		plan_release(ret_plan);
	return rc == 0 || (rc == ERR_DECODE && !flow_halted(ctx)) ? error_set(err, ERR_NOT_FOUND, "no plan of this attempt") : rc;
}

/* The plan to ask about: for an agent the one that it may have decided about, else a new one. @ret_begun: its deletion was
 * begun before. */
static int find_plan(struct flow_ctx *ctx, const struct policy *policy, struct plan *ret_plan, bool *ret_begun, struct error *err)
{
	int rc = read_own_plan(ctx, ret_plan, err);

	*ret_begun = rc == 0 && count_deleted(ctx, ret_plan) != 0;
	if (rc != 0 && rc != ERR_NOT_FOUND)
		return rc;
	if (*ret_begun)
		return 0;
	/* Where no model can be asked, the server need not be either. */
	int ready = policy->approval == APPROVAL_AI ? agent_approval_ready(ctx, err) : 0;
	if (rc == 0 && policy->approval == APPROVAL_AI && ready == 0)
		return 0;
	if (rc == 0)
		plan_release(ret_plan);
	return ready != 0 ? ready : make_plan(ctx, policy, ret_plan, err);
}

/* Told to stop before anything was begun now: an earlier start of the body may have deleted by then. */
static enum flow_outcome halt_attempt(struct flow_ctx *ctx, const struct policy *policy)
{
	struct report report = {.policy = policy, .after = "query"};
	struct plan plan;
	struct error err;

	if (read_plan(ctx, &plan, &err) != 0)
		return halt(ctx, report, NOTHING_DELETED);
	bool same = plan.planned_at == flow_begun_at(ctx);
	report.plan = same ? &plan : NULL;
	enum flow_outcome outcome = same ? halt_deletion(ctx, report, 0) : halt(ctx, report, NOTHING_DELETED);
	plan_release(&plan);
	return outcome;
}

/* Asks a person; where that cannot be done, it is reported. */
static enum flow_outcome ask_person(struct flow_ctx *ctx, struct report report, const json_t *advice)
{
	enum flow_outcome outcome = FLOW_LEFT;
	struct error err;

	report.after = "preview";
	return approval_ask(ctx, report.plan, advice, &outcome, &err) == 0 ? outcome : stop(ctx, report, &err);
}

/* Asks the agent about the plan, and does what comes of it. */
static enum flow_outcome ask_agent(struct flow_ctx *ctx, struct report report)
{
	struct decision decision;
	struct error err;
	bool ask = false;
	enum flow_outcome outcome;

	if (agent_approval(ctx, report.plan, &decision, &ask, &err) != 0)
		return flow_halted(ctx) ? halt_deletion(ctx, report, 0) : fail(ctx, report, &err);
	report.decision = ask ? NULL : &decision;
	/* Whatever was decided: maybe somebody cancelled the run meanwhile. */
	if (!flow_may_go_on(ctx))
		outcome = halt_deletion(ctx, report, 0);
	else if (ask)
		outcome = ask_person(ctx, report, decision.advice);
	else
		outcome = act(ctx, &report);
	decision_release(&decision);
	return outcome;
}

/* An agent approved the plan, and some of it is deleted already: is it approved still? Nobody is asked about half a plan. */
static enum flow_outcome go_on_deleting(struct flow_ctx *ctx, struct report report)
{
	struct decision decision;
	struct error err;
	enum flow_outcome outcome;

	if (!flow_may_go_on(ctx))
		return halt_deletion(ctx, report, 0);
	if (report.policy->approval == APPROVAL_HUMAN)
		return finish_stopped(ctx, report, count_deleted(ctx, report.plan),
		                      "approval_type is 'human' now, and no person was asked");
	if (agent_approval_stored(ctx, report.plan, &decision, &err) != 0)
		return flow_halted(ctx) ? halt_deletion(ctx, report, 0) : fail(ctx, report, &err);
	report.decision = &decision;
	outcome = act(ctx, &report);
	decision_release(&decision);
	return outcome;
}

/* The first half: plan, preview, question. Where an agent decides, the whole story. */
static enum flow_outcome plan_and_ask(struct flow_ctx *ctx, const struct policy *policy)
{
	struct report report = {.policy = policy, .after = "query"};
	struct plan plan;
	struct error err;
	bool begun;
	enum flow_outcome outcome;

	if (!flow_may_go_on(ctx))
		return halt_attempt(ctx, policy);
	if (find_plan(ctx, policy, &plan, &begun, &err) != 0)
		return flow_halted(ctx) ? halt_attempt(ctx, policy) : fail(ctx, report, &err);
	report.plan = &plan;
	report.after = "approval";
	if (begun)
		outcome = go_on_deleting(ctx, report);
	else if (plan.total == 0)
		outcome = finish_no_action(ctx, policy, &plan);
	else if (policy->approval == APPROVAL_HUMAN)
		outcome = ask_person(ctx, report, NULL);
	else
		outcome = ask_agent(ctx, report);
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
		return fail(ctx, (struct report){0}, &err);

	/* 2. Started again after the answer of a person: decision, deletion, report. */
	if (flow_was_asked(ctx))
		outcome = go_on_after_answer(ctx, &policy);
	/* 3. Plan, preview, question: a person is asked, the run waits, and this body ends; or an agent is, which decides within
	 * the guard rails, or advises a person. */
	else
		outcome = plan_and_ask(ctx, &policy);

	policy_release(&policy);
	return outcome;
}

int database_cleanup_form(struct flow_ctx *ctx, const struct flow_form *shown, struct flow_form *ret_form, struct error *err)
{
	AUTO_JSON *json = NULL;
	struct policy policy;
	struct plan plan;
	bool by_agent = false;
	struct error unread;

	int rc = flow_checkpoint_read(ctx, PLAN_KEY, &json, err);
	if (rc == ERR_NOT_FOUND)
		return error_set(err, ERR_DECODE, "the plan (input '" PLAN_KEY "') is not stored any more");
	if (rc == 0)
		rc = plan_decode(json, &plan, err);
	if (rc != 0)
		return rc;
	if (policy_read(flow_parameters(ctx), &policy, &unread) == 0) {
		by_agent = policy.approval == APPROVAL_AI;
		policy_release(&policy);
	}
	rc = approval_form(ctx, &plan, by_agent, shown, ret_form, err);
	plan_release(&plan);
	return rc;
}

/* Its body ended it, and could not write the report: the state says what became of it. */
static void tell_own_end(struct flow_ctx *ctx, enum state_type type, struct report *report)
{
	const json_t *state = flow_state(ctx);
	const char *message = json_string_value(json_object_get(state, "message"));
	const char *status = json_string_value(json_object_get(json_object_get(state, "data"), "status"));

	/* A newer run of its deployment has taken its place: worker/supersede.h */
	bool superseded = message != NULL && type == STATE_CANCELLED && strncmp(message, "superseded by ", 14) == 0;

	if (superseded)
		report->message = message;
	if (superseded || message == NULL || flow_step_state(ctx, "report") != STATE_RUNNING)
		return;
	report->message = message;
	if (type != STATE_CANCELLED)
		report->outcome = status != NULL ? status : type == STATE_COMPLETED ? "completed" : "failed";
}

bool database_cleanup_ended(struct flow_ctx *ctx, enum state_type type, bool expired)
{
	struct report report = {.outcome = expired ? "expired" : type == STATE_CANCELLED ? "cancelled" : "ended",
	                        .message = expired ? "nobody answered in time, " NOTHING_DELETED
	                                           : "the run was ended by somebody else, or by the server",
	                        .ended = true,
	                        .after = "approval"};
	struct policy policy = {0};
	struct plan plan = {0};
	struct decision decision = {0};
	int64_t deleted = 0;
	struct error err;

	if (!expired)
		tell_own_end(ctx, type, &report);
	report.policy = policy_read(flow_parameters(ctx), &policy, &err) == 0 ? &policy : NULL;
	AUTO_JSON *json = NULL;
	if (flow_checkpoint_read(ctx, PLAN_KEY, &json, &err) == 0 && plan_decode(json, &plan, &err) == 0)
		report.plan = &plan;
	if (!expired && report.plan != NULL) {
		deleted = deletion_so_far(ctx, &plan);
		/* What its body was at when it was killed or stopped. */
		if (deleted != 0)
			deletion_settle(ctx, &plan);
		report.deleted = deleted != 0 ? &deleted : NULL;
		if (look_for_decision(ctx, &report, &decision))
			report.decision = &decision;
	}
	bool written = report_write(ctx, &report);
	decision_release(&decision);
	if (report.plan != NULL)
		plan_release(&plan);
	if (report.policy != NULL)
		policy_release(&policy);
	return written;
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
