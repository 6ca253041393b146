#include "client/base/stop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "client/base/clock.h"

void cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(cond, &attr);
	(void)pthread_condattr_destroy(&attr);
}

void cond_deadline(int64_t ms, struct timespec *ret_deadline)
{
	(void)clock_gettime(CLOCK_MONOTONIC, ret_deadline);
	ret_deadline->tv_sec += (time_t)(ms / 1000);
	ret_deadline->tv_nsec += (long)(ms % 1000) * 1000000;
	if (ret_deadline->tv_nsec >= 1000000000) {
		ret_deadline->tv_nsec -= 1000000000;
		ret_deadline->tv_sec++;
	}
}

void stop_init(struct stop *stop)
{
	atomic_init(&stop->asked, false);
	atomic_init(&stop->asked_ms, 0);
	atomic_init(&stop->nudges, 0);
	(void)pthread_mutex_init(&stop->lock, NULL);
	cond_init(&stop->wake);
}

void stop_done(struct stop *stop)
{
	(void)pthread_cond_destroy(&stop->wake);
	(void)pthread_mutex_destroy(&stop->lock);
}

void stop_ask(struct stop *stop)
{
	(void)pthread_mutex_lock(&stop->lock);
	if (!atomic_load(&stop->asked))
		atomic_store(&stop->asked_ms, clock_mono_ms());
	atomic_store(&stop->asked, true);
	(void)pthread_cond_broadcast(&stop->wake);
	(void)pthread_mutex_unlock(&stop->lock);
}

int64_t stop_asked_ago_ms(struct stop *stop)
{
	return stop_asked(stop) ? clock_mono_ms() - atomic_load(&stop->asked_ms) : -1;
}

void stop_nudge(struct stop *stop)
{
	(void)pthread_mutex_lock(&stop->lock);
	atomic_fetch_add(&stop->nudges, 1);
	(void)pthread_cond_broadcast(&stop->wake);
	(void)pthread_mutex_unlock(&stop->lock);
}

/* Waits for the time, the stop, or (@nudged) the next nudge. */
static bool wait_for(struct stop *stop, int64_t ms, bool nudged)
{
	unsigned before = atomic_load(&stop->nudges);
	struct timespec deadline;

	cond_deadline(ms, &deadline);
	(void)pthread_mutex_lock(&stop->lock);
	while (!atomic_load(&stop->asked) && ms > 0 && !(nudged && atomic_load(&stop->nudges) != before))
		if (pthread_cond_timedwait(&stop->wake, &stop->lock, &deadline) == ETIMEDOUT)
			break;
	(void)pthread_mutex_unlock(&stop->lock);
	return stop_asked(stop);
}

bool stop_wait_nudged(struct stop *stop, int64_t ms)
{
	return wait_for(stop, ms, /* nudged= */ true);
}

bool stop_wait(struct stop *stop, int64_t ms)
{
	if (stop == NULL) {
		struct timespec span = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
		while (ms > 0 && nanosleep(&span, &span) != 0 && errno == EINTR)
			;
		return false;
	}

	return wait_for(stop, ms, /* nudged= */ false);
}

int64_t wait_jitter(int64_t ms)
{
	uint32_t random = 0;

	if (getrandom(&random, sizeof random, GRND_NONBLOCK) != (ssize_t)sizeof random)
		return ms; /* no jitter is no harm */
	return ms * 3 / 4 + ms / 2 * (int64_t)(random >> 16) / 65535;
}
