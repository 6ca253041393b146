/* Anthropic's Messages API, version 2023-06-01: POST /v1/messages. */
#include <string.h>

#include "client/base/text.h"
#include "client/llm/dialect.h"

#define MAX_TOKENS 4096

static json_t *new_request(const struct llm_settings *settings, const char *system)
{
	int64_t max_tokens = settings->max_tokens > 0 ? settings->max_tokens : MAX_TOKENS;

	return json_pack("{s:s, s:I, s:b, s:s*, s:[]}", "model", settings->model, "max_tokens", (json_int_t)max_tokens,
	                 "stream", 0, "system", system, "messages");
}

static json_t *new_tool(const struct llm_tool *tool)
{
	return json_pack("{s:s, s:s*, s:o}", "name", tool->name, "description", tool->description, "input_schema",
	                 json_deep_copy(tool->input_schema));
}

static json_t *new_choice(bool must_call)
{
	return json_pack("{s:s}", "type", must_call ? "any" : "auto");
}

/* The content of the user's message at the end, borrowed: two of them in a row become one, as the server would do. */
static json_t *open_user_content(json_t *messages)
{
	json_t *last = json_array_get(messages, json_array_size(messages) - 1);
	const char *role = json_string_value(json_object_get(last, "role"));

	if (role == NULL || strcmp(role, "user") != 0) {
		if (json_array_append_new(messages, json_pack("{s:s, s:[]}", "role", "user", "content")) != 0)
			return NULL;
		last = json_array_get(messages, json_array_size(messages) - 1);
	}
	return json_object_get(last, "content");
}

static int add_user(json_t *messages, const char *text)
{
	return json_array_append_new(open_user_content(messages), json_pack("{s:s, s:s}", "type", "text", "text", text));
}

/* The server gives text blocks without text, but takes none. */
static bool is_blank(const char *text)
{
	return text[strspn(text, " \t\r\n")] == '\0';
}

static int add_results(json_t *messages, const struct llm_tool_result *results, size_t count)
{
	json_t *content = open_user_content(messages);

	for (size_t i = 0; i < count; i++) {
		json_t *blocks = is_blank(results[i].text)
			? NULL : json_pack("[{s:s, s:s}]", "type", "text", "text", results[i].text);
		if (blocks == NULL && !is_blank(results[i].text))
			return -1;
		if (json_array_append_new(content, json_pack("{s:s, s:s, s:o*, s:b}", "type", "tool_result", "tool_use_id",
		                                             results[i].call_id, "content", blocks, "is_error",
		                                             results[i].is_error)) != 0)
			return -1;
	}
	return 0;
}

static const struct json_name stops[] = {
	{"tool_use", LLM_STOP_TOOL}, {"end_turn", LLM_STOP_END},   {"stop_sequence", LLM_STOP_END},
	{"max_tokens", LLM_STOP_CUT}, {"model_context_window_exceeded", LLM_STOP_CUT}, {"refusal", LLM_STOP_REFUSED},
	{NULL, LLM_STOP_OTHER},
};

static const struct json_field answer_fields[] = {
	{"id", JSON_KIND_TEXT, offsetof(struct llm_answer, id), false, NULL},
	{"content", JSON_KIND_ANY, offsetof(struct llm_answer, content), true, NULL},
	{"stop_reason", JSON_KIND_ENUM, offsetof(struct llm_answer, stop), false, stops},
	{"usage", JSON_KIND_OBJECT, offsetof(struct llm_answer, usage), false, NULL},
};

static const struct json_field usage_fields[] = {
	{"input_tokens", JSON_KIND_INT, offsetof(struct llm_turn, input_tokens), false, NULL},
	{"output_tokens", JSON_KIND_INT, offsetof(struct llm_turn, output_tokens), false, NULL},
};

enum block_type { BLOCK_OTHER, BLOCK_TEXT, BLOCK_TOOL_USE };

struct block {
	int type;
	char *text;
};

static const struct json_name block_types[] = {
	{"text", BLOCK_TEXT}, {"tool_use", BLOCK_TOOL_USE}, {NULL, BLOCK_OTHER},
};

static const struct json_field type_fields[] = {
	{"type", JSON_KIND_ENUM, offsetof(struct block, type), true, block_types},
};

static const struct json_field text_fields[] = {
	{"text", JSON_KIND_TEXT, offsetof(struct block, text), true, NULL},
};

static const struct json_field call_fields[] = {
	{"id", JSON_KIND_TEXT, offsetof(struct llm_tool_call, id), true, NULL},
	{"name", JSON_KIND_TEXT, offsetof(struct llm_tool_call, name), true, NULL},
	{"input", JSON_KIND_ANY, offsetof(struct llm_tool_call, arguments), false, NULL},
};

/* What is no object is noted as such; a string may hold what read_loosely() found. */
static int settle_input(struct llm_tool_call *call, struct error *err)
{
	AUTO_JSON *input = call->arguments;
	AUTO_JSON *parsed = NULL;
	struct error why = {.text = "not a JSON object"};

	if (json_is_object(input)) {
		input = NULL;
		return 0;
	}
	call->arguments = NULL;
	if (json_is_string(input) && json_read(json_string_value(input), json_string_length(input), &parsed, &why) == ERR_NOMEM)
		return error_nomem(err);
	return llm_note_bad_arguments(call, input != NULL ? input : json_null(), parsed != NULL ? "not a JSON object" : why.text, err);
}

static int read_call(const json_t *json, struct llm_turn *turn, struct error *err)
{
	struct llm_tool_call call;

	int rc = json_decode(json, JSON_TABLE(call_fields), &call, sizeof call, err);
	if (rc != 0)
		return rc;
	rc = settle_input(&call, err);
	if (rc == 0)
		rc = llm_turn_has_call(turn, call.id)
		? error_set(err, ERR_DECODE, "two tool calls of the answer have the id '%.80s'", call.id)
		: llm_turn_add_call(turn, &call, err);
	if (rc != 0)
		llm_call_release(&call);
	return rc;
}

/* Adds the block's text to @text, or its call to @turn; @ret_blank: it must not be sent back. */
static int read_block(const json_t *json, struct llm_turn *turn, struct text *text, bool *ret_blank, struct error *err)
{
	struct block block;

	*ret_blank = false;
	int rc = json_decode(json, JSON_TABLE(type_fields), &block, sizeof block, err);
	if (rc != 0 || block.type == BLOCK_OTHER)
		return rc;
	if (block.type == BLOCK_TOOL_USE)
		return read_call(json, turn, err);

	rc = json_decode(json, JSON_TABLE(text_fields), &block, sizeof block, err);
	if (rc != 0)
		return rc;
	*ret_blank = is_blank(block.text);
	text_addf(text, "%s%s", text->len > 0 ? "\n" : "", block.text);
	json_release(JSON_TABLE(text_fields), &block);
	return 0;
}

/* Does the block go back without its input, since the API takes nothing but an object there? */
static bool has_bad_input(const struct llm_turn *turn, size_t calls_before)
{
	return turn->call_count > calls_before && turn->calls[turn->call_count - 1].arguments == NULL;
}

static int keep_block(json_t *kept, json_t *block, bool bad_input)
{
	AUTO_JSON *copy = bad_input ? json_copy(block) : json_incref(block);

	if (copy == NULL || (bad_input && json_object_set_new(copy, "input", json_object()) != 0))
		return -1;
	return json_array_append(kept, copy);
}

static int read_content(const json_t *content, struct llm_turn *turn, struct error *err)
{
	AUTO_TEXT text = {.max = 2 * LLM_ANSWER_MAX};
	AUTO_JSON *kept = json_array();
	size_t i;
	json_t *block;
	bool blank;

	if (!json_is_array(content))
		return error_set(err, ERR_DECODE, "field 'content' of the answer should be an array");
	json_array_foreach(content, i, block)
	{
		size_t calls = turn->call_count;
		int rc = read_block(block, turn, &text, &blank, err);
		if (rc != 0)
			return rc;
		if (!blank && keep_block(kept, block, has_bad_input(turn, calls)) != 0)
			return error_nomem(err);
	}
	turn->text = text_take(&text);
	if (json_array_size(kept) > 0)
		turn->raw = json_pack("{s:s, s:O}", "role", "assistant", "content", kept);
	return turn->text == NULL || (json_array_size(kept) > 0 && turn->raw == NULL) ? error_nomem(err) : 0;
}

/* --- inputs that are no JSON ------------------------------------------------------------------------- */

static size_t skip_blanks(const char *data, size_t len, size_t at)
{
	while (at < len && strchr(" \t\r\n", data[at]) != NULL && data[at] != '\0')
		at++;
	return at;
}

/* Behind the string whose quote is at @at. */
static size_t skip_string(const char *data, size_t len, size_t at)
{
	for (at++; at < len && data[at] != '"'; at++)
		if (data[at] == '\\')
			at++;
	return at < len ? at + 1 : len;
}

/* Behind the value at @at, whatever is in it. */
static size_t skip_value(const char *data, size_t len, size_t at)
{
	size_t depth = 0;

	while (at < len) {
		char c = data[at];

		if (depth == 0 && (c == ',' || c == ']' || c == '}'))
			return at;
		at = c == '"' ? skip_string(data, len, at) : at + 1;
		if (c == '{' || c == '[')
			depth++;
		else if (((c == '}' || c == ']') && --depth == 0) || (c == '"' && depth == 0))
			return at;
	}
	return len;
}

/* Appends @data as a JSON string. */
static void add_string(struct text *out, const char *data, size_t len)
{
	AUTO_JSON *string = json_stringn(data, len);
	AUTO_FREE char *written = string != NULL ? json_write(string, 0) : NULL;

	if (written != NULL)
		text_add(out, written, strlen(written));
	else
		out->failed = true;
}

/* Is the string of @len bytes at @data this key, quotes included? */
static bool is_key(const char *data, size_t len, const char *key)
{
	return len == strlen(key) && memcmp(data, key, len) == 0;
}

/* Copies a body, and makes a string of every input of a call in its content. */
static void wrap_inputs(const char *data, size_t len, struct text *out)
{
	size_t depth = 0;
	size_t from = 0;
	bool in_content = false;

	for (size_t at = 0; at < len;) {
		if (data[at] != '"') {
			depth += data[at] == '{' || data[at] == '[';
			depth -= (data[at] == '}' || data[at] == ']') && depth > 0;
			at++;
			continue;
		}
		size_t end = skip_string(data, len, at);
		size_t value = skip_blanks(data, len, end);
		bool named = value < len && data[value] == ':';
		if (named && depth == 1)
			in_content = is_key(data + at, end - at, "\"content\"");
		if (named && depth == 3 && in_content && is_key(data + at, end - at, "\"input\"")) {
			value = skip_blanks(data, len, value + 1);
			text_add(out, data + from, value - from);
			end = skip_value(data, len, value);
			add_string(out, data + value, end - value);
			from = end;
		}
		at = end;
	}
	text_add(out, data + from, len - from);
}

/* The inputs that are JSON by themselves, back to what they are; the others stay strings. */
static int unwrap_inputs(const json_t *content, struct error *err)
{
	size_t i;
	json_t *block;

	json_array_foreach(content, i, block)
	{
		const json_t *text = json_object_get(block, "input");
		json_t *input;

		if (!json_is_string(text))
			continue;
		int rc = json_read(json_string_value(text), json_string_length(text), &input, NULL);
		if (rc == ERR_NOMEM || (rc == 0 && json_object_set_new(block, "input", input) != 0))
			return error_nomem(err);
	}
	return 0;
}

static int read_loosely(const char *body, size_t len, json_t **ret_answer, struct error *err)
{
	AUTO_TEXT wrapped = {.max = 2 * LLM_ANSWER_MAX};
	AUTO_JSON *answer = NULL;

	wrap_inputs(body, len, &wrapped);
	int rc = wrapped.failed ? ERR_DECODE : json_read(text_str(&wrapped), wrapped.len, &answer, NULL);
	if (rc == 0)
		rc = unwrap_inputs(json_object_get(answer, "content"), err);
	if (rc == 0)
		*ret_answer = json_incref(answer);
	return rc == ERR_NOMEM ? error_nomem(err) : rc;
}

const struct llm_dialect llm_anthropic = {
	.name = "Anthropic",
	.base_url = "https://api.anthropic.com",
	.path = "/v1/messages",
	.url_setting = "ANTHROPIC_BASE_URL",
	.key_setting = "ANTHROPIC_API_KEY",
	.id_header = "request-id",
	.new_request = new_request,
	.new_tool = new_tool,
	.new_choice = new_choice,
	.add_user = add_user,
	.add_results = add_results,
	.answer_fields = answer_fields,
	.answer_field_count = sizeof answer_fields / sizeof answer_fields[0],
	.usage_fields = usage_fields,
	.usage_field_count = sizeof usage_fields / sizeof usage_fields[0],
	.read_content = read_content,
	.read_loosely = read_loosely,
};
