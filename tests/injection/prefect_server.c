#include "tests/injection/prefect_server.h"

#include <stdio.h>
#include <string.h>

#include "client/base/text.h"
#include "tests/injection/failing.h"
#include "tests/unit/worker/flow_run.h"

#define OWN "/flow_runs/" OWN_ID
#define POOL "/work_pools/p"
#define NOT_FOUND(what) {.status = 404, .body = "{\"detail\": \"" what " not found\"}"}
#define PROXY_404 {.status = 404, .body = "{\"detail\": \"Not Found\"}"}

static const struct run_facts started = {"COMPLETED", "Completed", "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"};
static const struct run_facts never_started = {"CANCELLED", "Cancelled", NULL, "2026-01-01T00:00:00Z"};
/* Each differs in one clause from what the plan takes. */
static const struct run_facts bystanders[] = {
	{"RUNNING", "Completed", "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"},
	{"COMPLETED", "Kept", "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"},
	{"COMPLETED", "Completed", "2026-11-20T00:00:00Z", "2026-11-20T00:01:00Z"},
	{"COMPLETED", "Completed", "2026-01-01T00:00:00Z", "2030-01-01T00:00:00Z"},
	{"CANCELLED", "Cancelled", NULL, "2030-01-01T00:00:00Z"},
	{"COMPLETED", "Completed", "2026-01-01T00:00:00Z", NULL},
};

static json_t *now(void)
{
	failing_pass(1); /* no two states at the same time */
	return json_time(failing_now_ms() * 1000);
}

static void enter(struct prefect_server *server, json_t *state)
{
	(void)json_object_set_new(state, "timestamp", now());
	json_decref(server->state);
	server->state = state;
	(void)json_array_append(server->history, state);
}

static void add_runs(struct prefect_server *server, const struct run_facts *facts, size_t count)
{
	size_t from = server->runs.count;

	server_of_runs_add(&server->runs, 0, count);
	for (size_t i = from; i < server->runs.count; i++)
		server->runs.runs[i].facts = facts;
}

void prefect_server_init(struct prefect_server *server)
{
	*server = (struct prefect_server){.history = json_array(), .inputs = json_array(), .labels = json_object(),
	                                  .fired = json_array(), .runs = {.max_limit = 6}};
	add_runs(server, &started, SERVER_STARTED);
	add_runs(server, &never_started, SERVER_NEVER_STARTED);
	EACH(facts, bystanders)
		add_runs(server, facts, 1);
	/* Of runs of the plan, and of one that is not. */
	server->runs.runs[1].artifacts = 2;
	server->runs.runs[SERVER_STARTED].artifacts = 1;
	server->runs.runs[SERVER_PLANNED].artifacts = 1;
	enter(server, json_pack("{s:s, s:s, s:{}}", "type", "SCHEDULED", "name", "Scheduled", "state_details"));
}

void prefect_server_release(struct prefect_server *server)
{
	server_of_runs_release(&server->runs);
	json_decref(server->state);
	json_decref(server->history);
	json_decref(server->inputs);
	json_decref(server->labels);
	json_decref(server->fired);
}

const char *prefect_server_state(const struct prefect_server *server)
{
	return json_string_value(json_object_get(server->state, "type"));
}

const char *prefect_server_message(const struct prefect_server *server)
{
	const char *message = json_string_value(json_object_get(server->state, "message"));

	return message != NULL ? message : "";
}

bool prefect_server_ended(const struct prefect_server *server)
{
	static const char *const ends[] = {"COMPLETED", "FAILED", "CANCELLED", "CRASHED"};

	EACH(end, ends)
		if (strcmp(prefect_server_state(server), *end) == 0)
			return true;
	return false;
}

static bool is_state(const struct prefect_server *server, const char *type)
{
	return strcmp(prefect_server_state(server), type) == 0;
}

/* --- answers ------------------------------------------------------------------------------------------------ */

static struct http_reply reply_json(json_t *json)
{
	struct http_reply reply = {.owned = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY)};

	json_decref(json);
	return reply;
}

static json_t *own_run(const struct prefect_server *server)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:O, s:O, s:s, s:O, s:{s:O}, s:{s:{s:s, s:i, s:[s,s]}}}", "id", OWN_ID, "flow_id", ID_B,
	                 "deployment_id", ID_C, "name", "own-run", "state_type", json_object_get(server->state, "type"),
	                 "state_name", json_object_get(server->state, "name"), "expected_start_time", "2026-11-21T06:34:21Z",
	                 "labels", server->labels, "empirical_policy", "pause_keys", server->fired, "parameters", "config",
	                 "retention_period", "P30D", "batch_size", 10, "states_to_clean", "Completed", "Cancelled");
}

static json_t *own_run_with_state(const struct prefect_server *server)
{
	json_t *run = own_run(server);

	(void)json_object_set(run, "state", server->state);
	return run;
}

/* --- inputs ------------------------------------------------------------------------------------------------- */

static size_t find_input(const struct prefect_server *server, const char *key)
{
	size_t i = 0;

	while (i < json_array_size(server->inputs) &&
	       strcmp(json_string_value(json_object_get(json_array_get(server->inputs, i), "key")), key) != 0)
		i++;
	return i;
}

static struct http_reply list_inputs(const struct prefect_server *server, const char *prefix)
{
	json_t *list = json_array();
	size_t i;
	json_t *input;

	json_array_foreach(server->inputs, i, input)
		if (strncmp(json_string_value(json_object_get(input, "key")), prefix, strlen(prefix)) == 0)
			(void)json_array_append(list, input);
	return reply_json(list);
}

static struct http_reply one_input(struct prefect_server *server, const char *method, const char *key)
{
	size_t at = find_input(server, key);

	if (at == json_array_size(server->inputs))
		return (struct http_reply)NOT_FOUND("Flow run input");
	if (strcmp(method, "GET") == 0)
		return (struct http_reply){
			.owned = text_dup(json_string_value(json_object_get(json_array_get(server->inputs, at), "value")))};
	(void)json_array_remove(server->inputs, at);
	return (struct http_reply){.status = 204};
}

static struct http_reply inputs(struct prefect_server *server, const struct http_seen *seen, const json_t *body)
{
	const char *key = json_string_value(json_object_get(body, "key"));

	if (strcmp(seen->path, OWN "/input/filter") == 0)
		return list_inputs(server, json_string_value(json_object_get(body, "prefix")));
	if (seen->path[strlen(OWN "/input")] == '/')
		return one_input(server, seen->method, seen->path + strlen(OWN "/input/"));
	if (find_input(server, key) < json_array_size(server->inputs))
		return (struct http_reply){.status = 409, .body = "{\"detail\": \"A flow run input with this key already exists.\"}"};
	(void)json_array_append(server->inputs, (json_t *)(uintptr_t)body);
	return (struct http_reply){.status = 201};
}

void prefect_server_answer(struct prefect_server *server, bool approve)
{
	const json_t *keyset = json_object_get(json_object_get(server->state, "state_details"), "run_input_keyset");

	(void)json_array_append_new(server->inputs,
	                            json_pack("{s:O, s:s}", "key", json_object_get(keyset, "response"), "value",
	                                      approve ? "{\"approve\": true, \"notes\": \"go\"}" : "{\"approve\": false}"));
	server->approved = approve;
	server->answered_at = server->requests;
	enter(server, json_pack("{s:s, s:s, s:{}}", "type", "RUNNING", "name", "Running", "state_details"));
}

/* --- states ------------------------------------------------------------------------------------------------- */

static struct http_reply verdict(const struct prefect_server *server, const char *status, const char *reason)
{
	struct http_reply reply = reply_json(json_pack("{s:s, s:O, s:{s:s?}}", "status", status, "state", server->state, "details",
	                                               "reason", reason));
	reply.status = 201;
	return reply;
}

static bool pause_has_fired(const struct prefect_server *server, const json_t *key)
{
	size_t i;
	json_t *fired;

	json_array_foreach(server->fired, i, fired)
		if (json_equal(fired, key))
			return true;
	return false;
}

/* As from 3.9 on: what is stored under the keys of a pause belongs to an earlier attempt. */
static void forget_inputs(struct prefect_server *server, const json_t *keyset)
{
	const char *part;
	json_t *key;

	json_object_foreach((json_t *)(uintptr_t)keyset, part, key)
		(void)json_array_remove(server->inputs, find_input(server, json_string_value(key)));
}

bool prefect_server_can_be_answered(const struct prefect_server *server)
{
	const json_t *keyset = json_object_get(json_object_get(server->state, "state_details"), "run_input_keyset");
	const char *schema = json_string_value(json_object_get(keyset, "schema"));

	return is_state(server, "PAUSED") && schema != NULL && find_input(server, schema) < json_array_size(server->inputs);
}

static struct http_reply set_state(struct prefect_server *server, json_t *proposed)
{
	const char *type = json_string_value(json_object_get(proposed, "type"));
	const json_t *details = json_object_get(proposed, "state_details");
	json_t *key = json_object_get(details, "pause_key");

	if (json_equal(json_object_get(details, "transition_id"),
	               json_object_get(json_object_get(server->state, "state_details"), "transition_id")))
		return verdict(server, "REJECT", "This run has already made this state transition.");
	if (prefect_server_ended(server)) {
		server->after_end++;
		return verdict(server, "ABORT", "The run has ended.");
	}
	if (strcmp(type, "PENDING") == 0 && !is_state(server, "SCHEDULED"))
		return verdict(server, "ABORT", "This run cannot transition to a PENDING state.");
	if (strcmp(type, "PAUSED") == 0 && (!is_state(server, "RUNNING") || pause_has_fired(server, key)))
		return verdict(server, "REJECT", "This pause has already fired.");
	if (key != NULL)
		(void)json_array_append(server->fired, key);
	if (strcmp(type, "PAUSED") == 0)
		forget_inputs(server, json_object_get(details, "run_input_keyset"));
	enter(server, json_incref(proposed));
	return verdict(server, "ACCEPT", NULL);
}

/* --- requests ----------------------------------------------------------------------------------------------- */

static bool starts(const char *path, const char *start)
{
	return strncmp(path, start, strlen(start)) == 0;
}

/* Searches that name more than flow runs are about those of the pool, which is the cleanup run. */
static struct http_reply pool_runs(const struct prefect_server *server, const json_t *body)
{
	const struct run_facts own = {prefect_server_state(server), json_string_value(json_object_get(server->state, "name")), NULL,
	                              NULL};
	json_t *list = json_array();

	if (json_integer_value(json_object_get(body, "offset")) == 0 && run_facts_match(&own, json_object_get(body, "flow_runs")))
		(void)json_array_append_new(list, own_run_with_state(server));
	return reply_json(list);
}

static struct http_reply scheduled(const struct prefect_server *server)
{
	json_t *list = json_array();

	if (is_state(server, "SCHEDULED"))
		(void)json_array_append_new(list, json_pack("{s:o}", "flow_run", own_run(server)));
	return reply_json(list);
}

static struct http_reply own(struct prefect_server *server, const struct http_seen *seen, json_t *body)
{
	if (starts(seen->path, OWN "/input"))
		return inputs(server, seen, body);
	if (strcmp(seen->path, OWN "/set_state") == 0)
		return set_state(server, json_object_get(body, "state"));
	if (strcmp(seen->path, OWN "/labels") == 0)
		(void)json_object_update(server->labels, body);
	return strcmp(seen->method, "GET") == 0 ? reply_json(own_run_with_state(server)) : (struct http_reply){.status = 204};
}

/* What is asked about many runs, or done to them. */
static struct http_reply many(struct prefect_server *server, const struct http_seen *seen, const json_t *body)
{
	size_t before = server->runs.deleted;

	if (strcmp(seen->path, "/flow_runs/filter") == 0 && json_object_get(body, "work_pools") != NULL)
		return pool_runs(server, body);
	struct http_reply reply = server_of_runs_handle(&server->runs, seen);
	if (!server->approved)
		server->deleted_unapproved += server->runs.deleted - before;
	return reply;
}

static struct http_reply carry_out(struct prefect_server *server, const struct http_seen *seen)
{
	static const struct {
		const char *method, *path;
		struct http_reply reply;
	} fixed[] = {
		{"POST", "/deployments/count", {.body = "1"}},
		{"GET", POOL, {.body = "{\"id\": \"" ID_A "\", \"name\": \"p\", \"type\": \"janitor\", \"base_job_template\": {}}"}},
		{"POST", POOL "/workers/heartbeat", {.status = 204}},
		{"GET", "/flows/" ID_B, {.body = "{\"id\": \"" ID_B "\", \"name\": \"database-cleanup\"}"}},
		{"POST", "/flows/filter", {.body = "[{\"id\": \"" ID_A "\", \"name\": \"etl\"}]"}},
		{"GET", "/deployments/" ID_C,
		 {.body = "{\"id\": \"" ID_C "\", \"flow_id\": \"" ID_B "\", \"name\": \"d\", \"job_variables\": {\"batch_pause_ms\": 5, \"batch_pause_max_ms\": 5}}"}},
		{"POST", "/logs/", {.status = 201}},
		{"POST", "/deployments/filter", {.body = "[]"}},
		{"GET", "/admin/version", {.body = "\"3.9.1\""}},
	};
	AUTO_JSON *body = json_loads(seen->body, JSON_DECODE_ANY, NULL);

	if (body == NULL && seen->body[0] != '\0') {
		server->not_json++;
		return (struct http_reply){.status = 422};
	}
	EACH(row, fixed)
		if (strcmp(row->method, seen->method) == 0 && strcmp(row->path, seen->path) == 0)
			return row->reply;
	if (strcmp(seen->path, POOL "/get_scheduled_flow_runs") == 0)
		return scheduled(server);
	if (strcmp(seen->path, POOL "/workers/filter") == 0)
		return (struct http_reply){.body = json_integer_value(json_object_get(body, "offset")) == 0
		                                           ? "[{\"name\": \"me\", \"status\": \"ONLINE\"}]"
		                                           : "[]"};
	if (starts(seen->path, "/flow_run_states/"))
		return reply_json(json_incref(server->history));
	if (starts(seen->path, OWN))
		return own(server, seen, body);
	if (starts(seen->path, "/flow_runs/") || starts(seen->path, "/task_runs/") || starts(seen->path, "/artifacts/") ||
	    strcmp(seen->path, "/logs/filter") == 0)
		return many(server, seen, body);
	(void)snprintf(server->unknown, sizeof server->unknown, "%s %s", seen->method, seen->path);
	return (struct http_reply)PROXY_404;
}

/* Is this request one that fails? */
static bool is_faulty(struct prefect_server *server)
{
	if (server->fault == NULL)
		return false;
	if (server->requests == server->fault_at) {
		server->fault_until_ms = failing_now_ms() + server->fault->lasts_ms;
		return true;
	}
	return server->requests > server->fault_at && failing_now_ms() < server->fault_until_ms;
}

static void learn_path(struct prefect_paths *paths, const struct http_seen *seen, size_t at)
{
	char path[sizeof paths->seen[0]];
	size_t i = 0;

	(void)snprintf(path, sizeof path, "%s %s", seen->method, seen->path);
	while (i < paths->count && strcmp(paths->seen[i], path) != 0)
		i++;
	paths->requests = at;
	paths->is_new[at - 1] = i == paths->count || strstr(path, "bulk_delete") != NULL;
	if (i == paths->count && i < SERVER_PATHS_MAX)
		(void)strcpy(paths->seen[paths->count++], path);
}

struct http_reply prefect_server_handle(void *arg, const struct http_seen *seen)
{
	struct prefect_server *server = arg;

	failing_exempt(true); /* the server's thread */
	server->requests++;
	if (server->paths != NULL)
		learn_path(server->paths, seen, server->requests);
	if (!is_faulty(server))
		return carry_out(server, seen);

	server->faults++;
	struct http_reply reply = server->fault->carried_out ? carry_out(server, seen) : (struct http_reply){0};
	if (server->fault->reply.trick == TRICK_HALF) {
		reply.trick = TRICK_HALF;
		return reply;
	}
	free(reply.owned);
	return server->fault->reply;
}
