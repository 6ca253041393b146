/* `prefect-janitor run`: triggers the deployment, and follows the run where that is wanted. */
#include <stdio.h>
#include <string.h>

#include "cli/cleanup_run.h"
#include "cli/follow.h"
#include "cli/parameters.h"
#include "cli/target.h"
#include "cli/who.h"
#include "client/prefect/deployment.h"

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
	uuid_make(key);
	(void)snprintf(message, sizeof message, "started by %s with prefect-janitor run", who_am_i(who));
	*ret_body = json_pack("{s:s, s:{s:s, s:s}}", "idempotency_key", key, "state", "type", "SCHEDULED", "message", message);
	/* Without a change they are the deployment's at the time of the request. */
	if (*ret_body == NULL || (changed && json_object_set(*ret_body, "parameters", parameters) != 0)) {
		json_decref(*ret_body);
		*ret_body = NULL;
		return error_nomem(err);
	}
	return 0;
}

static int trigger(struct session *session, struct flow_run *ret_run, struct error *err)
{
	AUTO_JSON *deployment = NULL;
	json_t *body = NULL;

	int rc = parameters_check_flags(session->settings, err);
	if (rc == 0)
		rc = target_find(session, &deployment, err);
	if (rc != 0)
		return rc;
	const char *id = json_string_value(json_object_get(deployment, "id"));
	if (id == NULL)
		return error_set(err, ERR_USAGE, "there is no deployment of database-cleanup at %s; prefect-janitor deploy creates it",
		                 session->settings->api_url);
	rc = make_body(session, deployment, &body, err);
	if (rc != 0)
		return rc;
	rc = deployment_run(session->prefect, id, body, ret_run, err);
	return rc == ERR_CONFLICT ? error_prefix(err, ERR_USAGE, "the server refuses the parameters") : rc;
}

static int run_run(struct session *session, struct error *err)
{
	struct flow_run run;
	struct cleanup_run created;

	int rc = trigger(session, &run, err);
	if (rc == 0)
		rc = cleanup_run_from(&run, &created, err);
	if (rc != 0)
		return rc;
	AUTO_FREE char *page = cleanup_run_page(session, created.run.id);
	bool json = session->settings->output == OUTPUT_JSON;
	if (!json)
		printf("run   %s\nid    %s\npage  %s\n", created.run.name, created.run.id, page != NULL ? page : "");
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
