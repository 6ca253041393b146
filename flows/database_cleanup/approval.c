#include "flows/database_cleanup/approval.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/base/embed.h"
#include "client/base/text.h"
#include "flows/database_cleanup/agent_approval.h"
#include "flows/database_cleanup/agent_decision.h"
#include "flows/database_cleanup/agent_verdict.h"
#include "flows/database_cleanup/preview_form.h"
#include "flows/database_cleanup/preview_page.h"

/* Job variable of the pool, and its default there. */
#define TIMEOUT_VARIABLE "approval_timeout"
#define TIMEOUT_DEFAULT_S (3 * 86400)
#define TIMEOUT_MIN_S 10
#define TIMEOUT_MAX_S (30 * 86400)

/* What is kept of the notes, in bytes. */
#define NOTES_MAX 4000

EMBED_DECLARE(flows_database_cleanup_approval_schema_json);
EMBED_DECLARE(flows_database_cleanup_approval_0_1_schema_json);

/* The fields. That of the plan takes its digest alone and is filled in: who answers from a dialog that outlived its question sends
 * another. Version 0.1 asked without it. */
static int read_schema(const struct plan *plan, json_t **ret_schema, struct error *err)
{
	AUTO_JSON *schema = NULL;

	if (plan->version == 1)
		return json_read(EMBED_DATA(flows_database_cleanup_approval_0_1_schema_json),
		                 EMBED_SIZE(flows_database_cleanup_approval_0_1_schema_json), ret_schema, err);
	int rc = json_read(EMBED_DATA(flows_database_cleanup_approval_schema_json),
	                   EMBED_SIZE(flows_database_cleanup_approval_schema_json), &schema, err);
	json_t *field = json_object_get(json_object_get(schema, "properties"), "plan");
	if (rc == 0 && (json_object_set_new(field, "enum", json_pack("[s]", plan->digest)) != 0 ||
	                json_object_set_new(field, "default", json_string(plan->digest)) != 0))
		rc = error_nomem(err);
	if (rc == 0)
		*ret_schema = json_incref(schema);
	return rc;
}

/* @markdown is taken, also on failure. */
static int make_form(const struct plan *plan, char *markdown, struct flow_form *ret_form, struct error *err)
{
	struct flow_form form = {.description = markdown};

	int rc = markdown == NULL ? error_nomem(err) : read_schema(plan, &form.schema, err);
	if (rc != 0)
		flow_form_release(&form);
	else
		*ret_form = form;
	return rc;
}

/* Shows the preview, makes the form, and keeps its text. */
static int prepare(struct flow_ctx *ctx, const struct plan *plan, const json_t *advice, time_us until, struct flow_form *ret_form,
                   struct error *err)
{
	struct preview preview;
	char page[UUID_SIZE];

	int rc = preview_show(ctx, plan, advice, &preview, page, err);
	if (rc != 0)
		return rc;
	rc = make_form(plan, preview_form_markdown(&preview, plan, &(struct preview_form){.until = until, .page = page, .advice = advice}),
	               ret_form, err);
	preview_release(&preview);
	if (rc != 0)
		return rc;
	AUTO_JSON *kept = json_pack("{s:s, s:s}", "plan", plan->digest, "description", ret_form->description);
	rc = kept != NULL ? flow_checkpoint_write(ctx, FORM_KEY, kept, err) : error_nomem(err);
	if (rc != 0)
		flow_form_release(ret_form);
	return rc;
}

int approval_ask(struct flow_ctx *ctx, const struct plan *plan, const json_t *advice, enum flow_outcome *ret_outcome,
                 struct error *err)
{
	const int64_t timeout_us = approval_timeout_s(ctx) * US_PER_SEC;
	time_us until = prefect_now(flow_api(ctx)) + timeout_us;
	struct flow_form form;
	char summary[80];
	int rc;

	while ((rc = prepare(ctx, plan, advice, until, &form, err)) != 0) {
		if (!flow_retry(ctx, err))
			return rc;
		until = prefect_now(flow_api(ctx)) + timeout_us; /* that was an outage */
	}
	flow_recovered(ctx);

	flow_show(ctx, form.description);
	flow_step_begin(ctx, "approval", "preview");
	if (plan->dry_run)
		(void)snprintf(summary, sizeof summary, "dry run: %" PRId64 " flow runs match, nothing will be deleted", plan->total);
	else
		(void)snprintf(summary, sizeof summary, "%" PRId64 " flow runs would be deleted", plan->total);
	rc = flow_ask(ctx, &(struct flow_question){.form = &form, .summary = summary, .until = until}, ret_outcome, err);
	flow_form_release(&form);
	return rc;
}

static int other_plan(struct error *err)
{
	return error_set(err, ERR_DECODE, "the plan that is stored is not the one that was shown; nothing of it is deleted");
}

/* The text that was kept: a new one, NULL where there is none. ERR_DECODE where it is that of another plan. */
static int read_kept(struct flow_ctx *ctx, const struct plan *plan, char **ret_text, struct error *err)
{
	AUTO_JSON *kept = NULL;

	*ret_text = NULL;
	int rc = flow_checkpoint_read(ctx, FORM_KEY, &kept, err);
	if (rc != 0)
		return rc == ERR_NOT_FOUND || rc == ERR_DECODE ? 0 : rc;
	const json_t *text = json_object_get(kept, "description");
	if (!json_is_string(text))
		return 0;
	if (strcmp(json_text_of(kept, "plan"), plan->digest) != 0)
		return other_plan(err);
	*ret_text = text_dup(json_string_value(text));
	return *ret_text != NULL ? 0 : error_nomem(err);
}

/* The agent's advice, for a run that is Paused: one try. */
static int read_advice(struct flow_ctx *ctx, const struct plan *plan, json_t **ret_advice, struct error *err)
{
	AUTO_JSON *stored = NULL;

	*ret_advice = NULL;
	int rc = flow_checkpoint_read(ctx, AGENT_DECISION_KEY, &stored, err);
	if (rc == 0)
		*ret_advice = agent_advice_read(ctx, plan);
	return rc == ERR_NOT_FOUND || rc == ERR_DECODE ? 0 : rc;
}

/* From the plan, with what the server counts now. */
static int make_again(struct flow_ctx *ctx, const struct plan *plan, bool with_advice, char **ret_text, struct error *err)
{
	AUTO_JSON *advice = NULL;
	struct preview preview;

	int rc = with_advice ? read_advice(ctx, plan, &advice, err) : 0;
	if (rc == 0)
		rc = preview_collect(flow_api(ctx), plan, &preview, err);
	if (rc != 0)
		return rc;
	preview_measure(flow_api(ctx), plan, &preview);
	*ret_text = preview_form_markdown(&preview, plan, &(struct preview_form){.page = "", .advice = advice});
	preview_release(&preview);
	return *ret_text != NULL ? 0 : error_nomem(err);
}

int approval_form(struct flow_ctx *ctx, const struct plan *plan, bool with_advice, const struct flow_form *shown,
                  struct flow_form *ret_form, struct error *err)
{
	char *text;

	int rc = read_kept(ctx, plan, &text, err);
	if (rc == 0 && text == NULL && shown->description != NULL && strstr(shown->description, PLAN_SHOWN) != NULL) {
		/* A run of version 0.1, which kept no text: what is shown stays. */
		if (!preview_shows_plan(shown->description, plan))
			return other_plan(err);
		text = text_dup(shown->description);
		rc = text != NULL ? 0 : error_nomem(err);
	}
	if (rc == 0 && text == NULL)
		rc = make_again(ctx, plan, with_advice, &text, err);
	return rc != 0 ? rc : make_form(plan, text, ret_form, err);
}

int64_t approval_timeout_s(struct flow_ctx *ctx)
{
	return flow_job_variable(ctx, TIMEOUT_VARIABLE, TIMEOUT_DEFAULT_S, TIMEOUT_MIN_S, TIMEOUT_MAX_S);
}

static int decide(bool approved, const char *notes, struct decision *ret_decision, struct error *err)
{
	char *copy = text_cut(notes, NOTES_MAX);

	if (copy == NULL)
		return error_nomem(err);
	*ret_decision = (struct decision){.approved = approved, .notes = copy, .by = "a person"};
	return 0;
}

/* No approval, and maybe not what is stored: worth another look. */
static int doubt(const char *why, struct decision *ret_decision, struct error *err)
{
	int rc = decide(false, why, ret_decision, err);

	if (rc == 0)
		ret_decision->unreadable = true;
	return rc;
}

int approval_judge(const json_t *answer, const char *description, const struct plan *plan,
                   struct decision *ret_decision, struct error *err)
{
	const json_t *notes = json_object_get(answer, "notes");
	const json_t *approve = json_object_get(answer, "approve");
	const json_t *about = json_object_get(answer, "plan");
	const size_t fields = 1u + (notes != NULL ? 1u : 0u) + (about != NULL ? 1u : 0u);

	if (answer == NULL)
		return decide(false, "the run was resumed without the form", ret_decision, err);
	if (!json_is_object(answer) || !json_is_boolean(approve) || (notes != NULL && !json_is_string(notes)) ||
	    (about != NULL && !json_is_string(about)) || json_object_size(answer) > fields)
		return doubt("the submitted input is not what the form asks for", ret_decision, err);
	if (!json_is_true(approve))
		return decide(false, notes != NULL ? json_string_value(notes) : "", ret_decision, err);
	if (about != NULL && strcmp(json_string_value(about), plan->digest) != 0)
		return doubt("the answer is about another plan", ret_decision, err);
	/* The plan is read from the server again: it must be the one whose digest the person saw. */
	if (!preview_shows_plan(description, plan))
		return doubt("the stored plan is not the one that was shown", ret_decision, err);
	return decide(true, notes != NULL ? json_string_value(notes) : "", ret_decision, err);
}

int approval_read(struct flow_ctx *ctx, const struct plan *plan, struct decision *ret_decision, struct error *err)
{
	AUTO_JSON *answer = NULL;
	AUTO_FREE char *description = NULL;

	int rc = flow_answer(ctx, &answer, &description, err);
	if (rc == ERR_DECODE) /* stored, but not readable: no plain yes */
		return doubt("the submitted input cannot be read", ret_decision, err);
	if (rc != 0 && rc != ERR_NOT_FOUND)
		return rc;
	return approval_judge(answer, description, plan, ret_decision, err);
}

void decision_release(struct decision *decision)
{
	free(decision->notes);
	json_decref(decision->advice);
	*decision = (struct decision){0};
}
