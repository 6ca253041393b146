#include "flows/database_cleanup/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/base/text.h"

#define STEP "delete"
#define PART_PREFIX "batches-"

void progress_describe(const struct progress *progress, int64_t done, struct text *text)
{
	int64_t ms = clock_mono_ms() - progress->started_ms;
	int64_t now = done - progress->begun;
	char span[TIME_TEXT_SIZE];

	text_addf(text, "Deleted **%" PRId64 " / %" PRId64 "** flow runs", done, progress->total);
	if (ms <= 0 || now <= 0)
		return;
	text_addf(text, ", %.0f a second", (double)now * 1000 / (double)ms);
	if (done < progress->total)
		text_addf(text, ", about %s left", span_format((int64_t)((double)(progress->total - done) * (double)ms / (double)now), span));
}

static void show(struct progress *progress, int64_t done, bool last)
{
	AUTO_TEXT text = {.max = 200};

	progress_describe(progress, done, &text);
	flow_progress(progress->ctx, STEP, PROGRESS_ARTIFACT_KEY,
	              progress->total > 0 ? 100.0 * (double)done / (double)progress->total : 100.0, text_str(&text), last);
}

/* Drawing must not slow the deletion down: the next part is so many times as long as drawing this one took. */
#define PART_REST 10

static void end_part(struct progress *progress, int64_t done, int64_t left)
{
	AUTO_TEXT message = {.max = 200};
	int64_t now = clock_mono_ms();

	if (progress->part[0] == '\0')
		return;
	if (done > progress->part_from)
		text_addf(&message, "flow runs %" PRId64 " to %" PRId64 " of %" PRId64, progress->part_from + 1, done, progress->total);
	if (left > 0)
		text_addf(&message, "%s%" PRId64 " flow runs could not be deleted", message.len > 0 ? "; then " : "", left);
	flow_step_end(progress->ctx, progress->part, left > 0 ? STATE_FAILED : STATE_COMPLETED, message.len > 0 ? text_str(&message) : NULL);
	(void)snprintf(progress->before, sizeof progress->before, "%s", progress->part);
	progress->part[0] = '\0';
	progress->number++;
	progress->write_ms = clock_mono_ms() - now;
}

static void name_part(int number, char name[PROGRESS_NAME_SIZE])
{
	(void)snprintf(name, PROGRESS_NAME_SIZE, PART_PREFIX "%02d", number);
}

/* Ends the part that an earlier start of the body was at, and finds the number to go on with. */
static void go_on_after(struct progress *progress, int64_t done)
{
	char message[120];
	char name[PROGRESS_NAME_SIZE];

	(void)snprintf(message, sizeof message, "interrupted; the run went on when %" PRId64 " of %" PRId64 " flow runs were deleted", done,
	               progress->total);
	flow_steps_end_like(progress->ctx, PART_PREFIX, STATE_COMPLETED, message);
	for (progress->number = 1; progress->number <= PROGRESS_NUMBER_MAX; progress->number++) {
		name_part(progress->number, name);
		if (flow_step_state(progress->ctx, name) == STATE_UNKNOWN)
			break;
		memcpy(progress->before, name, sizeof name);
	}
}

void progress_start(struct progress *progress, struct flow_ctx *ctx, int64_t total, int64_t done)
{
	*progress = (struct progress){.ctx = ctx, .total = total, .begun = done, .started_ms = clock_mono_ms()};
	flow_step_begin(ctx, STEP, "approval");
	go_on_after(progress, done);
	show(progress, done, true);
}

void progress_batch(struct progress *progress, int64_t done)
{
	int64_t now = clock_mono_ms();

	if (progress->part[0] != '\0' || progress->number > PROGRESS_NUMBER_MAX)
		return;
	name_part(progress->number, progress->part);
	flow_step_begin(progress->ctx, progress->part, progress->before[0] != '\0' ? progress->before : STEP);
	progress->part_from = done;
	progress->part_ms = clock_mono_ms();
	progress->write_ms += progress->part_ms - now;
}

void progress_note(struct progress *progress, int64_t done)
{
	int64_t least_ms = PART_REST * progress->write_ms;

	show(progress, done, false);
	if (least_ms < PROGRESS_PART_MS)
		least_ms = PROGRESS_PART_MS;
	if (clock_mono_ms() - progress->part_ms >= least_ms && done > progress->part_from &&
	    done - progress->part_from >= progress->total / PROGRESS_PARTS)
		end_part(progress, done, 0);
}

void progress_end(struct progress *progress, int64_t done, int64_t left)
{
	char message[80];

	end_part(progress, done, left);
	show(progress, done, true);
	(void)snprintf(message, sizeof message, "%" PRId64 " flow runs of the plan could not be deleted", left);
	flow_step_end(progress->ctx, STEP, left > 0 ? STATE_FAILED : STATE_COMPLETED, left > 0 ? message : NULL);
}

const char *progress_last_step(const struct progress *progress)
{
	return progress->before[0] != '\0' ? progress->before : STEP;
}
