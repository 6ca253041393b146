#include "cli/table.h"

#include <string.h>

#include "tests/unit/unit.h"

static const struct {
	const char *name;
	struct style style;
	const char *first, *second; /* cells of the one row */
	const char *want;
} rows[] = {
	{"no limit", {.width = 0}, "a long name of a flow", "1234",
	 "FLOW                   RUNS\n"
	 "a long name of a flow  1234\n"},
	{"numbers to the right", {.width = 80}, "nightly-report", "7",
	 "FLOW            RUNS\n"
	 "nightly-report     7\n"},
	{"cut to the width", {.width = 20}, "a long name of a flow", "1234",
	 "FLOW            RUNS\n"
	 "a long name o…  1234\n"},
	{"cut at a character's edge", {.width = 20}, "ääääääääääääääääääää", "1234",
	 "FLOW            RUNS\n"
	 "äääääääääääää…  1234\n"},
	{"wide characters count twice", {.width = 20}, "日本語日本語日本語日本語", "1234",
	 "FLOW            RUNS\n"
	 "日本語日本語…   1234\n"},
	{"too narrow for columns", {.width = 20}, "flow", "12345678901234567890",
	 "FLOW  flow\n"
	 "RUNS  12345678901234567890\n"},
	{"escape sequences are made harmless", {.width = 0}, "\033[31mred\nline", "1",
	 "FLOW           RUNS\n"
	 "?[31mred?line     1\n"},
	{"colours take no room", {.width = 80, .colours = true}, "flow", "1",
	 "\033[1mFLOW\033[0m  \033[1mRUNS\033[0m\n"
	 "flow     \033[32m1\033[0m\n"},
};

static void fits_the_width(void)
{
	EACH(row, rows)
	{
		AUTO_TABLE table = {.columns = {{.title = "FLOW", .cut = true}, {.title = "RUNS", .right = true}}};
		AUTO_TEXT out = {.max = 4096};
		struct error err = {0};

		table_add(&table, COLOUR_NONE, "%s", row->first);
		table_add(&table, COLOUR_GREEN, "%s", row->second);
		CHECK_RC(row->name, table_write(&table, &row->style, &out, &err), 0, &err);
		CHECK_STR(row->name, text_str(&out), row->want);
	}
}

UNIT_SUITE("cli/table", TEST(fits_the_width))
