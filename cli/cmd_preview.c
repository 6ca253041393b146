/* `prefect-janitor preview`: what a run would delete now. Reads only. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/markdown.h"
#include "cli/parameters.h"
#include "cli/target.h"
#include "flows/database_cleanup/agent_setup.h"
#include "flows/database_cleanup/preview_page.h"

#define INTRO                                                                                          \
	"Shows what a cleanup would delete now, as its form shows it. Reads only: no run, no question, no\n" \
	"change. Parameters are those of the deployment; flags go before them.\n"                            \
	"\n"                                                                                                 \
	"Usage: prefect-janitor preview [--pool NAME | --deployment NAME] [OPTIONS]\n"

#define OUTRO                                                                                           \
	"Examples:\n"                                                                                       \
	"  prefect-janitor preview --retention-period P60D --states Completed\n"                            \
	"  prefect-janitor preview --what-if P7D,P14D,P30D,P90D\n"                                          \
	"  prefect-janitor preview --output json | jq .total\n"                                              \
	"  prefect-janitor preview --ai-context                 what an AI agent would be sent; sends nothing\n"

#define WHAT_IF_MAX 50
#define MARKDOWN_MAX (1024 * 1024)

/* The past of the server's clock, which it tells in whole seconds. */
static time_us now_of(const struct session *session)
{
	return prefect_now(session->prefect) - US_PER_SEC;
}

static const char *name_of(const json_t *deployment)
{
	return json_string_value(json_object_get(deployment, "name"));
}

/* The deployment's parameters, or none, with what the flags say. */
static int make_parameters(struct session *session, const json_t *deployment, json_t **ret_parameters, struct error *err)
{
	const json_t *stored = json_object_get(deployment, "parameters");
	AUTO_JSON *parameters = json_is_object(stored) ? json_deep_copy(stored) : json_object();
	bool changed;

	if (parameters == NULL)
		return error_nomem(err);
	int rc = parameters_apply(session->settings, parameters, &changed, err);
	if (rc == 0)
		*ret_parameters = json_incref(parameters);
	return rc;
}

/* --- --what-if ---------------------------------------------------------------------------------------- */

struct guess {
	char *retention; /* owned */
	time_us cutoff;
	int64_t total;
};

/* The policy with another retention period. */
static int guess_policy(json_t *parameters, const char *retention, struct policy *ret_policy, struct error *err)
{
	if (json_object_set_new(json_object_get(parameters, "config"), "retention_period", json_string(retention)) != 0)
		return error_nomem(err);
	int rc = policy_read(parameters, ret_policy, err);
	return rc == ERR_INVALID ? error_prefix(err, ERR_USAGE, "--what-if: '%.80s'", retention) : rc;
}

static int make_guess(struct session *session, const json_t *deployment, json_t *parameters, struct guess *guess,
                      struct error *err)
{
	struct policy policy;
	struct plan plan;

	int rc = guess_policy(parameters, guess->retention, &policy, err);
	if (rc != 0)
		return rc;
	rc = parameters_check_schema(deployment, parameters, err);
	if (rc != 0) {
		policy_release(&policy);
		return error_prefix(err, rc, "--what-if");
	}
	rc = plan_make(session->prefect, &policy, now_of(session), &plan, err);
	policy_release(&policy);
	if (rc != 0)
		return rc == ERR_INVALID ? error_prefix(err, ERR_USAGE, "--what-if") : rc;
	guess->cutoff = plan.cutoff;
	guess->total = plan.total;
	plan_release(&plan);
	return 0;
}

/* Each part of P7D,P30D, checked before the server is asked anything. */
static int read_guesses(const char *at, struct guess *guesses, size_t *ret_count, struct error *err)
{
	AUTO_JSON *parameters = json_pack("{s:{}}", "config");

	for (*ret_count = 0;; at++) {
		size_t len = strcspn(at, ",");
		struct policy policy;

		if (*ret_count == WHAT_IF_MAX)
			return error_set(err, ERR_USAGE, "--what-if: more than %d retention periods", WHAT_IF_MAX);
		struct guess *guess = &guesses[(*ret_count)++];
		guess->retention = strndup(at, len);
		if (guess->retention == NULL || parameters == NULL)
			return error_nomem(err);
		int rc = guess_policy(parameters, guess->retention, &policy, err);
		if (rc != 0)
			return rc;
		policy_release(&policy);
		at += len;
		if (*at == '\0')
			return 0;
	}
}

static int print_guesses(struct session *session, const struct guess *guesses, size_t count, struct error *err)
{
	AUTO_TABLE table = {.columns = {{.title = "RETENTION"}, {.title = "STARTED AT OR BEFORE"}, {.title = "FLOW RUNS", .right = true}}};
	AUTO_JSON *list = json_array();
	char when[WHEN_SIZE];

	for (size_t i = 0; i < count; i++) {
		table_add(&table, COLOUR_NONE, "%s", guesses[i].retention);
		table_add(&table, COLOUR_NONE, "%s", when_format(guesses[i].cutoff, when));
		table_add(&table, COLOUR_NONE, "%" PRId64, guesses[i].total);
		if (json_array_append_new(list, json_pack("{s:s, s:o, s:I}", "retention_period", guesses[i].retention, "cutoff",
		                                          json_time(guesses[i].cutoff), "total", (json_int_t)guesses[i].total)) != 0)
			return error_nomem(err);
	}
	return session->settings->output == OUTPUT_JSON ? command_print_json(json_incref(list), err)
	                                                : table_print(&table, &session->style, err);
}

/* --- the whole preview --------------------------------------------------------------------------------- */

static json_t *states_json(const struct preview *preview, const int64_t *counts)
{
	json_t *states = json_object();

	for (size_t i = 0; i < preview->state_count; i++)
		if (json_object_set_new(states, preview->states[i], json_integer(counts[i])) != 0) {
			json_decref(states);
			return NULL;
		}
	return states;
}

static json_t *flows_json(const struct preview *preview)
{
	json_t *flows = json_array();

	for (size_t i = 0; i < preview->flow_count; i++) {
		const struct preview_flow *flow = &preview->flows[i];
		/* States are counted for the flows that the form shows. */
		json_t *states = i < PREVIEW_FLOWS_SHOWN ? states_json(preview, flow->by_state) : json_null();
		if (json_array_append_new(flows, json_pack("{s:s, s:s, s:I, s:o}", "id", flow->id, "name", flow->name, "count",
		                                           (json_int_t)flow->count, "by_state", states)) != 0) {
			json_decref(flows);
			return NULL;
		}
	}
	return flows;
}

static json_t *runs_json(const struct preview *preview)
{
	json_t *runs = json_array();

	for (size_t i = 0; i < preview->run_count; i++) {
		const struct flow_run *run = &preview->runs[i];
		if (json_array_append_new(runs, json_pack("{s:s, s:s, s:s?, s:o}", "id", run->id, "name", run->name, "state_name",
		                                          run->state_name, "start_time", json_time_or_null(run->start_time))) != 0) {
			json_decref(runs);
			return NULL;
		}
	}
	return runs;
}

/* What goes with the runs; null where it could not be read. Log lines are those of `log_runs` runs, as the server does not
 * count them. */
static json_t *extent_json(const struct preview_extent *extent)
{
	if (!extent->known)
		return json_null();
	return json_pack("{s:I, s:I, s:I, s:I, s:b}", "task_runs", (json_int_t)extent->task_runs, "artifacts",
	                 (json_int_t)extent->artifacts, "log_lines", (json_int_t)extent->log_lines, "log_runs",
	                 (json_int_t)extent->log_runs, "log_lines_are_all", extent->logs_known);
}

static json_t *preview_json(const json_t *deployment, const struct policy *policy, const struct plan *plan,
                            const struct preview *preview)
{
	const char *name = name_of(deployment);

	return json_pack("{s:s?, s:s, s:O, s:i, s:b, s:s, s:o, s:o, s:I, s:o, s:o, s:b, s:o, s:o, s:o, s:o}", "deployment", name,
	                 "retention_period", plan->retention, "states_to_clean", plan->states, "batch_size", policy->batch_size,
	                 "dry_run", plan->dry_run, "approval_type", policy->approval == APPROVAL_AI ? "ai" : "human",
	                 "planned_at", json_time(plan->planned_at), "cutoff", json_time(plan->cutoff), "total",
	                 (json_int_t)plan->total, "by_state", states_json(preview, preview->by_state), "flows",
	                 flows_json(preview), "more_flows", preview->more_flows, "oldest",
	                 json_time_or_null(preview->oldest), "newest", json_time_or_null(preview->newest), "oldest_runs",
	                 runs_json(preview), "extent",
	                 extent_json(&preview->extent));
}

static int print_text(struct session *session, const struct plan *plan, const struct preview *preview, struct error *err)
{
	AUTO_FREE char *markdown = preview_markdown(preview, plan);
	AUTO_TEXT out = {.max = MARKDOWN_MAX};
	char when[WHEN_SIZE];

	if (markdown == NULL)
		return error_nomem(err);
	int rc = plan->total > 0 ? markdown_write(markdown, &session->style, &out, err) : 0;
	if (rc != 0)
		return rc;
	if (plan->total == 0)
		printf("No flow runs match: a run would delete nothing.\n");
	else
		printf("%s", text_str(&out));
	printf("\nAs of %s. Nothing was changed.\n", when_format(plan->planned_at, when));
	return 0;
}

static void print_source(const json_t *deployment)
{
	char name[JSON_LABEL_SIZE];

	if (name_of(deployment) == NULL) {
		printf("Parameters: the defaults, since this server has no deployment of database-cleanup\n\n");
		return;
	}
	text_clean(name, sizeof name, name_of(deployment), strlen(name_of(deployment)));
	printf("Parameters: those of the deployment %s, and the flags\n\n", name);
}

/* --- --ai-context ---------------------------------------------------------------------------------------- */

/* The first request to the model, to the letter: on stdout nothing but its body. */
static int print_ai_context(struct session *session, const struct plan *plan, const struct preview *preview, struct error *err)
{
	struct flow_ai ai = settings_ai(session->settings, NULL);
	struct agent_setup setup;
	json_t *request = NULL;

	int rc = agent_setup_init(&ai, preview, plan, NULL, &setup, err);
	if (rc != 0)
		return rc;
	struct llm_settings *llm = &setup.settings.llm;
	/* Nothing is sent: it can be looked at before anything is configured. */
	llm->model = llm->model != NULL ? llm->model : "(PREFECT_JANITOR_AI_MODEL is not set)";
	llm->key = llm->key != NULL ? llm->key : "none";
	rc = agent_first_request(&setup.settings, &request, err);
	if (rc == 0) {
		fprintf(stderr, "The first request to %s (%s, model %s). Nothing was sent. Every further one has all of this, the model's\n"
		        "answers, and what the tools answered it.\n", llm->base_url != NULL ? llm->base_url : "the provider's own address",
		        llm_provider_name(llm->provider), llm->model);
		rc = command_print_json(request, err);
	}
	agent_setup_release(&setup);
	return rc;
}

static int print_preview(struct session *session, const json_t *deployment, const struct policy *policy, const struct plan *plan,
                         const struct preview *preview, struct error *err)
{
	if (session->settings->ai_context)
		return print_ai_context(session, plan, preview, err);
	if (session->settings->output == OUTPUT_JSON)
		return command_print_json(preview_json(deployment, policy, plan, preview), err);
	print_source(deployment);
	return print_text(session, plan, preview, err);
}

static int whole(struct session *session, const json_t *deployment, const json_t *parameters, struct error *err)
{
	struct policy policy;
	struct plan plan;
	struct preview preview;

	int rc = parameters_check(parameters, &policy, err);
	if (rc != 0)
		return rc;
	rc = plan_make(session->prefect, &policy, now_of(session), &plan, err);
	if (rc == 0) {
		rc = preview_collect(session->prefect, &plan, &preview, err);
		if (rc == 0) {
			preview_measure(session->prefect, &plan, &preview);
			rc = print_preview(session, deployment, &policy, &plan, &preview, err);
			preview_release(&preview);
		}
		plan_release(&plan);
	}
	policy_release(&policy);
	return rc;
}

static int run_preview(struct session *session, struct error *err)
{
	const char *what_if = session->settings->what_if;
	struct guess guesses[WHAT_IF_MAX] = {0};
	size_t count = 0;
	AUTO_JSON *deployment = NULL;
	AUTO_JSON *parameters = NULL;

	int rc = parameters_check_flags(session->settings, err);
	if (rc == 0 && what_if != NULL && session->settings->ai_context)
		rc = error_set(err, ERR_USAGE, "--what-if and --ai-context: only one of them at a time");
	if (rc == 0 && what_if != NULL)
		rc = read_guesses(what_if, guesses, &count, err);
	if (rc == 0)
		rc = target_find(session, &deployment, err);
	if (rc == 0)
		rc = make_parameters(session, deployment, &parameters, err);
	if (rc == 0)
		rc = parameters_check_schema(deployment, parameters, err);
	if (rc == 0 && what_if == NULL)
		rc = whole(session, deployment, parameters, err);
	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = make_guess(session, deployment, parameters, &guesses[i], err);
	if (rc == 0 && what_if != NULL)
		rc = print_guesses(session, guesses, count, err);
	for (size_t i = 0; i < count; i++)
		free(guesses[i].retention);
	return rc;
}

int command_preview(int argc, char **argv)
{
	return command_client(
		&(struct client_command){
			.name = "preview", .bit = COMMAND_PREVIEW, .intro = INTRO, .outro = OUTRO, .run = run_preview}, argc, argv);
}
