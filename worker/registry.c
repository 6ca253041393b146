#include "worker/registry.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/base/stop.h"

void registry_init(struct registry *registry, size_t limit)
{
	*registry = (struct registry){.limit = limit};
	(void)pthread_mutex_init(&registry->lock, NULL);
	cond_init(&registry->changed);
}

void registry_done(struct registry *registry)
{
	(void)pthread_cond_destroy(&registry->changed);
	(void)pthread_mutex_destroy(&registry->lock);
	free(registry->runs);
}

static void lock(struct registry *registry)
{
	(void)pthread_mutex_lock(&registry->lock);
}

static void unlock(struct registry *registry)
{
	(void)pthread_mutex_unlock(&registry->lock);
}

/* All three below: the caller holds the lock. */
static void announce(struct registry *registry)
{
	registry->news = true;
	(void)pthread_cond_broadcast(&registry->changed);
}

static struct run *find(struct registry *registry, const char *id)
{
	for (size_t i = 0; i < registry->count; i++)
		if (memcmp(registry->runs[i].id, id, UUID_SIZE) == 0)
			return &registry->runs[i];
	return NULL;
}

static bool grow(struct registry *registry)
{
	if (registry->count < registry->size)
		return true;
	size_t size = registry->size > 0 ? registry->size * 2 : 16;
	struct run *runs = realloc(registry->runs, size * sizeof *runs);
	if (runs == NULL)
		return false;
	registry->runs = runs;
	registry->size = size;
	return true;
}

bool registry_add(struct registry *registry, const char *id, enum run_phase phase, bool ours, time_us due)
{
	lock(registry);
	bool added = find(registry, id) == NULL && grow(registry);
	if (added) {
		struct run *run = &registry->runs[registry->count++];
		*run = (struct run){.phase = phase, .ours = ours, .due = due, .since_ms = clock_mono_ms()};
		memcpy(run->id, id, UUID_SIZE);
		uuid_make(run->claim);
		uuid_make(run->start);
		announce(registry);
	}
	unlock(registry);
	return added;
}

bool registry_take(struct registry *registry, time_us now, struct run *ret_run, time_us *ret_next_due)
{
	struct run *first = NULL;

	lock(registry);
	for (size_t i = 0; i < registry->count; i++) {
		struct run *run = &registry->runs[i];
		if (run->phase == RUN_DUE && (first == NULL || run->due < first->due))
			first = run;
	}
	/* Where no slot is free, the clock alone changes nothing: the end of a body wakes the waiter. */
	bool free_slot = registry->active < registry->limit;
	bool taken = first != NULL && free_slot && first->due <= now;
	*ret_next_due = first != NULL && free_slot && !taken ? first->due : INT64_MAX;
	if (taken) {
		first->phase = RUN_ACTIVE;
		registry->active++;
		*ret_run = *first;
	}
	unlock(registry);
	return taken;
}

/* Changes the phase of a run; NULL where it is not in here. The caller holds the lock. */
static struct run *change(struct registry *registry, const char *id, enum run_phase phase)
{
	struct run *run = find(registry, id);

	if (run == NULL)
		return NULL;
	if (run->phase == RUN_ACTIVE)
		registry->active--;
	run->phase = phase;
	announce(registry);
	return run;
}

void registry_park(struct registry *registry, const char *id, const struct run_form *form)
{
	lock(registry);
	struct run *run = change(registry, id, RUN_PARKED);
	if (run != NULL) {
		run->ours = true;
		run->lease[0] = '\0';
		run->form = *form;
	}
	unlock(registry);
}

bool registry_next_form(struct registry *registry, int64_t now_ms, struct run *ret_run)
{
	const struct run *first = NULL;

	lock(registry);
	for (size_t i = 0; i < registry->count; i++) {
		const struct run *run = &registry->runs[i];
		const struct run_form *form = &run->form;

		if (run->phase != RUN_PARKED || form->due_ms > now_ms || (form->known && form->number == 0))
			continue;
		if (first == NULL || form->known < first->form.known ||
		    (form->known == first->form.known && form->due_ms < first->form.due_ms))
			first = run;
	}
	if (first != NULL)
		*ret_run = *first;
	unlock(registry);
	return first != NULL;
}

void registry_note_form(struct registry *registry, const char *id, const struct run_form *form)
{
	lock(registry);
	struct run *run = find(registry, id);
	if (run != NULL)
		run->form = *form;
	unlock(registry);
}

void registry_postpone(struct registry *registry, const char *id, bool ours, time_us due, const struct trouble *trouble)
{
	lock(registry);
	struct run *run = change(registry, id, RUN_DUE);
	if (run != NULL) {
		run->ours = ours;
		run->due = due;
		run->trouble = trouble != NULL ? *trouble : (struct trouble){0};
		run->since_ms = clock_mono_ms();
	}
	unlock(registry);
}

void registry_hurry(struct registry *registry)
{
	lock(registry);
	for (size_t i = 0; i < registry->count; i++)
		if (registry->runs[i].phase == RUN_DUE && registry->runs[i].trouble.tries > 0 &&
		    !registry->runs[i].trouble.by_wish)
			registry->runs[i].due = 0;
	announce(registry);
	unlock(registry);
}

void registry_queue(struct registry *registry, const char *id, const char *behind)
{
	lock(registry);
	struct run *run = change(registry, id, RUN_QUEUED);
	if (run != NULL) {
		run->ours = true;
		(void)snprintf(run->behind, UUID_SIZE, "%s", behind);
	}
	unlock(registry);
}

void registry_set_limit(struct registry *registry, size_t limit)
{
	lock(registry);
	registry->limit = limit;
	announce(registry);
	unlock(registry);
}

void registry_resume(struct registry *registry, const char *id)
{
	registry_postpone(registry, id, /* ours= */ true, /* due= */ 0, /* trouble= */ NULL);
}

void registry_drop(struct registry *registry, const char *id)
{
	lock(registry);
	struct run *run = change(registry, id, RUN_DUE);
	if (run != NULL)
		*run = registry->runs[--registry->count];
	unlock(registry);
}

size_t registry_list(struct registry *registry, enum run_phase phase, size_t *from, struct run *ret_runs, size_t max)
{
	size_t copied = 0;

	lock(registry);
	for (; *from < registry->count && copied < max; ++*from)
		if (registry->runs[*from].phase == phase)
			ret_runs[copied++] = registry->runs[*from];
	if (*from >= registry->count)
		*from = SIZE_MAX;
	unlock(registry);
	return copied;
}

void registry_note_taking(struct registry *registry, const char *id, int taking)
{
	lock(registry);
	struct run *run = find(registry, id);
	if (run != NULL)
		run->taking = taking;
	unlock(registry);
}

void registry_hold_lease(struct registry *registry, const char *id, const char *lease, bool held)
{
	lock(registry);
	struct run *run = find(registry, id);
	if (run != NULL) {
		(void)snprintf(run->lease, UUID_SIZE, "%s", lease);
		run->renew_ms = 0;
		run->lease_held = held;
		run->lease_missed = false;
	}
	unlock(registry);
}

void registry_lease_is_held(struct registry *registry, const char *id)
{
	lock(registry);
	struct run *run = find(registry, id);
	if (run != NULL) {
		run->lease_held = true;
		run->lease_missed = false;
	}
	unlock(registry);
}

bool registry_miss_lease(struct registry *registry, const char *id, const char *lease, int64_t again_ms)
{
	lock(registry);
	struct run *run = find(registry, id);
	bool same = run != NULL && strcmp(run->lease, lease) == 0;
	bool again = same && run->lease_missed;
	if (again)
		run->lease[0] = '\0';
	if (same) {
		run->lease_missed = true;
		run->renew_ms = again_ms;
	}
	unlock(registry);
	return again;
}

void registry_drop_lease(struct registry *registry, const char *id)
{
	lock(registry);
	struct run *run = find(registry, id);
	if (run != NULL)
		run->lease[0] = '\0';
	unlock(registry);
}

bool registry_next_lease(struct registry *registry, int64_t now_ms, int64_t every_ms, struct run *ret_run)
{
	bool found = false;

	lock(registry);
	for (size_t i = 0; i < registry->count && !found; i++) {
		struct run *run = &registry->runs[i];
		bool at_work = run->phase == RUN_ACTIVE || run->phase == RUN_QUEUED;

		found = at_work && run->lease[0] != '\0' && run->renew_ms <= now_ms;
		if (found) {
			run->renew_ms = now_ms + every_ms;
			*ret_run = *run;
		}
	}
	unlock(registry);
	return found;
}

bool registry_has(struct registry *registry, const char *id)
{
	lock(registry);
	bool has = find(registry, id) != NULL;
	unlock(registry);
	return has;
}

size_t registry_count(struct registry *registry)
{
	lock(registry);
	size_t count = registry->count;
	unlock(registry);
	return count;
}

size_t registry_active(struct registry *registry)
{
	lock(registry);
	size_t active = registry->active;
	unlock(registry);
	return active;
}

void registry_measure(struct registry *registry, time_us now, struct registry_figures *ret_figures)
{
	struct registry_figures figures = {0};
	int64_t now_ms = clock_mono_ms();

	lock(registry);
	figures.active = registry->active;
	for (size_t i = 0; i < registry->count; i++) {
		const struct run *run = &registry->runs[i];

		figures.parked += run->phase == RUN_PARKED;
		if (run->phase != RUN_DUE || run->due > now)
			continue;
		/* 0: resumed, and due since then. */
		int64_t waited = run->due != 0 ? (now - run->due) / 1000 : now_ms - run->since_ms;
		figures.waiting++;
		figures.longest_ms = waited > figures.longest_ms ? waited : figures.longest_ms;
	}
	unlock(registry);
	*ret_figures = figures;
}

void registry_wait(struct registry *registry, int64_t ms)
{
	struct timespec deadline;

	cond_deadline(ms > 0 ? ms : 0, &deadline);
	lock(registry);
	while (!registry->news && !registry->woken)
		if (pthread_cond_timedwait(&registry->changed, &registry->lock, &deadline) == ETIMEDOUT)
			break;
	registry->news = false;
	unlock(registry);
}

void registry_wake(struct registry *registry)
{
	lock(registry);
	registry->woken = true;
	(void)pthread_cond_broadcast(&registry->changed);
	unlock(registry);
}

bool registry_wait_idle(struct registry *registry, int64_t ms)
{
	struct timespec deadline;

	cond_deadline(ms, &deadline);
	lock(registry);
	while (registry->active > 0)
		if (pthread_cond_timedwait(&registry->changed, &registry->lock, &deadline) == ETIMEDOUT)
			break;
	bool idle = registry->active == 0;
	unlock(registry);
	return idle;
}
