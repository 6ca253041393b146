/* The one clock: nothing else calls time(), clock_gettime() or sleeps.
 *
 * Monotonic milliseconds are for waiting, wall-clock microseconds (UTC, since 1970) for what is
 * compared with the server's times. Times on the wire are RFC 3339, as Prefect writes them. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef int64_t time_us; /* microseconds since 1970-01-01T00:00:00Z */

#define US_PER_SEC INT64_C(1000000)
#define TIME_TEXT_SIZE 40 /* bytes that time_format() needs at most */

/* The first and last moment that RFC 3339 can say: years 0001 to 9999. */
#define TIME_MIN_US (INT64_C(-62135596800) * US_PER_SEC)
#define TIME_MAX_US (INT64_C(253402300800) * US_PER_SEC - 1)

int64_t clock_mono_ms(void);
time_us clock_now_us(void);

/* Replaces both readings, for tests; NULL restores the real ones. Not thread-safe. */
void clock_fake(int64_t (*mono_ms)(void), time_us (*now_us)(void));

/* Reads "2026-11-21T06:34:21.123456Z", also with a space for the T, with an offset, and with any
 * number of fraction digits (cut to microseconds). Returns false for anything else. */
bool time_parse(const char *text, time_us *ret_time);

/* Writes "2026-11-21T06:34:21.123456Z" (no fraction where it is 0) and returns @buf. */
const char *time_format(time_us t, char buf[TIME_TEXT_SIZE]);

/* The same for people: "2026-11-21 06:34:21 UTC". */
const char *time_format_human(time_us t, char buf[TIME_TEXT_SIZE]);

/* "2 h 05 min", "3.2 s", "45 ms": a span of time for people. */
const char *span_format(int64_t ms, char buf[TIME_TEXT_SIZE]);

#endif
