#include "flows/database_cleanup/preview_form.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

#define OLD (INT64_C(1795242861) * US_PER_SEC) /* 2026-11-21 06:34:21 UTC */
#define DAY_US (INT64_C(86400) * US_PER_SEC)
#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define PAGE "11111111-2222-3333-4444-555555555555"

static char retention[] = "P30D";
static char skipped[] = "Skip_ped";

/* All that there can be; release with json_decref(plan.states). */
static void fill(struct plan *plan, struct preview *preview)
{
	*plan = (struct plan){.cutoff = OLD, .planned_at = OLD + 30 * DAY_US, .retention = retention,
	                      .states = unit_json("[\"Completed\", \"CRASHED\"]"), .total = 900, .spared = 2, .digest = DIGEST};
	*preview = (struct preview){.states = {"Completed"}, .by_state = {900}, .state_count = 1,
	                            .extent = {.known = true, .task_runs = 12, .artifacts = 3, .log_lines = 40, .log_runs = 20},
	                            .stays = {.known = true, .other_states = 7, .names = {skipped}, .without_end = 1, .ended_within = 5,
	                                      .unfinished = 4, .unfinished_since = OLD - DAY_US},
	                            .pace = 2.5};
}

static void says_what_somebody_has_to_know(void)
{
	AUTO_JSON *advice = unit_json("{\"approved\": false, \"confidence\": 0.4, \"reasoning\": \"Ask *Ada*\", \"unsure\": \"too unsure\"}");
	struct preview preview;
	struct plan plan;

	fill(&plan, &preview);
	AUTO_FREE char *text =
		preview_form_markdown(&preview, &plan, &(struct preview_form){.until = OLD + 33 * DAY_US, .page = PAGE, .advice = advice});
	CHECK_STR("whole", text,
	          "**900 flow runs would be deleted**\n"
	          "\n"
	          "- States: Completed 900, CRASHED 0\n"
	          "- Started before 2026-11-21 06:34 UTC (30 days)\n"
	          "- 5 of them ended after that\n"
	          "- With 12 task runs, 3 artifacts, about 1800 log lines\n"
	          "- Stay: 7 in other states (Skip\\_ped); 1 without an end time; 2 subflow runs of unfinished parents; "
	          "4 not finished (oldest 2026-11-20)\n"
	          "- Decide until 2026-12-24 06:34 UTC; takes about 6 min 00 s\n"
	          "- **An AI agent looked at this plan; you decide.** It would not approve it, with confidence 0.4: Ask \\*Ada\\* Its answer "
	          "carries no approval: too unsure\n"
	          "- [Flows, deployments, oldest runs](../../artifacts/artifact/" PAGE ")\n"
	          "\n"
	          "Plan `sha256:" DIGEST "`\n");
	json_decref(plan.states);
}

static void leaves_out_what_is_not_known(void)
{
	struct plan plan;
	struct preview preview;

	fill(&plan, &preview);
	plan.dry_run = true;
	plan.total = 1;
	preview.stays.known = false;
	AUTO_FREE char *text = preview_form_markdown(&preview, &plan, &(struct preview_form){.page = ""});
	CHECK_HAS("dry run", text, "**1 flow run would be deleted** (dry run: nothing will be deleted, whatever you decide)\n");
	CHECK_LACKS("what stays", text, "Stay");
	CHECK_LACKS("nothing is deleted that takes time", text, "takes");
	CHECK_LACKS("until", text, "Decide until");
	CHECK_LACKS("link", text, "](");
	CHECK_LACKS("advice", text, "AI agent");
	json_decref(plan.states);
}

/* Rows on the screen: the fields are seen when the dialog opens. */
static void is_short(void)
{
	static char names[STAYS_NAMES][2000];
	AUTO_JSON *advice = json_object();
	struct preview preview;
	struct plan plan;
	int lines = 0;

	fill(&plan, &preview);
	for (size_t i = 0; i < STAYS_NAMES; i++) {
		memset(names[i], '_', sizeof names[i] - 1);
		preview.stays.names[i] = names[i];
	}
	for (int i = 0; i < 100; i++)
		(void)json_array_append_new(plan.states, json_sprintf("state %d", i));
	(void)json_object_set_new(advice, "reasoning", json_string(names[0]));
	AUTO_FREE char *text = preview_form_markdown(&preview, &plan, &(struct preview_form){.until = OLD, .page = PAGE, .advice = advice});
	for (const char *at = text; at != NULL && *at != '\0'; at++)
		lines += *at == '\n' && at[1] != '\n';
	CHECK("ten lines at most", lines <= 10);
	CHECK("and short ones", text != NULL && strlen(text) < 2000);
	CHECK_HAS("the last line is whole", text, "Plan `sha256:" DIGEST "`\n");
	json_decref(plan.states);
}

UNIT_SUITE("flows/database_cleanup/preview_form", TEST(says_what_somebody_has_to_know), TEST(leaves_out_what_is_not_known),
           TEST(is_short))
