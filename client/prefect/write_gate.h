/* How many requests of one worker may change the server at the same time: one, unless a setting says more.
 *
 * A Prefect server on SQLite stands still for up to a minute when several clients write at once (its collector finalizes a
 * cursor whose connection waits for the write lock: seen with Prefect 3.8.8 and 3.9.1). So every write of a worker goes
 * through one gate, whatever thread makes it: state changes, logs, task runs, artifacts, heartbeats, inputs, deletions.
 * Reads do not wait.
 *
 *   short ones   states, heartbeats, claims, logs, ...    in the order in which they came
 *   long ones    deletions of flow runs and artifacts      likewise, and only while no short one waits
 *
 * So a heartbeat waits for one call of a deletion at most. The gate is held for one try of a request and never while a
 * thread waits for its next try: who holds it waits for the server's answer and for nothing else.
 *
 * After a try that hung (no answer for seconds) the server is taken to be stalled: no further write goes to it until it
 * answers GET /health, which is asked by one of the waiting threads, with growing pauses.
 *
 * Thread rule: every function may be called from any thread, but for write_gate_init() and write_gate_done(). */
#ifndef PREFECT_WRITE_GATE_H
#define PREFECT_WRITE_GATE_H

#include <pthread.h>

#include "client/base/http.h"

enum write_kind { WRITE_NONE, WRITE_SHORT, WRITE_LONG };

/* What kind of write a request to the REST API is: WRITE_NONE for a read. What is not known to read counts as a write.
 * Source: the paths that this program uses, Prefect 3.4.20 to 3.9.1. */
enum write_kind write_kind_of(const char *method, const char *path);

/* The server stalls: it does not answer GET /health either (@lasted_ms is 0). Or it answers again, after so many milliseconds.
 * Called by the thread that found out, without a lock. */
typedef void write_gate_told(void *arg, bool stalled, int64_t lasted_ms);

struct write_waiter;

struct write_gate {
	pthread_mutex_t lock;    /* guards the members down to `probe` */
	pthread_cond_t changed;  /* broadcast when one of them changes so that a waiting write may go */
	int64_t at_once;
	int64_t under_way;       /* writes that were let through and have not come back */
	struct write_waiter *waiting[WRITE_LONG + 1]; /* lists, the first to go first; the waiters' threads own them */
	bool stalled;
	int64_t stalled_ms;      /* since when, by clock_mono_ms() */
	bool stall_told;         /* `told` was called for it */
	bool probing;            /* a thread asks GET /health: `probe` is its own meanwhile */
	int64_t probe_due_ms;    /* when it is asked next */
	int64_t probe_wait_ms;   /* after a probe that was not answered */
	struct http *probe;      /* owned; NULL until the first probe */
	const struct http_settings *probe_settings; /* borrowed */
	write_gate_told *told;   /* may be NULL */
	void *told_arg;          /* borrowed */
	struct http_gate http;   /* for http_settings.gate of every session of the worker */
};

/* @probes: how GET /health is asked (without a gate); borrowed until write_gate_done(). */
void write_gate_init(struct write_gate *gate, int64_t at_once, const struct http_settings *probes);
void write_gate_done(struct write_gate *gate);

/* More or fewer at once (less than one is one) from now on; those under way go on. */
void write_gate_set(struct write_gate *gate, int64_t at_once);

#endif
