/* What a plan leaves behind, so that nobody takes "all old runs" for what goes. Thread rule: no state. */
#ifndef FLOWS_DATABASE_CLEANUP_PREVIEW_STAYS_H
#define FLOWS_DATABASE_CLEANUP_PREVIEW_STAYS_H

#include "client/base/text.h"
#include "flows/database_cleanup/plan.h"

#define STAYS_NAMES 3 /* states that are named */

struct preview_stays {
	bool known;              /* false: could not be read */
	int64_t other_states;    /* runs that are old enough, and ended in a state that the policy does not name */
	char *names[STAYS_NAMES]; /* owned: some of those states; NULL where there are no more */
	int64_t without_end;     /* final, old by their start, but the server has no end time: no plan finds them */
	int64_t ended_within;    /* started before the cutoff, and ended after it: they stay where the age goes by the end, else they go */
	int64_t unfinished;      /* started, or were scheduled, before the cutoff, and have not ended */
	time_us unfinished_since; /* the oldest of those; 0 where there is none */
};

/* Asks the server: some six small requests. @ret_stays: to be released. */
int preview_stays_read(struct prefect *prefect, const struct plan *plan, struct preview_stays *ret_stays, struct error *err) MUST_CHECK;
void preview_stays_release(struct preview_stays *stays);

/* Appends one phrase like "12 in other states (Skipped, TimedOut); 3 that have not ended (oldest from ...)", with what plan->spared
 * says; nothing where nothing stays. */
void preview_stays_add(const struct preview_stays *stays, const struct plan *plan, struct text *text);

#endif
