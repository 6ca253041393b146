#include "client/base/plain.h"

#include <stdbool.h>
#include <string.h>

#define COLUMNS_MAX 16

struct span {
	const char *text;
	size_t len;
};

static size_t columns_of(const char *text, size_t len)
{
	size_t count = 0;

	for (size_t i = 0; i < len; i++)
		count += ((unsigned char)text[i] & 0xC0) != 0x80;
	return count;
}

/* One entity at @at, like "&lt;": its character; 0 where there is none. */
static char entity(const char *at, size_t left, size_t *ret_len)
{
	static const struct {
		const char *name;
		char is;
	} known[] = {{"&lt;", '<'}, {"&gt;", '>'}, {"&amp;", '&'}};

	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
		*ret_len = strlen(known[i].name);
		if (left >= *ret_len && memcmp(at, known[i].name, *ret_len) == 0)
			return known[i].is;
	}
	return 0;
}

static void add_inline(struct text *out, struct span span)
{
	size_t len;

	for (size_t i = 0; i < span.len; i++) {
		const char *at = span.text + i;
		size_t left = span.len - i;
		char is = entity(at, left, &len);

		if (is != 0) {
			text_add(out, &is, 1);
			i += len - 1;
		} else if (*at == '\\' && left > 1) {
			text_add(out, at + 1, 1);
			i++;
		} else if (left > 1 && at[0] == '*' && at[1] == '*') {
			i++;
		} else if (left > 1 && at[0] == ']' && at[1] == '(') {
			text_add(out, " ", 1); /* "[words](address)" */
		} else if (*at != '`' && *at != '[') {
			text_add(out, at, 1);
		}
	}
}

/* The next cell of a table's line; false behind the last. */
static bool next_cell(struct span *rest, struct span *ret_cell)
{
	size_t i = 0;

	while (rest->len > 0 && (*rest->text == '|' || *rest->text == ' ')) {
		rest->text++;
		rest->len--;
	}
	if (rest->len == 0)
		return false;
	while (i < rest->len && rest->text[i] != '|')
		i += rest->text[i] == '\\' && i + 1 < rest->len ? 2 : 1;
	*ret_cell = (struct span){rest->text, i};
	while (ret_cell->len > 0 && ret_cell->text[ret_cell->len - 1] == ' ')
		ret_cell->len--;
	rest->text += i;
	rest->len -= i;
	return true;
}

static struct span next_line(const char **at)
{
	struct span line = {*at, strcspn(*at, "\n")};

	*at += line.len + ((*at)[line.len] == '\n');
	return line;
}

static bool is_row(struct span line)
{
	return line.len > 0 && *line.text == '|';
}

static bool is_rule(struct span line)
{
	return is_row(line) && line.len == strspn(line.text, "|-: ");
}

/* A cell of @row, its width, and the text behind it. */
static void add_row(struct text *out, struct span row, const size_t *widths)
{
	struct span cell;

	for (size_t c = 0; c < COLUMNS_MAX && next_cell(&row, &cell); c++) {
		AUTO_TEXT text = {.max = cell.len + 1};

		add_inline(&text, cell);
		if (c > 0)
			text_addf(out, "  ");
		text_addf(out, "%s", text_str(&text));
		if (row.len > 1) /* nothing is padded at the end of a line */
			text_addf(out, "%*s", (int)(widths[c] - columns_of(text_str(&text), text.len)), "");
	}
	text_addf(out, "\n");
}

/* The lines of a table from @first on; @at is behind it. */
static void add_table(struct text *out, struct span first, const char **at)
{
	size_t widths[COLUMNS_MAX] = {0};
	const char *look = first.text;

	while (is_row((struct span){look, strcspn(look, "\n")})) {
		struct span row = next_line(&look);
		struct span cell;

		for (size_t c = 0; !is_rule(row) && c < COLUMNS_MAX && next_cell(&row, &cell); c++) {
			AUTO_TEXT text = {.max = cell.len + 1};

			add_inline(&text, cell);
			size_t width = columns_of(text_str(&text), text.len);
			widths[c] = width > widths[c] ? width : widths[c];
		}
	}
	for (const char *row_at = first.text; row_at < look;) {
		struct span row = next_line(&row_at);

		if (!is_rule(row))
			add_row(out, row, widths);
	}
	*at = look;
}

void plain_add(struct text *out, const char *markdown)
{
	while (*markdown != '\0') {
		struct span line = next_line(&markdown);
		size_t marks = strspn(line.text, "#");

		if (is_row(line)) {
			add_table(out, line, &markdown);
			continue;
		}
		if (marks > 0 && marks < line.len && line.text[marks] == ' ')
			line = (struct span){line.text + marks + 1, line.len - marks - 1};
		add_inline(out, line);
		if (line.text[line.len] == '\n')
			text_addf(out, "\n");
	}
}
