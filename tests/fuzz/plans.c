/* What is stored with a run, or given to it: plans and policies. */
#include <stdlib.h>
#include <string.h>

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
	if (policy_read(json, &policy, &err) == 0) {
		MUST(policy.retention_us > 0 && json_array_size(policy.states) > 0);
		MUST(policy.batch_size >= 10 && policy.batch_size <= 1000);
		policy_release(&policy);
	} else {
		fuzz_must_be_clean(err.text, /* lines= */ false);
	}
	return 0;
}
