#include "worker/ownership.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/prefect/run_input.h"

#define KEY_PREFIX "janitor-owner-"
#define BEGUN "-begun"
#define LET_GO "-let-go"
/* Takings that are remembered. */
#define KEEP 20
#define KEY_SIZE 40
#define NUMBER_MAX 999999999
#define CLAIM_BEFORE "claimed by worker '"
#define CLAIM_AFTER "'"

/* The number in a key, 0 for a key that is not ours; *ret_note is what follows it: "" for a taking. */
static int key_number(const json_t *input, const char **ret_note)
{
	const char *key = json_string_value(json_object_get(input, "key"));
	char *end;

	if (key == NULL || strncmp(key, KEY_PREFIX, strlen(KEY_PREFIX)) != 0)
		return 0;
	const char *digits = key + strlen(KEY_PREFIX);
	long number = *digits >= '1' && *digits <= '9' ? strtol(digits, &end, 10) : 0;
	if (number <= 0 || number > NUMBER_MAX || (*end != '\0' && *end != '-'))
		return 0;
	*ret_note = end;
	return (int)number;
}

static bool is_noted(const json_t *inputs, int number, const char *note)
{
	size_t i;
	json_t *input;
	const char *found;

	json_array_foreach(inputs, i, input)
		if (key_number(input, &found) == number && strcmp(found, note) == 0)
			return true;
	return false;
}

/* Takes one record of the list into account. The server lists inputs in the order of their creation. */
static void add_record(const json_t *inputs, const json_t *input, const char *progress, struct taking *latest)
{
	const char *text = json_string_value(json_object_get(input, "value"));
	AUTO_JSON *value = NULL;
	const char *note;
	int number = key_number(input, &note);

	if (text == NULL || number <= latest->number || *note != '\0')
		return;
	latest->number = number;
	latest->worker[0] = '\0';
	latest->instance[0] = '\0';
	latest->noted[0] = '\0';
	latest->let_go = is_noted(inputs, number, LET_GO);
	if (json_read(text, strlen(text), &value, NULL) != 0)
		return;

	const char *worker = json_string_value(json_object_get(value, "worker"));
	const char *instance = json_string_value(json_object_get(value, "instance"));
	const char *noted = json_string_value(json_object_get(value, "progress"));
	(void)snprintf(latest->worker, sizeof latest->worker, "%s", worker != NULL ? worker : "");
	(void)snprintf(latest->instance, sizeof latest->instance, "%s", instance != NULL ? instance : "");
	(void)snprintf(latest->noted, sizeof latest->noted, "%s", noted != NULL ? noted : "");
	if (noted == NULL || strcmp(noted, progress) != 0)
		latest->stalled = 0;
	else if (is_noted(inputs, number, BEGUN) && !latest->let_go)
		latest->stalled++; /* it began, and never said that it let go */
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
		add_record(inputs, input, progress, &latest);
	*ret_latest = latest;
	return 0;
}

/* The number of the latest taking by this process, 0 for none. */
static int own_number(const json_t *inputs, const struct owner *owner)
{
	int highest = 0;
	size_t i;
	json_t *input;

	json_array_foreach(inputs, i, input)
	{
		const char *text = json_string_value(json_object_get(input, "value"));
		const char *note;
		int number = key_number(input, &note);

		/* The value is JSON in a text; an instance is a UUID, which stands in no other place. */
		if (number > highest && *note == '\0' && text != NULL && strstr(text, owner->instance) != NULL)
			highest = number;
	}
	return highest;
}

static int add_note(struct prefect *prefect, const char *flow_run_id, const struct owner *owner, int number,
                    const char *note, struct error *err)
{
	AUTO_JSON *value = json_pack("{s:s, s:s}", "worker", owner->worker, "instance", owner->instance);
	char key[KEY_SIZE];

	(void)snprintf(key, sizeof key, KEY_PREFIX "%d%s", number, note);
	return run_input_create(prefect, flow_run_id, key, value, err);
}

int ownership_begin(struct prefect *prefect, const char *flow_run_id, const struct owner *owner, int number,
                    struct error *err)
{
	return add_note(prefect, flow_run_id, owner, number, BEGUN, err);
}

int ownership_let_go(struct prefect *prefect, const char *flow_run_id, const struct owner *owner, struct error *err)
{
	AUTO_JSON *inputs = NULL;

	int rc = run_input_list(prefect, flow_run_id, KEY_PREFIX, &inputs, err);
	int number = rc == 0 ? own_number(inputs, owner) : 0;
	if (number == 0 || is_noted(inputs, number, LET_GO))
		return rc;
	return add_note(prefect, flow_run_id, owner, number, LET_GO, err);
}

/* The server lists two hundred inputs at most: what is long over makes room. No harm where it stays. */
static void forget(struct prefect *prefect, const char *flow_run_id, int number)
{
	static const char *const notes[] = {"", BEGUN, LET_GO};
	char key[KEY_SIZE];

	for (size_t i = 0; number > 0 && i < sizeof notes / sizeof notes[0]; i++) {
		(void)snprintf(key, sizeof key, KEY_PREFIX "%d%s", number, notes[i]);
		if (run_input_delete(prefect, flow_run_id, key, NULL) != 0)
			return;
	}
}

int ownership_take(struct prefect *prefect, const char *flow_run_id, const struct owner *owner,
                   const struct taking *latest, const char *progress, struct error *err)
{
	char key[KEY_SIZE];
	AUTO_JSON *value = json_pack("{s:s, s:s, s:s}", "worker", owner->worker, "instance", owner->instance, "progress",
	                             progress);

	(void)snprintf(key, sizeof key, KEY_PREFIX "%d", latest->number + 1);
	int rc = run_input_create(prefect, flow_run_id, key, value, err);
	if (rc == 0)
		forget(prefect, flow_run_id, latest->number + 1 - KEEP);
	return rc;
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
