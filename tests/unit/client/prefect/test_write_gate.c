/* Which requests are writes; one at a time, short ones first; a server that stalls is left alone until it answers a read. */
#include "client/prefect/write_gate.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/http_server.h"
#include "tests/unit/unit.h"

#define FAR_MS 60000

static void tells_reads_from_writes(void)
{
	static const struct {
		const char *name, *method, *path;
		enum write_kind kind;
	} rows[] = {
		{"a read", "GET", "/flow_runs/1", WRITE_NONE},
		{"a search", "POST", "/flow_runs/filter", WRITE_NONE},
		{"a search in inputs", "POST", "/flow_runs/1/input/filter", WRITE_NONE},
		{"a count", "POST", "/task_runs/count", WRITE_NONE},
		{"the poll", "POST", "/work_pools/p/get_scheduled_flow_runs", WRITE_NONE},
		{"a state", "POST", "/flow_runs/1/set_state", WRITE_SHORT},
		{"an answer", "POST", "/flow_runs/1/resume", WRITE_SHORT},
		{"a heartbeat", "POST", "/work_pools/p/workers/heartbeat", WRITE_SHORT},
		{"a heartbeat of a pool called filter", "POST", "/work_pools/filter/workers/heartbeat", WRITE_SHORT},
		{"logs", "POST", "/logs/", WRITE_SHORT},
		{"a task run", "POST", "/task_runs/", WRITE_SHORT},
		{"an artifact", "POST", "/artifacts/", WRITE_SHORT},
		{"an input", "POST", "/flow_runs/1/input", WRITE_SHORT},
		{"an input goes", "DELETE", "/flow_runs/1/input/k", WRITE_SHORT},
		{"labels", "PATCH", "/flow_runs/1/labels", WRITE_SHORT},
		{"labels of something called filter", "PATCH", "/things/filter", WRITE_SHORT},
		{"a lease", "POST", "/v2/concurrency_limits/leases/1/renew", WRITE_SHORT},
		{"a path that is not known", "POST", "/something/new", WRITE_SHORT},
		{"a method that is not known", "MOVE", "/flow_runs/filter", WRITE_SHORT},
		{"a batch", "POST", "/flow_runs/bulk_delete", WRITE_LONG},
		{"a flow run goes", "DELETE", "/flow_runs/1", WRITE_LONG},
		{"an artifact goes", "DELETE", "/artifacts/1", WRITE_LONG},
	};

	EACH(row, rows)
		CHECK_INT(row->name, write_kind_of(row->method, row->path), row->kind);
}

/* --- without a server: the gate alone ------------------------------------------------------------------------ */

static const struct http_request state = {.method = "POST", .path = "/flow_runs/1/set_state"};
static const struct http_request batch = {.method = "POST", .path = "/flow_runs/bulk_delete"};
static const struct http_request look = {.method = "POST", .path = "/flow_runs/filter"};

struct gated {
	struct stop stop;
	struct http_settings probes;
	struct write_gate gate;
	_Atomic int together, most;
	_Atomic int order; /* counts those that were let through */
};

static void gated_open(struct gated *gated, int64_t at_once, const char *url)
{
	memset(gated, 0, sizeof *gated);
	stop_init(&gated->stop);
	gated->probes = (struct http_settings){.url = url, .connect_timeout_ms = 1000, .request_timeout_ms = FAR_MS, .stop = &gated->stop};
	write_gate_init(&gated->gate, at_once, &gated->probes);
}

static void gated_close(struct gated *gated)
{
	write_gate_done(&gated->gate);
	stop_done(&gated->stop);
}

static bool always(void *arg)
{
	(void)arg;
	return true;
}

static bool enter(struct gated *gated, const struct http_request *request, int64_t ms)
{
	return gated->gate.http.enter(gated->gate.http.arg, request, clock_mono_ms() + ms, always, NULL);
}

static void leave(struct gated *gated, const struct http_request *request, enum http_end end)
{
	gated->gate.http.leave(gated->gate.http.arg, request, end);
}

static void *write_often(void *arg)
{
	struct gated *gated = arg;

	for (int i = 0; i < 300; i++) {
		const struct http_request *request = i % 3 == 0 ? &batch : &state;
		if (!enter(gated, request, FAR_MS))
			return arg;
		int now = ++gated->together;
		int most = gated->most;
		while (now > most && !atomic_compare_exchange_weak(&gated->most, &most, now))
			;
		(void)sched_yield();
		gated->together--;
		leave(gated, request, HTTP_ANSWERED);
	}
	return NULL;
}

static void lets_so_many_through(void)
{
	static const struct {
		const char *name;
		int64_t at_once;
	} rows[] = {{"one", 1}, {"three", 3}};

	EACH(row, rows)
	{
		struct gated gated;
		pthread_t threads[6];

		gated_open(&gated, row->at_once, "http://127.0.0.1:1");
		EACH(thread, threads)
			CHECK(row->name, pthread_create(thread, NULL, write_often, &gated) == 0);
		EACH(thread, threads)
		{
			void *refused;
			(void)pthread_join(*thread, &refused);
			CHECK(row->name, refused == NULL);
		}
		CHECK(row->name, gated.most >= 1 && gated.most <= row->at_once);
		CHECK_INT(row->name, gated.gate.under_way, 0);
		gated_close(&gated);
	}
}

struct writer {
	struct gated *gated;
	const struct http_request *request;
	int64_t ms;
	int place; /* its place in the order; -1: not let through */
	pthread_t thread;
};

static void *write_once(void *arg)
{
	struct writer *writer = arg;

	writer->place = -1;
	if (enter(writer->gated, writer->request, writer->ms)) {
		writer->place = ++writer->gated->order;
		leave(writer->gated, writer->request, HTTP_ANSWERED);
	}
	return NULL;
}

static size_t count_waiting(struct write_gate *gate)
{
	size_t count = 0;

	(void)pthread_mutex_lock(&gate->lock);
	/* The first member of a waiter is the next one. */
	for (int kind = WRITE_SHORT; kind <= WRITE_LONG; kind++)
		for (struct write_waiter *w = gate->waiting[kind]; w != NULL; w = *(struct write_waiter **)(void *)w)
			count++;
	(void)pthread_mutex_unlock(&gate->lock);
	return count;
}

static void start(struct writer *writer, struct gated *gated, const struct http_request *request, int64_t ms)
{
	size_t before = count_waiting(&gated->gate);

	*writer = (struct writer){.gated = gated, .request = request, .ms = ms};
	CHECK("a thread", pthread_create(&writer->thread, NULL, write_once, writer) == 0);
	while (count_waiting(&gated->gate) == before)
		(void)sched_yield();
}

static void lets_short_ones_go_first(void)
{
	struct gated gated;
	struct writer writers[5];
	const struct http_request *const requests[5] = {&batch, &batch, &state, &state, &batch};
	static const int places[5] = {3, 4, 1, 2, 5};

	gated_open(&gated, 1, "http://127.0.0.1:1");
	CHECK("the first", enter(&gated, &batch, FAR_MS));
	for (size_t i = 0; i < COUNT_OF(writers); i++)
		start(&writers[i], &gated, requests[i], FAR_MS);
	CHECK("a read waits for nothing", enter(&gated, &look, 0));
	leave(&gated, &look, HTTP_ANSWERED);
	CHECK_INT("nobody passes while it is held", gated.order, 0);
	leave(&gated, &batch, HTTP_ANSWERED);
	for (size_t i = 0; i < COUNT_OF(writers); i++) {
		(void)pthread_join(writers[i].thread, NULL);
		CHECK_INT("a place in the order", writers[i].place, places[i]);
	}
	gated_close(&gated);
}

static void ends_waits(void)
{
	struct gated gated;
	struct writer late, stopped;

	gated_open(&gated, 1, "http://127.0.0.1:1");
	CHECK("the first", enter(&gated, &state, FAR_MS));
	start(&late, &gated, &state, 300);
	(void)pthread_join(late.thread, NULL);
	CHECK_INT("its time is over", late.place, -1);
	start(&stopped, &gated, &batch, FAR_MS);
	stop_ask(&gated.stop);
	(void)pthread_join(stopped.thread, NULL);
	CHECK_INT("a batch that was not begun when the worker stops", stopped.place, -1);
	leave(&gated, &state, HTTP_ANSWERED);
	CHECK("a short one goes while the worker stops", enter(&gated, &state, FAR_MS));
	leave(&gated, &state, HTTP_ANSWERED);
	CHECK_INT("none is left behind", count_waiting(&gated.gate), 0);
	gated_close(&gated);
}

/* --- with a server ------------------------------------------------------------------------------------------------ */

struct told {
	int stalls;
	int ends;
};

static void note(void *arg, bool stalled, int64_t lasted_ms)
{
	struct told *told = arg;

	(void)lasted_ms;
	told->stalls += stalled;
	told->ends += !stalled;
}

static void leaves_a_stalled_server_alone(void)
{
	/* 504 is what a proxy says for a server that does not answer. */
	static const struct http_step steps[] = {
		{"POST", "/flow_runs/1/set_state", .reply = {.trick = TRICK_STALL}},
		{"GET", "/health", .reply = {.status = 504}},
		{"GET", "/health", .reply = {.trick = TRICK_CLOSE}},
		{"GET", "/health", .reply = {.body = "true"}},
		{"POST", "/flow_runs/1/set_state", .reply = {.body = "{}"}},
		{"POST", "/flow_runs/1/set_state", .reply = {.body = "{}"}},
	};
	struct http_server *server = http_server_script(steps, COUNT_OF(steps));
	struct gated gated;
	struct told told = {0};
	struct http_answer answer;
	struct error err;

	gated_open(&gated, 1, http_server_url(server));
	gated.gate.told = note;
	gated.gate.told_arg = &told;
	struct http_settings settings = {.url = http_server_url(server), .connect_timeout_ms = 1000, .request_timeout_ms = FAR_MS,
	                                 .retry_budget_ms = FAR_MS, .stop = &gated.stop, .gate = &gated.gate.http};
	struct http *http = http_new(&settings);
	struct http_request request = state;

	request.timeout_ms = HTTP_HUNG_MS + 100;
	CHECK_RC("a write hangs", http_call(http, &request, &answer, NULL, &err), ERR_TRANSPORT, &err);
	CHECK("it is taken to be stalled", gated.gate.stalled);
	for (int i = 0; i < 2; i++)
		if (CHECK_RC("the next one", http_call(http, &request, &answer, NULL, &err), 0, &err))
			http_answer_release(&answer);
	CHECK_INT("said once", told.stalls, 1);
	CHECK_INT("its end too", told.ends, 1);
	CHECK("the wait is not the server's effort", http_last_effort(http)->took_ms < 1000);
	http_free(http);
	gated_close(&gated);
	char *problems = http_server_stop(server, NULL);
	CHECK_STR("requests", problems, "");
	free(problems);
}

static void gives_up_on_a_stalled_server(void)
{
	struct http_server *server = http_server_script(NULL, 0);
	struct gated gated;
	struct http_answer answer;
	struct error err;
	size_t requests;

	gated_open(&gated, 1, "http://127.0.0.1:1"); /* where nobody answers /health */
	CHECK("a write", enter(&gated, &state, FAR_MS));
	leave(&gated, &state, HTTP_HUNG);
	struct http_settings settings = {.url = http_server_url(server), .connect_timeout_ms = 1000, .request_timeout_ms = 700,
	                                 .stop = &gated.stop, .gate = &gated.gate.http};
	struct http *http = http_new(&settings);
	CHECK_RC("the next one", http_call(http, &state, &answer, NULL, &err), ERR_TRANSPORT, &err);
	CHECK_HAS("the next one", err.text, "was not sent");
	stop_ask(&gated.stop);
	CHECK_RC("while the worker stops", http_call(http, &state, &answer, NULL, &err), ERR_STOPPED, &err);
	http_free(http);
	gated_close(&gated);
	free(http_server_stop(server, &requests));
	CHECK_INT("nothing was sent", requests, 0);
}

UNIT_SUITE("client/prefect/write_gate", TEST(tells_reads_from_writes), TEST(lets_so_many_through), TEST(lets_short_ones_go_first),
           TEST(ends_waits), TEST(leaves_a_stalled_server_alone), TEST(gives_up_on_a_stalled_server))
