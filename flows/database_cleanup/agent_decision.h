/* The decision of a model that investigated: CleanupDecision {approved, confidence, reasoning, concerns?}, the arguments of
 * the tool call that ends the investigation. Unsure means no: real JSON booleans and numbers, nothing but the known
 * fields, no number in quotes, no yes that is a word. What is not such a decision gives a list of exact errors, which
 * can be sent back to the model for one correction.
 *
 * A decision is no approval yet: the minimum of confidence and the guard rails are the caller's.
 * Source: the model of the flow that this one succeeds; its lax reading is recorded in the unit test, and not followed. */
#ifndef FLOWS_DATABASE_CLEANUP_AGENT_DECISION_H
#define FLOWS_DATABASE_CLEANUP_AGENT_DECISION_H

#include <jansson.h>
#include <stdbool.h>

#include "client/base/error.h"

/* Characters of the reasoning, concerns, characters of one of them; the schema says the same. */
#define AGENT_REASONING_MAX 8000
#define AGENT_CONCERNS_MAX 50
#define AGENT_CONCERN_MAX 2000

struct agent_decision {
	bool approved;
	double confidence; /* 0 to 1 */
	char *reasoning;   /* owned, never empty. Foreign: clean it before it is shown */
	json_t *concerns;  /* owned: an array of strings, empty where there are none. Foreign too */
};

/* The JSON schema of the decision for the model, as a new reference. Returns 0 or ERR_NOMEM. */
int agent_decision_schema(json_t **ret_schema, struct error *err) MUST_CHECK;

/* Reads @arguments (borrowed; NULL where they were no JSON object). Returns 0 with @ret_decision filled; ERR_INVALID with
 * @ret_problems set to what is wrong, one line "field: what it has to be" each, which the caller frees (@err holds them
 * too, as far as they fit); or ERR_NOMEM. */
int agent_decision_read(const json_t *arguments, struct agent_decision *ret_decision, char **ret_problems,
                        struct error *err) MUST_CHECK;

void agent_decision_release(struct agent_decision *decision);

#endif
