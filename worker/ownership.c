#include "worker/ownership.h"

#include <stdio.h>
#include <string.h>

#include "client/prefect/run_input.h"

#define KEY_PREFIX "janitor-owner-"
#define KEY_SIZE 40
#define CLAIM_BEFORE "claimed by worker '"
#define CLAIM_AFTER "'"

/* Takes one record of the list into account. The server lists inputs in the order of their creation. */
static void add_record(const json_t *input, const char *progress, struct taking *latest)
{
	const char *key = json_string_value(json_object_get(input, "key"));
	const char *text = json_string_value(json_object_get(input, "value"));
	AUTO_JSON *value = NULL;
	int number;

	if (key == NULL || text == NULL || sscanf(key, KEY_PREFIX "%9d", &number) != 1 || number <= latest->number)
		return;
	latest->number = number;
	latest->worker[0] = '\0';
	latest->instance[0] = '\0';
	latest->noted[0] = '\0';
	if (json_read(text, strlen(text), &value, NULL) != 0)
		return;

	const char *worker = json_string_value(json_object_get(value, "worker"));
	const char *instance = json_string_value(json_object_get(value, "instance"));
	const char *noted = json_string_value(json_object_get(value, "progress"));
	(void)snprintf(latest->worker, sizeof latest->worker, "%s", worker != NULL ? worker : "");
	(void)snprintf(latest->instance, sizeof latest->instance, "%s", instance != NULL ? instance : "");
	(void)snprintf(latest->noted, sizeof latest->noted, "%s", noted != NULL ? noted : "");
	latest->stalled = noted != NULL && strcmp(noted, progress) == 0 ? latest->stalled + 1 : 0;
}

int ownership_read(struct prefect *prefect, const char *flow_run_id, const char *progress, struct taking *ret_latest,
                   struct error *err)
{
	AUTO_JSON *inputs = NULL;
	struct taking latest = {0};
	size_t i;
	json_t *input;

	int rc = run_input_list(prefect, flow_run_id, KEY_PREFIX, &inputs, err);
	if (rc != 0)
		return rc;
	json_array_foreach(inputs, i, input)
		add_record(input, progress, &latest);
	*ret_latest = latest;
	return 0;
}

int ownership_take(struct prefect *prefect, const char *flow_run_id, const struct owner *owner,
                   const struct taking *latest, const char *progress, struct error *err)
{
	char key[KEY_SIZE];
	AUTO_JSON *value = json_pack("{s:s, s:s, s:s}", "worker", owner->worker, "instance", owner->instance, "progress",
	                             progress);

	(void)snprintf(key, sizeof key, KEY_PREFIX "%d", latest->number + 1);
	return run_input_create(prefect, flow_run_id, key, value, err);
}

static const char *state_timestamp(const struct flow_run *run)
{
	return json_string_value(json_object_get(run->state, "timestamp"));
}

void ownership_progress(const struct flow_run *run, char ret_progress[OWNER_PROGRESS_SIZE])
{
	const char *since = state_timestamp(run);
	const json_t *label = json_object_get(run->labels, LABEL_PROGRESS);

	(void)snprintf(ret_progress, OWNER_PROGRESS_SIZE, "%s since %s at %lld", state_type_name((enum state_type)run->state_type),
	               since != NULL ? since : "?", (long long)json_integer_value(label));
}

const char *ownership_worker(const struct flow_run *run)
{
	return json_string_value(json_object_get(run->labels, LABEL_WORKER_NAME));
}

bool ownership_is(const struct flow_run *run, const struct owner *owner)
{
	const char *worker = ownership_worker(run);
	const char *instance = json_string_value(json_object_get(run->labels, LABEL_INSTANCE));

	return worker != NULL && strcmp(worker, owner->worker) == 0 && instance != NULL &&
	       strcmp(instance, owner->instance) == 0;
}

void ownership_claim_message(const struct owner *owner, char ret_message[OWNER_NAME_SIZE + 32])
{
	(void)snprintf(ret_message, OWNER_NAME_SIZE + 32, CLAIM_BEFORE "%s" CLAIM_AFTER, owner->worker);
}

bool ownership_claimed_by(const struct flow_run *run, char ret_worker[OWNER_NAME_SIZE])
{
	const char *message = json_string_value(json_object_get(run->state, "message"));
	const size_t before = strlen(CLAIM_BEFORE);
	const size_t after = strlen(CLAIM_AFTER);
	size_t len = message != NULL ? strlen(message) : 0;

	if (run->state_type != STATE_PENDING || len <= before + after || len - before - after >= OWNER_NAME_SIZE ||
	    strncmp(message, CLAIM_BEFORE, before) != 0 || strcmp(message + len - after, CLAIM_AFTER) != 0)
		return false;
	(void)snprintf(ret_worker, OWNER_NAME_SIZE, "%.*s", (int)(len - before - after), message + before);
	return true;
}

bool ownership_ended(const struct flow_run *run)
{
	const char *told = json_string_value(json_object_get(run->labels, LABEL_ENDED));
	const char *since = state_timestamp(run);

	return told != NULL && since != NULL && strcmp(told, since) == 0;
}

json_t *ownership_ended_label(const struct flow_run *run)
{
	const char *since = state_timestamp(run);

	return json_pack("{s:s}", LABEL_ENDED, since != NULL ? since : "");
}
