/* How this process is asked to stop, and the only way to wait in it: every wait ends early then.
 *
 * Thread rule: every function may be called from any thread; none from a signal handler (signals
 * are taken by sigwait in the main thread). */
#ifndef BASE_STOP_H
#define BASE_STOP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct stop {
	atomic_bool asked;          /* read anywhere; set once, never cleared */
	_Atomic int64_t asked_ms;   /* when, by clock_mono_ms() */
	atomic_uint nudges;         /* how often stop_nudge() was called */
	pthread_mutex_t lock; /* guards nothing but the wait on `wake` */
	pthread_cond_t wake;  /* broadcast when asked becomes true; monotonic clock */
};

void stop_init(struct stop *stop);
void stop_done(struct stop *stop);
void stop_ask(struct stop *stop);

/* Milliseconds since stop_ask(), -1 before it. */
int64_t stop_asked_ago_ms(struct stop *stop);

static inline bool stop_asked(struct stop *stop)
{
	return stop != NULL && atomic_load(&stop->asked);
}

/* Waits @ms milliseconds, or less where the process is asked to stop; returns stop_asked().
 * @stop may be NULL: then it just waits. */
bool stop_wait(struct stop *stop, int64_t ms);

/* The same, but it also ends when another thread calls stop_nudge(): there is news that makes a long wait needless. */
bool stop_wait_nudged(struct stop *stop, int64_t ms);
void stop_nudge(struct stop *stop);

/* @ms spread evenly over 75 % to 125 % of it, so that many workers do not call in step. */
int64_t wait_jitter(int64_t ms);

/* The deadline @ms from now for pthread_cond_timedwait() on a condition made by cond_init(). */
struct timespec;
void cond_init(pthread_cond_t *cond);
void cond_deadline(int64_t ms, struct timespec *ret_deadline);

#endif
