#include "flows/database_cleanup/belongings.h"

#include <stdlib.h>
#include <string.h>

#include "client/prefect/run_log.h"
#include "flows/database_cleanup/window.h"

/* Where the server's queue is long, that is said; nobody waits for its end. */
#define LOGS_WAIT_MS 10000
#define LOGS_LOOK_MS 250
#define CHECK_EVERY_MS 1000

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

json_t *tally_page(const struct tally *tally, size_t from)
{
	json_t *page = json_array();

	for (size_t i = from; i < tally->count && i < from + PREFECT_PAGE_MAX; i++)
		(void)json_array_append_new(page, json_string(tally->ids[i]));
	return page;
}

void tally_release(struct tally *tally)
{
	free(tally->ids);
	*tally = (struct tally){0};
}

/* --- at the end ---------------------------------------------------------------------------------------------- */

/* Runs of the page that still have log lines, once the wait is over or there are none; -1: not known. *ret_more: it may be
 * more of them. */
static int64_t wait_for_logs(struct flow_ctx *ctx, const json_t *page, int64_t until_ms, bool *ret_more)
{
	int64_t lines = 0;
	int64_t runs = 0;

	while (run_log_look(flow_api(ctx), page, &lines, &runs, NULL) == 0) {
		if (lines == 0 || clock_mono_ms() >= until_ms || !flow_wait(ctx, LOGS_LOOK_MS)) {
			*ret_more = *ret_more || lines >= PREFECT_PAGE_MAX;
			return runs;
		}
	}
	return -1;
}

/* One look at a page, and the end of what it finds. */
struct look {
	struct flow_ctx *ctx;
	int64_t until_ms;
};

static bool look_goes_on(void *arg)
{
	const struct look *look = arg;

	return clock_mono_ms() < look->until_ms && (flow_checked_ago_ms(look->ctx) < CHECK_EVERY_MS || flow_may_go_on(look->ctx));
}

/* Deletes what the runs of the page, all of them deleted, have left, and counts what is left then; -1: not known. */
static int64_t clear_page(struct look *look, json_t *page, int64_t *ret_deleted)
{
	struct prefect *prefect = flow_api(look->ctx);
	AUTO_JSON *filter = json_pack("{s:{s:O}}", "flow_run_id", "any_", page);
	struct window window = {0};
	bool whole;
	int64_t count = 0;

	if (filter == NULL || window_count_artifacts(prefect, filter, NULL, NULL, &count, NULL) != 0)
		return -1;
	if (count == 0)
		return 0;
	if (window_find_of(prefect, page, &window.runs, &whole, NULL) == 0 &&
	    window_clear(prefect, &window, true, &(struct window_care){look_goes_on, look}, NULL) != 0)
		flow_log(look->ctx, LOG_LEVEL_DEBUG, "not all artifacts of deleted flow runs could be deleted now");
	*ret_deleted += window.deleted;
	window_release(&window);
	return window_count_artifacts(prefect, filter, NULL, NULL, &count, NULL) == 0 ? count : -1;
}

void leftovers_look(struct flow_ctx *ctx, const struct tally *tally, struct leftovers *ret_leftovers)
{
	struct look look = {.ctx = ctx, .until_ms = clock_mono_ms() + LOGS_WAIT_MS};
	struct leftovers found = {0};

	for (size_t from = 0; from < tally->count; from += PREFECT_PAGE_MAX) {
		AUTO_JSON *page = tally_page(tally, from);
		int64_t left = clear_page(&look, page, &found.artifacts_deleted);
		int64_t runs;

		found.artifacts_left = left < 0 || found.artifacts_left < 0 ? -1 : found.artifacts_left + left;
		runs = flow_halted(ctx) ? -1 : wait_for_logs(ctx, page, look.until_ms, &found.logs_more);
		if (runs < 0) {
			found.artifacts_left = -1;
			break;
		}
		found.logs_checked += (int64_t)json_array_size(page);
		found.logs_left += runs;
	}
	*ret_leftovers = found;
}
