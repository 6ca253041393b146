#include "worker/registry.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/unit.h"

#define HOUR_MS 3600000

static const struct run_form unseen;

static const char *id_of(int number, char id[UUID_SIZE])
{
	(void)snprintf(id, UUID_SIZE, "00000000-0000-4000-8000-%012d", number);
	return id;
}

/* Takes a run and returns its number; -1 where there is none to take. */
static int take(struct registry *registry, time_us now, time_us *ret_next)
{
	struct run run;
	time_us next;

	bool taken = registry_take(registry, now, &run, &next);
	if (ret_next != NULL)
		*ret_next = next;
	return taken ? atoi(run.id + 24) : -1;
}

static void holds_a_run_once(void)
{
	struct registry registry;
	char id[UUID_SIZE];

	registry_init(&registry, 1);
	CHECK("new", registry_add(&registry, id_of(1, id), RUN_DUE, false, 10));
	CHECK("while due", !registry_add(&registry, id, RUN_DUE, false, 0));
	CHECK_INT("taken", take(&registry, 10, NULL), 1);
	CHECK("while active", !registry_add(&registry, id, RUN_DUE, false, 0));
	registry_park(&registry, id, &unseen);
	CHECK("while parked", !registry_add(&registry, id, RUN_DUE, false, 0));
	CHECK_INT("one", registry_count(&registry), 1);
	registry_drop(&registry, id);
	CHECK("after it was dropped", registry_add(&registry, id, RUN_PARKED, true, 0));
	CHECK("another", registry_add(&registry, id_of(2, id), RUN_DUE, false, 0));
	CHECK_INT("two", registry_count(&registry), 2);
	CHECK("found", registry_has(&registry, id) && !registry_has(&registry, id_of(3, id)));
	registry_done(&registry);
}

static void takes_the_earliest(void)
{
	static const struct {
		const char *name;
		time_us now;
		int taken;
		time_us next;
	} rows[] = {
		{"too early", 9, -1, 10}, {"the first", 30, 3, INT64_MAX},  {"the second", 30, 1, INT64_MAX},
		{"equal times", 30, 2, INT64_MAX}, {"not yet", 30, -1, 40}, {"the last", 40, 0, INT64_MAX},
		{"none", 99, -1, INT64_MAX},
	};
	static const time_us due[] = {40, 20, 20, 10};
	struct registry registry;
	char id[UUID_SIZE];

	registry_init(&registry, 10);
	for (int i = 0; i < 4; i++)
		CHECK("add", registry_add(&registry, id_of(i, id), RUN_DUE, i == 3, due[i]));
	CHECK("add", registry_add(&registry, id_of(4, id), RUN_PARKED, true, 0));
	EACH(row, rows)
	{
		time_us next;

		CHECK_INT(row->name, take(&registry, row->now, &next), row->taken);
		CHECK_INT(row->name, next, row->next);
	}
	CHECK_INT("active", registry_active(&registry), 4);
	registry_done(&registry);
}

static void keeps_the_limit(void)
{
	struct registry registry;
	char id[UUID_SIZE];
	time_us next;

	registry_init(&registry, 2);
	for (int i = 0; i < 3; i++)
		CHECK("add", registry_add(&registry, id_of(i, id), RUN_DUE, false, i));
	CHECK_INT("first", take(&registry, 9, NULL), 0);
	CHECK_INT("second", take(&registry, 9, NULL), 1);
	CHECK_INT("no slot", take(&registry, 9, &next), -1);
	CHECK_INT("the clock does not help", next, INT64_MAX);
	registry_park(&registry, id_of(0, id), &unseen);
	CHECK_INT("a paused run has no slot", take(&registry, 9, NULL), 2);
	CHECK_INT("no slot", take(&registry, 9, NULL), -1);
	registry_drop(&registry, id_of(1, id));
	CHECK_INT("nothing is due", take(&registry, 9, &next), -1);
	CHECK_INT("nothing is due", next, INT64_MAX);
	CHECK_INT("active", registry_active(&registry), 1);

	CHECK("add", registry_add(&registry, id_of(4, id), RUN_DUE, false, 0) && registry_add(&registry, id_of(5, id), RUN_DUE, false, 1));
	registry_set_limit(&registry, 1);
	CHECK_INT("none more", take(&registry, 9, NULL), -1);
	CHECK_INT("the one that runs goes on", registry_active(&registry), 1);
	registry_set_limit(&registry, 3);
	CHECK("two more", take(&registry, 9, NULL) == 4 && take(&registry, 9, NULL) == 5);
	registry_done(&registry);
}

static void moves_runs(void)
{
	struct registry registry;
	char id[UUID_SIZE];
	struct run run;
	time_us next;

	registry_init(&registry, 1);
	CHECK("add", registry_add(&registry, id_of(1, id), RUN_DUE, false, 5));
	CHECK("taken", registry_take(&registry, 5, &run, &next) && !run.ours && run.phase == RUN_ACTIVE);
	registry_park(&registry, id, &unseen);
	CHECK_INT("parked runs wait", take(&registry, 99, NULL), -1);
	registry_resume(&registry, id);
	CHECK("resumed: due at once, and ours", registry_take(&registry, 0, &run, &next) && run.ours);
	registry_postpone(&registry, id, false, 50, NULL);
	CHECK_INT("postponed", registry_active(&registry), 0);
	CHECK_INT("postponed", take(&registry, 49, &next), -1);
	CHECK_INT("postponed", next, 50);
	CHECK("then taken, and not ours", registry_take(&registry, 50, &run, &next) && !run.ours);
	registry_drop(&registry, id);
	CHECK("gone", registry_count(&registry) == 0 && registry_active(&registry) == 0);

	/* Runs that are not in here. */
	registry_park(&registry, id, &unseen);
	registry_resume(&registry, id);
	registry_postpone(&registry, id, true, 0, NULL);
	registry_drop(&registry, id);
	CHECK("still gone", registry_count(&registry) == 0 && registry_active(&registry) == 0);
	registry_done(&registry);
}

static void lists_parked_runs(void)
{
	struct registry registry;
	char id[UUID_SIZE];
	struct run runs[4];
	size_t from = 0;
	size_t parts[3];
	int sum = 0;

	registry_init(&registry, 1);
	for (int i = 0; i < 20; i++)
		CHECK("add", registry_add(&registry, id_of(i, id), i % 2 ? RUN_PARKED : RUN_DUE, true, 0));
	EACH(part, parts)
	{
		*part = registry_list(&registry, RUN_PARKED, &from, runs, COUNT_OF(runs));
		for (size_t i = 0; i < *part; i++)
			sum += atoi(runs[i].id + 24);
	}
	CHECK("in parts", parts[0] == 4 && parts[1] == 4 && parts[2] == 2);
	CHECK_INT("each once", sum, 1 + 3 + 5 + 7 + 9 + 11 + 13 + 15 + 17 + 19);
	CHECK("the end", from == SIZE_MAX);
	registry_done(&registry);

	registry_init(&registry, 1);
	from = 0;
	CHECK_INT("none", registry_list(&registry, RUN_PARKED, &from, runs, COUNT_OF(runs)), 0);
	CHECK("the end", from == SIZE_MAX);
	registry_done(&registry);
}

/* A lease that was found gone is lost only if it is still gone, and still the run's, the next time. */
static void tells_lost_leases(void)
{
	enum between { NOTHING, RENEWED, REPLACED, DROPPED, PARKED };
	static const struct {
		const char *name;
		enum between between;
		bool lost;   /* the second time */
		bool looked; /* it is there to be renewed then */
	} rows[] = {
		{"gone", NOTHING, true, true},
		{"renewed meanwhile", RENEWED, false, true},
		{"another one meanwhile", REPLACED, false, true},
		{"given back meanwhile", DROPPED, false, false},
		{"parked meanwhile", PARKED, false, false},
	};
	char lease[UUID_SIZE];
	char id[UUID_SIZE];

	(void)id_of(7, lease);
	EACH(row, rows)
	{
		char other[UUID_SIZE];
		struct registry registry;
		struct run run = {0};

		registry_init(&registry, 1);
		CHECK("add", registry_add(&registry, id_of(1, id), RUN_DUE, true, 0));
		CHECK_INT(row->name, take(&registry, 0, NULL), 1);
		registry_hold_lease(&registry, id, lease, true);
		CHECK(row->name, registry_next_lease(&registry, 10, 100, &run));
		CHECK_STR(row->name, run.lease, lease);
		CHECK("not due again", !registry_next_lease(&registry, 50, 100, &run));
		CHECK("the first time", !registry_miss_lease(&registry, id, lease, 20));

		if (row->between == RENEWED)
			registry_lease_is_held(&registry, id);
		else if (row->between == REPLACED)
			registry_hold_lease(&registry, id, id_of(8, other), true);
		else if (row->between == DROPPED)
			registry_drop_lease(&registry, id);
		else if (row->between == PARKED)
			registry_park(&registry, id, &unseen);
		CHECK(row->name, registry_next_lease(&registry, 20, 100, &run) == row->looked);
		CHECK(row->name, registry_miss_lease(&registry, id, lease, 30) == row->lost);
		CHECK("not twice", !row->lost || !registry_next_lease(&registry, 10000, 100, &run));
		registry_done(&registry);
	}
}

static void looks_at_forms(void)
{
	static const struct {
		const char *name;
		struct run_form form;
		bool looked;
		int64_t now_ms;
	} rows[] = {
		{"nobody has seen it", {.known = false}, true, 0},
		{"nor could see it a moment ago", {.known = false, .due_ms = 100}, false, 99},
		{"seen a moment ago", {.known = true, .number = 1, .print = 7, .due_ms = 100}, false, 99},
		{"due", {.known = true, .number = 1, .print = 7, .due_ms = 100}, true, 100},
		{"not there, and due", {.known = true, .number = 1, .due_ms = 100}, true, 100},
		{"paused by hand", {.known = true, .due_ms = 100}, false, HOUR_MS},
	};

	EACH(row, rows)
	{
		struct registry registry;
		struct run run;
		char id[UUID_SIZE];

		registry_init(&registry, 1);
		CHECK("add", registry_add(&registry, id_of(1, id), RUN_DUE, true, 0));
		CHECK("not while it is due", !registry_next_form(&registry, HOUR_MS, &run));
		CHECK_INT(row->name, take(&registry, 0, NULL), 1);
		CHECK("not while it is active", !registry_next_form(&registry, HOUR_MS, &run));
		registry_park(&registry, id, &row->form);
		CHECK(row->name, registry_next_form(&registry, row->now_ms, &run) == row->looked);
		CHECK(row->name, !row->looked || run.form.print == row->form.print);
		registry_note_form(&registry, id, &(struct run_form){.known = true, .number = 1, .due_ms = HOUR_MS + 1});
		CHECK("not twice", !registry_next_form(&registry, HOUR_MS, &run));
		registry_done(&registry);
	}
}

/* Each round looks at a few: none of many is forgotten. */
static void looks_at_every_form(void)
{
	enum { MANY = 100 };
	struct registry registry;
	struct run run;
	char id[UUID_SIZE];
	int looks[MANY] = {0};

	registry_init(&registry, 1);
	for (int i = 0; i < MANY; i++) {
		CHECK("add", registry_add(&registry, id_of(i, id), RUN_PARKED, true, 0));
		if (i < MANY - 1)
			registry_note_form(&registry, id, &(struct run_form){.known = true, .number = 1, .print = 7});
	}
	CHECK("taken over", registry_next_form(&registry, 0, &run));
	CHECK_INT("goes first", atoi(run.id + 24), MANY - 1);
	for (int64_t now_ms = 0; now_ms < 2 * MANY; now_ms++) {
		if (!CHECK("one is due", registry_next_form(&registry, now_ms, &run)))
			break;
		looks[atoi(run.id + 24)]++;
		registry_note_form(&registry, run.id, &(struct run_form){.known = true, .number = 1, .print = 7, .due_ms = now_ms + MANY / 2});
	}
	for (int i = 0; i < MANY; i++)
		CHECK_INT("twice each", looks[i], 2);
	registry_done(&registry);
}

static void measures_what_waits(void)
{
	static const struct {
		const char *name;
		time_us now;
		int64_t ms;
		size_t waiting;
		int64_t longest_ms;
	} rows[] = {
		{"nothing is due", 9 * US_PER_SEC, 0, 0, 0},
		{"due just now", 10 * US_PER_SEC, 0, 1, 0},
		{"late", 15 * US_PER_SEC, 0, 1, 5000},
		{"both", 22 * US_PER_SEC, 0, 2, 12000},
	};
	struct registry registry;
	struct registry_figures figures;
	char id[UUID_SIZE];

	clock_fake(unit_mono_ms, unit_now_us);
	unit_clock_ms = unit_clock_step_ms = 0;
	registry_init(&registry, 1);
	for (int i = 0; i < 2; i++)
		CHECK("add", registry_add(&registry, id_of(i, id), RUN_DUE, false, (10 + 10 * i) * US_PER_SEC));
	CHECK("add", registry_add(&registry, id_of(2, id), RUN_PARKED, true, 0));
	EACH(row, rows)
	{
		registry_measure(&registry, row->now, &figures);
		CHECK_INT(row->name, figures.waiting, row->waiting);
		CHECK_INT(row->name, figures.longest_ms, row->longest_ms);
		CHECK("of the others", figures.active == 0 && figures.parked == 1);
	}

	/* A resumed run waits from then on, whatever the server's clock says. */
	unit_clock_ms = 70000;
	registry_resume(&registry, id);
	unit_clock_ms = 70300;
	registry_measure(&registry, 5 * US_PER_SEC, &figures);
	CHECK("resumed", figures.waiting == 1 && figures.parked == 0);
	CHECK_INT("resumed", figures.longest_ms, 300);
	CHECK_INT("taken", take(&registry, 5 * US_PER_SEC, NULL), 2);
	registry_measure(&registry, 5 * US_PER_SEC, &figures);
	CHECK("taken", figures.active == 1 && figures.waiting == 0 && figures.longest_ms == 0);
	registry_done(&registry);
	clock_fake(NULL, NULL);
}

/* What changed between a look and the wait must not be slept over. */
static void does_not_sleep_over_news(void)
{
	struct registry registry;
	char id[UUID_SIZE];

	registry_init(&registry, 1);
	CHECK("add", registry_add(&registry, id_of(1, id), RUN_PARKED, true, 0));
	registry_wait(&registry, HOUR_MS);
	registry_resume(&registry, id);
	registry_wait(&registry, HOUR_MS);
	CHECK_INT("taken", take(&registry, 0, NULL), 1);
	CHECK("still active", !registry_wait_idle(&registry, 0));
	registry_drop(&registry, id);
	registry_wait(&registry, HOUR_MS);
	CHECK("idle", registry_wait_idle(&registry, HOUR_MS));

	registry_wait(&registry, 0);
	registry_wake(&registry);
	registry_wait(&registry, HOUR_MS);
	registry_wait(&registry, HOUR_MS);
	registry_done(&registry);
}

/* --- threads ------------------------------------------------------------------------------------------- */

#define RUNS 60
#define LIMIT 3
#define TURNS 4 /* times that a run is taken before it is dropped */

struct crowd {
	struct registry registry;
	pthread_mutex_t lock; /* guards `turns` */
	int turns[RUNS];
	atomic_int running;
	atomic_int most_running;
	atomic_int twice; /* a run was active in two threads */
	atomic_int busy[RUNS];
};

static void *add_runs(void *arg)
{
	struct crowd *crowd = arg;
	char id[UUID_SIZE];

	for (int i = 0; i < RUNS; i++)
		(void)registry_add(&crowd->registry, id_of(i, id), RUN_DUE, false, i);
	return NULL;
}

static void body(struct crowd *crowd, int number)
{
	char id[UUID_SIZE];
	int running = atomic_fetch_add(&crowd->running, 1) + 1;
	int most = atomic_load(&crowd->most_running);

	while (running > most && !atomic_compare_exchange_weak(&crowd->most_running, &most, running))
		;
	if (atomic_fetch_add(&crowd->busy[number], 1) != 0)
		atomic_fetch_add(&crowd->twice, 1);
	(void)pthread_mutex_lock(&crowd->lock);
	int turn = ++crowd->turns[number];
	(void)pthread_mutex_unlock(&crowd->lock);
	atomic_fetch_sub(&crowd->busy[number], 1);
	atomic_fetch_sub(&crowd->running, 1);

	(void)id_of(number, id);
	if (turn >= TURNS)
		registry_drop(&crowd->registry, id);
	else if (turn % 2 == 1)
		registry_park(&crowd->registry, id, &unseen);
	else
		registry_postpone(&crowd->registry, id, true, 0, NULL);
}

static void *run_bodies(void *arg)
{
	struct crowd *crowd = arg;
	int number;

	while (registry_count(&crowd->registry) > 0)
		if ((number = take(&crowd->registry, RUNS, NULL)) >= 0)
			body(crowd, number);
		else
			(void)sched_yield(); /* with little of a processor, those that have something to do come first */
	return NULL;
}

static void *resume_parked(void *arg)
{
	struct crowd *crowd = arg;
	struct run runs[8];

	while (registry_count(&crowd->registry) > 0) {
		for (size_t from = 0; from != SIZE_MAX;) {
			size_t count = registry_list(&crowd->registry, RUN_PARKED, &from, runs, COUNT_OF(runs));
			for (size_t i = 0; i < count; i++)
				registry_resume(&crowd->registry, runs[i].id);
		}
		(void)sched_yield();
	}
	return NULL;
}

static void serves_many_threads(void)
{
	static void *(*const jobs[])(void *) = {add_runs, add_runs, run_bodies, run_bodies, run_bodies, run_bodies, resume_parked};
	pthread_t threads[COUNT_OF(jobs)];
	struct crowd crowd = {.running = 0};

	registry_init(&crowd.registry, LIMIT);
	(void)pthread_mutex_init(&crowd.lock, NULL);
	(void)add_runs(&crowd); /* so that nobody finds it empty too early */
	for (size_t i = 0; i < COUNT_OF(jobs); i++)
		CHECK_INT("create", pthread_create(&threads[i], NULL, jobs[i], &crowd), 0);
	for (size_t i = 0; i < COUNT_OF(jobs); i++)
		CHECK_INT("join", pthread_join(threads[i], NULL), 0);

	CHECK("idle", registry_wait_idle(&crowd.registry, HOUR_MS));
	CHECK("within the limit", atomic_load(&crowd.most_running) <= LIMIT);
	CHECK_INT("no run in two threads", atomic_load(&crowd.twice), 0);
	for (int i = 0; i < RUNS; i++)
		if (crowd.turns[i] < TURNS)
			CHECK_INT("every run had its turns", crowd.turns[i], TURNS);
	(void)pthread_mutex_destroy(&crowd.lock);
	registry_done(&crowd.registry);
}

UNIT_SUITE("worker/registry", TEST(holds_a_run_once), TEST(takes_the_earliest), TEST(keeps_the_limit), TEST(moves_runs),
           TEST(lists_parked_runs), TEST(tells_lost_leases), TEST(looks_at_forms), TEST(looks_at_every_form), TEST(measures_what_waits), TEST(does_not_sleep_over_news),
           TEST(serves_many_threads))
