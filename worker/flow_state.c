#include "worker/flow_ctx.h"

#include <string.h>
#include <strings.h>

#include "worker/ownership.h"

int flow_ctx_propose(struct flow_ctx *ctx, const struct state_proposal *wanted, struct state_answer *ret_answer,
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
			(void)flow_ctx_halt(ctx, HALT_DELETED);
		if (rc == ERR_NOT_FOUND || rc == ERR_INVALID)
			return rc;
		/* Whatever else it is: the state has to get there, or the run would stay as it is for ever. */
		err->code = trouble_is_passing(err) ? err->code : ERR_BUSY;
		if (rc == ERR_STOPPED || !worker_retry(ctx->worker, &trouble, ctx->run.name, err)) {
			(void)flow_ctx_halt(ctx, HALT_STOPPING);
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
	flow_ctx_end_steps(ctx, type, message);
	int rc = flow_ctx_propose(ctx, &proposal, &answer, &err);
	if (rc == ERR_INVALID) { /* better without the words than not at all */
		log_run(LOG_LEVEL_WARNING, ctx->run.name, ctx->run.id,
		        "the server refuses the state's message or data, leaving them out: %s", err.text);
		proposal.message = NULL;
		proposal.data = NULL;
		rc = flow_ctx_propose(ctx, &proposal, &answer, &err);
	}
	if (rc == 0 && answer.status == STATE_ACCEPT)
		metrics_count_final(&ctx->worker->metrics, type, owned);
	flow_ctx_flush_steps(ctx);
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
	char message[sizeof((struct error *)0)->text + 700];

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
	case HALT_REFUSED:
		(void)snprintf(message, sizeof message, "its place in the queue of deletions cannot be noted: %s; %s",
		               ctx->refused != NULL ? ctx->refused : "no memory for the reason", so_far);
		ctx->halt = HALT_NOT; /* it ends as any other failure does */
		return flow_finish(ctx, STATE_FAILED, message, NULL);
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
