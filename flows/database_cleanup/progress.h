/* How far a deletion is, on the run's page: a progress artifact, and nodes of the timeline that each stand for many batches.
 *
 * Some PROGRESS_PARTS nodes, whatever the number of runs: a million deletions are 20,000 batches. A part is a twentieth of the
 * runs, and two seconds at least, so that drawing costs little; on a server that takes its time for it, longer. They are numbered
 * without holes: a body that is started again ends the one that its predecessor was at, and goes on with the next number.
 * Thread rule: a struct progress belongs to its deletion. */
#ifndef FLOWS_DATABASE_CLEANUP_PROGRESS_H
#define FLOWS_DATABASE_CLEANUP_PROGRESS_H

#include "client/base/text.h"
#include "flows/flow.h"

#define PROGRESS_PARTS 20
#define PROGRESS_PART_MS 2000
/* With those that a body which is started again adds; the timeline has room for no more. */
#define PROGRESS_NUMBER_MAX 40
#define PROGRESS_NAME_SIZE 32
#define PROGRESS_ARTIFACT_KEY "cleanup-progress"

struct progress {
	struct flow_ctx *ctx;
	int64_t total;      /* flow runs, also of earlier starts of the body */
	int64_t begun;      /* of them, deleted when this start of the body began */
	int64_t started_ms;
	char part[PROGRESS_NAME_SIZE];     /* the step of the current part; "" for none */
	char before[PROGRESS_NAME_SIZE];   /* the one before it */
	int number;         /* of the current part or, between two, of the next one */
	int64_t part_from;  /* runs deleted when it began */
	int64_t part_ms;    /* when it began */
	int64_t write_ms;   /* what it took to draw its beginning and the end of the one before */
};

/* The step "delete" begins, @done of @total being deleted already. */
void progress_start(struct progress *progress, struct flow_ctx *ctx, int64_t total, int64_t done);
/* Before a batch, and after it. */
void progress_batch(struct progress *progress, int64_t done);
void progress_note(struct progress *progress, int64_t done);
/* The deletion came to its end: the step "delete" is over; @left: flow runs of the plan that could not be deleted. */
void progress_end(struct progress *progress, int64_t done, int64_t left);

/* Appends "Deleted **120 / 400** flow runs, 60 a second, about 5 s left". */
void progress_describe(const struct progress *progress, int64_t done, struct text *text);

/* The last step that was begun: what comes next follows it. */
const char *progress_last_step(const struct progress *progress);

#endif
