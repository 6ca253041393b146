/* What every test file uses: a suite registers itself, and a check that fails names the row it belongs to.
 *
 *   static void reads_durations(void)
 *   {
 *           static const struct { const char *name, *text; int64_t us; } rows[] = {{"a day", "P1D", 86400000000}};
 *           EACH(row, rows) { ... CHECK_INT(row->name, us, row->us); }
 *   }
 *   UNIT_SUITE("client/base/duration", TEST(reads_durations))
 *
 * Thread rule: checks belong to the main thread. */
#ifndef TESTS_UNIT_UNIT_H
#define TESTS_UNIT_UNIT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/base/error.h"
#include "client/base/json.h"

struct unit_test {
	const char *name;
	void (*run)(void);
};

struct unit_suite {
	const char *name; /* the source's path without its ending */
	const struct unit_test *tests;
	size_t count;
	struct unit_suite *next;
};

void unit_add(struct unit_suite *suite);

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
/* A loop over a table; @row points to one of its rows. */
#define EACH(row, rows) for (__typeof__((rows)[0]) *row = (rows); row < (rows) + COUNT_OF(rows); row++)

#define TEST(function) {#function, function}
#define UNIT_SUITE(suite_name, ...)                                                                    \
	static const struct unit_test unit_tests[] = {__VA_ARGS__};                                     \
	static struct unit_suite unit_suite = {suite_name, unit_tests, COUNT_OF(unit_tests), NULL};     \
	__attribute__((constructor)) static void unit_register(void)                                    \
	{                                                                                               \
		unit_add(&unit_suite);                                                                  \
	}

/* Each returns whether it held, so that a test can stop where going on makes no sense. @row: the row's name. */
#define CHECK(row, condition) unit_check((condition), __FILE__, __LINE__, "%s: %s", row, #condition)
#define CHECK_INT(row, got, want) unit_check_int(__FILE__, __LINE__, row, #got, (int64_t)(got), (int64_t)(want))
#define CHECK_STR(row, got, want) unit_check_str(__FILE__, __LINE__, row, #got, got, want)
/* @part occurs in @text, or does not. */
#define CHECK_HAS(row, text, part) unit_check_has(__FILE__, __LINE__, row, text, part, true)
#define CHECK_LACKS(row, text, part) unit_check_has(__FILE__, __LINE__, row, text, part, false)
/* @json is the same value as the JSON text @want, whatever the order of keys. */
#define CHECK_JSON(row, json, want) unit_check_json(__FILE__, __LINE__, row, json, want)
/* @rc is @want; if not, the error's text is shown. */
#define CHECK_RC(row, rc, want, err) unit_check_rc(__FILE__, __LINE__, row, rc, want, err)

bool unit_check(bool ok, const char *file, int line, const char *fmt, ...) PRINTF_LIKE(4, 5);
bool unit_check_int(const char *file, int line, const char *row, const char *what, int64_t got, int64_t want);
bool unit_check_str(const char *file, int line, const char *row, const char *what, const char *got, const char *want);
bool unit_check_has(const char *file, int line, const char *row, const char *text, const char *part, bool wanted);
bool unit_check_json(const char *file, int line, const char *row, const json_t *got, const char *want);
bool unit_check_rc(const char *file, int line, const char *row, int rc, int want, const struct error *err);

/* The value of a JSON text that the test itself wrote; ends the program where it is not JSON. */
json_t *unit_json(const char *text);

/* A clock for clock_fake(): each look at it moves it on by unit_clock_step_ms. */
extern int64_t unit_clock_ms;
extern int64_t unit_clock_step_ms;
int64_t unit_mono_ms(void);
int64_t unit_now_us(void);

#endif
