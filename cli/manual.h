/* The man pages: hand-written frames (man/NAME.in), and in them what the tables of commands and options say.
 *
 * A line of a frame that is one of these words is replaced: @VERSION@ (also inside of a line), @COMMANDS@, @OPTIONS@ (every
 * flag), @ENVIRONMENT@ (every variable), @SETTINGS@ (every key of the configuration file, by group).
 * Used when the program is built (man/make_page.c). Thread rule: no state. */
#ifndef CLI_MANUAL_H
#define CLI_MANUAL_H

#include "client/base/text.h"

/* Appends the page made from @frame. ERR_USAGE: an unknown @WORD@; else 0, and @out says whether it was all. */
int manual_render(const char *frame, struct text *out, struct error *err) MUST_CHECK;

#endif
