/* Inside a flow's context: for the files that implement flows/flow.h, and for no others.
 *
 *   flow_ctx.c    what the run is, telling, checkpoints, halting and waiting
 *   flow_page.c   the timeline: steps, artifacts, progress
 *   flow_state.c  ending
 *   flow_ask.c    asking a person (the form itself: approval_form.h)
 *   flow_turn.c   one at a time
 *
 * Thread rule: as flows/flow.h. */
#ifndef WORKER_FLOW_CTX_H
#define WORKER_FLOW_CTX_H

#include "worker/timeline.h"
#include "worker/worker.h"

/* Why the body must not go on. */
enum halt {
	HALT_NOT,
	HALT_STOPPING, /* the worker is asked to stop */
	HALT_STATE,    /* the run is not Running any more; see `halt_state` */
	HALT_DELETED,  /* the run is gone */
	HALT_TAKEN,    /* another worker has it */
	HALT_REFUSED,  /* the server refuses what has to be noted of the run; see `refused` */
};

struct flow_ctx {
	struct worker *worker;
	struct prefect *prefect;     /* borrowed: the executor's session */
	struct flow_run run;         /* as it was when the body was started */
	const json_t *job_variables; /* borrowed: of the deployment; may be NULL */
	const json_t *template;      /* borrowed: of the pool; may be NULL */
	struct question question;
	struct run_form form;   /* what flow_ask() has stored */
	time_us running_since;
	time_us approved_at;    /* where no person's answer says so; 0 */
	enum halt halt;
	enum state_type halt_state;
	char *refused; /* owned: in the server's words; NULL where nothing was */
	char behind[UUID_SIZE]; /* whose turn it was when flow_has_turn() last said no; "" before that */
	char *behind_name;      /* owned */
	bool joined;            /* this run stands in the queue */
	char *shown;            /* owned: the message of the run's state as it is now; NULL for none */
	int64_t checked_ms; /* when flow_may_go_on() last said yes */
	struct trouble trouble; /* what flow_retry() waits for */
	struct timeline timeline;
	bool timeline_told;     /* that it cannot be written */
	char progress[UUID_SIZE]; /* the progress artifact; "" before the first */
	int64_t progress_ms;    /* when it may be written next */
};

/* Notes that the body must not go on; the first reason counts. Always false. */
bool flow_ctx_halt(struct flow_ctx *ctx, enum halt why);

/* Proposes a state until there is an answer, also for a body that is halted already. Returns 0; ERR_STOPPED where the
 * worker stops; ERR_NOT_FOUND where the run is gone; or the error of a proposal that the server finds invalid (ERR_INVALID). */
int flow_ctx_propose(struct flow_ctx *ctx, const struct state_proposal *wanted, struct state_answer *ret_answer,
                     struct error *err) MUST_CHECK;

/* The run ends as @type: so do its steps. */
void flow_ctx_end_steps(struct flow_ctx *ctx, enum state_type type, const char *message);
/* Writes what could not be written of the steps: once more, whatever happened a moment ago. */
void flow_ctx_flush_steps(struct flow_ctx *ctx);

#endif
