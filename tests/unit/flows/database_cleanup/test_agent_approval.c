/* What is stored of an investigation, and what is done where something is stored already. */
#include "flows/database_cleanup/agent_approval.h"

#include <stdio.h>
#include <string.h>

#include "client/base/text.h"
#include "flows/database_cleanup/agent_verdict.h"
#include "tests/unit/client/agent/investigation.h"
#include "tests/unit/worker/flow_run.h"

#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define INPUT "/flow_runs/" OWN_ID "/input"
#define DECISION(approved)                                                                                          \
	"{\"version\": 1, \"plan\": \"" DIGEST "\", \"decided_at\": \"2026-11-21T06:34:25Z\", \"decision\": {\"approved\": " approved \
	", \"confidence\": 0.9, \"reasoning\": \"Stored.\", \"concerns\": []}, \"unsure\": null, \"investigated\": 1, \"model\": \"m\", " \
	"\"mode\": \"decide\", \"broken\": null}"
#define FINAL(approved) \
	SAY(USE("d", "final_result", "{\"approved\": " approved ", \"confidence\": 0.9, \"reasoning\": \"Asked.\"}"), "tool_use")
#define STARTS(plan, count) "{\"plan\": \"" plan "\", \"starts\": " count "}"

/* How often the server says that the run is this worker's. */
static int looks_left;

/* A Prefect server that keeps the inputs of one run, and says yes to everything else. */
static struct http_reply keep(void *arg, const struct http_seen *seen)
{
	json_t *inputs = arg;
	const char *key = strncmp(seen->path, INPUT "/", strlen(INPUT "/")) == 0 ? seen->path + strlen(INPUT "/") : NULL;

	if (strcmp(seen->method, "GET") == 0 && key != NULL) {
		const char *value = json_string_value(json_object_get(inputs, key));
		return value != NULL ? (struct http_reply){.body = value} : (struct http_reply)GONE;
	}
	if (strcmp(seen->method, "DELETE") == 0 && key != NULL) {
		bool gone = json_object_del(inputs, key) != 0;
		return gone ? (struct http_reply)GONE : (struct http_reply){.status = 204};
	}
	if (strcmp(seen->method, "POST") == 0 && strcmp(seen->path, INPUT) == 0) {
		AUTO_JSON *body = unit_json(seen->body);
		(void)json_object_set(inputs, json_string_value(json_object_get(body, "key")), json_object_get(body, "value"));
		return (struct http_reply){.status = 201};
	}
	if (strcmp(seen->path, "/flow_runs/" OWN_ID) == 0)
		return (struct http_reply){.body = looks_left-- > 0 ? OWN_RUN("RUNNING", "")
		                                                    : RUN_LABELLED("RUNNING", LABELS("you", OWN_INSTANCE), "")};
	if (strstr(seen->path, "count") != NULL)
		return (struct http_reply){.body = "10"};
	if (strstr(seen->path, "filter") != NULL)
		return (struct http_reply){.body = "[]"};
	return (struct http_reply){.status = 201, .body = "{\"id\": \"" ID_A "\"}"};
}

static const struct {
	const char *name;
	const char *decision;             /* stored before; NULL: none */
	const char *starts;
	bool off;                         /* AI approval is switched off */
	const char *answers[ANSWERS_MAX]; /* of the model */
	int rc;
	bool approved;
	const char *notes;                /* or a part of the error */
	size_t requests;
	const char *starts_after;         /* JSON; NULL: none */
	bool stores;                      /* a decision is stored then */
} rows[] = {
	{"decided before", DECISION("true"), STARTS(DIGEST, "1"), false, {NULL}, 0, true, "Stored.", 0, STARTS(DIGEST, "1"), true},
	{"refused before", DECISION("false"), NULL, false, {NULL}, 0, false, "Stored.", 0, NULL, true},
	{"asked now", NULL, NULL, false, {LOOK("get_flows"), FINAL("true")}, 0, true, "Asked.", 2, STARTS(DIGEST, "1"), true},
	{"a no", NULL, NULL, false, {LOOK("get_flows"), FINAL("false")}, 0, false, "Asked.", 2, STARTS(DIGEST, "1"), true},
	{"asked once more", NULL, STARTS(DIGEST, "2"), false, {LOOK("get_flows"), FINAL("true")}, 0, true, "Asked.", 2,
	 STARTS(DIGEST, "3"), true},
	{"asked too often", NULL, STARTS(DIGEST, "3"), false, {NULL}, 0, false, "started three times", 0, STARTS(DIGEST, "3"), true},
	{"counted for another plan", NULL, STARTS("x", "3"), false, {LOOK("get_flows"), FINAL("true")}, 0, true, "Asked.", 2,
	 STARTS(DIGEST, "1"), true},
	{"decided for another plan",
	 "{\"version\": 1, \"plan\": \"x\", \"decided_at\": \"2026-11-21T06:34:25Z\", \"decision\": {\"approved\": true, \"confidence\": 1, "
	 "\"reasoning\": \"x\"}, \"investigated\": 1, \"model\": \"m\"}",
	 NULL, false, {LOOK("get_flows"), FINAL("false")}, 0, false, "Asked.", 2, STARTS(DIGEST, "1"), true},
	{"without a look", NULL, NULL, false, {FINAL("true")}, 0, false, "without one successful investigation", 1, STARTS(DIGEST, "1"), true},
	{"switched off", NULL, NULL, true, {NULL}, 0, false, "PREFECT_JANITOR_AI_ENABLED", 0, NULL, false},
	{"switched off since", DECISION("true"), NULL, true, {NULL}, 0, false, "PREFECT_JANITOR_AI_ENABLED", 0, NULL, true},
	{"broken", NULL, NULL, false, {"401"}, ERR_AUTH, false, "the AI agent is broken, nothing was deleted; mend it", 1,
	 STARTS(DIGEST, "1"), false},
};

struct scene {
	struct investigation model; /* its server, and what it was asked */
	struct unit_flow flow;
	struct text command;
	json_t *inputs;
};

static void put(json_t *inputs, const char *key, const char *value)
{
	if (value != NULL)
		(void)json_object_set_new(inputs, key, json_string(value));
}

static void open_scene(struct scene *scene, const char *const answers[ANSWERS_MAX], const char *decision, const char *starts, bool off)
{
	static char model[] = "test-model";
	static char key[] = MODEL_KEY;

	memset(scene, 0, sizeof *scene);
	looks_left = 1000;
	scene->inputs = json_object();
	put(scene->inputs, AGENT_DECISION_KEY, decision);
	put(scene->inputs, AGENT_STARTS_KEY, starts);
	investigation_open(&scene->model, answers, "");
	unit_flow_open(&scene->flow, http_server_handle(keep, scene->inputs), NULL, NULL);
	scene->command.max = 20000;
	text_addf(&scene->command, "env " CHILD_SCRIPT "='%s%s%s%s/\\\"}}\"}]}}\n%s' %s", HELLO, TOOLS, "< \"get_identity\"\n> "
	          "{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"{\\\"success\\\":true,"
	          "\\\"identity\\\":{\\\"api_url\\\":\\\"", scene->flow.url, ANSWER(4, GOOD), scripted_child_command());
	scene->flow.settings.ai = (struct ai_settings){
		.enabled = off ? 0 : -1, .model = model, .anthropic_key = key, .anthropic_url = text_dup(http_server_url(scene->model.server)),
		.mcp_command = scene->command.data, .min_confidence = 0.8, .max_runs = 100, .max_turns = 5, .max_tool_calls = 5,
		.max_bytes = 100000, .model_ms = 20000, .tool_ms = 20000, .mcp_start_ms = 20000, .total_ms = 60000};
}

static void close_scene(struct scene *scene, const char *row, size_t requests)
{
	free(scene->flow.settings.ai.anthropic_url);
	(void)unit_flow_close(&scene->flow, row);
	CHECK_INT(row, investigation_close(&scene->model, row), requests);
	text_release(&scene->command);
	json_decref(scene->inputs);
}

/* Ten runs; @period is borrowed, the states are the caller's to release. */
static struct plan plan_of(char *period)
{
	return (struct plan){.planned_at = 31 * 86400 * US_PER_SEC, .cutoff = 86400 * US_PER_SEC, .retention = period, .total = 10,
	                     .states = json_array(), .digest = DIGEST};
}

static void asks_once_for_a_plan(void)
{
	static char period[] = "P30D";

	EACH(row, rows)
	{
		struct scene scene;
		struct plan plan = plan_of(period);
		struct decision decision = {0};
		struct error err = {.text = ""};
		bool ask = true;

		open_scene(&scene, row->answers, row->decision, row->starts, row->off);
		if (CHECK_RC(row->name, agent_approval(scene.flow.ctx, &plan, &decision, &ask, &err), row->rc, &err) && row->rc == 0) {
			CHECK_INT(row->name, decision.approved, row->approved);
			CHECK_HAS(row->name, decision.notes, row->notes);
			CHECK(row->name, !ask);
		}
		if (row->rc != 0)
			CHECK_HAS(row->name, err.text, row->notes);
		const char *starts = json_string_value(json_object_get(scene.inputs, AGENT_STARTS_KEY));
		AUTO_JSON *counted = starts != NULL ? unit_json(starts) : NULL;
		if (row->starts_after != NULL)
			CHECK_JSON(row->name, counted, row->starts_after);
		else
			CHECK(row->name, counted == NULL);
		const char *stored = json_string_value(json_object_get(scene.inputs, AGENT_DECISION_KEY));
		CHECK_INT(row->name, stored != NULL, row->stores);
		CHECK_HAS(row->name, stored != NULL ? stored : DIGEST, DIGEST);
		decision_release(&decision);
		json_decref(plan.states);
		close_scene(&scene, row->name, row->requests);
	}
}

/* Another worker has taken the run over while the model thought: what is stored is that one's. */
static void leaves_alone_what_is_another_ones(void)
{
	static const char *const answers[ANSWERS_MAX] = {LOOK("get_flows"), FINAL("true")};
	static char period[] = "P30D";
	struct scene scene;
	struct plan plan = plan_of(period);
	struct decision decision = {0};
	struct error err;
	bool ask;

	open_scene(&scene, answers, NULL, NULL, false);
	looks_left = 3; /* one before each question to the model and each call of a tool */
	CHECK_RC("taken", agent_approval(scene.flow.ctx, &plan, &decision, &ask, &err), ERR_STOPPED, &err);
	CHECK("taken", flow_taken(scene.flow.ctx));
	CHECK("no decision", json_object_get(scene.inputs, AGENT_DECISION_KEY) == NULL);
	AUTO_JSON *counted = unit_json(json_string_value(json_object_get(scene.inputs, AGENT_STARTS_KEY)));
	CHECK_JSON("the counter", counted, STARTS(DIGEST, "1"));
	json_decref(plan.states);
	close_scene(&scene, "taken", 2);
}

/* A run that was queued and starts again does not tell its whole decision once more. */
static void says_its_decision_once(void)
{
	static const char *const none[ANSWERS_MAX] = {NULL};
	static char period[] = "P30D";

	for (int queued = 0; queued < 2; queued++) {
		struct scene scene;
		struct plan plan = plan_of(period);
		struct decision decision = {0};
		struct error err;
		bool ask;

		open_scene(&scene, none, DECISION("true"), NULL, false);
		int rc = queued ? agent_approval_stored(scene.flow.ctx, &plan, &decision, &err)
		                : agent_approval(scene.flow.ctx, &plan, &decision, &ask, &err);
		CHECK_RC("said", rc, 0, &err);
		CHECK("said", decision.approved);
		CHECK_INT("said", unit_flow_logged(&scene.flow, "the AI agent approves, confidence 0.9: Stored."), !queued);
		decision_release(&decision);
		json_decref(plan.states);
		close_scene(&scene, "said", 0);
	}
}

UNIT_SUITE("flows/database_cleanup/agent_approval", TEST(asks_once_for_a_plan), TEST(leaves_alone_what_is_another_ones),
           TEST(says_its_decision_once))
