/* An agent: a model that investigates with the read-only tools of an MCP server, and ends with one decision, which is a
 * call of a tool of ours. It can do nothing but read and decide; what the decision means is the caller's.
 *
 *   MCP server, its tools, its identity -> the model is asked -> it calls tools, their answers are sent -> ... -> decision
 *
 * How it ends:
 *   decided   one decision, alone in its answer, that passes the check
 *   unsure    anything else that the model can cause: no valid decision after one correction with the exact problems, plain
 *             text, two decisions at once, a refusal, an answer that was cut off, a budget that is used up
 *   broken    an error: no model or MCP server, the wrong Prefect, a refused key, time over. The text says what to do.
 *
 * Thread rule: everything belongs to the calling thread, which must be the same for the whole run. */
#ifndef CLIENT_AGENT_AGENT_H
#define CLIENT_AGENT_AGENT_H

#include "client/agent/toolbox.h"
#include "client/llm/llm.h"

struct agent_settings {
	struct llm_settings llm;      /* deadline_ms is set here */
	struct toolbox_settings tools;
	const char *system;           /* the system prompt */
	const char *proposal;         /* the first message */
	struct llm_tool decision;     /* the tool that ends it */
	/* Is this a decision? @arguments NULL: not even an object. ERR_INVALID with @ret_problems (freed here) for the model. */
	int (*check)(const json_t *arguments, char **ret_problems, struct error *err);
	int64_t max_turns;
	int64_t max_tool_calls;
	int64_t max_bytes;            /* sent to the model */
	int64_t tool_ms;              /* for one call of a tool */
	int64_t total_ms;             /* in all, without what may_go_on() takes */
	bool (*may_go_on)(void *arg); /* asked before every turn and every call of a tool; false: ERR_STOPPED */
	void (*tell)(void *arg, int level, const char *line); /* what happens, for a log; foreign text in it */
	void *arg;
};

struct agent_result {
	json_t *decision;     /* owned: the arguments of the valid decision; NULL where it is unsure */
	char *unsure;         /* owned: the rule that stopped it; NULL where it decided */
	int64_t investigated; /* calls of tools that succeeded */
	json_t *transcript;   /* owned; see transcript.h */
};

/* Blocks for total_ms and some seconds, at most. Returns 0 (decided or unsure); ERR_STOPPED; ERR_BUSY where the MCP server
 * cannot reach Prefect now, before the model was asked; or another error: broken. @ret_result is set in any case, after
 * an error with nothing but the transcript: release it with agent_result_release(). */
int agent_run(const struct agent_settings *settings, struct agent_result *ret_result, struct error *err) MUST_CHECK;
void agent_result_release(struct agent_result *result);

/* The first request to the model as it would be sent, with the tools that the MCP server offers now. Asks no model.
 * @ret_request is the caller's. */
int agent_first_request(const struct agent_settings *settings, json_t **ret_request, struct error *err) MUST_CHECK;

#endif
