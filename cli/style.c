#include "cli/style.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

/* Terminals that are narrower than this are not: what they say of themselves is wrong. */
#define WIDTH_MIN 20
#define WIDTH_UNKNOWN 80

/* What the user says it is; 0 where nothing is said. */
static int width_told(void)
{
	const char *columns = getenv("COLUMNS");
	int told = columns != NULL ? atoi(columns) : 0;

	return told >= WIDTH_MIN ? told : 0;
}

static int width_of(int fd)
{
	struct winsize size;
	int told = width_told();

	if (told > 0)
		return told;
	return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col >= WIDTH_MIN ? size.ws_col : WIDTH_UNKNOWN;
}

struct style style_of(int fd)
{
	const char *no_color = getenv("NO_COLOR");
	const char *term = getenv("TERM");
	bool dumb = term == NULL || *term == '\0' || strcmp(term, "dumb") == 0;

	if (isatty(fd) != 1)
		return (struct style){.width = width_told()};
	return (struct style){
		.terminal = true,
		.colours = !dumb && (no_color == NULL || *no_color == '\0'),
		.width = width_of(fd),
	};
}

struct style style_of_stdout(void)
{
	return style_of(STDOUT_FILENO);
}

const char *style_on(const struct style *style, enum colour colour)
{
	static const char *const codes[] = {
		[COLOUR_NONE] = "",         [COLOUR_BOLD] = "\033[1m",    [COLOUR_DIM] = "\033[2m",  [COLOUR_RED] = "\033[31m",
		[COLOUR_GREEN] = "\033[32m", [COLOUR_YELLOW] = "\033[33m", [COLOUR_BLUE] = "\033[34m"};

	return style->colours ? codes[colour] : "";
}

const char *style_off(const struct style *style, enum colour colour)
{
	return style->colours && colour != COLOUR_NONE ? "\033[0m" : "";
}

enum colour style_state(enum state_type type)
{
	switch (type) {
	case STATE_COMPLETED:
		return COLOUR_GREEN;
	case STATE_FAILED:
	case STATE_CRASHED:
		return COLOUR_RED;
	case STATE_PAUSED:
	case STATE_CANCELLING:
	case STATE_CANCELLED:
		return COLOUR_YELLOW;
	case STATE_RUNNING:
	case STATE_PENDING:
		return COLOUR_BLUE;
	case STATE_SCHEDULED:
	case STATE_UNKNOWN:
		break;
	}
	return COLOUR_NONE;
}

/* --- widths ------------------------------------------------------------------------------------------ */

/* Columns of the character at @s, and its bytes. What is not UTF-8 counts as one column a byte. */
static int next_columns(const char *s, size_t left, size_t *ret_bytes)
{
	uint32_t point = 0;
	size_t n = text_next(s, left, &point);
	int columns = n > 0 ? wcwidth((wchar_t)point) : 1;

	*ret_bytes = n > 0 ? n : 1;
	return columns >= 0 ? columns : 1;
}

int text_columns(const char *s, size_t len)
{
	int columns = 0;

	for (size_t i = 0, n; i < len; i += n)
		columns += next_columns(s + i, len - i, &n);
	return columns;
}

size_t text_fit(const char *s, int columns)
{
	size_t len = strlen(s);
	size_t i = 0;
	size_t n;

	for (; i < len; i += n) {
		int wide = next_columns(s + i, len - i, &n);
		if (wide > columns)
			break;
		columns -= wide;
	}
	return i;
}

/* --- times ------------------------------------------------------------------------------------------- */

const char *when_format(time_us t, char buf[WHEN_SIZE])
{
	char utc[TIME_TEXT_SIZE];
	char local[40] = "";
	time_t seconds = (time_t)((t - (t % US_PER_SEC + US_PER_SEC) % US_PER_SEC) / US_PER_SEC);
	struct tm here;
	struct tm there;

	(void)time_format_human(t, utc);
	if (localtime_r(&seconds, &here) != NULL && gmtime_r(&seconds, &there) != NULL && here.tm_gmtoff != 0)
		(void)strftime(local, sizeof local, here.tm_mday == there.tm_mday ? "%H:%M:%S %Z" : "%Y-%m-%d %H:%M:%S %Z", &here);
	(void)snprintf(buf, WHEN_SIZE, *local != '\0' ? "%s (%s)" : "%s", utc, local);
	return buf;
}

const char *age_format(int64_t ms, char buf[TIME_TEXT_SIZE])
{
	int64_t minutes = ms / 60000;
	int64_t hours = minutes / 60;

	if (ms < 0)
		buf[0] = '\0';
	else if (minutes < 1)
		(void)snprintf(buf, TIME_TEXT_SIZE, "%" PRId64 " s", ms / 1000);
	else if (hours < 1)
		(void)snprintf(buf, TIME_TEXT_SIZE, "%" PRId64 " min", minutes);
	else if (hours < 48)
		(void)snprintf(buf, TIME_TEXT_SIZE, "%" PRId64 " h %02" PRId64 " min", hours, minutes % 60);
	else
		(void)snprintf(buf, TIME_TEXT_SIZE, "%" PRId64 " d %02" PRId64 " h", hours / 24, hours % 24);
	return buf;
}
