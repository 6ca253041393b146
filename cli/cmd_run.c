/* `prefect-janitor run`: triggers the deployment, and follows the run where that is wanted. */
#include <stdio.h>
#include <string.h>

#include "cli/cleanup_run.h"
#include "cli/follow.h"
#include "cli/parameters.h"
#include "cli/target.h"
#include "cli/who.h"
#include "client/base/text.h"
#include "client/prefect/deployment.h"
#include "client/prefect/work_pool.h"

#define INTRO                                                                                          \
	"Starts a run of the cleanup deployment, as Quick run and Custom run in the UI. Parameters are\n"   \
	"those of the deployment; flags go before them. Nothing is deleted before somebody approves.\n"     \
	"\n"                                                                                                 \
	"Usage: prefect-janitor run [--pool NAME | --deployment NAME] [--wait] [OPTIONS]\n"

#define OUTRO                                                                                           \
	"With --wait it is followed: its states, its log, and on a terminal a bar while it deletes. The exit\n" \
	"code is then how it ended: 0 completed (also a dry run, and nothing to clean), 1 failed, 3 rejected,\n" \
	"4 cancelled, 5 nobody decided in time. Ctrl-C ends the following, not the run.\n"

/* A DeploymentFlowRunCreate. */
static int make_body(struct session *session, const json_t *deployment, json_t **ret_body, struct error *err)
{
	const json_t *stored = json_object_get(deployment, "parameters");
	AUTO_JSON *parameters = json_is_object(stored) ? json_deep_copy(stored) : json_object();
	char key[UUID_SIZE];
	char who[WHO_SIZE];
	char message[WHO_SIZE + 60];
	struct policy policy;
	bool changed;

	if (parameters == NULL)
		return error_nomem(err);
	int rc = parameters_apply(session->settings, parameters, &changed, err);
	if (rc == 0)
		rc = parameters_check(parameters, &policy, err);
	if (rc != 0)
		return rc;
	policy_release(&policy);
	rc = parameters_check_schema(deployment, parameters, err);
	if (rc != 0)
		return rc;
	AUTO_JSON *variables = json_object();
	rc = variables != NULL ? parameters_read_pairs("--job-variable", session->settings->job_variables, variables, err) : error_nomem(err);
	if (rc != 0)
		return rc;
	uuid_make(key);
	(void)snprintf(message, sizeof message, "started by %s with prefect-janitor run", who_am_i(who));
	*ret_body = json_pack("{s:s, s:{s:s, s:s}}", "idempotency_key", key, "state", "type", "SCHEDULED", "message", message);
	/* Without a change they are the deployment's at the time of the request. */
	if (*ret_body == NULL || (changed && json_object_set(*ret_body, "parameters", parameters) != 0) ||
	    (json_object_size(variables) > 0 && json_object_set(*ret_body, "job_variables", variables) != 0)) {
		json_decref(*ret_body);
		*ret_body = NULL;
		return error_nomem(err);
	}
	return 0;
}

/* *ret_deployment: a new reference, also where it fails. */
static int trigger(struct session *session, json_t **ret_deployment, struct flow_run *ret_run, struct error *err)
{
	json_t *body = NULL;

	int rc = parameters_check_flags(session->settings, err);
	if (rc == 0)
		rc = target_find(session, ret_deployment, err);
	if (rc != 0)
		return rc;
	const json_t *deployment = *ret_deployment;
	const char *id = json_string_value(json_object_get(deployment, "id"));
	if (id == NULL)
		return error_set(err, ERR_USAGE, "there is no deployment of database-cleanup at %s; prefect-janitor deploy creates it",
		                 session->settings->api_url);
	if (*json_text_of(deployment, "work_pool_name") == '\0')
		return error_set(err, ERR_USAGE, "the deployment '%.80s' has no work pool: no worker would take the run; prefect-janitor deploy "
		                 "--pool NAME --name '%.80s' puts it into one", json_text_of(deployment, "name"), json_text_of(deployment, "name"));
	rc = make_body(session, deployment, &body, err);
	if (rc != 0)
		return rc;
	rc = deployment_run(session->prefect, id, body, ret_run, err);
	return rc == ERR_CONFLICT ? error_prefix(err, ERR_USAGE, "the server refuses the parameters") : rc;
}

/* Where nobody follows the run: what comes next, and who is needed for it. */
static void print_next(struct session *session, const struct cleanup_run *created, const char *pool)
{
	AUTO_JSON *online = NULL;
	char name[JSON_LABEL_SIZE];

	printf("next  prefect-janitor pending shows it as soon as it asks; then prefect-janitor approve %s\n", created->run.id);
	if (pool == NULL || work_pool_online_workers(session->prefect, pool, &online, NULL) != 0 || json_array_size(online) > 0)
		return;
	text_clean(name, sizeof name, pool, strlen(pool));
	printf("      No worker is online in work pool '%s': prefect-janitor start --pool %s\n", name, name);
}

static void print_created(struct session *session, const struct cleanup_run *created, const char *page, const char *pool)
{
	printf("run   %s\nid    %s\npage  %s\n", created->run.name, created->run.id, page != NULL ? page : "");
	if (!session->settings->wait)
		print_next(session, created, pool);
}

static int run_run(struct session *session, struct error *err)
{
	struct flow_run run;
	struct cleanup_run created;
	AUTO_JSON *deployment = NULL;

	int rc = trigger(session, &deployment, &run, err);
	if (rc == 0)
		rc = cleanup_run_from(&run, &created, err);
	if (rc != 0)
		return rc;
	AUTO_FREE char *page = cleanup_run_page(session, created.run.id);
	bool json = session->settings->output == OUTPUT_JSON;
	if (!json)
		print_created(session, &created, page, json_string_value(json_object_get(deployment, "work_pool_name")));
	if (session->settings->wait) {
		printf("%s", json ? "" : "\n");
		rc = follow_run(session, created.run.id, 0, &session->exit_code, err);
	} else if (json) {
		rc = command_print_json(cleanup_run_json(session, &created), err);
	}
	cleanup_run_release(&created);
	return rc;
}

int command_run(int argc, char **argv)
{
	return command_client(
		&(struct client_command){.name = "run", .bit = COMMAND_RUN, .intro = INTRO, .outro = OUTRO, .run = run_run}, argc,
		argv);
}
