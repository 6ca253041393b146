#include "worker/turn.h"

#include <string.h>

#include "client/base/text.h"
#include "client/prefect/work_pool.h"
#include "flows/flow.h"
#include "worker/pool.h"

static time_us approved_at(const struct flow_run *run)
{
	const char *text = json_string_value(json_object_get(run->labels, LABEL_APPROVED));
	time_us at = 0;

	return text != NULL && time_parse(text, &at) ? at : 0;
}

bool turn_is_joined(const struct flow_run *run)
{
	return approved_at(run) != 0;
}

bool turn_is_of_before(const struct flow_run *run, time_us since)
{
	return turn_is_joined(run) && approved_at(run) < since;
}

bool turn_is_waiting(const struct flow_run *run)
{
	const char *message = json_string_value(json_object_get(run->state, "message"));

	return run->state_type == STATE_RUNNING && message != NULL && strncmp(message, TURN_WAITING, strlen(TURN_WAITING)) == 0;
}

/* The older approval first; the id decides between two of the same microsecond. */
static int by_place(const void *a, const void *b)
{
	const struct flow_run *x = a;
	const struct flow_run *y = b;
	time_us left = approved_at(x);
	time_us right = approved_at(y);

	return left != right ? (left < right ? -1 : 1) : strcmp(x->id, y->id);
}

/* The workers that are there, pool by pool, asked for once each. */
struct roll {
	struct prefect *prefect;
	const char *pool;
	const struct owner *self;
	json_t *online; /* pool to array of names */
};

static int read_online(struct roll *roll, const char *pool, const json_t **ret_names, struct error *err)
{
	*ret_names = json_object_get(roll->online, pool);
	if (*ret_names != NULL)
		return 0;

	json_t *names = NULL;
	int rc = work_pool_online_workers(roll->prefect, pool, &names, err);
	if (rc == ERR_NOT_FOUND) { /* the pool was deleted: nobody works in it */
		names = json_array();
		rc = 0;
	}
	if (rc == 0 && json_object_set_new(roll->online, pool, names) != 0)
		rc = error_nomem(err);
	*ret_names = json_object_get(roll->online, pool);
	return rc;
}

/* Is there a worker that has this run in hand? */
static int is_alive(struct roll *roll, const struct flow_run *run, bool *ret_alive, struct error *err)
{
	const char *worker = ownership_worker(run);
	const char *pool = json_string_value(json_object_get(run->labels, LABEL_POOL_NAME));
	const json_t *names;
	size_t i;
	json_t *name;

	*ret_alive = ownership_is(run, roll->self);
	if (*ret_alive || worker == NULL)
		return 0;
	int rc = read_online(roll, pool != NULL ? pool : roll->pool, &names, err);
	if (rc != 0)
		return rc;
	json_array_foreach(names, i, name)
		*ret_alive = *ret_alive || strcmp(json_string_value(name), worker) == 0;
	return 0;
}

/* All that are Running and have joined, a page at a time; the array is the caller's. */
static int read_joined(struct prefect *prefect, struct flow_run **ret_runs, size_t *ret_count, struct error *err)
{
	AUTO_JSON *running = json_pack("{s:{s:{s:[s]}}}", "state", "type", "any_", "RUNNING");
	AUTO_JSON *flows = json_pack("{s:{s:o}}", "name", "any_", flow_names());
	AUTO_JSON *seen = json_object();
	struct flow_run_query query = {.flow_runs = running, .flows = flows, .sort = "EXPECTED_START_TIME_ASC"};
	struct flow_run *joined = NULL;
	size_t count = 0;
	size_t found_count;

	do {
		struct flow_run *found;

		int rc = seen != NULL ? flow_run_filter_unseen(prefect, &query, seen, &found, &found_count, err) : error_nomem(err);
		struct flow_run *more = rc == 0 ? realloc(joined, (count + found_count + 1) * sizeof *joined) : NULL;
		if (more == NULL) {
			if (rc == 0)
				flow_runs_release(found, found_count);
			flow_runs_release(joined, count);
			return rc != 0 ? rc : error_nomem(err);
		}
		joined = more;
		for (size_t i = 0; i < found_count; i++) {
			if (turn_is_joined(&found[i]))
				joined[count++] = found[i];
			else
				flow_run_release(&found[i]);
		}
		free(found); /* its runs live on in `joined` */
	} while (found_count == PREFECT_PAGE_MAX);
	*ret_runs = joined;
	*ret_count = count;
	return 0;
}

int turn_read(struct prefect *prefect, const char *pool, const struct owner *self, struct turn *ret_turn,
              struct error *err)
{
	AUTO_JSON *online = json_object();
	struct roll roll = {.prefect = prefect, .pool = pool, .self = self, .online = online};
	struct turn turn = {.queued = json_array()};
	struct flow_run *runs = NULL;
	size_t count = 0;
	bool alive = false;

	int rc = read_joined(prefect, &runs, &count, err);
	if (rc != 0) {
		turn_release(&turn);
		return rc;
	}
	qsort(runs, count, sizeof *runs, by_place);
	for (size_t i = 0; rc == 0 && i < count; i++) {
		if (json_array_append_new(turn.queued, json_string(runs[i].id)) != 0)
			rc = error_nomem(err);
		if (rc == 0 && !alive)
			rc = is_alive(&roll, &runs[i], &alive, err);
		if (rc == 0 && alive && turn.first_name == NULL) {
			memcpy(turn.first, runs[i].id, UUID_SIZE);
			turn.first_name = text_dup(runs[i].name);
			rc = turn.first_name != NULL ? 0 : error_nomem(err);
		}
	}
	flow_runs_release(runs, count);
	if (rc != 0) {
		turn_release(&turn);
		return rc;
	}
	*ret_turn = turn;
	return 0;
}

void turn_release(struct turn *turn)
{
	free(turn->first_name);
	json_decref(turn->queued);
	*turn = (struct turn){0};
}

int turn_join(struct prefect *prefect, const struct flow_run *run, time_us at, struct error *err)
{
	if (approved_at(run) == at)
		return 0;
	return flow_run_set_labels(prefect, run->id, json_pack("{s:o}", LABEL_APPROVED, json_time(at)), err);
}

int turn_leave(struct prefect *prefect, const char *id, struct error *err)
{
	return flow_run_set_labels(prefect, id, json_pack("{s:s}", LABEL_APPROVED, ""), err);
}

bool turn_has(const struct turn *turn, const char *id)
{
	size_t i;
	json_t *queued;

	json_array_foreach(turn->queued, i, queued)
		if (strcmp(json_string_value(queued), id) == 0)
			return true;
	return false;
}
