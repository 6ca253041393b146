#include "tests/injection/failing.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unwind.h>

#include "client/base/clock.h"
#include "client/base/stop.h"

#define STACK_FRAMES 8
#define STACKS_SIZE (1 << 16) /* a power of two */
#define START_MS INT64_C(1795242861000) /* 2026-11-21 06:34:21 UTC */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t max);
int __real_vasprintf(char **ret, const char *fmt, va_list args);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t max);
int __wrap_vasprintf(char **ret, const char *fmt, va_list args);
bool __wrap_stop_wait(struct stop *stop, int64_t ms);
bool __wrap_stop_wait_nudged(struct stop *stop, int64_t ms);

static _Thread_local bool exempt;
static atomic_size_t counted;
static atomic_size_t wanted;
static atomic_bool happened;
static _Atomic int64_t clock_ms = START_MS;

/* --- call stacks: one thread allocates at a time while they are learned -------------------------------------- */

static bool *is_new;
static size_t learn_max;
static uintptr_t stacks[STACKS_SIZE];

struct walk {
	uintptr_t hash;
	int frames;
};

static _Unwind_Reason_Code add_frame(struct _Unwind_Context *context, void *arg)
{
	struct walk *walk = arg;

	walk->hash = (walk->hash ^ (uintptr_t)_Unwind_GetIP(context)) * UINT64_C(0x9e3779b97f4a7c15);
	walk->hash ^= walk->hash >> 29;
	return ++walk->frames < STACK_FRAMES ? _URC_NO_REASON : _URC_END_OF_STACK;
}

static void learn(size_t nth)
{
	struct walk walk = {0};

	if (nth > learn_max)
		return;
	(void)_Unwind_Backtrace(add_frame, &walk);
	size_t at = walk.hash & (STACKS_SIZE - 1);
	while (stacks[at] != 0 && stacks[at] != walk.hash)
		at = (at + 1) & (STACKS_SIZE - 1);
	is_new[nth - 1] = stacks[at] == 0;
	stacks[at] = walk.hash;
}

void failing_learn(size_t max)
{
	is_new = __real_calloc(max, sizeof *is_new);
	learn_max = is_new != NULL ? max : 0;
}

bool failing_is_new(size_t nth)
{
	return nth > learn_max || is_new[nth - 1];
}

void failing_forget(void)
{
	free(is_new);
	is_new = NULL;
	learn_max = 0;
}

/* --- allocations -------------------------------------------------------------------------------------------- */

void failing_exempt(bool on)
{
	exempt = on;
}

void failing_arm(size_t nth)
{
	atomic_store(&counted, 0);
	atomic_store(&happened, false);
	atomic_store(&wanted, nth);
}

size_t failing_count(void)
{
	return atomic_load(&counted);
}

bool failing_happened(void)
{
	return atomic_load(&happened);
}

static bool fails(void)
{
	if (exempt)
		return false;
	size_t nth = atomic_fetch_add(&counted, 1) + 1;
	if (learn_max > 0 && atomic_load(&wanted) == 0)
		learn(nth);
	if (nth != atomic_load(&wanted))
		return false;
	atomic_store(&happened, true);
	errno = ENOMEM;
	return true;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return fails() ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *s)
{
	return fails() ? NULL : __real_strdup(s);
}

char *__wrap_strndup(const char *s, size_t max)
{
	return fails() ? NULL : __real_strndup(s, max);
}

int __wrap_vasprintf(char **ret, const char *fmt, va_list args)
{
	return fails() ? -1 : __real_vasprintf(ret, fmt, args);
}

/* --- time --------------------------------------------------------------------------------------------------- */

int64_t failing_now_ms(void)
{
	return atomic_load(&clock_ms);
}

void failing_pass(int64_t ms)
{
	atomic_fetch_add(&clock_ms, ms);
}

static time_us now_us(void)
{
	return failing_now_ms() * 1000;
}

bool __wrap_stop_wait(struct stop *stop, int64_t ms)
{
	failing_pass(ms > 0 ? ms : 0);
	return stop_asked(stop);
}

bool __wrap_stop_wait_nudged(struct stop *stop, int64_t ms)
{
	return __wrap_stop_wait(stop, ms);
}

void failing_install(void)
{
	if (curl_global_init_mem(CURL_GLOBAL_ALL, __wrap_malloc, free, __wrap_realloc, __wrap_strdup, __wrap_calloc) != CURLE_OK)
		abort();
	clock_fake(failing_now_ms, now_us);
}
