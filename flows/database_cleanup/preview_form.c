#include "flows/database_cleanup/preview_form.h"

#include <inttypes.h>
#include <string.h>

#include "client/base/text.h"

#define FORM_MAX (8 * 1024)
#define STAYS_MAX 600
#define REASON_MAX 160

static void add_stays(struct text *t, const struct preview *preview, const struct plan *plan)
{
	AUTO_TEXT stays = {.max = STAYS_MAX};

	if (!preview->stays.known)
		return;
	preview_stays_add(&preview->stays, plan, &stays);
	if (stays.len > 0)
		text_addf(t, "- Stay: %s\n", text_str(&stays));
}

/* A line of the dialog has room for some fifty letters. */
static const char *minutes_of(time_us t, char buf[TIME_TEXT_SIZE])
{
	char whole[TIME_TEXT_SIZE];

	(void)snprintf(buf, TIME_TEXT_SIZE, "%.16s UTC", time_format_human(t, whole));
	return buf;
}

static void add_decision(struct text *t, const struct preview *preview, const struct plan *plan, time_us until)
{
	bool paced = !plan->dry_run && preview->pace > 0;
	double seconds = paced ? (double)plan->total / preview->pace : 0;
	char buf[TIME_TEXT_SIZE];

	if (until == 0 && !paced)
		return;
	text_addf(t, "- ");
	if (until != 0)
		text_addf(t, "Decide until %s", minutes_of(until, buf));
	if (paced)
		text_addf(t, "%s takes %s%s", until != 0 ? ";" : "It", seconds < 60 ? "less than a minute" : "about ",
		          seconds < 60 ? "" : span_format((int64_t)seconds * 1000, buf));
	text_addf(t, "\n");
}

static void add_extent(struct text *t, const struct preview *preview, const struct plan *plan)
{
	const struct preview_extent *extent = &preview->extent;

	if (!extent->known) {
		text_addf(t, "- With task runs, logs and artifacts\n");
		return;
	}
	text_addf(t, "- With %" PRId64 " task runs, %" PRId64 " artifacts, %s%" PRId64 " log lines\n", extent->task_runs, extent->artifacts,
	          extent->logs_known ? "" : "about ", preview_log_lines(extent, plan));
}

/* One line; all of it is on the page. */
static void add_advice(struct text *t, const json_t *advice)
{
	const char *reasoning = json_string_value(json_object_get(advice, "reasoning"));
	const char *unsure = json_string_value(json_object_get(advice, "unsure"));

	if (advice == NULL)
		return;
	text_addf(t, "- **An AI agent looked at this plan; you decide.**");
	if (reasoning != NULL) {
		text_addf(t, " It would%s approve it, with confidence %.3g: ", json_is_true(json_object_get(advice, "approved")) ? "" : " not",
		          json_number_value(json_object_get(advice, "confidence")));
		text_add_markdown(t, reasoning, strlen(reasoning), REASON_MAX);
	}
	if (unsure != NULL) {
		text_addf(t, " Its answer carries no approval: ");
		text_add_markdown(t, unsure, strlen(unsure), REASON_MAX);
	}
	text_addf(t, "\n");
}

char *preview_form_markdown(const struct preview *preview, const struct plan *plan, const struct preview_form *form)
{
	struct text t = {.max = FORM_MAX};
	char buf[TIME_TEXT_SIZE];

	text_addf(&t, "**%" PRId64 " flow run%s would be deleted**%s\n\n- States: ", plan->total, plan->total == 1 ? "" : "s",
	          plan->dry_run ? " (dry run: nothing will be deleted, whatever you decide)" : "");
	preview_add_states(preview, plan, &t);
	text_addf(&t, "\n- %s before %s (", plan->by_end ? "Ended" : "Started", minutes_of(plan->cutoff, buf));
	preview_add_period(plan, &t);
	text_addf(&t, ")\n");
	if (!plan->by_end && preview->stays.ended_within > 0)
		text_addf(&t, "- %" PRId64 " of them ended after that\n", preview->stays.ended_within);
	add_extent(&t, preview, plan);
	add_stays(&t, preview, plan);
	add_decision(&t, preview, plan, form->until);
	add_advice(&t, form->advice);
	/* From the run's page, in either UI. */
	if (form->page[0] != '\0')
		text_addf(&t, "- [Flows, deployments, oldest runs](../../artifacts/artifact/%s)\n", form->page);
	text_addf(&t, "\n" PLAN_SHOWN "%s`\n", plan->digest);
	return text_take(&t);
}
