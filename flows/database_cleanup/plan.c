#include "flows/database_cleanup/plan.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <string.h>

#include "client/prefect/flow_run.h"

#define PLAN_VERSION 1

/* The predicate of one slice. What each clause guarantees:
 *
 *   state.type.any_ = the terminal types   a run that is scheduled, pending, running, paused or cancelling
 *                                          never matches, whatever its state is called
 *   state.name.any_ = the wanted names     only the states that the policy names
 *   end_time.before_ = planned_at          only runs that had ended when the plan was made: nothing that ends
 *                                          later can enter the plan, and a run that is retried leaves it for
 *                                          good, since its new end lies later. A null end_time never matches.
 *   start_time.before_ = cutoff            "at or before": a run that started even a microsecond after the
 *                                          cutoff is younger than the retention period and never matches
 *
 * The server takes expected_start_time where start_time is null (coalesce, in all versions seen), so the two
 * slices are kept apart by start_time.is_null_: runs that started, and runs that ended without a start, whose
 * age is the time for which they were scheduled. All clauses are joined by AND (`operator` defaults to and_).
 * One list per clause: Prefect 3.4 to 3.8 silently drop a state clause that has both any_ and not_any_. */
static json_t *make_filter(time_us planned_at, time_us cutoff, json_t *states, bool started)
{
	return json_pack("{s:{s:{s:o}, s:{s:O}}, s:{s:o, s:b}, s:{s:o}}",
	                 "state",
	                 "type", "any_", state_terminal_types(),
	                 "name", "any_", states,
	                 "start_time", "before_", json_time(cutoff), "is_null_", !started,
	                 "end_time", "before_", json_time(planned_at));
}

void plan_release(struct plan *plan)
{
	for (size_t i = 0; i < plan->slice_count; i++)
		json_decref(plan->slices[i].filter);
	json_decref(plan->states);
	free(plan->retention);
	*plan = (struct plan){0};
}

/* Times, states and filters; the counts stay 0. */
static int plan_build(time_us planned_at, time_us cutoff, json_t *states, const char *retention, bool dry_run,
                      struct plan *ret_plan, struct error *err)
{
	struct plan plan = {
		.planned_at = planned_at,
		.cutoff = cutoff,
		.dry_run = dry_run,
		.states = json_incref(states),
		.retention = text_dup(retention),
		.slice_count = PLAN_SLICES_MAX,
	};

	plan.slices[0].filter = make_filter(planned_at, cutoff, states, /* started= */ true);
	plan.slices[1].filter = make_filter(planned_at, cutoff, states, /* started= */ false);
	if (plan.slices[0].filter == NULL || plan.slices[1].filter == NULL || plan.retention == NULL) {
		plan_release(&plan);
		return error_nomem(err);
	}
	*ret_plan = plan;
	return 0;
}

json_t *plan_encode(const struct plan *plan)
{
	json_t *slices = json_array();

	for (size_t i = 0; i < plan->slice_count; i++)
		if (json_array_append_new(slices, json_pack("{s:O, s:I}", "filter", plan->slices[i].filter, "count",
		                                            (json_int_t)plan->slices[i].count)) != 0) {
			json_decref(slices);
			return NULL;
		}
	return json_pack("{s:i, s:o, s:o, s:s, s:O, s:b, s:o}", "version", PLAN_VERSION, "planned_at",
	                 json_time(plan->planned_at), "cutoff", json_time(plan->cutoff), "retention_period",
	                 plan->retention, "states", plan->states, "dry_run", plan->dry_run, "slices", slices);
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

int plan_make(struct prefect *prefect, const struct policy *policy, time_us planned_at, struct plan *ret_plan,
              struct error *err)
{
	struct plan plan;

	if (policy->retention_us > planned_at - TIME_MIN_US)
		return error_set(err, ERR_INVALID, "config.retention_period: '%s' before now is before the year 1; nothing can "
		                 "be that old", policy->retention);

	int rc = plan_build(planned_at, planned_at - policy->retention_us, policy->states, policy->retention,
	                    policy->dry_run, &plan, err);
	if (rc != 0)
		return rc;

	for (size_t i = 0; rc == 0 && i < plan.slice_count; i++) {
		rc = flow_run_count(prefect, &(struct flow_run_query){.flow_runs = plan.slices[i].filter},
		                    &plan.slices[i].count, err);
		plan.total += plan.slices[i].count;
	}
	if (rc == 0)
		rc = plan_digest(&plan, err);
	if (rc != 0) {
		plan_release(&plan);
		return rc;
	}
	*ret_plan = plan;
	return 0;
}

struct stored_plan {
	time_us planned_at;
	time_us cutoff;
	char *retention;
	bool dry_run;
	json_t *states;
	json_t *slices;
};

static const struct json_field stored_fields[] = {
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

	rc = plan_build(stored.planned_at, stored.cutoff, stored.states, stored.retention, stored.dry_run, &plan, err);
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

json_t *slice_filter_ids(const struct slice *slice, json_t *ids, bool only)
{
	json_t *filter = json_object();

	/* Not json_copy(): without memory it leaves out clauses, and the copy matches more. */
	if (json_object_update(filter, slice->filter) != 0) {
		json_decref(filter);
		return NULL;
	}
	if (ids != NULL && !only && json_array_size(ids) == 0)
		return filter;
	if (ids == NULL) { /* without memory for them: never the whole slice instead */
		json_decref(filter);
		return NULL;
	}
	if (json_object_set_new(filter, "id", json_pack("{s:O}", only ? "any_" : "not_any_", ids)) != 0) {
		json_decref(filter);
		return NULL;
	}
	return filter;
}
