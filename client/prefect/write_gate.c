#include "client/prefect/write_gate.h"

#include <string.h>
#include <time.h>

/* How often a waiting write asks whether it is still wanted. */
#define ASK_EVERY_MS 200
/* One probe, and the pauses between them. */
#define PROBE_TIMEOUT_MS 5000
#define PROBE_FIRST_MS 500
#define PROBE_MAX_MS 5000

struct write_waiter {
	struct write_waiter *next;
	enum write_kind kind;
};

/* --- what is a write ------------------------------------------------------------------------------------- */

static bool ends_with(const char *path, const char *end)
{
	size_t len = strlen(path);
	size_t end_len = strlen(end);

	return len >= end_len && strcmp(path + len - end_len, end) == 0;
}

/* Is @path one object right below @folder? */
static bool is_in(const char *path, const char *folder)
{
	size_t len = strlen(folder);

	return strncmp(path, folder, len) == 0 && path[len] != '\0' && strchr(path + len, '/') == NULL;
}

enum write_kind write_kind_of(const char *method, const char *path)
{
	/* The last one lets the server note the time, after its answer. It is how the poll service finds out that a server is back. */
	static const char *const reads[] = {"/filter", "/count", "/get_scheduled_flow_runs"};

	if (strcmp(method, "GET") == 0)
		return WRITE_NONE;
	if (strcmp(method, "POST") == 0)
		for (size_t i = 0; i < sizeof reads / sizeof reads[0]; i++)
			if (ends_with(path, reads[i]))
				return WRITE_NONE;
	if (strcmp(method, "POST") == 0 && ends_with(path, "/bulk_delete"))
		return WRITE_LONG;
	if (strcmp(method, "DELETE") == 0 && (is_in(path, "/flow_runs/") || is_in(path, "/artifacts/")))
		return WRITE_LONG;
	return WRITE_SHORT;
}

/* --- a stalled server -------------------------------------------------------------------------------------- */

/* Notes whether the server stalls now, and says it once. The caller holds the lock, which is given up while it is said. */
static void note_stall(struct write_gate *gate, bool stalled)
{
	bool news = gate->stall_told != stalled;
	int64_t lasted_ms = stalled ? 0 : clock_mono_ms() - gate->stalled_ms;

	gate->stalled = stalled;
	gate->stall_told = stalled;
	if (!news || gate->told == NULL)
		return;
	(void)pthread_mutex_unlock(&gate->lock);
	gate->told(gate->told_arg, stalled, lasted_ms);
	(void)pthread_mutex_lock(&gate->lock);
}

/* Asks once. Any answer will do that is not a proxy's, whose server does not answer. The thread has `probing`. */
static bool probe(struct write_gate *gate, int64_t until_ms)
{
	int64_t left = until_ms - clock_mono_ms();
	struct http_request request = {.method = "GET", .path = "/health", .tries_max = 1,
	                               .limit_ms = left < PROBE_TIMEOUT_MS ? left : PROBE_TIMEOUT_MS};
	struct http_answer answer;

	if (gate->probe == NULL)
		gate->probe = http_new(gate->probe_settings);
	if (gate->probe == NULL || left <= 0 || http_call(gate->probe, &request, &answer, NULL, NULL) != 0)
		return false;
	bool answered = answer.status < 502 || answer.status > 504;
	http_answer_release(&answer);
	return answered;
}

/* The caller holds the lock, which is given up while the server is asked. */
static void probe_unlocked(struct write_gate *gate, int64_t until_ms)
{
	gate->probing = true;
	(void)pthread_mutex_unlock(&gate->lock);
	bool answered = probe(gate, until_ms);
	(void)pthread_mutex_lock(&gate->lock);
	gate->probing = false;
	gate->probe_due_ms = clock_mono_ms() + wait_jitter(gate->probe_wait_ms);
	gate->probe_wait_ms = gate->probe_wait_ms < PROBE_MAX_MS / 2 ? gate->probe_wait_ms * 2 : PROBE_MAX_MS;
	if (gate->stalled)
		note_stall(gate, !answered);
	(void)pthread_cond_broadcast(&gate->changed);
}

/* --- the gate ------------------------------------------------------------------------------------------------ */

static void append(struct write_gate *gate, struct write_waiter *waiter)
{
	struct write_waiter **end = &gate->waiting[waiter->kind];

	while (*end != NULL)
		end = &(*end)->next;
	*end = waiter;
}

static void withdraw(struct write_gate *gate, const struct write_waiter *waiter)
{
	struct write_waiter **link = &gate->waiting[waiter->kind];

	while (*link != waiter)
		link = &(*link)->next;
	*link = waiter->next;
	(void)pthread_cond_broadcast(&gate->changed);
}

/* Is it the turn of @waiter, as far as the other writes go? */
static bool is_next(const struct write_gate *gate, const struct write_waiter *waiter)
{
	return gate->under_way < gate->at_once && gate->waiting[waiter->kind] == waiter &&
	       (waiter->kind == WRITE_SHORT || gate->waiting[WRITE_SHORT] == NULL);
}

/* The caller holds the lock, which is given up meanwhile. */
static bool is_wanted_unlocked(struct write_gate *gate, enum write_kind kind, http_go_on *go_on, void *go_on_arg)
{
	/* A batch that has not been sent is not begun any more. */
	if (kind == WRITE_LONG && stop_asked(gate->probe_settings->stop))
		return false;
	(void)pthread_mutex_unlock(&gate->lock);
	bool wanted = go_on(go_on_arg);
	(void)pthread_mutex_lock(&gate->lock);
	return wanted;
}

static void wait_for_change(struct write_gate *gate, int64_t until_ms)
{
	int64_t left = until_ms - clock_mono_ms();
	struct timespec deadline;

	cond_deadline(left < ASK_EVERY_MS ? left : ASK_EVERY_MS, &deadline);
	(void)pthread_cond_timedwait(&gate->changed, &gate->lock, &deadline);
}

static bool enter(void *arg, const struct http_request *request, int64_t until_ms, http_go_on *go_on, void *go_on_arg)
{
	struct write_gate *gate = arg;
	struct write_waiter self = {.kind = write_kind_of(request->method, request->path)};
	bool through = false;

	if (self.kind == WRITE_NONE)
		return true;
	(void)pthread_mutex_lock(&gate->lock);
	append(gate, &self);
	for (;;) {
		through = is_next(gate, &self) && !gate->stalled;
		if (through || clock_mono_ms() >= until_ms)
			break;
		if (!is_wanted_unlocked(gate, self.kind, go_on, go_on_arg))
			break;
		if (is_next(gate, &self) && gate->stalled && !gate->probing && clock_mono_ms() >= gate->probe_due_ms)
			probe_unlocked(gate, until_ms);
		else if (!is_next(gate, &self) || gate->stalled)
			wait_for_change(gate, until_ms);
	}
	gate->under_way += through;
	withdraw(gate, &self);
	(void)pthread_mutex_unlock(&gate->lock);
	return through;
}

static void leave(void *arg, const struct http_request *request, enum http_end end)
{
	struct write_gate *gate = arg;

	if (write_kind_of(request->method, request->path) == WRITE_NONE)
		return;
	(void)pthread_mutex_lock(&gate->lock);
	gate->under_way--;
	if (end == HTTP_HUNG && !gate->stalled) {
		gate->stalled = true;
		gate->stalled_ms = clock_mono_ms();
		gate->probe_due_ms = gate->stalled_ms;
		gate->probe_wait_ms = PROBE_FIRST_MS;
	} else if (end == HTTP_ANSWERED && gate->stalled) {
		note_stall(gate, false);
	}
	(void)pthread_cond_broadcast(&gate->changed);
	(void)pthread_mutex_unlock(&gate->lock);
}

void write_gate_init(struct write_gate *gate, int64_t at_once, const struct http_settings *probes)
{
	*gate = (struct write_gate){.at_once = at_once > 0 ? at_once : 1, .probe_settings = probes,
	                            .http = {.enter = enter, .leave = leave, .arg = gate}};
	(void)pthread_mutex_init(&gate->lock, NULL);
	cond_init(&gate->changed);
}

void write_gate_done(struct write_gate *gate)
{
	http_free(gate->probe);
	(void)pthread_cond_destroy(&gate->changed);
	(void)pthread_mutex_destroy(&gate->lock);
}

void write_gate_set(struct write_gate *gate, int64_t at_once)
{
	(void)pthread_mutex_lock(&gate->lock);
	gate->at_once = at_once > 0 ? at_once : 1;
	(void)pthread_cond_broadcast(&gate->changed);
	(void)pthread_mutex_unlock(&gate->lock);
}
