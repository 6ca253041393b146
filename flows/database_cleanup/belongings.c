#include "flows/database_cleanup/belongings.h"

#include <stdlib.h>
#include <string.h>

#include "client/prefect/artifact.h"
#include "client/prefect/flow_run.h"
#include "client/prefect/run_log.h"

/* Where the server's queue is long, that is said; nobody waits for its end. */
#define LOGS_WAIT_MS 10000
#define LOGS_LOOK_MS 250
#define PAGES_MAX 1000

/* --- which runs were deleted ------------------------------------------------------------------------------- */

/* A number below @below; xorshift is plenty for a sample. */
static size_t draw(struct tally *tally, int64_t below)
{
	uint64_t x = tally->random != 0 ? tally->random : UINT64_C(88172645463325252);

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	tally->random = x;
	return (size_t)(x % (uint64_t)below);
}

static bool make_room(struct tally *tally)
{
	size_t size = tally->size == 0 ? 64 : tally->size * 2;
	void *grown;

	if (tally->count < tally->size)
		return true;
	if (size > TALLY_MAX)
		size = TALLY_MAX;
	grown = tally->count < size ? realloc(tally->ids, size * sizeof *tally->ids) : NULL;
	if (grown == NULL)
		return false;
	tally->ids = grown;
	tally->size = size;
	return true;
}

void tally_add(struct tally *tally, const json_t *ids)
{
	size_t i;
	json_t *id;

	json_array_foreach(ids, i, id)
	{
		char parsed[UUID_SIZE];

		if (!json_is_string(id) || !uuid_parse_text(json_string_value(id), parsed))
			continue;
		tally->seen++;
		size_t at = make_room(tally) ? tally->count++ : tally->count == 0 ? TALLY_MAX : draw(tally, tally->seen);
		if (at < tally->count)
			memcpy(tally->ids[at], parsed, UUID_SIZE);
	}
}

void tally_release(struct tally *tally)
{
	free(tally->ids);
	*tally = (struct tally){0};
}

/* --- windows ------------------------------------------------------------------------------------------------ */

int belongings_count(struct prefect *prefect, const struct plan *plan, int64_t *ret_count, struct error *err)
{
	int64_t total = 0;

	for (size_t i = 0; i < plan->slice_count; i++) {
		int64_t count = 0;
		int rc = plan->slices[i].count > 0
		                 ? artifact_count(prefect, &(struct artifact_query){.flow_runs = plan->slices[i].filter}, &count, err)
		                 : 0;
		if (rc != 0)
			return rc;
		total += count;
	}
	*ret_count = total;
	return 0;
}

static bool contains(const json_t *ids, const char *id)
{
	size_t i;
	json_t *row;

	json_array_foreach(ids, i, row)
		if (strcmp(json_string_value(row), id) == 0)
			return true;
	return false;
}

int window_find(struct prefect *prefect, const json_t *filter, json_t **ret_runs, struct error *err)
{
	struct artifact *found;
	size_t count;
	AUTO_JSON *runs = json_array();

	if (runs == NULL || filter == NULL)
		return error_nomem(err);
	int rc = artifact_filter(prefect, &(struct artifact_query){.flow_runs = filter}, &found, &count, err);
	if (rc != 0)
		return rc;
	for (size_t i = 0; rc == 0 && i < count; i++)
		if (found[i].flow_run_id[0] != '\0' && !contains(runs, found[i].flow_run_id) &&
		    json_array_append_new(runs, json_string(found[i].flow_run_id)) != 0)
			rc = error_nomem(err);
	artifacts_release(found, count);
	if (rc == 0)
		*ret_runs = json_incref(runs);
	return rc;
}

int window_store(struct flow_ctx *ctx, const struct plan *plan, const json_t *runs, struct error *err)
{
	AUTO_JSON *value = json_pack("{s:s, s:O}", "plan", plan->digest, "runs", runs);

	return value == NULL ? error_nomem(err) : flow_checkpoint_write(ctx, WINDOW_KEY, value, err);
}

static bool is_window(const json_t *runs)
{
	char id[UUID_SIZE];
	size_t i;
	json_t *run;

	json_array_foreach(runs, i, run)
		if (!json_is_string(run) || !uuid_parse_text(json_string_value(run), id))
			return false;
	return json_is_array(runs) && json_array_size(runs) <= PREFECT_PAGE_MAX;
}

int window_read(struct flow_ctx *ctx, const struct plan *plan, json_t **ret_runs, struct error *err)
{
	AUTO_JSON *stored = NULL;

	int rc = flow_checkpoint_read(ctx, WINDOW_KEY, &stored, err);
	if (rc != 0 && rc != ERR_NOT_FOUND)
		return rc;
	const char *digest = json_string_value(json_object_get(stored, "plan"));
	json_t *runs = json_object_get(stored, "runs");
	/* Of another plan, or of none: of the approved one there is nothing then. */
	bool ours = digest != NULL && strcmp(digest, plan->digest) == 0;
	if (ours && !is_window(runs))
		return error_set(err, ERR_DECODE, "the checkpoint '" WINDOW_KEY "' is not as this worker writes it");
	*ret_runs = ours ? json_incref(runs) : json_array();
	return *ret_runs != NULL ? 0 : error_nomem(err);
}

/* Those of @runs that do not exist any more: a new array. */
static int find_gone(struct prefect *prefect, const json_t *runs, json_t **ret_gone, struct error *err)
{
	AUTO_JSON *filter = json_pack("{s:{s:O}}", "id", "any_", runs);
	AUTO_JSON *gone = json_array();
	AUTO_JSON *there = json_array();
	struct flow_run *found;
	size_t count;
	size_t i;
	json_t *run;

	if (filter == NULL || gone == NULL || there == NULL)
		return error_nomem(err);
	int rc = flow_run_filter(prefect, &(struct flow_run_query){.flow_runs = filter}, &found, &count, err);
	if (rc != 0)
		return rc;
	for (size_t k = 0; rc == 0 && k < count; k++)
		if (json_array_append_new(there, json_string(found[k].id)) != 0)
			rc = error_nomem(err);
	flow_runs_release(found, count);
	json_array_foreach(runs, i, run)
		if (rc == 0 && !contains(there, json_string_value(run)) && json_array_append(gone, run) != 0)
			rc = error_nomem(err);
	if (rc == 0)
		*ret_gone = json_incref(gone);
	return rc;
}

/* Deletes the artifacts of these runs, page by page. */
static int delete_artifacts(struct prefect *prefect, const json_t *runs, int64_t *ret_deleted, struct error *err)
{
	AUTO_JSON *filter = json_pack("{s:{s:O}}", "flow_run_id", "any_", runs);

	if (filter == NULL)
		return error_nomem(err);
	for (int page = 0; page < PAGES_MAX; page++) {
		struct artifact *found;
		size_t count;

		int rc = artifact_filter(prefect, &(struct artifact_query){.artifacts = filter}, &found, &count, err);
		if (rc != 0)
			return rc;
		for (size_t i = 0; rc == 0 && i < count; i++) {
			/* Not taken on trust: a filter that is not understood matches everything. */
			if (!contains(runs, found[i].flow_run_id))
				rc = error_set(err, ERR_DECODE, "POST /artifacts/filter: an artifact of another flow run than was asked for");
			else
				rc = artifact_delete(prefect, found[i].id, err);
			*ret_deleted += rc == 0;
		}
		artifacts_release(found, count);
		if (rc != 0 || count == 0)
			return rc;
	}
	return error_set(err, ERR_BUSY, "there are artifacts again and again");
}

/* A list that is empty by mistake would cost artifacts of runs that are there: the server has to say it in another way too. */
static int confirm_gone(struct prefect *prefect, const json_t *gone, struct error *err)
{
	AUTO_JSON *filter = json_pack("{s:{s:O}}", "id", "any_", gone);
	int64_t there = 0;

	if (filter == NULL)
		return error_nomem(err);
	int rc = flow_run_count(prefect, &(struct flow_run_query){.flow_runs = filter}, &there, err);
	if (rc == 0 && there > 0)
		rc = error_set(err, ERR_BUSY, "POST /flow_runs/filter and /flow_runs/count do not agree on which flow runs exist");
	return rc;
}

int window_clear(struct prefect *prefect, const json_t *runs, int64_t *ret_deleted, struct error *err)
{
	AUTO_JSON *gone = NULL;

	if (json_array_size(runs) == 0)
		return 0;
	int rc = find_gone(prefect, runs, &gone, err);
	if (rc != 0 || json_array_size(gone) == 0)
		return rc;
	rc = confirm_gone(prefect, gone, err);
	return rc != 0 ? rc : delete_artifacts(prefect, gone, ret_deleted, err);
}

/* --- at the end ---------------------------------------------------------------------------------------------- */

/* A page of the tally's ids from @from on. */
static json_t *page_of(const struct tally *tally, size_t from)
{
	json_t *page = json_array();

	for (size_t i = from; i < tally->count && i < from + PREFECT_PAGE_MAX; i++)
		(void)json_array_append_new(page, json_string(tally->ids[i]));
	return page;
}

/* Runs of the page that still have log lines, once the wait is over or there are none; -1: not known. */
static int64_t wait_for_logs(struct flow_ctx *ctx, const json_t *page, int64_t until_ms)
{
	int64_t lines = 0;
	int64_t runs = 0;

	while (run_log_look(flow_api(ctx), page, &lines, &runs, NULL) == 0) {
		if (lines == 0 || clock_mono_ms() >= until_ms || !flow_wait(ctx, LOGS_LOOK_MS))
			return runs;
	}
	return -1;
}

void leftovers_look(struct flow_ctx *ctx, const struct tally *tally, struct leftovers *ret_leftovers)
{
	int64_t until_ms = clock_mono_ms() + LOGS_WAIT_MS;
	struct leftovers found = {0};

	for (size_t from = 0; from < tally->count; from += PREFECT_PAGE_MAX) {
		AUTO_JSON *page = page_of(tally, from);
		AUTO_JSON *filter = json_pack("{s:{s:O}}", "flow_run_id", "any_", page);
		int64_t artifacts = 0;
		int64_t runs;

		if (filter == NULL || artifact_count(flow_api(ctx), &(struct artifact_query){.artifacts = filter}, &artifacts, NULL) != 0 ||
		    (artifacts > 0 && window_clear(flow_api(ctx), page, &found.artifacts_deleted, NULL) != 0)) {
			found.artifacts_left = -1;
			break;
		}
		runs = wait_for_logs(ctx, page, until_ms);
		if (runs < 0)
			break;
		found.logs_checked += (int64_t)json_array_size(page);
		found.logs_left += runs;
	}
	*ret_leftovers = found;
}
