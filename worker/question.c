#include "worker/question.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *question_pause_key(const struct question *question, char key[QUESTION_KEY_SIZE])
{
	(void)snprintf(key, QUESTION_KEY_SIZE, "%d", question->number);
	return key;
}

const char *question_input_key(const struct question *question, const char *part, char key[QUESTION_KEY_SIZE])
{
	(void)snprintf(key, QUESTION_KEY_SIZE, "paused-%d-%s", question->number, part);
	return key;
}

/* The number in a pause key that is ours, else 0: a pause from the UI has a UUID or none. */
static int key_number(const json_t *key)
{
	const char *text = json_string_value(key);
	char *end;

	if (text == NULL || *text < '1' || *text > '9')
		return 0;
	long number = strtol(text, &end, 10);
	return *end == '\0' && number < 1000000 ? (int)number : 0;
}

int question_in_state(const struct state *state)
{
	const json_t *keyset = json_object_get(state->details, "run_input_keyset");
	const char *schema = json_string_value(json_object_get(keyset, "schema"));
	struct question question = {.number = key_number(json_object_get(state->details, "pause_key"))};
	char wanted[QUESTION_KEY_SIZE];

	if (state->type != STATE_PAUSED || schema == NULL || question.number == 0)
		return 0;
	return strcmp(schema, question_input_key(&question, "schema", wanted)) == 0 ? question.number : 0;
}

int question_of_run(const struct flow_run *run, int *ret_number, struct error *err)
{
	struct state state;

	if (run->state == NULL)
		return error_set(err, ERR_DECODE, "flow run %s has no state", run->id);
	int rc = state_decode(run->state, &state, err);
	if (rc != 0)
		return rc;
	*ret_number = question_in_state(&state);
	state_release(&state);
	return 0;
}

/* The highest number that was ever used: the server refuses a pause key that has fired. */
static int highest_number(const struct flow_run *run, const struct state *states, size_t count)
{
	int highest = 0;
	size_t i;
	json_t *key;

	json_array_foreach(json_object_get(run->policy, "pause_keys"), i, key)
		if (key_number(key) > highest)
			highest = key_number(key);
	for (size_t k = 0; k < count; k++)
		if (key_number(json_object_get(states[k].details, "pause_key")) > highest)
			highest = key_number(json_object_get(states[k].details, "pause_key"));
	return highest;
}

/* When the run was Running for the first time after @after; 0 where it was not. */
static time_us first_running(const struct state *states, size_t count, time_us after)
{
	time_us first = 0;

	for (size_t i = 0; i < count; i++)
		if (states[i].type == STATE_RUNNING && states[i].timestamp > after && (first == 0 || states[i].timestamp < first))
			first = states[i].timestamp;
	return first;
}

struct question question_judge(const struct flow_run *run, const struct state *states, size_t count)
{
	const struct state *asked = NULL;
	const struct state *ended = NULL;
	const struct state *latest = NULL;

	for (size_t i = 0; i < count; i++)
		if (latest == NULL || states[i].timestamp > latest->timestamp)
			latest = &states[i];
	for (size_t i = 0; i < count; i++) {
		const struct state *state = &states[i];
		/* A run that is being cancelled now still belongs to its question: it is said how far it came. */
		bool end = state_type_is_terminal((enum state_type)state->type) ||
		           (state->type == STATE_CANCELLING && state != latest);

		if (question_in_state(state) != 0 && (asked == NULL || state->timestamp > asked->timestamp))
			asked = state;
		if (end && (ended == NULL || state->timestamp > ended->timestamp))
			ended = state;
	}
	time_us begun_at = first_running(states, count, ended != NULL ? ended->timestamp : 0);
	if (asked != NULL && (ended == NULL || asked->timestamp > ended->timestamp))
		return (struct question){.asked = true, .number = question_in_state(asked),
		                         .answered_at = first_running(states, count, asked->timestamp), .begun_at = begun_at};
	return (struct question){.asked = false, .number = highest_number(run, states, count) + 1, .begun_at = begun_at};
}

struct question question_judge_ended(const struct flow_run *run, struct state *states, size_t count)
{
	size_t latest = 0;

	while (count > 0) {
		for (size_t i = latest = 0; i < count; i++)
			if (states[i].timestamp > states[latest].timestamp)
				latest = i;
		if (!state_type_is_terminal((enum state_type)states[latest].type))
			break;
		struct state end = states[latest];
		states[latest] = states[--count];
		states[count] = end;
	}
	return question_judge(run, states, count);
}

static int read_judged(struct prefect *prefect, const struct flow_run *run, bool ended, struct question *ret_question,
                       struct error *err)
{
	struct state *states;
	size_t count;

	int rc = state_history(prefect, run->id, &states, &count, err);
	if (rc != 0)
		return rc;
	*ret_question = ended ? question_judge_ended(run, states, count) : question_judge(run, states, count);
	states_release(states, count);
	return 0;
}

int question_read(struct prefect *prefect, const struct flow_run *run, struct question *ret_question,
                  struct error *err)
{
	return read_judged(prefect, run, false, ret_question, err);
}

int question_read_ended(struct prefect *prefect, const struct flow_run *run, struct question *ret_question,
                        struct error *err)
{
	return read_judged(prefect, run, true, ret_question, err);
}
