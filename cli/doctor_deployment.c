/* doctor.h: what is on the server for us: the deployment, its pool, and who works for it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/deploy_body.h"
#include "cli/deploy_changes.h"
#include "cli/doctor.h"
#include "cli/target.h"
#include "client/base/text.h"
#include "flows/database_cleanup/database_cleanup.h"
#include "flows/database_cleanup/policy.h"
#include "worker/approval_form.h"
#include "worker/pool.h"

/* Runs that wait for a decision and whose forms are looked at, the latest first. */
#define FORMS_LOOKED_AT 20
#define FORM_COMES_MS 1000

/* An approval window below this is too short where runs start by themselves. */
#define WORKING_DAY_S (8 * 3600)

/* A run that nobody fetched for so long is late: the worker asks every ten seconds. */
#define LATE_US (2 * 60 * US_PER_SEC)

/* The command that puts things right, for a pool. */
static const char *with_pool(const struct doctor *doctor, const char *command, char next[300])
{
	(void)snprintf(next, 300, "prefect-janitor %s --pool %.200s", command,
	               doctor->pool_name != NULL ? doctor->pool_name : "NAME");
	return next;
}

/* The same deployment that the other commands are about. */
static bool find_deployment(struct doctor *doctor, struct finding *finding)
{
	struct session session = {.settings = doctor->settings, .prefect = doctor->prefect, .clock = doctor->clock};
	AUTO_JSON *found = NULL;
	char next[300];
	struct error err;

	if (doctor->nth > 0) {
		doctor->deployment = json_incref(json_array_get(doctor->deployments, doctor->nth));
		return true;
	}
	int rc = target_list(&session, &found, &err);
	if (rc == 0 && json_array_size(found) > 1) {
		doctor->deployments = json_incref(found);
		doctor->deployment = json_incref(json_array_get(found, 0));
		return true;
	}
	if (rc == 0)
		rc = target_find(&session, &doctor->deployment, &err);
	if (rc != 0)
		finding_set(finding, FINDING_FAIL, rc == ERR_USAGE ? "name another one by --deployment, or make it by prefect-janitor deploy"
		                                                   : NULL, "%s", err.text);
	else if (doctor->deployment == NULL)
		finding_set(finding, FINDING_FAIL, with_pool(doctor, "deploy", next), "there is no deployment of flow " DATABASE_CLEANUP_FLOW);
	return doctor->deployment != NULL;
}

void doctor_check_deployment(struct doctor *doctor, struct finding *finding)
{
	char next[300];

	doctor->pool_name = doctor->settings->pool;
	if (!find_deployment(doctor, finding))
		return;
	const char *name = json_string_value(json_object_get(doctor->deployment, "name"));
	name = name != NULL ? name : "?";
	const char *pool = json_string_value(json_object_get(doctor->deployment, "work_pool_name"));
	if (doctor->pool_name == NULL)
		doctor->pool_name = pool;

	if (pool == NULL)
		finding_set(finding, FINDING_FAIL, with_pool(doctor, "deploy", next), "'%s' has no work pool: nobody runs it", name);
	else if (strcmp(pool, doctor->pool_name) != 0)
		finding_set(finding, FINDING_FAIL, with_pool(doctor, "deploy", next), "'%s' is in work pool '%s', not in '%s': its "
		            "workers do not see it", name, pool, doctor->pool_name);
	else if (work_pool_limit_is_zero(json_object_get(json_object_get(doctor->deployment, "global_concurrency_limit"), "limit")))
		finding_set(finding, FINDING_WARN, "prefect-janitor deploy --concurrency-limit 1", "'%s' has the concurrency limit 0: no run starts",
		            name);
	else if (json_is_true(json_object_get(doctor->deployment, "paused")))
		finding_set(finding, FINDING_WARN, "switch it on at the deployment's page", "'%s' is paused: its schedule starts "
		            "nothing", name);
	else if (!json_is_true(json_object_get(doctor->deployment, "enforce_parameter_schema")))
		finding_set(finding, FINDING_WARN, with_pool(doctor, "deploy", next), "'%s' does not enforce the schema of its "
		            "parameters: a mistake in them shows when the run starts", name);
	else
		finding_set(finding, FINDING_OK, NULL, "'%s', in work pool '%s'", name, pool);
}

void doctor_check_schema(struct doctor *doctor, struct finding *finding)
{
	AUTO_JSON *ours = database_cleanup_schema();
	char next[300];

	if (ours == NULL)
		finding_set(finding, FINDING_WARN, NULL, "no memory to compare");
	else if (json_equal(json_object_get(doctor->deployment, "parameter_openapi_schema"), ours))
		finding_set(finding, FINDING_OK, NULL, "the deployment's parameters are those of this program");
	else
		finding_set(finding, FINDING_FAIL, with_pool(doctor, "deploy", next), "the deployment's parameters are not those of "
		            "this program (" JANITOR_VERSION "): the form of Custom run asks for others than the worker reads");
}

void doctor_check_parameters(struct doctor *doctor, struct finding *finding)
{
	struct policy policy;
	char next[300];
	struct error err;

	if (policy_read(json_object_get(doctor->deployment, "parameters"), &policy, &err) != 0) {
		finding_set(finding, FINDING_FAIL, with_pool(doctor, "deploy", next), "the deployment's defaults are refused: %s", err.text);
		return;
	}
	doctor->wants_ai = policy.approval == APPROVAL_AI;
	finding_set(finding, FINDING_OK, NULL, "keeps %s%s; asks %s", policy.retention, policy.dry_run ? ", and deletes nothing (dry run)" : "",
	            doctor->wants_ai ? "an AI agent" : "a person");
	policy_release(&policy);
}

/* The tag that the server's scheduler gives its runs (Prefect 3.4.20 to 3.9.1). */
#define OF_A_SCHEDULE "auto-scheduled"

/* The next run of a schedule that is waiting for its time; ret_at is 0 where there is none. Not one that somebody started
 * by hand, nor one that waits in the pool where the deployment was before. */
static int next_run(struct doctor *doctor, time_us *ret_at, struct error *err)
{
	AUTO_JSON *filter = json_pack("{s:{s:[O]}, s:{s:{s:[s]}}, s:{s:[s]}}", "deployment_id", "any_",
	                              json_object_get(doctor->deployment, "id"), "state", "type", "any_", "SCHEDULED", "tags", "all_",
	                              OF_A_SCHEDULE);
	const char *pool = json_string_value(json_object_get(doctor->deployment, "work_pool_name"));
	AUTO_JSON *pools = pool != NULL ? json_pack("{s:{s:[s]}}", "name", "any_", pool) : NULL;
	struct flow_run *runs;
	size_t count;

	if (filter == NULL || (pool != NULL && pools == NULL))
		return error_nomem(err);
	int rc = flow_run_filter(doctor->prefect,
	                         &(struct flow_run_query){
	                         	.flow_runs = filter, .work_pools = pools, .sort = "EXPECTED_START_TIME_ASC", .limit = 1},
	                         &runs, &count, err);
	if (rc != 0)
		return rc;
	*ret_at = count > 0 ? runs[0].next_scheduled_start != 0 ? runs[0].next_scheduled_start : runs[0].expected_start : 0;
	flow_runs_release(runs, count);
	return 0;
}

/* Seconds that a run waits for an approval: of the deployment, or else of its work pool. 0: not known. */
static int64_t approval_window_s(struct doctor *doctor)
{
	const json_t *own = json_object_get(json_object_get(doctor->deployment, "job_variables"), "approval_timeout");
	struct work_pool pool = {0};

	if (json_is_integer(own))
		return json_integer_value(own);
	if (doctor->pool_name == NULL || work_pool_read(doctor->prefect, doctor->pool_name, &pool, NULL) != 0)
		return 0;
	const json_t *properties = json_object_get(json_object_get(pool.template, "variables"), "properties");
	int64_t window = json_integer_value(json_object_get(json_object_get(properties, "approval_timeout"), "default"));
	work_pool_release(&pool);
	return window;
}

/* Whoever is to answer a run that started by itself may be asleep. */
static void warn_of_short_window(struct doctor *doctor, const char *schedule, struct finding *finding)
{
	int64_t window_s = approval_window_s(doctor);
	char span[TIME_TEXT_SIZE];

	if (window_s > 0 && window_s < WORKING_DAY_S)
		finding_set(finding, FINDING_WARN, "prefect-janitor deploy --approval-timeout PT72H", "%s, but a run waits only %s for an "
		            "approval: shorter than a working day", schedule, span_format(window_s * 1000, span));
}

void doctor_check_schedule(struct doctor *doctor, struct finding *finding)
{
	const json_t *schedules = json_object_get(doctor->deployment, "schedules");
	const json_t *active = NULL;
	size_t i;
	json_t *schedule;
	AUTO_TEXT what = {.max = 400};
	char when[TIME_TEXT_SIZE];
	time_us at = 0;
	struct error err;

	json_array_foreach(schedules, i, schedule)
		if (active == NULL && json_is_true(json_object_get(schedule, "active")))
			active = schedule;
	if (active == NULL) {
		finding_set(finding, FINDING_WARN, json_array_size(schedules) > 0 ? "switch it on at the deployment's page"
		                                                                  : "deploy with --cron, or start runs by hand",
		            json_array_size(schedules) > 0 ? "it is switched off" : "there is none");
		return;
	}
	if (next_run(doctor, &at, &err) != 0) {
		finding_set(finding, FINDING_WARN, "try again", "%s", err.text);
		return;
	}
	if (at != 0 && at < prefect_now(doctor->prefect) - LATE_US) {
		finding_set(finding, FINDING_FAIL, "see the lines on work pool, work queue and worker", "a run should have started at %s, "
		            "and no worker has taken it", time_format_human(at, when));
		return;
	}
	const char *cron = json_text_of(json_object_get(active, "schedule"), "cron");
	if (deploy_cron_fields(cron) > 5) {
		finding_set(finding, FINDING_WARN, "prefect-janitor deploy --cron with five fields", "the schedule '%.80s' has more than five fields: "
		            "the server takes the sixth for seconds", cron);
		return;
	}
	deploy_schedule_add(&what, active);
	finding_set(finding, FINDING_OK, NULL, "%s%s%s", text_str(&what), at != 0 ? ", next: " : "", at != 0 ? time_format_human(at, when) : "");
	warn_of_short_window(doctor, text_str(&what), finding);
}

void doctor_check_pool(struct doctor *doctor, struct finding *finding)
{
	struct work_pool *pool = &doctor->pool;
	char next[300];
	struct error err;

	if (doctor->pool_name == NULL) {
		finding_set(finding, FINDING_FAIL, "prefect-janitor deploy --pool NAME, or --pool NAME here",
		            "no deployment and no --pool says which one");
		return;
	}
	int rc = work_pool_read(doctor->prefect, doctor->pool_name, pool, &err);
	if (rc == ERR_NOT_FOUND)
		finding_set(finding, FINDING_FAIL, with_pool(doctor, "deploy", next), "there is no work pool '%s'", doctor->pool_name);
	else if (rc != 0)
		finding_set(finding, FINDING_FAIL, NULL, "%s", err.text);
	else if (strcmp(pool->type, WORKER_TYPE) != 0)
		finding_set(finding, FINDING_FAIL, "prefect-janitor deploy --pool NAME with another name", "'%s' has type '%s': only pools "
		            "of type '" WORKER_TYPE "' are ours", pool->name, pool->type);
	else if (pool->is_paused)
		finding_set(finding, FINDING_WARN, "switch it on at the work pool's page", "'%s' is paused: no run starts", pool->name);
	else if (work_pool_limit_is_zero(pool->limit))
		finding_set(finding, FINDING_WARN, "raise or remove it at the work pool's page", "'%s' has the concurrency limit 0: no run starts",
		            pool->name);
	else
		finding_set(finding, FINDING_OK, NULL, "'%s', of type " WORKER_TYPE, pool->name);
}

void doctor_check_queue(struct doctor *doctor, struct finding *finding)
{
	const char *pool = json_string_value(json_object_get(doctor->deployment, "work_pool_name"));
	const char *name = json_string_value(json_object_get(doctor->deployment, "work_queue_name"));
	bool paused = false;
	bool zero = false;
	struct error err;

	if (pool == NULL || name == NULL) {
		finding_set(finding, FINDING_WARN, NULL, "the deployment has none");
		return;
	}
	if (work_pool_queue_is_held(doctor->prefect, pool, name, &paused, &zero, &err) != 0)
		finding_set(finding, FINDING_FAIL, NULL, "'%.200s': %s", name, err.text);
	else if (paused)
		finding_set(finding, FINDING_WARN, "switch it on at the work pool's page", "'%.200s' is paused: no run starts", name);
	else if (zero)
		finding_set(finding, FINDING_WARN, "raise or remove it at the work pool's page", "'%.200s' has the concurrency limit 0: no run "
		            "starts", name);
	else
		finding_set(finding, FINDING_OK, NULL, "'%.200s'", name);
}

/* How long ago the last heartbeat of @worker came; false where the server does not say. */
static bool heartbeat_ago(const struct doctor *doctor, const json_t *worker, int64_t *ret_ms)
{
	const char *text = json_string_value(json_object_get(worker, "last_heartbeat_time"));
	time_us at;

	if (text == NULL || !time_parse(text, &at))
		return false;
	*ret_ms = (prefect_now(doctor->prefect) - at) / 1000;
	*ret_ms = *ret_ms < 0 ? 0 : *ret_ms;
	return true;
}

/* The worker whose heartbeat is the latest, and how many are online. */
static const json_t *latest_worker(const struct doctor *doctor, const json_t *workers, size_t *ret_online, int64_t *ret_ms)
{
	const json_t *latest = NULL;
	size_t i;
	json_t *worker;

	*ret_online = 0;
	json_array_foreach(workers, i, worker)
	{
		int64_t ms;

		*ret_online += strcmp(json_string_value(json_object_get(worker, "status")), "OFFLINE") != 0;
		if (heartbeat_ago(doctor, worker, &ms) && (latest == NULL || ms < *ret_ms)) {
			latest = worker;
			*ret_ms = ms;
		}
	}
	return latest;
}

void doctor_check_worker(struct doctor *doctor, struct finding *finding)
{
	AUTO_JSON *workers = NULL;
	size_t online;
	int64_t ms = 0;
	char span[TIME_TEXT_SIZE];
	char every[TIME_TEXT_SIZE];
	char next[300];
	struct error err;

	if (work_pool_workers(doctor->prefect, doctor->pool_name, &workers, &err) != 0) {
		finding_set(finding, FINDING_FAIL, NULL, "%s", err.text);
		return;
	}
	const json_t *latest = latest_worker(doctor, workers, &online, &ms);
	const char *name = json_string_value(json_object_get(latest, "name"));
	json_int_t every_s = json_integer_value(json_object_get(latest, "heartbeat_interval_seconds"));
	if (online > 0 && latest != NULL && every_s > 0 && every_s < 24 * 3600 && ms > 2 * 1000 * every_s)
		finding_set(finding, FINDING_WARN, with_pool(doctor, "start", next), "none is heard of: the last heartbeat, by '%.200s', came %s "
		            "ago, one is due every %s; the server calls a worker OFFLINE after three", name, span_format(ms, span),
		            span_format(every_s * 1000, every));
	else if (online > 0 && latest != NULL)
		finding_set(finding, FINDING_OK, NULL, "%zu online; '%.200s' sent a heartbeat %s ago", online, name, span_format(ms, span));
	else if (online > 0)
		finding_set(finding, FINDING_OK, NULL, "%zu online", online);
	else if (latest != NULL)
		finding_set(finding, FINDING_FAIL, with_pool(doctor, "start", next), "none is online; the last one was '%.200s', %s ago", name,
		            span_format(ms, span));
	else
		finding_set(finding, FINDING_FAIL, with_pool(doctor, "start", next), "the work pool has never had one");
}

/* Do the runs of the deployment that wait for a decision show a form? */
void doctor_check_forms(struct doctor *doctor, struct finding *finding)
{
	AUTO_JSON *filter = json_pack("{s:{s:[O]}, s:{s:{s:[s]}}}", "deployment_id", "any_",
	                              json_object_get(doctor->deployment, "id"), "state", "type", "any_", "PAUSED");
	char missing[JSON_LABEL_SIZE] = "";
	struct flow_run *runs;
	size_t count;
	size_t asking = 0;
	size_t without = 0;
	struct error err;

	int rc = filter == NULL ? error_nomem(&err)
	                        : flow_run_filter(doctor->prefect,
	                                          &(struct flow_run_query){.flow_runs = filter, .sort = "START_TIME_DESC",
	                                                                   .limit = FORMS_LOOKED_AT}, &runs, &count, &err);
	if (rc != 0) {
		finding_set(finding, FINDING_FAIL, NULL, "%s", err.text);
		return;
	}
	for (size_t i = 0; rc == 0 && i < count; i++) {
		struct question question = {.number = 0};
		uint64_t print = 1;

		if (question_of_run(&runs[i], &question.number, &err) != 0)
			continue; /* it is not known to ask anything */
		if (question.number != 0)
			rc = approval_form_stored(doctor->prefect, runs[i].id, &question, &print, &err);
		if (rc == 0 && print == 0) { /* it comes a moment after the pause */
			(void)stop_wait(NULL, FORM_COMES_MS);
			rc = approval_form_stored(doctor->prefect, runs[i].id, &question, &print, &err);
		}
		asking += question.number != 0;
		without += print == 0;
		if (print == 0)
			(void)snprintf(missing, sizeof missing, "%s", runs[i].name);
	}
	flow_runs_release(runs, count);
	if (rc != 0)
		finding_set(finding, FINDING_FAIL, NULL, "%s", err.text);
	else if (without > 0)
		finding_set(finding, FINDING_FAIL, "a worker of its work pool puts the form back within a minute; where that does not help, the "
		            "run's log says why: cancel the run and start another", "%zu of %zu waiting runs have no form, such as '%s': nobody "
		            "can answer", without, asking, missing);
	else if (asking > 0)
		finding_set(finding, FINDING_OK, NULL, "%s%zu waiting, and each shows a form", count == FORMS_LOOKED_AT ? "the latest " : "",
		            asking);
	else
		finding_set(finding, FINDING_OK, NULL, "no run waits for a decision");
}
