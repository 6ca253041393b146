/* What belongs to deleted flow runs and does not go by itself: their artifacts (window.h), and their logs, which the server
 * deletes some time later. A look at the end: is it gone?
 * Thread rule: no state but what belongs to its deletion. */
#ifndef FLOWS_DATABASE_CLEANUP_BELONGINGS_H
#define FLOWS_DATABASE_CLEANUP_BELONGINGS_H

#include "flows/database_cleanup/plan.h"
#include "flows/flow.h"

/* Deleted runs that are looked after at the end: all of them up to so many, then a sample of it that treats all alike. */
#define TALLY_MAX 4000

/* Ids of runs that the server says it deleted. Zero-initialise. */
struct tally {
	char (*ids)[UUID_SIZE]; /* owned */
	size_t count;
	size_t size;
	int64_t seen;           /* of so many */
	uint64_t random;        /* state of the sample */
};

void tally_add(struct tally *tally, const json_t *ids);
/* Up to PREFECT_PAGE_MAX of its ids from the @from-th on: a new array, NULL without memory. */
json_t *tally_page(const struct tally *tally, size_t from);
void tally_release(struct tally *tally);

/* What is left of runs that were deleted. */
struct leftovers {
	int64_t artifacts_deleted; /* found and deleted now */
	int64_t artifacts_left;    /* of the runs that were looked at; -1: not known */
	int64_t logs_checked;      /* runs */
	int64_t logs_left;         /* runs among them that still have log lines */
	bool logs_more;            /* ... at least: not all lines were looked at */
};

/* Looks for logs and artifacts of the runs of @tally, and waits for the server to delete the logs: some seconds at most. */
void leftovers_look(struct flow_ctx *ctx, const struct tally *tally, struct leftovers *ret_leftovers);

#endif
