#include "cli/markdown.h"

#include <string.h>

#include "tests/unit/unit.h"

static const struct {
	const char *name;
	struct style style;
	const char *markdown, *want;
} rows[] = {
	{"plain", {0}, "one\n\ntwo\n", "one\n\ntwo\n"},
	{"bold, in colours", {.terminal = true, .colours = true}, "**7** runs\n", "\033[1m7\033[0m runs\n"},
	{"bold, without", {0}, "**7** runs\n", "7 runs\n"},
	{"bold to the end", {.colours = true}, "**7 runs\n", "\033[1m7 runs\033[0m\n"},
	{"code", {0}, "Plan `sha256:ab`\n", "Plan sha256:ab\n"},
	{"what was escaped", {0}, "a\\_b \\| c\\\\d &lt;i> &amp;lt;\n", "a_b | c\\d <i> &lt;\n"},
	{"a title", {.colours = true}, "## Report\n", "\033[1mReport\033[0m\n"},
	{"a number sign alone", {0}, "#1 is first\n", "#1 is first\n"},
	{"escape sequences", {0}, "\033[31mred\033[0m\n", "?[31mred?[0m\n"},
	{"a table", {0}, "| Flow | All |\n|---|---:|\n| etl\\|x | 12 |\n| **All** | **12** |\n\nend\n",
	 "Flow   All\netl|x   12\nAll     12\n\nend\n"},
	{"a table at the end", {0}, "| A | B |\n|---|---|\n| 1 | 2 |", "A  B\n1  2\n"},
	{"a row with too few cells", {0}, "| A | B |\n|---|---|\n| 1 |\n", "A  B\n1  \n"},
	{"a row with too many", {0}, "| A | B |\n|---|---|\n| 1 | 2 | 3 |\n", "A  B\n1  2\n"},
	{"a bar that begins no table", {0}, "| not a table\n", "| not a table\n"},
	{"a rule with too few columns", {0}, "| A | B |\n|---|\n", "| A | B |\n|---|\n"},
	{"nothing", {0}, "", ""},
};

static void reads_on_a_terminal(void)
{
	EACH(row, rows)
	{
		AUTO_TEXT out = {.max = 4096};
		struct error err = {0};

		CHECK_RC(row->name, markdown_write(row->markdown, &row->style, &out, &err), 0, &err);
		CHECK_STR(row->name, text_str(&out), row->want);
	}
}

static void undoes_the_escaping(void)
{
	static const struct {
		const char *name, *text;
	} texts[] = {{"marks", "*_`[]()#|~<b>&amp;\\$:@!"}, {"words", "nightly report (v2)"}, {"UTF-8", "日本 ä"}};

	EACH(row, texts)
	{
		AUTO_TEXT markdown = {.max = 4096};
		AUTO_TEXT out = {.max = 4096};
		struct error err = {0};

		text_addf(&markdown, "- ");
		text_add_markdown(&markdown, row->text, strlen(row->text), 200);
		CHECK_RC(row->name, markdown_write(text_str(&markdown), &(struct style){0}, &out, &err), 0, &err);
		CHECK(row->name, strncmp(text_str(&out), "- ", 2) == 0 &&
		      strncmp(text_str(&out) + 2, row->text, strlen(row->text)) == 0);
	}
}

UNIT_SUITE("cli/markdown", TEST(reads_on_a_terminal), TEST(undoes_the_escaping))
