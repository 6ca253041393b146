/* What is stored with a run, or given to it: plans, an agent's verdict, and policies. */
#include <stdlib.h>
#include <string.h>

#include "flows/database_cleanup/agent_verdict.h"
#include "flows/database_cleanup/approval.h"
#include "tests/fuzz/fuzz.h"

static void decode_plan(const json_t *json)
{
	struct plan plan;
	struct decision decision;
	struct error err;

	if (plan_decode(json, &plan, &err) == 0) {
		AUTO_JSON *again = plan_encode(&plan);
		MUST(json_equal(again, json)); /* to the letter */
		MUST(plan.total >= 0 && strlen(plan.digest) == DIGEST_SIZE - 1);
		plan_release(&plan);
	} else {
		fuzz_must_be_clean(err.text, /* lines= */ false);
	}
	/* No input is the answer to a plan that was not shown. */
	const struct plan other = {.digest = "0123456789abcdef"};
	MUST(approval_judge(json, "another", &other, &decision, &err) == 0 && !decision.approved);
	decision_release(&decision);
}

/* The verdict on a plan whose digest is "digest". */
static void decode_verdict(const json_t *json)
{
	static char retention[] = "P30D";
	const struct plan plan = {.digest = "digest", .total = 10, .retention = retention, .planned_at = 2, .cutoff = 1};
	const struct ai_settings settings = {.enabled = 1, .min_confidence = 0.8, .max_runs = 10};
	const struct ai_settings off = {.enabled = 0, .max_runs = 10};
	struct agent_verdict verdict;
	struct decision decision;
	struct error err;
	bool ask;

	if (agent_verdict_decode(json, &plan, &verdict, &err) != 0) {
		fuzz_must_be_clean(err.text, /* lines= */ false);
		return;
	}
	MUST(agent_verdict_judge(&verdict, &plan, &settings, &decision, &ask, &err) == 0 && !ask);
	MUST(!decision.approved || (verdict.has_decision && verdict.decision.approved && verdict.decision.confidence >= 0.8 &&
	                            verdict.investigated > 0 && verdict.asked == AGENT_ASKED_TO_DECIDE));
	AUTO_TEXT markdown = {.max = 256 * 1024};
	agent_advice_markdown(decision.advice, &markdown);
	fuzz_must_be_clean(text_str(&markdown), /* lines= */ true);
	decision_release(&decision);
	MUST(agent_verdict_judge(&verdict, &plan, &off, &decision, &ask, &err) == 0 && !decision.approved);
	decision_release(&decision);
	AUTO_JSON *again = agent_verdict_encode(&verdict, &plan);
	struct agent_verdict twice;
	MUST(agent_verdict_decode(again, &plan, &twice, &err) == 0 && twice.has_decision == verdict.has_decision);
	agent_verdict_release(&twice);
	agent_verdict_release(&verdict);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_JSON *json = NULL;
	struct policy policy;
	struct error err;

	if (json_read((const char *)data, size, &json, &err) != 0) {
		fuzz_must_be_clean(err.text, /* lines= */ false);
		return 0;
	}
	decode_plan(json);
	decode_verdict(json);
	if (policy_read(json, &policy, &err) == 0) {
		MUST(policy.retention_us > 0 && json_array_size(policy.states) > 0);
		MUST(policy.batch_size >= 10 && policy.batch_size <= 1000);
		policy_release(&policy);
	} else {
		fuzz_must_be_clean(err.text, /* lines= */ false);
	}
	return 0;
}
