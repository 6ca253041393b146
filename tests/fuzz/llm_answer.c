/* Answers of a model: the first byte chooses the dialect, the rest is the body. Every tool call of it is also read as the
 * decision of an agent. */
#include <stdlib.h>
#include <string.h>

#include "client/base/json.h"
#include "client/base/text.h"
#include "client/llm/llm.h"
#include "flows/database_cleanup/agent_decision.h"
#include "tests/fuzz/fuzz.h"

static void read_decision(const json_t *arguments)
{
	AUTO_FREE char *problems = NULL;
	struct agent_decision decision;
	struct error err;

	int rc = agent_decision_read(arguments, &decision, &problems, &err);
	if (rc != 0) {
		MUST(rc == ERR_INVALID && problems[0] != '\0');
		fuzz_must_be_clean(problems, /* lines= */ true);
		fuzz_must_be_clean(err.text, /* lines= */ false);
		return;
	}
	MUST(decision.approved == json_is_true(json_object_get(arguments, "approved")));
	MUST(decision.confidence >= 0 && decision.confidence <= 1);
	MUST(decision.reasoning[0] != '\0' && json_is_array(decision.concerns));
	MUST(json_object_size(arguments) <= 4);
	agent_decision_release(&decision);
}

static void look_at(const struct llm_turn *turn)
{
	MUST(turn->call_count <= LLM_CALLS_MAX);
	MUST(turn->stop != LLM_STOP_TOOL || turn->call_count > 0);
	MUST(turn->stop != LLM_STOP_END || turn->call_count == 0);
	MUST(turn->raw != NULL || turn->call_count == 0);
	fuzz_must_be_clean(turn->request_id, /* lines= */ false);
	MUST(strlen(turn->text) <= 2 * LLM_ANSWER_MAX);
	for (size_t i = 0; i < turn->call_count; i++) {
		const struct llm_tool_call *call = &turn->calls[i];

		MUST(call->name != NULL);
		MUST((call->arguments != NULL) == (call->bad_arguments == NULL));
		MUST((call->arguments != NULL) == (call->complaint == NULL));
		MUST(call->arguments == NULL || json_is_object(call->arguments));
		for (size_t k = 0; k < i; k++)
			MUST(strcmp(call->id, turn->calls[k].id) != 0);
		read_decision(call->arguments);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct llm_turn turn;
	struct error err;

	if (size < 1)
		return 0;
	AUTO_FREE char *body = fuzz_string(data + 1, size - 1);
	int rc = llm_read_answer(data[0] % 2 == 0 ? LLM_ANTHROPIC : LLM_OPENAI, body, size - 1, &turn, &err);
	if (rc != 0) {
		MUST(rc == ERR_DECODE);
		fuzz_must_be_clean(err.text, /* lines= */ false);
		return 0;
	}
	look_at(&turn);
	llm_turn_release(&turn);
	return 0;
}
