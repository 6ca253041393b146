#include "worker/flow_ctx.h"

#include <string.h>

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
		if (rc == 0) {
			if (artifact->ret_id != NULL)
				memcpy(artifact->ret_id, id, UUID_SIZE);
			return true;
		}
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

void flow_ctx_end_steps(struct flow_ctx *ctx, enum state_type type, const char *message)
{
	if (ctx->timeline.count > 0)
		timeline_end_all(&ctx->timeline, type, message);
}

void flow_ctx_flush_steps(struct flow_ctx *ctx)
{
	if (timeline_flush(&ctx->timeline))
		return;
	ctx->timeline.quiet_until_ms = 0; /* it was away then, and is not now */
	(void)timeline_flush(&ctx->timeline);
}
