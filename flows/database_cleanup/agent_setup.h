/* The agent that reviews a cleanup: how client/agent is set up for it, by the operator's configuration. Also for
 * `preview --ai-context`, which shows what would be sent. */
#ifndef FLOWS_DATABASE_CLEANUP_AGENT_SETUP_H
#define FLOWS_DATABASE_CLEANUP_AGENT_SETUP_H

#include "client/agent/agent.h"
#include "flows/ai_settings.h"
#include "flows/database_cleanup/preview.h"

#define AGENT_DECISION_TOOL "final_result"
#define AGENT_TOOLS_MAX 12

struct agent_setup {
	struct agent_settings settings; /* borrows from here; may_go_on, tell and arg are the caller's to set */
	char *system;                   /* owned, like what follows */
	char *proposal;
	json_t *environment;
	json_t *schema;
	json_t *hidden;        /* owns the secrets */
	const char **secrets;  /* owned */
	const char *allowed[AGENT_TOOLS_MAX + 1];
};

/* The provider by the settings, AI_PROVIDER_ANTHROPIC or AI_PROVIDER_OPENAI; auto: the one whose key or address is set,
 * Anthropic before OpenAI. */
enum ai_provider agent_provider(const struct ai_settings *settings);

/* The model that is named, or Anthropic's default; NULL: none. Borrowed. */
const char *agent_model(const struct ai_settings *settings);

/* Is a key or an address of that provider set? And may a model approve at all: enabled says so, or is auto and that. */
bool agent_is_configured(const struct ai_settings *settings);
bool agent_is_enabled(const struct ai_settings *settings);

/* @own_run: the id of the flow run that cleans up, NULL where there is none yet. @ai is borrowed by @ret_setup until
 * agent_setup_release(). Returns 0, ERR_DECODE or ERR_NOMEM. */
int agent_setup_init(const struct flow_ai *ai, const struct preview *preview, const struct plan *plan, const char *own_run,
                     struct agent_setup *ret_setup, struct error *err) MUST_CHECK;
void agent_setup_release(struct agent_setup *setup);

/* The first message: the plan and its preview as JSON, whose texts are cleaned and cut. The caller frees it; NULL without
 * memory. For tests. */
char *agent_proposal(const struct preview *preview, const struct plan *plan, const char *own_run);

#endif
