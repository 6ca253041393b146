#include "client/agent/transcript.h"

#include <inttypes.h>
#include <string.h>

#include "client/base/clock.h"
#include "client/base/json.h"
#include "client/base/text.h"

#define MARKDOWN_MAX (300 * 1024)
#define LINE_MAX 500

static json_t *cut_string(const char *text, size_t max)
{
	AUTO_FREE char *cut = text_cut(text, max);

	return cut != NULL ? json_string(cut) : NULL;
}

json_t *transcript_new(const struct llm_settings *llm, const struct mcp_settings *mcp, const char *system,
                       const char *proposal)
{
	AUTO_FREE char *server = mcp_shown(mcp);

	return json_pack("{s:s, s:s?, s:s?, s:s?, s:s, s:s, s:[], s:i, s:i}", "provider", llm_provider_name(llm->provider),
	                 "model", llm->model, "address", llm->base_url, "mcp_server", server,
	                 "system", system, "proposal", proposal, "turns", "input_tokens", 0, "output_tokens", 0);
}

void transcript_tools(json_t *transcript, const struct llm_tool *tools, size_t count)
{
	json_t *names = json_array();

	for (size_t i = 0; i < count; i++)
		(void)json_array_append_new(names, json_string(tools[i].name));
	(void)json_object_set_new(transcript, "tools", names);
}

static const char *stop_name(enum llm_stop stop)
{
	switch (stop) {
	case LLM_STOP_TOOL:
		return "tool calls";
	case LLM_STOP_END:
		return "end";
	case LLM_STOP_CUT:
		return "cut off";
	case LLM_STOP_REFUSED:
		return "refused";
	case LLM_STOP_OTHER:
		break;
	}
	return "other";
}

static void add_tokens(json_t *transcript, const char *key, int64_t tokens)
{
	json_int_t so_far = json_integer_value(json_object_get(transcript, key));

	if (tokens > 0 && tokens < INT64_MAX - so_far)
		(void)json_object_set_new(transcript, key, json_integer(so_far + tokens));
}

void transcript_turn(json_t *transcript, const struct llm_turn *turn)
{
	add_tokens(transcript, "input_tokens", turn->input_tokens);
	add_tokens(transcript, "output_tokens", turn->output_tokens);
	(void)json_array_append_new(
		json_object_get(transcript, "turns"),
		json_pack("{s:o, s:s, s:s, s:i, s:I, s:I, s:I, s:[]}", "text", cut_string(turn->text, TRANSCRIPT_TEXT_MAX), "stop",
	              stop_name(turn->stop), "request_id", turn->request_id, "tries", turn->tries, "took_ms",
	              (json_int_t)turn->took_ms, "input_tokens", (json_int_t)turn->input_tokens, "output_tokens",
	              (json_int_t)turn->output_tokens, "calls"));
}

static json_t *last_turn(json_t *transcript)
{
	json_t *turns = json_object_get(transcript, "turns");

	return json_array_get(turns, json_array_size(turns) - 1);
}

void transcript_call(json_t *transcript, const struct llm_tool_call *call, const struct toolbox_answer *answer,
                     int64_t took_ms)
{
	json_t *arguments = call->arguments != NULL ? json_incref(call->arguments)
	                                            : cut_string(call->bad_arguments != NULL ? call->bad_arguments : "",
	                                                         TRANSCRIPT_RESULT_MAX);
	json_t *row = json_pack("{s:s, s:o}", "tool", call->name, "arguments", arguments);

	if (answer != NULL) {
		(void)json_object_set_new(row, "is_error", json_boolean(answer->is_error));
		(void)json_object_set_new(row, "result", cut_string(answer->text, TRANSCRIPT_RESULT_MAX));
		(void)json_object_set_new(row, "bytes", json_integer((json_int_t)answer->bytes));
		(void)json_object_set_new(row, "took_ms", json_integer(took_ms));
	}
	(void)json_array_append_new(json_object_get(last_turn(transcript), "calls"), row);
}

void transcript_correction(json_t *transcript, const char *text)
{
	(void)json_object_set_new(last_turn(transcript), "correction", json_string(text));
}

void transcript_end(json_t *transcript, const char *key, json_t *value, size_t bytes_sent, int64_t took_ms)
{
	(void)json_object_set_new(transcript, "bytes_sent", json_integer((json_int_t)bytes_sent));
	(void)json_object_set_new(transcript, "took_ms", json_integer(took_ms));
	(void)json_object_set_new(transcript, "outcome", json_pack("{s:o}", key, value));
}

/* --- Markdown ------------------------------------------------------------------------------------ */

static void add_words(struct text *t, const json_t *value, size_t max)
{
	const char *text = json_string_value(value);

	text_add_markdown(t, text != NULL ? text : "", text != NULL ? strlen(text) : 0, max);
}

static void add_value(struct text *t, const json_t *value, size_t max)
{
	AUTO_FREE char *json = value != NULL ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15)) : NULL;

	if (json != NULL)
		text_add_markdown(t, json, strlen(json), max);
}

/* A text of several lines, as a quotation. */
static void add_quoted(struct text *t, const json_t *value)
{
	const char *text = json_string_value(value);

	while (text != NULL && *text != '\0') {
		size_t len = strcspn(text, "\n");

		text_addf(t, "> ");
		text_add_markdown(t, text, len, MARKDOWN_MAX);
		text_addf(t, "\n");
		text += len + (text[len] == '\n');
	}
	text_addf(t, "\n");
}

static json_int_t number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static void add_head(struct text *t, const json_t *transcript)
{
	const json_t *outcome = json_object_get(transcript, "outcome");
	char span[TIME_TEXT_SIZE];
	const char *key;
	json_t *value;

	text_addf(t, "# What the AI agent did\n\n- Model: ");
	add_words(t, json_object_get(transcript, "model"), LINE_MAX);
	text_addf(t, " (%s", json_string_value(json_object_get(transcript, "provider")));
	if (json_is_string(json_object_get(transcript, "address"))) {
		text_addf(t, ", ");
		add_words(t, json_object_get(transcript, "address"), LINE_MAX);
	}
	text_addf(t, ")\n- MCP server: ");
	add_words(t, json_object_get(transcript, "mcp_server"), LINE_MAX);
	text_addf(t, "\n- Tools given: ");
	add_value(t, json_object_get(transcript, "tools"), LINE_MAX);
	text_addf(t, "\n- Tokens: %" JSON_INTEGER_FORMAT " in, %" JSON_INTEGER_FORMAT " out; %" JSON_INTEGER_FORMAT
	          " bytes sent; %s\n", number(transcript, "input_tokens"), number(transcript, "output_tokens"),
	          number(transcript, "bytes_sent"), span_format(number(transcript, "took_ms"), span));
	json_object_foreach((json_t *)(uintptr_t)outcome, key, value)
	{
		text_addf(t, "- Outcome: %s: ", key);
		if (json_is_string(value))
			add_words(t, value, TRANSCRIPT_TEXT_MAX);
		else
			add_value(t, value, TRANSCRIPT_TEXT_MAX);
		text_addf(t, "\n");
	}
}

static void add_call(struct text *t, const json_t *call)
{
	char span[TIME_TEXT_SIZE];

	text_addf(t, "- calls **");
	add_words(t, json_object_get(call, "tool"), LINE_MAX);
	text_addf(t, "** ");
	add_value(t, json_object_get(call, "arguments"), TRANSCRIPT_RESULT_MAX);
	if (json_is_string(json_object_get(call, "result"))) {
		text_addf(t, "\n  - %s, %" JSON_INTEGER_FORMAT " bytes, %s: ",
		          json_is_true(json_object_get(call, "is_error")) ? "refused or failed" : "answered", number(call, "bytes"),
		          span_format(number(call, "took_ms"), span));
		add_words(t, json_object_get(call, "result"), TRANSCRIPT_RESULT_MAX);
	}
	text_addf(t, "\n");
}

static void add_turn(struct text *t, size_t i, const json_t *turn)
{
	char span[TIME_TEXT_SIZE];
	size_t k;
	json_t *call;

	text_addf(t, "\n## Answer %zu\n\n%" JSON_INTEGER_FORMAT " tokens in, %" JSON_INTEGER_FORMAT " out, %s, tries: %"
	          JSON_INTEGER_FORMAT ", request ", i + 1, number(turn, "input_tokens"), number(turn, "output_tokens"),
	          span_format(number(turn, "took_ms"), span), number(turn, "tries"));
	add_words(t, json_object_get(turn, "request_id"), LINE_MAX);
	text_addf(t, ", ended by: %s\n\n", json_string_value(json_object_get(turn, "stop")));
	add_quoted(t, json_object_get(turn, "text"));
	json_array_foreach(json_object_get(turn, "calls"), k, call)
		add_call(t, call);
	if (json_is_string(json_object_get(turn, "correction"))) {
		text_addf(t, "\nCorrected with:\n\n");
		add_quoted(t, json_object_get(turn, "correction"));
	}
}

char *transcript_markdown(const json_t *transcript)
{
	struct text t = {.max = MARKDOWN_MAX};
	size_t i;
	json_t *turn;

	add_head(&t, transcript);
	json_array_foreach(json_object_get(transcript, "turns"), i, turn)
		add_turn(&t, i, turn);
	text_addf(&t, "\n## Asked\n\n");
	add_quoted(&t, json_object_get(transcript, "proposal"));
	text_addf(&t, "\n## Instructed\n\n");
	add_quoted(&t, json_object_get(transcript, "system"));
	/* Too long: what is there is better than nothing, since the outcome comes first. */
	if (t.failed && t.data != NULL)
		t.failed = false;
	return text_take(&t);
}
