#include "client/base/dotenv.h"

#include <stdbool.h>
#include <string.h>

#include "client/base/json.h"
#include "client/base/text.h"

#define BLANKS " \t\f\v"
#define LINE_ENDS "\r\n"

struct dotenv {
	const char *at; /* a NUL is at the end */
	size_t max;     /* of a text */
};

static void skip_blanks(struct dotenv *d)
{
	d->at += strspn(d->at, BLANKS);
}

static void skip_line(struct dotenv *d)
{
	d->at += strcspn(d->at, LINE_ENDS);
	d->at += strncmp(d->at, "\r\n", 2) == 0 ? 2 : *d->at != '\0';
}

/* 'NAME' or NAME; false where there is none. */
static bool read_name(struct dotenv *d, struct text *out)
{
	bool quoted = *d->at == '\'';

	d->at += quoted;
	size_t len = strcspn(d->at, quoted ? "'" : "=#" BLANKS LINE_ENDS);
	if (len == 0 || (quoted && d->at[len] != '\''))
		return false;
	text_add(out, d->at, len);
	d->at += len + quoted;
	return true;
}

/* '...' or "..."; false where it does not end, and then the lines after this one count. */
static bool read_quoted(struct dotenv *d, struct text *out)
{
	static const char letters[] = "abfnrtv";
	static const char meant[] = "\a\b\f\n\r\t\v";
	const char *at = d->at;
	char quote = *at++;

	for (; *at != quote; at++) {
		if (*at == '\0')
			return false;
		if (*at != '\\') {
			text_add(out, at, 1);
			continue;
		}
		char next = *++at;
		const char *letter = next != '\0' && quote == '"' ? strchr(letters, next) : NULL;
		if (next == '\0')
			return false;
		if (letter != NULL)
			text_add(out, &meant[letter - letters], 1);
		else if (next == '\\' || next == '\'' || (next == '"' && quote == '"'))
			text_add(out, &next, 1);
		else
			text_add(out, at - 1, 2);
	}
	d->at = at + 1;
	return true;
}

/* Up to the line's end, or to a # that has a blank before it. */
static void read_bare(struct dotenv *d, struct text *out)
{
	size_t line = strcspn(d->at, LINE_ENDS);
	size_t len = 0;

	while (len < line && !(strchr(BLANKS, d->at[len]) != NULL && d->at[len + strspn(d->at + len, BLANKS)] == '#'))
		len++;
	while (len > 0 && strchr(BLANKS, d->at[len - 1]) != NULL)
		len--;
	text_add(out, d->at, len);
	d->at += line;
}

static bool read_value(struct dotenv *d, struct text *out)
{
	size_t blanks = strspn(d->at, BLANKS);

	d->at += blanks;
	if (*d->at == '\'' || *d->at == '"')
		return read_quoted(d, out);
	if (blanks == 0 || *d->at != '#')
		read_bare(d, out);
	return true;
}

static bool end_line(struct dotenv *d)
{
	skip_blanks(d);
	if (*d->at == '#')
		d->at += strcspn(d->at, LINE_ENDS);
	bool ended = *d->at == '\0' || strchr(LINE_ENDS, *d->at) != NULL;
	if (ended)
		skip_line(d);
	return ended;
}

/* NAME=VALUE, NAME, or a comment (@name stays empty). */
static bool read_line(struct dotenv *d, struct text *name, struct text *value, bool *ret_has_value)
{
	*ret_has_value = false;
	if (strncmp(d->at, "export", 6) == 0 && d->at[6] != '\0' && strchr(BLANKS, d->at[6]) != NULL) {
		d->at += 6;
		skip_blanks(d);
	}
	if (*d->at != '#' && !read_name(d, name))
		return false;
	skip_blanks(d);
	if (name->len > 0 && *d->at == '=') {
		d->at++;
		*ret_has_value = true;
		if (!read_value(d, value))
			return false;
	}
	return end_line(d);
}

/* What ${NAME} stands for: what the file said before, and then the environment. */
static const char *lookup(const json_t *values, const char *name)
{
	const json_t *value = json_object_get(values, name);

	return value != NULL ? json_string_value(value) : getenv(name);
}

/* @raw with its ${NAME} and ${NAME:-DEFAULT} replaced. */
static void interpolate(const char *raw, const json_t *values, struct text *out)
{
	while (*raw != '\0') {
		bool is_variable = strncmp(raw, "${", 2) == 0;
		size_t name = is_variable ? strcspn(raw + 2, "}:") : 0;
		const char *after = is_variable ? raw + 2 + name : raw;
		bool has_default = is_variable && strncmp(after, ":-", 2) == 0;
		size_t len = has_default ? 2 + strcspn(after + 2, "}") : 0;

		if (!is_variable || after[len] != '}') {
			text_add(out, raw++, 1);
			continue;
		}
		AUTO_FREE char *key = strndup(raw + 2, name);
		if (key == NULL)
			out->failed = true;
		const char *value = key != NULL ? lookup(values, key) : NULL;
		if (value != NULL)
			text_addf(out, "%s", value);
		else if (has_default && (key == NULL || json_object_get(values, key) == NULL))
			text_add(out, after + 2, len - 2);
		raw = after + len + 1;
	}
}

static int keep(json_t *values, const char *name, const struct text *raw, bool has_value, size_t max, struct error *err)
{
	AUTO_TEXT value = {.max = max};

	interpolate(text_str(raw), values, &value);
	if (raw->failed || value.failed ||
	    json_object_set_new(values, name, has_value ? json_string(text_str(&value)) : json_null()) != 0)
		return error_nomem(err);
	return 0;
}

int dotenv_read(const char *text, size_t len, json_t **ret_values, unsigned *ret_bad_line, struct error *err)
{
	struct dotenv d = {.at = text, .max = 2 * len + 64 * 1024};
	json_t *values = json_object();
	unsigned line = 1;
	int rc = values == NULL ? error_nomem(err) : 0;

	*ret_bad_line = 0;
	if (rc == 0 && (strlen(text) != len || !text_is_utf8(text)))
		rc = error_set(err, ERR_DECODE, "the text is not UTF-8");
	if (strncmp(d.at, "\xef\xbb\xbf", 3) == 0)
		d.at += 3;
	const char *counted = d.at;
	while (rc == 0 && *(d.at += strspn(d.at, BLANKS LINE_ENDS)) != '\0') {
		AUTO_TEXT name = {.max = len};
		AUTO_TEXT value = {.max = len};
		const char *start = d.at;
		bool has_value;

		for (; counted < start; counted++)
			line += *counted == '\n';
		if (!read_line(&d, &name, &value, &has_value)) {
			if (*ret_bad_line == 0)
				*ret_bad_line = line;
			skip_line(&d);
		} else if (name.len > 0) {
			rc = keep(values, text_str(&name), &value, has_value, d.max, err);
		}
	}
	if (rc == 0)
		*ret_values = values;
	else
		json_decref(values);
	return rc;
}
