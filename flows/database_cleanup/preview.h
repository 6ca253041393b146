/* The preview: what a person reads before deciding, as Markdown that stays readable at any size.
 * Thread rule: no state. */
#ifndef FLOWS_DATABASE_CLEANUP_PREVIEW_H
#define FLOWS_DATABASE_CLEANUP_PREVIEW_H

#include "client/prefect/flow_run.h"
#include "flows/database_cleanup/plan.h"
#include "flows/database_cleanup/preview_stays.h"

#define PREVIEW_KEY "cleanup-preview" /* checkpoint: preview_page.h */
#define PREVIEW_MARKDOWN_MAX (64 * 1024)
#define PLAN_SHOWN "Plan `sha256:" /* the digest and a backtick follow */
#define PREVIEW_RUNS 5           /* runs named one by one */
#define PREVIEW_FLOWS_SHOWN 20   /* rows of the table */
#define PREVIEW_FLOWS_COUNTED 100 /* flows counted to find the largest; the others are summed up */
#define PREVIEW_STATES_SHOWN 8   /* columns of the table */

struct preview_flow {
	char *name; /* owned */
	char id[UUID_SIZE];
	int64_t count;
	int64_t by_state[PREVIEW_STATES_SHOWN];
};

/* What goes with the runs of a plan, or of a part of it. */
struct preview_extent {
	bool known;         /* false: could not be read */
	int64_t task_runs;
	int64_t artifacts;
	int64_t log_lines;  /* in `log_runs` of the runs, PREFECT_PAGE_MAX at most: the server cannot count them */
	int64_t log_runs;
	bool logs_known;    /* those are all of them */
};

struct preview {
	const char *states[PREVIEW_STATES_SHOWN]; /* that have runs; borrowed from the plan */
	int64_t by_state[PREVIEW_STATES_SHOWN];
	size_t state_count;
	struct preview_flow *flows; /* owned; the largest first */
	size_t flow_count;          /* counted, at most PREVIEW_FLOWS_COUNTED */
	bool more_flows;            /* there are flows that were not counted */
	int64_t flows_total;        /* all flows that have runs, and all deployments; 0: not known */
	int64_t deployments_total;
	time_us oldest, newest;     /* start, or the scheduled time of a run that never started */
	struct flow_run *runs;      /* owned: the oldest PREVIEW_RUNS */
	size_t run_count;
	struct preview_extent extent; /* preview_page.h, as what follows */
	struct preview_stays stays;
	double pace;                  /* flow runs a second, in the last cleanup that is reported; 0: not known */
};

/* Asks the server for what the preview shows; @plan is borrowed until preview_release(). Reads only; some
 * hundred small requests at most. */
int preview_collect(struct prefect *prefect, const struct plan *plan, struct preview *ret_preview,
                    struct error *err) MUST_CHECK;
void preview_release(struct preview *preview);

/* Does @markdown (NULL: none) show the digest of this plan as a preview writes it? What others wrote into a name has no backticks that
 * are not escaped. */
bool preview_shows_plan(const char *markdown, const struct plan *plan);

/* When a run started, or was to start. */
time_us preview_run_age(const struct flow_run *run);

/* Appends the parts that the long preview and the form share: "30 days", as far as it is that; "Completed 12, TimedOut 3". */
void preview_add_period(const struct plan *plan, struct text *t);
void preview_add_states(const struct preview *preview, const struct plan *plan, struct text *t);

/* Log lines of all runs of the plan, going by those that were looked at. */
int64_t preview_log_lines(const struct preview_extent *extent, const struct plan *plan);

/* The long preview as Markdown: the counts, the table of flows, the oldest runs. Names are escaped and cut. At most
 * PREVIEW_MARKDOWN_MAX bytes. The caller frees it; NULL without memory. */
char *preview_markdown(const struct preview *preview, const struct plan *plan);

#endif
