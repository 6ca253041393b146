#include "flows/database_cleanup/report.h"

#include <inttypes.h>
#include <string.h>

#include "client/base/text.h"
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
	return json_pack("{s:I, s:I, s:I, s:I, s:b, s:O, s:I, s:f, s:I, s:I, s:I, s:I}", "deleted", (json_int_t)r->deleted,
	                 "failed", (json_int_t)r->failed, "remaining", (json_int_t)r->left, "gone", (json_int_t)r->gone,
	                 "given_up", r->given_up, "failed_ids", r->failed_ids, "took_ms", (json_int_t)r->took_ms,
	                 "runs_per_second", r->took_ms > 0 ? (double)r->deleted * 1000 / (double)r->took_ms : 0.0,
	                 "artifacts_deleted", (json_int_t)r->artifacts_deleted, "artifacts_left", (json_int_t)r->artifacts_left,
	                 "logs_checked", (json_int_t)r->logs_checked, "logs_left", (json_int_t)r->logs_left);
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
	return json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:I}", "version", REPORT_VERSION,
	                 "outcome", report->outcome, "message", message, "flow_run_id", flow_run_id(ctx), "worker",
	                 flow_worker_name(ctx), "worker_version", JANITOR_VERSION, "finished_at",
	                 json_time(prefect_now(flow_api(ctx))), "policy", policy_json(report->policy), "plan",
	                 plan_json(report->plan), "decision", decision_json(ctx, report->decision), "deletion",
	                 deletion_json(report), "flows", shown, "flows_left_out", (json_int_t)left_out);
}

/* --- for people ------------------------------------------------------------------------------------------- */

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text != NULL ? text : "";
}

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
	text_add_markdown(t, text_of(policy, "retention_period"), strlen(text_of(policy, "retention_period")), 80);
	text_addf(t, "; states");
	json_array_foreach(json_object_get(policy, "states"), i, state)
	{
		text_addf(t, i > 0 ? ", " : " ");
		text_add_markdown(t, json_string_value(state), json_string_length(state), 80);
	}
	text_addf(t, "; %lld in a batch; approval by %s%s |\n", (long long)number_of(policy, "batch_size"),
	          strcmp(text_of(policy, "approval_type"), "ai") == 0 ? "an AI agent" : "a person",
	          json_is_true(json_object_get(policy, "dry_run")) ? "; dry run" : "");
}

static void add_plan(struct text *t, const json_t *plan)
{
	if (!json_is_object(plan))
		return;
	text_addf(t, "| Plan | %lld flow runs that started at or before %s; made at %s |\n| Digest | `sha256:%s` |\n",
	          (long long)number_of(plan, "total"), text_of(plan, "cutoff"), text_of(plan, "planned_at"),
	          text_of(plan, "digest"));
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
	text_add_markdown(t, text_of(decision, "by"), strlen(text_of(decision, "by")), CELL_MAX);
	if (text_of(decision, "decided_at")[0] != '\0')
		text_addf(t, ", %s", text_of(decision, "decided_at"));
	text_addf(t, " |\n");
	if (text_of(decision, "notes")[0] != '\0')
		add_row(t, "Notes", text_of(decision, "notes"));
	if (text_of(advice, "reasoning")[0] != '\0')
		add_row(t, "The AI agent", text_of(advice, "reasoning"));
	if (text_of(advice, "unsure")[0] != '\0')
		add_row(t, "Stopped by", text_of(advice, "unsure"));
	if (guards != NULL)
		add_row(t, "Guard rails", guards);
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
		text_addf(t, "| Deleted | %lld flow runs |\n", (long long)number_of(deletion, "deleted"));
	if (json_object_get(deletion, "failed") == NULL)
		return;
	text_addf(t, "| Failed | %lld%s |\n| Left | %lld |\n| Gone by other hands | %lld |\n",
	          (long long)number_of(deletion, "failed"),
	          json_is_true(json_object_get(deletion, "given_up")) ? ", then given up" : "",
	          (long long)number_of(deletion, "remaining"), (long long)number_of(deletion, "gone"));
	text_addf(t, "| Took | %s, %.1f flow runs a second |\n", span_format(number_of(deletion, "took_ms"), span),
	          json_real_value(json_object_get(deletion, "runs_per_second")));
	text_addf(t, "| Artifacts | %lld deleted with their flow runs; ", (long long)number_of(deletion, "artifacts_deleted"));
	if (number_of(deletion, "artifacts_left") < 0)
		text_addf(t, "whether some are left cannot be told |\n");
	else
		text_addf(t, "%lld left |\n", (long long)number_of(deletion, "artifacts_left"));
	text_addf(t, "| Logs | looked for those of %lld deleted flow runs: %lld still have some |\n",
	          (long long)number_of(deletion, "logs_checked"), (long long)number_of(deletion, "logs_left"));
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
		text_add_markdown(t, text_of(flow, "name"), strlen(text_of(flow, "name")), 80);
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
	text_add_markdown(&t, text_of(report, "message"), strlen(text_of(report, "message")), 600);
	text_addf(&t, "**\n\n| | |\n|---|---|\n");
	add_row(&t, "Outcome", text_of(report, "outcome"));
	add_decision(&t, json_object_get(report, "decision"));
	add_policy(&t, json_object_get(report, "policy"));
	add_plan(&t, json_object_get(report, "plan"));
	add_deletion(&t, deletion);
	add_row(&t, "Flow run", text_of(report, "flow_run_id"));
	text_addf(&t, "| Worker | ");
	text_add_markdown(&t, text_of(report, "worker"), strlen(text_of(report, "worker")), CELL_MAX);
	text_addf(&t, ", prefect-janitor %s |\n| Written at | %s |\n", text_of(report, "worker_version"),
	          text_of(report, "finished_at"));
	add_failed(&t, json_object_get(deletion, "failed_ids"));
	add_flows(&t, report);
	if (!add_block(&t, report)) {
		text_release(&t);
		return NULL;
	}
	return text_take(&t);
}

/* --- writing ---------------------------------------------------------------------------------------------- */

bool report_write(struct flow_ctx *ctx, const struct report *report)
{
	AUTO_JSON *shown = NULL;

	flow_step_begin(ctx, "report", report->after);
	if (report->plan != NULL && report->plan->total > 0 && flow_checkpoint_read(ctx, PREVIEW_KEY, &shown, NULL) != 0)
		shown = NULL;
	AUTO_JSON *json = report_json(ctx, report, shown);
	AUTO_FREE char *markdown = json != NULL ? report_markdown(json) : NULL;
	AUTO_JSON *data = markdown != NULL ? json_string(markdown) : NULL;

	AUTO_TEXT line = {.max = 1200};
	text_add_markdown(&line, report->message, strlen(report->message), 600);
	bool later = false;
	const struct flow_artifact artifact = {
		.step = "report", .type = "markdown", .key = REPORT_KEY, .data = data, .description = text_str(&line)};
	bool written = data != NULL && flow_artifact_patient(ctx, &artifact, &later);
	if (!written && later) {
		flow_step_leave(ctx, "report");
		return false;
	}
	flow_step_end(ctx, "report", written ? STATE_COMPLETED : STATE_FAILED, written ? NULL : "it could not be written");
	return true;
}
