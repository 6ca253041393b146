#include "flows/database_cleanup/pace.h"

#include <inttypes.h>

/* So many 503 for one call: more than a lock of a moment. */
#define BUSY_MANY 4
#define GOOD_IN_A_ROW 3
/* The first pause where none was asked for. */
#define PAUSE_FIRST_MS 50

void pace_read(struct flow_ctx *ctx, int batch_size, struct pace_settings *ret_settings)
{
	*ret_settings = (struct pace_settings){
		.target_ms = flow_job_variable(ctx, "batch_target_ms", 1000, 10, 600000),
		.batch_most = batch_size,
		.batch_least = (int)flow_job_variable(ctx, "batch_size_min", 5, 1, 1000),
		.pause_least_ms = flow_job_variable(ctx, "batch_pause_ms", 100, 0, 600000),
		.pause_most_ms = flow_job_variable(ctx, "batch_pause_max_ms", 10000, 0, 600000),
	};
}

void pace_init(struct pace *pace, const struct pace_settings *settings)
{
	*pace = (struct pace){
		.settings = *settings,
		.call_most = settings->batch_most,
		.batch = settings->batch_most,
		.pause_ms = settings->pause_least_ms,
	};
	/* What is asked for goes before the bounds. */
	if (pace->settings.batch_least > settings->batch_most)
		pace->settings.batch_least = settings->batch_most;
	if (pace->settings.pause_most_ms < settings->pause_least_ms)
		pace->settings.pause_most_ms = settings->pause_least_ms;
}

static int64_t within(int64_t value, int64_t least, int64_t most)
{
	return value < least ? least : value > most ? most : value;
}

/* What a call takes of a batch: what counts, for the server and for who reads of it. */
static int at_a_time(const struct pace *pace)
{
	return pace->batch < pace->call_most ? pace->batch : pace->call_most;
}

/* A batch is slow when its calls are: the first step goes below what one call takes. */
static void slower(struct pace *pace)
{
	const struct pace_settings *s = &pace->settings;
	int batch = at_a_time(pace);
	int64_t pause = pace->pause_ms > 0 ? 2 * pace->pause_ms : PAUSE_FIRST_MS;

	pace->batch = (int)within(batch / 2, s->batch_least, pace->batch);
	pace->pause_ms = within(pause, pace->pause_ms, s->pause_most_ms);
}

static void faster(struct pace *pace)
{
	const struct pace_settings *s = &pace->settings;
	int64_t pause = pace->pause_ms / 2 >= PAUSE_FIRST_MS ? pace->pause_ms / 2 : 0;

	pace->batch = (int)within(2 * (int64_t)pace->batch, s->batch_least, s->batch_most);
	pace->pause_ms = within(pause, s->pause_least_ms, s->pause_most_ms);
}

enum pace_step pace_note(struct pace *pace, const struct http_effort *effort, bool failed)
{
	int batch = at_a_time(pace);
	int64_t pause = pace->pause_ms;

	if (failed || effort->took_ms > pace->settings.target_ms || effort->throttled > 0 || effort->busy >= BUSY_MANY) {
		pace->good = 0;
		slower(pace);
		return at_a_time(pace) != batch || pace->pause_ms != pause ? PACE_SLOWER : PACE_SAME;
	}
	if (++pace->good < GOOD_IN_A_ROW)
		return PACE_SAME;
	pace->good = 0;
	faster(pace);
	return at_a_time(pace) != batch || pace->pause_ms != pause ? PACE_FASTER : PACE_SAME;
}

void pace_limit_calls(struct pace *pace, int most)
{
	pace->call_most = most;
}

int pace_call(const struct pace *pace, int left)
{
	return left < pace->call_most ? left : pace->call_most;
}

bool pace_is_slowed(const struct pace *pace)
{
	return (pace->batch < pace->settings.batch_most && pace->batch < pace->call_most) || pace->pause_ms > pace->settings.pause_least_ms;
}

void pace_describe(const struct pace *pace, struct text *text)
{
	text_addf(text, "%d at a time, %" PRId64 " ms between batches", at_a_time(pace), pace->pause_ms);
}

void pace_describe_step(const struct pace *pace, enum pace_step step, int runs, const struct http_effort *effort, bool failed,
                        struct text *text)
{
	char span[TIME_TEXT_SIZE];

	if (step == PACE_SLOWER) {
		text_addf(text, "slowing down: deleting up to %d flow run%s %s %s", runs, runs == 1 ? "" : "s",
		          failed ? "failed after" : "took", span_format(effort->took_ms, span));
		if (effort->tries > 1)
			text_addf(text, " and %d tries", effort->tries);
		text_addf(text, "; now ");
	} else {
		text_addf(text, "speeding up again: ");
	}
	pace_describe(pace, text);
}
