/* A whole cleanup run, from its claim to its final state, with one allocation or one request of it failing: for every
 * one in turn. Whatever fails, nothing is deleted that was not approved, nothing leaks (the sanitizer looks), and the run
 * reaches its end, if need be by a second start of the worker.
 *
 * What the services do in threads of their own is done here step by step, on a clock that waiting moves on.
 * INJECTION_ALL=1 fails every allocation and every request; without it, the first of each call stack, and of each path. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/base/json.h"
#include "tests/injection/failing.h"
#include "tests/injection/prefect_server.h"
#include "tests/unit/api.h"
#include "tests/unit/worker/flow_run.h"
#include "worker/worker.h"

#define ROUNDS_MAX 60
#define LIVES_MAX 2
#define ALLOCATIONS_MAX 200000
#define REQUESTS_MAX 1000
#define HANG_ALL_S 7200
#define HANG_EACH_S 1200 /* of one test: four minutes with a sanitizer on a busy machine */

struct life {
	struct settings settings;
	struct worker worker;
	struct prefect *prefect;
	struct prefect_server *server;
};

/* One look for scheduled runs. */
static void poll_once(struct life *life)
{
	AUTO_JSON *queues = json_array();
	struct flow_run *runs;
	size_t count;

	if (queues == NULL || work_pool_scheduled_runs(life->prefect, "p", queues, server_clock_now(&life->worker.clock), &runs,
	                                               &count, NULL) != 0)
		return;
	for (size_t i = 0; i < count; i++)
		(void)registry_add(&life->worker.registry, runs[i].id, RUN_DUE, /* ours= */ false, 0);
	flow_runs_release(runs, count);
}

static void run_due(struct life *life)
{
	struct run run;
	time_us next;

	while (registry_take(&life->worker.registry, server_clock_now(&life->worker.clock), &run, &next)) {
		executor_start(&life->worker, &run);
		executor_join(&life->worker, /* all= */ true);
		failing_pass(1);
	}
}

static void watch_once(struct life *life)
{
	struct run run;
	size_t parked = 0;
	size_t queued = 0;

	if (registry_list(&life->worker.registry, RUN_PARKED, &parked, &run, 1) == 1 &&
	    strcmp(prefect_server_state(life->server), "PAUSED") != 0)
		registry_resume(&life->worker.registry, run.id);
	watch_forms(&life->worker, life->prefect);
	/* There is no other run that it could wait for. */
	if (registry_list(&life->worker.registry, RUN_QUEUED, &queued, &run, 1) == 1)
		registry_resume(&life->worker.registry, run.id);
}

/* The worker's life from its start until the run has ended, or is never going to. */
static void live(struct prefect_server *server, const char *url, bool approve)
{
	static char pool[] = "p";
	char address[64];
	struct life life = {.server = server};
	struct error err;

	(void)snprintf(address, sizeof address, "%s", url);
	life.settings = (struct settings){.api_url = address, .pool = pool, .request_timeout_ms = 30000, .limit = 1, .writes_at_once = 1,
	                                  .heartbeat_ms = 30000, .watch_ms = 1000};
	failing_exempt(false);
	worker_init(&life.worker, &life.settings);
	(void)snprintf(life.worker.name, sizeof life.worker.name, "me");
	bool joined = false;
	for (int round = 0; round < ROUNDS_MAX && !prefect_server_ended(server); round++) {
		if (life.prefect == NULL)
			life.prefect = worker_service_session(&life.worker);
		if (life.prefect == NULL)
			continue;
		if (!joined)
			joined = sync_join(&life.worker, life.prefect, &err) == 0 &&
			         take_over_abandoned(&life.worker, life.prefect, /* restarted= */ true, &err) == 0;
		else if (round % 3 == 0 && sync_once(&life.worker, life.prefect, &err) == 0 &&
		         take_over_abandoned(&life.worker, life.prefect, /* restarted= */ false, &err) != 0)
			failing_pass(1);
		poll_once(&life);
		watch_once(&life);
		run_due(&life);
		failing_exempt(true);
		if (prefect_server_can_be_answered(server))
			prefect_server_answer(server, approve);
		failing_exempt(false);
		failing_pass(10000);
	}
	run_logs_end(&life.worker.logs);
	(void)run_logs_thread(&life.worker.logs);
	prefect_free(life.prefect);
	worker_done(&life.worker);
	failing_exempt(true);
}

/* What must hold however the run went. */
static bool check_server(const char *row, const struct prefect_server *server, bool approve)
{
	const json_t *data = json_object_get(server->state, "data");
	bool completed = strcmp(prefect_server_state(server), "COMPLETED") == 0;
	bool ok = CHECK_STR(row, server->unknown, "");

	ok &= CHECK_INT(row, server->not_json, 0);
	ok &= CHECK_INT(row, server->deleted_unapproved, 0);
	for (size_t i = SERVER_PLANNED; i < server->runs.count; i++)
		ok &= CHECK_INT(row, server->runs.runs[i].gone, false);
	if (!approve)
		ok &= CHECK_INT(row, server->runs.deleted, 0);
	ok &= CHECK_INT(row, server->runs.artifacts_too_soon, 0);
	ok &= CHECK_INT(row, server->runs.runs[SERVER_PLANNED].artifacts, 1);
	ok &= CHECK(row, prefect_server_ended(server));
	/* What is said is true. */
	if (completed && approve && json_object_get(data, "deleted") != NULL)
		ok &= CHECK_INT(row, json_integer_value(json_object_get(data, "deleted")), (int64_t)server->runs.deleted);
	bool rejected = server->fault != NULL && server->fault->may_reject &&
	                strncmp(prefect_server_message(server), "rejected, nothing was deleted", 29) == 0;
	if (completed && approve)
		ok &= CHECK_INT(row, server->runs.deleted, rejected ? 0 : SERVER_PLANNED);
	if (!completed)
		ok &= CHECK(row, prefect_server_message(server)[0] != '\0');
	if (!ok)
		(void)unit_check(false, __FILE__, __LINE__, "%s: ended as %s: %s", row, prefect_server_state(server),
		                 prefect_server_message(server));
	return ok;
}

static bool want_all(void)
{
	bool all = getenv("INJECTION_ALL") != NULL;

	(void)alarm(all ? HANG_ALL_S : HANG_EACH_S); /* in place of the suites' own */
	return all;
}

struct scene {
	struct prefect_server server;
	struct http_server *http;
	size_t lives;
};

static void open_scene(struct scene *scene)
{
	struct http_answer answer;

	failing_exempt(true);
	*scene = (struct scene){0};
	prefect_server_init(&scene->server);
	scene->http = http_server_handle(prefect_server_handle, &scene->server);
	/* A first request, so that the server's thread is exempt before anything can fail. */
	const struct http_settings settings = api_settings(http_server_url(scene->http));
	struct http *http = http_new(&settings);
	if (http == NULL || http_call(http, &(struct http_request){.method = "GET", .path = "/work_pools/p"}, &answer, NULL, NULL) != 0)
		abort();
	http_answer_release(&answer);
	http_free(http);
	scene->server.requests = 0;
}

/* A second start only where the first could not end it: what it leaves must be what the next one needs. */
static void play(struct scene *scene, bool approve)
{
	while (scene->lives < LIVES_MAX && !prefect_server_ended(&scene->server)) {
		live(&scene->server, http_server_url(scene->http), approve);
		scene->lives++;
	}
}

static void close_scene(struct scene *scene, const char *row)
{
	(void)api_stop_server(scene->http, row);
	prefect_server_release(&scene->server);
}

/* --- without a fault ---------------------------------------------------------------------------------------- */

static void the_run_itself(void)
{
	static const struct {
		const char *name;
		bool approve;
		const char *message;
	} rows[] = {
		{"approved", true, "deleted 15 of 15 flow runs"},
		{"rejected", false, "rejected, nothing was deleted"},
	};

	EACH(row, rows)
	{
		struct scene scene;

		open_scene(&scene);
		failing_arm(0);
		play(&scene, row->approve);
		CHECK_STR(row->name, prefect_server_message(&scene.server), row->message);
		CHECK_INT(row->name, scene.lives, 1);
		CHECK_INT(row->name, scene.server.after_end, 0);
		CHECK(row->name, scene.server.requests < REQUESTS_MAX && failing_count() < ALLOCATIONS_MAX);
		(void)check_server(row->name, &scene.server, row->approve);
		close_scene(&scene, row->name);
	}
}

/* --- allocations -------------------------------------------------------------------------------------------- */

static size_t learn_allocations(bool approve)
{
	struct scene scene;

	open_scene(&scene);
	failing_learn(ALLOCATIONS_MAX);
	failing_arm(0);
	play(&scene, approve);
	close_scene(&scene, "learning");
	return failing_count();
}

static void fail_allocations(bool approve)
{
	bool all = want_all();
	bool happened = true;
	size_t tried = 0;
	size_t failed_runs = 0;

	failing_exempt(true);
	size_t count = learn_allocations(approve);
	for (size_t nth = 1; happened && nth < ALLOCATIONS_MAX; nth++) {
		struct scene scene;
		char row[64];

		if (nth <= count && !all && !failing_is_new(nth))
			continue;
		(void)snprintf(row, sizeof row, "allocation %zu", nth);
		open_scene(&scene);
		failing_arm(nth);
		play(&scene, approve);
		happened = failing_happened();
		failing_arm(0);
		tried += happened;
		failed_runs += strcmp(prefect_server_state(&scene.server), "FAILED") == 0;
		(void)check_server(row, &scene.server, approve);
		close_scene(&scene, row);
	}
	failing_forget();
	CHECK("a run came through in the end", !happened);
	CHECK("there were some", tried > 0);
	printf(" (%zu of %zu allocations, %zu runs failed) ", tried, count, failed_runs);
}

/* jansson drops a byte of a token unnoticed where its buffer cannot grow; each of these made it find nonsense then, and end the
 * program: an escape, a number or a word that begins or ends where the buffer does. */
static void reading_survives_every_allocation(void)
{
	static const struct {
		const char *name;
		const char *text;
		int rc;
	} rows[] = {
		{"a number", "[-1234567890.2345678901234567890123456789e-12, 1]", 0},
		{"an exponent", "{\"a\": 12345678901234e+5}", 0},
		{"a long integer", "[1234567890123456, 12345678901234567890123456789012]", 0},
		{"a word", "[\"\", nonsensewithouta, nonsense]", ERR_DECODE},
		{"escapes", "[\"\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\"]", 0},
		{"others between", "[\"a\\nb\\u00e4c\\\\d\\ne\\nf\\ud83d\\ude00g\\nh\\ni\\nj\\nk\\nl\\nm\\nn\\no\\np\\nq\\nr\\ns\\nt\\nu\"]", 0},
		{"a control character", "[\"123456789012345\n\"]", ERR_DECODE},
		{"cut off", "[\"1234567890123456789012345678901234567890", ERR_DECODE},
	};
	size_t survived = 0;

	EACH(row, rows)
	{
		bool happened = true;

		for (size_t nth = 1; happened; nth++) {
			json_t *json = NULL;
			struct error err = {0};

			failing_arm(nth);
			failing_exempt(false);
			int rc = json_read(row->text, strlen(row->text), &json, &err);
			failing_exempt(true);
			happened = failing_happened();
			failing_arm(0);
			if (!happened)
				CHECK_RC(row->name, rc, row->rc, &err);
			else
				CHECK(row->name, rc == ERR_NOMEM);
			survived += happened;
			json_decref(json);
		}
	}
	CHECK("some failed", survived > 0);
}

static void every_allocation_fails_once_approved(void)
{
	fail_allocations(/* approve= */ true);
}

static void every_allocation_fails_once_rejected(void)
{
	fail_allocations(/* approve= */ false);
}

/* --- requests ----------------------------------------------------------------------------------------------- */

#define HTML "<html><body>Bad gateway</body></html>"
#define ODD "{\"odd\": [true]}"

static const struct server_fault faults[] = {
	{.name = "no answer", .reply = {.trick = TRICK_CLOSE}},
	{.name = "no answer, but done", .carried_out = true, .reply = {.trick = TRICK_CLOSE}},
	{.name = "half an answer", .carried_out = true, .reply = {.trick = TRICK_HALF}},
	{.name = "500", .reply = {.status = 500, .body = "{\"exception_message\": \"Internal Server Error\"}"}},
	{.name = "500, but done", .carried_out = true, .reply = {.status = 500}},
	{.name = "503", .reply = {.status = 503, .body = "{\"exception_message\": \"Service Unavailable\"}"}},
	{.name = "HTML", .reply = {.body = HTML}},
	{.name = "HTML, but done", .carried_out = true, .reply = {.body = HTML}},
	{.name = "an unknown shape", .carried_out = true, .may_reject = true, .reply = {.body = ODD}},
	{.name = "a list", .carried_out = true, .may_reject = true, .reply = {.body = "[]"}},
	{.name = "404 of a proxy", .reply = {.status = 404, .body = "{\"detail\": \"Not Found\"}"}},
	{.name = "401", .reply = {.status = 401}},
	{.name = "no answer for half a minute", .reply = {.trick = TRICK_CLOSE}, .lasts_ms = 30000},
	{.name = "503 for half a minute", .reply = {.status = 503}, .lasts_ms = 30000},
	{.name = "HTML for half a minute", .reply = {.body = HTML}, .lasts_ms = 30000},
};

/* The paths of a run without a fault, by number of the request; returns how many requests came before the answer. */
static size_t learn_paths(struct prefect_paths *paths, bool approve)
{
	struct scene scene;

	open_scene(&scene);
	scene.server.paths = paths;
	play(&scene, approve);
	size_t answered_at = scene.server.answered_at;
	close_scene(&scene, "learning");
	return answered_at;
}

static void fail_requests(bool approve)
{
	static struct prefect_paths paths;
	bool all = want_all();
	size_t failed_runs = 0;
	size_t tried = 0;

	failing_exempt(true);
	failing_arm(0);
	paths = (struct prefect_paths){0};
	size_t answered_at = learn_paths(&paths, approve);
	/* Up to the answer the rejected run is the approved one. */
	size_t first = approve ? 1 : answered_at + 1;
	EACH(fault, faults)
	{
		bool happened = true;

		for (size_t nth = first; happened && nth < REQUESTS_MAX; nth++) {
			struct scene scene;
			char row[80];

			if (!all && approve && nth <= paths.requests && !paths.is_new[nth - 1])
				continue;
			(void)snprintf(row, sizeof row, "%s at request %zu", fault->name, nth);
			open_scene(&scene);
			scene.server.fault = fault;
			scene.server.fault_at = nth;
			play(&scene, approve);
			happened = scene.server.faults > 0;
			tried += happened;
			failed_runs += strcmp(prefect_server_state(&scene.server), "FAILED") == 0;
			(void)check_server(row, &scene.server, approve);
			close_scene(&scene, row);
		}
		CHECK(fault->name, !happened);
	}
	CHECK("there were some", tried > 0);
	printf(" (%zu requests, %zu runs failed) ", tried, failed_runs);
}

static void every_request_fails_once_approved(void)
{
	fail_requests(/* approve= */ true);
}

static void every_request_fails_once_rejected(void)
{
	fail_requests(/* approve= */ false);
}

UNIT_SUITE("injection", TEST(reading_survives_every_allocation), TEST(the_run_itself), TEST(every_allocation_fails_once_approved),
           TEST(every_allocation_fails_once_rejected), TEST(every_request_fails_once_approved),
           TEST(every_request_fails_once_rejected))

__attribute__((constructor)) static void install(void)
{
	failing_install();
}
