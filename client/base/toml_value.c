#include "client/base/toml_value.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "client/base/text.h"

#define DIGITS "[0-9](_?[0-9])*"
#define DECIMAL "[+-]?(0|[1-9](_?[0-9])*)"
#define DATE "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
#define TIME "([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\\.[0-9]+)?"
#define ZONE "([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"

enum word { WORD_INTEGER, WORD_HEX, WORD_OCTAL, WORD_BINARY, WORD_FLOAT, WORD_SPECIAL, WORD_DATE, WORD_TIME, WORD_DATE_TIME };

static const char *const patterns[TOML_PATTERNS] = {
	[WORD_INTEGER] = "^" DECIMAL "$",
	[WORD_HEX] = "^0x[0-9a-fA-F](_?[0-9a-fA-F])*$",
	[WORD_OCTAL] = "^0o[0-7](_?[0-7])*$",
	[WORD_BINARY] = "^0b[01](_?[01])*$",
	[WORD_FLOAT] = "^" DECIMAL "(\\." DIGITS ")?([eE][+-]?" DIGITS ")?$",
	[WORD_SPECIAL] = "^[+-]?(inf|nan)$",
	[WORD_DATE] = "^" DATE "$",
	[WORD_TIME] = "^" TIME "$",
	[WORD_DATE_TIME] = "^" DATE "[Tt ]" TIME ZONE "?$",
};

int toml_reader_init(struct toml_reader *r)
{
	for (; r->pattern_count < TOML_PATTERNS; r->pattern_count++)
		if (regcomp(&r->patterns[r->pattern_count], patterns[r->pattern_count], REG_EXTENDED | REG_NOSUB) != 0)
			return error_nomem(r->err);

	for (const char *at = r->at; at < r->end;) {
		uint32_t point;
		size_t len = text_next(at, (size_t)(r->end - at), &point);
		r->line += *at == '\n';
		if (len == 0 || *at == '\0')
			return toml_fail(r, "a byte that is not UTF-8 text");
		at += len;
	}
	r->line = 1;
	return 0;
}

void toml_reader_done(struct toml_reader *r)
{
	while (r->pattern_count > 0)
		regfree(&r->patterns[--r->pattern_count]);
}

int toml_fail(struct toml_reader *r, const char *fmt, ...)
{
	char text[200];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	return error_set(r->err, ERR_DECODE, "%.400s:%llu: %s", r->name, (unsigned long long)r->line, text);
}

char toml_peek(const struct toml_reader *r)
{
	return r->at < r->end ? *r->at : '\0';
}

bool toml_skip(struct toml_reader *r, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(r->end - r->at) < len || memcmp(r->at, word, len) != 0)
		return false;
	r->at += len;
	return true;
}

void toml_skip_blanks(struct toml_reader *r)
{
	while (toml_peek(r) == ' ' || toml_peek(r) == '\t')
		r->at++;
}

static bool skip_line_end(struct toml_reader *r)
{
	if (!toml_skip(r, "\n") && !toml_skip(r, "\r\n"))
		return false;
	r->line++;
	return true;
}

/* Neither in a comment nor in a string. */
static bool is_forbidden(char c)
{
	return ((unsigned char)c < ' ' && c != '\t') || c == 0x7f;
}

static int skip_comment(struct toml_reader *r)
{
	if (toml_peek(r) != '#')
		return 0;
	while (r->at < r->end && *r->at != '\n' && strncmp(r->at, "\r\n", 2) != 0) {
		if (is_forbidden(*r->at))
			return toml_fail(r, "a control character in a comment");
		r->at++;
	}
	return 0;
}

int toml_skip_lines(struct toml_reader *r)
{
	int rc;

	do {
		toml_skip_blanks(r);
		rc = skip_comment(r);
	} while (rc == 0 && skip_line_end(r));
	return rc;
}

int toml_end_line(struct toml_reader *r)
{
	toml_skip_blanks(r);
	int rc = skip_comment(r);
	if (rc == 0 && r->at < r->end && !skip_line_end(r))
		rc = toml_fail(r, "more text than one KEY = VALUE or [TABLE] on a line");
	return rc;
}

/* --- strings ---------------------------------------------------------------------------------------------- */

static int add_point(struct toml_reader *r, struct text *out, uint32_t c)
{
	char bytes[4];
	size_t len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

	if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return toml_fail(r, "an escape that is no character");
	if (len == 1) {
		bytes[0] = (char)c;
	} else {
		for (size_t i = len; i-- > 1; c >>= 6)
			bytes[i] = (char)(0x80 | (c & 0x3f));
		bytes[0] = (char)(c | (0xf00U >> len & 0xffU));
	}
	text_add(out, bytes, len);
	return 0;
}

static int read_hex(struct toml_reader *r, struct text *out, size_t digits)
{
	uint32_t point = 0;

	for (size_t i = 0; i < digits; i++) {
		static const char hex[] = "0123456789abcdef";
		char c = toml_peek(r);
		const char *digit = c != '\0' ? strchr(hex, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c) : NULL;
		if (digit == NULL)
			return toml_fail(r, "an escape needs %zu hexadecimal digits", digits);
		point = point << 4 | (uint32_t)(digit - hex);
		r->at++;
	}
	return add_point(r, out, point);
}

/* After a backslash. At the end of a line of a """ string it takes the line end and the blanks after it away. */
static int read_escape(struct toml_reader *r, struct text *out, bool lines)
{
	static const char letters[] = "btnfr\"\\";
	static const char meant[] = "\b\t\n\f\r\"\\";
	char c = toml_peek(r);
	const char *letter = c != '\0' ? strchr(letters, c) : NULL;

	if (letter != NULL) {
		text_add(out, &meant[letter - letters], 1);
		r->at++;
		return 0;
	}
	if (toml_skip(r, "u"))
		return read_hex(r, out, 4);
	if (toml_skip(r, "U"))
		return read_hex(r, out, 8);
	if (lines) {
		toml_skip_blanks(r);
		if (skip_line_end(r)) {
			do
				toml_skip_blanks(r);
			while (skip_line_end(r));
			return 0;
		}
	}
	return toml_fail(r, "there is no such escape in a string; a backslash is \\\\");
}

/* A string in any of its four quotes: ", ', """ and '''. */
static int read_string(struct toml_reader *r, struct text *out)
{
	char quote = toml_peek(r);
	const char many[] = {quote, quote, quote, '\0'};
	bool lines = toml_skip(r, many);
	const char *mark = lines ? many : many + 2;

	if (lines)
		(void)skip_line_end(r);
	else
		r->at++;
	while (!toml_skip(r, mark)) {
		if (r->at == r->end)
			return toml_fail(r, "a string that does not end");
		const char *line = r->at;
		if (quote == '"' && toml_skip(r, "\\")) {
			int rc = read_escape(r, out, lines);
			if (rc != 0)
				return rc;
		} else if (lines && skip_line_end(r)) {
			text_add(out, line, (size_t)(r->at - line));
		} else if (is_forbidden(*r->at)) {
			return toml_fail(r, "a string that does not end on its line, or a control character in it");
		} else {
			text_add(out, r->at++, 1);
		}
	}
	/* Up to two quotes may stand before the last three. */
	for (int i = 0; lines && i < 2 && toml_peek(r) == quote; i++)
		text_add(out, r->at++, 1);
	return out->failed ? error_nomem(r->err) : 0;
}

/* --- keys ------------------------------------------------------------------------------------------------- */

static int read_part(struct toml_reader *r, struct text *out)
{
	static const char bare[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
	char first = toml_peek(r);

	if (first == '"' || first == '\'') {
		if (strncmp(r->at, "\"\"\"", 3) == 0 || strncmp(r->at, "'''", 3) == 0)
			return toml_fail(r, "a key cannot have several lines");
		int rc = read_string(r, out);
		for (size_t i = 0; rc == 0 && i < out->len; i++)
			if ((unsigned char)out->data[i] < ' ')
				rc = toml_fail(r, "a control character in a key");
		return rc;
	}
	size_t len = r->at < r->end ? strspn(r->at, bare) : 0;
	if (len == 0)
		return toml_fail(r, "a key is missing, or has a character that needs quotes");
	text_add(out, r->at, len);
	r->at += len;
	return out->failed ? error_nomem(r->err) : 0;
}

int toml_read_key(struct toml_reader *r, struct toml_key *ret_key)
{
	do {
		AUTO_TEXT part = {.max = TOML_SIZE_MAX};

		if (ret_key->count == TOML_DEPTH_MAX)
			return toml_fail(r, "more than %d levels", TOML_DEPTH_MAX);
		toml_skip_blanks(r);
		int rc = read_part(r, &part);
		if (rc != 0)
			return rc;
		char *copy = text_dup(text_str(&part));
		if (copy == NULL)
			return error_nomem(r->err);
		ret_key->parts[ret_key->count++] = copy;
		toml_skip_blanks(r);
	} while (toml_skip(r, "."));
	return 0;
}

void toml_key_release(struct toml_key *key)
{
	while (key->count > 0)
		free(key->parts[--key->count]);
}

/* --- numbers, dates, booleans ------------------------------------------------------------------------------- */

#define WORD_SIZE 100

/* What can belong to one number, date or word; a date may have a time after one blank. */
static size_t word_length(const struct toml_reader *r)
{
	static const char chars[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-._:";
	size_t len = strspn(r->at, chars);

	if (len == sizeof "2020-01-01" - 1 && r->at[4] == '-' && r->at[len] == ' ' && r->at[len + 1] >= '0' && r->at[len + 1] <= '9')
		len += 1 + strspn(r->at + len + 1, chars);
	return len;
}

static int make_integer(struct toml_reader *r, const char *digits, int base, json_t **ret_value)
{
	errno = 0;
	long long value = strtoll(digits, NULL, base);
	if (errno != 0)
		return toml_fail(r, "'%.40s' has more than 64 bits", digits);
	*ret_value = json_integer(value);
	return 0;
}

/* @word has the form of @kind; its underscores are taken out. */
static int make_word(struct toml_reader *r, enum word kind, char *word, json_t **ret_value)
{
	char *to = word;
	double real;

	for (const char *from = word; *from != '\0'; from++)
		if (*from != '_')
			*to++ = *from;
	*to = '\0';
	switch (kind) {
	case WORD_INTEGER:
		return make_integer(r, word, 10, ret_value);
	case WORD_HEX:
		return make_integer(r, word + 2, 16, ret_value);
	case WORD_OCTAL:
		return make_integer(r, word + 2, 8, ret_value);
	case WORD_BINARY:
		return make_integer(r, word + 2, 2, ret_value);
	case WORD_FLOAT:
		real = strtod(word, NULL);
		*ret_value = isfinite(real) ? json_real(real) : json_null();
		return 0;
	default:
		*ret_value = json_null();
		return 0;
	}
}

static int read_word(struct toml_reader *r, json_t **ret_value)
{
	size_t len = r->at < r->end ? word_length(r) : 0;
	char word[WORD_SIZE];
	int rc = 0;

	if (len == 0)
		return toml_fail(r, "a value is missing");
	if (len >= sizeof word)
		return toml_fail(r, "a number of more than %d characters", WORD_SIZE - 1);
	memcpy(word, r->at, len);
	word[len] = '\0';
	r->at += len;
	*ret_value = NULL;
	if (strcmp(word, "true") == 0 || strcmp(word, "false") == 0) {
		*ret_value = json_boolean(word[0] == 't');
		return 0;
	}
	size_t kind = 0;
	while (kind < TOML_PATTERNS && regexec(&r->patterns[kind], word, 0, NULL, 0) != 0)
		kind++;
	/* Not quoted: text without quotes may be a secret. */
	if (kind == TOML_PATTERNS)
		return toml_fail(r, "a value that is no number, no date, neither true nor false, and no text in quotes");
	rc = make_word(r, (enum word)kind, word, ret_value);
	return rc == 0 && *ret_value == NULL ? error_nomem(r->err) : rc;
}

int toml_read_scalar(struct toml_reader *r, json_t **ret_value)
{
	AUTO_TEXT text = {.max = TOML_SIZE_MAX};

	if (toml_peek(r) != '"' && toml_peek(r) != '\'')
		return read_word(r, ret_value);
	int rc = read_string(r, &text);
	if (rc != 0)
		return rc;
	*ret_value = json_stringn(text_str(&text), text.len);
	return *ret_value != NULL ? 0 : error_nomem(r->err);
}
