/* Text: a bounded growing buffer, and the two ways in which foreign text is made harmless.
 * Nothing here blocks, logs or keeps state; thread rule: none shared. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "client/base/error.h"

/* A string that grows up to a limit. Zero-initialise with the limit: `struct text t = {.max = 4096}`.
 * A failed or over-long append sets `failed` and leaves a valid, shorter string: check once at the end. */
struct text {
	char *data;  /* NUL-terminated, or NULL while empty; owned */
	size_t len;  /* bytes, without the NUL */
	size_t size; /* bytes allocated */
	size_t max;  /* bytes at most, without the NUL */
	bool failed; /* out of memory, or the limit was reached */
};

void text_add(struct text *t, const char *data, size_t len);
void text_addf(struct text *t, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* The string, never NULL; borrowed, valid until the next append. */
const char *text_str(const struct text *t);

/* Hands the string to the caller, who frees it; NULL where an append had failed. */
char *text_take(struct text *t);
void text_release(struct text *t);

/* Copies @len bytes of @src for a log line or an error: control characters (C0, DEL, C1, Unicode
 * line and direction marks) and bytes that are not UTF-8 become '?', and what does not fit in
 * @size bytes is cut at a character's edge with "..." at the end. @dst is always terminated. */
void text_clean(char *dst, size_t size, const char *src, size_t len);

/* Appends @src to @t as it should read in Markdown: cleaned as above, at most @max bytes of it, and
 * with every character escaped that would start formatting, a link, a table cell or HTML. */
void text_add_markdown(struct text *t, const char *src, size_t len, size_t max);

/* Puts stars in place of @secret wherever it is in the @len bytes of @text. A secret of less than @min bytes may be a word, as
 * in "Bearer none": it is left alone. NULL is none. */
void text_hide(char *text, size_t len, const char *secret, size_t min);

/* The length of the UTF-8 character at @text (at most @left bytes, at least one), and its code point; 0 where the bytes
 * are not well-formed UTF-8 (RFC 3629). */
size_t text_next(const char *text, size_t left, uint32_t *ret_point);

bool text_is_utf8(const char *s);

/* A copy of at most @max bytes of @s, cut at a character's edge; the caller frees it; NULL without memory. */
char *text_cut(const char *s, size_t max);

/* A copy of @s that the caller frees, or NULL (also for a NULL @s). */
char *text_dup(const char *s);

#define AUTO_TEXT __attribute__((cleanup(text_release))) struct text

static inline void auto_free_cleanup(void *p)
{
	free(*(void **)p);
}
#define AUTO_FREE __attribute__((cleanup(auto_free_cleanup)))

#endif
