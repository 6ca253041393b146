#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

static struct {
	int status;
	const uint8_t *data;
	size_t size;
} answering;

int __wrap_http_call(struct http *http, const struct http_request *request, struct http_answer *ret_answer, bool *ret_ambiguous,
                     struct error *err);

int __wrap_http_call(struct http *http, const struct http_request *request, struct http_answer *ret_answer, bool *ret_ambiguous,
                     struct error *err)
{
	(void)http, (void)request, (void)err;
	if (ret_ambiguous != NULL)
		*ret_ambiguous = false;
	*ret_answer = (struct http_answer){.status = answering.status, .body = fuzz_string(answering.data, answering.size),
	                                   .len = answering.size};
	return 0;
}

struct prefect *fuzz_session(int status, const uint8_t *data, size_t size)
{
	static const struct http_settings settings = {.url = "http://fuzz"};
	static struct server_clock clock;
	static struct prefect *session;

	if (session == NULL)
		session = prefect_new(&settings, &clock);
	answering.status = status;
	answering.data = data;
	answering.size = size;
	return session;
}

char *fuzz_string(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	MUST(text != NULL);
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	return text;
}

void fuzz_must_be_clean(const char *text, bool lines)
{
	AUTO_JSON *utf8 = json_string(text); /* jansson's own check, not ours */

	MUST(utf8 != NULL);
	for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
		MUST((*c >= ' ' && *c != 0x7f) || (lines && *c == '\n'));
		MUST(!(*c == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0));
	}
}
