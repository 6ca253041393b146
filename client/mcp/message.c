#include "client/mcp/message.h"

#include <stdlib.h>
#include <string.h>

#include "client/base/json.h"
#include "client/base/text.h"

#define METHOD_NOT_FOUND (-32601)
#define REASON_MAX 512
#define CUT_NOTE_MAX 80 /* room for the mark of a cut */

/* --- messages ------------------------------------------------------------------------------------ */

struct envelope {
	char *version;
	json_t *id;
	char *method;
	json_t *result;
	json_t *error;
};

static const struct json_field envelope_fields[] = {
	{"jsonrpc", JSON_KIND_TEXT, offsetof(struct envelope, version), true, NULL},
	{"id", JSON_KIND_ANY, offsetof(struct envelope, id), false, NULL},
	{"method", JSON_KIND_TEXT, offsetof(struct envelope, method), false, NULL},
	{"result", JSON_KIND_ANY, offsetof(struct envelope, result), false, NULL},
	{"error", JSON_KIND_ANY, offsetof(struct envelope, error), false, NULL},
};

struct refusal {
	int64_t code;
	char *text;
};

static const struct json_field refusal_fields[] = {
	{"code", JSON_KIND_INT, offsetof(struct refusal, code), true, NULL},
	{"message", JSON_KIND_TEXT, offsetof(struct refusal, text), true, NULL},
};

/* @text goes into errors: one harmless line. */
static int set_reason(struct message *message, enum message_kind kind, const char *text, struct error *err)
{
	char clean[REASON_MAX];

	text_clean(clean, sizeof clean, text, strlen(text));
	message->kind = kind;
	message->reason = text_dup(clean);
	return message->reason != NULL ? 0 : error_nomem(err);
}

static int read_refusal(const json_t *error, struct message *message, struct error *err)
{
	AUTO_TEXT reason = {.max = MCP_MESSAGE_MAX + 64};
	struct refusal refusal;

	int rc = json_decode(error, JSON_TABLE(refusal_fields), &refusal, sizeof refusal, err);
	if (rc == ERR_NOMEM)
		return rc;
	if (rc != 0)
		return set_reason(message, MESSAGE_UNREADABLE, "an error without code and message", err);
	text_addf(&reason, "%s (code %lld)", refusal.text, (long long)refusal.code);
	json_release(JSON_TABLE(refusal_fields), &refusal);
	return set_reason(message, MESSAGE_REFUSAL, text_str(&reason), err);
}

static int read_answer(const struct envelope *envelope, struct message *message, struct error *err)
{
	if (envelope->id == NULL) /* also what a server says of a line that it could not read */
		return error_set(err, ERR_DECODE, "a message with neither method nor id");
	if ((envelope->result != NULL) == (envelope->error != NULL))
		return set_reason(message, MESSAGE_UNREADABLE, "neither result nor error, or both", err);
	if (envelope->error != NULL)
		return read_refusal(envelope->error, message, err);
	if (!json_is_object(envelope->result))
		return set_reason(message, MESSAGE_UNREADABLE, "the result is not an object", err);
	message->kind = MESSAGE_RESULT;
	message->result = json_incref(envelope->result);
	return 0;
}

int message_read(const char *data, size_t len, struct message *ret_message, struct error *err)
{
	AUTO_JSON *json = NULL;
	struct envelope envelope;
	struct message message = {0};

	int rc = json_read(data, len, &json, err);
	if (rc == 0)
		rc = json_decode(json, JSON_TABLE(envelope_fields), &envelope, sizeof envelope, err);
	if (rc != 0)
		return rc;

	if (strcmp(envelope.version, "2.0") != 0) {
		rc = error_set(err, ERR_DECODE, "JSON-RPC %.20s", envelope.version);
	} else if (envelope.method == NULL) {
		rc = read_answer(&envelope, &message, err);
	} else {
		message.kind = envelope.id != NULL ? MESSAGE_REQUEST : MESSAGE_NOTIFICATION;
		message.method = envelope.method;
		envelope.method = NULL;
	}
	message.id = json_incref(envelope.id);
	json_release(JSON_TABLE(envelope_fields), &envelope);
	if (rc != 0)
		message_release(&message);
	else
		*ret_message = message;
	return rc;
}

void message_release(struct message *message)
{
	json_decref(message->id);
	json_decref(message->result);
	free(message->method);
	free(message->reason);
	*message = (struct message){0};
}

bool message_answers(const struct message *message, int64_t id)
{
	return message->method == NULL && json_is_integer(message->id) && json_integer_value(message->id) == id;
}

json_t *message_make(int64_t id, const char *method, json_t *params)
{
	AUTO_JSON *message = json_pack("{s:s, s:s}", "jsonrpc", "2.0", "method", method);
	AUTO_JSON *taken = params;

	if (message == NULL || (id != 0 && json_object_set_new(message, "id", json_integer(id)) != 0) ||
	    (taken != NULL && json_object_set(message, "params", taken) != 0))
		return NULL;
	return json_incref(message);
}

json_t *message_reply(const struct message *request)
{
	if (strcmp(request->method, "ping") == 0)
		return json_pack("{s:s, s:O, s:{}}", "jsonrpc", "2.0", "id", request->id, "result");
	return json_pack("{s:s, s:O, s:{s:i, s:s}}", "jsonrpc", "2.0", "id", request->id, "error", "code", METHOD_NOT_FOUND,
	                 "message", "Method not found");
}

/* --- initialize ---------------------------------------------------------------------------------- */

struct agreement {
	char *version;
};

static const struct json_field agreement_fields[] = {
	{"protocolVersion", JSON_KIND_TEXT, offsetof(struct agreement, version), true, NULL},
};

int message_read_version(const json_t *result, const char **ret_version, struct error *err)
{
	static const char *const known[] = {"2025-06-18", "2025-11-25", "2025-03-26", "2024-11-05"};
	struct agreement agreement;

	int rc = json_decode(result, JSON_TABLE(agreement_fields), &agreement, sizeof agreement, err);
	if (rc != 0)
		return rc;
	rc = error_set(err, ERR_DECODE, "it speaks version '%.40s' of the protocol, which is not known here", agreement.version);
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
		if (strcmp(agreement.version, known[i]) != 0)
			continue;
		*ret_version = known[i];
		rc = 0;
	}
	json_release(JSON_TABLE(agreement_fields), &agreement);
	return rc;
}

/* --- tools/list ---------------------------------------------------------------------------------- */

struct page {
	json_t *tools;
	char *cursor;
};

static const struct json_field page_fields[] = {
	{"tools", JSON_KIND_ANY, offsetof(struct page, tools), true, NULL},
	{"nextCursor", JSON_KIND_TEXT, offsetof(struct page, cursor), false, NULL},
};

struct tool_row {
	char *name;
	char *description;
	json_t *input_schema;
	json_t *annotations;
};

static const struct json_field tool_fields[] = {
	{"name", JSON_KIND_TEXT, offsetof(struct tool_row, name), true, NULL},
	{"description", JSON_KIND_TEXT, offsetof(struct tool_row, description), false, NULL},
	{"inputSchema", JSON_KIND_OBJECT, offsetof(struct tool_row, input_schema), true, NULL},
	{"annotations", JSON_KIND_OBJECT, offsetof(struct tool_row, annotations), false, NULL},
};

struct hints {
	bool read_only;
};

static const struct json_field hint_fields[] = {
	{"readOnlyHint", JSON_KIND_BOOL, offsetof(struct hints, read_only), false, NULL},
};

/* Moves what @row owns to @tool, but for the annotations. */
static int read_tool(struct tool_row *row, struct mcp_tool *tool, struct error *err)
{
	struct hints hints = {0};
	int rc = 0;

	if (row->annotations != NULL)
		rc = json_decode(row->annotations, JSON_TABLE(hint_fields), &hints, sizeof hints, err);
	*tool = (struct mcp_tool){row->name, row->description, row->input_schema, hints.read_only};
	json_decref(row->annotations);
	*row = (struct tool_row){0};
	return rc;
}

static int read_rows(const json_t *list, struct mcp_tool **ret_tools, size_t *ret_count, struct error *err)
{
	struct tool_row *rows = NULL;
	size_t count = 0;

	int rc = json_decode_list(list, JSON_TABLE(tool_fields), sizeof *rows, (void **)&rows, &count, err);
	if (rc != 0)
		return rc;
	struct mcp_tool *tools = calloc(count > 0 ? count : 1, sizeof *tools);
	if (tools == NULL)
		rc = error_nomem(err);
	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = read_tool(&rows[i], &tools[i], err);
	json_release_list(JSON_TABLE(tool_fields), sizeof *rows, rows, count);
	if (rc != 0) {
		mcp_tools_free(tools, tools != NULL ? count : 0);
		return rc;
	}
	*ret_tools = tools;
	*ret_count = count;
	return 0;
}

int message_read_tools(const json_t *result, struct mcp_tool **ret_tools, size_t *ret_count, char **ret_cursor,
                       struct error *err)
{
	struct page page;

	int rc = json_decode(result, JSON_TABLE(page_fields), &page, sizeof page, err);
	if (rc != 0)
		return rc;
	rc = read_rows(page.tools, ret_tools, ret_count, err);
	if (rc == 0) {
		*ret_cursor = page.cursor;
		page.cursor = NULL;
	}
	json_release(JSON_TABLE(page_fields), &page);
	return rc;
}

void mcp_tools_free(struct mcp_tool *tools, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(tools[i].name);
		free(tools[i].description);
		json_decref(tools[i].input_schema);
	}
	free(tools);
}

/* --- tools/call ---------------------------------------------------------------------------------- */

struct outcome {
	json_t *content;
	json_t *structured;
	bool is_error;
};

static const struct json_field outcome_fields[] = {
	{"content", JSON_KIND_ANY, offsetof(struct outcome, content), true, NULL},
	{"structuredContent", JSON_KIND_OBJECT, offsetof(struct outcome, structured), false, NULL},
	{"isError", JSON_KIND_BOOL, offsetof(struct outcome, is_error), false, NULL},
};

struct part {
	char *type;
	char *text;
};

static const struct json_field part_fields[] = {
	{"type", JSON_KIND_TEXT, offsetof(struct part, type), true, NULL},
	{"text", JSON_KIND_TEXT, offsetof(struct part, text), false, NULL},
};

/* Line ends stay, a tab becomes a space; every other character that could deceive a reader is replaced. */
static void add_clean(struct text *all, const char *s)
{
	AUTO_FREE char *clean = malloc(strlen(s) + 1);

	if (clean == NULL) {
		all->failed = true;
		return;
	}
	while (*s != '\0') {
		size_t n = strcspn(s, "\n\t");
		text_clean(clean, n + 1, s, n);
		text_add(all, clean, strlen(clean));
		if (s[n] == '\0')
			break;
		text_add(all, s[n] == '\n' ? "\n" : " ", 1);
		s += n + 1;
	}
}

static int add_part(struct text *all, const struct part *part, struct error *err)
{
	char type[40];

	if (all->len > 0)
		text_add(all, "\n", 1);
	if (strcmp(part->type, "text") == 0) {
		if (part->text == NULL)
			return error_set(err, ERR_DECODE, "a part of type 'text' has no text");
		add_clean(all, part->text);
		return 0;
	}
	text_clean(type, sizeof type, part->type, strlen(part->type));
	text_addf(all, "[a part of type '%s' is left out]", type);
	return 0;
}

static int join_parts(const json_t *content, struct text *all, struct error *err)
{
	struct part *parts;
	size_t count;

	int rc = json_decode_list(content, JSON_TABLE(part_fields), sizeof *parts, (void **)&parts, &count, err);
	if (rc != 0)
		return rc;
	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = add_part(all, &parts[i], err);
	json_release_list(JSON_TABLE(part_fields), sizeof *parts, parts, count);
	return rc;
}

/* Shortens @all to MCP_RESULT_MAX bytes, at a character's edge and with a mark. */
static void cut(struct text *all)
{
	size_t whole = all->len;

	all->len = MCP_RESULT_MAX - CUT_NOTE_MAX;
	while (all->len > 0 && ((unsigned char)all->data[all->len] & 0xc0) == 0x80)
		all->len--;
	text_addf(all, "\n[cut here: %zu of %zu bytes are left out]", whole - all->len, whole);
}

int message_read_result(const json_t *result, struct mcp_result *ret_result, struct error *err)
{
	AUTO_TEXT all = {.max = 2 * (size_t)MCP_MESSAGE_MAX};
	struct mcp_result read = {0};
	struct outcome outcome;

	int rc = json_decode(result, JSON_TABLE(outcome_fields), &outcome, sizeof outcome, err);
	if (rc != 0)
		return rc;
	rc = join_parts(outcome.content, &all, err);
	if (rc == 0) {
		read.is_error = outcome.is_error;
		read.structured = json_incref(outcome.structured);
		read.cut = all.len > MCP_RESULT_MAX;
		if (read.cut)
			cut(&all);
		read.text = text_take(&all);
		if (read.text == NULL)
			rc = error_nomem(err);
	}
	json_release(JSON_TABLE(outcome_fields), &outcome);
	if (rc != 0)
		mcp_result_release(&read);
	else
		*ret_result = read;
	return rc;
}

void mcp_result_release(struct mcp_result *result)
{
	free(result->text);
	json_decref(result->structured);
	*result = (struct mcp_result){0};
}
