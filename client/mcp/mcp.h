/* A client of the Model Context Protocol: a session with one server, which offers tools that a model may ask for.
 *
 * The server is a child process that is spoken to over its stdin and stdout, or an address (streamable HTTP). The child
 * leads a process group of its own, gets the environment that is given and nothing else of ours, and is gone, with all
 * that it started in its group, when mcp_close() returns. Whatever the server sends is bounded: messages of at most
 * MCP_MESSAGE_MAX bytes, results of at most MCP_RESULT_MAX.
 *
 * Errors, besides ERR_NOMEM:
 *
 *   ERR_USAGE      the command or its environment is wrong: the text names the setting
 *   ERR_TRANSPORT  the session is over (ended, output closed, too large): every later call fails too; an HTTP session may recover
 *   ERR_BUSY       no answer in time; the server was told to give up, and the session goes on
 *   ERR_INVALID    the server refuses the request, in its own words
 *   ERR_DECODE     an answer that cannot be read
 *   ERR_AUTH, ERR_HTTP   what an HTTP server answered
 *   ERR_STOPPED    this process is shutting down
 *
 * Source: modelcontextprotocol.io, version 2025-06-18; prefect-mcp 0.0.1b13. Thread rule: a struct mcp belongs to the
 * thread that opened it, which must not end before mcp_close(): the kernel ends the child with it. */
#ifndef MCP_MCP_H
#define MCP_MCP_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/base/error.h"
#include "client/base/stop.h"

#define MCP_RESULT_MAX (64 * 1024)
#define MCP_MESSAGE_MAX (10 * 1024 * 1024)

struct mcp;

struct mcp_settings {
	const char *command;        /* split at spaces and by quotes, run without a shell; not looked at where url is set */
	const char *url;            /* streamable HTTP; NULL: the command */
	const json_t *environment;  /* names to texts, the child's whole environment; its PATH finds the command */
	int64_t start_timeout_ms;   /* until the answer to initialize; 22 s were seen: 60 s */
	int64_t call_timeout_ms;    /* every other request: 60 s */
	int64_t deadline_ms;        /* of them all, by clock_mono_ms(); 0: none */
	struct stop *stop;          /* ends every wait; NULL for none */
};

struct mcp_tool {
	char *name;
	char *description;     /* NULL where there is none */
	json_t *input_schema;
	bool read_only;        /* what the server says of it: annotations.readOnlyHint is true */
};

struct mcp_result {
	bool is_error;
	bool cut;            /* the text is not all of it */
	char *text;          /* all text, UTF-8; control and direction characters are '?'; a cut is marked in it */
	json_t *structured;  /* structuredContent, as it came; NULL where there is none */
};

/* The server as it may be told: its address, which holds no secret, or its program alone, since the other words of a command may.
 * The caller frees it; NULL without memory. */
char *mcp_shown(const struct mcp_settings *settings);

/* Starts the command or connects, and shakes hands: blocks for start_timeout_ms at most. @settings is borrowed until
 * mcp_close(). After an error nothing is left running. */
int mcp_open(const struct mcp_settings *settings, struct mcp **ret_mcp, struct error *err) MUST_CHECK;

/* Every tool that the server offers, of all pages. @ret_tools is the caller's: mcp_tools_free(). */
int mcp_list_tools(struct mcp *mcp, struct mcp_tool **ret_tools, size_t *ret_count, struct error *err) MUST_CHECK;
void mcp_tools_free(struct mcp_tool *tools, size_t count);

/* Calls a tool with @arguments (borrowed, an object; NULL: none). A tool that fails is a result with is_error, an unknown
 * tool too. Release @ret_result with mcp_result_release(). */
int mcp_call_tool(struct mcp *mcp, const char *name, const json_t *arguments, struct mcp_result *ret_result,
                  struct error *err) MUST_CHECK;
void mcp_result_release(struct mcp_result *result);

/* How often a session was begun: over HTTP a server may forget one, and another is begun on the way. */
int mcp_sessions(const struct mcp *mcp);

/* Ends the session. The child's stdin is closed; after a grace its group gets SIGTERM, then SIGKILL. Blocks for some
 * seconds at most. NULL is no session. */
void mcp_close(struct mcp *mcp);

#endif
