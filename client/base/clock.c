#include "client/base/clock.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t (*fake_mono_ms)(void);
static time_us (*fake_now_us)(void);

void clock_fake(int64_t (*mono_ms)(void), time_us (*now_us)(void))
{
	fake_mono_ms = mono_ms;
	fake_now_us = now_us;
}

int64_t clock_mono_ms(void)
{
	if (fake_mono_ms != NULL)
		return fake_mono_ms();

	struct timespec ts;
	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

time_us clock_now_us(void)
{
	if (fake_now_us != NULL)
		return fake_now_us();

	struct timespec ts;
	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (time_us)ts.tv_sec * US_PER_SEC + ts.tv_nsec / 1000;
}

/* Reads exactly @digits decimal digits at *@s and moves on; -1 where there are fewer. */
static int read_digits(const char **s, int digits)
{
	int value = 0;

	for (; digits > 0; digits--, (*s)++) {
		if (!isdigit((unsigned char)**s))
			return -1;
		value = value * 10 + (**s - '0');
	}
	return value;
}

/* Reads @digits digits followed by @sep (0: by anything); false where the text is otherwise. */
static bool read_part(const char **s, int digits, char sep, int min, int max, int *ret_value)
{
	int value = read_digits(s, digits);

	if (value < min || value > max || (sep != 0 && **s != sep))
		return false;
	if (sep != 0)
		(*s)++;
	*ret_value = value;
	return true;
}

/* Days from 1970-01-01 to the civil date; exact for every year of the proleptic calendar. */
static int64_t days_from_civil(int64_t year, int month, int day)
{
	year -= month <= 2;
	int64_t era = (year >= 0 ? year : year - 399) / 400;
	int64_t of_era = year - era * 400;
	int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static int days_in_month(int year, int month)
{
	return (int)(month == 12 ? 31 : days_from_civil(year, month + 1, 1) - days_from_civil(year, month, 1));
}

static bool read_offset(const char **s, int64_t *ret_sec)
{
	if (**s == 'Z' || **s == 'z') {
		(*s)++;
		*ret_sec = 0;
		return true;
	}
	if (**s != '+' && **s != '-')
		return false;

	int sign = *(*s)++ == '-' ? -1 : 1;
	int hours;
	int minutes;
	if (!read_part(s, 2, ':', 0, 23, &hours) || !read_part(s, 2, 0, 0, 59, &minutes))
		return false;
	*ret_sec = sign * (hours * 3600 + minutes * 60);
	return true;
}

bool time_parse(const char *text, time_us *ret_time)
{
	const char *s = text;
	int year, month, day, hour, minute, second;

	if (!read_part(&s, 4, '-', 1, 9999, &year) || !read_part(&s, 2, '-', 1, 12, &month) ||
	    !read_part(&s, 2, 0, 1, days_in_month(year, month), &day) || (*s != 'T' && *s != ' '))
		return false;
	s++;
	if (!read_part(&s, 2, ':', 0, 23, &hour) || !read_part(&s, 2, ':', 0, 59, &minute) ||
	    !read_part(&s, 2, 0, 0, 59, &second))
		return false;

	int64_t fraction = 0;
	if (*s == '.') {
		int64_t unit = US_PER_SEC;
		const char *first = ++s;
		for (; isdigit((unsigned char)*s); s++) {
			unit /= 10;
			fraction += unit * (*s - '0');
		}
		if (s == first)
			return false;
	}

	int64_t offset;
	if (!read_offset(&s, &offset) || *s != '\0')
		return false;

	int64_t days = days_from_civil(year, month, day);
	*ret_time = (days * 86400 + hour * 3600 + minute * 60 + second - offset) * US_PER_SEC + fraction;
	return true;
}

static void civil_time(time_us t, struct tm *ret_tm, int64_t *ret_fraction)
{
	int64_t fraction = t % US_PER_SEC;
	if (fraction < 0)
		fraction += US_PER_SEC;
	time_t seconds = (time_t)((t - fraction) / US_PER_SEC);

	*ret_fraction = fraction;
	(void)gmtime_r(&seconds, ret_tm);
}

const char *time_format(time_us t, char buf[TIME_TEXT_SIZE])
{
	struct tm tm = {0};
	int64_t fraction;
	civil_time(t, &tm, &fraction);

	int n = snprintf(buf, TIME_TEXT_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d", tm.tm_year + 1900, tm.tm_mon + 1,
	                 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
	if (fraction != 0)
		n += snprintf(buf + n, TIME_TEXT_SIZE - (size_t)n, ".%06" PRId64, fraction);
	(void)snprintf(buf + n, TIME_TEXT_SIZE - (size_t)n, "Z");
	return buf;
}

const char *time_format_human(time_us t, char buf[TIME_TEXT_SIZE])
{
	struct tm tm = {0};
	int64_t fraction;
	civil_time(t, &tm, &fraction);

	(void)snprintf(buf, TIME_TEXT_SIZE, "%04d-%02d-%02d %02d:%02d:%02d UTC", tm.tm_year + 1900, tm.tm_mon + 1,
	               tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
	return buf;
}

const char *span_format(int64_t ms, char buf[TIME_TEXT_SIZE])
{
	int64_t min = ms / 60000;

	if (ms < 1000)
		(void)snprintf(buf, TIME_TEXT_SIZE, "%" PRId64 " ms", ms);
	else if (min < 1)
		(void)snprintf(buf, TIME_TEXT_SIZE, "%.1f s", (double)ms / 1000);
	else if (min < 60)
		(void)snprintf(buf, TIME_TEXT_SIZE, "%" PRId64 " min %02" PRId64 " s", min, ms / 1000 % 60);
	else if (min < 48 * 60)
		(void)snprintf(buf, TIME_TEXT_SIZE, "%" PRId64 " h %02" PRId64 " min", min / 60, min % 60);
	else
		(void)snprintf(buf, TIME_TEXT_SIZE, "%" PRId64 " days %" PRId64 " h", min / 1440, min / 60 % 24);
	return buf;
}
