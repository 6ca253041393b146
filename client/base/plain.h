/* Markdown as plain text, for places that show text as it is, such as the log of a flow run. Thread rule: no state. */
#ifndef BASE_PLAIN_H
#define BASE_PLAIN_H

#include "client/base/text.h"

/* Appends @markdown to @out without its marks: titles, bold and code as their words, a link as "words (address)", escaped characters
 * as themselves, the cells of a table in columns. Lines stay lines. */
void plain_add(struct text *out, const char *markdown);

#endif
