/* The approval: asks a person through the run's form in the UI and reads the decision strictly.
 * Unsure means no: whatever is not a plain `true` to this very plan is not an approval.
 * The text of the form is kept beside the plan (checkpoint FORM_KEY), so that the form can be made again. */
#ifndef FLOWS_DATABASE_CLEANUP_APPROVAL_H
#define FLOWS_DATABASE_CLEANUP_APPROVAL_H

#include "flows/database_cleanup/plan.h"
#include "flows/flow.h"

#define FORM_KEY "cleanup-form"

struct decision {
	bool approved;
	bool unreadable; /* what came was not what the form asks for: maybe not the stored answer at all */
	char *notes; /* owned; what the person wrote (its first 4000 bytes), or why there is no approval; never NULL */
	const char *by;   /* static, for people: who or what decided; never NULL */
	json_t *advice;   /* owned: what an AI agent said, for the report; NULL where none was asked */
};

/* Shows the preview, with what an AI agent said about it (@advice, NULL for none), and sets the run to Paused: the body
 * returns *ret_outcome. Errors as flow_ask(). */
int approval_ask(struct flow_ctx *ctx, const struct plan *plan, const json_t *advice, enum flow_outcome *ret_outcome,
                 struct error *err) MUST_CHECK;

/* The same form again, of a run that is Paused: the text that was kept; or, where that is lost, what is shown, if it shows this
 * plan; or else made from the plan and what the server counts now. As flow_form_maker. */
int approval_form(struct flow_ctx *ctx, const struct plan *plan, bool with_advice, const struct flow_form *shown,
                  struct flow_form *ret_form, struct error *err) MUST_CHECK;

/* How long a person has to answer: a job variable. */
int64_t approval_timeout_s(struct flow_ctx *ctx);

/* Reads the decision that was submitted for @plan. */
int approval_read(struct flow_ctx *ctx, const struct plan *plan, struct decision *ret_decision,
                  struct error *err) MUST_CHECK;

/* What an answer means: @answer NULL where the run was resumed without one, @description the text that the
 * form showed. For tests. ERR_NOMEM is the only error. */
int approval_judge(const json_t *answer, const char *description, const struct plan *plan,
                   struct decision *ret_decision, struct error *err) MUST_CHECK;

void decision_release(struct decision *decision);

#endif
