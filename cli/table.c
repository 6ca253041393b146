#include "cli/table.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define GAP 2
/* A column is not cut to less than this. */
#define CUT_MIN 8
#define ELLIPSIS "…"
#define TABLE_TEXT_MAX (16 * 1024 * 1024)

static size_t column_count(const struct table *table)
{
	size_t n = 0;

	while (n < TABLE_COLUMNS_MAX && table->columns[n].title != NULL)
		n++;
	return n;
}

static bool make_room(struct table *table)
{
	if (table->count < table->room)
		return true;
	size_t room = table->room > 0 ? 2 * table->room : 64;
	struct table_cell *cells = realloc(table->cells, room * sizeof *cells);
	if (cells == NULL)
		return false;
	table->cells = cells;
	table->room = room;
	return true;
}

void table_add(struct table *table, enum colour colour, const char *fmt, ...)
{
	va_list args;
	char *raw = NULL;

	va_start(args, fmt);
	int len = vasprintf(&raw, fmt, args);
	va_end(args);

	char *clean = len >= 0 ? malloc((size_t)len + 1) : NULL;
	if (clean == NULL || !make_room(table)) {
		table->failed = true;
		free(clean);
	} else {
		text_clean(clean, (size_t)len + 1, raw, (size_t)len);
		table->cells[table->count++] = (struct table_cell){.text = clean, .colour = colour};
	}
	if (len >= 0)
		free(raw);
}

static void measure(const struct table *table, size_t columns, int *ret_widths)
{
	for (size_t c = 0; c < columns; c++)
		ret_widths[c] = text_columns(table->columns[c].title, strlen(table->columns[c].title));
	for (size_t i = 0; i < table->count; i++) {
		int width = text_columns(table->cells[i].text, strlen(table->cells[i].text));
		if (width > ret_widths[i % columns])
			ret_widths[i % columns] = width;
	}
}

static int sum_of(const int *widths, size_t columns)
{
	int sum = columns > 0 ? GAP * ((int)columns - 1) : 0;

	for (size_t c = 0; c < columns; c++)
		sum += widths[c];
	return sum;
}

/* Makes the widest of the columns that can be cut narrower, step by step. False where that does not suffice. */
static bool squeeze(const struct table *table, size_t columns, int width, int *widths)
{
	while (width > 0 && sum_of(widths, columns) > width) {
		size_t widest = columns;
		for (size_t c = 0; c < columns; c++)
			if (table->columns[c].cut && widths[c] > CUT_MIN && (widest == columns || widths[c] > widths[widest]))
				widest = c;
		if (widest == columns)
			return false;
		widths[widest]--;
	}
	return true;
}

/* One cell in @width columns; nothing follows the @last of a line. */
static void write_cell(const char *text, enum colour colour, bool right, bool last, int width,
                       const struct style *style, struct text *out)
{
	size_t len = strlen(text);
	int columns = text_columns(text, len);
	bool cut = columns > width;

	if (cut) {
		len = text_fit(text, width - 1);
		columns = text_columns(text, len) + 1;
	}
	int pad = width - columns;
	if (right)
		text_addf(out, "%*s", pad, "");
	text_addf(out, "%s", style_on(style, colour));
	text_add(out, text, len);
	if (cut)
		text_addf(out, ELLIPSIS);
	text_addf(out, "%s", style_off(style, colour));
	if (!last)
		text_addf(out, "%*s", GAP + (right ? 0 : pad), "");
}

static void write_rows(const struct table *table, size_t columns, const int *widths, const struct style *style,
                       struct text *out)
{
	for (size_t c = 0; c < columns; c++)
		write_cell(table->columns[c].title, COLOUR_BOLD, table->columns[c].right, c + 1 == columns, widths[c], style, out);
	text_addf(out, "\n");
	for (size_t i = 0; i < table->count; i++) {
		size_t c = i % columns;
		write_cell(table->cells[i].text, table->cells[i].colour, table->columns[c].right, c + 1 == columns, widths[c],
		           style, out);
		if (c + 1 == columns)
			text_addf(out, "\n");
	}
}

/* Too narrow for columns: each value on a line of its own, whole, since the terminal can break it. */
static void write_records(const struct table *table, size_t columns, const struct style *style, struct text *out)
{
	int widest = 0;

	for (size_t c = 0; c < columns; c++) {
		int width = text_columns(table->columns[c].title, strlen(table->columns[c].title));
		widest = width > widest ? width : widest;
	}
	for (size_t i = 0; i < table->count; i++) {
		const struct table_cell *cell = &table->cells[i];
		size_t c = i % columns;

		if (c == 0 && i > 0)
			text_addf(out, "\n");
		write_cell(table->columns[c].title, COLOUR_BOLD, false, false, widest, style, out);
		text_addf(out, "%s%s%s\n", style_on(style, cell->colour), cell->text, style_off(style, cell->colour));
	}
}

int table_write(const struct table *table, const struct style *style, struct text *out, struct error *err)
{
	int widths[TABLE_COLUMNS_MAX];
	size_t columns = column_count(table);

	if (table->failed)
		return error_nomem(err);
	measure(table, columns, widths);
	if (squeeze(table, columns, style->width, widths))
		write_rows(table, columns, widths, style, out);
	else
		write_records(table, columns, style, out);
	return out->failed ? error_nomem(err) : 0;
}

int table_print(const struct table *table, const struct style *style, struct error *err)
{
	AUTO_TEXT out = {.max = TABLE_TEXT_MAX};

	int rc = table_write(table, style, &out, err);
	if (rc == 0)
		(void)fputs(text_str(&out), stdout);
	return rc;
}

void table_release(struct table *table)
{
	for (size_t i = 0; i < table->count; i++)
		free(table->cells[i].text);
	free(table->cells);
	table->cells = NULL;
	table->count = table->room = 0;
}
