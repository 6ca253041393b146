/* How what is printed looks: colours and width where a person reads it on a terminal, plain text elsewhere.
 * Thread rule: main thread only. */
#ifndef CLI_STYLE_H
#define CLI_STYLE_H

#include <stdbool.h>

#include "client/base/clock.h"
#include "client/base/text.h"
#include "client/prefect/state.h"

struct style {
	bool terminal; /* a person sees it at once, and a line can be drawn again */
	bool colours;  /* on a terminal that has them; never with NO_COLOR (https://no-color.org) */
	int width;     /* columns of the terminal, or as COLUMNS says; 0: no limit */
};

enum colour { COLOUR_NONE, COLOUR_BOLD, COLOUR_DIM, COLOUR_RED, COLOUR_GREEN, COLOUR_YELLOW, COLOUR_BLUE };

/* That of a file descriptor now, and of stdout. */
struct style style_of(int fd);
struct style style_of_stdout(void);

/* The escape sequences around a coloured text; "" where there are no colours. */
const char *style_on(const struct style *style, enum colour colour);
const char *style_off(const struct style *style, enum colour colour);

/* The colour of a state's type, as in the UI. */
enum colour style_state(enum state_type type);

/* Columns that @len bytes of UTF-8 take on a terminal; foreign text has to be clean (text_clean()) before. */
int text_columns(const char *s, size_t len);

/* How many bytes of @s fit into @columns. */
size_t text_fit(const char *s, int columns);

/* "2026-11-21 06:34:21 UTC (07:34:21 CET)": for people, in UTC and, where it differs, on this machine's clock too. */
#define WHEN_SIZE 96
const char *when_format(time_us t, char buf[WHEN_SIZE]);

/* "3 d 04 h", "12 min": a longer span, shortly; "" below zero. */
const char *age_format(int64_t ms, char buf[TIME_TEXT_SIZE]);

#endif
