/* Foreign text as it is shown: log lines, Markdown, and the preview of a plan whose runs, flows and states have such names. */
#include <stdlib.h>
#include <string.h>

#include "client/base/text.h"
#include "flows/database_cleanup/preview.h"
#include "tests/fuzz/fuzz.h"

#define NAMES 6

/* How many of these stand in @line without a backslash. */
static size_t count_bare(const char *line, size_t len, char wanted)
{
	size_t count = 0;

	for (size_t i = 0; i < len; i++) {
		if (line[i] == '\\')
			i++;
		else
			count += line[i] == wanted;
	}
	return count;
}

static void show_parts(const uint8_t *data, size_t size)
{
	AUTO_FREE char *text = fuzz_string(data, size);
	AUTO_TEXT markdown = {.max = 1 << 20};
	char line[100];

	text_clean(line, sizeof line, (const char *)data, size);
	fuzz_must_be_clean(line, /* lines= */ false);
	text_add_markdown(&markdown, (const char *)data, size, 80);
	fuzz_must_be_clean(text_str(&markdown), /* lines= */ false);
	MUST(markdown.len <= 80 * 5 + 3);
	MUST(count_bare(text_str(&markdown), markdown.len, '|') == 0 && strchr(text_str(&markdown), '<') == NULL);

	AUTO_FREE char *cut = text_cut(text, 10);
	MUST(strlen(cut) <= 10 && (!text_is_utf8(text) || text_is_utf8(cut)));
}

/* Every line of the table has the same number of cells. */
static void check_table(const char *preview, size_t columns)
{
	size_t rows = 0;

	for (const char *line = preview; *line != '\0'; line += strcspn(line, "\n"), line += *line == '\n') {
		size_t len = strcspn(line, "\n");
		if (line[0] == '|') {
			MUST(count_bare(line, len, '|') == columns + 1);
			rows++;
		} else {
			MUST(count_bare(line, len, '|') == 0);
		}
	}
	MUST(rows == 2 + 2 + 1); /* head, rule, two flows, all */
}

static void show_preview(char *const names[NAMES])
{
	json_t *states = json_pack("[s%, s%]", names[0], strlen(names[0]), names[1], strlen(names[1]));
	struct preview_flow flows[] = {{.name = names[2], .count = 2}, {.name = names[3], .count = 1}};
	struct flow_run runs[] = {{.name = names[4], .start_time = TIME_MAX_US}, {.name = names[5], .expected_start = TIME_MIN_US}};
	struct preview preview = {.states = {names[0], names[1]}, .state_count = 2, .flows = flows, .flow_count = 2, .runs = runs,
	                          .run_count = 2, .newest = 1};
	struct plan plan = {.states = states, .retention = names[5], .total = 3};

	if (states == NULL) /* not UTF-8: no such plan comes out of JSON */
		return;
	AUTO_FREE char *text = preview_markdown(&preview, &plan);
	MUST(text != NULL && strlen(text) < 64 * 1024);
	fuzz_must_be_clean(text, /* lines= */ true);
	MUST(strchr(text, '<') == NULL);
	check_table(text, 4);
	json_decref(states);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *names[NAMES];

	show_parts(data, size);
	for (size_t i = 0; i < NAMES; i++)
		names[i] = fuzz_string(data + i * (size / NAMES), size / NAMES);
	show_preview(names);
	for (size_t i = 0; i < NAMES; i++)
		free(names[i]);
	return 0;
}
