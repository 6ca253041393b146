/* JSON-RPC 2.0 as MCP speaks it: messages are made and read here, and sent elsewhere. Thread rule: no state. */
#ifndef MCP_MESSAGE_H
#define MCP_MESSAGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/base/error.h"
#include "client/mcp/mcp.h"

enum message_kind {
	MESSAGE_RESULT,
	MESSAGE_REFUSAL,      /* an answer that is an error */
	MESSAGE_UNREADABLE,   /* an answer that breaks the rules: reason says which */
	MESSAGE_REQUEST,      /* of the server */
	MESSAGE_NOTIFICATION, /* of the server */
};

struct message {
	enum message_kind kind;
	json_t *id;     /* whatever it is; NULL for a notification */
	char *method;   /* of a request or notification */
	json_t *result; /* an object */
	char *reason;   /* of a refusal, with its code, or why it is unreadable */
};

/* Reads one message. Returns 0, ERR_DECODE for what is no message at all, or ERR_NOMEM. */
int message_read(const char *data, size_t len, struct message *ret_message, struct error *err) MUST_CHECK;
void message_release(struct message *message);

/* Is it the answer to our request @id? */
bool message_answers(const struct message *message, int64_t id);

/* A new request, or with @id 0 a notification. @params is taken; NULL for none. NULL without memory. */
json_t *message_make(int64_t id, const char *method, json_t *params);

/* What we say to a request of the server: a ping is answered, all else is refused. NULL without memory. */
json_t *message_reply(const struct message *request);

/* The results of the requests that we send. @result is borrowed. Each returns 0, ERR_DECODE or ERR_NOMEM. */

/* initialize: is the version that the server chose one that we know? @ret_version is a literal. */
int message_read_version(const json_t *result, const char **ret_version, struct error *err) MUST_CHECK;

/* tools/list: one page. @ret_cursor: of the next page, the caller frees it; NULL after the last. */
int message_read_tools(const json_t *result, struct mcp_tool **ret_tools, size_t *ret_count, char **ret_cursor,
                       struct error *err) MUST_CHECK;

/* tools/call */
int message_read_result(const json_t *result, struct mcp_result *ret_result, struct error *err) MUST_CHECK;

#endif
