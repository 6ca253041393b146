#include "client/prefect/version.h"

#include <string.h>

#include "tests/unit/api.h"

static void stands(void)
{
	static const struct {
		const char *version;
		enum version_standing standing;
	} rows[] = {
		{"3.4.20", VERSION_COVERED}, {"3.7.0", VERSION_COVERED},      {"3.9.1", VERSION_COVERED}, {"3.4.19", VERSION_OLDER},
		{"3.0.0", VERSION_OLDER},    {"2.20.4", VERSION_BEFORE_3},    {"99.0.0", VERSION_NEWER},  {"3.99.0rc1", VERSION_NEWER},
		{"", VERSION_UNKNOWN},       {"3", VERSION_UNKNOWN},          {"main", VERSION_UNKNOWN},  {"3.9", VERSION_UNKNOWN},
	};

	EACH(row, rows)
		CHECK_INT(row->version, version_stand(row->version), row->standing);
	CHECK_INT("the oldest", version_stand(version_oldest), VERSION_COVERED);
	CHECK_INT("the newest", version_stand(version_newest), VERSION_COVERED);
	CHECK("all are named", strstr(version_tested, version_oldest) == version_tested && strstr(version_tested, version_newest) != NULL);
}

static void reads_what_the_server_says(void)
{
	static const struct {
		const char *name;
		struct http_step step;
		int rc;
		const char *version;
	} rows[] = {
		{"a version", {.method = "GET", .path = "/admin/version", .reply = {.body = "\"3.9.1\""}}, 0, "3.9.1"},
		{"no such path", {.method = "GET", .reply = GONE}, 0, ""},
		{"no text", {.method = "GET", .reply = {.body = "7"}}, 0, ""},
		{"lines", {.method = "GET", .reply = {.body = "\"3.9.1\\n\\u001b[2J\""}}, 0, "3.9.1??[2J"},
		{"a wrong password", {.method = "GET", .reply = {.status = 401}}, ERR_AUTH, "untouched"},
	};

	EACH(row, rows)
	{
		struct api api;
		struct error err;
		char version[VERSION_SIZE] = "untouched";

		api_open(&api, &row->step, 1);
		CHECK_RC(row->name, version_read(api.prefect, version, &err), row->rc, &err);
		CHECK_STR(row->name, version, row->version);
		(void)api_close(&api, row->name);
	}
}

UNIT_SUITE("client/prefect/version", TEST(stands), TEST(reads_what_the_server_says))
