#include "worker/flow_ctx.h"

#include <string.h>

#include "client/base/text.h"
#include "worker/turn.h"

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

	while (read_turn(ctx, &turn, &err) != 0) {
		if (flow_retry(ctx, &err))
			continue;
		if (!flow_halted(ctx)) { /* it would be the same at the next start of the body */
			ctx->refused = text_dup(err.text);
			(void)flow_ctx_halt(ctx, HALT_REFUSED);
		}
		return false;
	}
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
