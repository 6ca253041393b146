/* `prefect-janitor deploy`: pool, flow and deployment on the server, as often as one likes. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/alerts.h"
#include "cli/commands.h"
#include "cli/deploy_body.h"
#include "cli/deploy_changes.h"
#include "client/base/log.h"
#include "client/base/text.h"
#include "client/prefect/deployment.h"
#include "flows/database_cleanup/database_cleanup.h"
#include "worker/pool.h"

#define INTRO                                                                                           \
	"Creates or updates, on the server: the work pool (type janitor), the flow database-cleanup, and\n" \
	"its deployment with parameters, schedule and concurrency limit. A second call changes\n" \
	"what it names and keeps the rest; what it changes is printed, old -> new.\n" \
	"\n"                                                                                               \
	"Usage: prefect-janitor deploy --pool NAME [--cron EXPR | --interval DURATION | --rrule RULE | --no-schedule]\n" \
	"                              [--timezone TZ] [--param KEY=VALUE]... [OPTIONS]\n"

#define OUTRO                                                                                           \
	"Parameters (--param, or flags of their names; each with its default):\n"                         \
	"  retention_period=P30D                              keep flow runs that started within this time\n" \
	"  states_to_clean='[\"Completed\",\"Failed\",\"Cancelled\"]'  states whose flow runs are cleaned\n" \
	"  batch_size=100                                     10 to 1000\n"                                \
	"  dry_run=false                                      preview and ask, but delete nothing\n"       \
	"  approval_type=human                                who decides\n"                              \
	"\n"                                                                                               \
	"The concurrency limit keeps flow runs from being planned at the same time. A paused run gives its\n" \
	"place back, so several can wait for an approval. Only one run at a time deletes on the whole server;\n" \
	"others that were approved wait for their turn.\n" \
	"\n"                                                                                               \
	"Alerts are automations of Prefect's own: an approval is waited for, a cleanup failed, none succeeded for\n" \
	"days. Without a --notify option they stay as they are.\n"

/* The deployment as it is now; NULL where there is none. */
static int find_existing(struct prefect *prefect, const char *name, json_t **ret_existing, struct error *err)
{
	AUTO_JSON *found = NULL;

	int rc = deployment_filter(prefect, json_pack("{s:{s:{s:[s]}}, s:{s:{s:[s]}}}", "flows", "name", "any_", DATABASE_CLEANUP_FLOW,
	                                              "deployments", "name", "any_", name), &found, err);
	if (rc == 0)
		*ret_existing = json_incref(json_array_get(found, 0));
	return rc;
}

/* The server tells of each kind of schedule why the given one is not it: too much to read. */
static int explain_refusal(const struct settings *settings, int rc, struct error *err)
{
	const char *flag = settings->cron != NULL ? "--cron" : settings->rrule != NULL ? "--rrule" : "--interval";
	const char *value = settings->cron != NULL ? settings->cron : settings->rrule != NULL ? settings->rrule : settings->interval;

	if (rc == ERR_INVALID && strstr(err->text, "Invalid timezone") != NULL)
		return error_set(err, ERR_USAGE, "--timezone: the server does not know '%.80s' (HTTP 422); a name like Europe/Berlin is right; "
		                 "nothing was changed", settings->timezone);
	if (rc == ERR_INVALID && value != NULL && (strstr(err->text, "Invalid cron") != NULL || strstr(err->text, "Invalid RRule") != NULL))
		return error_set(err, ERR_USAGE, "%s: the server does not read '%.200s' as a schedule (HTTP 422); nothing was changed", flag,
		                 value);
	return rc;
}

/* Whatever may be refused is asked before anything is made. */
static int prepare(const struct settings *settings, struct prefect *prefect, json_t **ret_existing, json_t **ret_body,
                   struct error *err)
{
	int rc = alerts_check(prefect, settings, err);
	if (rc == 0)
		rc = find_existing(prefect, settings->deployment_name, ret_existing, err);
	if (rc == 0)
		rc = deploy_body(settings, *ret_existing, ret_body, err);
	return rc != 0 ? rc : explain_refusal(settings, deployment_check(prefect, *ret_body, err), err);
}

/* Runs stay in the pool for which they were made. The move is done, so that what cannot be counted is no error. */
static void warn_of_left_runs(struct prefect *prefect, const json_t *existing, const char *pool)
{
	const char *old = json_string_value(json_object_get(existing, "work_pool_name"));
	int64_t count = 0;
	char name[200];

	if (old == NULL || strcmp(old, pool) == 0)
		return;
	AUTO_JSON *runs = json_pack("{s:{s:[O]}, s:{s:{s:[s,s,s]}}}", "deployment_id", "any_", json_object_get(existing, "id"), "state",
	                            "type", "any_", "SCHEDULED", "PENDING", "PAUSED");
	AUTO_JSON *pools = json_pack("{s:{s:[s]}}", "name", "any_", old);
	text_clean(name, sizeof name, old, strlen(old));
	int rc = runs == NULL || pools == NULL
	                 ? ERR_NOMEM
	                 : flow_run_count(prefect, &(struct flow_run_query){.flow_runs = runs, .work_pools = pools}, &count, NULL);
	if (rc != 0)
		log_warning("whether flow runs of this deployment wait in work pool '%s' cannot be told: look there", name);
	else if (count > 0)
		log_warning("flow runs of this deployment that wait in work pool '%s': %" PRId64 "; only a worker of that pool takes "
		            "them: keep one until they are done, or cancel them and start new ones", name, count);
}

/* Pool, flow and deployment. */
static int place(const struct settings *settings, struct prefect *prefect, json_t *body, struct deployment *ret_deployment,
                 struct error *err)
{
	struct work_pool pool;
	struct flow flow;
	bool created;

	int rc = pool_ensure(prefect, settings->pool, &pool, &created, err);
	if (rc != 0)
		return rc;
	printf("work pool   %s (%s)\n", pool.name, created ? "created" : "was there");
	work_pool_release(&pool);

	rc = flow_ensure(prefect, DATABASE_CLEANUP_FLOW, &flow, err);
	if (rc != 0)
		return rc;
	printf("flow        %s\n", flow.name);
	(void)json_object_set_new(body, "flow_id", json_string(flow.id));
	flow_release(&flow);
	return deployment_upsert(prefect, json_incref(body), ret_deployment, err);
}

/* The schedule that was made from @entry of the body. */
static const json_t *made_from(const json_t *schedules, const json_t *entry)
{
	const json_t *slug = json_object_get(entry, "slug");
	size_t i;
	json_t *schedule;

	json_array_foreach(schedules, i, schedule)
		if (json_array_size(schedules) == 1 || (slug != NULL && json_equal(json_object_get(schedule, "slug"), slug)) ||
		    (slug == NULL && json_equal(json_object_get(schedule, "schedule"), json_object_get(entry, "schedule"))))
			return schedule;
	return NULL;
}

/* The server takes no max_scheduled_runs with a deployment, only with a schedule that is there. */
static int limit_schedules(struct prefect *prefect, const struct deployment *deployment, const json_t *body, struct error *err)
{
	AUTO_JSON *made = NULL;
	size_t i;
	json_t *entry;
	int rc = 0;

	json_array_foreach(json_object_get(body, "schedules"), i, entry)
	{
		if (json_object_get(entry, "max_scheduled_runs") == NULL)
			continue;
		if (made == NULL)
			rc = find_existing(prefect, deployment->name, &made, err);
		const char *id = json_string_value(json_object_get(made_from(json_object_get(made, "schedules"), entry), "id"));
		if (rc == 0)
			rc = id != NULL ? deployment_schedule_update(prefect, deployment->id, id, json_incref(entry), err)
			                : error_set(err, ERR_NOT_FOUND, "the server does not list it");
		if (rc != 0)
			return error_prefix(err, rc, "the deployment is made, but its schedule has lost max_scheduled_runs, set it again");
	}
	return 0;
}

static int deploy(const struct settings *settings, struct prefect *prefect, struct error *err)
{
	struct deployment deployment;
	AUTO_JSON *existing = NULL;
	AUTO_JSON *body = NULL;

	int rc = prepare(settings, prefect, &existing, &body, err);
	if (rc == 0)
		rc = place(settings, prefect, body, &deployment, err);
	if (rc != 0)
		return rc;
	char path[64 + UUID_SIZE];
	(void)snprintf(path, sizeof path, "/deployments/deployment/%s", deployment.id);
	AUTO_FREE char *page = prefect_ui_url(settings->api_url, path);
	printf("deployment  %s (%s)\n", deployment.name, existing == NULL ? "created" : "was there");
	deploy_changes_print(existing, body, stdout);
	printf("page        %s\n", page != NULL ? page : "");
	(void)fflush(stdout);
	warn_of_left_runs(prefect, existing, settings->pool);
	rc = limit_schedules(prefect, &deployment, body, err);
	if (rc == 0)
		rc = alerts_deploy(prefect, settings, &deployment, stdout, err);
	deployment_release(&deployment);
	if (rc != 0)
		return rc;
	printf("\nNow run a worker: prefect-janitor start --pool %s\n", settings->pool);
	return 0;
}

int command_deploy(int argc, char **argv)
{
	struct settings settings;
	struct server_clock clock = {0};
	struct error err = {0};
	bool help;

	if (settings_load(COMMAND_DEPLOY, argc - 2, argv + 2, &settings, &help, &err) != 0)
		return command_error("deploy", &err);
	if (help) {
		settings_release(&settings);
		return command_print_help(COMMAND_DEPLOY, INTRO, OUTRO);
	}
	settings_apply_log(&settings);

	struct http_settings http = settings_http(&settings, NULL);
	struct prefect *prefect = NULL;
	int rc = deploy_body_check(&settings, &err);
	if (rc == 0)
		rc = http_init(&err);
	if (rc == 0) {
		prefect = prefect_new(&http, &clock);
		rc = prefect != NULL ? deploy(&settings, prefect, &err) : error_nomem(&err);
		prefect_free(prefect);
		http_cleanup();
	}
	settings_release(&settings);
	return rc == 0 ? EXIT_DONE : command_error("deploy", &err);
}
