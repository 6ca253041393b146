#include "client/prefect/state.h"

#include <string.h>

#include "client/base/text.h"

const struct json_name state_type_names[] = {
	{"SCHEDULED", STATE_SCHEDULED}, {"PENDING", STATE_PENDING},       {"RUNNING", STATE_RUNNING},
	{"PAUSED", STATE_PAUSED},       {"CANCELLING", STATE_CANCELLING}, {"COMPLETED", STATE_COMPLETED},
	{"FAILED", STATE_FAILED},       {"CANCELLED", STATE_CANCELLED},   {"CRASHED", STATE_CRASHED},
	{NULL, STATE_UNKNOWN},
};

const char *state_type_name(enum state_type type)
{
	for (const struct json_name *n = state_type_names; n->name != NULL; n++)
		if (n->value == (int)type)
			return n->name;
	return "UNKNOWN";
}

bool state_type_is_terminal(enum state_type type)
{
	return type >= STATE_COMPLETED && type <= STATE_CRASHED;
}

bool state_type_is_live(enum state_type type)
{
	return type >= STATE_PENDING && type <= STATE_CANCELLING;
}

static json_t *types_that_are(bool terminal)
{
	json_t *types = json_array();

	for (const struct json_name *n = state_type_names; n->name != NULL; n++)
		if (state_type_is_terminal((enum state_type)n->value) == terminal &&
		    json_array_append_new(types, json_string(n->name)) != 0) {
			json_decref(types);
			return NULL;
		}
	return types;
}

json_t *state_terminal_types(void)
{
	return types_that_are(true);
}

json_t *state_unfinished_types(void)
{
	return types_that_are(false);
}

time_us state_time(const json_t *state)
{
	time_us time = 0;

	return time_parse(json_text_of(state, "timestamp"), &time) ? time : 0;
}

static const struct json_field state_fields[] = {
	{"type", JSON_KIND_ENUM, offsetof(struct state, type), true, state_type_names},
	{"name", JSON_KIND_TEXT, offsetof(struct state, name), true, NULL},
	{"message", JSON_KIND_TEXT, offsetof(struct state, message), false, NULL},
	{"timestamp", JSON_KIND_TIME, offsetof(struct state, timestamp), true, NULL},
	{"state_details", JSON_KIND_OBJECT, offsetof(struct state, details), false, NULL},
};

int state_decode(const json_t *json, struct state *ret_state, struct error *err)
{
	return json_decode(json, JSON_TABLE(state_fields), ret_state, sizeof *ret_state, err);
}

void state_release(struct state *state)
{
	json_release(JSON_TABLE(state_fields), state);
	*state = (struct state){0};
}

void states_release(struct state *states, size_t count)
{
	json_release_list(JSON_TABLE(state_fields), sizeof *states, states, count);
}

int state_history(struct prefect *prefect, const char *flow_run_id, struct state **ret_states, size_t *ret_count,
                  struct error *err)
{
	AUTO_JSON *answer = NULL;
	void *states;

	int rc = prefect_get(prefect, &answer, err, "/flow_run_states/?flow_run_id=%s", flow_run_id);
	if (rc == 0)
		rc = json_decode_list(answer, JSON_TABLE(state_fields), sizeof(struct state), &states, ret_count, err);
	if (rc != 0)
		return error_prefix(err, rc, "the states of the run");
	*ret_states = states;
	return 0;
}

void state_answer_release(struct state_answer *answer)
{
	state_release(&answer->state);
	free(answer->reason);
	*answer = (struct state_answer){0};
}

static const struct json_name status_names[] = {
	{"ACCEPT", STATE_ACCEPT},
	{"REJECT", STATE_REJECT},
	{"ABORT", STATE_ABORT},
	{"WAIT", STATE_WAIT},
	{NULL, -1},
};

struct raw_answer {
	int status;
	json_t *state;
	json_t *details;
};

static const struct json_field answer_fields[] = {
	{"status", JSON_KIND_ENUM, offsetof(struct raw_answer, status), true, status_names},
	{"state", JSON_KIND_OBJECT, offsetof(struct raw_answer, state), false, NULL},
	{"details", JSON_KIND_OBJECT, offsetof(struct raw_answer, details), false, NULL},
};

struct answer_details {
	char *reason;
	int64_t wait_s;
};

static const struct json_field detail_fields[] = {
	{"reason", JSON_KIND_TEXT, offsetof(struct answer_details, reason), false, NULL},
	{"delay_seconds", JSON_KIND_INT, offsetof(struct answer_details, wait_s), false, NULL},
};

/* Is this state the one that our proposal with this transition id made? A repeated proposal is
 * answered with REJECT and that state. */
static bool is_our_transition(const struct state *state, const char *transition_id)
{
	const char *id = json_string_value(json_object_get(state->details, "transition_id"));

	return id != NULL && strcmp(id, transition_id) == 0;
}

static int decode_answer(const json_t *json, const char *transition_id, struct state_answer *ret_answer,
                         struct error *err)
{
	struct raw_answer raw;
	struct answer_details details = {0};
	struct state_answer answer = {0};

	int rc = json_decode(json, JSON_TABLE(answer_fields), &raw, sizeof raw, err);
	if (rc != 0)
		return rc;

	if (raw.status < 0)
		rc = error_set(err, ERR_DECODE, "the change of state was answered with a status that is not known");
	if (rc == 0 && raw.details != NULL)
		rc = json_decode(raw.details, JSON_TABLE(detail_fields), &details, sizeof details, err);
	if (rc == 0 && raw.state != NULL)
		rc = state_decode(raw.state, &answer.state, err);
	if (rc == 0 && raw.status == STATE_ACCEPT && raw.state == NULL)
		rc = error_set(err, ERR_DECODE, "the change of state was accepted, but the answer has no state");
	json_release(JSON_TABLE(answer_fields), &raw);
	if (rc != 0) {
		state_release(&answer.state);
		json_release(JSON_TABLE(detail_fields), &details);
		return rc;
	}

	answer.status = (enum state_status)raw.status;
	if (answer.status == STATE_REJECT && is_our_transition(&answer.state, transition_id))
		answer.status = STATE_ACCEPT;
	answer.reason = details.reason;
	answer.wait_s = details.wait_s;
	*ret_answer = answer;
	return 0;
}

int state_propose(struct prefect *prefect, const char *flow_run_id, const struct state_proposal *proposal,
                  struct state_answer *ret_answer, struct error *err)
{
	char made[UUID_SIZE];
	const char *transition_id = proposal->transition_id;
	AUTO_JSON *answer = NULL;
	json_t *details = proposal->details != NULL ? json_copy(proposal->details) : json_object();

	char message[STATE_MESSAGE_MAX];

	if (proposal->message != NULL)
		text_clean(message, sizeof message, proposal->message, strlen(proposal->message));
	if (transition_id == NULL) {
		uuid_make(made);
		transition_id = made;
	}
	(void)json_object_set_new(details, "transition_id", json_string(transition_id));
	json_t *body = json_pack("{s:{s:s, s:s, s:s?, s:O?, s:o}, s:b}", "state", "type", state_type_name(proposal->type),
	                         "name", proposal->name, "message", proposal->message != NULL ? message : NULL, "data", proposal->data,
	                         "state_details", details, "force", 0);

	int rc = prefect_post(prefect, body, PREFECT_REPEATABLE, &answer, err, "/flow_runs/%s/set_state", flow_run_id);
	return rc != 0 ? rc : decode_answer(answer, transition_id, ret_answer, err);
}

int state_resume(struct prefect *prefect, const char *flow_run_id, const json_t *input, struct state_answer *ret_answer,
                 struct error *err)
{
	AUTO_JSON *answer = NULL;

	int rc = prefect_post(prefect, json_pack("{s:O}", "run_input", input), PREFECT_REPEATABLE, &answer, err,
	                      "/flow_runs/%s/resume", flow_run_id);
	return rc != 0 ? rc : decode_answer(answer, "", ret_answer, err);
}
