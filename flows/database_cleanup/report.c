#include "flows/database_cleanup/report.h"

#include <inttypes.h>
#include <string.h>

#include "client/base/text.h"
#include "client/prefect/artifact.h"
#include "flows/database_cleanup/agent_setup.h"
#include "flows/database_cleanup/guard_rails.h"
#include "flows/database_cleanup/pace.h"
#include "flows/database_cleanup/preview.h"

#define REPORT_MAX (512 * 1024)
#define FAILED_SHOWN 20
#define CELL_MAX 400
#define MESSAGE_MAX 1000

/* --- for programs ----------------------------------------------------------------------------------------- */

static json_t *policy_json(const struct policy *policy)
{
	if (policy == NULL)
		return json_null();
	return json_pack("{s:s, s:O, s:i, s:b, s:s}", "retention_period", policy->retention, "states", policy->states,
	                 "batch_size", policy->batch_size, "dry_run", policy->dry_run, "approval_type",
	                 policy->approval == APPROVAL_AI ? "ai" : "human");
}

static json_t *plan_json(const struct plan *plan)
{
	if (plan == NULL)
		return json_null();
	return json_pack("{s:s, s:o, s:o, s:I}", "digest", plan->digest, "planned_at", json_time(plan->planned_at), "cutoff",
	                 json_time(plan->cutoff), "total", (json_int_t)plan->total);
}

static json_t *decision_json(const struct flow_ctx *ctx, const struct decision *decision)
{
	if (decision == NULL)
		return json_null();
	time_us at = flow_approved_at(ctx);
	return json_pack("{s:b, s:s, s:s, s:o, s:O?}", "approved", decision->approved, "by", decision->by, "notes",
	                 decision->notes, "decided_at", at != 0 ? json_time(at) : json_null(), "advice", decision->advice);
}

static json_t *deletion_json(const struct report *report)
{
	const struct deletion_result *r = report->result;

	if (r == NULL && report->deleted == NULL)
		return json_null();
	if (r == NULL)
		return json_pack("{s:I}", "deleted", (json_int_t)*report->deleted);
	return json_pack("{s:I, s:I, s:I, s:I, s:b, s:O, s:I, s:f, s:I, s:I, s:I, s:I, s:b, s:b}", "deleted", (json_int_t)r->deleted,
	                 "failed", (json_int_t)r->failed, "remaining", (json_int_t)r->left, "gone", (json_int_t)r->gone,
	                 "given_up", r->given_up, "failed_ids", r->failed_ids, "took_ms", (json_int_t)r->took_ms,
	                 "runs_per_second", r->took_ms > 0 ? (double)r->deleted * 1000 / (double)r->took_ms : 0.0,
	                 "artifacts_deleted", (json_int_t)r->artifacts_deleted, "artifacts_left", (json_int_t)r->artifacts_left,
	                 "logs_checked", (json_int_t)r->logs_checked, "logs_left", (json_int_t)r->logs_left, "logs_more", r->logs_more,
	                 "counted", r->counted);
}

/* What holds whoever decides. Of a run that ended without its body the job variables are not at hand. */
static json_t *limits_json(struct flow_ctx *ctx, const struct report *report)
{
	struct pace_settings pace;
	struct flow_ai ai = flow_ai(ctx);

	if (report->policy == NULL || report->ended)
		return json_null();
	pace_read(ctx, report->policy->batch_size, &pace);
	return json_pack("{s:i, s:i, s:I, s:I, s:I, s:I, s:o}", "batch_size", pace.batch_most, "batch_size_min", pace.batch_least,
	                 "batch_pause_ms", (json_int_t)pace.pause_least_ms, "batch_pause_max_ms", (json_int_t)pace.pause_most_ms,
	                 "batch_target_ms", (json_int_t)pace.target_ms, "approval_timeout_s", (json_int_t)approval_timeout_s(ctx), "ai",
	                 agent_is_configured(ai.settings) ? guard_rails_json(ai.settings) : json_null());
}

/* A new reference to what the preview showed, where it was of this plan. */
static json_t *shown_flows(const struct plan *plan, const json_t *shown, int64_t *ret_left_out)
{
	const char *digest = json_string_value(json_object_get(shown, "plan"));
	json_t *flows = json_object_get(shown, "flows");

	*ret_left_out = plan != NULL ? plan->total : 0;
	if (plan == NULL || digest == NULL || strcmp(digest, plan->digest) != 0 || !json_is_array(flows))
		return json_array();
	*ret_left_out = json_integer_value(json_object_get(shown, "left_out"));
	return json_incref(flows);
}

json_t *report_json(struct flow_ctx *ctx, const struct report *report, const json_t *flows)
{
	int64_t left_out;
	json_t *shown = shown_flows(report->plan, flows, &left_out);
	char message[MESSAGE_MAX];

	/* It may quote what somebody sent, cut anywhere: no text is a reason for no report. */
	text_clean(message, sizeof message, report->message, strlen(report->message));
	return json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I}", "version", REPORT_VERSION,
	                 "outcome", report->outcome, "message", message, "flow_run_id", flow_run_id(ctx), "worker",
	                 flow_worker_name(ctx), "worker_version", JANITOR_VERSION, "finished_at",
	                 json_time(prefect_now(flow_api(ctx))), "policy", policy_json(report->policy), "limits",
	                 limits_json(ctx, report), "plan",
	                 plan_json(report->plan), "decision", decision_json(ctx, report->decision), "deletion",
	                 deletion_json(report), "flows", shown, "flows_left_out", (json_int_t)left_out);
}

/* --- for people ------------------------------------------------------------------------------------------- */

static json_int_t number_of(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

/* A row of the table of facts. */
static void add_row(struct text *t, const char *what, const char *value)
{
	text_addf(t, "| %s | ", what);
	text_add_markdown(t, value, strlen(value), CELL_MAX);
	text_addf(t, " |\n");
}

static void add_policy(struct text *t, const json_t *policy)
{
	size_t i;
	json_t *state;

	if (!json_is_object(policy))
		return;
	text_addf(t, "| Policy | retention ");
	text_add_markdown(t, json_text_of(policy, "retention_period"), strlen(json_text_of(policy, "retention_period")), 80);
	text_addf(t, "; states");
	json_array_foreach(json_object_get(policy, "states"), i, state)
	{
		text_addf(t, i > 0 ? ", " : " ");
		text_add_markdown(t, json_string_value(state), json_string_length(state), 80);
	}
	text_addf(t, "; %lld in a batch; approval by %s%s |\n", (long long)number_of(policy, "batch_size"),
	          strcmp(json_text_of(policy, "approval_type"), "ai") == 0 ? "an AI agent" : "a person",
	          json_is_true(json_object_get(policy, "dry_run")) ? "; dry run" : "");
}

static void add_limits(struct text *t, const json_t *limits)
{
	const json_t *ai = json_object_get(limits, "ai");
	AUTO_FREE char *rails = json_is_object(ai) ? json_write(ai, JSON_SORT_KEYS) : NULL;

	if (!json_is_object(limits))
		return;
	text_addf(t, "| Limits in force | batches of %lld to %lld flow runs, pauses of %lld to %lld ms, slower where a call takes more than "
	          "%lld ms; a person has %lld s to answer |\n", (long long)number_of(limits, "batch_size_min"),
	          (long long)number_of(limits, "batch_size"), (long long)number_of(limits, "batch_pause_ms"),
	          (long long)number_of(limits, "batch_pause_max_ms"), (long long)number_of(limits, "batch_target_ms"),
	          (long long)number_of(limits, "approval_timeout_s"));
	if (rails != NULL)
		add_row(t, "Limits of AI", rails);
}

static void add_plan(struct text *t, const json_t *plan)
{
	if (!json_is_object(plan))
		return;
	text_addf(t, "| Plan | %lld flow runs that started at or before %s; made at %s |\n| Digest | `sha256:%s` |\n",
	          (long long)number_of(plan, "total"), json_text_of(plan, "cutoff"), json_text_of(plan, "planned_at"),
	          json_text_of(plan, "digest"));
}

static void add_decision(struct text *t, const json_t *decision)
{
	const json_t *advice = json_object_get(decision, "advice");
	const json_t *rails = json_object_get(advice, "guard_rails");
	AUTO_FREE char *guards = rails != NULL ? json_write(rails, JSON_SORT_KEYS) : NULL;

	if (!json_is_object(decision)) {
		add_row(t, "Decision", "none");
		return;
	}
	text_addf(t, "| Decision | %s by ", json_is_true(json_object_get(decision, "approved")) ? "approved" : "not approved");
	text_add_markdown(t, json_text_of(decision, "by"), strlen(json_text_of(decision, "by")), CELL_MAX);
	if (json_text_of(decision, "decided_at")[0] != '\0')
		text_addf(t, ", %s", json_text_of(decision, "decided_at"));
	text_addf(t, " |\n");
	if (json_text_of(decision, "notes")[0] != '\0')
		add_row(t, "Notes", json_text_of(decision, "notes"));
	if (json_text_of(advice, "reasoning")[0] != '\0')
		add_row(t, "The AI agent", json_text_of(advice, "reasoning"));
	if (json_text_of(advice, "unsure")[0] != '\0')
		add_row(t, "Stopped by", json_text_of(advice, "unsure"));
	if (guards != NULL)
		add_row(t, "Guard rails", guards);
}

/* Of very many runs a sample was looked at: no more is said than was seen. */
static void add_belongings(struct text *t, const json_t *deletion)
{
	AUTO_TEXT checked = {.max = 80};
	json_int_t deleted = number_of(deletion, "deleted");

	text_addf(&checked, "%lld", (long long)number_of(deletion, "logs_checked"));
	if (number_of(deletion, "logs_checked") < deleted)
		text_addf(&checked, " of the %lld", (long long)deleted);
	text_addf(t, "| Artifacts | %lld deleted with their flow runs; ", (long long)number_of(deletion, "artifacts_deleted"));
	if (number_of(deletion, "artifacts_left") < 0)
		text_addf(t, "whether some are left cannot be told");
	else
		text_addf(t, "of %s deleted flow runs %lld left", text_str(&checked), (long long)number_of(deletion, "artifacts_left"));
	text_addf(t, "; cleanup reports stay |\n| Logs | looked for those of %s deleted flow runs: %s%lld still have some |\n",
	          text_str(&checked), json_is_true(json_object_get(deletion, "logs_more")) ? "at least " : "",
	          (long long)number_of(deletion, "logs_left"));
}

static void add_deletion(struct text *t, const json_t *deletion)
{
	char span[TIME_TEXT_SIZE];

	if (!json_is_object(deletion)) {
		add_row(t, "Deleted", "nothing");
		return;
	}
	if (number_of(deletion, "deleted") < 0)
		add_row(t, "Deleted", "cannot be told: the server did not answer");
	else
		text_addf(t, "| Deleted | %lld flow runs%s |\n", (long long)number_of(deletion, "deleted"),
		          json_is_true(json_object_get(deletion, "counted"))
		                  ? " (counted by what is left of the plan, as the run was interrupted or an answer lost: what others deleted "
		                    "meanwhile may be among them)"
		                  : "");
	if (json_object_get(deletion, "failed") == NULL)
		return;
	text_addf(t, "| Failed | %lld%s |\n| Left | %lld |\n| Gone by other hands | %lld |\n",
	          (long long)number_of(deletion, "failed"),
	          json_is_true(json_object_get(deletion, "given_up")) ? ", then given up" : "",
	          (long long)number_of(deletion, "remaining"), (long long)number_of(deletion, "gone"));
	text_addf(t, "| Took | %s, %.1f flow runs a second |\n", span_format(number_of(deletion, "took_ms"), span),
	          json_real_value(json_object_get(deletion, "runs_per_second")));
	add_belongings(t, deletion);
}

static void add_failed(struct text *t, const json_t *failed_ids)
{
	size_t i;
	json_t *id;

	if (json_array_size(failed_ids) == 0)
		return;
	text_addf(t, "\n## Could not be deleted\n\n");
	json_array_foreach(failed_ids, i, id)
	{
		if (i == FAILED_SHOWN)
			break;
		text_addf(t, "- `%.40s`\n", json_string_value(id));
	}
	if (json_array_size(failed_ids) > FAILED_SHOWN)
		text_addf(t, "\n... and %zu more, in the block below\n", json_array_size(failed_ids) - FAILED_SHOWN);
}

static void add_flows(struct text *t, const json_t *report)
{
	const json_t *flows = json_object_get(report, "flows");
	size_t i;
	json_t *flow;

	if (json_array_size(flows) == 0)
		return;
	text_addf(t, "\n## The plan by flow and state\n\n| Flow | Flow runs | States |\n|---|---:|---|\n");
	json_array_foreach(flows, i, flow)
	{
		const char *state;
		json_t *count;
		const char *comma = "";

		text_addf(t, "| ");
		text_add_markdown(t, json_text_of(flow, "name"), strlen(json_text_of(flow, "name")), 80);
		text_addf(t, " | %lld | ", (long long)number_of(flow, "count"));
		json_object_foreach(json_object_get(flow, "states"), state, count)
		{
			text_addf(t, "%s", comma);
			text_add_markdown(t, state, strlen(state), 80);
			text_addf(t, " %lld", (long long)json_integer_value(count));
			comma = ", ";
		}
		text_addf(t, " |\n");
	}
	if (number_of(report, "flows_left_out") > 0)
		text_addf(t, "\n... and %lld flow runs of more flows\n", (long long)number_of(report, "flows_left_out"));
}

/* As one line: no text in it can end the fence. */
static bool add_block(struct text *t, const json_t *report)
{
	AUTO_FREE char *json = json_write(report, JSON_SORT_KEYS);

	if (json != NULL)
		text_addf(t, "\n## For programs\n\n```json\n%s\n```\n", json);
	return json != NULL;
}

char *report_markdown(const json_t *report)
{
	struct text t = {.max = REPORT_MAX};
	const json_t *deletion = json_object_get(report, "deletion");

	text_addf(&t, "# Cleanup report\n\n**");
	text_add_markdown(&t, json_text_of(report, "message"), strlen(json_text_of(report, "message")), 600);
	text_addf(&t, "**\n\n| | |\n|---|---|\n");
	add_row(&t, "Outcome", json_text_of(report, "outcome"));
	add_decision(&t, json_object_get(report, "decision"));
	add_policy(&t, json_object_get(report, "policy"));
	add_limits(&t, json_object_get(report, "limits"));
	add_plan(&t, json_object_get(report, "plan"));
	add_deletion(&t, deletion);
	add_row(&t, "Flow run", json_text_of(report, "flow_run_id"));
	text_addf(&t, "| Worker | ");
	text_add_markdown(&t, json_text_of(report, "worker"), strlen(json_text_of(report, "worker")), CELL_MAX);
	text_addf(&t, ", prefect-janitor %s |\n| Written at | %s |\n", json_text_of(report, "worker_version"),
	          json_text_of(report, "finished_at"));
	add_failed(&t, json_object_get(deletion, "failed_ids"));
	add_flows(&t, report);
	if (!add_block(&t, report)) {
		text_release(&t);
		return NULL;
	}
	return text_take(&t);
}

/* --- reading it ------------------------------------------------------------------------------------------- */

#define FENCE "\n```json\n"
#define FENCE_END "\n```"

int report_parse(const char *markdown, json_t **ret_report, struct error *err)
{
	const char *block = NULL;
	AUTO_JSON *report = NULL;

	/* The last one: what comes before it may quote anything. */
	for (const char *at = markdown; (at = strstr(at, FENCE)) != NULL; at++)
		block = at + strlen(FENCE);
	const char *end = block != NULL ? strstr(block, FENCE_END) : NULL;
	if (end == NULL)
		return error_set(err, ERR_DECODE, "it has no block for programs");
	int rc = json_read(block, (size_t)(end - block), &report, err);
	if (rc != 0)
		return rc;
	json_int_t version = json_integer_value(json_object_get(report, "version"));
	if (version != REPORT_VERSION)
		return error_set(err, ERR_DECODE, "it has version %lld, this program reads %d", (long long)version, REPORT_VERSION);
	if (!json_is_string(json_object_get(report, "outcome")))
		return error_set(err, ERR_DECODE, "it does not say how the run ended");
	*ret_report = json_incref(report);
	return 0;
}

bool report_learn(json_t *report, const json_t *written)
{
	static const char *const counts[] = {"deleted", "failed", "remaining", "gone"};
	json_t *before = json_object_get(written, "deletion");
	json_t *now = json_object_get(report, "deletion");
	const char *digest = json_text_of(json_object_get(report, "plan"), "digest");
	bool same = digest[0] != '\0' && strcmp(json_text_of(json_object_get(written, "plan"), "digest"), digest) == 0;

	/* What this one does not know (it tells of a run that ended without its body) cannot contradict. */
	for (size_t i = 0; same && i < sizeof counts / sizeof counts[0]; i++) {
		const json_t *count = json_object_get(now, counts[i]);
		same = count == NULL || json_integer_value(count) < 0 || json_equal(json_object_get(before, counts[i]), count);
	}
	same = same && (json_is_null(now) ? json_is_null(before) : json_object_get(before, "took_ms") != NULL) &&
	       number_of(before, "artifacts_deleted") >= number_of(now, "artifacts_deleted");
	if (!same)
		return false;
	(void)json_object_set(report, "deletion", before);
	if (json_is_null(json_object_get(report, "limits")) && json_object_get(written, "limits") != NULL)
		(void)json_object_set(report, "limits", json_object_get(written, "limits"));
	return strcmp(json_text_of(written, "outcome"), json_text_of(report, "outcome")) == 0;
}

/* Has this attempt's report been written already? Then that one may know more: what was done and how long it took, which a body
 * that is started again at the very end does not know, and less so a worker that tells of a run that ended without its body. */
static int read_written(struct flow_ctx *ctx, json_t *report, bool *ret_written, struct error *err)
{
	struct artifact *found;
	size_t count;

	*ret_written = false;
	int rc = artifact_of_run(flow_api(ctx), flow_run_id(ctx), REPORT_KEY, 10, &found, &count, err);
	if (rc != 0)
		return rc;
	for (size_t i = 0; i < count && !*ret_written; i++) {
		const char *markdown = json_string_value(found[i].data);
		AUTO_JSON *other = NULL;
		if (markdown != NULL && report_parse(markdown, &other, NULL) == 0)
			*ret_written = report_learn(report, other);
	}
	artifacts_release(found, count);
	return 0;
}

#define READS_MAX 5

/* True where there is a report that tells the same. Not knowing, the report is written: it is true, if maybe shorter. */
static bool is_written(struct flow_ctx *ctx, const struct report *report, json_t *json)
{
	bool written = false;
	struct error err;

	/* A service has no time to wait. */
	for (int reads = 1; read_written(ctx, json, &written, &err) != 0; reads++)
		if (report->ended || reads == READS_MAX || !flow_retry(ctx, &err))
			return false;
	return written;
}

/* --- writing ---------------------------------------------------------------------------------------------- */

bool report_write(struct flow_ctx *ctx, const struct report *report)
{
	AUTO_JSON *shown = NULL;

	flow_step_begin(ctx, "report", report->after);
	if (report->plan != NULL && report->plan->total > 0 && flow_checkpoint_read(ctx, PREVIEW_KEY, &shown, NULL) != 0)
		shown = NULL;
	AUTO_JSON *json = report_json(ctx, report, shown);
	/* Of a run that has not deleted anything the report can be there as well, but then it is short, and the same. */
	bool maybe = (report->result != NULL && report->result->deleted > 0) || report->ended;
	bool written = json != NULL && maybe && is_written(ctx, report, json);
	AUTO_FREE char *markdown = json != NULL ? report_markdown(json) : NULL;
	AUTO_JSON *data = markdown != NULL ? json_string(markdown) : NULL;

	AUTO_TEXT line = {.max = 1200};
	text_add_markdown(&line, report->message, strlen(report->message), 600);
	bool later = false;
	const struct flow_artifact artifact = {
		.step = "report", .type = "markdown", .key = REPORT_KEY, .data = data, .description = text_str(&line)};
	written = written || (data != NULL && flow_artifact_patient(ctx, &artifact, &later));
	if (!written && later) {
		flow_step_leave(ctx, "report");
		return false;
	}
	flow_step_end(ctx, "report", written ? STATE_COMPLETED : STATE_FAILED, written ? NULL : "it could not be written");
	return true;
}
