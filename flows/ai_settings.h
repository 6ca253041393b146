/* What the operator's configuration says about AI approvals: the group `ai` of the settings (worker/settings.c holds the
 * table with the names, defaults and ranges). A run's parameters can not change any of it.
 *
 * The guard rails (enabled, min_confidence, max_runs, min_retention) can only narrow what a model may approve.
 * Thread rule: read-only once loaded. */
#ifndef FLOWS_AI_SETTINGS_H
#define FLOWS_AI_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "client/base/stop.h"

/* Asked where a key of Anthropic's API is all that is set. */
#define AI_ANTHROPIC_MODEL "claude-sonnet-4-5-20250929"

enum ai_provider { AI_PROVIDER_AUTO, AI_PROVIDER_ANTHROPIC, AI_PROVIDER_OPENAI };
enum ai_mode { AI_MODE_DECIDE, AI_MODE_ADVISE };
enum ai_on_unsure { AI_UNSURE_REJECT, AI_UNSURE_HUMAN };

struct ai_settings {
	int64_t enabled;  /* 1, 0; -1: where a key or an address of the provider is configured */
	int64_t provider; /* enum ai_provider; auto: the one that is configured, Anthropic before OpenAI */
	char *model;      /* NULL: AI_ANTHROPIC_MODEL for Anthropic, none for others; ask agent_model() */
	char *anthropic_key; /* secret */
	char *anthropic_url; /* as the SDK reads it: without /v1 */
	char *openai_key;    /* secret */
	char *openai_url;    /* with /v1 */
	char *ssl_cert_file;
	char *mcp_command;
	char *mcp_url;    /* NULL: the command */
	int64_t mode;     /* enum ai_mode */
	int64_t on_unsure; /* enum ai_on_unsure */
	bool run_logs;    /* the model may read the logs of flow runs */

	double min_confidence;
	int64_t max_runs; /* flow runs that one AI approval may delete */
	char *min_retention; /* ISO 8601; NULL: none */
	int64_t min_retention_us;

	int64_t max_turns;
	int64_t max_tool_calls;
	int64_t max_bytes; /* of all requests to the model */
	int64_t model_ms;  /* one try of a call */
	int64_t tool_ms;
	int64_t mcp_start_ms;
	int64_t total_ms;  /* of an investigation */
	int64_t retries;   /* of a call of the model */
};

/* The settings, and what an agent needs to know of the worker beside them. All borrowed. */
struct flow_ai {
	const struct ai_settings *settings;
	const char *api_url;
	const char *api_key;       /* secret; NULL for none, like the following */
	const char *auth_string;   /* secret */
	const char *headers;       /* secret; JSON */
	const char *ssl_cert_file; /* of the Prefect server */
	bool tls_insecure;
	struct stop *stop;
};

#endif
