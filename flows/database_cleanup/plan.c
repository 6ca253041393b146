#include "flows/database_cleanup/plan.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <string.h>

#include "client/prefect/flow_run.h"
#include "flows/database_cleanup/chosen_states.h"
#include "flows/database_cleanup/spared.h"

/* The predicate of one slice. What each clause guarantees:
 *
 *   state.type.any_ = terminal types       a run that is scheduled, pending, running, paused or cancelling
 *                                          never matches, whatever its state is called. Of a slice of types those that the
 *                                          policy names, of a slice of names all others: no run matches twice
 *   state.name.any_ = the wanted names     only the states that the policy names; a slice of types has no such clause
 *   end_time.before_ = planned_at          only runs that had ended when the plan was made: nothing that ends
 *                                          later can enter the plan, and a run that is retried leaves it for
 *                                          good, since its new end lies later. A null end_time never matches.
 *   start_time.before_ = cutoff            "at or before": a run that started even a microsecond after the
 *                                          cutoff is younger than the retention period and never matches
 *
 * The server takes expected_start_time where start_time is null (coalesce, in all versions seen), so two
 * slices are kept apart by start_time.is_null_: runs that started, and runs that ended without a start, whose
 * age is the time for which they were scheduled. All clauses are joined by AND (`operator` defaults to and_).
 *   parent_task_run_id.is_null_            only where no subflow run is to be deleted: runs that nobody called
 *
 * Where the age goes by the end (age_by), there is no clause of the start, and end_time.before_ is the cutoff.
 *
 * One list per clause: Prefect 3.4 to 3.8 silently drop a state clause that has both any_ and not_any_. */
static json_t *make_filter(const struct plan *plan, const struct chosen_states *chosen, bool by_type, bool started)
{
	json_t *name = by_type ? NULL : json_pack("{s:O}", "any_", chosen->names);
	json_t *start = plan->by_end ? NULL : json_pack("{s:o, s:b}", "before_", json_time(plan->cutoff), "is_null_", !started);

	if ((!by_type && name == NULL) || (!plan->by_end && start == NULL)) {
		json_decref(name);
		json_decref(start);
		return NULL;
	}
	return json_pack("{s:{s:{s:O}, s:o*}, s:o*, s:{s:o}, s:o*}",
	                 "state",
	                 "type", "any_", by_type ? chosen->types : chosen->other_types,
	                 "name", name,
	                 "start_time", start,
	                 "end_time", "before_", json_time(plan->by_end ? plan->cutoff : plan->planned_at),
	                 "parent_task_run_id", plan->top_level ? json_pack("{s:b}", "is_null_", 1) : NULL);
}

void plan_release(struct plan *plan)
{
	for (size_t i = 0; i < plan->slice_count; i++)
		json_decref(plan->slices[i].filter);
	json_decref(plan->states);
	free(plan->retention);
	*plan = (struct plan){0};
}

static int add_slice(struct plan *plan, const struct chosen_states *chosen, bool by_type, bool started, struct error *err)
{
	struct slice *slice = &plan->slices[plan->slice_count++];

	json_decref(slice->filter);
	slice->by_type = by_type;
	slice->filter = make_filter(plan, chosen, by_type, started);
	return slice->filter != NULL ? 0 : error_nomem(err);
}

/* The same slices in the same order, whenever they are built. */
static int build_filters(struct plan *plan, struct error *err)
{
	struct chosen_states chosen;

	int rc = chosen_states_of(plan, &chosen, err);
	if (rc != 0)
		return rc;
	plan->slice_count = 0;
	for (int by_type = 0; rc == 0 && by_type <= 1; by_type++) {
		bool any = by_type ? json_array_size(chosen.types) > 0
		                   : json_array_size(chosen.names) > 0 && json_array_size(chosen.other_types) > 0;
		if (any)
			rc = add_slice(plan, &chosen, by_type, /* started= */ true, err);
		if (any && rc == 0 && !plan->by_end)
			rc = add_slice(plan, &chosen, by_type, /* started= */ false, err);
	}
	chosen_states_release(&chosen);
	return rc;
}

/* Times, states and filters; the counts stay 0. */
static int plan_build(const struct plan *like, json_t *states, const char *retention, struct plan *ret_plan, struct error *err)
{
	struct plan plan = {
		.version = like->version,
		.planned_at = like->planned_at,
		.cutoff = like->cutoff,
		.dry_run = like->dry_run,
		.by_end = like->by_end,
		.top_level = like->top_level,
		.subflows = like->subflows,
		.spared = like->spared,
		.states = json_incref(states),
		.retention = text_dup(retention),
	};

	int rc = build_filters(&plan, err);
	if (rc == 0 && plan.retention == NULL)
		rc = error_nomem(err);
	if (rc != 0)
		plan_release(&plan);
	else
		*ret_plan = plan;
	return rc;
}

/* Without the clause that changes from look to look. A new reference; NULL without memory. */
static json_t *stored_filter(const struct slice *slice)
{
	json_t *filter = json_object();

	if (json_object_update(filter, slice->filter) == 0) {
		(void)json_object_del(filter, "id");
		return filter;
	}
	json_decref(filter);
	return NULL;
}

json_t *plan_encode(const struct plan *plan)
{
	json_t *slices = json_array();

	for (size_t i = 0; i < plan->slice_count; i++)
		if (json_array_append_new(slices, json_pack("{s:o, s:I}", "filter", stored_filter(&plan->slices[i]), "count",
		                                            (json_int_t)plan->slices[i].count)) != 0) {
			json_decref(slices);
			return NULL;
		}
	json_t *json = json_pack("{s:i, s:o, s:o, s:s, s:O, s:b, s:o}", "version", plan->version, "planned_at",
	                         json_time(plan->planned_at), "cutoff", json_time(plan->cutoff), "retention_period",
	                         plan->retention, "states", plan->states, "dry_run", plan->dry_run, "slices", slices);
	if (plan->version == 1 || json == NULL)
		return json;
	AUTO_JSON *more = json_pack("{s:s, s:b, s:I, s:I}", "age_by", plan->by_end ? "end" : "start", "top_level", plan->top_level,
	                            "subflows", (json_int_t)plan->subflows, "spared", (json_int_t)plan->spared);
	if (more != NULL && json_object_update(json, more) == 0)
		return json;
	json_decref(json);
	return NULL;
}

static int plan_digest(struct plan *plan, struct error *err)
{
	AUTO_JSON *json = plan_encode(plan);
	AUTO_FREE char *text = json != NULL ? json_write(json, JSON_SORT_KEYS) : NULL;
	unsigned char hash[EVP_MAX_MD_SIZE];
	unsigned int len = 0;

	if (text == NULL)
		return error_nomem(err);
	if (EVP_Digest(text, strlen(text), hash, &len, EVP_sha256(), NULL) != 1)
		return error_set(err, ERR_SYSTEM, "OpenSSL does not offer SHA-256");
	for (unsigned int i = 0; i < len; i++)
		(void)snprintf(plan->digest + 2 * i, 3, "%02x", hash[i]);
	return 0;
}

static int count_slices(struct prefect *prefect, struct plan *plan, struct error *err)
{
	plan->total = 0;
	for (size_t i = 0; i < plan->slice_count; i++) {
		int rc = flow_run_count(prefect, &(struct flow_run_query){.flow_runs = plan->slices[i].filter}, &plan->slices[i].count, err);
		if (rc != 0)
			return rc;
		plan->total += plan->slices[i].count;
	}
	return 0;
}

/* Subflow runs among the runs that match. */
static int count_subflows(struct prefect *prefect, const struct plan *plan, int64_t *ret_count, struct error *err)
{
	*ret_count = 0;
	for (size_t i = 0; i < plan->slice_count; i++) {
		AUTO_JSON *filter = json_deep_copy(plan->slices[i].filter);
		int64_t count = 0;

		if (plan->slices[i].count == 0)
			continue;
		if (filter == NULL || json_object_set_new(filter, "parent_task_run_id", json_pack("{s:b}", "is_null_", 0)) != 0)
			return error_nomem(err);
		int rc = flow_run_count(prefect, &(struct flow_run_query){.flow_runs = filter}, &count, err);
		if (rc != 0)
			return rc;
		*ret_count += count;
	}
	return 0;
}

/* Leaves out the subflow runs of parents that have not ended; all subflow runs where those are too many to name. */
static int spare_subflows(struct prefect *prefect, struct plan *plan, struct error *err)
{
	int64_t all = plan->total;

	int rc = count_subflows(prefect, plan, &plan->subflows, err);
	if (rc != 0 || plan->subflows == 0)
		return rc;
	rc = plan_spare(prefect, plan, err);
	if (rc == ERR_CONFLICT) {
		plan->top_level = true;
		rc = build_filters(plan, err);
	}
	if (rc == 0)
		rc = count_slices(prefect, plan, err);
	if (rc != 0)
		return rc;
	plan->spared = all > plan->total ? all - plan->total : 0;
	plan->subflows = plan->subflows > plan->spared ? plan->subflows - plan->spared : 0;
	return 0;
}

int plan_make(struct prefect *prefect, const struct policy *policy, time_us planned_at, struct plan *ret_plan,
              struct error *err)
{
	struct plan plan;

	if (policy->retention_us > planned_at - TIME_MIN_US)
		return error_set(err, ERR_INVALID, "config.retention_period: '%s' before now is before the year 1; nothing can "
		                 "be that old", policy->retention);

	int rc = plan_build(&(struct plan){.version = PLAN_VERSION, .planned_at = planned_at,
	                                   .cutoff = planned_at - policy->retention_us, .dry_run = policy->dry_run,
	                                   .by_end = policy->age_by_end},
	                    policy->states, policy->retention, &plan, err);
	if (rc != 0)
		return rc;

	rc = count_slices(prefect, &plan, err);
	if (rc == 0)
		rc = spare_subflows(prefect, &plan, err);
	if (rc == 0)
		rc = plan_digest(&plan, err);
	if (rc != 0) {
		plan_release(&plan);
		return rc;
	}
	*ret_plan = plan;
	return 0;
}

/* @ids: those that stay. */
static int leave_out(const struct plan *plan, json_t *ids, struct error *err)
{
	for (size_t i = 0; i < plan->slice_count; i++) {
		json_t *filter = plan->slices[i].filter;

		if (json_array_size(ids) == 0)
			(void)json_object_del(filter, "id");
		else if (json_object_set_new(filter, "id", json_pack("{s:O}", "not_any_", ids)) != 0)
			return error_nomem(err);
	}
	return 0;
}

int plan_spare(struct prefect *prefect, const struct plan *plan, struct error *err)
{
	AUTO_JSON *filters = json_array();
	AUTO_JSON *ids = json_array();
	bool too_many = false;

	if ((plan->subflows == 0 && plan->spared == 0) || plan->top_level)
		return 0;
	if (filters == NULL || ids == NULL)
		return error_nomem(err);
	for (size_t i = 0; i < plan->slice_count; i++)
		if (plan->slices[i].count > 0 && json_array_append_new(filters, stored_filter(&plan->slices[i])) != 0)
			return error_nomem(err);
	int rc = spared_find(prefect, plan->planned_at, filters, ids, &too_many, err);
	if (rc != 0)
		return rc;
	if (too_many)
		return error_set(err, ERR_CONFLICT, "more than %d subflow runs of the plan belong to a run that has not ended: they would run "
		                 "again without; try it later", SPARED_MAX);
	return leave_out(plan, ids, err);
}

struct stored_plan {
	int64_t version;
	char *age_by;
	bool top_level;
	int64_t subflows;
	int64_t spared;
	time_us planned_at;
	time_us cutoff;
	char *retention;
	bool dry_run;
	json_t *states;
	json_t *slices;
};

static const struct json_field stored_fields[] = {
	{"version", JSON_KIND_INT, offsetof(struct stored_plan, version), true, NULL},
	{"age_by", JSON_KIND_TEXT, offsetof(struct stored_plan, age_by), false, NULL},
	{"top_level", JSON_KIND_BOOL, offsetof(struct stored_plan, top_level), false, NULL},
	{"subflows", JSON_KIND_INT, offsetof(struct stored_plan, subflows), false, NULL},
	{"spared", JSON_KIND_INT, offsetof(struct stored_plan, spared), false, NULL},
	{"planned_at", JSON_KIND_TIME, offsetof(struct stored_plan, planned_at), true, NULL},
	{"cutoff", JSON_KIND_TIME, offsetof(struct stored_plan, cutoff), true, NULL},
	{"retention_period", JSON_KIND_TEXT, offsetof(struct stored_plan, retention), true, NULL},
	{"dry_run", JSON_KIND_BOOL, offsetof(struct stored_plan, dry_run), true, NULL},
	{"states", JSON_KIND_ANY, offsetof(struct stored_plan, states), true, NULL},
	{"slices", JSON_KIND_ANY, offsetof(struct stored_plan, slices), true, NULL},
};

/* Takes over the counts, and then what was built must be what was stored. */
static int take_counts(const json_t *json, const json_t *slices, struct plan *plan, struct error *err)
{
	for (size_t i = 0; i < plan->slice_count; i++) {
		plan->slices[i].count = json_integer_value(json_object_get(json_array_get(slices, i), "count"));
		if (plan->slices[i].count < 0 || plan->slices[i].count > PREFECT_COUNT_MAX)
			return error_set(err, ERR_DECODE, "the stored plan has a count that cannot be");
		plan->total += plan->slices[i].count;
	}

	AUTO_JSON *again = plan_encode(plan);
	if (again == NULL)
		return error_nomem(err);
	if (!json_equal(again, json))
		return error_set(err, ERR_DECODE, "the stored plan (input '" PLAN_KEY "') is not as this worker writes it; "
		                 "start a new run");
	return plan_digest(plan, err);
}

int plan_decode(const json_t *json, struct plan *ret_plan, struct error *err)
{
	struct stored_plan stored;
	struct plan plan;

	int rc = json_decode(json, JSON_TABLE(stored_fields), &stored, sizeof stored, err);
	if (rc != 0)
		return error_prefix(err, rc, "the stored plan (input '" PLAN_KEY "')");

	bool first = stored.version == 1;
	rc = plan_build(&(struct plan){.version = first ? 1 : PLAN_VERSION, .planned_at = stored.planned_at, .cutoff = stored.cutoff,
	                               .dry_run = stored.dry_run, .top_level = stored.top_level,
	                               .by_end = stored.age_by != NULL && strcmp(stored.age_by, "end") == 0,
	                               .subflows = first ? -1 : stored.subflows, .spared = stored.spared},
	                stored.states, stored.retention, &plan, err);
	if (rc == 0) {
		rc = take_counts(json, stored.slices, &plan, err);
		if (rc != 0)
			plan_release(&plan);
	}
	json_release(JSON_TABLE(stored_fields), &stored);
	if (rc == 0)
		*ret_plan = plan;
	return rc;
}

int plan_count(struct prefect *prefect, const struct plan *plan, int64_t *ret_count, struct error *err)
{
	int64_t total = 0;

	for (size_t i = 0; i < plan->slice_count; i++) {
		int64_t count;

		if (plan->slices[i].count == 0)
			continue; /* a slice cannot grow */
		int rc = flow_run_count(prefect, &(struct flow_run_query){.flow_runs = plan->slices[i].filter}, &count, err);
		if (rc != 0)
			return rc;
		total += count;
	}
	*ret_count = total;
	return 0;
}

/* @ids without those that stay (NULL: none do). NULL without memory. */
static json_t *without(json_t *ids, const json_t *spared)
{
	AUTO_JSON *names = json_object();
	json_t *left = json_array();
	size_t i;
	json_t *id;
	bool made = names != NULL && left != NULL;

	json_array_foreach(spared, i, id)
		made = made && json_object_set_new(names, json_string_value(id), json_true()) == 0;
	json_array_foreach(ids, i, id)
		if (made && json_object_get(names, json_string_value(id)) == NULL)
			made = json_array_append(left, id) == 0;
	if (made)
		return left;
	json_decref(left);
	return NULL;
}

/* Both lists in one. NULL without memory. */
static json_t *with(json_t *ids, json_t *spared)
{
	json_t *all = json_array();

	if (all != NULL && json_array_extend(all, ids) == 0 && json_array_extend(all, spared) == 0)
		return all;
	json_decref(all);
	return NULL;
}

json_t *slice_filter_ids(const struct slice *slice, json_t *ids, bool only)
{
	json_t *spared = json_object_get(json_object_get(slice->filter, "id"), "not_any_");
	json_t *filter = json_object();

	/* Not json_copy(): without memory it leaves out clauses, and the copy matches more. Without memory for the ids: never the
	 * whole slice instead. */
	bool made = json_object_update(filter, slice->filter) == 0 && ids != NULL;
	if (made && !only && json_array_size(ids) == 0)
		return filter;
	if (made && spared == NULL)
		made = json_object_set_new(filter, "id", json_pack("{s:O}", only ? "any_" : "not_any_", ids)) == 0;
	else if (made)
		made = json_object_set_new(filter, "id", json_pack("{s:o}", only ? "any_" : "not_any_",
		                                                   only ? without(ids, spared) : with(ids, spared))) == 0;
	if (made)
		return filter;
	json_decref(filter);
	return NULL;
}

json_t *slice_filter_state(const struct slice *slice, const char *state)
{
	const char *clause = slice->by_type ? "type" : "name";
	json_t *filter = json_deep_copy(slice->filter);
	json_t *states = json_object_get(filter, "state");
	AUTO_JSON *wanted = json_string(state);

	if (json_list_has(json_object_get(json_object_get(states, clause), "any_"), wanted) &&
	    json_object_set_new(states, clause, json_pack("{s:[O]}", "any_", wanted)) == 0)
		return filter;
	json_decref(filter);
	return NULL;
}

json_t *plan_look_filter(const struct plan *plan)
{
	AUTO_JSON *filter = json_deep_copy(plan->slices[0].filter);
	json_t *state = json_object_get(filter, "state");
	bool made = filter != NULL;

	(void)json_object_del(json_object_get(filter, "start_time"), "is_null_");
	for (size_t i = 1; made && i < plan->slice_count; i++)
		if (plan->slices[i].by_type != plan->slices[0].by_type) {
			/* Names come first; then the types, in place of those in which the names were looked for. */
			json_t *type = json_object_get(json_object_get(plan->slices[i].filter, "state"), "type");
			made = json_object_set(state, "type", type) == 0 && json_object_set_new(state, "operator", json_string("or_")) == 0;
		}
	return made ? json_incref(filter) : NULL;
}
