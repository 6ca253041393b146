/* The verdict of an investigation: a decision, or why there is none; how it is stored with the run (input
 * AGENT_DECISION_KEY), and what it comes to by the guard rails.
 *
 *   {"version": 1, "plan": digest, "decided_at": time, "decision": {"approved", "confidence", "reasoning", "concerns"} or null,
 *    "unsure": the rule that stopped it or null, "investigated": tools that succeeded, "model",
 *    "mode": "decide" or "advise": what it was asked for, "broken": the guard rails that its yes broke then, or null}
 *
 * It counts for the plan of that digest alone. A yes counts where it counted when it was asked, and counts now: settings that
 * have become wider since widen nothing. Thread rule: no state. */
#ifndef FLOWS_DATABASE_CLEANUP_AGENT_VERDICT_H
#define FLOWS_DATABASE_CLEANUP_AGENT_VERDICT_H

#include "client/base/text.h"
#include "flows/ai_settings.h"
#include "flows/database_cleanup/agent_decision.h"
#include "flows/database_cleanup/approval.h"
#include "flows/database_cleanup/plan.h"

/* Who decided, for people. */
#define AGENT_VERDICT_BY "an AI agent"

#define AGENT_DECISION_KEY "cleanup-decision"

/* Unknown: none is stored. A yes of such a verdict does not count. */
enum agent_asked { AGENT_ASKED_UNKNOWN, AGENT_ASKED_TO_DECIDE, AGENT_ASKED_TO_ADVISE };

struct agent_verdict {
	time_us decided_at;
	bool has_decision;
	struct agent_decision decision; /* where has_decision */
	char *unsure;                   /* owned; NULL where it decided */
	int64_t investigated;
	char *model;                    /* owned */
	enum agent_asked asked;
	char *broken;                   /* owned: guard rails that its yes broke when it was given; NULL: none */
};

/* One without a decision, because of @rule. @model "" where none was asked. */
int agent_verdict_unsure(const char *rule, const char *model, time_us at, struct agent_verdict *ret_verdict,
                         struct error *err) MUST_CHECK;
void agent_verdict_release(struct agent_verdict *verdict);

/* Notes in a new verdict what it was asked for and which guard rails it breaks, before it is stored. */
int agent_verdict_settle(struct agent_verdict *verdict, const struct plan *plan, const struct ai_settings *settings,
                         struct error *err) MUST_CHECK;

/* A new reference, NULL without memory. */
json_t *agent_verdict_encode(const struct agent_verdict *verdict, const struct plan *plan);

/* Returns 0; ERR_NOT_FOUND where it is about another plan; ERR_DECODE where it is not as this worker writes it; or
 * ERR_NOMEM. */
int agent_verdict_decode(const json_t *json, const struct plan *plan, struct agent_verdict *ret_verdict,
                         struct error *err) MUST_CHECK;

/* The decision that it comes to, by the guard rails: no approval but a model's yes within all of them, and in mode decide,
 * both now and when it was asked.
 * @ret_ask_person: it is no approval, and a person is to be asked. ERR_NOMEM is the only error. */
int agent_verdict_judge(const struct agent_verdict *verdict, const struct plan *plan, const struct ai_settings *settings,
                        struct decision *ret_decision, bool *ret_ask_person, struct error *err) MUST_CHECK;

/* What it says, for people and the report (decision.advice): {"model", "investigated", "guard_rails": {...}, and where it
 * decided "approved", "confidence", "reasoning", "concerns"; "unsure": the rule where it carries no approval}. */
json_t *agent_verdict_advice(const struct agent_verdict *verdict, const struct plan *plan,
                             const struct ai_settings *settings);

/* Appends such an advice as Markdown, for the person who decides. Where there is no room for all concerns, it says how many
 * are left out: AGENT_ADVICE_ROOM bytes are enough for everything else, whatever the model wrote. */
#define AGENT_ADVICE_ROOM (32 * 1024)
void agent_advice_markdown(const json_t *advice, struct text *markdown);

#endif
