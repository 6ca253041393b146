/* The worker: what its services and executors share.
 *
 *   sync   every heartbeat interval   reads or creates the pool, sends the heartbeat
 *   poll   every query interval       fetches scheduled runs, starts them when they are due
 *   watch  every second               asks which paused runs are no longer paused, and whose turn it is; looks whether
 *                                     the forms of paused runs are there; renews leases
 *   logs   every second               ships run logs (run_logs.h)
 *   executors                         a thread for each running flow body, --limit at most
 *
 * Threads: the four services, the executors, and main, which waits for signals. Each thread has a session of
 * its own (struct prefect). What they share is in here; each member says what guards it. */
#ifndef WORKER_WORKER_H
#define WORKER_WORKER_H

#include "client/prefect/flow_run.h"
#include "client/prefect/work_pool.h"
#include "client/prefect/write_gate.h"
#include "flows/flow.h"
#include "worker/metrics.h"
#include "worker/ownership.h"
#include "worker/question.h"
#include "worker/registry.h"
#include "worker/run_logs.h"
#include "worker/settings.h"
#include "worker/trouble.h"

#define KNOWN_FLOWS_MAX 64

/* How requests are made, by one set of settings. */
struct worker_http {
	struct http_settings executors;
	struct http_settings services; /* which try again by themselves */
	struct http_settings logs;
	struct http_settings pictures; /* timeline.h: for reading only, so nobody waits for long */
	struct http_settings probes;   /* of the gate: does a stalled server answer again? */
};

struct worker {
	_Atomic(const struct settings *) settings; /* the latest; what it points to stays as it is until the end: reload.c */
	struct write_gate writes;        /* has its own lock; every request of every session goes through it */
	struct worker_http http;         /* those of the start, which sessions are made with: they find the latest */
	struct reloaded *reloaded;       /* the signal thread's: settings that came later, the latest first */
	char name[OWNER_NAME_SIZE];                  /* read-only once started */
	char instance[UUID_SIZE];        /* read-only: of this process */
	struct server_clock clock;       /* atomic */
	struct stop stop;                /* has its own lock */
	bool version_told;               /* the server's, in the log; of main until the services start, then of sync */
	bool restart_incomplete;         /* of main until the services start, then of sync: see take_over_abandoned() */
	atomic_bool out_of_contact;      /* somebody's request failed since the last worker_contact() */
	struct registry registry;        /* has its own lock */
	struct run_logs logs;            /* has its own lock */
	struct metrics metrics;          /* atomic */

	pthread_mutex_t lock;            /* guards the members below */
	struct {
		char id[UUID_SIZE];
		const struct flow_spec *spec; /* NULL: not known here */
	} flows[KNOWN_FLOWS_MAX];        /* flows seen so far */
	size_t flow_count;
	struct execution *executions;    /* executors that were not joined yet; see executor.c */
};

void worker_init(struct worker *worker, const struct settings *settings);
void worker_done(struct worker *worker);

/* Fills @http, which borrows from @worker and @settings. */
void worker_http_init(struct worker *worker, const struct settings *settings, struct worker_http *http);

/* Reads the configuration again, with the flags @argv of the start, and takes over what can change while the worker
 * runs; says what differs. Where something is wrong with it nothing changes. The signal thread's. */
void worker_reload(struct worker *worker, int argc, char **argv);
/* Frees what the reloads have left; for worker_done(). */
void worker_reload_done(struct worker *worker);

/* A session for the calling service thread; NULL without memory. */
struct prefect *worker_service_session(struct worker *worker);

/* This worker as the owner of runs; borrows from @worker. */
struct owner worker_owner(const struct worker *worker);

/* The flow that a run belongs to, asked for once per flow. *ret_spec is NULL for a flow that is not known
 * here, which is logged once. */
int worker_find_flow(struct worker *worker, struct prefect *prefect, const char *flow_id,
                     const struct flow_spec **ret_spec, struct error *err) MUST_CHECK;

/* Takes note of how something went that the worker does again and again (@what: "sending heartbeats"), and says it where
 * it is news: a failure of another kind than before, or that it works again. True where it said something. */
bool worker_tell(struct worker *worker, struct trouble *trouble, const char *what, int rc, const struct error *err);
/* The same for what is done for one run (NULL: none). */
bool worker_tell_run(struct worker *worker, struct trouble *trouble, const char *run_id, const char *what, int rc,
                     const struct error *err);

/* The server answers: ends the long waits of everybody who had trouble with it. For the poll service, which asks at
 * every interval whatever happens. */
void worker_contact(struct worker *worker);

/* Waits for the next round or try: less where the server answers somebody again, or the settings change. False where the
 * worker is asked to stop. */
bool worker_rest(struct worker *worker, const struct trouble *trouble, int64_t ms);

/* Tells a failure and waits before the next try. False where trying again cannot help (an answer that makes no sense is
 * given some minutes), or where the worker is asked to stop. */
bool worker_retry(struct worker *worker, struct trouble *trouble, const char *what, const struct error *err);

/* --- services ------------------------------------------------------------------------------------------ */

/* Reads or creates the pool, checks its type (ERR_USAGE), and sends the first heartbeat. */
int sync_join(struct worker *worker, struct prefect *prefect, struct error *err) MUST_CHECK;
/* Sends a heartbeat, once; joins the pool anew where it is gone. */
int sync_once(struct worker *worker, struct prefect *prefect, struct error *err) MUST_CHECK;
/* Takes runs of this pool that nobody runs: those of a worker that the server calls OFFLINE or does not know, those
 * that are marked as this process's and not in its hands, and at the start (@restarted) those of this worker's name.
 * Paused ones are watched from then on, the others go on. */
int take_over_abandoned(struct worker *worker, struct prefect *prefect, bool restarted, struct error *err) MUST_CHECK;
/* Draws the end of runs that ended in the last @past_ms and whose timeline goes on, since nobody was there to end it. */
int take_over_drawings(struct worker *worker, struct prefect *prefect, int64_t past_ms, struct error *err) MUST_CHECK;
/* Says in the log of runs whose question expired in the last @past_ms, while no worker watched them, that nothing was
 * deleted. */
int take_over_expired(struct worker *worker, struct prefect *prefect, bool restarted, int64_t past_ms,
                      struct error *err) MUST_CHECK;
void *sync_thread(void *worker);

/* A form that is stored is looked at in every so-manieth round of the watch service. */
#define FORM_EVERY_ROUNDS 60

void *poll_thread(void *worker);
void *watch_thread(void *worker);
/* Says in the run's log how the wait for an answer ended: the run is in a final state that it did not set itself. @draw: leaves
 * what is to be read of it at once (else, or where that fails, take_over_drawings() does it later). */
int watch_tell_ended(struct worker *worker, struct prefect *prefect, const struct flow_run *run, bool draw,
                     struct error *err) MUST_CHECK;

/* Looks whether the forms of parked runs are there as they should be, those first that nobody of this process has looked at, and
 * puts back what is not. With many parked runs the looks are spread over the rounds. */
void watch_forms(struct worker *worker, struct prefect *prefect);

/* Leaves what is to be read of a run that is in a final state: its flow's epilogue, and no step that goes on. */
int watch_draw_ended(struct worker *worker, struct prefect *prefect, const char *id, struct error *err) MUST_CHECK;

/* Starts the body of @run (ACTIVE in the registry) in a thread of its own. */
void executor_start(struct worker *worker, const struct run *run);
/* Puts this worker's marks on a run that it has taken: labels and infrastructure_pid, as Prefect's worker does. */
int executor_sign(struct worker *worker, struct prefect *prefect, const char *id, struct error *err) MUST_CHECK;
/* Is the run this process's? By its labels, or else by the latest taking; then the labels are set again. */
int executor_owns(struct worker *worker, struct prefect *prefect, const struct flow_run *run, bool *ret_owns,
                  struct error *err) MUST_CHECK;
/* Joins the executors that have finished, or waits for @all of them. One thread at a time. */
void executor_join(struct worker *worker, bool all);

/* --- flow context (the worker's side of flow.h) --------------------------------------------------------- */

/* @run is taken over: the context releases it. @prefect, @job_variables (of the deployment, may be NULL) and @template
 * (of the pool, may be NULL) are borrowed; @question is copied. NULL without memory. */
struct flow_ctx *flow_ctx_new(struct worker *worker, struct prefect *prefect, struct flow_run *run,
                              const json_t *job_variables, const json_t *template,
                              const struct question *question);
void flow_ctx_free(struct flow_ctx *ctx);
/* What is known of the form after the body returned FLOW_PARKED. */
struct run_form flow_ctx_form(const struct flow_ctx *ctx);
/* Whose turn it was when flow_has_turn() last said no. */
void flow_ctx_behind(const struct flow_ctx *ctx, char ret_id[UUID_SIZE]);

#endif
