#include "cli/style.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/unit.h"

/* A terminal of 42 columns, as a file descriptor. */
static int open_terminal(int *ret_master)
{
	const struct winsize size = {.ws_row = 10, .ws_col = 42};

	*ret_master = posix_openpt(O_RDWR | O_NOCTTY);
	CHECK("terminal", *ret_master >= 0 && grantpt(*ret_master) == 0 && unlockpt(*ret_master) == 0);
	int fd = open(ptsname(*ret_master), O_RDWR | O_NOCTTY);
	CHECK("terminal", fd >= 0 && ioctl(fd, TIOCSWINSZ, &size) == 0);
	return fd;
}

static void knows_terminals(void)
{
	static const struct {
		const char *name, *term, *no_color, *columns;
		bool colours;
		int width;
	} rows[] = {
		{"a terminal", "xterm", NULL, NULL, true, 42},
		{"NO_COLOR", "xterm", "1", NULL, false, 42},
		{"an empty NO_COLOR is none", "xterm", "", NULL, true, 42},
		{"a dumb terminal", "dumb", NULL, NULL, false, 42},
		{"no TERM", NULL, NULL, NULL, false, 42},
		{"COLUMNS goes before", "xterm", NULL, "100", true, 100},
		{"COLUMNS without sense", "xterm", NULL, "3", true, 42},
	};
	int master;
	int fd = open_terminal(&master);

	EACH(row, rows)
	{
		(void)(row->term != NULL ? setenv("TERM", row->term, 1) : unsetenv("TERM"));
		(void)(row->no_color != NULL ? setenv("NO_COLOR", row->no_color, 1) : unsetenv("NO_COLOR"));
		(void)(row->columns != NULL ? setenv("COLUMNS", row->columns, 1) : unsetenv("COLUMNS"));
		struct style style = style_of(fd);
		CHECK(row->name, style.terminal);
		CHECK_INT(row->name, style.colours, row->colours);
		CHECK_INT(row->name, style.width, row->width);
		CHECK_STR(row->name, style_on(&style, COLOUR_RED), row->colours ? "\033[31m" : "");
	}
	(void)unsetenv("NO_COLOR");
	(void)unsetenv("COLUMNS");
	(void)close(fd);
	(void)close(master);
}

static void is_plain_in_a_file(void)
{
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	struct style style = style_of(fd);

	CHECK("file", !style.terminal && !style.colours && style.width == 0);
	(void)setenv("COLUMNS", "60", 1);
	style = style_of(fd);
	CHECK("a width that is told holds there too", !style.terminal && style.width == 60);
	(void)unsetenv("COLUMNS");
	(void)close(fd);
}

static void says_both_times(void)
{
	static const struct {
		const char *name, *zone, *time, *want;
	} rows[] = {
		{"UTC only once", "UTC", "2026-11-21T06:34:21Z", "2026-11-21 06:34:21 UTC"},
		{"another zone", "CET-1", "2026-11-21T06:34:21Z", "2026-11-21 06:34:21 UTC (07:34:21 CET)"},
		{"another day", "CET-1", "2026-11-21T23:34:21Z", "2026-11-21 23:34:21 UTC (2026-11-22 00:34:21 CET)"},
		{"before 1970", "CET-1", "1969-12-31T10:00:00.5Z", "1969-12-31 10:00:00 UTC (11:00:00 CET)"},
	};
	char buf[WHEN_SIZE];

	EACH(row, rows)
	{
		time_us t = 0;
		(void)setenv("TZ", row->zone, 1);
		tzset();
		CHECK(row->name, time_parse(row->time, &t));
		CHECK_STR(row->name, when_format(t, buf), row->want);
	}
	(void)unsetenv("TZ");
	tzset();
}

static void says_ages(void)
{
	static const struct {
		const char *name;
		int64_t ms;
		const char *want;
	} rows[] = {
		{"seconds", 59999, "59 s"},
		{"minutes", 60000, "1 min"},
		{"hours", 3600000 * 3 + 60000 * 4, "3 h 04 min"},
		{"days", INT64_C(86400000) * 400 + 3600000, "400 d 01 h"},
		{"the future", -1, ""},
	};
	char buf[TIME_TEXT_SIZE];

	EACH(row, rows)
		CHECK_STR(row->name, age_format(row->ms, buf), row->want);
}

UNIT_SUITE("cli/style", TEST(knows_terminals), TEST(is_plain_in_a_file), TEST(says_both_times), TEST(says_ages))
