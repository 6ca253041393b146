/* The tools of Prefect's MCP server that are given to a model: only those of an allow-list of names that the server
 * also calls read-only, and only after the server was seen to be connected to the Prefect that it should be.
 *
 * What they answer is cut to TOOLBOX_ANSWER_MAX bytes, and secrets in it are replaced by stars. Thread rule: as of the
 * struct mcp in it. */
#ifndef CLIENT_AGENT_TOOLBOX_H
#define CLIENT_AGENT_TOOLBOX_H

#include "client/llm/llm.h"
#include "client/mcp/mcp.h"

#define TOOLBOX_ANSWER_MAX (16 * 1024)

struct toolbox_settings {
	struct mcp_settings mcp;
	const char *api_url;        /* of the Prefect that get_identity has to name, whatever slashes are at its end */
	const char *const *allowed; /* names; NULL ends them */
	const char *const *secrets; /* NULL ends them */
};

struct toolbox;

struct toolbox_answer {
	bool is_error;   /* the tool failed, or could not be called: `text` says why */
	bool is_success; /* it says {"success": true}, and tells more than which server that is */
	char *text;      /* owned, never NULL */
	size_t bytes;    /* of the answer before it was cut */
};

/* Starts or reaches the server, lists its tools, and checks its identity. Blocks for some seconds. @settings are borrowed
 * until toolbox_close(). Errors besides those of mcp.h: ERR_CONFLICT where it is connected to another Prefect; ERR_BUSY
 * where it cannot reach Prefect now; ERR_USAGE where it offers none of the tools. After an error nothing is left. */
int toolbox_open(const struct toolbox_settings *settings, struct toolbox **ret_box, struct error *err) MUST_CHECK;

/* The tools for the model; borrowed from @box. */
const struct llm_tool *toolbox_tools(const struct toolbox *box, size_t *ret_count);

/* Calls a tool for the model, within @timeout_ms. Whatever the model can cause (a tool that does not exist, is not allowed,
 * refuses its arguments, fails, or does not answer in time) is an answer with is_error. An error means that the server
 * is of no use any more: ERR_TRANSPORT, ERR_AUTH, ERR_HTTP, ERR_STOPPED, ERR_NOMEM. */
int toolbox_call(struct toolbox *box, const char *name, const json_t *arguments, int64_t timeout_ms,
                 struct toolbox_answer *ret_answer, struct error *err) MUST_CHECK;
void toolbox_answer_release(struct toolbox_answer *answer);

/* Blocks until the server is gone, some seconds at most. NULL is none. */
void toolbox_close(struct toolbox *box);

#endif
