/* Tables for people: columns side by side where the terminal is wide enough for them, cut where that helps, and one
 * line a value where it is not. Thread rule: a table belongs to one thread. */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include "cli/style.h"

#define TABLE_COLUMNS_MAX 12

struct table_column {
	const char *title;
	bool right; /* numbers */
	bool cut;   /* its texts may be cut to fit */
};

struct table_cell {
	char *text; /* owned */
	enum colour colour;
};

/* Zero-initialise with the columns: `struct table t = {.columns = {{"NAME", .cut = true}, {"RUNS", .right = true}}}`.
 * A failed append sets `failed`: table_print() checks it. */
struct table {
	struct table_column columns[TABLE_COLUMNS_MAX]; /* up to the first without a title */
	struct table_cell *cells; /* row by row */
	size_t count;
	size_t room;
	bool failed;
};

/* Adds the next cell, row by row. The text is made harmless, and one line. */
void table_add(struct table *table, enum colour colour, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Appends the table to @out. Returns 0 or ERR_NOMEM. */
int table_write(const struct table *table, const struct style *style, struct text *out, struct error *err) MUST_CHECK;

/* The same, to stdout. */
int table_print(const struct table *table, const struct style *style, struct error *err) MUST_CHECK;

void table_release(struct table *table);

#define AUTO_TABLE __attribute__((cleanup(table_release))) struct table

#endif
