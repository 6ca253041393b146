#include "client/agent/agent.h"

#include <inttypes.h>
#include <string.h>

#include "client/agent/transcript.h"
#include "client/base/clock.h"
#include "client/base/json.h"
#include "client/base/log.h"
#include "client/base/text.h"

#define CORRECTIONS_MAX 1
#define NOT_RUN "Error: not called, since this answer has to be corrected first."
/* Of arguments in a line of the log. */
#define ARGUMENTS_SHOWN 300
/* Of the model's words, or of what is wrong with them, in the rule that stops it: bytes. */
#define WORDS_MAX 500
#define PROBLEM_MAX 1500
/* What @bytes of a tool's answer take in a request, about: JSON in a JSON string. */
#define IN_REQUEST(bytes) ((bytes) + (bytes) / 4)

/* One investigation. */
struct agent {
	const struct agent_settings *settings;
	struct llm_settings llm_settings; /* ours: the deadline moves */
	struct toolbox_settings tools;
	struct llm *llm;
	struct llm_conversation *conversation;
	struct toolbox *box;
	json_t *transcript;
	int64_t started_ms;
	int64_t deadline_ms;
	int64_t turns;
	int64_t tool_calls;
	int64_t investigated;
	int corrections;
	size_t pending; /* bytes of answers that go with the next request, and are not in the conversation yet */
	json_t *decision;
	struct text unsure; /* the rule, once there is one */
};

/* One line for the log, from foreign text too: flow_log() and the like clean it. */
static void tell(const struct agent *agent, int level, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void tell(const struct agent *agent, int level, const char *fmt, ...)
{
	char line[1024];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(line, sizeof line, fmt, args);
	va_end(args);
	agent->settings->tell(agent->settings->arg, level, line);
}

static int time_over(const struct agent *agent, struct error *err)
{
	char span[TIME_TEXT_SIZE];

	return error_set(err, ERR_TRANSPORT, "the investigation was not over after %s (PREFECT_JANITOR_AI_TOTAL_SECONDS)",
	                 span_format(agent->settings->total_ms, span));
}

/* --- opening ------------------------------------------------------------------------------------- */

/* The given tools, and the one that ends it. */
static int open_conversation(struct agent *agent, struct error *err)
{
	size_t count;
	const struct llm_tool *given = toolbox_tools(agent->box, &count);
	struct llm_tool *tools = calloc(count + 1, sizeof *tools);

	if (tools == NULL)
		return error_nomem(err);
	memcpy(tools, given, count * sizeof *tools);
	tools[count] = agent->settings->decision;
	agent->conversation = llm_conversation_new(&agent->llm_settings, agent->settings->system, tools, count + 1);
	free(tools);
	transcript_tools(agent->transcript, given, count);
	if (agent->conversation == NULL)
		return error_nomem(err);
	return llm_add_user(agent->conversation, agent->settings->proposal, err);
}

static int open_agent(const struct agent_settings *settings, struct agent *agent, struct error *err)
{
	*agent = (struct agent){.settings = settings, .llm_settings = settings->llm, .started_ms = clock_mono_ms(),
	                        .unsure = {.max = 2000}};
	agent->deadline_ms = agent->started_ms + settings->total_ms;
	agent->llm_settings.bytes_max = settings->max_bytes;
	agent->tools = settings->tools;
	agent->tools.mcp.deadline_ms = agent->deadline_ms;
	agent->transcript =
		transcript_new(&settings->llm, &settings->tools.mcp, settings->system, settings->proposal);
	/* The model's settings first: a mistake in them needs no MCP server. */
	int rc = llm_new(&agent->llm_settings, &agent->llm, err);
	if (rc != 0) /* an address that is refused may hold a key */
		(void)json_object_del(agent->transcript, "address");
	if (rc == 0)
		rc = toolbox_open(&agent->tools, &agent->box, err);
	if (rc != 0 && rc != ERR_STOPPED && clock_mono_ms() >= agent->deadline_ms)
		rc = time_over(agent, err);
	return rc == 0 ? open_conversation(agent, err) : rc;
}

static void close_agent(struct agent *agent)
{
	toolbox_close(agent->box);
	llm_conversation_free(agent->conversation);
	llm_free(agent->llm);
	text_release(&agent->unsure);
}

/* --- limits --------------------------------------------------------------------------------------- */

static int go_on(struct agent *agent, struct error *err)
{
	const struct agent_settings *s = agent->settings;
	int64_t asked_ms = clock_mono_ms();

	if (!s->may_go_on(s->arg))
		return error_set(err, ERR_STOPPED, "stopped");
	agent->deadline_ms += clock_mono_ms() - asked_ms; /* an outage that was waited out is nobody's fault here */
	agent->llm_settings.deadline_ms = agent->deadline_ms;
	return clock_mono_ms() >= agent->deadline_ms ? time_over(agent, err) : 0;
}

/* May the model be asked once more? ERR_STOPPED, time over, or a budget: then it is unsure. */
static int check_limits(struct agent *agent, struct error *err)
{
	const struct agent_settings *s = agent->settings;

	int rc = go_on(agent, err);
	if (rc != 0)
		return rc;
	size_t bytes = llm_bytes_sent(agent->conversation) + llm_bytes_next(agent->conversation);
	if (agent->turns >= s->max_turns)
		text_addf(&agent->unsure, "the model did not decide within %" PRId64 " answers (PREFECT_JANITOR_AI_MAX_TURNS)",
		          s->max_turns);
	else if (bytes > (size_t)s->max_bytes)
		text_addf(&agent->unsure, "the model did not decide before %" PRId64 " bytes were sent to it "
		          "(PREFECT_JANITOR_AI_MAX_BYTES)", s->max_bytes);
	return 0;
}

/* --- one answer of the model ----------------------------------------------------------------------- */

/* One more correction, or it is over. @problem: what is wrong, for the rule. */
static bool may_correct(struct agent *agent, const char *problem)
{
	if (agent->corrections++ < CORRECTIONS_MAX) {
		tell(agent, LOG_LEVEL_WARNING, "the answer of the model is no valid decision, asking once more: %s", problem);
		return true;
	}
	AUTO_FREE char *cut = text_cut(problem, PROBLEM_MAX);
	text_addf(&agent->unsure, "the model gave no valid decision, also when it was asked once more: %s", cut != NULL ? cut : "");
	return false;
}

static int correct_text(struct agent *agent, struct error *err)
{
	AUTO_TEXT text = {.max = 1000};

	if (!may_correct(agent, "the answer is text, and calls no tool"))
		return 0;
	text_addf(&text, "That was plain text, which decides nothing. Call the tool '%s' with your decision, or another tool to go "
	          "on investigating.", agent->settings->decision.name);
	transcript_correction(agent->transcript, text_str(&text));
	return llm_add_user(agent->conversation, text_str(&text), err);
}

/* Could the answer of one more tool make the next request too much? Then it is the last one, and the model is told so. */
static bool is_last_request(const struct agent *agent)
{
	size_t next = llm_bytes_next(agent->conversation) + IN_REQUEST(agent->pending + TOOLBOX_ANSWER_MAX);

	return llm_bytes_sent(agent->conversation) + next > (size_t)agent->settings->max_bytes;
}

/* Calls a tool, unless that is one too many. */
static int call_tool(struct agent *agent, const struct llm_tool_call *call, struct toolbox_answer *ret_answer,
                     struct error *err)
{
	const struct agent_settings *s = agent->settings;
	AUTO_TEXT refusal = {.max = 20 * 1024};

	int rc = go_on(agent, err);
	if (rc != 0)
		return rc;
	int64_t left = agent->deadline_ms - clock_mono_ms();
	if (agent->tool_calls >= s->max_tool_calls)
		text_addf(&refusal, "Error: not called: all %" PRId64 " calls are used up. Decide now with '%s' by what you know.",
		          s->max_tool_calls, s->decision.name);
	else if (is_last_request(agent))
		text_addf(&refusal, "Error: not called: its answer could be more than may be sent. Decide now with '%s' by what you know.",
		          s->decision.name);
	else if (call->arguments == NULL)
		text_addf(&refusal, "Error: %s", call->complaint != NULL ? call->complaint : "the arguments are no JSON object");
	if (refusal.len > 0) {
		*ret_answer = (struct toolbox_answer){.is_error = true, .bytes = refusal.len, .text = text_take(&refusal)};
		return ret_answer->text != NULL ? 0 : error_nomem(err);
	}
	agent->tool_calls++;
	rc = toolbox_call(agent->box, call->name, call->arguments, left < s->tool_ms ? left : s->tool_ms, ret_answer, err);
	if (rc == 0 && ret_answer->is_success)
		agent->investigated++;
	return rc;
}

static void tell_call(const struct agent *agent, const struct llm_tool_call *call, const struct toolbox_answer *answer,
                      int64_t took_ms)
{
	AUTO_FREE char *arguments = call->arguments != NULL ? json_write(call->arguments, 0) : NULL;
	char span[TIME_TEXT_SIZE];

	tell(agent, answer->is_error ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, "the model calls %.80s %.*s: %s%.200s (%zu bytes, %s)",
	     call->name, ARGUMENTS_SHOWN, arguments != NULL ? arguments : "", answer->is_error ? "" : "answered",
	     answer->is_error ? answer->text : "", answer->bytes, span_format(took_ms, span));
}

/* Answers one call that is no decision; @ret_answer is set on success. */
static int answer_call(struct agent *agent, const struct llm_tool_call *call, struct toolbox_answer *ret_answer,
                       struct error *err)
{
	int64_t started_ms = clock_mono_ms();

	int rc = call_tool(agent, call, ret_answer, err);
	if (rc != 0)
		return rc;
	int64_t took_ms = clock_mono_ms() - started_ms;
	tell_call(agent, call, ret_answer, took_ms);
	transcript_call(agent->transcript, call, ret_answer, took_ms);
	return 0;
}

static bool is_decision(const struct agent *agent, const struct llm_tool_call *call)
{
	return strcmp(call->name, agent->settings->decision.name) == 0;
}

/* Answers all calls of a turn, in their order: tools are called, a decision (which is one that does not count) gets
 * @problems. */
static int answer_calls(struct agent *agent, const struct llm_turn *turn, const char *problems, bool call_tools,
                        struct error *err)
{
	struct toolbox_answer answers[LLM_CALLS_MAX] = {0};
	struct llm_tool_result results[LLM_CALLS_MAX];
	int rc = 0;

	agent->pending = 0;
	for (size_t i = 0; rc == 0 && i < turn->call_count; i++) {
		const struct llm_tool_call *call = &turn->calls[i];
		bool ask = call_tools && !is_decision(agent, call);

		results[i] = (struct llm_tool_result){.call_id = call->id, .is_error = true,
		                                      .text = is_decision(agent, call) ? problems : NOT_RUN};
		if (!ask) {
			transcript_call(agent->transcript, call, NULL, 0);
			continue;
		}
		rc = answer_call(agent, call, &answers[i], err);
		results[i].text = answers[i].text;
		agent->pending += answers[i].text != NULL ? strlen(answers[i].text) : 0;
		results[i].is_error = answers[i].is_error;
	}
	if (rc == 0)
		rc = llm_add_results(agent->conversation, results, turn->call_count, err);
	for (size_t i = 0; i < turn->call_count; i++)
		toolbox_answer_release(&answers[i]);
	return rc;
}

/* A decision that does not count: said exactly why, once. */
static int correct_decision(struct agent *agent, const struct llm_turn *turn, const char *problems, bool call_tools,
                            struct error *err)
{
	AUTO_TEXT text = {.max = 20 * 1024};

	if (!may_correct(agent, problems))
		return 0;
	text_addf(&text, "Error: this is no valid decision:\n%s\nCall '%s' once more, alone, with these mistakes corrected.", problems,
	          agent->settings->decision.name);
	transcript_correction(agent->transcript, text_str(&text));
	return answer_calls(agent, turn, text_str(&text), call_tools, err);
}

/* The one decision of an answer, alone in it. */
static int take_decision(struct agent *agent, const struct llm_turn *turn, struct error *err)
{
	const struct llm_tool_call *call = &turn->calls[0];
	AUTO_FREE char *problems = NULL;

	if (call->arguments == NULL && call->complaint != NULL)
		return correct_decision(agent, turn, call->complaint, false, err);
	int rc = agent->settings->check(call->arguments, &problems, err);
	if (rc == ERR_INVALID)
		return correct_decision(agent, turn, problems != NULL ? problems : err->text, false, err);
	if (rc != 0)
		return rc;
	transcript_call(agent->transcript, call, NULL, 0);
	agent->decision = json_incref(call->arguments);
	return 0;
}

static int handle_turn(struct agent *agent, const struct llm_turn *turn, struct error *err)
{
	size_t decisions = 0;

	for (size_t i = 0; i < turn->call_count; i++)
		decisions += is_decision(agent, &turn->calls[i]);
	if (turn->stop == LLM_STOP_REFUSED) {
		char words[WORDS_MAX];
		text_clean(words, sizeof words, turn->text, strlen(turn->text));
		text_addf(&agent->unsure, "the model refused to answer%s%s", words[0] != '\0' ? ": " : "", words);
		return 0;
	}
	if (turn->stop == LLM_STOP_CUT) {
		text_addf(&agent->unsure, "the answer of the model was cut off (max_tokens), and may be half of what was meant");
		return 0;
	}
	if (turn->stop == LLM_STOP_OTHER && decisions > 0) {
		text_addf(&agent->unsure, "the answer with the decision ended for a reason that is not known here, and may be half of what "
		          "was meant");
		return 0;
	}
	if (turn->call_count == 0)
		return correct_text(agent, err);
	if (decisions == 0)
		return answer_calls(agent, turn, NULL, true, err);
	if (decisions > 1)
		return correct_decision(agent, turn, "the answer has more than one decision", false, err);
	if (turn->call_count > 1)
		return correct_decision(agent, turn, "the decision came beside calls whose answers were not known yet", true, err);
	return take_decision(agent, turn, err);
}

static int ask(struct agent *agent, struct error *err)
{
	struct llm_turn turn;

	int rc = llm_ask(agent->llm, agent->conversation, /* must_call= */ true, &turn, err);
	if (rc != 0)
		return rc != ERR_STOPPED && clock_mono_ms() >= agent->deadline_ms ? time_over(agent, err) : rc;
	agent->turns++;
	transcript_turn(agent->transcript, &turn);
	rc = handle_turn(agent, &turn, err);
	llm_turn_release(&turn);
	return rc;
}

/* Until it decided or is unsure. */
static int investigate(struct agent *agent, struct error *err)
{
	int rc = 0;

	while (rc == 0 && agent->decision == NULL && agent->unsure.len == 0) {
		rc = check_limits(agent, err);
		if (rc == 0 && agent->unsure.len == 0 && !agent->unsure.failed)
			rc = ask(agent, err);
		if (rc == 0 && agent->unsure.len == 0 && agent->unsure.failed)
			rc = error_nomem(err);
	}
	/* Busy is for Prefect alone: a model server that stayed busy was asked often enough. */
	return rc == ERR_BUSY ? error_prefix(err, ERR_TRANSPORT, "the model server") : rc;
}

static void end_transcript(struct agent *agent, int rc, const struct error *err)
{
	size_t sent = agent->conversation != NULL ? llm_bytes_sent(agent->conversation) : 0;
	int64_t took_ms = clock_mono_ms() - agent->started_ms;

	if (rc != 0)
		transcript_end(agent->transcript, "broken", json_string(err->text), sent, took_ms);
	else if (agent->decision != NULL)
		transcript_end(agent->transcript, "decided", json_incref(agent->decision), sent, took_ms);
	else
		transcript_end(agent->transcript, "unsure", json_string(text_str(&agent->unsure)), sent, took_ms);
}

int agent_run(const struct agent_settings *settings, struct agent_result *ret_result, struct error *err)
{
	struct agent agent;
	struct error why = {.text = ""};

	int rc = open_agent(settings, &agent, &why);
	if (rc == 0)
		rc = investigate(&agent, &why);
	end_transcript(&agent, rc, &why);
	*ret_result = (struct agent_result){.investigated = agent.investigated, .transcript = agent.transcript};
	if (rc == 0) {
		ret_result->decision = agent.decision;
		agent.decision = NULL;
		if (ret_result->decision == NULL && (ret_result->unsure = text_dup(text_str(&agent.unsure))) == NULL)
			rc = error_nomem(&why);
	}
	json_decref(agent.decision);
	close_agent(&agent);
	if (rc != 0 && err != NULL)
		*err = why;
	return rc;
}

void agent_result_release(struct agent_result *result)
{
	json_decref(result->decision);
	json_decref(result->transcript);
	free(result->unsure);
	*result = (struct agent_result){0};
}

int agent_first_request(const struct agent_settings *settings, json_t **ret_request, struct error *err)
{
	struct agent agent;

	int rc = open_agent(settings, &agent, err);
	if (rc == 0) {
		*ret_request = json_deep_copy(llm_next_request(agent.conversation));
		rc = *ret_request != NULL ? 0 : error_nomem(err);
	}
	json_decref(agent.transcript);
	close_agent(&agent);
	return rc;
}
