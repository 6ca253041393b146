/* A .env file, as python-dotenv 1.2 reads it (parser.py, variables.py), which Prefect has it read by.
 *
 * NAME=VALUE, maybe with "export" in front; values bare, in '...' or in "..." with escapes, the quoted ones over several lines;
 * # begins a comment; ${NAME} and ${NAME:-DEFAULT} stand for what was set further up, or in the environment. A line that
 * cannot be read is left out, and all others count. Thread rule: no state. */
#ifndef BASE_DOTENV_H
#define BASE_DOTENV_H

#include <jansson.h>
#include <stddef.h>

#include "client/base/error.h"

/* Reads @text. *ret_values: a new object, each NAME with its text, or null where a name stands alone. *ret_bad_line: the first
 * line that cannot be read, from 1 on; 0 for none. Returns 0, ERR_DECODE (not UTF-8) or ERR_NOMEM. */
int dotenv_read(const char *text, size_t len, json_t **ret_values, unsigned *ret_bad_line, struct error *err) MUST_CHECK;

#endif
