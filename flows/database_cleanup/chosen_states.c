#include "flows/database_cleanup/chosen_states.h"

#include "client/prefect/state.h"

void chosen_states_release(struct chosen_states *chosen)
{
	json_decref(chosen->types);
	json_decref(chosen->names);
	json_decref(chosen->other_types);
	*chosen = (struct chosen_states){0};
}

int chosen_states_of(const struct plan *plan, struct chosen_states *ret_chosen, struct error *err)
{
	AUTO_JSON *terminal = state_terminal_types();
	struct chosen_states chosen = {.types = json_array(), .names = json_array(), .other_types = json_array()};
	bool made = terminal != NULL && chosen.types != NULL && chosen.names != NULL && chosen.other_types != NULL;
	size_t i;
	json_t *one;

	json_array_foreach(plan->states, i, one)
		made = made && json_array_append(plan->version > 1 && json_list_has(terminal, one) ? chosen.types : chosen.names, one) == 0;
	json_array_foreach(terminal, i, one)
		made = made && (json_list_has(chosen.types, one) || json_array_append(chosen.other_types, one) == 0);
	if (!made) {
		chosen_states_release(&chosen);
		return error_nomem(err);
	}
	*ret_chosen = chosen;
	return 0;
}
