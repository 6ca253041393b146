/* A server that holds flow runs in two slices, with the few rules that the deletion meets. */
#ifndef TESTS_UNIT_FLOWS_DATABASE_CLEANUP_SERVER_OF_RUNS_H
#define TESTS_UNIT_FLOWS_DATABASE_CLEANUP_SERVER_OF_RUNS_H

#include "tests/unit/http_server.h"
#include "tests/unit/unit.h"

#define SERVER_RUNS_MAX 64

/* What a plan's predicate looks at; times as RFC 3339, NULL for none. */
struct run_facts {
	const char *type, *name;
	const char *start, *end;
};

struct server_of_runs {
	/* what it holds */
	struct server_run {
		char id[40];
		int slice;       /* 0 or 1: matches a filter {"slice": N} */
		const struct run_facts *facts; /* for filters of other clauses; NULL: they match anyhow */
		bool bad;        /* deleting it fails with `bad_status` */
		bool leaves;     /* is in lists, but matches no more when it is looked at alone */
		bool vanishes;   /* somebody else deletes it right before its single delete: 404 */
		size_t joins;    /* matches only after so many deletions: somebody moved it by hand then; 0: from the beginning */
		bool taken;      /* somebody else deletes it right before a bulk_delete that would */
		bool gone;
		int artifacts;   /* that it has; they stay when it is deleted */
		int reports;     /* likewise, cleanup reports */
	} runs[SERVER_RUNS_MAX];
	size_t count;
	json_t *checkpoint;      /* inputs by key; owned */
	json_t *drawn;           /* task runs and artifacts of the run that deletes, by id; owned */

	/* how it behaves */
	int bad_status;
	int max_limit;           /* of bulk_delete; 0: any */
	bool no_bulk;            /* 404 */
	bool refuses_lists;      /* 501 for /flow_runs/filter */
	const char *own_state;   /* of the run that deletes; NULL: RUNNING */
	size_t cancel_after;     /* that run is set to CANCELLING after so many deletions; 0: never */
	int page_max;            /* of a page of artifacts: more is 422; 0: any */
	bool page_garbage;       /* more cannot be read */
	int refuse_artifacts;    /* so many deletions of artifacts are 400 */
	size_t cancel_after_artifacts; /* likewise, after so many deletions of artifacts */
	size_t lose_answer;      /* the answer to this call of bulk_delete is lost (from 1); 0: none */

	/* what was asked */
	size_t looks, bulk_deletes, single_deletes, lists;
	size_t deleted;
	int largest_limit;
	int64_t progress;        /* the last that was noted */
	size_t notes;            /* how often */
	bool refuse_notes;       /* 422 for them */
	size_t artifacts_deleted;
	size_t artifacts_too_soon; /* deleted while their run was there */
	size_t reports_deleted;
	size_t looks_in_artifacts; /* at the run that deletes, once artifacts were deleted */
};

/* Adds @count runs with ids that tell them apart. */
void server_of_runs_add(struct server_of_runs *server, int slice, size_t count);
/* Does a run with these facts match the clauses about state and times of a FlowRunFilter? */
bool run_facts_match(const struct run_facts *facts, const json_t *filter);
void server_of_runs_release(struct server_of_runs *server);

http_handler server_of_runs_handle;

#endif
