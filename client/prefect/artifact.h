/* Artifacts: what a run leaves to be read: tables, Markdown, progress.
 *
 * Every artifact is a version of its key; the server keeps the latest of a key beside the table of all (artifact_collection)
 * and moves it back when that one is deleted. Deleting a flow run leaves its artifacts behind.
 * Sources: the paths beside each function, Prefect 3.4.20 to 3.9.1. Thread rule: none shared. */
#ifndef PREFECT_ARTIFACT_H
#define PREFECT_ARTIFACT_H

#include "client/prefect/prefect.h"

/* What is written; every member is borrowed and, but for `type` and `flow_run_id`, may be NULL. */
struct artifact_text {
	const char *type;        /* "markdown", "table" or "progress" */
	const char *key;         /* lower case letters, digits and dashes */
	const char *description; /* Markdown */
	const json_t *data;      /* a string for markdown; for a table a string that holds JSON; a number for progress */
	const char *flow_run_id;
	const char *task_run_id; /* the UI's graph draws only artifacts of task runs */
};

/* One that is there. */
struct artifact {
	char id[UUID_SIZE];
	char flow_run_id[UUID_SIZE]; /* "" where it belongs to none, as below */
	char task_run_id[UUID_SIZE];
	char *key;                   /* owned; may be NULL */
	char *description;           /* owned; may be NULL */
	json_t *data;                /* owned; may be NULL */
};

/* POST /artifacts/. Not to be repeated blindly: each call is one more version. @ret_id: of the new one. */
int artifact_create(struct prefect *prefect, const struct artifact_text *text, char ret_id[UUID_SIZE],
                    struct error *err) MUST_CHECK;

/* PATCH /artifacts/{id}, 204: the description (where it is not NULL) and the data (likewise). ERR_NOT_FOUND where it is
 * gone. */
int artifact_update(struct prefect *prefect, const char *id, const char *description, const json_t *data,
                    struct error *err) MUST_CHECK;

/* Creates the artifact, or updates the one that this flow run (of it this task run, where one is named) has under this
 * key: may be repeated. */
int artifact_put(struct prefect *prefect, const struct artifact_text *text, char ret_id[UUID_SIZE],
                 struct error *err) MUST_CHECK;

/* A search; every member is borrowed and may be NULL or 0. */
struct artifact_query {
	const json_t *artifacts; /* ArtifactFilter */
	const json_t *flow_runs; /* FlowRunFilter: only artifacts of runs that are there and match */
	const char *sort;        /* ArtifactSort; the server's default is ID_DESC */
	const json_t *flows;     /* FlowFilter: likewise */
	int limit;               /* 0: a whole page, PREFECT_PAGE_MAX */
	int64_t offset;
};

/* POST /artifacts/filter: one page, the latest id first. @ret_artifacts is an array, released with artifacts_release(). */
int artifact_filter(struct prefect *prefect, const struct artifact_query *query, struct artifact **ret_artifacts,
                    size_t *ret_count, struct error *err) MUST_CHECK;
void artifacts_release(struct artifact *artifacts, size_t count);

/* The same for those of one flow run under one key, the latest first. */
int artifact_of_run(struct prefect *prefect, const char *flow_run_id, const char *key, int limit, struct artifact **ret_artifacts,
                    size_t *ret_count, struct error *err) MUST_CHECK;

/* POST /artifacts/count. */
int artifact_count(struct prefect *prefect, const struct artifact_query *query, int64_t *ret_count,
                   struct error *err) MUST_CHECK;

/* DELETE /artifacts/{id}. ERR_NOT_FOUND where it is gone already. */
int artifact_delete(struct prefect *prefect, const char *id, struct error *err) MUST_CHECK;

#endif
