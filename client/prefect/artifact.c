#include "client/prefect/artifact.h"

#include <stdlib.h>
#include <string.h>

static const struct json_field artifact_fields[] = {
	{"id", JSON_KIND_UUID, offsetof(struct artifact, id), true, NULL},
	{"flow_run_id", JSON_KIND_UUID, offsetof(struct artifact, flow_run_id), false, NULL},
	{"task_run_id", JSON_KIND_UUID, offsetof(struct artifact, task_run_id), false, NULL},
	{"key", JSON_KIND_TEXT, offsetof(struct artifact, key), false, NULL},
	{"description", JSON_KIND_TEXT, offsetof(struct artifact, description), false, NULL},
	{"data", JSON_KIND_ANY, offsetof(struct artifact, data), false, NULL},
};

int artifact_create(struct prefect *prefect, const struct artifact_text *text, char ret_id[UUID_SIZE], struct error *err)
{
	AUTO_JSON *answer = NULL;
	struct artifact made;
	json_t *body = json_pack("{s:s, s:s*, s:s*, s:O*, s:s, s:s*}", "type", text->type, "key", text->key, "description",
	                         text->description, "data", text->data, "flow_run_id", text->flow_run_id, "task_run_id",
	                         text->task_run_id);

	int rc = prefect_post(prefect, body, PREFECT_ONCE, &answer, err, "/artifacts/");
	if (rc == 0)
		rc = json_decode(answer, JSON_TABLE(artifact_fields), &made, sizeof made, err);
	if (rc != 0)
		return error_prefix(err, rc, "the artifact '%s'", text->key != NULL ? text->key : text->type);
	memcpy(ret_id, made.id, UUID_SIZE);
	json_release(JSON_TABLE(artifact_fields), &made);
	return 0;
}

int artifact_update(struct prefect *prefect, const char *id, const char *description, const json_t *data,
                    struct error *err)
{
	return prefect_patch(prefect, json_pack("{s:s*, s:O*}", "description", description, "data", data), err,
	                     "/artifacts/%s", id);
}

/* An ArtifactFilter; NULL without memory. */
static json_t *filter_of_run(const char *flow_run_id, const char *key)
{
	return json_pack("{s:{s:[s]}, s:{s:[s]}}", "flow_run_id", "any_", flow_run_id, "key", "any_", key);
}

int artifact_put(struct prefect *prefect, const struct artifact_text *text, char ret_id[UUID_SIZE], struct error *err)
{
	AUTO_JSON *mine = filter_of_run(text->flow_run_id, text->key != NULL ? text->key : "");
	struct artifact *found;
	size_t count;

	if (mine != NULL && text->task_run_id != NULL &&
	    json_object_set_new(mine, "task_run_id", json_pack("{s:[s]}", "any_", text->task_run_id)) != 0)
		return error_nomem(err);
	if (mine == NULL)
		return error_nomem(err);
	int rc = artifact_filter(prefect, &(struct artifact_query){.artifacts = mine, .limit = 1}, &found, &count, err);
	if (rc != 0)
		return rc;
	if (count > 0)
		memcpy(ret_id, found[0].id, UUID_SIZE);
	artifacts_release(found, count);
	return count > 0 ? artifact_update(prefect, ret_id, text->description, text->data, err)
	                 : artifact_create(prefect, text, ret_id, err);
}

/* The body of a search; NULL without memory. */
static json_t *query_body(const struct artifact_query *query)
{
	return json_pack("{s:O*, s:O*, s:O*}", "artifacts", query->artifacts, "flow_runs", query->flow_runs, "flows", query->flows);
}

int artifact_filter(struct prefect *prefect, const struct artifact_query *query, struct artifact **ret_artifacts,
                    size_t *ret_count, struct error *err)
{
	AUTO_JSON *answer = NULL;
	void *artifacts;
	json_t *body = query_body(query);

	if (query->limit > 0)
		(void)json_object_set_new(body, "limit", json_integer(query->limit));
	if (query->sort != NULL)
		(void)json_object_set_new(body, "sort", json_string(query->sort));
	if (query->offset > 0)
		(void)json_object_set_new(body, "offset", json_integer(query->offset));
	int rc = prefect_post(prefect, body, PREFECT_REPEATABLE, &answer, err, "/artifacts/filter");
	if (rc != 0)
		return rc;
	rc = json_decode_list(answer, JSON_TABLE(artifact_fields), sizeof(struct artifact), &artifacts, ret_count, err);
	if (rc != 0)
		return error_prefix(err, rc, "POST /artifacts/filter");
	*ret_artifacts = artifacts;
	return 0;
}

int artifact_of_run(struct prefect *prefect, const char *flow_run_id, const char *key, int limit, struct artifact **ret_artifacts,
                    size_t *ret_count, struct error *err)
{
	AUTO_JSON *filter = filter_of_run(flow_run_id, key);

	if (filter == NULL)
		return error_nomem(err);
	return artifact_filter(prefect, &(struct artifact_query){.artifacts = filter, .limit = limit}, ret_artifacts, ret_count, err);
}

void artifacts_release(struct artifact *artifacts, size_t count)
{
	json_release_list(JSON_TABLE(artifact_fields), sizeof *artifacts, artifacts, count);
}

int artifact_count(struct prefect *prefect, const struct artifact_query *query, int64_t *ret_count, struct error *err)
{
	return prefect_count(prefect, query_body(query), ret_count, err, "/artifacts/count");
}

int artifact_delete(struct prefect *prefect, const char *id, struct error *err)
{
	return prefect_call(prefect, (struct prefect_request){.method = "DELETE", .repeat = PREFECT_REPEATABLE}, NULL, err,
	                    "/artifacts/%s", id);
}
