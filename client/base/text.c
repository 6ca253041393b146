#include "client/base/text.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Makes room for @extra more bytes and a NUL; false (and failed) where that is not possible. */
static bool text_reserve(struct text *t, size_t extra)
{
	if (t->failed || extra > t->max - t->len) {
		t->failed = true;
		return false;
	}

	size_t need = t->len + extra + 1;
	if (need <= t->size)
		return true;

	size_t size = t->size < 64 ? 64 : t->size * 2;
	if (size < need)
		size = need;
	char *data = realloc(t->data, size);
	if (data == NULL) {
		t->failed = true;
		return false;
	}
	t->data = data;
	t->size = size;
	return true;
}

void text_add(struct text *t, const char *data, size_t len)
{
	if (!text_reserve(t, len))
		return;

	if (len > 0)
		memcpy(t->data + t->len, data, len);
	t->len += len;
	t->data[t->len] = '\0';
}

void text_addf(struct text *t, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	va_list again;
	va_copy(again, args);
	int len = vsnprintf(NULL, 0, fmt, args);
	va_end(args);

	if (len >= 0 && text_reserve(t, (size_t)len)) {
		(void)vsnprintf(t->data + t->len, (size_t)len + 1, fmt, again);
		t->len += (size_t)len;
	}
	va_end(again);
}

const char *text_str(const struct text *t)
{
	return t->data != NULL ? t->data : "";
}

char *text_take(struct text *t)
{
	if (t->failed || !text_reserve(t, 0)) {
		text_release(t);
		return NULL;
	}
	t->data[t->len] = '\0';
	char *data = t->data;
	*t = (struct text){.max = t->max};
	return data;
}

void text_release(struct text *t)
{
	free(t->data);
	*t = (struct text){.max = t->max};
}

char *text_dup(const char *s)
{
	return s != NULL ? strdup(s) : NULL;
}

char *text_cut(const char *s, size_t max)
{
	size_t len = strnlen(s, max + 1);

	if (len > max)
		for (len = max; len > 0 && ((unsigned char)s[len] & 0xc0) == 0x80; len--)
			;
	return strndup(s, len);
}

size_t text_next(const char *text, size_t left, uint32_t *ret_point)
{
	const unsigned char *s = (const unsigned char *)text;
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t len = s[0] < 0x80 ? 1 : s[0] >> 5 == 6 ? 2 : s[0] >> 4 == 14 ? 3 : s[0] >> 3 == 30 ? 4 : 0;

	if (len == 0 || len > left)
		return 0;

	uint32_t point = len == 1 ? s[0] : s[0] & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if (s[i] >> 6 != 2)
			return 0;
		point = point << 6 | (s[i] & 0x3fu);
	}
	if (point < least[len] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
		return 0;

	*ret_point = point;
	return len;
}

void text_hide(char *text, size_t len, const char *secret, size_t min)
{
	size_t size = secret != NULL ? strlen(secret) : 0;

	if (size < min || size == 0)
		return;
	for (char *at = text; (at = memmem(at, len - (size_t)(at - text), secret, size)) != NULL; at += size)
		memset(at, '*', size);
}

bool text_is_utf8(const char *s)
{
	uint32_t point;
	size_t n;

	for (size_t left = strlen(s); left > 0; s += n, left -= n) {
		n = text_next(s, left, &point);
		if (n == 0)
			return false;
	}
	return true;
}

/* Characters that could break a line, hide text or turn its direction. */
static bool is_harmful(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x200b && c <= 0x200f) ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

/* One character of foreign text, made harmless: its bytes and their number. Advances @i. */
static size_t clean_next(const char *src, size_t len, size_t *i, const char **ret_bytes)
{
	uint32_t point = 0;
	size_t n = text_next(src + *i, len - *i, &point);

	*ret_bytes = n == 0 || is_harmful(point) ? "?" : src + *i;
	*i += n == 0 ? 1 : n;
	return **ret_bytes == '?' ? 1 : n;
}

void text_clean(char *dst, size_t size, const char *src, size_t len)
{
	static const char dots[] = "...";
	size_t used = 0;
	size_t fits = 0; /* where the dots would go: the last edge that leaves room for them */

	for (size_t i = 0; i < len;) {
		const char *bytes;
		size_t n = clean_next(src, len, &i, &bytes);

		if (used + n + 1 > size) {
			if (size >= sizeof dots) {
				memcpy(dst + fits, dots, sizeof dots);
				return;
			}
			break;
		}
		memcpy(dst + used, bytes, n);
		used += n;
		if (used + sizeof dots <= size)
			fits = used;
	}
	if (size > 0)
		dst[used] = '\0';
}

void text_add_markdown(struct text *t, const char *src, size_t len, size_t max)
{
	size_t used = 0;

	for (size_t i = 0; i < len;) {
		const char *bytes;
		size_t n = clean_next(src, len, &i, &bytes);

		if (used + n > max) {
			text_add(t, "...", 3);
			return;
		}
		/* '&' and '<' become entities: a backslash does not stop every renderer's HTML. */
		if (*bytes == '<')
			text_add(t, "&lt;", 4);
		else if (*bytes == '&')
			text_add(t, "&amp;", 5);
		else {
			if (strchr("\\`*_{}[]()#+!|~>$:@", *bytes) != NULL)
				text_add(t, "\\", 1);
			text_add(t, bytes, n);
		}
		used += n;
	}
}
