/* `prefect-janitor deploy`: pool, flow and deployment on the server, as often as one likes. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/alerts.h"
#include "cli/commands.h"
#include "cli/parameters.h"
#include "client/base/duration.h"
#include "client/base/log.h"
#include "client/base/text.h"
#include "client/prefect/deployment.h"
#include "flows/database_cleanup/database_cleanup.h"
#include "flows/database_cleanup/policy.h"
#include "worker/pool.h"

#define INTRO                                                                                           \
	"Creates or updates, on the server: the work pool (type janitor), the flow database-cleanup, and\n" \
	"its deployment with parameters, schedule and concurrency limit. A second call updates them.\n"    \
	"\n"                                                                                               \
	"Usage: prefect-janitor deploy --pool NAME [--cron EXPR | --interval DURATION | --rrule RULE]\n" \
	"                              [--timezone TZ] [--param KEY=JSON]... [OPTIONS]\n"

#define OUTRO                                                                                           \
	"Parameters (--param, each with its default):\n"                                                  \
	"  retention_period='\"P30D\"'                          keep flow runs that started within this time\n" \
	"  states_to_clean='[\"Completed\",\"Failed\",\"Cancelled\"]'  states whose flow runs are cleaned\n" \
	"  batch_size=100                                     10 to 1000\n"                                \
	"  dry_run=false                                      preview and ask, but delete nothing\n"       \
	"  approval_type='\"human\"'                            who decides\n"                              \
	"\n"                                                                                               \
	"The concurrency limit keeps flow runs from being planned at the same time. A paused run gives its\n" \
	"place back, so several can wait for an approval. Only one run at a time deletes on the whole server;\n" \
	"others that were approved wait for their turn.\n" \
	"\n"                                                                                               \
	"Alerts are automations of Prefect's own: an approval is waited for, a cleanup failed, none succeeded for\n" \
	"days. Without a --notify option they stay as they are.\n"

/* Schedules are counted from here, so that a second deploy does not move an interval. */
#define INTERVAL_ANCHOR "2020-01-01T00:00:00Z"

/* Defaults and --param together, checked as the worker will check them. */
static int make_parameters(const struct settings *settings, json_t **ret_parameters, struct error *err)
{
	AUTO_JSON *parameters = database_cleanup_defaults();
	struct policy policy;
	bool changed;

	if (parameters == NULL)
		return error_nomem(err);
	int rc = parameters_apply(settings, parameters, &changed, err);
	if (rc != 0)
		return rc;
	rc = policy_read(parameters, &policy, err);
	if (rc != 0)
		return error_prefix(err, rc, "--param");
	policy_release(&policy);
	*ret_parameters = json_incref(parameters);
	return 0;
}

/* "PT12H" or "43200": whole seconds, at least one. */
static int interval_seconds(const char *text, double *ret_seconds, struct error *err)
{
	int64_t us = 0;
	char *end;
	double seconds = strtod(text, &end);
	bool number = end != text && *end == '\0';
	int rc = number ? duration_from_seconds(seconds, &us, err) : duration_parse(text, &us, err);

	if (rc != 0)
		return error_prefix(err, ERR_USAGE, "--interval");
	if (us < US_PER_SEC)
		return error_set(err, ERR_USAGE, "--interval: '%.40s' is less than a second", text);
	*ret_seconds = (double)us / (double)US_PER_SEC;
	return 0;
}

/* The deployment's schedules: an array of none or one. */
static int make_schedules(const struct settings *settings, json_t **ret_schedules, struct error *err)
{
	json_t *schedule = NULL;

	if (settings->no_schedule) {
		*ret_schedules = json_array();
		return *ret_schedules != NULL ? 0 : error_nomem(err);
	}
	if (settings->cron != NULL)
		schedule = json_pack("{s:s, s:s}", "cron", settings->cron, "timezone", settings->timezone);
	else if (settings->rrule != NULL)
		schedule = json_pack("{s:s, s:s}", "rrule", settings->rrule, "timezone", settings->timezone);
	else if (settings->interval != NULL) {
		double seconds = 0;
		int rc = interval_seconds(settings->interval, &seconds, err);
		if (rc != 0)
			return rc;
		schedule = json_pack("{s:f, s:s, s:s}", "interval", seconds, "anchor_date", INTERVAL_ANCHOR, "timezone",
		                     settings->timezone);
	} else {
		*ret_schedules = json_array();
		return *ret_schedules != NULL ? 0 : error_nomem(err);
	}
	*ret_schedules = json_pack("[{s:o, s:b}]", "schedule", schedule, "active", !settings->paused);
	return *ret_schedules != NULL ? 0 : error_set(err, ERR_USAGE, "the schedule is not UTF-8");
}

static json_t *make_tags(const struct settings *settings)
{
	json_t *tags = json_pack("[s,s]", "database-maintenance", "cleanup");

	if (json_array_extend(tags, settings->tags) != 0) {
		json_decref(tags);
		return NULL;
	}
	return tags;
}

/* A DeploymentCreate without the ids that are only known on the server. */
static int make_body(const struct settings *settings, json_t **ret_body, struct error *err)
{
	AUTO_JSON *parameters = NULL;
	AUTO_JSON *schedules = NULL;
	AUTO_FREE char *description = database_cleanup_description();

	int rc = make_parameters(settings, &parameters, err);
	if (rc == 0)
		rc = make_schedules(settings, &schedules, err);
	if (rc != 0)
		return rc;

	json_t *limit = settings->concurrency_limit > 0 ? json_integer(settings->concurrency_limit) : json_null();
	json_t *collision =
		settings->concurrency_limit > 0 ? json_pack("{s:s}", "collision_strategy", "ENQUEUE") : json_null();
	*ret_body = json_pack("{s:s, s:s, s:O, s:o, s:b, s:O, s:s, s:o, s:s, s:o, s:o, s:b}", "name", settings->deployment_name,
	                      "description", description, "parameters", parameters, "parameter_openapi_schema",
	                      database_cleanup_schema(), "enforce_parameter_schema", 1, "schedules", schedules,
	                      "work_pool_name", settings->pool, "tags", make_tags(settings), "entrypoint",
	                      "prefect-janitor:database-cleanup", "concurrency_limit", limit, "concurrency_options", collision,
	                      "paused", settings->paused);
	return *ret_body != NULL ? 0 : error_set(err, ERR_USAGE, "a name, tag or schedule is not UTF-8");
}

static int deploy(const struct settings *settings, struct prefect *prefect, json_t *body, struct error *err)
{
	struct work_pool pool;
	struct flow flow;
	struct deployment deployment;
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

	rc = deployment_upsert(prefect, json_incref(body), &deployment, err);
	if (rc != 0)
		return rc;
	char path[64 + UUID_SIZE];
	(void)snprintf(path, sizeof path, "/deployments/deployment/%s", deployment.id);
	AUTO_FREE char *page = prefect_ui_url(settings->api_url, path);
	printf("deployment  %s\n", deployment.name);
	printf("schedule    %s\n", settings->cron != NULL       ? settings->cron
	                           : settings->interval != NULL ? settings->interval
	                           : settings->rrule != NULL    ? settings->rrule
	                                                        : "none: start it with Quick run, or deploy with --cron");
	printf("page        %s\n", page != NULL ? page : "");
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
	AUTO_JSON *body = NULL;
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
	int rc = make_body(&settings, &body, &err);
	if (rc == 0)
		rc = http_init(&err);
	if (rc == 0) {
		prefect = prefect_new(&http, &clock);
		rc = prefect != NULL ? deploy(&settings, prefect, body, &err) : error_nomem(&err);
		prefect_free(prefect);
		http_cleanup();
	}
	settings_release(&settings);
	return rc == 0 ? EXIT_DONE : command_error("deploy", &err);
}
