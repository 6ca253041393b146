/* The approval by an AI agent: it investigates once for a plan, its decision is stored with the run (AGENT_DECISION_KEY)
 * before anything is done by it, and only an approval within the guard rails counts.
 *
 * Stored with the run:
 *   cleanup-decision       {"version", "plan": digest, "decided_at", "decision": {...} or null, "unsure": rule or null,
 *                          "investigated", "model"}; it counts for the plan of that digest alone, and a run that is
 *                          started afresh has another plan
 *   cleanup-investigation  {"plan": digest, "starts"}: a worker that dies on the way starts it again, twice at most */
#ifndef FLOWS_DATABASE_CLEANUP_AGENT_APPROVAL_H
#define FLOWS_DATABASE_CLEANUP_AGENT_APPROVAL_H

#include "flows/database_cleanup/approval.h"
#include "flows/database_cleanup/plan.h"
#include "flows/flow.h"

#define AGENT_DECISION_KEY "cleanup-decision"
#define AGENT_STARTS_KEY "cleanup-investigation"
#define AGENT_STARTS_MAX 3

/* ERR_USAGE where no model is configured on this worker. */
int agent_approval_ready(const struct flow_ctx *ctx, struct error *err) MUST_CHECK;

/* Asks the agent, or reads what it said about this very plan. @ret_ask_person: the decision is no approval, and a person is
 * to be asked with it as advice (ai.mode, ai.on_unsure). Waits out outages of Prefect. Blocks for ai.total_seconds and
 * some more. An error ends the run (flow_halted(): stops it): the agent is broken, and the text says what to do. */
int agent_approval(struct flow_ctx *ctx, const struct plan *plan, struct decision *ret_decision, bool *ret_ask_person,
                   struct error *err) MUST_CHECK;

/* What the agent said about @plan before a person was asked: a new reference, NULL where it said nothing. */
json_t *agent_advice_read(struct flow_ctx *ctx, const struct plan *plan);

/* Appends the advice (decision.advice) for people, as Markdown. */
void agent_advice_markdown(const json_t *advice, struct text *markdown);

#endif
