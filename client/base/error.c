#include "client/base/error.h"

#include <stdio.h>
#include <string.h>

#include "client/base/text.h"

int error_set(struct error *err, int code, const char *fmt, ...)
{
	if (err == NULL)
		return code;

	char text[sizeof err->text];
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof text, fmt, args);
	va_end(args);

	err->code = code;
	err->http_status = 0;
	err->retry_after_ms = 0;
	text_clean(err->text, sizeof err->text, text, strlen(text));
	return code;
}

int error_prefix(struct error *err, int code, const char *fmt, ...)
{
	if (err == NULL)
		return code;

	char text[sizeof err->text];
	va_list args;
	va_start(args, fmt);
	int used = vsnprintf(text, sizeof text, fmt, args);
	va_end(args);

	err->code = code;
	if (used < 0 || (size_t)used >= sizeof text)
		return code;

	size_t left = sizeof text - (size_t)used;
	(void)snprintf(text + used, left, ": %.*s", (int)left, err->text);
	/* A cut in the middle of a character would make the text unfit for JSON. */
	text_clean(err->text, sizeof err->text, text, strlen(text));
	return code;
}

int error_nomem(struct error *err)
{
	return error_set(err, ERR_NOMEM, "out of memory");
}
