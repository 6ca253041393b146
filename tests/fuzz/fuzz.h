/* What the fuzz targets share: bytes as answers of a server, and what must hold for every text that is shown.
 * A target is tests/fuzz/NAME.c with LLVMFuzzerTestOneInput(); its corpus is tests/fuzz/corpus/NAME. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/prefect/prefect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A session whose requests go nowhere: http_call() is replaced by the linker's --wrap. All of them are answered with this
 * status and a copy of these bytes. */
struct prefect *fuzz_session(int status, const uint8_t *data, size_t size);

/* Ends the program where it does not hold. */
#define MUST(condition) ((condition) ? (void)0 : __builtin_trap())

/* UTF-8 without control characters, but for line breaks where @lines. */
void fuzz_must_be_clean(const char *text, bool lines);

/* A new string of these bytes with a NUL at the end. */
char *fuzz_string(const uint8_t *data, size_t size);

#endif
