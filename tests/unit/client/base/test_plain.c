#include "client/base/plain.h"

#include <string.h>

#include "tests/unit/unit.h"

static void leaves_out_the_marks(void)
{
	static const struct {
		const char *name, *markdown, *plain;
	} rows[] = {
		{"words", "one\ntwo", "one\ntwo"},
		{"nothing", "", ""},
		{"bold and code", "**Preview: 3** of `a`\n", "Preview: 3 of a\n"},
		{"a title", "## Runs\n#3\n", "Runs\n#3\n"},
		{"a list", "- a\n- b\n", "- a\n- b\n"},
		{"what was escaped", "a\\_b \\| &lt;c> &amp; d\\\\", "a_b | <c> & d\\"},
		{"a link", "see [the page](http://x/y)", "see the page (http://x/y)"},
		{"a table", "| Flow | Done | All |\n|---|---:|---:|\n| etl\\|x | 12 | 3 |\n| **All** | 12 | **15** |\n\nend\n",
		 "Flow   Done  All\netl|x  12    3\nAll    12    15\n\nend\n"},
		{"a table at the end", "x\n| A |\n|---|\n| b |", "x\nA\nb\n"},
		{"letters of several bytes", "| \u00e4\u00f6 | x |\n|---|---|\n| abc | y |\n", "\u00e4\u00f6   x\nabc  y\n"},
		{"a bar alone", "|\n", ""},
		{"a backslash at the end", "a\\", "a\\"},
	};

	EACH(row, rows)
	{
		AUTO_TEXT out = {.max = 4096};

		plain_add(&out, row->markdown);
		CHECK_STR(row->name, text_str(&out), row->plain);
	}
}

UNIT_SUITE("client/base/plain", TEST(leaves_out_the_marks))
