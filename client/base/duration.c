#include "client/base/duration.h"

#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "client/base/clock.h"

#define DAY_S 86400
#define LIMIT_US (INT64_C(290000) * 365 * DAY_S * US_PER_SEC)

/* Seconds in a unit of the date or the time part; 0 for a letter that does not stand there. */
static int64_t unit_seconds(char unit, bool in_time)
{
	static const struct {
		char unit;
		bool in_time;
		int64_t seconds;
	} units[] = {
		{'Y', false, 365 * DAY_S}, {'M', false, 30 * DAY_S}, {'W', false, 7 * DAY_S}, {'D', false, DAY_S},
		{'H', true, 3600},         {'M', true, 60},          {'S', true, 1},
	};

	for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
		if (units[i].unit == unit && units[i].in_time == in_time)
			return units[i].seconds;
	return 0;
}

/* A number of units: whole + digits / scale. Both are whole numbers below 2^63, which a long double holds exactly. */
struct quantity {
	int64_t whole;
	long double digits;
	long double scale;
	bool has_fraction;
};

#define FRACTION_SCALE_MAX 1e18L

/* Reads "12" or "12.5" at *@s; false where it is no number or too large. */
static bool read_quantity(const char **s, struct quantity *ret_quantity)
{
	struct quantity q = {.scale = 1};

	if (!isdigit((unsigned char)**s))
		return false;
	for (; isdigit((unsigned char)**s); (*s)++) {
		if (q.whole > LIMIT_US / US_PER_SEC)
			return false;
		q.whole = q.whole * 10 + (**s - '0');
	}
	if (**s == '.' || **s == ',') {
		q.has_fraction = true;
		for ((*s)++; isdigit((unsigned char)**s); (*s)++) {
			if (q.scale == FRACTION_SCALE_MAX)
				continue; /* too fine for a microsecond of a year */
			q.scale *= 10;
			q.digits = q.digits * 10 + (**s - '0');
		}
	}
	*ret_quantity = q;
	return true;
}

static int bad(struct error *err, const char *text, const char *why)
{
	return error_set(err, ERR_DECODE, "'%.40s' is not an ISO 8601 duration (%s); write it like P30D, P6M or PT12H, or in days: 30",
	                 text, why);
}

int duration_parse(const char *text, int64_t *ret_us, struct error *err)
{
	const char *s = text;
	int sign = *s == '-' ? -1 : 1;
	bool in_time = false;
	bool fraction_seen = false;
	int64_t total = 0;

	if (*s == '-' || *s == '+')
		s++;
	if (*s != 'P')
		return bad(err, text, "it does not start with P");
	s++;
	if (*s == '\0' || strcmp(s, "T") == 0)
		return bad(err, text, "it has no number");

	while (*s != '\0') {
		struct quantity q;

		if (*s == 'T' && !in_time) {
			in_time = true;
			s++;
			continue;
		}
		if (fraction_seen)
			return bad(err, text, "only the last number may have a fraction");
		if (!read_quantity(&s, &q))
			return bad(err, text, isdigit((unsigned char)*s) ? "too large" : "a number was expected");

		int64_t unit = unit_seconds(*s, in_time);
		if (unit == 0)
			return bad(err, text, "a unit is missing, unknown or in the wrong part");
		s++;
		fraction_seen = q.has_fraction;

		if (q.whole > LIMIT_US / US_PER_SEC / unit)
			return bad(err, text, "too large");
		total += q.whole * unit * US_PER_SEC + (int64_t)floorl(q.digits * (unit * US_PER_SEC) / q.scale + 0.5L);
		if (total > LIMIT_US)
			return bad(err, text, "too large");
	}
	*ret_us = sign * total;
	return 0;
}

#define WORD_DIGITS_MAX 12

bool duration_from_words(const char *text, char ret_iso[DURATION_ISO_SIZE])
{
	static const struct {
		const char *word;
		const char *before;
		char unit;
	} words[] = {
		{"", "", 'D'},       {"d", "", 'D'},       {"day", "", 'D'},   {"days", "", 'D'},   {"w", "", 'W'},
		{"week", "", 'W'},   {"weeks", "", 'W'},   {"h", "T", 'H'},    {"hour", "T", 'H'},  {"hours", "T", 'H'},
		{"month", "", 'M'},  {"months", "", 'M'},  {"y", "", 'Y'},     {"year", "", 'Y'},   {"years", "", 'Y'},
	};
	size_t digits = strspn(text, "0123456789");
	const char *word = text + digits + (text[digits] == ' ' && text[digits + 1] != '\0');

	if (digits == 0 || digits > WORD_DIGITS_MAX)
		return false;
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		if (strcmp(words[i].word, word) != 0)
			continue;
		(void)snprintf(ret_iso, DURATION_ISO_SIZE, "P%s%.*s%c", words[i].before, (int)digits, text, words[i].unit);
		return true;
	}
	return false;
}

int duration_from_seconds(double seconds, int64_t *ret_us, struct error *err)
{
	if (!(fabs(seconds) <= (double)(LIMIT_US / US_PER_SEC)))
		return error_set(err, ERR_DECODE, "%g seconds are too many", seconds);
	*ret_us = (int64_t)floor(seconds * (double)US_PER_SEC + 0.5);
	return 0;
}
