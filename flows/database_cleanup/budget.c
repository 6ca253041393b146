#include "flows/database_cleanup/budget.h"

#include <inttypes.h>

int64_t budget_room(const struct budget *budget)
{
	int64_t left = budget->approved - budget->spent;

	left = left < budget->expected ? left : budget->expected;
	return left > 0 ? left : 0;
}

void budget_spend(struct budget *budget, int64_t count)
{
	budget->spent += count;
	budget->expected = budget->expected > count ? budget->expected - count : 0;
}

void budget_settle(struct budget *budget, int64_t called, int64_t matching)
{
	if (called > budget->expected)
		called = budget->expected;
	/* As many as before: it did not come to pass. */
	if (matching < budget->expected)
		budget_spend(budget, called);
}

int budget_check(struct budget *budget, int64_t matching, struct error *err)
{
	if (matching > budget->expected)
		return error_set(err, ERR_CONFLICT, "%" PRId64 " flow runs match the plan where %" PRId64 " should: somebody changed the states "
		                 "of old runs meanwhile, and nothing more is deleted; start a new run to see what there is now", matching,
		                 budget->expected);
	budget->expected = matching;
	return 0;
}
