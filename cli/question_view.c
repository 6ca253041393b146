#include "cli/question_view.h"

#include <inttypes.h>
#include <string.h>

#include "cli/markdown.h"
#include "cli/outcome.h"

#define TEXT_MAX (1024 * 1024)
#define NOTES_SHOWN 4400 /* what the flow keeps of them, and who decided at a terminal */

static void add_line(struct text *out, const struct style *style, const char *title, const char *value)
{
	text_addf(out, "%s%-8s%s  %s\n", style_on(style, COLOUR_DIM), title, style_off(style, COLOUR_DIM), value);
}

static void add_when(struct text *out, time_us t, time_us now)
{
	char when[WHEN_SIZE];
	char age[TIME_TEXT_SIZE];

	text_addf(out, "%s", when_format(t, when));
	if (t > now)
		text_addf(out, ", in %s", age_format((t - now) / 1000, age));
	else
		text_addf(out, ", %s ago", age_format((now - t) / 1000, age));
}

static void add_time(struct text *out, const struct style *style, const char *title, time_us t, time_us now)
{
	AUTO_TEXT line = {.max = 300};

	if (t == 0)
		return;
	add_when(&line, t, now);
	add_line(out, style, title, text_str(&line));
}

/* --- what became of it ------------------------------------------------------------------------------------ */

static void add_clean(struct text *out, const char *value)
{
	char clean[NOTES_SHOWN];

	text_clean(clean, sizeof clean, value, strlen(value));
	text_addf(out, "%s", clean);
}

static void add_decision(const json_t *decision, const struct style *style, time_us now, struct text *out)
{
	AUTO_TEXT line = {.max = 2 * NOTES_SHOWN};
	time_us at;

	if (!json_is_object(decision))
		return;
	if (time_parse(json_text_of(decision, "decided_at"), &at)) {
		add_when(&line, at, now);
		text_addf(&line, ": ");
	}
	text_addf(&line, "%s", json_is_true(json_object_get(decision, "approved")) ? "approved" : "not approved");
	text_addf(&line, " by ");
	add_clean(&line, *json_text_of(decision, "by") != '\0' ? json_text_of(decision, "by") : "an answer to the form");
	add_line(out, style, "Decided", text_str(&line));
	text_release(&line);
	add_clean(&line, json_text_of(decision, "notes"));
	if (line.len > 0)
		add_line(out, style, "Notes", text_str(&line));
}

/* ": deleted 40 of 45 flow runs, 5 failed, in 2.2 s", as far as it is known. */
static void add_deletion(const json_t *report, struct text *line)
{
	const json_t *deletion = json_object_get(report, "deletion");
	const json_t *deleted = json_object_get(deletion, "deleted");
	const json_t *failed = json_object_get(deletion, "failed");
	const json_t *took = json_object_get(deletion, "took_ms");
	const json_t *total = json_object_get(json_object_get(report, "plan"), "total");
	char span[TIME_TEXT_SIZE];

	if (!json_is_integer(deleted)) {
		text_addf(line, ": how many flow runs were deleted cannot be told");
		return;
	}
	text_addf(line, ": deleted %lld", (long long)json_integer_value(deleted));
	if (json_is_integer(total))
		text_addf(line, " of %lld", (long long)json_integer_value(total));
	text_addf(line, " flow runs");
	if (json_integer_value(failed) > 0)
		text_addf(line, ", %lld failed", (long long)json_integer_value(failed));
	if (json_is_integer(took))
		text_addf(line, ", in %s", span_format(json_integer_value(took), span));
}

static void add_result(const json_t *report, const struct style *style, struct text *out)
{
	AUTO_TEXT line = {.max = 2000};

	if (!json_is_object(report))
		return;
	if (json_is_string(json_object_get(report, "unreadable"))) {
		text_addf(&line, "the report cannot be read: ");
		add_clean(&line, json_text_of(report, "unreadable"));
	} else {
		add_clean(&line, json_text_of(report, "outcome"));
		add_deletion(report, &line);
	}
	add_line(out, style, "Result", text_str(&line));
}

/* --- the whole ---------------------------------------------------------------------------------------------- */

static void add_head(struct session *session, const struct cleanup_run *run, const json_t *outcome, struct text *out)
{
	const struct style *style = &session->style;
	enum colour colour = style_state((enum state_type)run->state.type);
	AUTO_FREE char *page = cleanup_run_page(session, run->run.id);
	time_us now = prefect_now(session->prefect);
	AUTO_TEXT line = {.max = 2000};
	char message[STATE_MESSAGE_MAX] = "";

	if (run->state.message != NULL)
		text_clean(message, sizeof message, run->state.message, strlen(run->state.message));
	text_addf(&line, "%s%s%s", style_on(style, COLOUR_BOLD), run->run.name, style_off(style, COLOUR_BOLD));
	add_line(out, style, "Run", text_str(&line));
	add_line(out, style, "Id", run->run.id);
	text_release(&line);
	text_addf(&line, "%s%s%s%s%s", style_on(style, colour), run->run.state_name, style_off(style, colour),
	          *message != '\0' ? ": " : "", message);
	add_line(out, style, "State", text_str(&line));
	add_time(out, style, "Asked", run->asked_at, now);
	if (cleanup_run_is_open(run))
		add_time(out, style, "Until", run->deadline, now);
	if (json_is_object(json_object_get(outcome, "decision")))
		add_decision(json_object_get(outcome, "decision"), style, now, out);
	else
		add_time(out, style, "Decided", run->decided_at, now);
	add_result(json_object_get(outcome, "report"), style, out);
	add_line(out, style, "Page", page != NULL ? page : "");
}

int question_view(struct session *session, const struct cleanup_run *run, const char *description, FILE *out,
                  struct error *err)
{
	AUTO_TEXT text = {.max = TEXT_MAX};
	AUTO_JSON *outcome = NULL;

	int rc = cleanup_run_is_open(run) ? 0 : outcome_read(session, run, &outcome, err);
	if (rc != 0)
		return rc;
	add_head(session, run, outcome, &text);
	text_addf(&text, "\n");
	rc = description != NULL ? markdown_write(description, &session->style, &text, err) : 0;
	if (rc == 0)
		(void)fputs(text_str(&text), out);
	return rc;
}

int question_view_json(struct session *session, const struct cleanup_run *run, const struct plan *plan, const char *description,
                       const char *page, json_t **ret_json, struct error *err)
{
	AUTO_JSON *json = cleanup_run_json(session, run);
	AUTO_JSON *outcome = NULL;
	AUTO_JSON *answer = NULL;

	int rc = outcome_read(session, run, &outcome, err);
	if (rc != 0)
		return rc;
	if (run->decided_at != 0 && cleanup_run_answer(session, run, &answer, NULL) != 0)
		answer = json_null();
	AUTO_JSON *rest = json_pack("{s:o, s:o, s:s?, s:s?, s:o, s:O?}", "total", plan != NULL ? json_integer(plan->total) : json_null(),
	                            "digest", plan != NULL ? json_string(plan->digest) : json_null(), "description", description, "preview", page, "plan",
	                            plan != NULL ? plan_encode(plan) : json_null(), "answer", answer);
	if (json == NULL || rest == NULL || json_object_update(json, rest) != 0 || json_object_update(json, outcome) != 0)
		return error_nomem(err);
	*ret_json = json_incref(json);
	return 0;
}
