/* Durations as pydantic's timedelta reads ISO 8601, which is how a Prefect flow reads them:
 * [+-]P with Y (365 days), M (30 days), W and D, then T with H, M and S, in any order and repeated, the
 * last number with a fraction. Checked against pydantic 2.13 (tests/unit). Thread rule: no state. */
#ifndef BASE_DURATION_H
#define BASE_DURATION_H

#include <stdint.h>

#include "client/base/error.h"

/* Reads @text into microseconds, rounded half up. Returns 0, or ERR_DECODE with the reason for anything
 * else, or for more than 290,000 years. */
int duration_parse(const char *text, int64_t *ret_us, struct error *err) MUST_CHECK;

/* The same for a number of seconds. */
int duration_from_seconds(double seconds, int64_t *ret_us, struct error *err) MUST_CHECK;

#endif
