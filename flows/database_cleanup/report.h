/* The report: what became of a run, for whoever looks at it later, also where nothing was deleted.
 *
 * A Markdown artifact of the key REPORT_KEY, so that the key's page in the UI is the audit trail of all cleanups; one for
 * each attempt of a run, written again in place. At its end is one fenced block (```json) for programs, an object:
 *
 *   version            REPORT_VERSION
 *   outcome            "completed", "failed", "rejected", "dry_run", "no_action", "cancelled", "expired", "stopped" (approved no
 *                      longer when some of it was deleted), "ended" (by somebody else, from outside)
 *   message            the final state's
 *   flow_run_id, worker, worker_version, finished_at (by the server's clock)
 *   policy             {retention_period, states, batch_size, dry_run, approval_type}; null where the parameters are wrong
 *   limits             {batch_size, batch_size_min, batch_pause_ms, batch_pause_max_ms, batch_target_ms, approval_timeout_s, ai (the
 *                      guard rails of AI approvals; null where no model is configured)}; null where they are not known
 *   plan               {digest, planned_at, cutoff, total}; null where there was none
 *   decision           {approved, by, notes, decided_at (null: not known), advice (of an AI agent, agent_verdict.h; or null)};
 *                      null where nobody decided
 *   deletion           {deleted, failed, remaining, gone, given_up, failed_ids, took_ms, runs_per_second, artifacts_deleted,
 *                      artifacts_left (-1: not known), logs_checked (of how many deleted runs the logs were looked for),
 *                      logs_left (of how many of them some were there), logs_more (... at least), counted (whether `deleted` goes by what
 *                      is left of the plan, since the run was interrupted or an answer lost)}; null where nothing was
 *                      deleted. Artifacts are looked for at the same runs as logs. Of a run that was
 *                      stopped on the way only `deleted` (-1: not known)
 *   flows              [{name, count, states: {name: count}}], the largest first, as the preview showed them; empty where they
 *                      are not known
 *   flows_left_out     how many runs of the plan are in flows that are not listed
 *
 * Times are RFC 3339. What is not known is null or left out, never a guess. Thread rule: no state. */
#ifndef FLOWS_DATABASE_CLEANUP_REPORT_H
#define FLOWS_DATABASE_CLEANUP_REPORT_H

#include "flows/database_cleanup/approval.h"
#include "flows/database_cleanup/deletion.h"
#include "flows/database_cleanup/plan.h"
#include "flows/database_cleanup/policy.h"
#include "flows/flow.h"

#define REPORT_KEY "cleanup-report"
#define REPORT_VERSION 1

struct report {
	const char *outcome; /* as above */
	const char *message;
	const struct policy *policy;           /* NULL, as all below: not known, or there was none */
	const struct plan *plan;
	const struct decision *decision;
	const struct deletion_result *result;  /* of a deletion that came to its end */
	const int64_t *deleted;                /* of one that was stopped */
	bool ended;                            /* the run ended without its body */
	const char *after;                     /* the step that came before */
};

/* Writes it, as the step "report". False where it is not there, and a later try may do: then the step is left. */
bool report_write(struct flow_ctx *ctx, const struct report *report);

/* The object for programs; @flows: the checkpoint PREVIEW_KEY, NULL where it cannot be read. NULL without memory. */
json_t *report_json(struct flow_ctx *ctx, const struct report *report, const json_t *flows);

/* The object for programs in a report's Markdown, a new reference. ERR_DECODE where there is none that can be read. */
int report_parse(const char *markdown, json_t **ret_report, struct error *err) MUST_CHECK;

/* Where @written (a report that is there) tells of the same deletion of the same plan, and knows all of it: puts what it knows into
 * @report. True where nothing is left that is to be said otherwise. */
bool report_learn(json_t *report, const json_t *written);

/* The Markdown of such an object, with the block for programs. The caller frees it; NULL without memory. */
char *report_markdown(const json_t *report);

#endif
