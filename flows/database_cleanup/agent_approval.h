/* The approval by an AI agent: it investigates once for a plan, its verdict is stored with the run before anything is done
 * by it, and only an approval within the guard rails counts (agent_verdict.h).
 *
 * Stored with the run:
 *   cleanup-decision       the verdict, for this very plan: a run that is started afresh has another one
 *   cleanup-investigation  {"plan": digest, "starts"}: where a worker dies on the way, it is started again, twice at most */
#ifndef FLOWS_DATABASE_CLEANUP_AGENT_APPROVAL_H
#define FLOWS_DATABASE_CLEANUP_AGENT_APPROVAL_H

#include "flows/database_cleanup/approval.h"
#include "flows/database_cleanup/plan.h"
#include "flows/flow.h"

/* Of the artifact that holds the transcript, Markdown. */
#define AGENT_TRANSCRIPT_KEY "cleanup-ai-transcript"

#define AGENT_STARTS_KEY "cleanup-investigation"
#define AGENT_STARTS_MAX 3

/* ERR_USAGE where no model is configured on this worker. */
int agent_approval_ready(const struct flow_ctx *ctx, struct error *err) MUST_CHECK;

/* Asks the agent, or reads what it said about this very plan. @ret_ask_person: the decision is no approval, and a person is
 * to be asked with it as advice (ai.mode, ai.on_unsure). Waits out outages of Prefect. Blocks for ai.total_seconds and
 * some more. An error ends the run (flow_halted(): stops it): the agent is broken, and the text says what to do. */
int agent_approval(struct flow_ctx *ctx, const struct plan *plan, struct decision *ret_decision, bool *ret_ask_person,
                   struct error *err) MUST_CHECK;

/* The same of what it said before, and asks nobody: for a plan whose deletion has begun. No approval where it is approved no
 * longer, by the settings of now; the notes say why. Errors as above. */
int agent_approval_stored(struct flow_ctx *ctx, const struct plan *plan, struct decision *ret_decision, struct error *err) MUST_CHECK;

/* What the agent said about @plan before a person was asked: a new reference, NULL where it said nothing. */
json_t *agent_advice_read(struct flow_ctx *ctx, const struct plan *plan);

#endif
