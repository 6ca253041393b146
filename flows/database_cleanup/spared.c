#include "flows/database_cleanup/spared.h"

#include "client/prefect/flow_run.h"

/* Parents that are asked about at once. */
#define PARENTS_AT_ONCE 100
/* Runs that have subflows and have not ended, or lie below such a run. */
#define PARENTS_MAX 5000
#define DEPTH_MAX 50

/* Adds the ids of all runs that match @filter to @ids, page by page. @with_subflows: only runs that have subflow runs. Stops at
 * @most. */
static int add_matching(struct prefect *prefect, const json_t *filter, bool with_subflows, json_t *ids, size_t most, struct error *err)
{
	AUTO_JSON *task_runs = with_subflows ? json_pack("{s:{s:b}}", "subflow_runs", "exists_", 1) : NULL;
	AUTO_JSON *seen = json_object();
	const char *id;
	json_t *value;
	size_t count;

	if (seen == NULL || (with_subflows && task_runs == NULL))
		return error_nomem(err);
	do {
		struct flow_run *runs;
		int rc = flow_run_filter_unseen(prefect, &(struct flow_run_query){.flow_runs = filter, .task_runs = task_runs}, seen, &runs,
		                                &count, err);
		if (rc != 0)
			return rc;
		flow_runs_release(runs, count);
	} while (count == PREFECT_PAGE_MAX && json_array_size(ids) + json_object_size(seen) < most);
	json_object_foreach(seen, id, value)
		if (json_array_append_new(ids, json_string(id)) != 0)
			return error_nomem(err);
	return 0;
}

/* Runs with subflows that had not ended by @planned_at: unfinished now, or ended since. */
static int find_unfinished(struct prefect *prefect, time_us planned_at, json_t *ids, struct error *err)
{
	AUTO_JSON *now = json_pack("{s:{s:{s:o}}}", "state", "type", "any_", state_unfinished_types());
	AUTO_JSON *since = json_pack("{s:{s:{s:o}}, s:{s:o}}", "state", "type", "any_", state_terminal_types(), "end_time", "after_",
	                             json_time(planned_at));

	if (now == NULL || since == NULL)
		return error_nomem(err);
	int rc = add_matching(prefect, now, /* with_subflows= */ true, ids, PARENTS_MAX, err);
	return rc != 0 ? rc : add_matching(prefect, since, /* with_subflows= */ true, ids, PARENTS_MAX, err);
}

/* @filter (NULL: none), and a parent among @parents[from..]. NULL without memory. */
static json_t *children_of(const json_t *filter, const json_t *parents, size_t from)
{
	AUTO_JSON *some = json_array();
	json_t *children = filter != NULL ? json_deep_copy(filter) : json_object();
	bool made = some != NULL && children != NULL;

	for (size_t i = from; made && i < json_array_size(parents) && i < from + PARENTS_AT_ONCE; i++)
		made = json_array_append(some, json_array_get(parents, i)) == 0;
	if (made && json_object_set_new(children, "parent_flow_run_id", json_pack("{s:O}", "any_", some)) == 0)
		return children;
	json_decref(children);
	return NULL;
}

static int add_children(struct prefect *prefect, const json_t *filter, const json_t *parents, size_t from, bool with_subflows,
                        json_t *ids, size_t most, struct error *err)
{
	for (; from < json_array_size(parents) && json_array_size(ids) < most; from += PARENTS_AT_ONCE) {
		AUTO_JSON *children = children_of(filter, parents, from);
		int rc = children == NULL ? error_nomem(err) : add_matching(prefect, children, with_subflows, ids, most, err);
		if (rc != 0)
			return rc;
	}
	return 0;
}

/* Appends to @ids what is not in @known (the same as keys) yet. False without memory. */
static bool append_new(json_t *ids, json_t *known, const json_t *found)
{
	size_t i;
	json_t *id;

	json_array_foreach(found, i, id)
		if (json_object_get(known, json_string_value(id)) == NULL &&
		    (json_object_set_new(known, json_string_value(id), json_true()) != 0 || json_array_append(ids, id) != 0))
			return false;
	return true;
}

int spared_find(struct prefect *prefect, time_us planned_at, const json_t *filters, json_t *ids, bool *ret_too_many, struct error *err)
{
	AUTO_JSON *unfinished = json_array();
	AUTO_JSON *parents = json_array();
	AUTO_JSON *known = json_object();
	size_t from = 0;
	size_t i;
	json_t *filter;

	if (unfinished == NULL || parents == NULL || known == NULL)
		return error_nomem(err);
	int rc = find_unfinished(prefect, planned_at, unfinished, err);
	if (rc == 0 && !append_new(parents, known, unfinished))
		rc = error_nomem(err);
	/* Level by level, those that have children themselves. */
	for (int depth = 0; rc == 0 && depth < DEPTH_MAX && from < json_array_size(parents); depth++) {
		AUTO_JSON *next = json_array();
		size_t level = json_array_size(parents);

		rc = next == NULL ? error_nomem(err)
		                  : add_children(prefect, NULL, parents, from, /* with_subflows= */ true, next, PARENTS_MAX, err);
		if (rc == 0 && !append_new(parents, known, next))
			rc = error_nomem(err);
		from = level;
	}
	json_array_foreach(filters, i, filter)
		if (rc == 0)
			rc = add_children(prefect, filter, parents, 0, /* with_subflows= */ false, ids, SPARED_MAX + 1, err);
	*ret_too_many = json_array_size(ids) > SPARED_MAX || json_array_size(parents) >= PARENTS_MAX || from < json_array_size(parents);
	return rc;
}
