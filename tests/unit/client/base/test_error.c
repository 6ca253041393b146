#include "client/base/error.h"

#include <string.h>

#include "client/base/log.h"
#include "tests/unit/unit.h"

static void sets_code_and_text(void)
{
	struct error err = {.http_status = 500, .retry_after_ms = 1000};

	CHECK_INT("code", error_set(&err, ERR_CONFLICT, "run '%s' is taken", "x\n\x1b[0m"), ERR_CONFLICT);
	CHECK_INT("code", err.code, ERR_CONFLICT);
	CHECK_INT("status", err.http_status, 0);
	CHECK_INT("wish", err.retry_after_ms, 0);
	CHECK_STR("control characters", err.text, "run 'x??[0m' is taken");
	CHECK_INT("no memory", error_nomem(&err), ERR_NOMEM);
	CHECK_STR("no memory", err.text, "out of memory");
	CHECK_INT("nobody asks", error_set(NULL, ERR_AUTH, "%s", "x"), ERR_AUTH);
	CHECK_INT("nobody asks", error_prefix(NULL, ERR_AUTH, "%s", "x"), ERR_AUTH);
}

static void puts_context_in_front(void)
{
	struct error err;
	char big[3000];

	(void)error_set(&err, ERR_DECODE, "not JSON");
	CHECK_INT("code", error_prefix(&err, ERR_DECODE, "GET %s", "/x"), ERR_DECODE);
	CHECK_STR("text", err.text, "GET /x: not JSON");
	err.retry_after_ms = 1000;
	(void)error_prefix(&err, ERR_BUSY, "later");
	CHECK_INT("the wish stays", err.retry_after_ms, 1000);

	memset(big, 'a', sizeof big - 1);
	big[sizeof big - 1] = '\0';
	(void)error_set(&err, ERR_DECODE, "%s", big);
	CHECK_INT("too long", strlen(err.text), sizeof err.text - 1);
	(void)error_prefix(&err, ERR_DECODE, "GET");
	CHECK_INT("stays terminated", strlen(err.text), sizeof err.text - 1);
	CHECK("begins with the context", strncmp(err.text, "GET: aaa", 8) == 0);
	(void)error_prefix(&err, ERR_DECODE, "%s", big);
	CHECK("a context that is too long is left out", strncmp(err.text, "GET: aaa", 8) == 0);
}

static void knows_log_levels(void)
{
	static const struct {
		const char *name;
		int level;
	} rows[] = {
		{"DEBUG", LOG_LEVEL_DEBUG}, {"info", LOG_LEVEL_INFO},    {"Warning", LOG_LEVEL_WARNING},
		{"ERROR", LOG_LEVEL_ERROR}, {"CRITICAL", LOG_LEVEL_CRITICAL}, {"WARN", -1},
		{"", -1},                   {"20", -1},
	};

	EACH(row, rows)
		CHECK_INT(row->name, log_level_parse(row->name), row->level);
	CHECK_STR("back", log_level_name(LOG_LEVEL_WARNING), "WARNING");
	CHECK_STR("unknown", log_level_name(7), "?");
}

UNIT_SUITE("client/base/error", TEST(sets_code_and_text), TEST(puts_context_in_front), TEST(knows_log_levels))
