/* Chat completions as OpenAI, Ollama, vLLM and llama.cpp serve them: POST /chat/completions below a base URL that ends
 * in /v1. */
#include "client/base/text.h"
#include "client/llm/dialect.h"

static json_t *new_request(const struct llm_settings *settings, const char *system)
{
	json_t *request = json_pack("{s:s, s:b, s:[]}", "model", settings->model, "stream", 0, "messages");

	if (system != NULL && request != NULL &&
	    json_array_append_new(json_object_get(request, "messages"),
	                          json_pack("{s:s, s:s}", "role", "system", "content", system)) != 0) {
		json_decref(request);
		return NULL;
	}
	return request;
}

static json_t *new_tool(const struct llm_tool *tool)
{
	return json_pack("{s:s, s:{s:s, s:s*, s:o}}", "type", "function", "function", "name", tool->name, "description",
	                 tool->description, "parameters", json_deep_copy(tool->input_schema));
}

static json_t *new_choice(bool must_call)
{
	return json_string(must_call ? "required" : "auto");
}

static int add_user(json_t *messages, const char *text)
{
	return json_array_append_new(messages, json_pack("{s:s, s:s}", "role", "user", "content", text));
}

static int add_results(json_t *messages, const struct llm_tool_result *results, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (json_array_append_new(messages, json_pack("{s:s, s:s, s:s}", "role", "tool", "tool_call_id",
		                                              results[i].call_id, "content", results[i].text)) != 0)
			return -1;
	return 0;
}

static const struct json_field answer_fields[] = {
	{"id", JSON_KIND_TEXT, offsetof(struct llm_answer, id), false, NULL},
	{"choices", JSON_KIND_ANY, offsetof(struct llm_answer, content), true, NULL},
	{"usage", JSON_KIND_OBJECT, offsetof(struct llm_answer, usage), false, NULL},
};

static const struct json_field usage_fields[] = {
	{"prompt_tokens", JSON_KIND_INT, offsetof(struct llm_turn, input_tokens), false, NULL},
	{"completion_tokens", JSON_KIND_INT, offsetof(struct llm_turn, output_tokens), false, NULL},
};

struct choice {
	int stop;
	json_t *message;
};

static const struct json_name stops[] = {
	{"tool_calls", LLM_STOP_TOOL}, {"stop", LLM_STOP_END}, {"length", LLM_STOP_CUT},
	{"content_filter", LLM_STOP_REFUSED}, {NULL, LLM_STOP_OTHER},
};

static const struct json_field choice_fields[] = {
	{"finish_reason", JSON_KIND_ENUM, offsetof(struct choice, stop), false, stops},
	{"message", JSON_KIND_OBJECT, offsetof(struct choice, message), true, NULL},
};

struct message {
	char *content;
	char *refusal;
	json_t *tool_calls;
};

static const struct json_field message_fields[] = {
	{"content", JSON_KIND_TEXT, offsetof(struct message, content), false, NULL},
	{"refusal", JSON_KIND_TEXT, offsetof(struct message, refusal), false, NULL},
	{"tool_calls", JSON_KIND_ANY, offsetof(struct message, tool_calls), false, NULL},
};

struct called {
	char *id;
	json_t *function;
};

struct function {
	char *name;
	json_t *arguments;
};

static const struct json_field called_fields[] = {
	{"id", JSON_KIND_TEXT, offsetof(struct called, id), false, NULL},
	{"function", JSON_KIND_OBJECT, offsetof(struct called, function), true, NULL},
};

static const struct json_field function_fields[] = {
	{"name", JSON_KIND_TEXT, offsetof(struct function, name), true, NULL},
	{"arguments", JSON_KIND_ANY, offsetof(struct function, arguments), false, NULL},
};

/* Arguments are JSON in a string; some servers send the object itself, and nothing at all for a tool without any. */
static int read_arguments(json_t *value, struct llm_tool_call *call, struct error *err)
{
	AUTO_JSON *parsed = NULL;
	struct error why;

	if (value == NULL || json_is_null(value) || (json_is_string(value) && json_string_length(value) == 0)) {
		call->arguments = json_object();
		return call->arguments == NULL ? error_nomem(err) : 0;
	}
	if (json_is_string(value)) {
		int rc = json_read(json_string_value(value), json_string_length(value), &parsed, &why);
		if (rc == ERR_NOMEM)
			return error_nomem(err);
		if (rc != 0)
			return llm_note_bad_arguments(call, value, why.text, err);
	}
	if (!json_is_object(parsed != NULL ? parsed : value))
		return llm_note_bad_arguments(call, value, "not a JSON object", err);
	call->arguments = json_incref(parsed != NULL ? parsed : value);
	return 0;
}

/* The server's id, or one made up where it gave none, or the same twice. */
static char *take_id(struct called *called, const struct llm_turn *turn)
{
	char uuid[UUID_SIZE];
	AUTO_TEXT made = {.max = 5 + UUID_SIZE};
	char *id = called->id;

	if (id != NULL && id[0] != '\0' && !llm_turn_has_call(turn, id)) {
		called->id = NULL;
		return id;
	}
	uuid_make(uuid);
	text_addf(&made, "call_%s", uuid);
	return text_take(&made);
}

/* One call as it goes back to the server: as it was @received. Some servers (vLLM) read the arguments of earlier turns
 * again and fail where they are no JSON object; the call's result tells the model what was wrong with them. */
static json_t *call_back(const struct llm_tool_call *call, const json_t *received)
{
	AUTO_FREE char *arguments = NULL;

	if (json_is_string(received) && json_string_length(received) > 0 && call->arguments != NULL)
		arguments = text_dup(json_string_value(received));
	else
		arguments = call->arguments != NULL ? json_dumps(call->arguments, JSON_COMPACT) : text_dup("{}");
	return json_pack("{s:s, s:s, s:{s:s, s:s}}", "id", call->id, "type", "function", "function", "name", call->name,
	                 "arguments", arguments);
}

/* Adds the call to @turn, and to the array @back. */
static int read_call(const json_t *json, struct llm_turn *turn, json_t *back, struct error *err)
{
	struct called called;
	struct function function;
	struct llm_tool_call call = {0};

	int rc = json_decode(json, JSON_TABLE(called_fields), &called, sizeof called, err);
	if (rc != 0)
		return rc;
	rc = json_decode(called.function, JSON_TABLE(function_fields), &function, sizeof function, err);
	if (rc == 0) {
		call.name = function.name;
		call.id = take_id(&called, turn);
		rc = call.id == NULL ? error_nomem(err) : read_arguments(function.arguments, &call, err);
		if (rc == 0 && json_array_append_new(back, call_back(&call, function.arguments)) != 0)
			rc = error_nomem(err);
		json_decref(function.arguments);
	}
	if (rc == 0)
		rc = llm_turn_add_call(turn, &call, err);
	if (rc != 0)
		llm_call_release(&call);
	json_release(JSON_TABLE(called_fields), &called);
	return rc;
}

static int read_calls(const json_t *list, struct llm_turn *turn, json_t *back, struct error *err)
{
	size_t i;
	json_t *call;
	int rc = 0;

	if (list != NULL && !json_is_array(list))
		return error_set(err, ERR_DECODE, "field 'tool_calls' of the answer should be an array");
	json_array_foreach(list, i, call)
		rc = rc == 0 ? read_call(call, turn, back, err) : rc;
	return rc;
}

static int read_message(const json_t *json, struct llm_turn *turn, struct error *err)
{
	struct message message;
	AUTO_JSON *back = json_array();

	int rc = json_decode(json, JSON_TABLE(message_fields), &message, sizeof message, err);
	if (rc != 0)
		return rc;
	bool refused = message.refusal != NULL && message.refusal[0] != '\0';
	bool silent = message.content == NULL || message.content[0] == '\0';
	turn->text = text_dup(refused && silent ? message.refusal : silent ? "" : message.content);
	turn->stop = refused ? LLM_STOP_REFUSED : turn->stop;
	rc = turn->text == NULL || back == NULL ? error_nomem(err) : read_calls(message.tool_calls, turn, back, err);
	json_release(JSON_TABLE(message_fields), &message);
	if (rc != 0)
		return rc;

	bool calls = turn->call_count > 0;
	turn->raw = json_pack("{s:s, s:o, s:O*}", "role", "assistant", "content",
	                      calls && silent ? json_null() : json_string(turn->text), "tool_calls", calls ? back : NULL);
	return turn->raw == NULL ? error_nomem(err) : 0;
}

/* The first choice is the only one that was asked for. */
static int read_choices(const json_t *choices, struct llm_turn *turn, struct error *err)
{
	struct choice choice;

	if (!json_is_array(choices))
		return error_set(err, ERR_DECODE, "field 'choices' of the answer should be an array");
	if (json_array_size(choices) == 0) {
		turn->text = text_dup("");
		return turn->text == NULL ? error_nomem(err) : 0;
	}
	int rc = json_decode(json_array_get(choices, 0), JSON_TABLE(choice_fields), &choice, sizeof choice, err);
	if (rc != 0)
		return rc;
	turn->stop = (enum llm_stop)choice.stop;
	rc = read_message(choice.message, turn, err);
	json_release(JSON_TABLE(choice_fields), &choice);
	return rc;
}

const struct llm_dialect llm_openai = {
	.name = "OpenAI-compatible",
	.base_url = "https://api.openai.com/v1",
	.path = "/chat/completions",
	.url_setting = "OPENAI_BASE_URL",
	.key_setting = "OPENAI_API_KEY",
	.id_header = "x-request-id",
	.new_request = new_request,
	.new_tool = new_tool,
	.new_choice = new_choice,
	.add_user = add_user,
	.add_results = add_results,
	.answer_fields = answer_fields,
	.answer_field_count = sizeof answer_fields / sizeof answer_fields[0],
	.usage_fields = usage_fields,
	.usage_field_count = sizeof usage_fields / sizeof usage_fields[0],
	.read_content = read_choices,
};
