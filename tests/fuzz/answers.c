/* Answers of the server: the first byte chooses the call, the second the status, the rest is the body. */
#include <stdlib.h>
#include <string.h>

#include "client/base/text.h"
#include "client/prefect/deployment.h"
#include "client/prefect/run_input.h"
#include "client/prefect/work_pool.h"
#include "tests/fuzz/fuzz.h"
#include "worker/ownership.h"
#include "worker/question.h"

#define ID "aaaaaaaa-0000-4000-8000-000000000001"

typedef int call(struct prefect *prefect, struct error *err);

static int read_run(struct prefect *prefect, struct error *err)
{
	struct flow_run run;
	struct question question;
	char progress[OWNER_PROGRESS_SIZE];
	char claimed[OWNER_NAME_SIZE];

	int rc = flow_run_read(prefect, ID, &run, err);
	if (rc != 0)
		return rc;
	fuzz_must_be_clean(run.name, /* lines= */ false);
	MUST(strlen(run.name) < JSON_LABEL_SIZE);
	question = question_judge(&run, NULL, 0);
	MUST(question.number > 0);
	ownership_progress(&run, progress);
	(void)ownership_claimed_by(&run, claimed);
	(void)flow_run_pause_expired(&run);
	flow_run_release(&run);
	return 0;
}

static int find_runs(struct prefect *prefect, struct error *err)
{
	struct flow_run *runs;
	size_t count;

	int rc = flow_run_filter(prefect, &(struct flow_run_query){.limit = 5}, &runs, &count, err);
	if (rc == 0)
		flow_runs_release(runs, count);
	return rc;
}

static int count_runs(struct prefect *prefect, struct error *err)
{
	int64_t count = -1;
	int rc = flow_run_count(prefect, &(struct flow_run_query){.limit = 5}, &count, err);

	MUST(rc != 0 || (count >= 0 && count <= PREFECT_COUNT_MAX));
	return rc;
}

static int delete_runs(struct prefect *prefect, struct error *err)
{
	AUTO_JSON *filter = json_object();
	int64_t deleted = -1;
	int most = -1;
	bool ambiguous;
	int rc = flow_run_bulk_delete(prefect, filter, 50, &deleted, NULL, &most, &ambiguous, err);

	MUST(rc != 0 || deleted >= 0);
	MUST(most >= 0);
	return rc;
}

static int propose(struct prefect *prefect, struct error *err)
{
	struct state_answer answer;
	int rc = state_propose(prefect, ID, &(struct state_proposal){.type = STATE_RUNNING, .name = "Running"}, &answer, err);

	MUST(rc != 0 || answer.status != STATE_ACCEPT || answer.state.name != NULL);
	if (rc == 0)
		state_answer_release(&answer);
	return rc;
}

static int read_history(struct prefect *prefect, struct error *err)
{
	static const struct flow_run run;
	struct state *states;
	size_t count;

	int rc = state_history(prefect, ID, &states, &count, err);
	if (rc != 0)
		return rc;
	MUST(question_judge(&run, states, count).number > 0);
	states_release(states, count);
	return 0;
}

static int read_input(struct prefect *prefect, struct error *err)
{
	AUTO_JSON *value = NULL;

	return run_input_read(prefect, ID, "key", &value, err);
}

static int read_owners(struct prefect *prefect, struct error *err)
{
	struct taking latest;

	return ownership_read(prefect, ID, "here", &latest, err);
}

static int read_pool(struct prefect *prefect, struct error *err)
{
	struct work_pool pool;
	int rc = work_pool_read(prefect, "p", &pool, err);

	if (rc != 0)
		return rc;
	(void)job_variable(pool.template, NULL, pool.template, "batch_pause_ms");
	work_pool_release(&pool);
	return 0;
}

static int read_scheduled(struct prefect *prefect, struct error *err)
{
	AUTO_JSON *queues = json_array();
	struct flow_run *runs;
	size_t count;
	int rc = work_pool_scheduled_runs(prefect, "p", queues, 0, &runs, &count, err);

	if (rc == 0)
		flow_runs_release(runs, count);
	return rc;
}

static int read_queue(struct prefect *prefect, struct error *err)
{
	bool paused;

	return work_queue_is_paused(prefect, ID, &paused, err);
}

static int read_deployment(struct prefect *prefect, struct error *err)
{
	struct deployment deployment;
	int rc = deployment_read(prefect, ID, &deployment, err);

	if (rc == 0)
		deployment_release(&deployment);
	return rc;
}

static int find_flows(struct prefect *prefect, struct error *err)
{
	AUTO_JSON *filter = json_object();
	struct flow *flows;
	size_t count;
	int rc = flow_filter(prefect, filter, 0, &flows, &count, err);

	if (rc == 0)
		flows_release(flows, count);
	return rc;
}

static call *const calls[] = {read_run,     find_runs,   count_runs, delete_runs,    propose,    read_history,    read_input,
                              read_owners,  read_pool,   read_scheduled, read_queue, read_deployment, find_flows};
static const int statuses[] = {200, 201, 422, 409, 404, 401, 403, 500, 503, 302};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = {0};

	if (size < 2)
		return 0;
	struct prefect *prefect =
		fuzz_session(statuses[data[1] % (sizeof statuses / sizeof statuses[0])], data + 2, size - 2);
	if (calls[data[0] % (sizeof calls / sizeof calls[0])](prefect, &err) != 0) {
		MUST(err.code < 0);
		fuzz_must_be_clean(err.text, /* lines= */ false);
	}
	return 0;
}
