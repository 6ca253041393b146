#include "worker/health.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>

#include "client/base/log.h"

/* Over what a turn of a loop takes where all is well: the waits after trouble (trouble.h, run_logs.c), and a busy machine. */
#define TROUBLE_SLACK_MS 75000
#define LOGS_SLACK_MS 15000
/* The first tries of a poll that a busy server turns away, and its own time. */
#define POLL_SLACK_MS 2000
/* A request line and headers; more is refused. */
#define CONNECTION_MEMORY 8192
#define STACK_SIZE ((size_t)256 * 1024)
#define BACKLOG 16
#define BODY_MAX (64 * 1024)

/* --- the rule ---------------------------------------------------------------------------------------- */

/* Waits are spread up to a quarter over their interval. */
static int64_t with_jitter(int64_t ms)
{
	return ms * 5 / 4;
}

bool health_is_live(struct worker *worker)
{
	const struct settings *s = worker->settings;
	const struct {
		int64_t every_ms, slack_ms;
	} services[SERVICE_COUNT] = {
		[SERVICE_SYNC] = {s->heartbeat_ms, TROUBLE_SLACK_MS},
		[SERVICE_POLL] = {s->query_ms, TROUBLE_SLACK_MS},
		[SERVICE_WATCH] = {s->watch_ms, TROUBLE_SLACK_MS},
		[SERVICE_LOGS] = {RUN_LOGS_EVERY_MS, LOGS_SLACK_MS},
	};
	int64_t now = clock_mono_ms();

	if (stop_asked(&worker->stop) || !atomic_load(&worker->metrics.joined))
		return true;
	for (int i = 0; i < SERVICE_COUNT; i++) {
		int64_t silent = now - atomic_load(&worker->metrics.beat_ms[i]);
		if (silent > with_jitter(services[i].every_ms) + s->request_timeout_ms + services[i].slack_ms)
			return false;
	}
	return true;
}

bool health_is_polling(struct worker *worker)
{
	struct metrics *m = &worker->metrics;
	int64_t age = clock_mono_ms() - atomic_load(&m->poll_success_ms);
	/* --run-once polls no more once it has found its runs. */
	bool fresh = worker->settings->run_once || age <= with_jitter(worker->settings->query_ms) + POLL_SLACK_MS;

	return atomic_load(&m->poll_works) && fresh && health_is_live(worker);
}

bool health_is_ready(struct worker *worker)
{
	return atomic_load(&worker->metrics.joined) && !stop_asked(&worker->stop) && health_is_polling(worker);
}

/* --- answers ----------------------------------------------------------------------------------------- */

struct health {
	struct worker *worker;
	struct MHD_Daemon *daemon;
};

/* One of the yes-or-no pages. */
struct page {
	const char *path;
	bool (*is_well)(struct worker *worker);
	const char *yes, *no; /* JSON */
};

static const struct page pages[] = {
	{"/health", health_is_polling, "{\"message\":\"OK\"}", "{\"message\":\"Worker may be unresponsive at this time\"}"},
	{"/livez", health_is_live, "{\"message\":\"OK\"}", "{\"message\":\"a service of the worker makes no progress\"}"},
	{"/readyz", health_is_ready, "{\"message\":\"OK\"}", "{\"message\":\"the worker does not take flow runs now\"}"},
};

static const struct page *find_page(const char *path)
{
	for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++)
		if (strcmp(pages[i].path, path) == 0)
			return &pages[i];
	return NULL;
}

static enum MHD_Result reply(struct MHD_Connection *connection, unsigned status, const char *type, const char *text)
{
	/* It is copied, and only read. */
	struct MHD_Response *response =
		MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);

	if (response == NULL)
		return MHD_NO;
	(void)MHD_add_response_header(response, "Content-Type", type);
	(void)MHD_add_response_header(response, "Cache-Control", "no-store");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		(void)MHD_add_response_header(response, "Allow", "GET");
	enum MHD_Result queued = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return queued;
}

static enum MHD_Result reply_metrics(struct health *health, struct MHD_Connection *connection)
{
	struct worker *worker = health->worker;
	struct metrics_now now = {.ready = health_is_ready(worker)};
	AUTO_TEXT text = {.max = BODY_MAX};

	registry_measure(&worker->registry, server_clock_now(&worker->clock), &now.runs);
	metrics_render(&worker->metrics, &now, &text);
	if (text.failed)
		return MHD_NO;
	return reply(connection, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", text_str(&text));
}

/* Called once the headers are there. An answer at this point also ends a request whose body is still to come. */
static enum MHD_Result answer(void *arg, struct MHD_Connection *connection, const char *path, const char *method,
                              const char *version, const char *body, size_t *body_size, void **request)
{
	struct health *health = arg;
	const struct page *page = find_page(path);
	bool metrics = strcmp(path, "/metrics") == 0;

	(void)version, (void)body, (void)body_size, (void)request;
	if (page == NULL && !metrics)
		return reply(connection, MHD_HTTP_NOT_FOUND, "application/json", "{\"message\":\"Not Found\"}");
	if (strcmp(method, "GET") != 0)
		return reply(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "application/json", "{\"message\":\"Method Not Allowed\"}");
	if (metrics)
		return reply_metrics(health, connection);
	bool well = page->is_well(health->worker);
	return reply(connection, well ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE, "application/json",
	             well ? page->yes : page->no);
}

/* --- the server -------------------------------------------------------------------------------------- */

/* A listening socket at @address, or -1 with errno. */
static int listen_at(const struct addrinfo *address)
{
	int on = 1;
	int fd = socket(address->ai_family, address->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, address->ai_protocol);

	/* So that a worker that is started again gets its port although old connections linger. */
	if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
	    bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	int why = errno;
	if (fd >= 0)
		(void)close(fd);
	errno = why;
	return -1;
}

/* Listens at the first address of the settings that can be had. */
static int open_socket(const struct settings *settings, int *ret_fd, struct error *err)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	struct addrinfo *found = NULL;
	char port[8];
	int fd = -1;

	(void)snprintf(port, sizeof port, "%d", (int)settings->webserver_port);
	int rc = getaddrinfo(settings->webserver_host, port, &hints, &found);
	if (rc != 0)
		return error_set(err, ERR_SYSTEM, "PREFECT_WORKER_WEBSERVER_HOST: '%s' is no address of this machine: %s",
		                 settings->webserver_host, gai_strerror(rc));
	for (const struct addrinfo *a = found; a != NULL && fd < 0; a = a->ai_next)
		fd = listen_at(a);
	int why = errno;
	freeaddrinfo(found);
	if (fd < 0)
		return error_set(err, ERR_SYSTEM, "--with-healthcheck cannot listen at %s port %s: %s; set %s to another one",
		                 settings->webserver_host, port, strerror(why),
		                 why == EADDRNOTAVAIL ? "PREFECT_WORKER_WEBSERVER_HOST" : "PREFECT_WORKER_WEBSERVER_PORT");
	*ret_fd = fd;
	return 0;
}

static int bound_port(int fd)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof address;
	char port[8] = "0";

	if (getsockname(fd, (struct sockaddr *)&address, &size) == 0)
		(void)getnameinfo((struct sockaddr *)&address, size, NULL, 0, port, sizeof port, NI_NUMERICSERV);
	return atoi(port);
}

int health_start(struct worker *worker, struct health **ret_health, struct error *err)
{
	const struct settings *settings = worker->settings;
	int fd = -1;

	int rc = open_socket(settings, &fd, err);
	if (rc != 0)
		return rc;
	struct health *health = calloc(1, sizeof *health);
	if (health == NULL) {
		(void)close(fd);
		return error_nomem(err);
	}
	health->worker = worker;
	int port = bound_port(fd);
	health->daemon = MHD_start_daemon(
		MHD_USE_AUTO_INTERNAL_THREAD, 0, NULL, NULL, answer, health, MHD_OPTION_LISTEN_SOCKET, fd,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned)HEALTH_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
		(unsigned)HEALTH_IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
		MHD_OPTION_THREAD_STACK_SIZE, STACK_SIZE, MHD_OPTION_END);
	if (health->daemon == NULL) { /* it has closed the socket */
		free(health);
		return error_set(err, ERR_SYSTEM, "the thread of --with-healthcheck cannot be started: %s", strerror(errno));
	}
	log_info("health and metrics at http://%s:%d", settings->webserver_host, port);
	*ret_health = health;
	return 0;
}

void health_stop(struct health *health)
{
	if (health == NULL)
		return;
	MHD_stop_daemon(health->daemon); /* closes the socket too */
	free(health);
}
