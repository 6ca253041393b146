/* Small files, as a whole. Blocks for as long as the file system does. Thread rule: no state. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "client/base/error.h"
#include "client/base/text.h"

/* Appends the content of @file to @out, NULs too. Returns 0; ERR_NOT_FOUND where there is no such file; ERR_SYSTEM where it
 * cannot be read, or has more than @out takes. */
int file_read(const char *file, struct text *out, struct error *err) MUST_CHECK;

#endif
