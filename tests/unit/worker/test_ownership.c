/* Who has a run: the records on the server, the labels, and what two takers at once come to. */
#include "worker/ownership.h"

#include <string.h>

#include "tests/unit/api.h"

#define OTHER "99999999-0000-4000-8000-0000000000bb"
#define HERE "RUNNING since x at 5"
#define BARE_RECORD(number, worker, progress)                                                                        \
	"{\"key\": \"janitor-owner-" number "\", \"value\": \"{\\\"worker\\\": \\\"" worker "\\\", "             \
	"\\\"instance\\\": \\\"" OTHER "\\\", \\\"progress\\\": \\\"" progress "\\\"}\"}"
#define BEGUN(number) RAW("janitor-owner-" number "-begun", "\"{}\"")
#define RECORD(number, worker, progress) BARE_RECORD(number, worker, progress) "," BEGUN(number)
#define RAW(key, value) "{\"key\": \"" key "\", \"value\": " value "}"

static void finds_the_latest_taking(void)
{
	static const struct {
		const char *name;
		const char *inputs;
		int number;
		const char *worker;
		int stalled;
	} rows[] = {
		{"nobody", "[]", 0, "", 0},
		{"one, at another place", "[" RECORD("1", "a", "claimed") "]", 1, "a", 0},
		{"one, at this place", "[" RECORD("1", "a", HERE) "]", 1, "a", 1},
		{"three at this place", "[" RECORD("1", "a", HERE) "," RECORD("2", "b", HERE) "," RECORD("3", "c", HERE) "]", 3, "c", 3},
		{"progress in between", "[" RECORD("1", "a", HERE) "," RECORD("2", "b", "x") "," RECORD("3", "c", HERE) "]", 3, "c", 1},
		{"progress since", "[" RECORD("1", "a", HERE) "," RECORD("2", "b", HERE) "," RECORD("3", "c", "x") "]", 3, "c", 0},
		{"one at this place that never began", "[" BARE_RECORD("1", "a", HERE) "]", 1, "a", 0},
		{"one of three never began", "[" RECORD("1", "a", HERE) "," BARE_RECORD("2", "b", HERE) "," RECORD("3", "c", HERE) "]", 3, "c", 2},
		{"one of three was let go", "[" RECORD("1", "a", HERE) "," RECORD("2", "b", HERE) "," RAW("janitor-owner-2-let-go", "\"{}\"") ","
		 RECORD("3", "c", HERE) "]", 3, "c", 2},
		{"the latest was let go", "[" RECORD("1", "a", HERE) "," RAW("janitor-owner-1-let-go", "\"{}\"") "]", 1, "a", 0},
		{"letting go is no taking", "[" RECORD("1", "a", "x") "," RAW("janitor-owner-7-let-go", "\"{}\"") "]", 1, "a", 0},
		{"a number with more after it", "[" RECORD("1", "a", "x") "," RECORD("2x", "b", "x") "]", 1, "a", 0},
		{"more than nine", "[" RECORD("9", "a", "x") "," RECORD("10", "b", "x") "]", 10, "b", 0},
		{"the highest number, not the last one", "[" RECORD("2", "b", "x") "," RECORD("1", "a", HERE) "]", 2, "b", 0},
		{"a record that cannot be read", "[" RECORD("1", "a", "x") "," RAW("janitor-owner-2", "\"<html>\"") "]", 2, "", 0},
		{"a record that is no object", "[" RAW("janitor-owner-2", "\"[1]\"") "]", 2, "", 0},
		{"a value that is no text", "[" RAW("janitor-owner-2", "{}") "," RECORD("1", "a", "x") "]", 1, "a", 0},
		{"other keys", "[" RAW("janitor-owner-x", "\"1\"") "," RAW("paused-1-schema", "\"1\"") ", 7, null]", 0, "", 0},
		{"a number below one", "[" RAW("janitor-owner--3", "\"{}\"") "," RAW("janitor-owner-0", "\"{}\"") "]", 0, "", 0},
	};

	EACH(row, rows)
	{
		struct http_step step = {.method = "POST", .path = "/flow_runs/" ID_A "/input/filter",
		                         .body = "\"prefix\":\"janitor-owner-\"", .reply = {.body = row->inputs}};
		struct api api;
		struct taking latest;
		struct error err;

		api_open(&api, &step, 1);
		if (CHECK_RC(row->name, ownership_read(api.prefect, ID_A, HERE, &latest, &err), 0, &err)) {
			CHECK_INT(row->name, latest.number, row->number);
			CHECK_STR(row->name, latest.worker, row->worker);
			CHECK_STR(row->name, latest.instance, row->worker[0] != '\0' ? OTHER : "");
			CHECK_INT(row->name, latest.stalled, row->stalled);
			CHECK_INT(row->name, latest.let_go, strcmp(row->name, "the latest was let go") == 0);
		}
		(void)api_close(&api, row->name);
	}
}

static void does_not_guess_an_owner(void)
{
	static const struct {
		const char *name;
		struct http_reply reply;
		int rc;
	} rows[] = {{"no list", {.body = "{}"}, ERR_DECODE}, {"gone", GONE, ERR_NOT_FOUND}, {"not allowed", {.status = 401}, ERR_AUTH}};

	EACH(row, rows)
	{
		struct http_step step = {.method = "POST", .reply = row->reply};
		struct api api;
		struct taking latest = {.number = -7};
		struct error err;

		api_open(&api, &step, 1);
		CHECK_RC(row->name, ownership_read(api.prefect, ID_A, HERE, &latest, &err), row->rc, &err);
		CHECK_INT(row->name, latest.number, -7);
		(void)api_close(&api, row->name);
	}
}

#define TAKE                                                                                                     \
	{.method = "POST", .path = "/flow_runs/" ID_A "/input",                                                  \
	 .body = "{\"key\":\"janitor-owner-5\",\"value\":\"{\\\"instance\\\":\\\"i\\\",\\\"progress\\\":\\\"p\\\"," \
	         "\\\"worker\\\":\\\"me\\\"}\"}",                                                                \
	 .reply = {.status = 201}}
#define TAKEN {.method = "POST", .reply = {.status = 409}}

static void takes_the_next_number(void)
{
	static const struct {
		const char *name;
		struct http_step steps[2];
		int rc;
	} rows[] = {
		{"free", {TAKE}, 0},
		{"another was faster",
		 {TAKEN, {.method = "GET", .path = "/flow_runs/" ID_A "/input/janitor-owner-5",
		          .reply = {.body = "{\"worker\": \"you\", \"instance\": \"i\", \"progress\": \"p\"}"}}}, ERR_CONFLICT},
		{"another process of our name",
		 {TAKEN, {.method = "GET", .reply = {.body = "{\"worker\": \"me\", \"instance\": \"j\", \"progress\": \"p\"}"}}}, ERR_CONFLICT},
		{"ours: the answer was lost",
		 {TAKEN, {.method = "GET", .reply = {.body = "{\"worker\": \"me\", \"instance\": \"i\", \"progress\": \"p\"}"}}}, 0},
		{"the run is gone", {{.method = "POST", .reply = GONE}}, ERR_NOT_FOUND},
	};
	static const struct owner owner = {.worker = "me", .instance = "i"};
	static const struct taking latest = {.number = 4};

	EACH(row, rows)
	{
		struct api api;
		struct error err;

		api_open(&api, row->steps, COUNT_OF(row->steps));
		CHECK_RC(row->name, ownership_take(api.prefect, ID_A, &owner, &latest, "p", &err), row->rc, &err);
		(void)api_close(&api, row->name);
	}
}

static void compares_labels(void)
{
	static const struct {
		const char *name;
		const char *labels;
		const char *worker;
		bool ours;
		const char *progress;
	} rows[] = {
		{"ours", "{\"prefect.worker.name\": \"me\", \"janitor.instance\": \"i\", \"janitor.progress\": 12}", "me", true,
		 "RUNNING since 2026-11-21T06:34:21Z at 12"},
		{"another process", "{\"prefect.worker.name\": \"me\", \"janitor.instance\": \"j\"}", "me", false,
		 "RUNNING since 2026-11-21T06:34:21Z at 0"},
		{"another worker", "{\"prefect.worker.name\": \"you\", \"janitor.instance\": \"i\"}", "you", false, NULL},
		{"a Python worker", "{\"prefect.worker.name\": \"me\"}", "me", false, NULL},
		{"only the instance", "{\"janitor.instance\": \"i\"}", NULL, false, NULL},
		{"labels of another type", "{\"prefect.worker.name\": 1, \"janitor.instance\": true}", NULL, false, NULL},
		{"none", "null", NULL, false, NULL},
	};
	static const struct owner owner = {.worker = "me", .instance = "i"};

	EACH(row, rows)
	{
		AUTO_JSON *json = json_pack("{s:s, s:s, s:s, s:s, s:{s:s}, s:o}", "id", ID_A, "flow_id", ID_B, "name", "run",
		                            "state_type", "RUNNING", "state", "timestamp", "2026-11-21T06:34:21Z", "labels",
		                            unit_json(row->labels));
		struct flow_run run;
		struct error err;
		char progress[OWNER_PROGRESS_SIZE];

		if (!CHECK_RC(row->name, flow_run_decode(json, &run, &err), 0, &err))
			continue;
		CHECK_STR(row->name, ownership_worker(&run), row->worker);
		CHECK_INT(row->name, ownership_is(&run, &owner), row->ours);
		ownership_progress(&run, progress);
		if (row->progress != NULL)
			CHECK_STR(row->name, progress, row->progress);
		flow_run_release(&run);
	}
}

/* A Pending run as the server shows it; @message NULL for none. */
static void pending_run(const char *type, const char *message, struct flow_run *ret_run)
{
	AUTO_JSON *json = json_pack("{s:s, s:s, s:s, s:s, s:{s:s, s:s?}}", "id", ID_A, "flow_id", ID_B, "name", "run",
	                            "state_type", type, "state", "timestamp", "2026-11-21T06:34:21Z", "message", message);
	struct error err;

	if (flow_run_decode(json, ret_run, &err) != 0)
		abort();
}

static void reads_claims(void)
{
	static const struct {
		const char *name;
		const char *type;
		const char *message;
		const char *worker; /* NULL: no claim */
	} rows[] = {
		{"a claim", "PENDING", "claimed by worker 'a b'", "a b"},
		{"a quote in the name", "PENDING", "claimed by worker 'it's'", "it's"},
		{"no name", "PENDING", "claimed by worker ''", NULL},
		{"half a name", "PENDING", "claimed by worker 'a", NULL},
		{"only the words", "PENDING", "claimed by worker '", NULL},
		{"other words", "PENDING", "Flow run submitted to 'a'", NULL},
		{"none", "PENDING", NULL, NULL},
		{"not Pending any more", "RUNNING", "claimed by worker 'a'", NULL},
	};

	EACH(row, rows)
	{
		struct flow_run run;
		char worker[OWNER_NAME_SIZE];

		pending_run(row->type, row->message, &run);
		if (CHECK_INT(row->name, ownership_claimed_by(&run, worker), row->worker != NULL) && row->worker != NULL)
			CHECK_STR(row->name, worker, row->worker);
		flow_run_release(&run);
	}
}

static void writes_what_it_reads(void)
{
	char longest[OWNER_NAME_SIZE];
	const struct owner owner = {.worker = longest};
	char message[OWNER_NAME_SIZE + 32];
	char worker[OWNER_NAME_SIZE];
	struct flow_run run;

	memset(longest, 'n', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	ownership_claim_message(&owner, message);
	pending_run("PENDING", message, &run);
	CHECK("the longest name", ownership_claimed_by(&run, worker));
	CHECK_STR("the longest name", worker, longest);
	flow_run_release(&run);
}

static void remembers_that_the_end_was_told(void)
{
	struct flow_run run;

	pending_run("FAILED", NULL, &run);
	CHECK("not yet", !ownership_ended(&run));
	json_decref(run.labels);
	run.labels = ownership_ended_label(&run);
	CHECK("told", ownership_ended(&run));
	(void)json_object_set_new(run.state, "timestamp", json_string("2026-11-21T07:00:00Z"));
	CHECK("it ended again", !ownership_ended(&run));
	flow_run_release(&run);
}

UNIT_SUITE("worker/ownership", TEST(reads_claims), TEST(writes_what_it_reads), TEST(remembers_that_the_end_was_told),
           TEST(finds_the_latest_taking), TEST(does_not_guess_an_owner), TEST(takes_the_next_number),
           TEST(compares_labels))
