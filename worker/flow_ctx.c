/* What a flow body is given: see flows/flow.h for what each function promises, here and in the other files. */
#include "worker/flow_ctx.h"

#include <inttypes.h>
#include <string.h>

#include "client/base/plain.h"
#include "client/base/text.h"
#include "client/prefect/run_input.h"
#include "worker/ownership.h"

#define LOG_LINE_SIZE 2048
#define GLANCE_MS 2000

struct flow_ctx *flow_ctx_new(struct worker *worker, struct prefect *prefect, struct flow_run *run,
                              const json_t *job_variables, const json_t *template,
                              const struct question *question)
{
	struct flow_ctx *ctx = calloc(1, sizeof *ctx);

	if (ctx == NULL)
		return NULL;
	ctx->worker = worker;
	ctx->prefect = prefect;
	ctx->job_variables = job_variables;
	ctx->template = template;
	ctx->question = *question;
	ctx->checked_ms = clock_mono_ms();
	ctx->shown = text_dup(json_string_value(json_object_get(run->state, "message")));
	ctx->running_since = state_time(run->state);
	if (ctx->running_since == 0)
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
	free(ctx->refused);
	free(ctx);
}

struct run_form flow_ctx_form(const struct flow_ctx *ctx)
{
	return ctx->form;
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

void flow_show(struct flow_ctx *ctx, const char *text)
{
	AUTO_TEXT plain = {.max = 2 * strlen(text) + 16 * 1024}; /* columns are padded */

	plain_add(&plain, text);
	run_logs_add(&ctx->worker->logs, ctx->run.id, LOG_LEVEL_INFO, text_str(&plain));
	log_run(LOG_LEVEL_INFO, ctx->run.name, ctx->run.id, "%.*s", (int)strcspn(text_str(&plain), "\n"), text_str(&plain));
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

int flow_note_progress(struct flow_ctx *ctx, const struct flow_progress *progress, struct error *err)
{
	json_t *labels = json_pack("{s:I, s:I, s:I}", LABEL_PROGRESS, (json_int_t)progress->done, LABEL_DOUBTFUL,
	                           (json_int_t)progress->doubtful, LABEL_EXPECTED, (json_int_t)progress->expected);

	return labels == NULL ? error_nomem(err) : flow_run_set_labels(ctx->prefect, ctx->run.id, labels, err);
}

bool flow_noted_progress(const struct flow_ctx *ctx, struct flow_progress *ret_progress)
{
	const json_t *done = json_object_get(ctx->run.labels, LABEL_PROGRESS);
	const json_t *doubtful = json_object_get(ctx->run.labels, LABEL_DOUBTFUL);
	const json_t *expected = json_object_get(ctx->run.labels, LABEL_EXPECTED);

	if (!json_is_integer(done) || !json_is_integer(doubtful) || !json_is_integer(expected) || json_integer_value(done) < 0 ||
	    json_integer_value(doubtful) < 0 || json_integer_value(expected) < 0)
		return false;
	*ret_progress = (struct flow_progress){json_integer_value(done), json_integer_value(doubtful), json_integer_value(expected)};
	return true;
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

bool flow_ctx_halt(struct flow_ctx *ctx, enum halt why)
{
	if (ctx->halt == HALT_NOT)
		ctx->halt = why;
	return false;
}

bool flow_wait(struct flow_ctx *ctx, int64_t ms)
{
	return stop_wait(&ctx->worker->stop, ms) ? flow_ctx_halt(ctx, HALT_STOPPING) : !flow_halted(ctx);
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
		(void)flow_ctx_halt(ctx, HALT_DELETED);
		return ERR_STOPPED;
	}
	if (rc != 0)
		return rc;

	bool owns = true;
	rc = state_type_is_live((enum state_type)now.state_type)
	             ? executor_owns(ctx->worker, ctx->prefect, &now, &owns, err)
	             : 0;
	if (rc == 0 && !owns) {
		(void)flow_ctx_halt(ctx, HALT_TAKEN);
	} else if (rc == 0 && now.state_type != STATE_RUNNING) {
		(void)flow_ctx_halt(ctx, HALT_STATE);
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
		return flow_ctx_halt(ctx, HALT_STOPPING);
	while (look(ctx, &err) != 0) {
		if (flow_halted(ctx))
			return false;
		err.code = trouble_is_passing(&err) ? err.code : ERR_BUSY;
		if (!wait_out(ctx, &err))
			return flow_ctx_halt(ctx, HALT_STOPPING);
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
		return flow_ctx_halt(ctx, HALT_STOPPING);
	if (flow_run_glance(ctx->prefect, ctx->run.id, GLANCE_MS, &now, &err) != 0)
		return true;
	enum state_type type = (enum state_type)now.state_type;
	if (type != STATE_RUNNING && (ownership_is(&now, &self) || !state_type_is_live(type))) {
		(void)flow_ctx_halt(ctx, HALT_STATE);
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
		return flow_ctx_halt(ctx, HALT_STOPPING);
	if (!wait_out(ctx, err))
		return stop_asked(&ctx->worker->stop) ? flow_ctx_halt(ctx, HALT_STOPPING) : false;
	/* Whatever happened meanwhile: only a Running run goes on. */
	return look_until_known(ctx);
}
