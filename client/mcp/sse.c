#include "client/mcp/sse.h"

#include <string.h>

static const char byte_order_mark[] = "\xef\xbb\xbf";

/* Appends to what is limited. */
static int grow(struct text *t, const char *data, size_t len, struct error *err)
{
	if (len > t->max - t->len)
		return error_set(err, ERR_TRANSPORT, "an event of more than %zu bytes", t->max);
	text_add(t, data, len);
	return t->failed ? error_nomem(err) : 0;
}

/* Where the line is "@name: value" or "@name", its value. */
static const char *field_value(const struct text *line, const char *name, size_t *ret_len)
{
	const char *s = text_str(line);
	size_t len = strlen(name);

	if (line->len < len || memcmp(s, name, len) != 0 || (line->len > len && s[len] != ':'))
		return NULL;
	len += line->len > len;
	len += line->len > len && s[len] == ' ';
	*ret_len = line->len - len;
	return s + len;
}

static void end_event(struct sse *sse)
{
	sse->data.len = 0;
	sse->has_data = false;
	sse->foreign = false;
}

static int read_field(struct sse *sse, struct error *err)
{
	const char *value;
	size_t len;
	int rc = 0;

	if ((value = field_value(&sse->line, "data", &len)) != NULL) {
		if (sse->has_data)
			rc = grow(&sse->data, "\n", 1, err);
		if (rc == 0)
			rc = grow(&sse->data, value, len, err);
		sse->has_data = true;
	} else if ((value = field_value(&sse->line, "event", &len)) != NULL) {
		sse->foreign = len > 0 && !(len == strlen("message") && memcmp(value, "message", len) == 0);
	}
	return rc;
}

/* The line is whole. @ret_enough: @on_event does not want more. */
static int end_line(struct sse *sse, sse_event *on_event, void *arg, bool *ret_enough, struct error *err)
{
	int rc = 0;

	if (!sse->started && sse->line.len >= 3 && memcmp(sse->line.data, byte_order_mark, 3) == 0) {
		sse->line.len -= 3;
		memmove(sse->line.data, sse->line.data + 3, sse->line.len + 1);
	}
	sse->started = true;
	if (sse->line.len > 0) {
		rc = read_field(sse, err);
	} else {
		if (sse->has_data && !sse->foreign)
			*ret_enough = !on_event(arg, text_str(&sse->data), sse->data.len);
		end_event(sse);
	}
	sse->line.len = 0;
	return rc;
}

int sse_feed(struct sse *sse, const char *data, size_t len, sse_event *on_event, void *arg, struct error *err)
{
	const char *end = data + len;
	bool enough = false;
	int rc = 0;

	while (rc == 0 && !enough && data < end) {
		if (sse->after_cr && *data == '\n')
			data++;
		sse->after_cr = false;

		const char *stop = data;
		while (stop < end && *stop != '\n' && *stop != '\r')
			stop++;
		rc = grow(&sse->line, data, (size_t)(stop - data), err);
		if (rc != 0 || stop == end)
			return rc;
		sse->after_cr = *stop == '\r';
		data = stop + 1;
		rc = end_line(sse, on_event, arg, &enough, err);
	}
	return rc;
}

void sse_release(struct sse *sse)
{
	text_release(&sse->line);
	text_release(&sse->data);
}
