#include "client/prefect/state.h"

#include <string.h>

#include "tests/unit/api.h"

#define OURS "11111111-0000-4000-8000-000000000001"
#define THEIRS "11111111-0000-4000-8000-000000000002"
#define PATH "/flow_runs/" ID_A "/set_state"
#define STATE(type, name, transition)                                                                     \
	"{\"id\": \"" ID_B "\", \"type\": \"" type "\", \"name\": \"" name "\", \"timestamp\": "           \
	"\"2026-11-21T06:34:21.5Z\", \"message\": null, \"data\": null, \"state_details\": {\"transition_id\": " transition "}}"
#define ANSWER(status, state, details) \
	"{\"status\": \"" status "\", \"state\": " state ", \"details\": " details "}"

static const struct {
	const char *name;
	const char *answer;
	int rc;
	enum state_status status;
	enum state_type type;
	int64_t wait_s;
	const char *text; /* the reason, or a part of the error */
} proposals[] = {
	{"accepted", ANSWER("ACCEPT", STATE("RUNNING", "Running", "\"" OURS "\""), "{\"type\": \"accept_details\"}"), 0,
	 STATE_ACCEPT, STATE_RUNNING, 0, NULL},
	{"accepted without details", "{\"status\": \"ACCEPT\", \"state\": " STATE("RUNNING", "Running", "null") "}", 0, STATE_ACCEPT,
	 STATE_RUNNING, 0, NULL},
	{"rejected into another state",
	 ANSWER("REJECT", STATE("SCHEDULED", "AwaitingRetry", "\"" THEIRS "\""), "{\"type\": \"reject_details\", \"reason\": \"later\"}"),
	 0, STATE_REJECT, STATE_SCHEDULED, 0, "later"},
	{"rejected, the state has no transition id", ANSWER("REJECT", STATE("PENDING", "Pending", "null"), "{\"reason\": \"no\"}"), 0,
	 STATE_REJECT, STATE_PENDING, 0, "no"},
	{"rejected without a state", ANSWER("REJECT", "null", "{\"reason\": \"This run has no state\"}"), 0, STATE_REJECT,
	 STATE_UNKNOWN, 0, "This run has no state"},
	{"rejected, but it is our own transition",
	 ANSWER("REJECT", STATE("RUNNING", "Running", "\"" OURS "\""), "{\"reason\": \"again\"}"), 0, STATE_ACCEPT, STATE_RUNNING,
	 0, "again"},
	{"aborted", ANSWER("ABORT", "null", "{\"type\": \"abort_details\", \"reason\": \"already running\"}"), 0, STATE_ABORT,
	 STATE_UNKNOWN, 0, "already running"},
	{"to wait", ANSWER("WAIT", "null", "{\"type\": \"wait_details\", \"delay_seconds\": 30, \"reason\": \"slots\"}"), 0,
	 STATE_WAIT, STATE_UNKNOWN, 30, "slots"},
	{"a state type that is not known", ANSWER("ACCEPT", STATE("DREAMING", "Dreaming", "null"), "{}"), 0, STATE_ACCEPT,
	 STATE_UNKNOWN, 0, NULL},
	{"a status that is not known", ANSWER("PERHAPS", "null", "{}"), ERR_DECODE, 0, 0, 0, "a status that is not known"},
	{"no status", "{\"state\": null}", ERR_DECODE, 0, 0, 0, "field 'status'"},
	{"accepted without a state", ANSWER("ACCEPT", "null", "{\"reason\": \"x\"}"), ERR_DECODE, 0, 0, 0, "has no state"},
	{"a state without a name",
	 ANSWER("ACCEPT", "{\"type\": \"RUNNING\", \"timestamp\": \"2026-11-21T06:34:21Z\"}", "{\"reason\": \"x\"}"),
	 ERR_DECODE, 0, 0, 0, "field 'name'"},
	{"a state without a time", ANSWER("ACCEPT", "{\"type\": \"RUNNING\", \"name\": \"x\"}", "{}"), ERR_DECODE, 0, 0, 0,
	 "field 'timestamp'"},
	{"a delay that is no number", ANSWER("WAIT", "null", "{\"reason\": \"x\", \"delay_seconds\": \"30\"}"), ERR_DECODE, 0, 0, 0,
	 "field 'delay_seconds'"},
	{"details that are a list", ANSWER("WAIT", "null", "[]"), ERR_DECODE, 0, 0, 0, "field 'details'"},
	{"nothing", "", ERR_DECODE, 0, 0, 0, "not a JSON object"},
};

static void reads_what_the_server_decides(void)
{
	EACH(row, proposals)
	{
		struct http_step step = {.method = "POST", .path = PATH, .body = "\"transition_id\":\"" OURS "\"",
		                         .reply = {.status = 201, .body = row->answer}};
		struct api api;
		struct state_answer answer = {.wait_s = -7};
		struct error err;

		api_open(&api, &step, 1);
		int rc = state_propose(api.prefect, ID_A,
		                       &(struct state_proposal){.type = STATE_RUNNING, .name = "Running", .transition_id = OURS},
		                       &answer, &err);
		if (CHECK_RC(row->name, rc, row->rc, &err) && rc == 0) {
			CHECK_INT(row->name, answer.status, row->status);
			CHECK_INT(row->name, answer.state.type, row->type);
			CHECK_INT(row->name, answer.wait_s, row->wait_s);
			CHECK_STR(row->name, answer.reason, row->text);
			state_answer_release(&answer);
			CHECK(row->name, answer.reason == NULL && answer.state.name == NULL);
		} else {
			CHECK_HAS(row->name, err.text, row->text);
			CHECK(row->name, answer.wait_s == -7 && answer.reason == NULL);
		}
		(void)api_close(&api, row->name);
	}
}

static struct http_reply accept_after_trouble(void *arg, const struct http_seen *seen)
{
	char *first = arg;

	if (first[0] == '\0') {
		(void)snprintf(first, 4096, "%s", seen->body);
		return (struct http_reply){.trick = TRICK_CLOSE};
	}
	bool same = strcmp(first, seen->body) == 0;
	return (struct http_reply){.status = same ? 201 : 418, .body = ANSWER("ACCEPT", STATE("PAUSED", "Paused", "null"), "{}")};
}

/* A try whose answer was lost is repeated with the transition id of the first, made up here. */
static void repeats_the_same_proposal(void)
{
	char first[4096] = "";
	struct api api;
	struct state_answer answer;
	struct error err;
	AUTO_JSON *details = unit_json("{\"pause_key\": \"1\"}");
	AUTO_JSON *data = unit_json("{\"deleted\": 3}");

	api_open_handler(&api, accept_after_trouble, first);
	int rc = state_propose(api.prefect, ID_A,
	                       &(struct state_proposal){.type = STATE_PAUSED, .name = "Paused", .message = "m", .data = data,
	                                                .details = details}, &answer, &err);
	if (CHECK_RC("repeated", rc, 0, &err))
		state_answer_release(&answer);
	CHECK_INT("repeated", api_close(&api, "repeated"), 2);

	AUTO_JSON *sent = unit_json(first);
	json_t *state = json_object_get(sent, "state");
	char uuid[UUID_SIZE];
	const char *id = json_string_value(json_object_get(json_object_get(state, "state_details"), "transition_id"));
	CHECK("an id of its own", id != NULL && uuid_parse_text(id, uuid));
	CHECK_JSON("never by force", json_object_get(sent, "force"), "false");
	CHECK_JSON("type", json_object_get(state, "type"), "\"PAUSED\"");
	CHECK_JSON("message", json_object_get(state, "message"), "\"m\"");
	CHECK_JSON("data", json_object_get(state, "data"), "{\"deleted\": 3}");
	CHECK_JSON("details", json_object_get(json_object_get(state, "state_details"), "pause_key"), "\"1\"");
	CHECK_JSON("the caller's details are as they were", details, "{\"pause_key\": \"1\"}");
}

static void knows_a_run_that_is_gone(void)
{
	static const struct http_step step = {.method = "POST", .path = PATH, .reply = GONE};
	struct api api;
	struct state_answer answer;
	struct error err;

	api_open(&api, &step, 1);
	CHECK_RC("404", state_propose(api.prefect, ID_A, &(struct state_proposal){.type = STATE_FAILED, .name = "Failed"}, &answer,
	                              &err), ERR_NOT_FOUND, &err);
	(void)api_close(&api, "404");
}

static void reads_a_runs_states(void)
{
	static const struct {
		const char *name;
		const char *answer;
		int rc;
		size_t count;
	} rows[] = {
		{"two", "[" STATE("PAUSED", "Paused", "null") "," STATE("RUNNING", "Running", "null") "]", 0, 2},
		{"none", "[]", 0, 0},
		{"one that cannot be read", "[" STATE("PAUSED", "Paused", "null") ", {}]", ERR_DECODE, 0},
		{"no list", "{}", ERR_DECODE, 0},
	};

	EACH(row, rows)
	{
		struct http_step step = {.method = "GET", .path = "/flow_run_states/?flow_run_id=" ID_A, .reply = {.body = row->answer}};
		struct api api;
		struct state *states = NULL;
		size_t count = 0;
		struct error err;

		api_open(&api, &step, 1);
		CHECK_RC(row->name, state_history(api.prefect, ID_A, &states, &count, &err), row->rc, &err);
		CHECK_INT(row->name, count, row->count);
		if (count == 2)
			CHECK_INT(row->name, states[1].type, STATE_RUNNING);
		states_release(states, count);
		(void)api_close(&api, row->name);
	}
}

static void names_types(void)
{
	static const struct {
		const char *name;
		enum state_type type;
		bool terminal;
	} rows[] = {
		{"SCHEDULED", STATE_SCHEDULED, false},   {"PENDING", STATE_PENDING, false},     {"RUNNING", STATE_RUNNING, false},
		{"PAUSED", STATE_PAUSED, false},         {"CANCELLING", STATE_CANCELLING, false}, {"COMPLETED", STATE_COMPLETED, true},
		{"FAILED", STATE_FAILED, true},          {"CANCELLED", STATE_CANCELLED, true},  {"CRASHED", STATE_CRASHED, true},
		{"UNKNOWN", STATE_UNKNOWN, false},
	};
	AUTO_JSON *terminal = state_terminal_types();

	EACH(row, rows)
	{
		CHECK_STR(row->name, state_type_name(row->type), row->name);
		CHECK_INT(row->name, state_type_is_terminal(row->type), row->terminal);
	}
	CHECK_JSON("terminal", terminal, "[\"COMPLETED\", \"FAILED\", \"CANCELLED\", \"CRASHED\"]");
}

UNIT_SUITE("client/prefect/state", TEST(reads_what_the_server_decides), TEST(repeats_the_same_proposal),
           TEST(knows_a_run_that_is_gone), TEST(reads_a_runs_states), TEST(names_types))
