/* A run of database-cleanup as an operator sees it: which one is meant, whether it waits for a decision, and for what.
 * Reads only. Thread rule: no state. */
#ifndef CLI_CLEANUP_RUN_H
#define CLI_CLEANUP_RUN_H

#include "cli/commands.h"
#include "client/prefect/flow_run.h"
#include "flows/database_cleanup/plan.h"

/* Fewer digits of an id may be a name. */
#define CLEANUP_RUN_PREFIX_MIN 4

struct cleanup_run {
	struct flow_run run;
	struct state state;   /* of the run now */
	int question;         /* number of its latest question; 0: it never asked one */
	time_us asked_at;     /* when it did */
	time_us deadline;     /* of the question; 0 where the server does not say */
	time_us decided_at;   /* when the run went on after it; 0 where it has not */
};

/* Is it Paused with a question? */
bool cleanup_run_is_open(const struct cleanup_run *run);

/* Finds the run by its id, by its name, or by the first CLEANUP_RUN_PREFIX_MIN or more digits of its id (dashes count), among the
 * latest runs. ERR_USAGE, with what would be right, where there is none, it is of another flow, or several have the name. */
int cleanup_run_find(struct session *session, const char *id_or_name, struct cleanup_run *ret_run,
                     struct error *err) MUST_CHECK;

/* The same from a run of a list (taken), for one that is Paused: without the states that it was in. */
int cleanup_run_from(struct flow_run *run, struct cleanup_run *ret_run, struct error *err) MUST_CHECK;

/* Calls @each for every run that waits for a decision, of work pool @pool (NULL: of all), the longest waiting first. Stops at
 * its first error. */
typedef int cleanup_run_each(struct session *session, const struct cleanup_run *run, void *arg, struct error *err);
int cleanup_run_for_each_open(struct session *session, const char *pool, cleanup_run_each *each, void *arg, struct error *err) MUST_CHECK;

/* 0 where the run can be decided now; else ERR_USAGE with the reason: has not asked yet, was decided, has expired, ... */
int cleanup_run_check_open(struct session *session, const struct cleanup_run *run, struct error *err) MUST_CHECK;

/* What its question shows: the plan, and the Markdown above the form (the caller frees it; NULL where there is none).
 * ERR_NOT_FOUND where the run never made a plan. */
int cleanup_run_read(struct session *session, const struct cleanup_run *run, struct plan *ret_plan,
                     char **ret_description, struct error *err) MUST_CHECK;

/* The whole preview, from the artifact of this plan: Markdown, which the caller frees. *ret_page is NULL where it is not there. */
int cleanup_run_preview(struct session *session, const struct cleanup_run *run, const struct plan *plan, char **ret_page,
                        struct error *err) MUST_CHECK;

/* The answer that the run got: an object (a new reference). ERR_NOT_FOUND where there is none. */
int cleanup_run_answer(struct session *session, const struct cleanup_run *run, json_t **ret_answer,
                       struct error *err) MUST_CHECK;

/* Its page in the UI. The caller frees it; NULL without memory. */
char *cleanup_run_page(const struct session *session, const char *id);

/* id, name, state, message, page, and of a question its times (null where there are none), as an object (a new reference); NULL without memory. */
json_t *cleanup_run_json(const struct session *session, const struct cleanup_run *run);

void cleanup_run_release(struct cleanup_run *run);

#endif
