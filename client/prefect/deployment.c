#include "client/prefect/deployment.h"

#include <stdio.h>
#include <stdlib.h>

static const struct json_field flow_fields[] = {
	{"id", JSON_KIND_UUID, offsetof(struct flow, id), true, NULL},
	{"name", JSON_KIND_TEXT, offsetof(struct flow, name), true, NULL},
};

static const struct json_field deployment_fields[] = {
	{"id", JSON_KIND_UUID, offsetof(struct deployment, id), true, NULL},
	{"flow_id", JSON_KIND_UUID, offsetof(struct deployment, flow_id), true, NULL},
	{"name", JSON_KIND_TEXT, offsetof(struct deployment, name), true, NULL},
	{"job_variables", JSON_KIND_OBJECT, offsetof(struct deployment, job_variables), false, NULL},
};

void flow_release(struct flow *flow)
{
	json_release(JSON_TABLE(flow_fields), flow);
	*flow = (struct flow){0};
}

void flows_release(struct flow *flows, size_t count)
{
	json_release_list(JSON_TABLE(flow_fields), sizeof *flows, flows, count);
}

void deployment_release(struct deployment *deployment)
{
	json_release(JSON_TABLE(deployment_fields), deployment);
	*deployment = (struct deployment){0};
}

int flow_read(struct prefect *prefect, const char *id, struct flow *ret_flow, struct error *err)
{
	AUTO_JSON *answer = NULL;

	int rc = prefect_get(prefect, &answer, err, "/flows/%s", id);
	return rc != 0 ? rc : json_decode(answer, JSON_TABLE(flow_fields), ret_flow, sizeof *ret_flow, err);
}

int flow_ensure(struct prefect *prefect, const char *name, struct flow *ret_flow, struct error *err)
{
	AUTO_JSON *answer = NULL;

	int rc = prefect_post(prefect, json_pack("{s:s}", "name", name), PREFECT_REPEATABLE, &answer, err, "/flows/");
	return rc != 0 ? rc : json_decode(answer, JSON_TABLE(flow_fields), ret_flow, sizeof *ret_flow, err);
}

int flow_count(struct prefect *prefect, const json_t *flow_runs, int64_t *ret_count, struct error *err)
{
	return prefect_count(prefect, json_pack("{s:O}", "flow_runs", flow_runs), ret_count, err, "/flows/count");
}

int deployment_count(struct prefect *prefect, const json_t *flow_runs, int64_t *ret_count, struct error *err)
{
	return prefect_count(prefect, json_pack("{s:O}", "flow_runs", flow_runs), ret_count, err, "/deployments/count");
}

int flow_filter(struct prefect *prefect, const json_t *flow_runs, int64_t offset, struct flow **ret_flows,
                size_t *ret_count, struct error *err)
{
	AUTO_JSON *answer = NULL;

	int rc = prefect_post(prefect,
	                      json_pack("{s:O, s:s, s:I}", "flow_runs", flow_runs, "sort", "NAME_ASC", "offset",
	                                (json_int_t)offset),
	                      PREFECT_REPEATABLE, &answer, err, "/flows/filter");
	if (rc != 0)
		return rc;

	void *flows;
	rc = json_decode_list(answer, JSON_TABLE(flow_fields), sizeof(struct flow), &flows, ret_count, err);
	if (rc != 0)
		return error_prefix(err, rc, "POST /flows/filter");
	*ret_flows = flows;
	return 0;
}

int deployment_read(struct prefect *prefect, const char *id, struct deployment *ret_deployment, struct error *err)
{
	AUTO_JSON *answer = NULL;

	int rc = prefect_get(prefect, &answer, err, "/deployments/%s", id);
	return rc != 0 ? rc : json_decode(answer, JSON_TABLE(deployment_fields), ret_deployment, sizeof *ret_deployment, err);
}

int deployment_filter(struct prefect *prefect, json_t *body, json_t **ret_deployments, struct error *err)
{
	AUTO_JSON *answer = NULL;

	int rc = prefect_post(prefect, body, PREFECT_REPEATABLE, &answer, err, "/deployments/filter");
	if (rc != 0)
		return rc;
	if (!json_is_array(answer))
		return error_set(err, ERR_DECODE, "POST /deployments/filter: the answer is not a list");
	*ret_deployments = json_incref(answer);
	return 0;
}

int deployment_run(struct prefect *prefect, const char *id, json_t *body, struct flow_run *ret_run, struct error *err)
{
	AUTO_JSON *answer = NULL;

	int rc = prefect_post(prefect, body, PREFECT_REPEATABLE, &answer, err, "/deployments/%s/create_flow_run", id);
	return rc != 0 ? rc : flow_run_decode(answer, ret_run, err);
}

int deployment_upsert(struct prefect *prefect, json_t *body, struct deployment *ret_deployment, struct error *err)
{
	AUTO_JSON *answer = NULL;

	int rc = prefect_post(prefect, body, PREFECT_REPEATABLE, &answer, err, "/deployments/");
	return rc != 0 ? rc : json_decode(answer, JSON_TABLE(deployment_fields), ret_deployment, sizeof *ret_deployment, err);
}

int deployment_check(struct prefect *prefect, json_t *body, struct error *err)
{
	AUTO_JSON *answer = NULL;
	json_t *trial = json_copy(body);
	char uuid[UUID_SIZE];
	char pool[32 + UUID_SIZE];

	uuid_make(uuid);
	(void)snprintf(pool, sizeof pool, "none-%s", uuid);
	if (trial == NULL || json_object_set_new(trial, "work_pool_name", json_string(pool)) != 0 ||
	    json_object_set_new(trial, "flow_id", json_string(uuid)) != 0) {
		json_decref(trial);
		return error_nomem(err);
	}
	int rc = prefect_post(prefect, trial, PREFECT_REPEATABLE, &answer, err, "/deployments/");
	if (rc == ERR_NOT_FOUND)
		return 0;
	return rc != 0 ? rc : error_set(err, ERR_DECODE, "POST /deployments/: the server knows a work pool '%s' that was never made", pool);
}

int deployment_schedule_update(struct prefect *prefect, const char *id, const char *schedule, json_t *body, struct error *err)
{
	return prefect_patch(prefect, body, err, "/deployments/%s/schedules/%s", id, schedule);
}

int deployment_count_in_pool(struct prefect *prefect, const char *pool, int64_t *ret_count, struct error *err)
{
	return prefect_count(prefect, json_pack("{s:{s:{s:[s]}}}", "work_pools", "name", "any_", pool), ret_count, err,
	                     "/deployments/count");
}
