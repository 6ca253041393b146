#include "client/base/nearest.h"

#include "tests/unit/unit.h"

static void finds_what_was_meant(void)
{
	static const struct {
		const char *name, *best; /* NULL: none is near */
	} rows[] = {
		{"strat", "start"}, {"star", "start"}, {"startt", "start"},   {"START", "start"},       {"deply", "deploy"},
		{"show", "show"},   {"shwo", "show"},  {"aprove", "approve"}, {"nonsense", NULL},       {"x", NULL},
		{"", NULL},         {"stop", NULL},    {"histroy", "history"}, {"a word of more than sixty letters, which nobody writes by a slip", NULL},
	};
	static const char *const words[] = {"start", "deploy", "show", "approve", "history"};

	EACH(row, rows)
	{
		struct nearest nearest = {.to = row->name};
		char hint[NEAREST_SIZE];

		EACH(word, words)
			nearest_offer(&nearest, *word);
		CHECK_STR(row->name, nearest.best, row->best);
		CHECK_INT(row->name, nearest_hint(&nearest, "--", hint)[0] != '\0', row->best != NULL);
		if (row->best != NULL)
			CHECK_HAS(row->name, hint, "; did you mean '--");
	}
}

UNIT_SUITE("client/base/nearest", TEST(finds_what_was_meant))
