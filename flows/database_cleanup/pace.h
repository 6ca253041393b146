/* How fast a deletion goes: as its settings say while the server keeps up, in smaller batches with longer pauses while
 * it does not, and back by steps.
 *
 *   slower   a call that took longer than the target, that the server was too busy for (or asked to be left alone,
 *            429), or that was never answered: half as many flow runs in a batch, twice the pause
 *   faster   three good calls in a row: one step back
 *
 * A call is measured with all its tries. One 503 that the next try cures is no sign: a server on SQLite answers so about
 * every second time, with a database that is locked for a moment (docs/prefect-facts.md).
 * Thread rule: no state but struct pace, which belongs to its deletion. */
#ifndef FLOWS_DATABASE_CLEANUP_PACE_H
#define FLOWS_DATABASE_CLEANUP_PACE_H

#include <stdbool.h>
#include <stdint.h>

#include "client/base/http.h"
#include "client/base/text.h"
#include "flows/flow.h"

struct pace_settings {
	int64_t target_ms;    /* how long a call may take before it counts as slow */
	int batch_most;       /* flow runs in a batch: what the run asks for */
	int batch_least;
	int64_t pause_least_ms; /* between two batches */
	int64_t pause_most_ms;
};

struct pace {
	struct pace_settings settings; /* read-only */
	int call_most;    /* flow runs that the server takes in one call, as far as it is known */
	int batch;        /* now */
	int64_t pause_ms; /* now */
	int good;         /* good calls since the last step */
};

enum pace_step { PACE_SAME, PACE_SLOWER, PACE_FASTER };

/* Job variables of the pool, the deployment or the run (worker/base-job-template.json). */
void pace_read(struct flow_ctx *ctx, int batch_size, struct pace_settings *ret_settings);

void pace_init(struct pace *pace, const struct pace_settings *settings);

/* Takes note of a call. @failed: it ended without the answer that was wanted, for a reason that waiting can cure. */
enum pace_step pace_note(struct pace *pace, const struct http_effort *effort, bool failed);

/* The server takes @most flow runs in one call. */
void pace_limit_calls(struct pace *pace, int most);

/* Flow runs for the next call, when @left of the batch are left. */
int pace_call(const struct pace *pace, int left);

bool pace_is_slowed(const struct pace *pace);

/* Appends "25 at a time, 200 ms between batches". */
void pace_describe(const struct pace *pace, struct text *text);
/* Appends what a @step that was just made means, after a call for up to @runs flow runs. @failed: as for pace_note(). */
void pace_describe_step(const struct pace *pace, enum pace_step step, int runs, const struct http_effort *effort, bool failed,
                        struct text *text);

#endif
