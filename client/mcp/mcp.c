#include "client/mcp/mcp.h"

#include <stdlib.h>
#include <string.h>

#include "client/base/clock.h"
#include "client/base/json.h"
#include "client/base/text.h"
#include "client/mcp/command.h"
#include "client/mcp/message.h"
#include "client/mcp/transport.h"

#define PROTOCOL_VERSION "2025-06-18"
#define NOTIFY_TIMEOUT_MS 2000
#define PAGES_MAX 50
#define TOOLS_MAX 1000

struct mcp {
	const struct mcp_settings *settings;
	const struct transport *kind;
	void *transport;
	int64_t last_id;
	int sessions;
};

/* Of @timeout_ms what the deadline leaves. 0: nothing. */
static int64_t time_left(const struct mcp *mcp, int64_t timeout_ms)
{
	int64_t left = mcp->settings->deadline_ms > 0 ? mcp->settings->deadline_ms - clock_mono_ms() : timeout_ms;

	return left < 0 ? 0 : left < timeout_ms ? left : timeout_ms;
}

static int exchange(struct mcp *mcp, const json_t *message, int64_t id, int64_t timeout_ms, struct message *ret_answer,
                    struct error *err)
{
	int64_t left = time_left(mcp, timeout_ms);

	return left > 0 ? mcp->kind->exchange(mcp->transport, message, id, left, ret_answer, err)
	                : error_set(err, ERR_BUSY, "no time is left for it");
}

static int notify(struct mcp *mcp, const char *method, json_t *params, struct error *err)
{
	AUTO_JSON *message = message_make(0, method, params);

	if (message == NULL)
		return error_nomem(err);
	return mcp->kind->exchange(mcp->transport, message, 0, NOTIFY_TIMEOUT_MS, NULL, err);
}

/* Takes the result out of @answer, and releases it. */
static int take_result(struct message *answer, json_t **ret_result, struct error *err)
{
	int rc = 0;

	if (answer->kind == MESSAGE_RESULT)
		*ret_result = json_incref(answer->result);
	else if (answer->kind == MESSAGE_REFUSAL)
		rc = error_set(err, ERR_INVALID, "%s", answer->reason);
	else
		rc = error_set(err, ERR_DECODE, "%s", answer->reason);
	message_release(answer);
	return rc;
}

static int handshake(struct mcp *mcp, struct error *err)
{
	AUTO_JSON *result = NULL;
	struct message answer;
	const char *version;

	int64_t id = ++mcp->last_id;
	AUTO_JSON *message = message_make(id, "initialize",
		json_pack("{s:s, s:{}, s:{s:s, s:s}}", "protocolVersion", PROTOCOL_VERSION, "capabilities", "clientInfo",
		          "name", "prefect-janitor", "version", JANITOR_VERSION));
	if (message == NULL)
		return error_nomem(err);
	int rc = exchange(mcp, message, id, mcp->settings->start_timeout_ms, &answer, err);
	if (rc == 0)
		rc = take_result(&answer, &result, err);
	if (rc == 0)
		rc = message_read_version(result, &version, err);
	if (rc == 0 && mcp->kind->set_version != NULL)
		rc = mcp->kind->set_version(mcp->transport, version, err);
	if (rc == 0)
		rc = notify(mcp, "notifications/initialized", NULL, err);
	mcp->sessions += rc == 0;
	return rc;
}

/* Tells the server that nobody waits any more; whether it hears that makes no difference to us. */
static void cancel(struct mcp *mcp, int64_t id)
{
	(void)notify(mcp, "notifications/cancelled",
	             json_pack("{s:I, s:s}", "requestId", (json_int_t)id, "reason", "no answer in time"), NULL);
}

/* Sends a request, and gets its result. @params is taken; NULL for none. */
static int request(struct mcp *mcp, const char *method, json_t *params, json_t **ret_result, struct error *err)
{
	int64_t timeout = mcp->settings->call_timeout_ms;
	int64_t id = ++mcp->last_id;
	AUTO_JSON *message = message_make(id, method, params);
	struct message answer;

	if (message == NULL)
		return error_nomem(err);
	int rc = exchange(mcp, message, id, timeout, &answer, err);
	if (rc == ERR_NOT_FOUND) {
		rc = handshake(mcp, err);
		if (rc == 0)
			rc = exchange(mcp, message, id, timeout, &answer, err);
	}
	if (rc == ERR_NOT_FOUND)
		rc = error_set(err, ERR_TRANSPORT, "the session is lost each time");
	if (rc == ERR_BUSY)
		cancel(mcp, id);
	return rc == 0 ? take_result(&answer, ret_result, err) : rc;
}

char *mcp_shown(const struct mcp_settings *settings)
{
	return settings->url != NULL ? text_dup(settings->url) : command_shown(settings->command);
}

int mcp_open(const struct mcp_settings *settings, struct mcp **ret_mcp, struct error *err)
{
	struct mcp *mcp = calloc(1, sizeof *mcp);
	const char *setting = settings->url != NULL ? "PREFECT_JANITOR_AI_MCP_URL" : "PREFECT_JANITOR_AI_MCP_COMMAND";

	if (mcp == NULL)
		return error_nomem(err);
	mcp->settings = settings;
	mcp->kind = settings->url != NULL ? &transport_http : &transport_stdio;
	int rc = settings->url != NULL ? streamable_open(settings, &mcp->transport, err)
	                               : stdio_open(settings, &mcp->transport, err);
	if (rc == 0)
		rc = handshake(mcp, err);
	if (rc == ERR_NOT_FOUND)
		rc = ERR_TRANSPORT;
	if (rc != 0) {
		AUTO_FREE char *shown = mcp_shown(settings);
		mcp_close(mcp);
		return error_prefix(err, rc, "the MCP server of %s (%.200s) does not start a session", setting, shown != NULL ? shown : "");
	}
	*ret_mcp = mcp;
	return 0;
}

int mcp_sessions(const struct mcp *mcp)
{
	return mcp->sessions;
}

void mcp_close(struct mcp *mcp)
{
	if (mcp == NULL)
		return;
	if (mcp->transport != NULL)
		mcp->kind->close(mcp->transport);
	free(mcp);
}

/* --- tools --------------------------------------------------------------------------------------- */

struct tools {
	struct mcp_tool *list;
	size_t count;
};

static int add_page(struct tools *all, const json_t *result, char **ret_cursor, struct error *err)
{
	struct mcp_tool *page;
	size_t count;

	int rc = message_read_tools(result, &page, &count, ret_cursor, err);
	if (rc != 0)
		return rc;
	struct mcp_tool *longer = NULL;
	if (all->count + count > TOOLS_MAX)
		rc = error_set(err, ERR_DECODE, "more than %d tools", TOOLS_MAX);
	else if ((longer = realloc(all->list, (all->count + count + 1) * sizeof *longer)) == NULL)
		rc = error_nomem(err);
	if (rc != 0) {
		mcp_tools_free(page, count);
		return rc;
	}
	memcpy(longer + all->count, page, count * sizeof *page);
	free(page);
	all->list = longer;
	all->count += count;
	return 0;
}

static int read_page(struct mcp *mcp, struct tools *all, char **cursor, struct error *err)
{
	AUTO_FREE char *from = *cursor;
	AUTO_JSON *result = NULL;

	*cursor = NULL;
	json_t *params = from != NULL ? json_pack("{s:s}", "cursor", from) : NULL;
	if (from != NULL && params == NULL)
		return error_nomem(err);
	int rc = request(mcp, "tools/list", params, &result, err);
	return rc == 0 ? add_page(all, result, cursor, err) : rc;
}

int mcp_list_tools(struct mcp *mcp, struct mcp_tool **ret_tools, size_t *ret_count, struct error *err)
{
	struct tools all = {0};
	char *cursor = NULL;
	int pages = 0;
	int rc;

	do
		rc = ++pages <= PAGES_MAX ? read_page(mcp, &all, &cursor, err)
		                          : error_set(err, ERR_DECODE, "more than %d pages", PAGES_MAX);
	while (rc == 0 && cursor != NULL);
	free(cursor);
	if (rc != 0) {
		mcp_tools_free(all.list, all.count);
		return error_prefix(err, rc, "the MCP server does not list its tools");
	}
	*ret_tools = all.list;
	*ret_count = all.count;
	return 0;
}

int mcp_call_tool(struct mcp *mcp, const char *name, const json_t *arguments, struct mcp_result *ret_result,
                  struct error *err)
{
	AUTO_JSON *given = arguments != NULL ? json_deep_copy(arguments) : json_object();
	AUTO_JSON *result = NULL;
	json_t *params = json_pack("{s:s, s:O}", "name", name, "arguments", given);

	int rc = params != NULL ? request(mcp, "tools/call", params, &result, err) : error_nomem(err);
	if (rc == 0)
		rc = message_read_result(result, ret_result, err);
	return rc != 0 ? error_prefix(err, rc, "the MCP server's tool '%.80s'", name) : 0;
}
