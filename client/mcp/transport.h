/* How messages reach a server. Each kind is a table of functions on a value of its own.
 * Thread rule: a transport belongs to one thread. */
#ifndef MCP_TRANSPORT_H
#define MCP_TRANSPORT_H

#include "client/mcp/message.h"

struct transport {
	/* Sends @message and waits for the answer to the request @id; requests of the server that come before it are
	 * answered, all else is passed over. With @id 0 it is a notification, and @ret_answer is not filled. Returns 0,
	 * the codes of mcp.h, or ERR_NOT_FOUND: the server has forgotten the session, initialize again. */
	int (*exchange)(void *self, const json_t *message, int64_t id, int64_t timeout_ms, struct message *ret_answer,
	                struct error *err);
	/* What initialize has agreed on; a literal. NULL where it makes no difference. */
	int (*set_version)(void *self, const char *version, struct error *err);
	void (*close)(void *self);
};

extern const struct transport transport_stdio;
extern const struct transport transport_http;

/* @settings are borrowed until it is closed. */
int stdio_open(const struct mcp_settings *settings, void **ret_self, struct error *err) MUST_CHECK;
int streamable_open(const struct mcp_settings *settings, void **ret_self, struct error *err) MUST_CHECK;

#endif
