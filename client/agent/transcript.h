/* The transcript of an investigation: what was sent to the model, what it asked for and was answered, and how it ended.
 * JSON, and Markdown for people. It holds no key: whatever goes in was cleaned of them before.
 *
 *   {"provider", "model", "address", "mcp_server", "tools": [names], "system", "proposal",
 *    "turns": [{"text", "stop", "request_id", "tries", "took_ms", "input_tokens", "output_tokens",
 *               "calls": [{"tool", "arguments", "is_error", "result" (cut), "bytes", "took_ms"}], "correction"}],
 *    "input_tokens", "output_tokens", "bytes_sent", "took_ms",
 *    "outcome": {"decided": {...}} or {"unsure": "..."} or {"broken": "..."}}
 *
 * Every function tolerates a NULL transcript and a failed allocation: then something is missing in it. Thread rule: no
 * state. */
#ifndef CLIENT_AGENT_TRANSCRIPT_H
#define CLIENT_AGENT_TRANSCRIPT_H

#include "client/agent/toolbox.h"
#include "client/llm/llm.h"

/* Kept of a tool's answer and of a turn's text, in bytes. */
#define TRANSCRIPT_RESULT_MAX 2000
#define TRANSCRIPT_TEXT_MAX 4000

json_t *transcript_new(const struct llm_settings *llm, const struct mcp_settings *mcp, const char *system,
                       const char *proposal);
void transcript_tools(json_t *transcript, const struct llm_tool *tools, size_t count);
void transcript_turn(json_t *transcript, const struct llm_turn *turn);
/* A call of the last turn, with its answer (NULL: it was not called). */
void transcript_call(json_t *transcript, const struct llm_tool_call *call, const struct toolbox_answer *answer,
                     int64_t took_ms);
/* What the last turn was answered with in place of results, or besides them. */
void transcript_correction(json_t *transcript, const char *text);
/* @key: "decided", "unsure", "broken"; @value is taken. */
void transcript_end(json_t *transcript, const char *key, json_t *value, size_t bytes_sent, int64_t took_ms);

/* The caller frees it; NULL without memory. At most about 300 kB. */
char *transcript_markdown(const json_t *transcript);

#endif
