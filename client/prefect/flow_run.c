#include "client/prefect/flow_run.h"

#include <string.h>

static const struct json_field flow_run_fields[] = {
	{"id", JSON_KIND_UUID, offsetof(struct flow_run, id), true, NULL},
	{"flow_id", JSON_KIND_UUID, offsetof(struct flow_run, flow_id), true, NULL},
	{"deployment_id", JSON_KIND_UUID, offsetof(struct flow_run, deployment_id), false, NULL},
	{"work_queue_id", JSON_KIND_UUID, offsetof(struct flow_run, work_queue_id), false, NULL},
	{"name", JSON_KIND_LABEL, offsetof(struct flow_run, name), true, NULL},
	{"state_type", JSON_KIND_ENUM, offsetof(struct flow_run, state_type), false, state_type_names},
	{"state_name", JSON_KIND_LABEL, offsetof(struct flow_run, state_name), false, NULL},
	{"expected_start_time", JSON_KIND_TIME, offsetof(struct flow_run, expected_start), false, NULL},
	{"next_scheduled_start_time", JSON_KIND_TIME, offsetof(struct flow_run, next_scheduled_start), false, NULL},
	{"start_time", JSON_KIND_TIME, offsetof(struct flow_run, start_time), false, NULL},
	{"end_time", JSON_KIND_TIME, offsetof(struct flow_run, end_time), false, NULL},
	{"parameters", JSON_KIND_OBJECT, offsetof(struct flow_run, parameters), false, NULL},
	{"job_variables", JSON_KIND_OBJECT, offsetof(struct flow_run, job_variables), false, NULL},
	{"labels", JSON_KIND_OBJECT, offsetof(struct flow_run, labels), false, NULL},
	{"empirical_policy", JSON_KIND_OBJECT, offsetof(struct flow_run, policy), false, NULL},
	{"state", JSON_KIND_OBJECT, offsetof(struct flow_run, state), false, NULL},
};

int flow_run_decode(const json_t *json, struct flow_run *ret_run, struct error *err)
{
	return json_decode(json, JSON_TABLE(flow_run_fields), ret_run, sizeof *ret_run, err);
}

int flow_runs_decode(const json_t *list, struct flow_run **ret_runs, size_t *ret_count, struct error *err)
{
	void *runs;

	int rc = json_decode_list(list, JSON_TABLE(flow_run_fields), sizeof(struct flow_run), &runs, ret_count, err);
	if (rc == 0)
		*ret_runs = runs;
	return rc;
}

void flow_run_release(struct flow_run *run)
{
	json_release(JSON_TABLE(flow_run_fields), run);
	*run = (struct flow_run){0};
}

bool flow_run_pause_fired(const struct flow_run *run, const char *pause_key)
{
	size_t i;
	json_t *key;

	json_array_foreach(json_object_get(run->policy, "pause_keys"), i, key)
		if (json_is_string(key) && strcmp(json_string_value(key), pause_key) == 0)
			return true;
	return false;
}

bool flow_run_pause_expired(const struct flow_run *run)
{
	static const char start[] = "The flow was ";
	static const char end[] = " and never resumed.";
	const char *message = json_string_value(json_object_get(run->state, "message"));
	size_t len = message != NULL ? strlen(message) : 0;

	return run->state_type == STATE_FAILED && len >= sizeof start + sizeof end - 2 &&
	       strncmp(message, start, sizeof start - 1) == 0 && strcmp(message + len - (sizeof end - 1), end) == 0;
}

int flow_run_read(struct prefect *prefect, const char *id, struct flow_run *ret_run, struct error *err)
{
	AUTO_JSON *answer = NULL;

	int rc = prefect_get(prefect, &answer, err, "/flow_runs/%s", id);
	return rc != 0 ? rc : flow_run_decode(answer, ret_run, err);
}

int flow_run_glance(struct prefect *prefect, const char *id, int64_t ms, struct flow_run *ret_run, struct error *err)
{
	AUTO_JSON *answer = NULL;

	int rc = prefect_call(prefect, (struct prefect_request){.method = "GET", .repeat = PREFECT_REPEATABLE, .once_ms = ms}, &answer,
	                      err, "/flow_runs/%s", id);
	return rc != 0 ? rc : flow_run_decode(answer, ret_run, err);
}

/* The filters of a query as the body of a request; NULL without memory. */
static json_t *query_body(const struct flow_run_query *query)
{
	json_t *body = json_object();
	const struct {
		const char *name;
		const json_t *filter;
	} parts[] = {{"flow_runs", query->flow_runs}, {"flows", query->flows}, {"task_runs", query->task_runs},
		{"work_pools", query->work_pools}};

	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
		if (parts[i].filter != NULL && json_object_set(body, parts[i].name, (json_t *)(uintptr_t)parts[i].filter) != 0) {
			json_decref(body);
			return NULL;
		}
	return body;
}

void flow_runs_release(struct flow_run *runs, size_t count)
{
	json_release_list(JSON_TABLE(flow_run_fields), sizeof *runs, runs, count);
}

int flow_run_filter(struct prefect *prefect, const struct flow_run_query *query, struct flow_run **ret_runs,
                    size_t *ret_count, struct error *err)
{
	json_t *body = query_body(query);
	AUTO_JSON *answer = NULL;

	if (query->sort != NULL)
		(void)json_object_set_new(body, "sort", json_string(query->sort));
	if (query->limit > 0)
		(void)json_object_set_new(body, "limit", json_integer(query->limit));
	if (query->offset > 0)
		(void)json_object_set_new(body, "offset", json_integer(query->offset));
	int rc = prefect_post(prefect, body, PREFECT_REPEATABLE, &answer, err, "/flow_runs/filter");
	if (rc != 0)
		return rc;
	rc = flow_runs_decode(answer, ret_runs, ret_count, err);
	return rc != 0 ? error_prefix(err, rc, "POST /flow_runs/filter") : 0;
}

/* @filter without the runs of @seen; NULL without memory. */
static json_t *without(const json_t *filter, const json_t *seen)
{
	json_t *narrowed = json_object();
	AUTO_JSON *id = json_object();
	AUTO_JSON *ids = json_array();
	json_t *narrowed_id = json_object_get(filter, "id");
	const char *key;
	json_t *value;
	int rc = json_object_update(narrowed, (json_t *)(uintptr_t)filter);

	if (narrowed_id != NULL)
		rc |= json_object_update(id, narrowed_id);
	json_object_foreach((json_t *)(uintptr_t)seen, key, value)
		rc |= json_array_append_new(ids, json_string(key));
	if (rc != 0 || json_object_set(id, "not_any_", ids) != 0 || json_object_set(narrowed, "id", id) != 0) {
		json_decref(narrowed);
		return NULL;
	}
	return narrowed;
}

int flow_run_filter_unseen(struct prefect *prefect, const struct flow_run_query *query, json_t *seen, struct flow_run **ret_runs,
                           size_t *ret_count, struct error *err)
{
	AUTO_JSON *narrowed = json_object_size(seen) > 0 ? without(query->flow_runs, seen) : NULL;
	struct flow_run_query rest = *query;
	size_t fresh = 0;

	if (json_object_size(seen) > 0) {
		if (narrowed == NULL)
			return error_nomem(err);
		rest.flow_runs = narrowed;
	}
	int rc = flow_run_filter(prefect, &rest, ret_runs, ret_count, err);
	if (rc != 0)
		return rc;
	for (size_t i = 0; i < *ret_count; i++) {
		fresh += json_object_get(seen, (*ret_runs)[i].id) == NULL;
		if (json_object_set_new(seen, (*ret_runs)[i].id, json_true()) != 0) {
			flow_runs_release(*ret_runs, *ret_count);
			return error_nomem(err);
		}
	}
	if (fresh == 0) { /* nothing that was not there before: no end otherwise */
		flow_runs_release(*ret_runs, *ret_count);
		*ret_runs = NULL;
		*ret_count = 0;
	}
	return 0;
}

int flow_run_count(struct prefect *prefect, const struct flow_run_query *query, int64_t *ret_count, struct error *err)
{
	return prefect_count(prefect, query_body(query), ret_count, err, "/flow_runs/count");
}

int flow_run_set_labels(struct prefect *prefect, const char *id, json_t *labels, struct error *err)
{
	return prefect_patch(prefect, labels, err, "/flow_runs/%s/labels", id);
}

int flow_run_set_pid(struct prefect *prefect, const char *id, const char *pid, struct error *err)
{
	return prefect_patch(prefect, json_pack("{s:s}", "infrastructure_pid", pid), err, "/flow_runs/%s", id);
}

int flow_run_delete(struct prefect *prefect, const char *id, bool *ret_ambiguous, struct error *err)
{
	*ret_ambiguous = false;
	return prefect_call(prefect,
	                    (struct prefect_request){.method = "DELETE", .repeat = PREFECT_ONCE, .ret_ambiguous = ret_ambiguous}, NULL,
	                    err, "/flow_runs/%s", id);
}

/* The limit that a refusal names: exception_detail[].ctx.le of the field `limit`; 0 for other refusals. */
static int refused_limit(const json_t *refusal)
{
	size_t i;
	json_t *row;

	json_array_foreach(json_object_get(refusal, "exception_detail"), i, row)
	{
		const json_t *loc = json_object_get(row, "loc");
		const char *field = json_string_value(json_array_get(loc, json_array_size(loc) - 1));
		json_int_t most = json_integer_value(json_object_get(json_object_get(row, "ctx"), "le"));

		if (field != NULL && strcmp(field, "limit") == 0 && most > 0 && most < INT32_MAX)
			return (int)most;
	}
	return 0;
}

int flow_run_bulk_delete(struct prefect *prefect, const json_t *filter, int limit, int64_t *ret_deleted,
                         json_t **ret_ids, int *ret_max, bool *ret_ambiguous, struct error *err)
{
	AUTO_JSON *answer = NULL;
	AUTO_JSON *refusal = NULL;
	json_t *body = json_pack("{s:O, s:i}", "flow_runs", filter, "limit", limit);

	*ret_ambiguous = false;
	*ret_max = 0;
	int rc = prefect_call(prefect,
	                      (struct prefect_request){.method = "POST",
	                                               .body = body,
	                                               .repeat = PREFECT_ONCE,
	                                               .ret_refusal = &refusal,
	                                               .ret_ambiguous = ret_ambiguous},
	                      &answer, err, "/flow_runs/bulk_delete");
	if (rc == ERR_INVALID)
		*ret_max = refused_limit(refusal);
	/* Prefect says in JSON that it has no such path. Anything else is somebody who answers in its place for a while. */
	if (rc == ERR_NO_ROUTE && refusal == NULL)
		return error_prefix(err, ERR_BUSY, "not Prefect's answer");
	if (rc != 0)
		return rc;

	const json_t *deleted = json_object_get(answer, "deleted");
	if (!json_is_array(deleted)) {
		*ret_ambiguous = true;
		return error_set(err, ERR_DECODE, "POST /flow_runs/bulk_delete: the answer has no list 'deleted'");
	}
	*ret_deleted = (int64_t)json_array_size(deleted);
	if (ret_ids != NULL)
		*ret_ids = json_incref(json_object_get(answer, "deleted"));
	return 0;
}
