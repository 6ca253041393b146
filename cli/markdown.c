#include "cli/markdown.h"

#include <string.h>

#define CELL_MAX 4096

struct line {
	const char *text;
	size_t len;
};

/* Takes the next line off @rest. */
static bool next_line(const char **rest, struct line *ret_line)
{
	if (**rest == '\0')
		return false;
	size_t len = strcspn(*rest, "\n");
	*ret_line = (struct line){.text = *rest, .len = len};
	*rest += len + ((*rest)[len] == '\n');
	return true;
}

static bool starts(struct line line, const char *with)
{
	return line.len >= strlen(with) && memcmp(line.text, with, strlen(with)) == 0;
}

/* One line's text without its marks. @style NULL: without bold too. */
static void write_inline(struct line line, const struct style *style, struct text *out)
{
	bool bold = false;

	for (size_t i = 0; i < line.len; i++) {
		struct line rest = {.text = line.text + i, .len = line.len - i};

		if (*rest.text == '\\' && rest.len > 1) {
			text_add(out, &line.text[++i], 1);
		} else if (starts(rest, "&lt;")) {
			text_add(out, "<", 1);
			i += 3;
		} else if (starts(rest, "&amp;")) {
			text_add(out, "&", 1);
			i += 4;
		} else if (starts(rest, "**")) {
			bold = !bold;
			if (style != NULL)
				text_addf(out, "%s", bold ? style_on(style, COLOUR_BOLD) : style_off(style, COLOUR_BOLD));
			i++;
		} else if (*rest.text != '`') {
			text_add(out, rest.text, 1);
		}
	}
	if (bold && style != NULL)
		text_addf(out, "%s", style_off(style, COLOUR_BOLD));
}

/* The next cell of a table's line: up to a bar that is not escaped. */
static bool next_cell(struct line *rest, struct line *ret_cell)
{
	size_t i = 0;

	if (rest->len == 0)
		return false;
	while (i < rest->len && rest->text[i] != '|')
		i += rest->text[i] == '\\' && i + 1 < rest->len ? 2 : 1;
	*ret_cell = (struct line){.text = rest->text, .len = i};
	size_t taken = i < rest->len ? i + 1 : i;
	rest->text += taken;
	rest->len -= taken;
	while (ret_cell->len > 0 && *ret_cell->text == ' ') {
		ret_cell->text++;
		ret_cell->len--;
	}
	while (ret_cell->len > 0 && ret_cell->text[ret_cell->len - 1] == ' ')
		ret_cell->len--;
	return true;
}

/* A table's line without the bars at its ends. */
static struct line cells_of(struct line line)
{
	line.text++;
	line.len--;
	while (line.len > 0 && line.text[line.len - 1] == ' ')
		line.len--;
	return line;
}

/* Titles and alignments. Returns the number of columns, 0 where it is no table that we can draw. */
static size_t read_head(struct line titles, struct line rule, struct table *table, char titles_buf[TABLE_COLUMNS_MAX][CELL_MAX])
{
	struct line rest = cells_of(titles);
	struct line rules = cells_of(rule);
	struct line cell;
	size_t n = 0;

	while (next_cell(&rest, &cell)) {
		AUTO_TEXT text = {.max = CELL_MAX - 1};
		struct line mark = {0};

		if (n == TABLE_COLUMNS_MAX || !next_cell(&rules, &mark))
			return 0;
		write_inline(cell, NULL, &text);
		text_clean(titles_buf[n], CELL_MAX, text_str(&text), text.len);
		table->columns[n] = (struct table_column){
			.title = titles_buf[n], .right = mark.len > 0 && mark.text[mark.len - 1] == ':', .cut = n == 0};
		n++;
	}
	return n;
}

static void add_row(struct line line, size_t columns, struct table *table)
{
	struct line rest = cells_of(line);

	for (size_t c = 0; c < columns; c++) {
		AUTO_TEXT text = {.max = CELL_MAX};
		struct line cell = {0};

		(void)next_cell(&rest, &cell);
		write_inline(cell, NULL, &text);
		table_add(table, COLOUR_NONE, "%s", text_str(&text));
	}
}

/* A table from its first line on; @rest is behind that line. False where it is none. */
static bool write_table(struct line titles, const char **rest, const struct style *style, struct text *out, int *ret_rc,
                        struct error *err)
{
	AUTO_TABLE table = {0};
	char (*titles_buf)[CELL_MAX] = calloc(TABLE_COLUMNS_MAX, sizeof *titles_buf);
	const char *after = *rest;
	struct line line;
	size_t columns = 0;

	if (titles_buf != NULL && next_line(&after, &line) && starts(line, "|-"))
		columns = read_head(titles, line, &table, titles_buf);
	if (columns > 0) {
		for (*rest = after; next_line(&after, &line) && starts(line, "|"); *rest = after)
			add_row(line, columns, &table);
		*ret_rc = table_write(&table, style, out, err);
	}
	free(titles_buf);
	return columns > 0;
}

int markdown_write(const char *markdown, const struct style *style, struct text *out, struct error *err)
{
	struct line line;
	int rc = 0;

	while (rc == 0 && next_line(&markdown, &line)) {
		if (starts(line, "|") && write_table(line, &markdown, style, out, &rc, err))
			continue;
		char *clean = malloc(line.len + 1);
		if (clean == NULL)
			return error_nomem(err);
		text_clean(clean, line.len + 1, line.text, line.len);
		size_t marks = strspn(clean, "#");
		bool title = marks > 0 && clean[marks] == ' ';
		struct line shown = {.text = clean + (title ? marks + 1 : 0), .len = strlen(clean) - (title ? marks + 1 : 0)};
		text_addf(out, "%s", title ? style_on(style, COLOUR_BOLD) : "");
		write_inline(shown, style, out);
		text_addf(out, "%s\n", title ? style_off(style, COLOUR_BOLD) : "");
		free(clean);
	}
	return rc != 0 ? rc : out->failed ? error_nomem(err) : 0;
}
