/* The contract between a flow and the worker that runs it.
 *
 * A flow body is straight-line code, read top to bottom, that can be started again: from the top after a
 * pause, after a restart of the worker, by another worker. What it must not do twice it keeps in a
 * checkpoint on the server. When it has to wait for a person, flow_ask() sets the run to Paused and the
 * body returns FLOW_PARKED: it costs no thread while it waits.
 *
 * The life of one approval:
 *   body, first time:   plan is made and stored -> preview -> flow_ask() -> FLOW_PARKED
 *   the worker:         puts the form back where it is missing or damaged: flow_spec.form makes it again
 *   a person:           Resume in the UI; the server validates and stores the answer
 *   the watch service:  sees that the run is Running again and starts the body from the top
 *   body, second time:  flow_was_asked() is true -> plan and answer are read -> deletion -> flow_finish()
 *
 * Thread rule: a struct flow_ctx belongs to the thread that runs the body, until it returns. Every call that
 * talks to the server blocks as prefect_call() does. Implemented in worker/flow_*.c. */
#ifndef FLOWS_FLOW_H
#define FLOWS_FLOW_H

#include "client/base/log.h"
#include "client/prefect/prefect.h"
#include "client/prefect/state.h"
#include "flows/ai_settings.h"

enum flow_outcome {
	FLOW_DONE,   /* the run is in a final state, or no longer ours */
	FLOW_PARKED, /* Paused; the worker starts the body again when the run is resumed */
	FLOW_QUEUED, /* Running, and not its turn yet; the worker starts the body again when that may have changed */
	FLOW_LEFT,   /* stopped on the way, and the run left as the next start of the body needs it */
};

struct flow_ctx;

typedef enum flow_outcome flow_body(struct flow_ctx *ctx);

/* The run ended without its body (@expired: since nobody answered in time), or with a step that its body left
 * (flow_step_leave()): leaves what is to be read of it. False where that is worth another try later; may be called more than
 * once. @ctx is only for reading, and for the timeline. */
typedef bool flow_epilogue(struct flow_ctx *ctx, enum state_type type, bool expired);

/* What a person sees of the question: two inputs of the run. */
struct flow_form {
	json_t *schema;    /* owned: of the form's fields */
	char *description; /* owned: Markdown, shown above them */
};
void flow_form_release(struct flow_form *form);

/* Makes the form of the question that the run is Paused for, the same as flow_ask() was given, from what is stored with the
 * run; @shown is what the form is now, with NULL for a part that is missing or unreadable. Called while the run is Paused, maybe in
 * another process than the one that asked. @ctx is only for reading: nothing here may wait for the run to go on, or for an outage.
 * An error where what is stored does not tell, or is not what was shown. */
typedef int flow_form_maker(struct flow_ctx *ctx, const struct flow_form *shown, struct flow_form *ret_form, struct error *err);

struct flow_spec {
	const char *name; /* the flow's name on the server */
	flow_body *body;
	flow_form_maker *form;
	flow_epilogue *epilogue; /* NULL for none */
};

/* The names of all flows: a new JSON array, NULL without memory. */
json_t *flow_names(void);

/* The flow of this name, or NULL: a run of a flow that is not known here is left alone. */
const struct flow_spec *flow_find(const char *name);

/* --- what the run is --------------------------------------------------------------------------------- */

/* The run's id and its parameters (an object, maybe empty), the name of this worker; borrowed. */
const char *flow_run_id(const struct flow_ctx *ctx);
const char *flow_worker_name(const struct flow_ctx *ctx);
const json_t *flow_parameters(const struct flow_ctx *ctx);

/* The server's time at which the run last became Running. */
time_us flow_running_since(const struct flow_ctx *ctx);

/* The server's time at which the run was first Running since it last ended: the same until it ends again, whatever happens on
 * the way (pauses, restarts, other workers); a retry has another. */
time_us flow_begun_at(const struct flow_ctx *ctx);

/* The run's state as it was when the body was started, as the server gives it: an object, or NULL; borrowed. */
const json_t *flow_state(const struct flow_ctx *ctx);

/* When the run was approved (or went on after its question), by the server's clock; 0 where it was not, or is not known. */
time_us flow_approved_at(const struct flow_ctx *ctx);

/* What the operator's configuration says about AI approvals now; borrowed until the body returns. */
struct flow_ai flow_ai(const struct flow_ctx *ctx);

/* An integer job variable of the pool, the deployment or the run, @fallback where there is none,
 * brought into @min..@max (a value outside is logged). */
int64_t flow_job_variable(struct flow_ctx *ctx, const char *name, int64_t fallback, int64_t min, int64_t max);

struct prefect *flow_api(struct flow_ctx *ctx);

/* --- telling ----------------------------------------------------------------------------------------- */

/* A line in the run's log: shown in the UI within two seconds, in order, and in the worker's own log. It is made
 * harmless: whatever it quotes stays one line, of 2 kB at most. */
void flow_log(struct flow_ctx *ctx, int level, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* The same for a Markdown text of several lines that is harmless already, shown as plain text; the worker's own log gets the first line. */
void flow_show(struct flow_ctx *ctx, const char *text);

/* Counts flow runs that the server says it deleted, and such that it refused to delete, for the worker's metrics. */
void flow_count_deletions(struct flow_ctx *ctx, int64_t deleted, int64_t refused);

/* --- the timeline ---------------------------------------------------------------------------------------
 *
 * What the run's page in the UI draws: a node for each step with its times and its state, and artifacts. It is for reading
 * only: nothing here fails or holds up a flow. Where the server cannot be written to, that is said once, and the steps are
 * put right when it can (worker/timeline.h). A body that is started again draws no step twice. */

/* A step begins now. @step: up to 31 letters, digits and dashes, its name in the UI; @after (may be NULL): the step from
 * which an arrow leads to it. Nothing happens where it has begun or is completed already. */
void flow_step_begin(struct flow_ctx *ctx, const char *step, const char *after);

/* It ended: STATE_COMPLETED, STATE_FAILED or STATE_CANCELLED; @message (may be NULL) for people. What has not ended when
 * flow_finish() sets the run's final state ends likewise. */
void flow_step_end(struct flow_ctx *ctx, const char *step, enum state_type type, const char *message);

/* The same for all steps whose names start with @prefix and that have not ended: an earlier start of the body began them. */
void flow_steps_end_like(struct flow_ctx *ctx, const char *prefix, enum state_type type, const char *message);

/* It could not do its work now: it stays as it is when the run ends, and a worker calls the flow's epilogue for it later. */
void flow_step_leave(struct flow_ctx *ctx, const char *step);

/* How far the step is, also by an earlier start of the body; STATE_UNKNOWN where it has not begun, or that is not known. */
enum state_type flow_step_state(struct flow_ctx *ctx, const char *step);

/* What a step leaves to be read: one artifact of @key for each attempt of the run, written again in place. */
struct flow_artifact {
	const char *step;        /* whose it is */
	const char *type;        /* "markdown" or "table" */
	const char *key;         /* lower case letters, digits and dashes; its page in the UI shows those of all runs */
	const char *description; /* Markdown; may be NULL */
	const json_t *data;      /* borrowed: a string; for a table one that holds JSON, an array of objects */
	char *ret_id;            /* UUID_SIZE bytes for its id, once it is there; may be NULL */
};

/* Writes it; tries again for some seconds. True where it is there. */
bool flow_artifact(struct flow_ctx *ctx, const struct flow_artifact *artifact);
/* The same with more patience: some three minutes, while the run may go on. *ret_later: not written, and a later try may do. */
bool flow_artifact_patient(struct flow_ctx *ctx, const struct flow_artifact *artifact, bool *ret_later);

/* Progress of a step, as an artifact of that kind: once a second at most, and less often where the server
 * takes its time for it (@last: now all the same). */
void flow_progress(struct flow_ctx *ctx, const char *step, const char *key, double percent, const char *description,
                   bool last);

/* --- checkpoints --------------------------------------------------------------------------------------*/

/* Reads a checkpoint. ERR_NOT_FOUND where there is none. */
int flow_checkpoint_read(struct flow_ctx *ctx, const char *key, json_t **ret_value, struct error *err) MUST_CHECK;

/* Stores @value (borrowed) in place of what may be there. */
int flow_checkpoint_write(struct flow_ctx *ctx, const char *key, const json_t *value, struct error *err) MUST_CHECK;

/* How far the body is: kept with the run's labels, one request to note it. A restart that made progress can be told from one that
 * did not by `done`: a run that kills its worker again and again at the same place is given up. */
struct flow_progress {
	int64_t done;     /* surely */
	int64_t doubtful; /* at most so many more, by the call that comes next */
	int64_t expected; /* what is left before that call */
};
int flow_note_progress(struct flow_ctx *ctx, const struct flow_progress *progress, struct error *err) MUST_CHECK;
/* As it was noted last before this start of the body. False where it was not. */
bool flow_noted_progress(const struct flow_ctx *ctx, struct flow_progress *ret_progress);

/* --- asking a person ---------------------------------------------------------------------------------- */

struct flow_question {
	const struct flow_form *form; /* borrowed */
	const char *summary;          /* one phrase on what waits, for the state's message and so for alerts; borrowed */
	time_us until;                /* by the server's clock: it fails the run when nobody has answered by then */
};

/* Has this run been paused for its question since it was last started afresh? Then the stored plan is the
 * one that was shown, and the answer, if there is one, was given to it. A retry of a finished run starts
 * afresh: the server forgets the pause, and the body has to ask again. */
bool flow_was_asked(const struct flow_ctx *ctx);

/* Removes an answer of an earlier attempt, sets the run to Paused, stores the form and reads it back. In this order: Prefect
 * from 3.9 on deletes, when a run enters Paused, the inputs that the state names; and while the form is not there, the server
 * refuses every answer. A form that cannot be stored now is put back by the worker (flow_spec.form). 0: the body returns
 * *ret_outcome. An error where nobody was asked: flow_halted(): return flow_halt(), else the run cannot go on. */
int flow_ask(struct flow_ctx *ctx, const struct flow_question *question, enum flow_outcome *ret_outcome,
             struct error *err) MUST_CHECK;

/* The answer that was submitted: an object. ERR_NOT_FOUND where the run was resumed without one.
 * @ret_description (may be NULL): the description that the form had when it was answered. */
int flow_answer(struct flow_ctx *ctx, json_t **ret_answer, char **ret_description, struct error *err) MUST_CHECK;

/* --- one at a time ------------------------------------------------------------------------------------- */

/* Of the runs that were approved and are Running, on the whole server, one works at a time: the one with the oldest
 * approval. True where that is this run. False: where flow_halted(), return flow_halt(); else return flow_queue(). Call
 * it before the work begins, and every FLOW_TURN_EVERY_MS while it goes on. Waits out an outage. */
bool flow_has_turn(struct flow_ctx *ctx);
#define FLOW_TURN_EVERY_MS 10000

/* The run was approved @at by something else than a person's answer: its place in the queue, from then on. */
void flow_note_approval(struct flow_ctx *ctx, time_us at);

/* Says for whom this run waits, in its log and its state; the body returns what this returns. */
enum flow_outcome flow_queue(struct flow_ctx *ctx);

/* --- going on, waiting, ending ------------------------------------------------------------------------ */

/* Asks the server whether the run is still Running, and ours to go on with. Waits out an outage. False means
 * that the body must return flow_halt(). */
bool flow_may_go_on(struct flow_ctx *ctx);

/* The same, as far as one quick question tells: for the middle of a long call. Waits nothing out; where the server does not
 * answer within two seconds, or another worker may have the run, it says yes, and flow_may_go_on() has to find out. */
bool flow_glance(struct flow_ctx *ctx);

/* Milliseconds since flow_may_go_on() last said yes. */
int64_t flow_checked_ago_ms(const struct flow_ctx *ctx);

/* Waits; false where the worker is asked to stop meanwhile: return flow_halt(). */
bool flow_wait(struct flow_ctx *ctx, int64_t ms);

/* After a call failed: true where trying again later can help (an outage, a busy server). Waits before that,
 * longer each time up to a minute, says so once, and asks flow_may_go_on(); false: return flow_halt() if
 * flow_halted() says so, else flow_fail(). */
bool flow_retry(struct flow_ctx *ctx, const struct error *err);
/* The trouble that flow_retry() waited for is over: the next one starts with short waits again. */
void flow_recovered(struct flow_ctx *ctx);

/* Has flow_may_go_on(), flow_glance(), flow_wait() or flow_retry() told the body to stop? */
bool flow_halted(const struct flow_ctx *ctx);
/* Because the run is being cancelled? Then flow_halt() ends it. */
bool flow_cancelling(const struct flow_ctx *ctx);

/* Was it told to stop because another worker has the run, or because the run is gone? Then what is stored with it is not ours. */
bool flow_taken(const struct flow_ctx *ctx);

/* Ends a body that was told to stop. @so_far (one phrase, like "deleted 3 of 10 flow runs") goes into the
 * state's message where the run was cancelled, else into the log. */
enum flow_outcome flow_halt(struct flow_ctx *ctx, const char *so_far);

/* Proposes the final state: @data (taken, may be NULL) is the run's result, which a Python client gets from
 * state.result(). Waits out an outage. */
enum flow_outcome flow_finish(struct flow_ctx *ctx, enum state_type type, const char *message, json_t *data);

/* Ends the run as Failed because of @err. */
enum flow_outcome flow_fail(struct flow_ctx *ctx, const struct error *err);

#endif
