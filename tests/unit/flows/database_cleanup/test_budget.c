#include "flows/database_cleanup/budget.h"

#include "tests/unit/unit.h"

static void settles_calls_without_an_answer(void)
{
	static const struct {
		const char *name;
		struct budget before;
		int64_t called, matching;
		int64_t spent;
	} rows[] = {
		{"nothing changed: it did not come to pass", {100, 10, 90}, 20, 90, 10},
		{"it did", {100, 10, 90}, 20, 70, 30},
		{"it did, and others left", {100, 10, 90}, 20, 60, 30},
		{"not to be told: it did", {100, 10, 90}, 20, 80, 30},
		{"it could not delete so many", {100, 95, 5}, 20, 0, 100},
		{"nothing was left", {100, 100, 0}, 20, 0, 100},
	};

	EACH(row, rows)
	{
		struct budget budget = row->before;
		budget_settle(&budget, row->called, row->matching);
		CHECK_INT(row->name, budget.spent, row->spent);
		CHECK(row->name, budget.spent <= budget.approved);
	}
}

static void notices_growth(void)
{
	static const struct {
		const char *name;
		int64_t expected, matching;
		int rc;
		int64_t after;
	} rows[] = {
		{"as expected", 7, 7, 0, 7},
		{"some left: they may not come back", 7, 5, 0, 5},
		{"one more", 7, 8, ERR_CONFLICT, 7},
		{"one where none should be", 0, 1, ERR_CONFLICT, 0},
	};

	EACH(row, rows)
	{
		struct budget budget = {.approved = 10, .expected = row->expected};
		struct error err;
		CHECK_RC(row->name, budget_check(&budget, row->matching, &err), row->rc, &err);
		CHECK_INT(row->name, budget.expected, row->after);
	}
}

static void has_no_room_below_nothing(void)
{
	CHECK_INT("room", budget_room(&(struct budget){.approved = 5, .spent = 3, .expected = 2}), 2);
	CHECK_INT("one has left the plan", budget_room(&(struct budget){.approved = 5, .spent = 3, .expected = 1}), 1);
	CHECK_INT("used up", budget_room(&(struct budget){.approved = 5, .spent = 5, .expected = 2}), 0);
	CHECK_INT("more than used up", budget_room(&(struct budget){.approved = 5, .spent = 7}), 0);
}

UNIT_SUITE("flows/database_cleanup/budget", TEST(settles_calls_without_an_answer), TEST(notices_growth), TEST(has_no_room_below_nothing))
