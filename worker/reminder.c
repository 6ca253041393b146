#include "worker/reminder.h"

#include "client/base/log.h"
#include "client/prefect/automation.h"

time_us reminder_time(time_us asked_at, time_us ends_at)
{
	return ends_at > asked_at ? asked_at + (ends_at - asked_at) / 4 * 3 : 0;
}

/* Until when an answer counts; 0 where the pause does not say. */
static time_us end_of(const struct flow_run *run)
{
	time_us ends_at = 0;

	return time_parse(json_text_of(json_object_get(run->state, "state_details"), "pause_timeout"), &ends_at) ? ends_at : 0;
}

time_us reminder_of_run(const struct flow_run *run, int number)
{
	const json_t *reminded = json_object_get(run->labels, LABEL_REMINDED);
	time_us asked_at = state_time(run->state);

	return json_integer_value(reminded) == number || asked_at == 0 ? 0 : reminder_time(asked_at, end_of(run));
}

/* The label first: it is better to remind once too little than again and again. */
static int give(struct worker *worker, struct prefect *prefect, const struct flow_run *run, int number, struct error *err)
{
	char flow_run[32 + UUID_SIZE];
	char deployment[32 + UUID_SIZE];
	char buf[TIME_TEXT_SIZE];
	char line[160];

	int rc = flow_run_set_labels(prefect, run->id, json_pack("{s:i}", LABEL_REMINDED, number), err);
	if (rc != 0)
		return rc;
	(void)snprintf(line, sizeof line, "nobody has decided yet, and the time to answer ends at %s: open this run and choose Resume",
	               time_format_human(end_of(run), buf));
	log_run(LOG_LEVEL_WARNING, run->name, run->id, "%s", line);
	run_logs_add(&worker->logs, run->id, LOG_LEVEL_WARNING, line);
	if (run->deployment_id[0] == '\0')
		return 0;
	(void)snprintf(flow_run, sizeof flow_run, "prefect.flow-run.%s", run->id);
	(void)snprintf(deployment, sizeof deployment, "prefect.deployment.%s", run->deployment_id);
	return event_emit(prefect, REMINDER_EVENT, flow_run, deployment, "deployment", err);
}

int reminder_give(struct worker *worker, struct prefect *prefect, const char *id, int number, struct error *err)
{
	struct flow_run run;
	int asked = 0;

	int rc = flow_run_read(prefect, id, &run, err);
	if (rc != 0)
		return rc == ERR_NOT_FOUND ? 0 : rc;
	rc = question_of_run(&run, &asked, err);
	if (rc == 0 && asked == number && reminder_of_run(&run, number) != 0)
		rc = give(worker, prefect, &run, number, err);
	flow_run_release(&run);
	return rc;
}
