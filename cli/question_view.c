#include "cli/question_view.h"

#include <inttypes.h>
#include <string.h>

#include "cli/markdown.h"

#define TEXT_MAX (1024 * 1024)

static void add_line(struct text *out, const struct style *style, const char *title, const char *value)
{
	text_addf(out, "%s%-8s%s  %s\n", style_on(style, COLOUR_DIM), title, style_off(style, COLOUR_DIM), value);
}

static void add_time(struct text *out, const struct style *style, const char *title, time_us t, time_us now)
{
	char when[WHEN_SIZE];
	char age[TIME_TEXT_SIZE];
	AUTO_TEXT line = {.max = 300};

	if (t == 0)
		return;
	text_addf(&line, "%s", when_format(t, when));
	if (t > now)
		text_addf(&line, ", in %s", age_format((t - now) / 1000, age));
	else
		text_addf(&line, ", %s ago", age_format((now - t) / 1000, age));
	add_line(out, style, title, text_str(&line));
}

static void add_head(struct session *session, const struct cleanup_run *run, struct text *out)
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
	add_time(out, style, "Decided", run->decided_at, now);
	add_line(out, style, "Page", page != NULL ? page : "");
}

int question_view(struct session *session, const struct cleanup_run *run, const char *description, FILE *out,
                  struct error *err)
{
	AUTO_TEXT text = {.max = TEXT_MAX};

	add_head(session, run, &text);
	text_addf(&text, "\n");
	int rc = description != NULL ? markdown_write(description, &session->style, &text, err) : 0;
	if (rc == 0)
		(void)fputs(text_str(&text), out);
	return rc;
}

json_t *question_view_json(struct session *session, const struct cleanup_run *run, const struct plan *plan,
                           const char *description)
{
	json_t *json = cleanup_run_json(session, run);
	AUTO_JSON *of_plan = plan_encode(plan);
	AUTO_JSON *answer = NULL;
	int rc = json_object_set_new(json, "total", json_integer(plan->total)) |
	         json_object_set_new(json, "digest", json_string(plan->digest)) |
	         json_object_set_new(json, "description", description != NULL ? json_string(description) : json_null()) |
	         json_object_set(json, "plan", of_plan);

	if (rc == 0 && run->decided_at != 0 && cleanup_run_answer(session, run, &answer, NULL) == 0)
		rc = json_object_set(json, "answer", answer);
	if (rc != 0) {
		json_decref(json);
		return NULL;
	}
	return json;
}
