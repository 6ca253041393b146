/* What is sent, to the letter. The shapes are those that pydantic-ai 1.107.10 was recorded to send to both APIs, without
 * what only its SDKs need ("?beta=true", x-stainless-*). */
#include <string.h>

#include "client/base/text.h"
#include "tests/unit/client/llm/model_server.h"

#define TOOLS_ANTHROPIC                                                                                           \
	"[{\"name\": \"get_dashboard\", \"description\": \"The dashboard.\", \"input_schema\": {\"type\": \"object\", "   \
	"\"properties\": {}}}, {\"name\": \"final_result\", \"input_schema\": {\"type\": \"object\", "                   \
	"\"required\": [\"approved\"]}}]"
#define TOOLS_OPENAI                                                                                              \
	"[{\"type\": \"function\", \"function\": {\"name\": \"get_dashboard\", \"description\": \"The dashboard.\", "    \
	"\"parameters\": {\"type\": \"object\", \"properties\": {}}}}, {\"type\": \"function\", \"function\": "          \
	"{\"name\": \"final_result\", \"parameters\": {\"type\": \"object\", \"required\": [\"approved\"]}}}]"
#define ASKED_ANTHROPIC "{\"role\": \"user\", \"content\": [{\"type\": \"text\", \"text\": \"May I?\"}]}"
#define ASKED_OPENAI "{\"role\": \"system\", \"content\": \"Be careful.\"}, {\"role\": \"user\", \"content\": \"May I?\"}"

static const struct http_reply anthropic_replies[] = {
	{.body = "{\"id\": \"msg_1\", \"type\": \"message\", \"role\": \"assistant\", \"content\": [{\"type\": \"thinking\", "
	         "\"thinking\": \"hm\", \"signature\": \"s\"}, {\"type\": \"text\", \"text\": \"I will look.\"}, {\"type\": \"text\", "
	         "\"text\": \" \"}, {\"type\": \"tool_use\", \"id\": \"toolu_1\", \"name\": \"get_dashboard\", \"input\": {}}, "
	         "{\"type\": \"tool_use\", \"id\": \"toolu_2\", \"name\": \"get_flow_runs\", \"input\": {\"limit\": 2}}], "
	         "\"stop_reason\": \"tool_use\", \"usage\": {\"input_tokens\": 1000, \"output_tokens\": 50}}",
	 .headers = "request-id: req_1\r\n"},
	{.body = "{\"id\": \"msg_2\", \"content\": [{\"type\": \"text\", \"text\": \"done\"}], \"stop_reason\": \"end_turn\"}"},
	{.body = "{\"id\": \"msg_3\", \"content\": [], \"stop_reason\": \"end_turn\"}"},
	{.body = "{\"id\": \"msg_4\", \"content\": [], \"stop_reason\": \"end_turn\"}"},
};

static const struct http_reply openai_replies[] = {
	{.body = "{\"id\": \"chatcmpl-1\", \"choices\": [{\"index\": 0, \"finish_reason\": \"tool_calls\", \"message\": {\"role\": "
	         "\"assistant\", \"content\": null, \"annotations\": [], \"tool_calls\": [{\"id\": \"toolu_1\", \"type\": "
	         "\"function\", \"function\": {\"name\": \"get_dashboard\", \"arguments\": \"{}\"}}, {\"id\": \"toolu_2\", \"type\": "
	         "\"function\", \"function\": {\"name\": \"get_flow_runs\", \"arguments\": \"{\\\"limit\\\": 2}\"}}]}}], "
	         "\"usage\": {\"prompt_tokens\": 1000, \"completion_tokens\": 50, \"total_tokens\": 1050}}",
	 .headers = "x-request-id: req_1\r\n"},
	{.body = "{\"id\": \"chatcmpl-2\", \"choices\": [{\"finish_reason\": \"stop\", \"message\": {\"content\": \"done\"}}]}"},
	{.body = "{\"id\": \"chatcmpl-3\", \"choices\": [{\"finish_reason\": \"stop\", \"message\": {\"content\": \"\"}}]}"},
	{.body = "{\"id\": \"chatcmpl-4\", \"choices\": []}"},
};

static const struct {
	const char *name;
	enum llm_provider provider;
	const struct http_reply *replies; /* four */
	const char *path;
	const char *headers[6]; /* name, value */
	const char *absent;     /* a header */
	const char *bodies[4];
} dialogues[] = {
	{"Anthropic", LLM_ANTHROPIC, anthropic_replies, "/v1/messages",
	 {"x-api-key", KEY, "anthropic-version", "2023-06-01", "Content-Type", "application/json"}, "Authorization",
	 {"{\"model\": \"test-model\", \"max_tokens\": 4096, \"stream\": false, \"system\": \"Be careful.\", \"tool_choice\": "
	  "{\"type\": \"any\"}, \"tools\": " TOOLS_ANTHROPIC ", \"messages\": [" ASKED_ANTHROPIC "]}",
	  "{\"model\": \"test-model\", \"max_tokens\": 4096, \"stream\": false, \"system\": \"Be careful.\", \"tool_choice\": "
	  "{\"type\": \"any\"}, \"tools\": " TOOLS_ANTHROPIC ", \"messages\": [" ASKED_ANTHROPIC ", {\"role\": \"assistant\", "
	  "\"content\": [{\"type\": \"thinking\", \"thinking\": \"hm\", \"signature\": \"s\"}, {\"type\": \"text\", \"text\": "
	  "\"I will look.\"}, {\"type\": \"tool_use\", \"id\": \"toolu_1\", \"name\": \"get_dashboard\", \"input\": {}}, "
	  "{\"type\": \"tool_use\", \"id\": \"toolu_2\", \"name\": \"get_flow_runs\", \"input\": {\"limit\": 2}}]}, "
	  "{\"role\": \"user\", \"content\": [{\"type\": \"tool_result\", \"tool_use_id\": \"toolu_1\", \"content\": [{\"type\": "
	  "\"text\", \"text\": \"55 runs\"}], \"is_error\": false}, {\"type\": \"tool_result\", \"tool_use_id\": \"toolu_2\", "
	  "\"content\": [{\"type\": \"text\", \"text\": \"no such tool\"}], \"is_error\": true}]}]}",
	  NULL,
	  "{\"model\": \"test-model\", \"max_tokens\": 4096, \"stream\": false, \"system\": \"Be careful.\", \"tool_choice\": "
	  "{\"type\": \"any\"}, \"tools\": " TOOLS_ANTHROPIC ", \"messages\": [" ASKED_ANTHROPIC ", null, null, {\"role\": "
	  "\"assistant\", \"content\": [{\"type\": \"text\", \"text\": \"done\"}]}, {\"role\": \"user\", \"content\": [{\"type\": "
	  "\"text\", \"text\": \"Decide.\"}, {\"type\": \"text\", \"text\": \"Decide.\"}]}]}"}},
	{"OpenAI", LLM_OPENAI, openai_replies, "/v1/chat/completions",
	 {"Authorization", "Bearer " KEY, "Accept", "application/json", "Content-Type", "application/json"}, "x-api-key",
	 {"{\"model\": \"test-model\", \"stream\": false, \"tool_choice\": \"required\", \"tools\": " TOOLS_OPENAI
	  ", \"messages\": [" ASKED_OPENAI "]}",
	  "{\"model\": \"test-model\", \"stream\": false, \"tool_choice\": \"required\", \"tools\": " TOOLS_OPENAI
	  ", \"messages\": [" ASKED_OPENAI ", {\"role\": \"assistant\", \"content\": null, \"tool_calls\": [{\"id\": \"toolu_1\", "
	  "\"type\": \"function\", \"function\": {\"name\": \"get_dashboard\", \"arguments\": \"{}\"}}, {\"id\": \"toolu_2\", "
	  "\"type\": \"function\", \"function\": {\"name\": \"get_flow_runs\", \"arguments\": \"{\\\"limit\\\": 2}\"}}]}, "
	  "{\"role\": \"tool\", \"tool_call_id\": \"toolu_1\", \"content\": \"55 runs\"}, "
	  "{\"role\": \"tool\", \"tool_call_id\": \"toolu_2\", \"content\": \"no such tool\"}]}",
	  NULL,
	  "{\"model\": \"test-model\", \"stream\": false, \"tool_choice\": \"required\", \"tools\": " TOOLS_OPENAI
	  ", \"messages\": [" ASKED_OPENAI ", null, null, null, {\"role\": \"assistant\", \"content\": \"done\"}, "
	  "{\"role\": \"user\", \"content\": \"Decide.\"}, {\"role\": \"assistant\", \"content\": \"\"}, "
	  "{\"role\": \"user\", \"content\": \"Decide.\"}]}"}},
};

static void check_first_turn(const char *row, const struct llm_turn *turn)
{
	CHECK_INT(row, turn->stop, LLM_STOP_TOOL);
	CHECK_INT(row, turn->input_tokens, 1000);
	CHECK_INT(row, turn->output_tokens, 50);
	CHECK_STR(row, turn->request_id, "req_1");
	CHECK_INT(row, turn->tries, 1);
	CHECK(row, turn->took_ms >= 0);
	if (!CHECK_INT(row, turn->call_count, 2))
		return;
	CHECK_STR(row, turn->calls[0].id, "toolu_1");
	CHECK_STR(row, turn->calls[1].name, "get_flow_runs");
	CHECK_JSON(row, turn->calls[1].arguments, "{\"limit\": 2}");
}

/* A null in the expected messages stands for one that an earlier request has shown already. */
static void check_body(const char *row, json_t *body, const char *want)
{
	AUTO_JSON *expected = unit_json(want);
	json_t *messages = json_object_get(expected, "messages");
	size_t i;
	json_t *message;

	json_array_foreach(messages, i, message)
		if (json_is_null(message))
			(void)json_array_set(messages, i, json_array_get(json_object_get(body, "messages"), i));
	AUTO_FREE char *text = json_dumps(expected, JSON_COMPACT);
	CHECK_JSON(row, body, text);
}

static void say(struct model_server *model, const char *row, const char *text)
{
	struct error err;

	CHECK_RC(row, llm_add_user(model->conversation, text, &err), 0, &err);
}

static void sends_to_the_letter(void)
{
	static const struct llm_tool_result results[] = {{"toolu_1", "55 runs", false}, {"toolu_2", "no such tool", true}};

	EACH(row, dialogues)
	{
		struct model_server model;
		struct llm_turn turn;
		struct error err;
		size_t sent = 0;
		char value[200];

		model_open(&model, row->provider, row->replies, 4);
		for (size_t i = 0; i < 4; i++) {
			sent += llm_bytes_next(model.conversation);
			if (i == 0)
				CHECK_JSON(row->name, llm_next_request(model.conversation), row->bodies[0]);
			if (!model_ask(&model, row->name, &turn))
				break;
			CHECK_INT(row->name, llm_bytes_sent(model.conversation), sent);
			if (i == 0)
				check_first_turn(row->name, &turn);
			if (i == 0)
				CHECK_RC(row->name, llm_add_results(model.conversation, results, COUNT_OF(results), &err), 0, &err);
			else
				say(&model, row->name, "Decide.");
			llm_turn_release(&turn);
		}
		for (size_t i = 0; i < json_array_size(model.bodies); i++) {
			CHECK_STR(row->name, model.paths[i], row->path);
			for (size_t h = 0; h < COUNT_OF(row->headers); h += 2) {
				http_seen_header(model.headers[i], row->headers[h], value, sizeof value);
				CHECK_STR(row->headers[h], value, row->headers[h + 1]);
			}
			http_seen_header(model.headers[i], row->absent, value, sizeof value);
			CHECK_STR(row->absent, value, "");
			if (row->bodies[i] != NULL)
				check_body(row->name, json_array_get(model.bodies, i), row->bodies[i]);
		}
		CHECK_INT(row->name, model_close(&model, row->name), 4);
	}
}

/* What is not as usual: no key, no tools, no force, an empty result. */
static void leaves_out_what_is_not_there(void)
{
	static const struct {
		const char *name;
		enum llm_provider provider;
		const char *want;
	} rows[] = {
		{"Anthropic", LLM_ANTHROPIC, "{\"model\": \"test-model\", \"max_tokens\": 99, \"stream\": false, \"messages\": "
		 "[{\"role\": \"user\", \"content\": [{\"type\": \"tool_result\", \"tool_use_id\": \"a\", \"is_error\": false}]}]}"},
		{"OpenAI", LLM_OPENAI, "{\"model\": \"test-model\", \"stream\": false, \"messages\": [{\"role\": \"tool\", "
		 "\"tool_call_id\": \"a\", \"content\": \" \"}]}"},
	};

	EACH(row, rows)
	{
		struct llm_settings settings = {.provider = row->provider, .model = "test-model", .max_tokens = 99};
		struct llm_conversation *conversation = llm_conversation_new(&settings, NULL, NULL, 0);
		struct error err;

		CHECK_RC(row->name, llm_add_results(conversation, &(struct llm_tool_result){"a", " ", false}, 1, &err), 0, &err);
		CHECK_JSON(row->name, llm_next_request(conversation), row->want);
		llm_conversation_free(conversation);
	}
}

static void sends_no_key_where_there_is_none(void)
{
	static const struct {
		const char *name;
		enum llm_provider provider;
		const char *key;
		const char *authorization;
		const char *api_key;
	} rows[] = {
		{"Anthropic, NULL", LLM_ANTHROPIC, NULL, "", ""},        {"Anthropic, empty", LLM_ANTHROPIC, "", "", ""},
		{"OpenAI, NULL", LLM_OPENAI, NULL, "", ""},              {"OpenAI, empty", LLM_OPENAI, "", "", ""},
		{"OpenAI, any text", LLM_OPENAI, "none", "Bearer none", ""},
	};

	EACH(row, rows)
	{
		struct model_server model;
		struct llm_turn turn;
		struct error err;
		char value[200];

		model_open(&model, row->provider, row->provider == LLM_OPENAI ? openai_replies : anthropic_replies, 1);
		llm_free(model.llm);
		model.llm = NULL;
		model.settings.key = row->key;
		if (CHECK_RC(row->name, llm_new(&model.settings, &model.llm, &err), 0, &err) && model_ask(&model, row->name, &turn)) {
			http_seen_header(model.headers[0], "Authorization", value, sizeof value);
			CHECK_STR(row->name, value, row->authorization);
			http_seen_header(model.headers[0], "x-api-key", value, sizeof value);
			CHECK_STR(row->name, value, row->api_key);
			llm_turn_release(&turn);
		}
		CHECK_INT(row->name, model_close(&model, row->name), 1);
	}
}

/* A server that does not know "required" is asked again without, and not pressed any more. */
static void asks_without_force_where_force_is_refused(void)
{
	static const struct {
		const char *name;
		bool must_call;
		struct http_reply replies[3];
		const char *choices[3]; /* of the requests */
		size_t requests;
		int rc;
		bool one_fits; /* no more bytes may be sent than one request has */
	} rows[] = {
		{"refused", true, {{.status = 400, .body = "{\"error\": {\"message\": \"tool_choice: unknown\"}}"}, {.body = "{\"choices\": []}"}, {.body = "{\"choices\": []}"}},
		 {"required", "auto", "auto"}, 3, 0, false},
		{"refused for another reason", true, {{.status = 400}}, {"required"}, 1, ERR_INVALID, false},
		{"refused for one more", true, {{.status = 400, .body = "tool_choice"}, {.status = 400}}, {"required", "auto"}, 2, ERR_INVALID, false},
		{"refused, and too much to ask again", true, {{.status = 400, .body = "tool_choice"}}, {"required"}, 1, ERR_INVALID, true},
		{"not forced", false, {{.status = 400}}, {"auto"}, 1, ERR_INVALID, false},
		{"forbidden", true, {{.status = 403}}, {"required"}, 1, ERR_AUTH, false},
	};

	EACH(row, rows)
	{
		struct model_server model;
		struct llm_turn turn;
		struct error err;

		model_open(&model, LLM_OPENAI, row->replies, row->requests);
		model.settings.bytes_max = row->one_fits ? (int64_t)llm_bytes_next(model.conversation) : 0;
		for (int i = 0; i < (row->rc == 0 ? 2 : 1); i++) {
			int rc = llm_ask(model.llm, model.conversation, row->must_call, &turn, &err);
			CHECK_RC(row->name, rc, row->rc, &err);
			if (rc == 0)
				llm_turn_release(&turn);
		}
		for (size_t i = 0; i < json_array_size(model.bodies); i++)
			CHECK_STR(row->name, json_string_value(json_object_get(json_array_get(model.bodies, i), "tool_choice")),
			          row->choices[i]);
		CHECK_INT(row->name, model_close(&model, row->name), row->requests);
	}
}

static void names_the_setting_that_is_wrong(void)
{
	static const struct {
		const char *name;
		struct llm_settings settings;
		const char *text;
	} rows[] = {
		{"no model", {.provider = LLM_ANTHROPIC, .key = KEY}, "PREFECT_JANITOR_AI_MODEL is not set"},
		{"an empty model", {.provider = LLM_OPENAI, .key = KEY, .model = ""}, "PREFECT_JANITOR_AI_MODEL is not set"},
		{"no key for Anthropic", {.provider = LLM_ANTHROPIC, .model = "m"}, "ANTHROPIC_API_KEY is not set"},
		{"no key for OpenAI", {.provider = LLM_OPENAI, .model = "m", .key = ""}, "OPENAI_API_KEY is not set"},
		{"no key, but how to do without", {.provider = LLM_OPENAI, .model = "m"}, "set OPENAI_BASE_URL"},
		{"a key with its line break", {.provider = LLM_ANTHROPIC, .model = "m", .key = KEY "\n"}, "ANTHROPIC_API_KEY"},
		{"a key with a header in it", {.provider = LLM_OPENAI, .model = "m", .key = KEY "\r\nHost: x"}, "OPENAI_API_KEY"},
		{"a key in the address", {.provider = LLM_ANTHROPIC, .model = "m", .base_url = "https://" KEY "@example.org"},
		 "ANTHROPIC_BASE_URL: put the key into ANTHROPIC_API_KEY"},
		{"no scheme", {.provider = LLM_OPENAI, .model = "m", .base_url = "localhost:11434/v1"}, "OPENAI_BASE_URL: 'localhost"},
		{"a file", {.provider = LLM_OPENAI, .model = "m", .base_url = "file:///etc/passwd"}, "OPENAI_BASE_URL"},
		{"a query", {.provider = LLM_ANTHROPIC, .model = "m", .base_url = "http://h/?a=b"}, "ANTHROPIC_BASE_URL"},
		{"a space", {.provider = LLM_ANTHROPIC, .model = "m", .base_url = "http://h/ a"}, "ANTHROPIC_BASE_URL"},
	};

	EACH(row, rows)
	{
		struct llm *llm = NULL;
		struct error err;

		CHECK_RC(row->name, llm_new(&row->settings, &llm, &err), ERR_USAGE, &err);
		CHECK_HAS(row->name, err.text, row->text);
		CHECK_LACKS(row->name, err.text, "topsecret");
		llm_free(llm);
	}
}

UNIT_SUITE("client/llm/llm_requests", TEST(sends_to_the_letter), TEST(leaves_out_what_is_not_there),
           TEST(sends_no_key_where_there_is_none), TEST(asks_without_force_where_force_is_refused),
           TEST(names_the_setting_that_is_wrong))
