#include "flows/database_cleanup/preview_stays.h"

#include <inttypes.h>
#include <string.h>

#include "client/prefect/flow_run.h"
#include "flows/database_cleanup/chosen_states.h"

#define NAME_MAX_BYTES 40

void preview_stays_release(struct preview_stays *stays)
{
	for (size_t i = 0; i < STAYS_NAMES; i++)
		free(stays->names[i]);
	*stays = (struct preview_stays){0};
}

/* @filter is taken; NULL is ERR_NOMEM. */
static int count(struct prefect *prefect, json_t *filter, int64_t *ret_count, struct error *err)
{
	int rc = filter == NULL ? error_nomem(err) : flow_run_count(prefect, &(struct flow_run_query){.flow_runs = filter}, ret_count, err);

	json_decref(filter);
	return rc;
}

static json_t *of_types(json_t *types)
{
	return json_pack("{s:{s:o}}", "type", "any_", types);
}

/* Old by the same rule as the plan, and ended: in whatever state, but for @names (a new reference; NULL: none). */
static json_t *old_and_ended(const struct plan *plan, json_t *types, json_t *names)
{
	json_t *start = plan->by_end ? NULL : json_pack("{s:o}", "before_", json_time(plan->cutoff));
	json_t *filter = json_pack("{s:o, s:o*, s:{s:o}}", "state", of_types(types), "start_time", start, "end_time", "before_",
	                           json_time(plan->by_end ? plan->cutoff : plan->planned_at));

	if (names != NULL && json_object_set_new(json_object_get(filter, "state"), "name", json_pack("{s:o}", "not_any_", names)) != 0) {
		json_decref(filter);
		return NULL;
	}
	return filter;
}

static void note_name(struct preview_stays *stays, const char *name)
{
	size_t i = 0;

	while (i < STAYS_NAMES && stays->names[i] != NULL && strcmp(stays->names[i], name) != 0)
		i++;
	if (i < STAYS_NAMES && stays->names[i] == NULL)
		stays->names[i] = text_dup(name);
}

/* The states that the plan does not name: how many runs, and some of the names. */
static int read_others(struct prefect *prefect, const struct plan *plan, struct preview_stays *stays, struct error *err)
{
	struct chosen_states chosen;
	struct flow_run *runs;
	size_t found;

	int rc = chosen_states_of(plan, &chosen, err);
	if (rc != 0)
		return rc;
	bool any = json_array_size(chosen.other_types) > 0;
	AUTO_JSON *filter = old_and_ended(plan, json_incref(chosen.other_types),
	                                  json_array_size(chosen.names) > 0 ? json_incref(chosen.names) : NULL);
	chosen_states_release(&chosen);
	if (any)
		rc = count(prefect, json_incref(filter), &stays->other_states, err);
	if (rc != 0 || stays->other_states == 0)
		return rc;
	rc = flow_run_filter(prefect, &(struct flow_run_query){.flow_runs = filter, .limit = 50}, &runs, &found, err);
	if (rc != 0)
		return rc;
	for (size_t i = 0; i < found; i++)
		if (runs[i].state_name != NULL)
			note_name(stays, runs[i].state_name);
	flow_runs_release(runs, found);
	return 0;
}

static json_t *unfinished(const struct plan *plan)
{
	return json_pack("{s:o, s:{s:o}}", "state", of_types(state_unfinished_types()), "start_time", "before_", json_time(plan->cutoff));
}

static int read_unfinished(struct prefect *prefect, const struct plan *plan, struct preview_stays *stays, struct error *err)
{
	AUTO_JSON *filter = unfinished(plan);
	struct flow_run *runs;
	size_t found;

	int rc = count(prefect, json_incref(filter), &stays->unfinished, err);
	if (rc != 0 || stays->unfinished == 0)
		return rc;
	rc = flow_run_filter(prefect, &(struct flow_run_query){.flow_runs = filter, .sort = "START_TIME_ASC", .limit = 1}, &runs, &found, err);
	if (rc != 0)
		return rc;
	if (found > 0)
		stays->unfinished_since = runs[0].start_time != 0 ? runs[0].start_time : runs[0].expected_start;
	flow_runs_release(runs, found);
	return 0;
}

/* Of the plan those that ended after the cutoff; where the age goes by the end, of all that started before it. */
static int read_ended_within(struct prefect *prefect, const struct plan *plan, struct preview_stays *stays, struct error *err)
{
	json_t *filter = plan->by_end ? json_pack("{s:o, s:{s:o}}", "state", of_types(state_terminal_types()), "start_time", "before_",
	                                          json_time(plan->cutoff))
	                              : plan_look_filter(plan);
	AUTO_JSON *within = json_pack("{s:o, s:o}", "after_", json_time(plan->cutoff), "before_", json_time(plan->planned_at));

	if (filter == NULL || within == NULL || json_object_set(filter, "end_time", within) != 0) {
		json_decref(filter);
		return error_nomem(err);
	}
	return count(prefect, filter, &stays->ended_within, err);
}

int preview_stays_read(struct prefect *prefect, const struct plan *plan, struct preview_stays *ret_stays, struct error *err)
{
	struct preview_stays stays = {.known = true};

	int rc = read_others(prefect, plan, &stays, err);
	if (rc == 0)
		rc = read_ended_within(prefect, plan, &stays, err);
	if (rc == 0)
		rc = count(prefect, json_pack("{s:o, s:{s:o}, s:{s:b}}", "state", of_types(state_terminal_types()), "start_time", "before_",
		                              json_time(plan->cutoff), "end_time", "is_null_", 1), &stays.without_end, err);
	if (rc == 0)
		rc = read_unfinished(prefect, plan, &stays, err);
	if (rc != 0)
		preview_stays_release(&stays);
	else
		*ret_stays = stays;
	return rc;
}

/* Begins one more part. */
static void part(struct text *text, size_t *parts)
{
	if ((*parts)++ > 0)
		text_addf(text, "; ");
}

static void add_others(const struct preview_stays *stays, struct text *text)
{
	text_addf(text, "%" PRId64 " in other states", stays->other_states);
	for (size_t i = 0; i < STAYS_NAMES && stays->names[i] != NULL; i++) {
		text_addf(text, i == 0 ? " (" : ", ");
		text_add_markdown(text, stays->names[i], strlen(stays->names[i]), NAME_MAX_BYTES);
	}
	if (stays->names[0] != NULL)
		text_addf(text, stays->names[STAYS_NAMES - 1] != NULL ? " ...)" : ")");
}

void preview_stays_add(const struct preview_stays *stays, const struct plan *plan, struct text *text)
{
	char buf[TIME_TEXT_SIZE];
	size_t parts = 0;

	if (stays->other_states > 0) {
		part(text, &parts);
		add_others(stays, text);
	}
	if (plan->by_end && stays->ended_within > 0) {
		part(text, &parts);
		text_addf(text, "%" PRId64 " that started earlier and ended within the period", stays->ended_within);
	}
	if (stays->without_end > 0) {
		part(text, &parts);
		text_addf(text, "%" PRId64 " without an end time", stays->without_end);
	}
	if (plan->spared > 0) {
		part(text, &parts);
		text_addf(text, "%" PRId64 " subflow runs%s", plan->spared, plan->top_level ? "" : " of unfinished parents");
	}
	if (stays->unfinished > 0) {
		part(text, &parts);
		text_addf(text, "%" PRId64 " not finished (oldest %.10s)", stays->unfinished, time_format_human(stays->unfinished_since, buf));
	}
}
