/* The worker's side of flows/flow.h: see there for what each function promises. */
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "client/base/text.h"
#include "client/prefect/run_input.h"
#include "worker/ownership.h"
#include "worker/question.h"
#include "worker/timeline.h"
#include "worker/turn.h"
#include "worker/worker.h"

#define LOG_LINE_SIZE 2048
#define GLANCE_MS 2000

/* Why the body must not go on. */
enum halt {
	HALT_NOT,
	HALT_STOPPING, /* the worker is asked to stop */
	HALT_STATE,    /* the run is not Running any more; see `halt_state` */
	HALT_DELETED,  /* the run is gone */
	HALT_TAKEN,    /* another worker has it */
};

struct flow_ctx {
	struct worker *worker;
	struct prefect *prefect;     /* borrowed: the executor's session */
	struct flow_run run;         /* as it was when the body was started */
	const json_t *job_variables; /* borrowed: of the deployment; may be NULL */
	const json_t *template;      /* borrowed: of the pool; may be NULL */
	struct question question;
	time_us running_since;
	time_us approved_at;    /* where no person's answer says so; 0 */
	enum halt halt;
	enum state_type halt_state;
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

struct flow_ctx *flow_ctx_new(struct worker *worker, struct prefect *prefect, struct flow_run *run,
                              const json_t *job_variables, const json_t *template,
                              const struct question *question)
{
	struct flow_ctx *ctx = calloc(1, sizeof *ctx);
	const char *since = json_string_value(json_object_get(run->state, "timestamp"));

	if (ctx == NULL)
		return NULL;
	ctx->worker = worker;
	ctx->prefect = prefect;
	ctx->job_variables = job_variables;
	ctx->template = template;
	ctx->question = *question;
	ctx->checked_ms = clock_mono_ms();
	ctx->shown = text_dup(json_string_value(json_object_get(run->state, "message")));
	if (since == NULL || !time_parse(since, &ctx->running_since))
		ctx->running_since = run->start_time;
	ctx->run = *run;
	*run = (struct flow_run){0};
	timeline_init(&ctx->timeline, &worker->http.pictures, &worker->clock, ctx->run.id, flow_begun_at(ctx));
	return ctx;
}

void flow_ctx_free(struct flow_ctx *ctx)
{
	if (ctx == NULL)
		return;
	flow_run_release(&ctx->run);
	timeline_release(&ctx->timeline);
	free(ctx->behind_name);
	free(ctx->shown);
	free(ctx);
}

const char *flow_run_id(const struct flow_ctx *ctx)
{
	return ctx->run.id;
}

const char *flow_worker_name(const struct flow_ctx *ctx)
{
	return ctx->worker->name;
}

time_us flow_approved_at(const struct flow_ctx *ctx)
{
	return ctx->question.answered_at != 0 ? ctx->question.answered_at : ctx->approved_at;
}

const json_t *flow_parameters(const struct flow_ctx *ctx)
{
	return ctx->run.parameters;
}

time_us flow_running_since(const struct flow_ctx *ctx)
{
	return ctx->running_since;
}

const json_t *flow_state(const struct flow_ctx *ctx)
{
	return ctx->run.state;
}

time_us flow_begun_at(const struct flow_ctx *ctx)
{
	return ctx->question.begun_at != 0 ? ctx->question.begun_at : ctx->running_since;
}

struct flow_ai flow_ai(const struct flow_ctx *ctx)
{
	return settings_ai(ctx->worker->settings, &ctx->worker->stop);
}

struct prefect *flow_api(struct flow_ctx *ctx)
{
	return ctx->prefect;
}

int64_t flow_job_variable(struct flow_ctx *ctx, const char *name, int64_t fallback, int64_t min, int64_t max)
{
	const json_t *value = job_variable(ctx->run.job_variables, ctx->job_variables, ctx->template, name);
	double number = json_is_number(value) ? json_number_value(value) : (double)fallback;
	int64_t used = number < (double)min ? min : number > (double)max ? max : (int64_t)number;

	if (value != NULL && (!json_is_number(value) || number < (double)min || number > (double)max))
		flow_log(ctx, LOG_LEVEL_WARNING, "job variable '%s' is not a number from %" PRId64 " to %" PRId64 ", using %" PRId64,
		         name, min, max, used);
	return used;
}

void flow_log(struct flow_ctx *ctx, int level, const char *fmt, ...)
{
	char line[LOG_LINE_SIZE];
	char *message = NULL;
	va_list args;

	va_start(args, fmt);
	int len = vasprintf(&message, fmt, args);
	va_end(args);
	if (len < 0)
		return;

	text_clean(line, sizeof line, message, strlen(message));
	free(message);
	run_logs_add(&ctx->worker->logs, ctx->run.id, level, line);
	log_run(level, ctx->run.name, ctx->run.id, "%s", line);
}

/* The first line of a text, without the marks of Markdown. */
static void plain_line(char *dst, size_t size, const char *text)
{
	size_t len = 0;

	for (; *text != '\0' && *text != '\n' && len + 1 < size; text++)
		if (strchr("*#\\`", *text) == NULL)
			dst[len++] = *text;
	dst[len] = '\0';
}

void flow_show(struct flow_ctx *ctx, const char *text)
{
	run_logs_add(&ctx->worker->logs, ctx->run.id, LOG_LEVEL_INFO, text);
	char line[LOG_LINE_SIZE];
	plain_line(line, sizeof line, text);
	log_run(LOG_LEVEL_INFO, ctx->run.name, ctx->run.id, "%s", line);
}

void flow_count_deletions(struct flow_ctx *ctx, int64_t deleted, int64_t refused)
{
	metrics_count_deletions(&ctx->worker->metrics, deleted, refused);
}

int flow_checkpoint_read(struct flow_ctx *ctx, const char *key, json_t **ret_value, struct error *err)
{
	return run_input_read(ctx->prefect, ctx->run.id, key, ret_value, err);
}

int flow_checkpoint_write(struct flow_ctx *ctx, const char *key, const json_t *value, struct error *err)
{
	return run_input_replace(ctx->prefect, ctx->run.id, key, value, err);
}

int flow_note_progress(struct flow_ctx *ctx, int64_t done)
{
	return flow_run_set_labels(ctx->prefect, ctx->run.id, json_pack("{s:I}", LABEL_PROGRESS, (json_int_t)done), NULL);
}

/* --- the timeline ----------------------------------------------------------------------------------------- */

#define ARTIFACT_TRIES 4
#define ARTIFACT_WAIT_MS 500
/* For a report, which must not be lost to an outage of a minute or two. */
#define ARTIFACT_TRIES_MORE 15
#define ARTIFACT_WAIT_MAX_MS 10000
#define PROGRESS_EVERY_MS 1000
/* So many times as long as the last write took is none. */
#define PROGRESS_REST 10

/* Once for a run: it is the same trouble that everything else has. */
static void tell_timeline(struct flow_ctx *ctx, const char *what, const struct error *err)
{
	if (!ctx->timeline_told)
		flow_log(ctx, LOG_LEVEL_WARNING, "%s cannot be written, going on without: %s", what, err->text);
	ctx->timeline_told = true;
}

static void tell_steps(struct flow_ctx *ctx)
{
	if (ctx->timeline.trouble.code != 0 && ctx->timeline.trouble.code != ERR_STOPPED)
		tell_timeline(ctx, "the run's timeline", &ctx->timeline.trouble);
}

void flow_step_begin(struct flow_ctx *ctx, const char *step, const char *after)
{
	timeline_begin(&ctx->timeline, step, after);
	tell_steps(ctx);
}

void flow_step_end(struct flow_ctx *ctx, const char *step, enum state_type type, const char *message)
{
	timeline_end(&ctx->timeline, step, type, message);
	tell_steps(ctx);
}

/* An artifact of the run, of this step where the server has it. */
static struct artifact_text artifact_text(const struct flow_ctx *ctx, const char *step)
{
	const char *task_run_id = timeline_step_id(&ctx->timeline, step);

	return (struct artifact_text){.flow_run_id = ctx->run.id, .task_run_id = *task_run_id != '\0' ? task_run_id : NULL};
}

void flow_steps_end_like(struct flow_ctx *ctx, const char *prefix, enum state_type type, const char *message)
{
	timeline_end_like(&ctx->timeline, prefix, type, message);
	tell_steps(ctx);
}

void flow_step_leave(struct flow_ctx *ctx, const char *step)
{
	timeline_leave(&ctx->timeline, step);
}

enum state_type flow_step_state(struct flow_ctx *ctx, const char *step)
{
	return timeline_step_state(&ctx->timeline, step);
}

/* A run that has ended is drawn by a service, which has other things to do, and comes back. */
static int tries_of(const struct flow_ctx *ctx, int more)
{
	return state_type_is_terminal((enum state_type)ctx->run.state_type) ? 1 : ARTIFACT_TRIES + more;
}

/* Waits before the next try. False where there is none: the worker stops, or the run (@patient: looks every time) does not go on. */
static bool wait_for_artifact(struct flow_ctx *ctx, int tries, bool patient)
{
	int64_t ms = tries < ARTIFACT_TRIES ? (int64_t)ARTIFACT_WAIT_MS << tries : ARTIFACT_WAIT_MAX_MS;

	if (stop_wait(&ctx->worker->stop, ms))
		return false;
	ctx->timeline.quiet_until_ms = 0;
	return !patient || (!flow_halted(ctx) && flow_may_go_on(ctx));
}

static bool write_artifact(struct flow_ctx *ctx, const struct flow_artifact *artifact, int more, bool *ret_later)
{
	char id[UUID_SIZE];
	struct error err;

	for (int tries = 1;; tries++) {
		/* Whose it is tells it from that of another attempt: its step has to be there. */
		(void)timeline_flush(&ctx->timeline);
		ctx->timeline.quiet_until_ms = 0;
		struct artifact_text text = artifact_text(ctx, artifact->step);

		text.type = artifact->type;
		text.key = artifact->key;
		text.description = artifact->description;
		text.data = artifact->data;
		int rc = timeline_put(&ctx->timeline, &text, id, &err);
		if (rc == 0)
			return true;
		*ret_later = trouble_is_passing(&err) || rc == ERR_STOPPED;
		if (rc == ERR_STOPPED || rc == ERR_INVALID || tries >= tries_of(ctx, *ret_later ? more : 0) ||
		    !wait_for_artifact(ctx, tries, more > 0))
			break;
	}
	tell_timeline(ctx, artifact->key, &err);
	return false;
}

bool flow_artifact(struct flow_ctx *ctx, const struct flow_artifact *artifact)
{
	bool later;

	return write_artifact(ctx, artifact, 0, &later);
}

bool flow_artifact_patient(struct flow_ctx *ctx, const struct flow_artifact *artifact, bool *ret_later)
{
	return write_artifact(ctx, artifact, ARTIFACT_TRIES_MORE, ret_later);
}

void flow_progress(struct flow_ctx *ctx, const char *step, const char *key, double percent, const char *description,
                   bool last)
{
	int64_t now = clock_mono_ms();
	AUTO_JSON *data = json_real(percent);
	struct error err;
	int rc;

	if (data == NULL || (!last && now < ctx->progress_ms))
		return;
	if (ctx->progress[0] != '\0') {
		rc = timeline_update(&ctx->timeline, ctx->progress, description, data, &err);
	} else {
		struct artifact_text text = artifact_text(ctx, step);
		text.type = "progress";
		text.key = key;
		text.description = description;
		text.data = data;
		rc = timeline_put(&ctx->timeline, &text, ctx->progress, &err);
		if (rc != 0)
			ctx->progress[0] = '\0';
	}
	/* A server that takes its time for it must not slow the deletion down. */
	int64_t took = clock_mono_ms() - now;
	ctx->progress_ms = now + took + (PROGRESS_REST * took > PROGRESS_EVERY_MS ? PROGRESS_REST * took : PROGRESS_EVERY_MS);
	if (rc != 0 && rc != ERR_STOPPED)
		tell_timeline(ctx, key, &err);
}

/* The run ends: so do its steps. */
static void end_steps(struct flow_ctx *ctx, enum state_type type, const char *message)
{
	if (ctx->timeline.count > 0)
		timeline_end_all(&ctx->timeline, type, message);
}

/* --- halting and waiting ------------------------------------------------------------------------------ */

bool flow_halted(const struct flow_ctx *ctx)
{
	return ctx->halt != HALT_NOT;
}

bool flow_cancelling(const struct flow_ctx *ctx)
{
	return ctx->halt == HALT_STATE && ctx->halt_state == STATE_CANCELLING;
}

bool flow_taken(const struct flow_ctx *ctx)
{
	return ctx->halt == HALT_TAKEN || ctx->halt == HALT_DELETED;
}

static bool halt(struct flow_ctx *ctx, enum halt why)
{
	if (ctx->halt == HALT_NOT)
		ctx->halt = why;
	return false;
}

bool flow_wait(struct flow_ctx *ctx, int64_t ms)
{
	return stop_wait(&ctx->worker->stop, ms) ? halt(ctx, HALT_STOPPING) : !flow_halted(ctx);
}

int64_t flow_checked_ago_ms(const struct flow_ctx *ctx)
{
	return clock_mono_ms() - ctx->checked_ms;
}

void flow_recovered(struct flow_ctx *ctx)
{
	char span[TIME_TEXT_SIZE];
	int64_t lasted_ms;

	if (trouble_over(&ctx->trouble, &lasted_ms))
		flow_log(ctx, LOG_LEVEL_INFO, "the server answers again after %s, going on", span_format(lasted_ms, span));
}

/* One look at the run; ERR_STOPPED where it halted, else the error of the request. */
static int look(struct flow_ctx *ctx, struct error *err)
{
	struct flow_run now;

	int rc = flow_run_read(ctx->prefect, ctx->run.id, &now, err);
	if (rc == ERR_NOT_FOUND) {
		(void)halt(ctx, HALT_DELETED);
		return ERR_STOPPED;
	}
	if (rc != 0)
		return rc;

	bool owns = true;
	rc = state_type_is_live((enum state_type)now.state_type)
	             ? executor_owns(ctx->worker, ctx->prefect, &now, &owns, err)
	             : 0;
	if (rc == 0 && !owns) {
		(void)halt(ctx, HALT_TAKEN);
	} else if (rc == 0 && now.state_type != STATE_RUNNING) {
		(void)halt(ctx, HALT_STATE);
		ctx->halt_state = (enum state_type)now.state_type;
	}
	flow_run_release(&now);
	if (rc == 0)
		ctx->checked_ms = clock_mono_ms();
	return flow_halted(ctx) ? ERR_STOPPED : rc;
}

/* Says a failure in the run's log and the worker's, where it is news, and waits before the next try. */
static bool wait_out(struct flow_ctx *ctx, const struct error *err)
{
	bool first = ctx->trouble.tries == 0;
	bool news = first || ctx->trouble.code != err->code;
	int64_t took_ms = prefect_last_effort(ctx->prefect)->took_ms;

	if (!worker_retry(ctx->worker, &ctx->trouble, ctx->run.name, err))
		return false;
	if (first) /* it began with the call that failed, which may have waited long for an answer */
		ctx->trouble.since_ms -= took_ms;
	if (news)
		run_logs_add(&ctx->worker->logs, ctx->run.id, LOG_LEVEL_WARNING, err->text);
	return true;
}

/* Looks until it is known whether the run may go on. Not knowing is no reason to go on, whatever the error. */
static bool look_until_known(struct flow_ctx *ctx)
{
	struct error err;

	if (stop_asked(&ctx->worker->stop))
		return halt(ctx, HALT_STOPPING);
	while (look(ctx, &err) != 0) {
		if (flow_halted(ctx))
			return false;
		err.code = trouble_is_passing(&err) ? err.code : ERR_BUSY;
		if (!wait_out(ctx, &err))
			return halt(ctx, HALT_STOPPING);
	}
	return true;
}

bool flow_may_go_on(struct flow_ctx *ctx)
{
	if (!look_until_known(ctx))
		return false;
	flow_recovered(ctx);
	return true;
}

bool flow_glance(struct flow_ctx *ctx)
{
	struct owner self = worker_owner(ctx->worker);
	struct flow_run now;
	struct error err;

	if (flow_halted(ctx) || stop_asked(&ctx->worker->stop))
		return halt(ctx, HALT_STOPPING);
	if (flow_run_glance(ctx->prefect, ctx->run.id, GLANCE_MS, &now, &err) != 0)
		return true;
	enum state_type type = (enum state_type)now.state_type;
	if (type != STATE_RUNNING && (ownership_is(&now, &self) || !state_type_is_live(type))) {
		(void)halt(ctx, HALT_STATE);
		ctx->halt_state = type;
	}
	flow_run_release(&now);
	return !flow_halted(ctx);
}

bool flow_retry(struct flow_ctx *ctx, const struct error *err)
{
	if (flow_halted(ctx))
		return false;
	if (err->code == ERR_STOPPED || stop_asked(&ctx->worker->stop))
		return halt(ctx, HALT_STOPPING);
	if (!wait_out(ctx, err))
		return stop_asked(&ctx->worker->stop) ? halt(ctx, HALT_STOPPING) : false;
	/* Whatever happened meanwhile: only a Running run goes on. */
	return look_until_known(ctx);
}

/* --- states -------------------------------------------------------------------------------------------- */

/* Proposes a state until there is an answer, also for a body that is halted already. Returns 0; ERR_STOPPED where the
 * worker stops; ERR_NOT_FOUND where the run is gone; or the error of a proposal that the server finds invalid. */
static int propose(struct flow_ctx *ctx, const struct state_proposal *wanted, struct state_answer *ret_answer,
                   struct error *err)
{
	struct state_proposal proposal = *wanted;
	char transition_id[UUID_SIZE];
	struct trouble trouble = {0};
	int rc;

	uuid_make(transition_id);
	proposal.transition_id = transition_id;
	/* By whatever state this is, the server takes the slot back before it answers. Where it refuses, the body begins
	 * anew, and holds it again. */
	registry_drop_lease(&ctx->worker->registry, ctx->run.id);
	while ((rc = state_propose(ctx->prefect, ctx->run.id, &proposal, ret_answer, err)) != 0) {
		if (rc == ERR_NOT_FOUND)
			(void)halt(ctx, HALT_DELETED);
		if (rc == ERR_NOT_FOUND || rc == ERR_INVALID)
			return rc;
		/* Whatever else it is: the state has to get there, or the run would stay as it is for ever. */
		err->code = trouble_is_passing(err) ? err->code : ERR_BUSY;
		if (rc == ERR_STOPPED || !worker_retry(ctx->worker, &trouble, ctx->run.name, err)) {
			(void)halt(ctx, HALT_STOPPING);
			return ERR_STOPPED;
		}
	}
	return 0;
}

/* What the server answered to a final state. */
static enum flow_outcome after_final(struct flow_ctx *ctx, const char *name, enum state_type type, const char *message,
                                     struct state_answer *answer)
{
	bool accepted = answer->status == STATE_ACCEPT;
	bool cancelling = answer->state.type == STATE_CANCELLING && type != STATE_CANCELLED;

	if (!accepted)
		flow_log(ctx, LOG_LEVEL_WARNING, "the server did not accept the state %s: %s", name,
		         answer->reason != NULL ? answer->reason : "no reason given");
	state_answer_release(answer);
	if (accepted)
		return FLOW_DONE;
	if (cancelling)
		return flow_finish(ctx, STATE_CANCELLED, message, NULL);
	/* Still Running and ours: the body is started again, and finds its way here. */
	return !flow_halted(ctx) && flow_may_go_on(ctx) ? FLOW_LEFT : FLOW_DONE;
}

enum flow_outcome flow_finish(struct flow_ctx *ctx, enum state_type type, const char *message, json_t *data)
{
	AUTO_JSON *owned = data;
	struct state_answer answer;
	struct error err;
	/* The names that Prefect gives these states. */
	const char *name = type == STATE_COMPLETED ? "Completed" : type == STATE_CANCELLED ? "Cancelled" : "Failed";
	struct state_proposal proposal = {.type = type, .name = name, .message = message, .data = owned};

	/* The server would accept a final state also from Paused or after a cancellation: look first. */
	if (type != STATE_CANCELLED && !flow_may_go_on(ctx))
		return flow_halt(ctx, message);

	bool named = strncasecmp(message, name, strlen(name)) == 0; /* "cancelled: ..." says it itself */
	flow_log(ctx, type == STATE_FAILED ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, "%s%s%s", named ? "" : name, named ? "" : ": ", message);
	end_steps(ctx, type, message);
	int rc = propose(ctx, &proposal, &answer, &err);
	if (rc == ERR_INVALID) { /* better without the words than not at all */
		log_run(LOG_LEVEL_WARNING, ctx->run.name, ctx->run.id,
		        "the server refuses the state's message or data, leaving them out: %s", err.text);
		proposal.message = NULL;
		proposal.data = NULL;
		rc = propose(ctx, &proposal, &answer, &err);
	}
	if (rc == 0 && answer.status == STATE_ACCEPT)
		metrics_count_final(&ctx->worker->metrics, type, owned);
	if (!timeline_flush(&ctx->timeline)) { /* it was away then, and is not now */
		ctx->timeline.quiet_until_ms = 0;
		(void)timeline_flush(&ctx->timeline);
	}
	if (rc == 0)
		return after_final(ctx, name, type, message, &answer);
	if (rc == ERR_INVALID)
		log_run(LOG_LEVEL_ERROR, ctx->run.name, ctx->run.id, "the state %s cannot be set: %s", name, err.text);
	return rc == ERR_NOT_FOUND ? FLOW_DONE : FLOW_LEFT;
}

enum flow_outcome flow_fail(struct flow_ctx *ctx, const struct error *err)
{
	return flow_finish(ctx, STATE_FAILED, err->text, NULL);
}

/* No harm where it cannot be noted: then this taking looks like one of a worker that died. */
static void let_go(struct flow_ctx *ctx)
{
	struct owner self = worker_owner(ctx->worker);
	struct error err;

	if (ownership_let_go(ctx->prefect, ctx->run.id, &self, &err) != 0)
		log_run(LOG_LEVEL_DEBUG, ctx->run.name, ctx->run.id, "letting go cannot be noted, ignoring: %s",
		        err.text);
}

enum flow_outcome flow_halt(struct flow_ctx *ctx, const char *so_far)
{
	char message[700];

	switch (ctx->halt) {
	case HALT_STOPPING:
		flow_log(ctx, LOG_LEVEL_INFO, "worker '%s' stops: %s so far; the run goes on when a worker of that name starts",
		         ctx->worker->name, so_far);
		let_go(ctx);
		return FLOW_LEFT;
	case HALT_DELETED:
		log_run(LOG_LEVEL_WARNING, ctx->run.name, ctx->run.id, "the run was deleted; %s", so_far);
		return FLOW_DONE;
	case HALT_TAKEN:
		log_run(LOG_LEVEL_WARNING, ctx->run.name, ctx->run.id, "another worker has taken the run; %s", so_far);
		let_go(ctx);
		return FLOW_DONE;
	case HALT_NOT:
	case HALT_STATE:
		break;
	}

	if (ctx->halt_state == STATE_CANCELLING) {
		(void)snprintf(message, sizeof message, "cancelled: %s", so_far);
		return flow_finish(ctx, STATE_CANCELLED, message, NULL);
	}
	if (ctx->halt_state == STATE_PAUSED) {
		flow_log(ctx, LOG_LEVEL_INFO, "paused from outside: %s so far; goes on when the run is resumed", so_far);
		return FLOW_PARKED;
	}
	flow_log(ctx, LOG_LEVEL_WARNING, "the run was set to %s from outside: %s", state_type_name(ctx->halt_state), so_far);
	return FLOW_DONE;
}

/* --- one at a time ---------------------------------------------------------------------------------------- */

void flow_ctx_behind(const struct flow_ctx *ctx, char ret_id[UUID_SIZE])
{
	memcpy(ret_id, ctx->behind, UUID_SIZE);
}

/* A line in the log, and the message of the state while the run is Running; once, however often the body comes by. No
 * harm where the state cannot be set: it is only for reading. */
static void say(struct flow_ctx *ctx, const char *message)
{
	struct state_answer answer;
	struct error err;

	if ((ctx->shown != NULL && strcmp(ctx->shown, message) == 0) || !flow_may_go_on(ctx))
		return;
	flow_log(ctx, LOG_LEVEL_INFO, "%s", message);
	free(ctx->shown);
	ctx->shown = text_dup(message);
	int rc = state_propose(ctx->prefect, ctx->run.id,
	                       &(struct state_proposal){.type = STATE_RUNNING, .name = "Running", .message = message}, &answer,
	                       &err);
	if (rc == 0)
		state_answer_release(&answer);
	else
		log_run(LOG_LEVEL_DEBUG, ctx->run.name, ctx->run.id, "the state's message cannot be set, ignoring: %s",
		        err.text);
}

static int read_turn(struct flow_ctx *ctx, struct turn *ret_turn, struct error *err)
{
	struct owner self = worker_owner(ctx->worker);

	time_us approved_at = ctx->question.answered_at != 0 ? ctx->question.answered_at
	                      : ctx->approved_at != 0        ? ctx->approved_at
	                                                     : ctx->running_since;

	int rc = ctx->joined ? 0 : turn_join(ctx->prefect, &ctx->run, approved_at, err);
	ctx->joined = rc == 0;
	return rc != 0 ? rc : turn_read(ctx->prefect, ctx->worker->settings->pool, &self, ret_turn, err);
}

void flow_note_approval(struct flow_ctx *ctx, time_us at)
{
	ctx->approved_at = at;
}

bool flow_has_turn(struct flow_ctx *ctx)
{
	struct turn turn = {0};
	struct error err;

	while (read_turn(ctx, &turn, &err) != 0)
		if (!flow_retry(ctx, &err))
			return flow_halted(ctx) ? false : halt(ctx, HALT_STOPPING);
	flow_recovered(ctx);
	bool ours = turn.first[0] == '\0' || strcmp(turn.first, ctx->run.id) == 0 || !turn_has(&turn, ctx->run.id);
	if (!ours) {
		memcpy(ctx->behind, turn.first, UUID_SIZE);
		free(ctx->behind_name);
		ctx->behind_name = turn.first_name;
		turn.first_name = NULL;
	}
	turn_release(&turn);
	if (ours && ctx->shown != NULL && strncmp(ctx->shown, TURN_WAITING, strlen(TURN_WAITING)) == 0)
		say(ctx, "approved, and its turn has come");
	return ours && !flow_halted(ctx);
}

enum flow_outcome flow_queue(struct flow_ctx *ctx)
{
	AUTO_TEXT message = {.max = STATE_MESSAGE_MAX};

	text_addf(&message, TURN_WAITING "'%.200s' (%s) was approved earlier", ctx->behind_name != NULL ? ctx->behind_name : "?",
	          ctx->behind);
	say(ctx, text_str(&message));
	/* Also where it was cancelled just now: the watch finds it out of the queue, and the body says how far it came. */
	return FLOW_QUEUED;
}

/* --- asking a person ----------------------------------------------------------------------------------- */

bool flow_was_asked(const struct flow_ctx *ctx)
{
	return ctx->question.asked;
}

/* The form must be complete before anybody can open it, and an answer to an earlier question must be gone
 * before this one is asked. */
static int store_form(struct flow_ctx *ctx, const struct flow_form *form, struct error *err)
{
	const struct question *q = &ctx->question;
	AUTO_JSON *description = json_string(form->description);
	AUTO_JSON *answer = NULL;
	char key[QUESTION_KEY_SIZE];

	if (description == NULL)
		return error_nomem(err);
	int rc = run_input_delete(ctx->prefect, ctx->run.id, question_input_key(q, "response", key), err);
	if (rc == 0) {
		rc = run_input_read(ctx->prefect, ctx->run.id, key, &answer, err);
		if (rc == 0 || rc == ERR_DECODE)
			return error_set(err, ERR_BUSY, "an answer to the next question (input '%s') cannot be removed", key);
		if (rc == ERR_NOT_FOUND)
			rc = flow_checkpoint_write(ctx, question_input_key(q, "schema", key), form->schema, err);
	}
	/* A JSON string: raw Markdown is silently not shown. */
	if (rc == 0)
		rc = flow_checkpoint_write(ctx, question_input_key(q, "description", key), description, err);
	return rc;
}

/* The answer to a first try was lost, and the run was resumed before the second: it was asked all the same. */
static bool was_asked_now(struct flow_ctx *ctx)
{
	struct question now;
	struct error err;

	while (question_read(ctx->prefect, &ctx->run, &now, &err) != 0)
		if (!flow_retry(ctx, &err))
			return false;
	return now.asked;
}

int flow_ask(struct flow_ctx *ctx, const struct flow_form *form, enum flow_outcome *ret_outcome, struct error *err)
{
	struct state_answer answer;
	char buf[TIME_TEXT_SIZE];
	int rc;

	while ((rc = store_form(ctx, form, err)) != 0)
		if (!flow_retry(ctx, err))
			return rc;
	flow_recovered(ctx);
	if (!flow_may_go_on(ctx))
		return error_set(err, ERR_STOPPED, "stopped");

	time_us until = prefect_now(ctx->prefect) + form->timeout_s * US_PER_SEC;
	const struct question *q = &ctx->question;
	char keys[4][QUESTION_KEY_SIZE];
	AUTO_JSON *details = json_pack("{s:o, s:s, s:b, s:{s:s, s:s, s:s}}", "pause_timeout", json_time(until), "pause_key",
	                               question_pause_key(q, keys[0]), "pause_reschedule", 0, "run_input_keyset",
	                               "schema", question_input_key(q, "schema", keys[1]),
	                               "description", question_input_key(q, "description", keys[2]),
	                               "response", question_input_key(q, "response", keys[3]));
	flow_log(ctx, LOG_LEVEL_INFO, "waiting for an approval until %s: open this run and choose Resume",
	         time_format_human(until, buf));
	AUTO_TEXT message = {.max = STATE_MESSAGE_MAX};
	text_addf(&message, "%s; waiting for an approval until %s", form->summary, time_format_human(until, buf));
	rc = propose(ctx, &(struct state_proposal){.type = STATE_PAUSED, .name = "Paused", .message = text_str(&message),
	                                           .details = details}, &answer, err);
	if (rc != 0)
		return rc;

	bool paused = answer.status == STATE_ACCEPT;
	rc = error_set(err, ERR_CONFLICT, "the server refuses to pause the run: %s",
	               answer.reason != NULL ? answer.reason : "no reason given");
	state_answer_release(&answer);
	*ret_outcome = paused ? FLOW_PARKED : FLOW_LEFT;
	return paused || was_asked_now(ctx) ? 0 : rc;
}

int flow_answer(struct flow_ctx *ctx, json_t **ret_answer, char **ret_description, struct error *err)
{
	AUTO_JSON *description = NULL;
	AUTO_JSON *answer = NULL;
	char key[QUESTION_KEY_SIZE];

	int rc = run_input_read(ctx->prefect, ctx->run.id, question_input_key(&ctx->question, "response", key), &answer, err);
	if (rc != 0)
		return rc;
	if (ret_description != NULL) {
		rc = run_input_read(ctx->prefect, ctx->run.id, question_input_key(&ctx->question, "description", key), &description,
		                    err);
		if (rc != 0 && rc != ERR_NOT_FOUND)
			return rc;
		*ret_description = text_dup(json_string_value(description));
		if (json_is_string(description) && *ret_description == NULL)
			return error_nomem(err);
	}
	*ret_answer = json_incref(answer);
	return 0;
}
