/* The words of TOML for toml.c: keys, strings, numbers, dates, and the blanks and comments between them. */
#ifndef BASE_TOML_VALUE_H
#define BASE_TOML_VALUE_H

#include <regex.h>
#include <stdbool.h>

#include "client/base/toml.h"

#define TOML_PATTERNS 9

/* A document while it is read. */
struct toml_reader {
	const char *at, *end; /* what is left of it; a NUL is at the end */
	uint64_t line;        /* of `at` */
	int depth;
	const char *name;
	struct toml toml;     /* what was read so far */
	regex_t patterns[TOML_PATTERNS];
	size_t pattern_count;
	struct error *err;
};

/* A key, dotted or not. */
struct toml_key {
	char *parts[TOML_DEPTH_MAX]; /* owned */
	size_t count;
};

int toml_reader_init(struct toml_reader *r) MUST_CHECK;
void toml_reader_done(struct toml_reader *r); /* leaves r->toml alone */

/* ERR_DECODE with file and line in front. */
int toml_fail(struct toml_reader *r, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* The next byte; NUL at the end. */
char toml_peek(const struct toml_reader *r);

/* Goes past @word where it is what comes next. */
bool toml_skip(struct toml_reader *r, const char *word);
void toml_skip_blanks(struct toml_reader *r);

/* Goes past blanks, line ends and comments. */
int toml_skip_lines(struct toml_reader *r) MUST_CHECK;

/* Nothing but a comment may follow on the line. */
int toml_end_line(struct toml_reader *r) MUST_CHECK;

/* A key with the blanks around it. The caller releases @ret_key, also after an error. */
int toml_read_key(struct toml_reader *r, struct toml_key *ret_key) MUST_CHECK;
void toml_key_release(struct toml_key *key);

/* A string, number, boolean, date or time. */
int toml_read_scalar(struct toml_reader *r, json_t **ret_value) MUST_CHECK;

#endif
