/* The guard rails: what a model may approve at most, by the operator's configuration. They can only narrow: a model's no stays
 * a no, and its yes counts only within all of them. Thread rule: no state. */
#ifndef FLOWS_DATABASE_CLEANUP_GUARD_RAILS_H
#define FLOWS_DATABASE_CLEANUP_GUARD_RAILS_H

#include "client/base/text.h"
#include "flows/ai_settings.h"
#include "flows/database_cleanup/agent_decision.h"
#include "flows/database_cleanup/plan.h"

/* Appends every rule that the approval of @plan by @decision breaks, joined by "; ": nothing where it counts.
 * @investigated: calls of tools that succeeded, without the identity check. */
void guard_rails_check(const struct ai_settings *settings, const struct plan *plan, const struct agent_decision *decision,
                       int64_t investigated, struct text *broken);

/* The limits, for the record: {"enabled", "min_confidence", "max_runs", "min_retention", "mode"}. NULL without memory. */
json_t *guard_rails_json(const struct ai_settings *settings);

#endif
