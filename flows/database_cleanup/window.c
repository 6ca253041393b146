#include "flows/database_cleanup/window.h"

#include <string.h>

#include "client/prefect/artifact.h"
#include "client/prefect/flow_run.h"
#include "flows/database_cleanup/report.h"

/* Rows of a page of artifacts, which come with all that they hold. */
#define PAGE_MAX 40
/* Artifacts of one window; more only where a single run has more. */
#define ARTIFACTS_MAX 400
/* Artifacts that are written down at most, with those that are carried along. */
#define STORED_MAX 4000
/* Flow runs whose existence is asked for at once. */
#define ASKED_MAX 50

void window_release(struct window *window)
{
	json_decref(window->runs);
	json_decref(window->ours);
	*window = (struct window){0};
}

/* --- counting ----------------------------------------------------------------------------------------------- */

int window_count_artifacts(struct prefect *prefect, const json_t *filter, const json_t *flow_runs, const json_t *flows,
                           int64_t *ret_count, struct error *err)
{
	AUTO_JSON *reports = filter != NULL ? json_deep_copy(filter) : json_object();
	int64_t kept = 0;

	if (reports == NULL || json_object_set_new(reports, "key", json_pack("{s:[s]}", "any_", REPORT_KEY)) != 0)
		return error_nomem(err);
	int rc = artifact_count(prefect, &(struct artifact_query){.artifacts = filter, .flow_runs = flow_runs, .flows = flows},
	                        ret_count, err);
	if (rc != 0 || *ret_count == 0)
		return rc;
	rc = artifact_count(prefect, &(struct artifact_query){.artifacts = reports, .flow_runs = flow_runs, .flows = flows}, &kept, err);
	if (rc == 0)
		*ret_count = kept < *ret_count ? *ret_count - kept : 0;
	return rc;
}

int window_count(struct prefect *prefect, const struct plan *plan, int64_t *ret_count, struct error *err)
{
	int64_t total = 0;

	for (size_t i = 0; i < plan->slice_count; i++) {
		int64_t count = 0;
		int rc = plan->slices[i].count > 0
		                 ? window_count_artifacts(prefect, NULL, plan->slices[i].filter, NULL, &count, err)
		                 : 0;
		if (rc != 0)
			return rc;
		total += count;
	}
	*ret_count = total;
	return 0;
}

static size_t count_ids(const json_t *runs)
{
	const char *run;
	json_t *ids;
	size_t count = 0;

	json_object_foreach((json_t *)(uintptr_t)runs, run, ids)
		count += json_array_size(ids);
	return count;
}

/* --- finding ------------------------------------------------------------------------------------------------ */

/* A page of artifacts can be too much for one answer, or one of them cannot be read; both are said at once. */
static bool is_page_fault(struct prefect *prefect, int rc)
{
	return rc == ERR_INVALID || rc == ERR_DECODE || (rc == ERR_TRANSPORT && prefect_last_effort(prefect)->tries <= 1);
}

/* The page at query->offset; halves query->limit as long as that may help. An artifact that cannot be read alone: no rows, and
 * *ret_skipped. */
static int read_page(struct prefect *prefect, struct artifact_query *query, struct artifact **ret_found, size_t *ret_count,
                     bool *ret_skipped, struct error *err)
{
	int rc;

	*ret_skipped = false;
	while ((rc = artifact_filter(prefect, query, ret_found, ret_count, err)) != 0 && is_page_fault(prefect, rc) && query->limit > 1)
		query->limit /= 2;
	if (rc == 0 || rc == ERR_INVALID || !is_page_fault(prefect, rc))
		return rc;
	*ret_skipped = true;
	return 0;
}

/* Adds a row of a page; cleanup reports stay, and artifacts of no run do not count. */
static int take(json_t *runs, const struct artifact *artifact, const json_t *only, struct error *err)
{
	json_t *ids = json_object_get(runs, artifact->flow_run_id);

	if (artifact->flow_run_id[0] == '\0' || (artifact->key != NULL && strcmp(artifact->key, REPORT_KEY) == 0))
		return 0;
	/* Not taken on trust: a filter that is not understood matches everything. */
	if (only != NULL && json_object_get(only, artifact->flow_run_id) == NULL)
		return error_set(err, ERR_DECODE, "POST /artifacts/filter: an artifact of another flow run than was asked for");
	if (ids == NULL && json_object_set_new(runs, artifact->flow_run_id, ids = json_array()) != 0)
		return error_nomem(err);
	return json_array_append_new(ids, json_string(artifact->id)) == 0 ? 0 : error_nomem(err);
}

/* Reads pages of @query into @runs until there are no more, or until @most artifacts are found: *ret_whole. */
static int read_pages(struct prefect *prefect, struct artifact_query query, const json_t *only, size_t most, json_t *runs,
                      bool *ret_whole, struct error *err)
{
	*ret_whole = true;
	query.limit = PAGE_MAX;
	for (bool more = true; more;) {
		struct artifact *found = NULL;
		size_t count = 0;
		bool skipped;

		int rc = read_page(prefect, &query, &found, &count, &skipped, err);
		for (size_t i = 0; rc == 0 && i < count; i++)
			rc = take(runs, &found[i], only, err);
		artifacts_release(found, count);
		if (rc != 0)
			return rc;
		*ret_whole = *ret_whole && !skipped;
		query.offset += skipped ? 1 : (int64_t)count;
		more = skipped || count >= (size_t)query.limit;
		if (more && count_ids(runs) >= most) {
			*ret_whole = false;
			return 0;
		}
	}
	return 0;
}

/* Leaves @count of the runs, and one at least. */
static void leave_some(json_t *runs, size_t count)
{
	const char *run;
	json_t *ids;
	void *next;

	json_object_foreach_safe(runs, next, run, ids)
		if (json_object_size(runs) > count && json_object_size(runs) > 1)
			(void)json_object_del(runs, run);
}

json_t *window_run_ids(const json_t *runs)
{
	json_t *list = json_array();
	const char *run;
	json_t *ids;

	json_object_foreach((json_t *)(uintptr_t)runs, run, ids)
		if (list != NULL && json_array_append_new(list, json_string(run)) != 0) {
			json_decref(list);
			return NULL;
		}
	return list;
}

/* An ArtifactFilter; NULL without memory. */
static json_t *of_runs(const json_t *ids)
{
	return json_pack("{s:{s:O}}", "flow_run_id", "any_", ids);
}

/* Makes @runs hold all artifacts of its runs, of fewer runs where that is too much for one window. */
static int complete(struct prefect *prefect, json_t *runs, bool *ret_whole, struct error *err)
{
	for (;;) {
		AUTO_JSON *list = window_run_ids(runs);
		AUTO_JSON *filter = list != NULL ? of_runs(list) : NULL;
		int64_t count = 0;

		if (filter == NULL)
			return error_nomem(err);
		int rc = window_count_artifacts(prefect, filter, NULL, NULL, &count, err);
		if (rc != 0)
			return rc;
		*ret_whole = true;
		if (count == (int64_t)count_ids(runs))
			return 0;
		if (count > ARTIFACTS_MAX && json_object_size(runs) > 1) {
			leave_some(runs, json_object_size(runs) / 2);
			continue;
		}
		AUTO_JSON *only = json_copy(runs);
		if (only == NULL)
			return error_nomem(err);
		(void)json_object_clear(runs);
		return read_pages(prefect, (struct artifact_query){.artifacts = filter}, only, STORED_MAX, runs, ret_whole, err);
	}
}

int window_find(struct prefect *prefect, const json_t *filter, size_t most, json_t **ret_runs, bool *ret_whole, struct error *err)
{
	AUTO_JSON *runs = json_object();
	bool all;

	*ret_whole = true;
	if (runs == NULL || filter == NULL)
		return error_nomem(err);
	int rc = read_pages(prefect, (struct artifact_query){.flow_runs = filter}, NULL, 1, runs, &all, err);
	leave_some(runs, most);
	if (rc == 0 && json_object_size(runs) > 0)
		rc = complete(prefect, runs, ret_whole, err);
	else if (rc == 0)
		*ret_whole = all;
	if (rc == 0)
		*ret_runs = json_incref(runs);
	return rc;
}

int window_find_of(struct prefect *prefect, const json_t *ids, json_t **ret_runs, bool *ret_whole, struct error *err)
{
	AUTO_JSON *filter = of_runs(ids);
	AUTO_JSON *only = json_object();
	AUTO_JSON *runs = json_object();
	size_t i;
	json_t *id;

	if (filter == NULL || only == NULL || runs == NULL)
		return error_nomem(err);
	json_array_foreach(ids, i, id)
		if (json_object_set_new(only, json_string_value(id), json_true()) != 0)
			return error_nomem(err);
	int rc = read_pages(prefect, (struct artifact_query){.artifacts = filter}, only, STORED_MAX, runs, ret_whole, err);
	if (rc == 0)
		*ret_runs = json_incref(runs);
	return rc;
}

int window_add(struct window *window, const json_t *found, struct error *err)
{
	if (window->runs == NULL && (window->runs = json_object()) == NULL)
		return error_nomem(err);
	if (json_object_size(window->runs) > 0 && count_ids(window->runs) + count_ids(found) > STORED_MAX) {
		(void)json_object_clear(window->runs);
		(void)json_object_clear(window->ours);
		window->unsure = true;
	}
	return json_object_update(window->runs, (json_t *)(uintptr_t)found) == 0 ? 0 : error_nomem(err);
}

/* --- keeping ------------------------------------------------------------------------------------------------ */

static bool is_ours(const struct window *window, const char *run)
{
	return json_object_get(window->ours, run) != NULL;
}

/* Without memory for it, it is not ours: its artifacts stay. */
void window_note_deleted(struct window *window, const char *run)
{
	if (json_object_get(window->runs, run) == NULL)
		return;
	if (window->ours == NULL)
		window->ours = json_object();
	if (json_object_set_new(window->ours, run, json_true()) != 0)
		window->unsure = true;
}

static const char *key_of(int64_t number)
{
	return number % 2 != 0 ? WINDOW_KEY : WINDOW_KEY_OTHER;
}

int window_store(struct flow_ctx *ctx, const struct plan *plan, struct window *window, struct error *err)
{
	AUTO_JSON *none = json_object();
	AUTO_JSON *ours = window_run_ids(window->ours != NULL ? window->ours : none);
	AUTO_JSON *value = json_pack("{s:s, s:I, s:O, s:O, s:I, s:I, s:b, s:b}", "plan", plan->digest, "number",
	                             (json_int_t)window->number + 1, "runs", window->runs, "ours", ours, "deleted",
	                             (json_int_t)window->deleted, "others", (json_int_t)window->others, "unsure", window->unsure, "parts", window->parts);

	/* Which replaces the one before the last. */
	int rc = value == NULL ? error_nomem(err) : flow_checkpoint_write(ctx, key_of(window->number + 1), value, err);
	window->number += rc == 0;
	return rc;
}

static bool are_ids(const json_t *list)
{
	char parsed[UUID_SIZE];
	size_t i;
	json_t *id;

	json_array_foreach(list, i, id)
		if (!json_is_string(id) || !uuid_parse_text(json_string_value(id), parsed))
			return false;
	return json_is_array(list);
}

static bool is_window(const json_t *stored)
{
	json_t *runs = json_object_get(stored, "runs");
	char parsed[UUID_SIZE];
	const char *run;
	json_t *ids;

	json_object_foreach(runs, run, ids)
		if (!uuid_parse_text(run, parsed) || !are_ids(ids))
			return false;
	return json_is_object(runs) && json_integer_value(json_object_get(stored, "deleted")) >= 0 &&
	       json_integer_value(json_object_get(stored, "others")) >= 0 &&
	       (json_object_get(stored, "ours") == NULL || are_ids(json_object_get(stored, "ours")));
}

/* The latest of this plan, a new reference; NULL where there is none. *ret_unsure: there is one that cannot be read. */
static int read_stored(struct flow_ctx *ctx, const struct plan *plan, json_t **ret_stored, bool *ret_unsure, struct error *err)
{
	AUTO_JSON *latest = NULL;

	*ret_unsure = false;
	for (int i = 0; i < 2; i++) {
		AUTO_JSON *stored = NULL;

		int rc = flow_checkpoint_read(ctx, key_of(i), &stored, err);
		if (rc != 0 && rc != ERR_NOT_FOUND)
			return rc;
		const char *digest = json_string_value(json_object_get(stored, "plan"));
		/* Of another plan, or of none: of the approved one there is nothing then. */
		bool ours = digest != NULL && strcmp(digest, plan->digest) == 0;
		*ret_unsure = *ret_unsure || (ours && !is_window(stored));
		if (!ours || !is_window(stored) ||
		    (latest != NULL && json_integer_value(json_object_get(stored, "number")) <
		                               json_integer_value(json_object_get(latest, "number"))))
			continue;
		json_decref(latest);
		latest = json_incref(stored);
	}
	*ret_stored = json_incref(latest);
	return 0;
}

/* --- deleting ----------------------------------------------------------------------------------------------- */

/* Those of @runs[from..] that were asked for and exist: removed from @gone. *asked: how many; fewer where that is too much. */
static int drop_existing(struct prefect *prefect, const json_t *runs, size_t from, size_t *asked, json_t *gone, struct error *err)
{
	int rc;

	do {
		AUTO_JSON *some = json_array();
		AUTO_JSON *filter = json_pack("{s:{s:O}}", "id", "any_", some);
		struct flow_run *found;
		size_t count;

		for (size_t i = from; i < json_array_size(runs) && i < from + *asked; i++)
			if (some == NULL || json_array_append(some, json_array_get(runs, i)) != 0)
				return error_nomem(err);
		if (filter == NULL)
			return error_nomem(err);
		rc = flow_run_filter(prefect, &(struct flow_run_query){.flow_runs = filter, .limit = (int)*asked}, &found, &count, err);
		if (rc == 0) {
			for (size_t i = 0; i < count; i++)
				(void)json_object_del(gone, found[i].id);
			flow_runs_release(found, count);
		}
	} while (rc == ERR_INVALID && *asked > 1 && (*asked /= 2) > 0);
	return rc;
}

/* Of @runs (an object) those that do not exist any more: a new object. */
static int find_gone(struct prefect *prefect, const json_t *runs, json_t **ret_gone, struct error *err)
{
	AUTO_JSON *gone = json_copy((json_t *)(uintptr_t)runs);
	AUTO_JSON *list = window_run_ids(runs);
	size_t asked = ASKED_MAX;
	int rc = 0;

	if (gone == NULL || list == NULL)
		return error_nomem(err);
	for (size_t from = 0; rc == 0 && from < json_array_size(list); from += asked)
		rc = drop_existing(prefect, list, from, &asked, gone, err);
	if (rc == 0)
		*ret_gone = json_incref(gone);
	return rc;
}

/* A list that is empty by mistake would cost artifacts of runs that are there: the server has to say it in another way too. */
static int confirm_gone(struct prefect *prefect, const json_t *gone, struct error *err)
{
	AUTO_JSON *list = window_run_ids(gone);
	AUTO_JSON *filter = list != NULL ? json_pack("{s:{s:O}}", "id", "any_", list) : NULL;
	int64_t there = 0;

	if (filter == NULL)
		return error_nomem(err);
	int rc = flow_run_count(prefect, &(struct flow_run_query){.flow_runs = filter}, &there, err);
	if (rc == 0 && there > 0)
		rc = error_set(err, ERR_BUSY, "POST /flow_runs/filter and /flow_runs/count do not agree on which flow runs exist");
	return rc;
}

/* The artifacts of one run that is gone; the last first, so that what is done can leave the list. */
static int clear_run(struct prefect *prefect, struct window *window, json_t *ids, const struct window_care *care, struct error *err)
{
	while (json_array_size(ids) > 0) {
		size_t last = json_array_size(ids) - 1;
		int rc = artifact_delete(prefect, json_string_value(json_array_get(ids, last)), err);

		if (rc != 0 && rc != ERR_NOT_FOUND)
			return rc;
		window->deleted++;
		(void)json_array_remove(ids, last);
		if (care != NULL && !care->go_on(care->arg))
			return error_set(err, ERR_STOPPED, "stopped");
	}
	return 0;
}

int window_clear(struct prefect *prefect, struct window *window, bool all, const struct window_care *care, struct error *err)
{
	AUTO_JSON *gone = NULL;
	const char *run;
	json_t *ids;
	void *next;

	if (json_object_size(window->runs) == 0)
		return 0;
	int rc = find_gone(prefect, window->runs, &gone, err);
	json_object_foreach_safe(gone, next, run, ids)
		if (!all && !is_ours(window, run))
			(void)json_object_del(gone, run);
	if (rc == 0 && json_object_size(gone) > 0)
		rc = confirm_gone(prefect, gone, err);
	if (rc != 0)
		return rc;
	json_decref(window->runs);
	window->runs = json_incref(gone);
	(void)json_object_clear(window->ours);
	json_object_foreach(gone, run, ids)
		window_note_deleted(window, run);
	json_object_foreach_safe(gone, next, run, ids)
	{
		if ((rc = clear_run(prefect, window, ids, care, err)) != 0)
			break;
		(void)json_object_del(window->ours, run);
		(void)json_object_del(gone, run);
	}
	return rc;
}

/* --- going on with what is stored --------------------------------------------------------------------------- */

/* How many of these runs (an array of ids) match the plan now. */
static int count_matching(struct prefect *prefect, const struct plan *plan, json_t *ids, int64_t *ret_count, struct error *err)
{
	*ret_count = 0;
	for (size_t i = 0; i < plan->slice_count; i++) {
		AUTO_JSON *filter = slice_filter_ids(&plan->slices[i], ids, /* only= */ true);
		int64_t count = 0;

		int rc = filter == NULL ? error_nomem(err)
		                        : flow_run_count(prefect, &(struct flow_run_query){.flow_runs = filter}, &count, err);
		if (rc != 0)
			return rc;
		*ret_count += count;
	}
	return 0;
}

/* Runs of the window of whose deletion no answer was written down: which of those that are gone did we delete? See window.h. */
static int decide_on_doubtful(struct prefect *prefect, const struct plan *plan, struct window *window, struct error *err)
{
	AUTO_JSON *doubtful = json_copy(window->runs);
	AUTO_JSON *gone = NULL;
	int64_t matching = 0;
	const char *run;
	json_t *ids;
	void *next;

	if (doubtful == NULL)
		return error_nomem(err);
	json_object_foreach_safe(doubtful, next, run, ids)
		if (is_ours(window, run))
			(void)json_object_del(doubtful, run);
	int rc = find_gone(prefect, doubtful, &gone, err);
	if (rc != 0 || json_object_size(gone) == 0)
		return rc;
	AUTO_JSON *list = window_run_ids(doubtful);
	rc = confirm_gone(prefect, gone, err);
	if (rc == 0 && !window->parts)
		rc = count_matching(prefect, plan, list, &matching, err);
	if (rc != 0)
		return rc;
	json_object_foreach(gone, run, ids)
		if (matching == 0)
			window_note_deleted(window, run);
		else
			(void)json_object_del(window->runs, run);
	if (matching > 0) {
		window->others += (int64_t)json_object_size(gone);
		window->unsure = true;
	}
	return 0;
}

/* Takes what is not there any more out of the window: an earlier start of the body deleted it. */
static int drop_deleted(struct prefect *prefect, struct window *window, struct error *err)
{
	AUTO_JSON *ids = json_array();
	AUTO_JSON *filter = json_pack("{s:{s:O}}", "id", "any_", ids);
	int64_t there = 0;
	const char *run;
	json_t *some;
	void *next;

	json_object_foreach(window->runs, run, some)
		if (ids == NULL || (is_ours(window, run) && json_array_extend(ids, some) != 0))
			return error_nomem(err);
	if (filter == NULL)
		return error_nomem(err);
	int rc = json_array_size(ids) > 0 ? artifact_count(prefect, &(struct artifact_query){.artifacts = filter}, &there, err) : 0;
	if (rc != 0)
		return rc;
	if (there > 0)
		return 0;
	window->deleted += (int64_t)json_array_size(ids);
	json_object_foreach_safe(window->runs, next, run, some)
		if (is_ours(window, run))
			(void)json_object_del(window->runs, run);
	(void)json_object_clear(window->ours);
	return 0;
}

int window_read(struct flow_ctx *ctx, const struct plan *plan, struct window *ret_window, struct error *err)
{
	AUTO_JSON *stored = NULL;
	struct window window = {0};
	size_t i;
	json_t *id;
	bool unsure;

	int rc = read_stored(ctx, plan, &stored, &unsure, err);
	if (rc != 0)
		return rc;
	window.runs = stored != NULL ? json_deep_copy(json_object_get(stored, "runs")) : json_object();
	json_array_foreach(json_object_get(stored, "ours"), i, id)
		window_note_deleted(&window, json_string_value(id));
	window.parts = json_is_true(json_object_get(stored, "parts"));
	window.unsure = window.unsure || unsure || json_is_true(json_object_get(stored, "unsure"));
	window.deleted = json_integer_value(json_object_get(stored, "deleted"));
	window.others = json_integer_value(json_object_get(stored, "others"));
	window.number = json_integer_value(json_object_get(stored, "number"));
	rc = window.runs == NULL ? error_nomem(err) : decide_on_doubtful(flow_api(ctx), plan, &window, err);
	if (rc == 0)
		rc = drop_deleted(flow_api(ctx), &window, err);
	if (rc == 0)
		*ret_window = window;
	else
		window_release(&window);
	return rc;
}
