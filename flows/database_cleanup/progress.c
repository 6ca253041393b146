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

static void end_part(struct progress *progress, int64_t done, enum state_type type)
{
	char message[100];

	if (progress->part[0] == '\0')
		return;
	(void)snprintf(message, sizeof message, "flow runs %" PRId64 " to %" PRId64 " of %" PRId64, progress->part_from + 1, done,
	               progress->total);
	flow_step_end(progress->ctx, progress->part, type, done > progress->part_from ? message : NULL);
	(void)snprintf(progress->before, sizeof progress->before, "%s", progress->part);
	progress->part[0] = '\0';
}

/* By number, so that a body that is started again goes on with the part that its predecessor was at. False: no more parts. */
static bool name_part(const struct progress *progress, int64_t done, char name[PROGRESS_NAME_SIZE])
{
	int64_t number = progress->total > 0 ? 1 + done * PROGRESS_PARTS / progress->total : 1;

	(void)snprintf(name, PROGRESS_NAME_SIZE, PART_PREFIX "%02d", (int)number);
	return number <= PROGRESS_PARTS;
}

void progress_start(struct progress *progress, struct flow_ctx *ctx, int64_t total, int64_t done)
{
	char part[PROGRESS_NAME_SIZE];

	*progress = (struct progress){.ctx = ctx, .total = total, .begun = done, .started_ms = clock_mono_ms()};
	flow_step_begin(ctx, STEP, "approval");
	/* One that was killed came no further with its part. */
	(void)name_part(progress, done, part);
	if (done > 0)
		flow_steps_end_like(ctx, PART_PREFIX, part, STATE_COMPLETED);
	show(progress, done, true);
}

void progress_batch(struct progress *progress, int64_t done)
{
	char part[PROGRESS_NAME_SIZE];

	if (progress->part[0] != '\0' || !name_part(progress, done, part))
		return;
	memcpy(progress->part, part, sizeof part);
	progress->part_from = done;
	progress->part_ms = clock_mono_ms();
	flow_step_begin(progress->ctx, progress->part, progress->before[0] != '\0' ? progress->before : STEP);
}

void progress_note(struct progress *progress, int64_t done)
{
	show(progress, done, false);
	if (clock_mono_ms() - progress->part_ms >= PROGRESS_PART_MS && done - progress->part_from >= progress->total / PROGRESS_PARTS)
		end_part(progress, done, STATE_COMPLETED);
}

void progress_end(struct progress *progress, int64_t done, bool failed)
{
	end_part(progress, done, failed ? STATE_FAILED : STATE_COMPLETED);
	show(progress, done, true);
	flow_step_end(progress->ctx, STEP, failed ? STATE_FAILED : STATE_COMPLETED, NULL);
}

const char *progress_last_step(const struct progress *progress)
{
	return progress->before[0] != '\0' ? progress->before : STEP;
}
