/* TOML 1.0, read into JSON: what prefect.toml, pyproject.toml and profiles.toml are written in. Source: toml.io/en/v1.0.0.
 *
 * Strict: whatever the specification forbids (a key or a table that is there twice, a table that an inline one had closed, a
 * number with leading zeros, bytes that are not UTF-8) is an error that names file and line. Three things that TOML allows
 * are errors too: a control character in a key, an integer of more than 64 bits, and more than TOML_DEPTH_MAX levels.
 * Dates and times, inf and nan have no place in JSON: they are checked (the calendar is not) and become null.
 * Thread rule: no state. */
#ifndef BASE_TOML_H
#define BASE_TOML_H

#include <jansson.h>
#include <stddef.h>

#include "client/base/error.h"

#define TOML_DEPTH_MAX 32
#define TOML_SIZE_MAX (1024 * 1024)

struct toml {
	json_t *root;  /* owned: an object */
	json_t *marks; /* owned: what toml_line() looks up */
};

/* Reads the @len bytes of @text, after which there is a NUL. @name: of the file, for the error. Returns 0, ERR_DECODE ("NAME:LINE: what is wrong") or
 * ERR_NOMEM; @ret_toml is filled on success only, and released by toml_release(). */
int toml_read(const char *text, size_t len, const char *name, struct toml *ret_toml, struct error *err) MUST_CHECK;

/* The same with the text of @file, of at most TOML_SIZE_MAX bytes. ERR_NOT_FOUND where there is no such file; ERR_SYSTEM where
 * it cannot be read. */
int toml_read_file(const char *file, struct toml *ret_toml, struct error *err) MUST_CHECK;

/* What stands at the end of @count keys, from the root on: borrowed; NULL where nothing is, or not in tables. *ret_line (may
 * be NULL) gets its line, from 1 on. */
json_t *toml_get(const struct toml *toml, const char *const *keys, size_t count, unsigned *ret_line);

void toml_release(struct toml *toml);

#endif
