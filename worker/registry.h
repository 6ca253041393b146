/* The runs that this worker has in hand, and how many bodies may run at once.
 *
 *   DUE     fetched (before its time, or resumed) and waiting for its time and a free slot
 *   ACTIVE  a body is running
 *   PARKED  Paused; the watch service looks at it. Some two hundred bytes, no thread.
 *   QUEUED  approved, and waiting for its turn to delete (turn.h); likewise
 *
 * A run is in here at most once, which is what keeps a worker from running it twice.
 * Thread rule: every function may be called from any thread; one mutex guards all members. */
#ifndef WORKER_REGISTRY_H
#define WORKER_REGISTRY_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "client/base/clock.h"
#include "client/base/json.h"
#include "worker/trouble.h"

enum run_phase { RUN_DUE, RUN_ACTIVE, RUN_PARKED, RUN_QUEUED };

/* What is known of the form that a PARKED run shows (approval_form.h). */
struct run_form {
	bool known;     /* somebody of this process has stored it or looked at it */
	int number;     /* of the question; 0: the run is Paused without one */
	uint64_t print; /* approval_form_print() of what is stored; 0: it could not be stored */
	int failures;   /* looks since the last that succeeded */
	int64_t due_ms; /* when to look at it again, by clock_mono_ms() */
	time_us remind_at; /* when to remind of the question, by the server's clock; 0: not (any more) */
};

struct run {
	char id[UUID_SIZE];
	enum run_phase phase;
	bool ours;   /* Pending, Running or Paused by our doing: no claim is needed */
	int taking;  /* number of our taking, where the run was taken over and its body has not begun since; else 0 */
	char claim[UUID_SIZE]; /* transition id of our claim: by it we know a Pending that is ours although the answer was lost */
	char start[UUID_SIZE]; /* likewise of Pending to Running: what was given up and arrives late must not count again */
	time_us due; /* by the server's clock; of DUE runs */
	char behind[UUID_SIZE]; /* of QUEUED runs: whose turn it was when they queued */
	char lease[UUID_SIZE]; /* on a slot of the deployment's concurrency limit; "" for none */
	int64_t renew_ms;      /* when to renew it, by clock_mono_ms() */
	bool lease_held;       /* surely: of a run that was Paused the server may have taken it back */
	bool lease_missed;     /* the latest try to renew it found it gone */
	struct trouble trouble; /* of the latest tries to start its body; the executor's while it is ACTIVE */
	int64_t since_ms; /* when it became DUE, by clock_mono_ms() */
	struct run_form form;
};

struct registry {
	pthread_mutex_t lock;   /* guards every member below */
	pthread_cond_t changed; /* broadcast when a run is added, resumed, parked or dropped, and by registry_wake() */
	struct run *runs;
	size_t count;
	size_t size;
	size_t active;
	size_t limit;           /* bodies at once */
	bool news;              /* something changed since the last registry_wait() ended */
	bool woken;             /* registry_wake() was called: no registry_wait() waits any more */
};

void registry_init(struct registry *registry, size_t limit);
void registry_done(struct registry *registry);

/* Adds a run; false where it is in here already, or without memory (the next poll brings it again). */
bool registry_add(struct registry *registry, const char *id, enum run_phase phase, bool ours, time_us due);

/* Takes the DUE run with the earliest time, if that time has come and a slot is free: it is ACTIVE then.
 * Otherwise false, and @ret_next_due is the earliest time for which only the clock is to be waited for
 * (INT64_MAX where there is none). */
bool registry_take(struct registry *registry, time_us now, struct run *ret_run, time_us *ret_next_due);

/* What became of an ACTIVE run; or of a PARKED one that goes on, or ended elsewhere. */
void registry_park(struct registry *registry, const char *id, const struct run_form *form);
void registry_queue(struct registry *registry, const char *id, const char *behind);
void registry_resume(struct registry *registry, const char *id);
void registry_drop(struct registry *registry, const char *id);
/* An ACTIVE run that is to be started again at @due, with @trouble (may be NULL) as it is now. */
void registry_postpone(struct registry *registry, const char *id, bool ours, time_us due, const struct trouble *trouble);

/* Runs that were postponed are due now: what they waited for may be over. */
void registry_hurry(struct registry *registry);

/* Copies up to @max runs of @phase from position @from on; returns how many. *@from moves on; it is
 * (size_t)-1 at the end. */
size_t registry_list(struct registry *registry, enum run_phase phase, size_t *from, struct run *ret_runs, size_t max);

/* The PARKED run whose form is to be looked at first, of those that are due at @now_ms: one that nobody of this process has looked
 * at, else the one that has been due for longest. False where there is none. */
bool registry_next_form(struct registry *registry, int64_t now_ms, struct run *ret_run);
void registry_note_form(struct registry *registry, const char *id, const struct run_form *form);

/* Notes by which taking the run came here; 0 once its body has begun. */
void registry_note_taking(struct registry *registry, const char *id, int taking);

/* Keeps a lease with the run, to be renewed at once and then again and again. @held: see struct run. */
void registry_hold_lease(struct registry *registry, const char *id, const char *lease, bool held);
void registry_lease_is_held(struct registry *registry, const char *id);
/* The lease could not be renewed. True where that is so for the second time in a row, and it is still the run's: it is
 * forgotten then. Else it is tried once more at @again_ms: the server gives a slot back a moment before the state that
 * ends its use can be seen, and such a lease is not lost. */
bool registry_miss_lease(struct registry *registry, const char *id, const char *lease, int64_t again_ms);
/* Forgets it: the run is about to leave Running, by which the server takes the slot back. registry_park() does so too. */
void registry_drop_lease(struct registry *registry, const char *id);
/* A run that is ACTIVE or QUEUED and whose lease is to be renewed at @now_ms; it is due again @every_ms later. */
bool registry_next_lease(struct registry *registry, int64_t now_ms, int64_t every_ms, struct run *ret_run);

bool registry_has(struct registry *registry, const char *id);
size_t registry_count(struct registry *registry);
size_t registry_active(struct registry *registry);

struct registry_figures {
	size_t active;
	size_t parked;
	size_t waiting;     /* DUE, and their time has come */
	int64_t longest_ms; /* that one of them has waited since its time, or since it was resumed; 0 where none waits */
};
void registry_measure(struct registry *registry, time_us now, struct registry_figures *ret_figures);

/* More or fewer bodies at once from now on; those that run go on. */
void registry_set_limit(struct registry *registry, size_t limit);

/* Waits until something changed since it last returned, at most @ms. One thread. */
void registry_wait(struct registry *registry, int64_t ms);
/* Ends every registry_wait(). */
void registry_wake(struct registry *registry);
/* Waits until no body is active, at most @ms; false where there still is one. */
bool registry_wait_idle(struct registry *registry, int64_t ms);

#endif
