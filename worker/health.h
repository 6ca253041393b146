/* Is the worker well? The rule, and the HTTP server of `start --with-healthcheck` that tells it:
 *
 *   /livez    200 while every service's loop made progress lately: for a probe that restarts
 *   /health   200 while, besides, the last poll succeeded, not long ago; the words are Prefect's
 *   /readyz   200 while, besides, the work pool is joined and the worker is not asked to stop
 *   /metrics  Prometheus' text format (metrics.h)
 *
 * Any other path is 404, any method but GET 405; bodies are not read. One thread, HEALTH_CONNECTIONS_MAX connections,
 * each ended after HEALTH_IDLE_S without a byte. Nothing secret is told. Nothing here asks the Prefect server: all of it
 * is computed from what last succeeded.
 * Thread rule: the questions may be asked from any thread; start and stop belong to the main thread. */
#ifndef WORKER_HEALTH_H
#define WORKER_HEALTH_H

#include "worker/worker.h"

#define HEALTH_CONNECTIONS_MAX 16
#define HEALTH_IDLE_S 5

/* False where a service has neither come round its loop nor got an answer for longer than its interval, one
 * request and the wait after trouble take. Before the pool is joined there are no services, and while the worker stops they end: true. */
bool health_is_live(struct worker *worker);

/* The last poll succeeded, and is not older than one interval (with its jitter) and the time for a retry. So it is false
 * within that time after the server went away, also where it just does not answer, and true again after the next poll. */
bool health_is_polling(struct worker *worker);

bool health_is_ready(struct worker *worker);

struct health;

/* Binds the address of the settings and serves from a thread of its own until health_stop(); says where in the log.
 * Blocks while a host name is looked up. Returns 0, ERR_SYSTEM (the text names the settings) or ERR_NOMEM. */
int health_start(struct worker *worker, struct health **ret_health, struct error *err) MUST_CHECK;

/* Closes every connection and ends the thread; @health may be NULL. */
void health_stop(struct health *health);

#endif
