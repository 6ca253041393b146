/* Durations as pydantic's timedelta reads ISO 8601, which is how a Prefect flow reads them:
 * [+-]P with Y (365 days), M (30 days), W and D, then T with H, M and S, in any order and repeated, the
 * last number with a fraction. Checked against pydantic 2.13 (tests/unit). Thread rule: no state. */
#ifndef BASE_DURATION_H
#define BASE_DURATION_H

#include <stdbool.h>
#include <stdint.h>

#include "client/base/error.h"

/* Reads @text into microseconds, rounded half up. Returns 0, or ERR_DECODE with the reason for anything
 * else, or for more than 290,000 years. */
int duration_parse(const char *text, int64_t *ret_us, struct error *err) MUST_CHECK;

/* "P365250D" and the like. */
#define DURATION_ISO_SIZE 32

/* Durations as people write them: a whole number of days ("30"), or with a unit: "30 days", "30d", "2 weeks", "12 hours",
 * "6 months", "1 year". True where @text is one: @ret_iso gets it in ISO 8601, for duration_parse(). */
bool duration_from_words(const char *text, char ret_iso[DURATION_ISO_SIZE]);

/* The same for a number of seconds. */
int duration_from_seconds(double seconds, int64_t *ret_us, struct error *err) MUST_CHECK;

#endif
