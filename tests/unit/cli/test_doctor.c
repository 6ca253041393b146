/* What doctor makes of a server's answers, above all of those that no real server here gives. */
#include "cli/doctor.h"

#include <stdlib.h>
#include <string.h>

#include "client/base/text.h"
#include "flows/database_cleanup/database_cleanup.h"
#include "tests/unit/api.h"
#include "tests/unit/worker/settings_source.h"

/* One answer that is not as usual: the first path that begins with `path`. */
struct odd_answer {
	const char *path;
	struct http_reply reply;
};

struct doctor_server {
	const struct odd_answer *odd;
	size_t bulk_deletes;
	char bulk_body[300];
	bool workers_told;
	char runs_body[400]; /* what was asked about runs */
};

static const struct {
	const char *path;
	struct http_reply reply;
} usual[] = {
	{"/health", {.body = "true"}},
	{"/admin/version", {.body = "\"3.9.1\""}},
	{"/csrf-token", {.status = 422, .body = "{\"detail\": \"CSRF protection is disabled.\"}"}},
	{"/flow_runs/bulk_delete",
	 {.status = 422,
	  .body = "{\"exception_message\": \"Invalid request received.\", \"exception_detail\": [{\"loc\": [\"body\", \"limit\"], "
	          "\"msg\": \"too many\", \"ctx\": {\"le\": 50}}]}"}},
	{"/admin/settings", {.body = "{\"server\": {\"database\": {\"connection_url\": null, \"driver\": null}}}"}},
	{"/flow_runs/filter", {.body = "[]"}},
	{"/work_pools/p/queues/", {.body = "{\"is_paused\": false}"}},
};

/* A deployment as deploy makes it; @change replaces members. The caller frees it. */
static char *deployment_body(const char *change)
{
	AUTO_JSON *json = json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:o, s:o, s:[{s:b, s:{s:s, s:s}}]}", "id", ID_A, "name", "d",
	                            "work_pool_name", "p", "work_queue_id", ID_B, "work_queue_name", "default", "paused", 0,
	                            "enforce_parameter_schema", 1, "parameter_openapi_schema", database_cleanup_schema(), "parameters",
	                            database_cleanup_defaults(), "schedules", "active", 1, "schedule", "cron", "0 2 * * *", "timezone",
	                            "Europe/Berlin");
	AUTO_JSON *changes = unit_json(change);

	(void)json_object_update(json, changes);
	AUTO_JSON *list = json_pack("[O]", json);
	return json_dumps(list, 0);
}

static bool begins(const char *text, const char *start)
{
	return strncmp(text, start, strlen(start)) == 0;
}

static struct http_reply answer(void *arg, const struct http_seen *seen)
{
	struct doctor_server *server = arg;
	const struct odd_answer *odd = server->odd;

	if (begins(seen->path, "/flow_runs/bulk_delete")) {
		server->bulk_deletes++;
		(void)strncpy(server->bulk_body, seen->body, sizeof server->bulk_body - 1);
	}
	if (begins(seen->path, "/flow_runs/filter") && server->runs_body[0] == '\0')
		(void)strncpy(server->runs_body, seen->body, sizeof server->runs_body - 1);
	if (begins(seen->path, "/work_pools/p/workers/filter") && server->workers_told)
		return (struct http_reply){.body = "[]"};
	server->workers_told = server->workers_told || begins(seen->path, "/work_pools/p/workers/filter");
	if (odd->path != NULL && begins(seen->path, odd->path)) {
		/* A deployment's odd answer is what differs in it, unless it is none at all. */
		if (begins(seen->path, "/deployments/") && odd->reply.status == 0)
			return (struct http_reply){.owned = deployment_body(odd->reply.body)};
		return odd->reply;
	}
	for (size_t i = 0; i < COUNT_OF(usual); i++)
		if (begins(seen->path, usual[i].path))
			return usual[i].reply;
	if (begins(seen->path, "/deployments/filter"))
		return (struct http_reply){.owned = deployment_body("{}")};
	if (begins(seen->path, "/work_pools/p/workers/filter"))
		return (struct http_reply){
			.body = "[{\"name\": \"janitor-a\", \"status\": \"OFFLINE\", \"last_heartbeat_time\": \"2026-01-01T00:00:00Z\"},"
			        " {\"name\": \"janitor-b\", \"status\": \"ONLINE\", \"last_heartbeat_time\": \"2026-01-02T00:00:00Z\"}]"};
	if (begins(seen->path, "/work_pools/p"))
		return (struct http_reply){.body = "{\"id\": \"" ID_C "\", \"name\": \"p\", \"type\": \"janitor\", \"is_paused\": false}"};
	return (struct http_reply){.status = 404, .body = "{\"detail\": \"Not Found\"}"};
}

/* Examines the server of @odd. The caller releases both. */
static void examine(const char *row, const struct odd_answer *odd, const struct settings_source *more, struct doctor *doctor,
                    struct settings *settings, struct doctor_server *server)
{
	struct settings_source source = *more;
	struct error err;
	struct api api;
	char file[64];
	bool help;

	*server = (struct doctor_server){.odd = odd};
	api_open_handler(&api, answer, server);
	source.command = COMMAND_DOCTOR;
	source.no_pool = "";
	for (size_t i = 0; i < ENV_MAX; i++) {
		if (source.env[i][0] == NULL) {
			source.env[i][0] = "PREFECT_API_URL";
			source.env[i][1] = http_server_url(api.server);
			break;
		}
	}
	*doctor = (struct doctor){.settings = settings, .prefect = api.prefect, .clock = &api.clock};
	if (CHECK_RC(row, settings_from(&source, settings, &help, file, &err), 0, &err))
		doctor_examine(doctor);
	(void)api_close(&api, row);
	doctor->prefect = NULL;
	doctor->clock = NULL;
}

static const struct finding *find(const struct doctor *doctor, const char *name)
{
	for (size_t i = 0; i < doctor->count; i++)
		if (strcmp(doctor->findings[i].name, name) == 0)
			return &doctor->findings[i];
	return NULL;
}

static const char plain[] = "{}";

static const struct {
	const char *row;
	struct odd_answer odd;
	struct settings_source source;
	const char *check;
	enum finding_status status;
	const char *text;
} rows[] = {
	{"as usual", {NULL, {0}}, {.no_pool = NULL}, "address", FINDING_OK, "answers"},
	{"as usual", {NULL, {0}}, {.no_pool = NULL}, "ai", FINDING_OK, "off: people decide"},
	/* somebody else's server */
	{"a page", {"/health", {.body = "<html>"}}, {.no_pool = NULL}, "address", FINDING_FAIL, "PREFECT_API_URL"},
	{"another answer", {"/health", {.body = "{\"status\": \"up\"}"}}, {.no_pool = NULL}, "address", FINDING_FAIL,
	 "not that of a Prefect server"},
	{"nothing after that", {"/health", {.status = 500}}, {.no_pool = NULL}, "worker", FINDING_SKIP, "without the server"},
	/* auth */
	{"no password", {"/admin/version", {.status = 401}}, {.no_pool = NULL}, "auth", FINDING_FAIL, "401"},
	{"and nothing after it", {"/admin/version", {.status = 401}}, {.no_pool = NULL}, "deployment", FINDING_SKIP, "without the server"},
	{"a key", {NULL, {0}}, {.env = {{"PREFECT_API_KEY", "k"}}}, "auth", FINDING_OK, "the API key is taken"},
	{"tokens", {"/csrf-token", {.body = "{\"token\": \"t\"}"}}, {.no_pool = NULL}, "csrf", FINDING_OK, "asks for tokens"},
	{"tokens that fail", {"/csrf-token", {.status = 403}}, {.no_pool = NULL}, "csrf", FINDING_FAIL, "403"},
	/* version */
	{"Prefect 2", {"/admin/version", {.body = "\"2.20.4\""}}, {.no_pool = NULL}, "version", FINDING_FAIL, "2.20.4"},
	{"an old one", {"/admin/version", {.body = "\"3.4.19\""}}, {.no_pool = NULL}, "version", FINDING_WARN, "tested with 3.4.20"},
	{"the oldest tested", {"/admin/version", {.body = "\"3.4.20\""}}, {.no_pool = NULL}, "version", FINDING_OK, "Prefect 3.4.20"},
	{"the newest tested", {"/admin/version", {.body = "\"3.9.1\""}}, {.no_pool = NULL}, "version", FINDING_OK, "3.8.8, 3.9.1"},
	{"a new one", {"/admin/version", {.body = "\"3.10.0\""}}, {.no_pool = NULL}, "version", FINDING_WARN, "tested with"},
	{"a release candidate", {"/admin/version", {.body = "\"3.9.2rc1\""}}, {.no_pool = NULL}, "version", FINDING_WARN, "tested with"},
	{"the next", {"/admin/version", {.body = "\"4.0.0\""}}, {.no_pool = NULL}, "version", FINDING_WARN, "4.0.0"},
	{"none", {"/admin/version", {.status = 404}}, {.no_pool = NULL}, "version", FINDING_WARN, "does not say"},
	{"nonsense", {"/admin/version", {.body = "\"a\\nb\""}}, {.no_pool = NULL}, "version", FINDING_WARN, "a?b"},
	/* bulk_delete */
	{"a limit", {NULL, {0}}, {.no_pool = NULL}, "bulk-delete", FINDING_OK, "up to 50"},
	{"no limit", {"/flow_runs/bulk_delete", {.body = "{\"deleted\": []}"}}, {.no_pool = NULL}, "bulk-delete", FINDING_OK, "any number"},
	{"no such path", {"/flow_runs/bulk_delete", {.status = 404, .body = "{\"detail\": \"Not Found\"}"}}, {.no_pool = NULL},
	 "bulk-delete", FINDING_WARN, "one by one"},
	{"another refusal", {"/flow_runs/bulk_delete", {.status = 422, .body = plain}}, {.no_pool = NULL}, "bulk-delete", FINDING_WARN,
	 "422"},
	/* database */
	{"the default", {NULL, {0}}, {.no_pool = NULL}, "database", FINDING_OK, "SQLite"},
	{"a driver", {"/admin/settings", {.body = "{\"server\": {\"database\": {\"driver\": \"postgresql+asyncpg\"}}}"}}, {.no_pool = NULL},
	 "database", FINDING_OK, "postgresql+asyncpg"},
	{"hidden", {"/admin/settings", {.body = "{\"server\": {\"database\": {\"connection_url\": \"***\"}}}"}}, {.no_pool = NULL},
	 "database", FINDING_OK, "SQLite or PostgreSQL: its address was set on the server"},
	{"no settings", {"/admin/settings", {.status = 404}}, {.no_pool = NULL}, "database", FINDING_OK, "does not tell"},
	/* the deployment */
	{"none", {"/deployments/", {.status = 200, .body = "[]"}}, {.no_pool = NULL}, "deployment", FINDING_FAIL,
	 "there is no deployment"},
	{"none of that name", {"/deployments/", {.status = 200, .body = "[]"}}, {.args = {"--deployment", "x"}}, "deployment",
	 FINDING_FAIL, "no deployment 'x'"},
	{"several", {"/deployments/", {.status = 200, .body = "[{\"name\": \"a\"}, {\"name\": \"b\"}]"}}, {.no_pool = NULL},
	 "deployment", FINDING_FAIL, "'a' has no work pool"}, /* and the same of b */
	{"nor its schema", {"/deployments/", {.status = 200, .body = "[]"}}, {.no_pool = NULL}, "schema", FINDING_SKIP, "without the deployment"},
	{"without a pool", {"/deployments/", {.body = "{\"work_pool_name\": null}"}}, {.no_pool = NULL}, "deployment", FINDING_FAIL,
	 "has no work pool"},
	{"in another pool", {"/deployments/", {.body = "{\"work_pool_name\": \"q\"}"}}, {.args = {"--pool", "p"}}, "deployment",
	 FINDING_FAIL, "is in work pool 'q', not in 'p'"},
	{"paused", {"/deployments/", {.body = "{\"paused\": true}"}}, {.no_pool = NULL}, "deployment", FINDING_WARN, "paused"},
	{"not enforced", {"/deployments/", {.body = "{\"enforce_parameter_schema\": false}"}}, {.no_pool = NULL}, "deployment",
	 FINDING_WARN, "does not enforce"},
	{"drift", {"/deployments/", {.body = "{\"parameter_openapi_schema\": {\"type\": \"object\"}}"}}, {.no_pool = NULL}, "schema",
	 FINDING_FAIL, "not those of this program"},
	{"no schema", {"/deployments/", {.body = "{\"parameter_openapi_schema\": null}"}}, {.no_pool = NULL}, "schema", FINDING_FAIL,
	 "not those of this program"},
	{"wrong defaults", {"/deployments/", {.body = "{\"parameters\": {\"config\": {\"batch_size\": 5}}}"}}, {.no_pool = NULL},
	 "parameters", FINDING_FAIL, "batch_size"},
	{"a dry run", {"/deployments/", {.body = "{\"parameters\": {\"config\": {\"dry_run\": true}}}"}}, {.no_pool = NULL}, "parameters",
	 FINDING_OK, "dry run"},
	{"an AI agent that is off", {"/deployments/", {.body = "{\"parameters\": {\"config\": {\"approval_type\": \"ai\"}}}"}},
	 {.no_pool = NULL}, "ai", FINDING_FAIL, "off here"},
	/* the schedule */
	{"of deploy", {NULL, {0}}, {.no_pool = NULL}, "schedule", FINDING_OK, "0 2 * * * (Europe/Berlin)"},
	{"none", {"/deployments/", {.body = "{\"schedules\": []}"}}, {.no_pool = NULL}, "schedule", FINDING_WARN, "there is none"},
	{"switched off", {"/deployments/", {.body = "{\"schedules\": [{\"active\": false, \"schedule\": {\"cron\": \"x\"}}]}"}},
	 {.no_pool = NULL}, "schedule", FINDING_WARN, "switched off"},
	{"an interval", {"/deployments/", {.body = "{\"schedules\": [{\"active\": true, \"schedule\": {\"interval\": 3600.0}}]}"}},
	 {.no_pool = NULL}, "schedule", FINDING_OK, "every 1 hour (UTC)"},
	{"a run that nobody takes",
	 {"/flow_runs/filter", {.body = "[{\"id\": \"" ID_A "\", \"flow_id\": \"" ID_B "\", \"name\": \"n\", \"state_type\": \"SCHEDULED\","
	                                " \"expected_start_time\": \"2026-01-01T02:00:00Z\"}]"}},
	 {.no_pool = NULL}, "schedule", FINDING_FAIL, "should have started at 2026-01-01 02:00:00 UTC"},
	/* pool, queue and workers */
	{"no pool", {"/work_pools/p", {.status = 404, .body = "{\"detail\": \"Worker pool not found\"}"}}, {.no_pool = NULL}, "work-pool",
	 FINDING_FAIL, "there is no work pool 'p'"},
	{"of another type",
	 {"/work_pools/p", {.body = "{\"id\": \"" ID_C "\", \"name\": \"p\", \"type\": \"process\", \"is_paused\": false}"}},
	 {.no_pool = NULL}, "work-pool", FINDING_FAIL, "has type 'process'"},
	{"paused pool", {"/work_pools/p", {.body = "{\"id\": \"" ID_C "\", \"name\": \"p\", \"type\": \"janitor\", \"is_paused\": true}"}},
	 {.no_pool = NULL}, "work-pool", FINDING_WARN, "paused"},
	{"paused queue", {"/work_pools/p/queues/", {.body = "{\"is_paused\": true}"}}, {.no_pool = NULL}, "work-queue", FINDING_WARN, "paused"},
	{"a worker", {NULL, {0}}, {.no_pool = NULL}, "worker", FINDING_OK, "1 online; 'janitor-b'"},
	{"no worker", {"/work_pools/p/workers", {.body = "[]"}}, {.no_pool = NULL}, "worker", FINDING_FAIL, "never had one"},
	{"a worker that is gone",
	 {"/work_pools/p/workers",
	  {.body = "[{\"name\": \"w\", \"status\": \"OFFLINE\", \"last_heartbeat_time\": \"2026-01-01T00:00:00Z\"}]"}},
	 {.no_pool = NULL}, "worker", FINDING_FAIL, "the last one was 'w'"},
	/* this machine */
	{"no file", {NULL, {0}}, {.no_pool = NULL}, "configuration", FINDING_OK, "no file"},
};

static void judges_answers(void)
{
	EACH(row, rows)
	{
		struct doctor_server server;
		struct settings settings = {0};
		struct doctor doctor;
		const struct finding *finding;

		examine(row->row, &row->odd, &row->source, &doctor, &settings, &server);
		finding = find(&doctor, row->check);
		if (CHECK(row->row, finding != NULL)) {
			CHECK_STR(row->row, finding_word(finding->status), finding_word(row->status));
			CHECK_HAS(row->row, finding->text, row->text);
			/* Whoever is told that something fails is told what to do; where the server says it all, by its words. */
			CHECK(row->row, finding->status != FINDING_FAIL || finding->next[0] != '\0' || strstr(finding->text, "HTTP") != NULL);
		}
		enum finding_status verdict = doctor_verdict(&doctor);
		CHECK(row->row, row->status == FINDING_SKIP ? verdict == FINDING_FAIL : verdict >= row->status);
		doctor_release(&doctor);
		settings_release(&settings);
	}
}

/* A run that was started by hand, or that waits in another pool, says nothing of the schedule. */
static void asks_for_the_schedule_s_own_runs(void)
{
	static const struct odd_answer none = {NULL, {0}};
	struct doctor_server server;
	struct settings settings = {0};
	struct doctor doctor;

	examine("runs", &none, &(struct settings_source){0}, &doctor, &settings, &server);
	CHECK_HAS("runs", server.runs_body, "\"tags\":{\"all_\":[\"auto-scheduled\"]}");
	CHECK_HAS("runs", server.runs_body, "\"work_pools\":{\"name\":{\"any_\":[\"p\"]}}");
	doctor_release(&doctor);
	settings_release(&settings);
}

/* The one request that could delete: it names a run that cannot exist, and a limit that no server takes. */
static void cannot_delete(void)
{
	static const struct odd_answer none = {NULL, {0}};
	struct doctor_server server;
	struct settings settings = {0};
	struct doctor doctor;
	char id[UUID_SIZE];
	char first[UUID_SIZE] = "";

	for (int i = 0; i < 2; i++) {
		examine("probe", &none, &(struct settings_source){0}, &doctor, &settings, &server);
		AUTO_JSON *body = unit_json(server.bulk_body);
		const json_t *ids = json_object_get(json_object_get(json_object_get(body, "flow_runs"), "id"), "any_");
		CHECK_INT("probe", server.bulk_deletes, 1);
		CHECK_INT("probe", json_array_size(ids), 1);
		CHECK("probe", json_integer_value(json_object_get(body, "limit")) >= 100000);
		CHECK("probe", uuid_parse_text(json_string_value(json_array_get(ids, 0)), id) && strcmp(id, first) != 0);
		memcpy(first, id, sizeof first);
		doctor_release(&doctor);
		settings_release(&settings);
	}
}

/* Each deployment has its own lines, after those that are about none. */
static void looks_at_each_deployment(void)
{
	const struct odd_answer odd = {"/deployments/", {.status = 200, .body = "[{\"name\": \"a\"}, {\"name\": \"b\"}]"}};
	struct doctor_server server;
	struct settings settings = {0};
	struct doctor doctor;
	size_t of_a = 0;
	size_t of_b = 0;

	examine("several", &odd, &(struct settings_source){.no_pool = NULL}, &doctor, &settings, &server);
	for (size_t i = 0; i < doctor.count; i++) {
		of_a += strcmp(doctor.findings[i].deployment, "a") == 0;
		of_b += strcmp(doctor.findings[i].deployment, "b") == 0;
	}
	CHECK_INT("as many of one as of the other", of_a, of_b);
	CHECK_INT("from the deployment to the forms", of_a, 9);
	CHECK_STR("what is about none", doctor.findings[0].deployment, "");
	doctor_release(&doctor);
	settings_release(&settings);
}

UNIT_SUITE("cli/doctor", TEST(looks_at_each_deployment), TEST(judges_answers), TEST(asks_for_the_schedule_s_own_runs), TEST(cannot_delete))
