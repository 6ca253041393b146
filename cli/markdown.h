/* The Markdown of our previews and reports, for a terminal: what text_add_markdown() escaped is a plain character again,
 * bold is bold, and a table fits the width. Thread rule: no state. */
#ifndef CLI_MARKDOWN_H
#define CLI_MARKDOWN_H

#include "cli/table.h"

/* Appends @markdown to @out. It is foreign text: control characters in it are made harmless. Returns 0 or ERR_NOMEM. */
int markdown_write(const char *markdown, const struct style *style, struct text *out, struct error *err) MUST_CHECK;

#endif
