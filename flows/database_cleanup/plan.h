/* The plan: what would be deleted, as a predicate over the past.
 *
 * Made once, stored with the run (checkpoint PLAN_KEY), shown, approved, and never changed. A slice is a
 * FlowRunFilter and the number of runs that matched it; the server applies it inside the transaction
 * that deletes (see flow_run_bulk_delete() for what that means on PostgreSQL).
 *
 * It cannot grow by anything that runs: what matches had ended before the plan was made. The one way in is by hand: an
 * old run that somebody moves from one final state to another after the plan was made keeps its old end time, and
 * Prefect's filter has no clause for the time of a state. A plan that has grown in number is refused.
 * Thread rule: no state. */
#ifndef FLOWS_DATABASE_CLEANUP_PLAN_H
#define FLOWS_DATABASE_CLEANUP_PLAN_H

#include "client/prefect/prefect.h"
#include "flows/database_cleanup/policy.h"

#define PLAN_KEY "cleanup-plan"
#define PLAN_SLICES_MAX 4 /* of names and of types, of runs that started and such that never did */
/* Plans of version 0.1 are read too: they say nothing of subflow runs. */
#define PLAN_VERSION 2
#define DIGEST_SIZE 65 /* SHA-256 in hex, and its NUL */

struct slice {
	json_t *filter; /* owned: FlowRunFilter; its clause `id` leaves out the subflow runs that stay now, and is not stored */
	bool by_type;   /* it names types of states; else names */
	int64_t count;  /* runs that matched when the plan was made, without those that were to stay */
};

struct plan {
	time_us planned_at; /* by the server's clock */
	time_us cutoff;     /* planned_at minus the retention period */
	bool by_end;        /* the age goes by the end of a run; else by its start */
	json_t *states;     /* owned: array of state names, and of types (COMPLETED, FAILED, CANCELLED, CRASHED): as in the policy */
	char *retention;    /* owned: as it was written */
	bool dry_run;       /* shown as such: approving it deletes nothing */
	int version;        /* 1, or PLAN_VERSION */
	bool top_level;     /* no subflow run is deleted: too many of them have to stay */
	int64_t subflows;   /* subflow runs in the plan; -1: not known (version 1) */
	int64_t spared;     /* subflow runs that match and stay, since a parent had not ended (spared.h); all of them where top_level */
	struct slice slices[PLAN_SLICES_MAX];
	size_t slice_count;
	int64_t total;            /* of all slices: never more are deleted */
	char digest[DIGEST_SIZE]; /* of the canonical JSON */
};

/* Makes the plan: asks the server how many runs match. @planned_at must be a time of the server that lies in
 * the past. Returns 0, ERR_INVALID where the retention period reaches back before the year 1, or what
 * flow_run_count() returns. */
int plan_make(struct prefect *prefect, const struct policy *policy, time_us planned_at, struct plan *ret_plan,
              struct error *err) MUST_CHECK;

/* The plan as JSON (a new reference, NULL without memory), and back. plan_decode() builds every filter anew
 * from the times and the names and takes only a plan that is the same to the letter: a stored plan that
 * somebody changed is ERR_DECODE. */
json_t *plan_encode(const struct plan *plan);
int plan_decode(const json_t *json, struct plan *ret_plan, struct error *err) MUST_CHECK;

void plan_release(struct plan *plan);

/* Looks which subflow runs have to stay now, and leaves them out of the slices' filters: before runs are counted, shown or deleted,
 * and again before each batch, since a parent may go on meanwhile. Costs nothing where the plan has no subflow runs. What was
 * approved stays as it is. */
int plan_spare(struct prefect *prefect, const struct plan *plan, struct error *err) MUST_CHECK;

/* How many runs match the plan now, all slices together. */
int plan_count(struct prefect *prefect, const struct plan *plan, int64_t *ret_count, struct error *err) MUST_CHECK;

/* A new FlowRunFilter: the slice's filter, and of the ids (an array) only those (@only), or all but those; never the subflow runs
 * that stay. NULL without memory, also for @ids. */
json_t *slice_filter_ids(const struct slice *slice, json_t *ids, bool only);

/* A new FlowRunFilter: the runs of the slice in one @state of the plan's (a name or a type). NULL where it has none of that, or without
 * memory. */
json_t *slice_filter_state(const struct slice *slice, const char *state);

/* A new FlowRunFilter that matches what all slices match, for looking and never for deleting: also runs that are not final, should
 * one have a wanted name and an end. NULL without memory. */
json_t *plan_look_filter(const struct plan *plan);

#endif
