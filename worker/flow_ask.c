#include "worker/flow_ctx.h"

#include "client/base/text.h"
#include "client/prefect/run_input.h"
#include "worker/approval_form.h"
#include "worker/reminder.h"

bool flow_was_asked(const struct flow_ctx *ctx)
{
	return ctx->question.asked;
}

/* An answer to an earlier question must be gone before this one is asked. */
static int remove_answer(struct flow_ctx *ctx, struct error *err)
{
	AUTO_JSON *answer = NULL;
	char key[QUESTION_KEY_SIZE];

	int rc = run_input_delete(ctx->prefect, ctx->run.id, question_input_key(&ctx->question, "response", key), err);
	if (rc != 0)
		return rc;
	rc = run_input_read(ctx->prefect, ctx->run.id, key, &answer, err);
	if (rc == 0 || rc == ERR_DECODE)
		return error_set(err, ERR_BUSY, "an answer to the next question (input '%s') cannot be removed", key);
	return rc == ERR_NOT_FOUND ? 0 : rc;
}

#define STORE_TRIES 3
#define STORE_WAIT_MS 500

/* The run is Paused. What cannot be stored soon is stored by the watch service, which says so where that takes long. */
static void store_form(struct flow_ctx *ctx, const struct flow_form *form, time_us remind_at)
{
	struct error err;

	for (int tries = 1; approval_form_store(ctx->prefect, ctx->run.id, &ctx->question, form, &err) != 0; tries++)
		if (tries == STORE_TRIES || !trouble_is_passing(&err) || stop_wait(&ctx->worker->stop, STORE_WAIT_MS))
			return;
	ctx->form = (struct run_form){.known = true, .number = ctx->question.number, .print = approval_form_print(form),
	                              .remind_at = remind_at, .due_ms = clock_mono_ms() + FORM_EVERY_ROUNDS * ctx->worker->settings->watch_ms};
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

int flow_ask(struct flow_ctx *ctx, const struct flow_question *question, enum flow_outcome *ret_outcome, struct error *err)
{
	struct state_answer answer;
	char buf[TIME_TEXT_SIZE];
	int rc;

	while ((rc = remove_answer(ctx, err)) != 0)
		if (!flow_retry(ctx, err))
			return rc;
	flow_recovered(ctx);
	/* Nobody draws while the run waits, and the server takes no step that begins then. */
	flow_ctx_flush_steps(ctx);
	if (!flow_may_go_on(ctx))
		return error_set(err, ERR_STOPPED, "stopped");

	const struct question *q = &ctx->question;
	char keys[4][QUESTION_KEY_SIZE];
	AUTO_JSON *details = json_pack("{s:o, s:s, s:b, s:{s:s, s:s, s:s}}", "pause_timeout", json_time(question->until), "pause_key",
	                               question_pause_key(q, keys[0]), "pause_reschedule", 0, "run_input_keyset",
	                               "schema", question_input_key(q, "schema", keys[1]),
	                               "description", question_input_key(q, "description", keys[2]),
	                               "response", question_input_key(q, "response", keys[3]));
	if (details == NULL) /* a pause without them would never end */
		return error_nomem(err);
	flow_log(ctx, LOG_LEVEL_INFO, "waiting for an approval until %s: open this run and choose Resume",
	         time_format_human(question->until, buf));
	AUTO_TEXT message = {.max = STATE_MESSAGE_MAX};
	text_addf(&message, "%s; waiting for an approval until %s", question->summary, time_format_human(question->until, buf));
	rc = flow_ctx_propose(ctx, &(struct state_proposal){.type = STATE_PAUSED, .name = "Paused", .message = text_str(&message),
	                                           .details = details}, &answer, err);
	if (rc != 0)
		return rc;

	bool paused = answer.status == STATE_ACCEPT;
	rc = error_set(err, ERR_CONFLICT, "the server refuses to pause the run: %s",
	               answer.reason != NULL ? answer.reason : "no reason given");
	state_answer_release(&answer);
	if (paused)
		store_form(ctx, question->form, reminder_time(prefect_now(ctx->prefect), question->until));
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
