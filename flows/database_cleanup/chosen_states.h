/* What the states that a plan names come to: types, names, and the types among which the names are looked for.
 * Thread rule: no state. */
#ifndef FLOWS_DATABASE_CLEANUP_CHOSEN_STATES_H
#define FLOWS_DATABASE_CLEANUP_CHOSEN_STATES_H

#include "flows/database_cleanup/plan.h"

struct chosen_states {
	json_t *types;       /* owned: terminal types that are named as such, all their runs */
	json_t *names;       /* owned: names of states */
	json_t *other_types; /* owned: terminal types that are not in `types`: where the names are looked for */
};

/* Of plan->states; version 0.1 took everything for a name. ERR_NOMEM is the only error. */
int chosen_states_of(const struct plan *plan, struct chosen_states *ret_chosen, struct error *err) MUST_CHECK;
void chosen_states_release(struct chosen_states *chosen);

#endif
