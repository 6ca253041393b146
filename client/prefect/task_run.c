#include "client/prefect/task_run.h"

#include <stdlib.h>
#include <string.h>

#include "client/base/text.h"

static const struct json_field task_run_fields[] = {
	{"id", JSON_KIND_UUID, offsetof(struct task_run, id), true, NULL},
	{"flow_run_id", JSON_KIND_UUID, offsetof(struct task_run, flow_run_id), false, NULL},
	{"task_key", JSON_KIND_TEXT, offsetof(struct task_run, task_key), true, NULL},
	{"dynamic_key", JSON_KIND_TEXT, offsetof(struct task_run, dynamic_key), true, NULL},
	{"state_type", JSON_KIND_ENUM, offsetof(struct task_run, state_type), false, state_type_names},
};

void task_run_release(struct task_run *run)
{
	json_release(JSON_TABLE(task_run_fields), run);
	*run = (struct task_run){0};
}

void task_runs_release(struct task_run *runs, size_t count)
{
	json_release_list(JSON_TABLE(task_run_fields), sizeof *runs, runs, count);
}

/* A new StateCreate; NULL without memory. */
static json_t *state_body(enum state_type type, const char *message)
{
	char clean[STATE_MESSAGE_MAX];

	if (message != NULL)
		text_clean(clean, sizeof clean, message, strlen(message));
	return json_pack("{s:s, s:s*}", "type", state_type_name(type), "message", message != NULL ? clean : NULL);
}

int task_run_create(struct prefect *prefect, const struct task_run_new *wanted, struct task_run *ret_run,
                    struct error *err)
{
	AUTO_JSON *answer = NULL;
	json_t *upstream = json_array();

	for (size_t i = 0; wanted->upstream != NULL && wanted->upstream[i] != NULL; i++)
		(void)json_array_append_new(upstream,
		                            json_pack("{s:s, s:s}", "input_type", "task_run", "id", wanted->upstream[i]));
	json_t *body = json_pack("{s:s, s:s, s:s, s:s, s:[s], s:{s:o}, s:o}", "flow_run_id", wanted->flow_run_id, "name",
	                         wanted->name, "task_key", wanted->task_key, "dynamic_key", wanted->dynamic_key, "tags",
	                         wanted->tag, "task_inputs", "upstream", upstream, "state",
	                         state_body(wanted->state, wanted->message));
	int rc = prefect_post(prefect, body, PREFECT_REPEATABLE, &answer, err, "/task_runs/");
	if (rc == 0)
		rc = json_decode(answer, JSON_TABLE(task_run_fields), ret_run, sizeof *ret_run, err);
	return rc != 0 ? error_prefix(err, rc, "the task run '%s'", wanted->name) : 0;
}

int task_run_set_state(struct prefect *prefect, const char *id, enum state_type type, const char *message,
                       struct error *err)
{
	AUTO_JSON *answer = NULL;
	json_t *body = json_pack("{s:o, s:b}", "state", state_body(type, message), "force", 0);

	int rc = prefect_post(prefect, body, PREFECT_REPEATABLE, &answer, err, "/task_runs/%s/set_state", id);
	if (rc != 0)
		return rc;
	const char *status = json_string_value(json_object_get(answer, "status"));
	if (status == NULL)
		return error_set(err, ERR_DECODE, "POST /task_runs/{id}/set_state: the answer has no status");
	return strcmp(status, "ACCEPT") == 0
	               ? 0
	               : error_set(err, ERR_CONFLICT, "the server does not accept the task run's state %s", state_type_name(type));
}

/* The body of a search; NULL without memory. */
static json_t *query_body(const struct task_run_query *query)
{
	return json_pack("{s:O*, s:O*, s:O*}", "task_runs", query->task_runs, "flow_runs", query->flow_runs, "flows", query->flows);
}

int task_run_filter(struct prefect *prefect, const struct task_run_query *query, struct task_run **ret_runs,
                    size_t *ret_count, struct error *err)
{
	AUTO_JSON *answer = NULL;
	void *runs;

	int rc = prefect_post(prefect, query_body(query), PREFECT_REPEATABLE, &answer, err, "/task_runs/filter");
	if (rc == 0)
		rc = json_decode_list(answer, JSON_TABLE(task_run_fields), sizeof(struct task_run), &runs, ret_count, err);
	if (rc != 0)
		return error_prefix(err, rc, "the task runs");
	*ret_runs = runs;
	return 0;
}

int task_run_count(struct prefect *prefect, const struct task_run_query *query, int64_t *ret_count, struct error *err)
{
	return prefect_count(prefect, query_body(query), ret_count, err, "/task_runs/count");
}
