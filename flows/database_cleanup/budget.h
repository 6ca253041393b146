/* The budget: over all starts of a run's body never more flow runs are deleted than were approved, whatever is done to the
 * database meanwhile. Somebody may move an old run by hand so that it matches the plan; Prefect's filter has no clause against that.
 *
 * Kept by two numbers: how many were deleted at most (`spent`), and how many match the plan at most while nobody else adds any
 * (`expected`). Before each call both are noted with the run, and how many the call may delete (`doubtful`): a call deletes all that
 * it may or nothing, so that a start after a kill knows from the number that match then whether it came to pass.
 * Thread rule: no state but its own. */
#ifndef FLOWS_DATABASE_CLEANUP_BUDGET_H
#define FLOWS_DATABASE_CLEANUP_BUDGET_H

#include <stdint.h>

#include "client/base/error.h"

struct budget {
	int64_t approved;
	int64_t spent;
	int64_t expected;
};

/* How many may be deleted still: what is left of the approved number, without runs that have left the plan meanwhile. */
int64_t budget_room(const struct budget *budget);

/* The server says that it deleted @count. */
void budget_spend(struct budget *budget, int64_t count);

/* A call that may delete @called had no answer, and @matching match now. Where it cannot be told, it deleted them. */
void budget_settle(struct budget *budget, int64_t called, int64_t matching);

/* @matching match now. ERR_CONFLICT where that is more than nobody's doing explains. */
int budget_check(struct budget *budget, int64_t matching, struct error *err) MUST_CHECK;

#endif
