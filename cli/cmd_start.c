/* `prefect-janitor start`: the worker's life, from its name to the last log line. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/commands.h"
#include "client/base/log.h"
#include "client/base/text.h"
#include "worker/health.h"
#include "worker/systemd.h"
#include "worker/worker.h"

#define INTRO                                                                                            \
	"Runs the worker: registers with a work pool, sends heartbeats, picks up scheduled flow runs of\n" \
	"database-cleanup, asks for an approval in the Prefect UI, and deletes what was approved.\n"       \
	"\n"                                                                                                \
	"Usage: prefect-janitor start --pool NAME [OPTIONS]\n"

#define OUTRO                                                                                            \
	"A first SIGTERM or SIGINT lets running deletions stop between two batches and leaves every run as\n" \
	"the next start of this worker needs it; a second one ends at once. SIGHUP reads the configuration\n" \
	"again.\n"

/* How far back a new worker looks for questions that expired while no worker ran. */
#define EXPIRED_AT_START_MS (INT64_C(7) * 24 * 60 * 60 * 1000)

/* Two workers of one name on a host are found by a lock on a file, which also dies with a killed process. */
#define DEFAULT_NAMES 100

static int lock_dir(char *path, size_t size, struct error *err)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	struct stat st;

	if (runtime != NULL && *runtime == '/')
		(void)snprintf(path, size, "%s/prefect-janitor", runtime);
	else
		(void)snprintf(path, size, "/tmp/prefect-janitor-%u", (unsigned)getuid());
	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return error_set(err, ERR_SYSTEM, "folder '%s' cannot be made: %s; set XDG_RUNTIME_DIR to one that can", path,
		                 strerror(errno));
	if (lstat(path, &st) != 0 || !S_ISDIR(st.st_mode) || st.st_uid != getuid())
		return error_set(err, ERR_SYSTEM, "'%s' is not a folder of this user; set XDG_RUNTIME_DIR to one", path);
	return 0;
}

/* Takes the name for this host, server and pool. Returns 0 and the lock's descriptor, which stays open for the
 * life of the process; ERR_CONFLICT where another process has it. */
static int lock_name(const struct settings *settings, const char *name, int *ret_fd, struct error *err)
{
	AUTO_TEXT identity = {.max = 64 * 1024};
	char path[512];
	unsigned char hash[EVP_MAX_MD_SIZE];
	unsigned int len = 0;

	int rc = lock_dir(path, sizeof path - 80, err);
	if (rc != 0)
		return rc;
	text_addf(&identity, "%s\n%s\n%s", settings->api_url, settings->pool, name);
	if (EVP_Digest(text_str(&identity), identity.len, hash, &len, EVP_sha256(), NULL) != 1)
		return error_set(err, ERR_SYSTEM, "OpenSSL does not offer SHA-256");
	size_t used = strlen(path);
	path[used++] = '/';
	for (unsigned int i = 0; i < 16; i++, used += 2)
		(void)snprintf(path + used, 3, "%02x", hash[i]);

	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return error_set(err, ERR_SYSTEM, "'%s' cannot be opened: %s", path, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		(void)close(fd);
		return error_set(err, ERR_CONFLICT, "a worker named '%s' already runs on this host for work pool '%s'; give this one "
		                 "another --name", name, settings->pool);
	}
	*ret_fd = fd;
	return 0;
}

/* The name that was given, else janitor-HOST, or janitor-HOST-2 where that is taken: a worker that is started
 * again gets its old name, and with it its runs. */
static int take_name(struct worker *worker, int *ret_fd, struct error *err)
{
	const struct settings *settings = worker->settings;
	char host[64] = "host";
	int rc = ERR_CONFLICT;

	if (settings->worker_name != NULL) {
		if (strlen(settings->worker_name) >= sizeof worker->name)
			return error_set(err, ERR_USAGE, "--name: longer than %zu characters", sizeof worker->name - 1);
		(void)snprintf(worker->name, sizeof worker->name, "%s", settings->worker_name);
		return lock_name(settings, worker->name, ret_fd, err);
	}
	(void)gethostname(host, sizeof host - 1);
	for (int i = 1; rc == ERR_CONFLICT && i <= DEFAULT_NAMES; i++) {
		(void)snprintf(worker->name, sizeof worker->name, i == 1 ? "janitor-%s" : "janitor-%s-%d", host, i);
		rc = lock_name(settings, worker->name, ret_fd, err);
	}
	return rc;
}

/* First contact: waits for a server that is away, but not for a wrong setting. */
static int join_pool(struct worker *worker, struct error *err)
{
	struct prefect *prefect = worker_service_session(worker);
	struct trouble trouble = {0};
	bool secret = worker->settings->api_key != NULL || worker->settings->auth_string != NULL;
	int rc;

	if (prefect == NULL)
		return error_nomem(err);
	do {
		rc = sync_join(worker, prefect, err);
		if (rc == 0)
			rc = take_over_abandoned(worker, prefect, /* restarted= */ true, err);
		if (rc == 0)
			rc = take_over_expired(worker, prefect, /* restarted= */ true, EXPIRED_AT_START_MS, err);
		if (rc == 0)
			rc = take_over_drawings(worker, prefect, EXPIRED_AT_START_MS, err);
		/* What was wrong at the start does not become right by itself. A password that is refused later may be on its way. */
		if (rc == ERR_AUTH && secret && (err->http_status == 401 || err->http_status == 403)) {
			rc = error_prefix(err, ERR_USAGE, "the server refuses key or password at the start");
			break;
		}
	} while (rc != 0 && worker_retry(worker, &trouble, "waiting for the server", err));
	prefect_free(prefect);
	return stop_asked(&worker->stop) ? ERR_STOPPED : rc;
}

struct service {
	const char *name;
	void *(*run)(void *worker);
	pthread_t thread;
};

static int start_services(struct worker *worker, struct service *services, size_t count, struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		int rc = pthread_create(&services[i].thread, NULL, services[i].run, worker);
		if (rc == 0) {
			(void)pthread_setname_np(services[i].thread, services[i].name);
			continue;
		}
		stop_ask(&worker->stop);
		registry_wake(&worker->registry);
		for (size_t k = 0; k < i; k++)
			(void)pthread_join(services[k].thread, NULL);
		return error_set(err, ERR_SYSTEM, "the %s thread cannot be started: %s", services[i].name, strerror(rc));
	}
	return 0;
}

/* A stop that takes longer than this ends at once: service managers kill after ten seconds or more. Requests end before
 * (settings_http(), run_logs_http()); what cannot be ended is, for one, a name server that does not answer. */
#define STOP_MAX_MS 9000

/* What the signal thread waits for; SIGUSR1 is how this process tells it to end. */
static void wanted_signals(sigset_t *ret_signals)
{
	(void)sigemptyset(ret_signals);
	(void)sigaddset(ret_signals, SIGTERM);
	(void)sigaddset(ret_signals, SIGINT);
	(void)sigaddset(ret_signals, SIGHUP);
	(void)sigaddset(ret_signals, SIGUSR1);
}

/* What the threads of this file share; each member has its own thread rule. */
struct process {
	struct worker *worker;
	struct systemd systemd;
	int argc; /* the flags of the start, for a reload */
	char **argv;
	bool has_terminal;
	int64_t stopped_ms; /* when a signal asked for the stop, by clock_mono_ms(); 0: not yet; the signal thread's */
};

static void tell_systemd(struct process *process)
{
	struct worker *worker = process->worker;
	struct registry_figures runs;
	char status[128];
	bool live = health_is_live(worker);
	const char *what = stop_asked(&worker->stop)               ? "stopping"
	                   : !live                                 ? "a service makes no progress"
	                   : !atomic_load(&worker->metrics.joined) ? "waiting for the server"
	                   : health_is_polling(worker)             ? "looking for flow runs"
	                                                           : "the server does not answer as it should";

	registry_measure(&worker->registry, server_clock_now(&worker->clock), &runs);
	(void)snprintf(status, sizeof status, "%s; flow runs: %zu running, %zu waiting, %zu paused", what, runs.active,
	               runs.waiting, runs.parked);
	systemd_tick(&process->systemd, live, status);
}

/* Waits for a signal, and keeps systemd informed meanwhile. 0 where the time to stop has run out. */
static int next_signal(struct process *process)
{
	int64_t every_ms = systemd_every_ms(&process->systemd);
	sigset_t signals;
	int number;

	wanted_signals(&signals);
	do {
		int64_t wait_ms = every_ms > 0 ? every_ms : STOP_MAX_MS;
		if (every_ms > 0)
			tell_systemd(process);
		if (process->stopped_ms != 0) {
			int64_t left_ms = process->stopped_ms + STOP_MAX_MS - clock_mono_ms();
			if (left_ms <= 0)
				return 0;
			wait_ms = left_ms < wait_ms ? left_ms : wait_ms;
		}
		const struct timespec span = {.tv_sec = (time_t)(wait_ms / 1000), .tv_nsec = (long)(wait_ms % 1000) * 1000000};
		number = sigtimedwait(&signals, NULL, &span);
	} while (number < 0);
	return number;
}

static void stop_worker(struct process *process)
{
	process->stopped_ms = clock_mono_ms();
	log_info("stopping: no new runs; running ones stop at the next safe point, paused ones stay paused");
	stop_ask(&process->worker->stop);
	registry_wake(&process->worker->registry);
	systemd_stopping(&process->systemd);
}

/* Takes the signals of the process: the first SIGTERM or SIGINT asks the worker to stop, the second ends it; SIGHUP reads
 * the configuration again. */
static void *signal_thread(void *arg)
{
	struct process *process = arg;
	int number;

	while ((number = next_signal(process)) != SIGUSR1) {
		/* A terminal that is closed sends it too, and takes its programs with it. */
		bool hangup = number == SIGHUP && process->has_terminal && !isatty(STDERR_FILENO);

		if (number == 0 || (number != SIGHUP && process->stopped_ms != 0)) {
			log_warning("%s: ending at once", number == 0 ? "stopping takes too long" : "second signal");
			_exit(EXIT_FAILED);
		}
		if (process->stopped_ms != 0)
			continue;
		if (number != SIGHUP || hangup)
			stop_worker(process);
		else
			worker_reload(process->worker, process->argc, process->argv);
	}
	if (process->stopped_ms == 0) /* it ends by itself */
		systemd_stopping(&process->systemd);
	return NULL;
}

/* Before the first thread, so that all of them inherit it. */
static void block_signals(void)
{
	sigset_t signals;

	wanted_signals(&signals);
	(void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
}

static int run_worker(struct process *process, struct error *err)
{
	struct worker *worker = process->worker;
	struct service services[] = {
		{.name = "sync", .run = sync_thread}, {.name = "poll", .run = poll_thread}, {.name = "watch", .run = watch_thread}};
	const size_t count = sizeof services / sizeof services[0];
	pthread_t logs;

	int rc = join_pool(worker, err);
	if (rc != 0)
		return rc;
	metrics_begin(&worker->metrics);
	systemd_ready(&process->systemd);
	log_info("worker '%s' started: work pool '%s' at %s (the address is from %s)", worker->name, worker->settings->pool,
	         worker->settings->api_url, worker->settings->api_url_from);

	if (pthread_create(&logs, NULL, run_logs_thread, &worker->logs) != 0)
		return error_set(err, ERR_SYSTEM, "the logs thread cannot be started: %s", strerror(errno));
	(void)pthread_setname_np(logs, "logs");
	rc = start_services(worker, services, count, err);
	for (size_t i = 0; rc == 0 && i < count; i++)
		(void)pthread_join(services[i].thread, NULL);
	executor_join(worker, /* all= */ true);
	run_logs_end(&worker->logs);
	(void)pthread_join(logs, NULL);
	return rc;
}

int command_start(int argc, char **argv)
{
	struct settings settings;
	struct worker worker;
	struct process process = {
		.worker = &worker, .argc = argc - 2, .argv = argv + 2, .has_terminal = isatty(STDERR_FILENO)};
	struct health *health = NULL;
	struct error err = {0};
	bool help;
	int lock = -1;
	pthread_t signals;

	if (settings_load(COMMAND_START, argc - 2, argv + 2, &settings, &help, &err) != 0)
		return command_error("start", &err);
	if (help) {
		settings_release(&settings);
		return command_print_help(COMMAND_START, INTRO, OUTRO);
	}

	/* Few arenas: a worker is mostly idle, and its memory should show that. */
	(void)mallopt(M_ARENA_MAX, 2);
	(void)mallopt(M_TRIM_THRESHOLD, 256 * 1024);
	settings_apply_log(&settings);
	json_object_seed(0);
	block_signals();
	worker_init(&worker, &settings);
	systemd_init(&process.systemd);

	int rc = http_init(&err);
	if (rc == 0)
		rc = take_name(&worker, &lock, &err);
	if (rc == 0 && settings.with_healthcheck)
		rc = health_start(&worker, &health, &err);
	if (rc == 0 && pthread_create(&signals, NULL, signal_thread, &process) != 0)
		rc = error_set(&err, ERR_SYSTEM, "the signal thread cannot be started: %s", strerror(errno));
	if (rc == 0) {
		rc = run_worker(&process, &err);
		(void)pthread_kill(signals, SIGUSR1);
		(void)pthread_join(signals, NULL);
	}
	if (rc == 0 || rc == ERR_STOPPED) {
		log_info("worker '%s' stopped", worker.name);
		rc = 0;
	}
	health_stop(health);
	systemd_done(&process.systemd);
	worker_done(&worker);
	http_cleanup();
	settings_release(&settings);
	if (lock >= 0)
		(void)close(lock);
	return rc == 0 ? EXIT_DONE : command_error("start", &err);
}
