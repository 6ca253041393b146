#include "client/base/json.h"

#include <string.h>

#include "client/base/text.h"
#include "tests/unit/unit.h"

struct thing {
	char *text;
	char id[UUID_SIZE];
	time_us time;
	bool flag;
	int64_t number;
	int kind;
	json_t *object;
	json_t *any;
};

static const struct json_name kinds[] = {{"ONE", 1}, {"TWO", 2}, {NULL, -1}};

static const struct json_field fields[] = {
	{"text", JSON_KIND_TEXT, offsetof(struct thing, text), true, NULL},
	{"id", JSON_KIND_UUID, offsetof(struct thing, id), false, NULL},
	{"time", JSON_KIND_TIME, offsetof(struct thing, time), false, NULL},
	{"flag", JSON_KIND_BOOL, offsetof(struct thing, flag), false, NULL},
	{"number", JSON_KIND_INT, offsetof(struct thing, number), false, NULL},
	{"kind", JSON_KIND_ENUM, offsetof(struct thing, kind), false, kinds},
	{"object", JSON_KIND_OBJECT, offsetof(struct thing, object), false, NULL},
	{"any", JSON_KIND_ANY, offsetof(struct thing, any), false, NULL},
};

static void decodes_every_kind(void)
{
	AUTO_JSON *json = unit_json("{\"text\": \"a\\u0000b\", \"id\": \"AAAAAAAA-0000-4000-8000-00000000000F\","
	                            "\"time\": \"1970-01-01T00:00:01Z\", \"flag\": true, \"number\": -9007199254740993,"
	                            "\"kind\": \"TWO\", \"object\": {\"x\": 1}, \"any\": [1], \"new\": {}}");
	struct thing thing;
	struct error err;

	CHECK_RC("all", json_decode(json, JSON_TABLE(fields), &thing, sizeof thing, &err), 0, &err);
	CHECK_STR("NUL inside", thing.text, "a?b");
	CHECK_STR("lower case", thing.id, "aaaaaaaa-0000-4000-8000-00000000000f");
	CHECK_INT("time", thing.time, US_PER_SEC);
	CHECK("flag", thing.flag);
	CHECK_INT("number", thing.number, -9007199254740993);
	CHECK_INT("enum", thing.kind, 2);
	CHECK_JSON("object", thing.object, "{\"x\": 1}");
	CHECK_JSON("any", thing.any, "[1]");
	json_release(JSON_TABLE(fields), &thing);
	CHECK("released", thing.text == NULL && thing.object == NULL && thing.any == NULL);
}

static void leaves_out_what_is_missing(void)
{
	static const char *const rows[] = {
		"{\"text\": \"x\"}",
		"{\"text\": \"x\", \"id\": null, \"time\": null, \"flag\": null, \"number\": null, \"kind\": null, "
		"\"object\": null, \"any\": null}",
	};

	EACH(row, rows)
	{
		AUTO_JSON *json = unit_json(*row);
		struct thing thing;
		struct error err;

		memset(&thing, 0xaa, sizeof thing);
		if (!CHECK_RC(*row, json_decode(json, JSON_TABLE(fields), &thing, sizeof thing, &err), 0, &err))
			continue;
		CHECK(*row, thing.id[0] == '\0' && thing.time == 0 && !thing.flag && thing.number == 0);
		CHECK(*row, thing.kind == 0 && thing.object == NULL && thing.any == NULL);
		json_release(JSON_TABLE(fields), &thing);
	}
}

static void refuses_wrong_fields(void)
{
	static const struct {
		const char *name;
		const char *json;
		const char *text; /* NULL: decodes */
	} rows[] = {
		{"required is missing", "{}", "field 'text' of the answer should be there"},
		{"required is null", "{\"text\": null}", "field 'text' of the answer should be there"},
		{"number for text", "{\"text\": 1}", "field 'text' of the answer should be text"},
		{"no UUID", "{\"text\": \"x\", \"id\": \"x\"}", "field 'id' of the answer should be a UUID"},
		{"UUID without dashes", "{\"text\": \"x\", \"id\": \"aaaaaaaa000040008000000000000001\"}", "a UUID"},
		{"UUID and more", "{\"text\": \"x\", \"id\": \"aaaaaaaa-0000-4000-8000-0000000000011\"}", "a UUID"},
		{"number for UUID", "{\"text\": \"x\", \"id\": 1}", "a UUID"},
		{"no time", "{\"text\": \"x\", \"time\": \"yesterday\"}", "field 'time' of the answer should be a time"},
		{"number for time", "{\"text\": \"x\", \"time\": 1}", "a time"},
		{"number for boolean", "{\"text\": \"x\", \"flag\": 1}", "field 'flag' of the answer should be true or false"},
		{"real for integer", "{\"text\": \"x\", \"number\": 1.0}", "field 'number' of the answer should be an integer"},
		{"boolean for integer", "{\"text\": \"x\", \"number\": true}", "an integer"},
		{"text for integer", "{\"text\": \"x\", \"number\": \"1\"}", "an integer"},
		{"number for enum", "{\"text\": \"x\", \"kind\": 1}", "field 'kind' of the answer should be text"},
		{"list for object", "{\"text\": \"x\", \"object\": []}", "field 'object' of the answer should be an object"},
		{"after owned ones", "{\"text\": \"x\", \"object\": 1, \"any\": {}}", "an object"},
		{"a list", "[]", "not a JSON object"},
		{"null", "null", "not a JSON object"},
		{"unknown enum", "{\"text\": \"x\", \"kind\": \"THREE\"}", NULL},
		{"empty text", "{\"text\": \"\"}", NULL},
	};

	EACH(row, rows)
	{
		AUTO_JSON *json = unit_json(row->json);
		struct thing thing = {.number = 42};
		struct error err;
		int rc = json_decode(json, JSON_TABLE(fields), &thing, sizeof thing, &err);

		if (!CHECK_RC(row->name, rc, row->text != NULL ? ERR_DECODE : 0, &err))
			continue;
		if (rc == 0) {
			CHECK(row->name, thing.kind == -1 || thing.text[0] == '\0');
			json_release(JSON_TABLE(fields), &thing);
		} else {
			CHECK_HAS(row->name, err.text, row->text);
			CHECK(row->name, thing.number == 42 && thing.text == NULL && thing.object == NULL);
		}
	}
}

static void decodes_lists(void)
{
	static const struct {
		const char *name;
		const char *json;
		int rc;
		size_t count;
	} rows[] = {
		{"two", "[{\"text\": \"a\", \"any\": {}}, {\"text\": \"b\"}]", 0, 2},
		{"none", "[]", 0, 0},
		{"the second is wrong", "[{\"text\": \"a\", \"any\": {}}, {\"text\": 1}]", ERR_DECODE, 0},
		{"the first is no object", "[1]", ERR_DECODE, 0},
		{"no list", "{}", ERR_DECODE, 0},
	};

	EACH(row, rows)
	{
		AUTO_JSON *json = unit_json(row->json);
		struct error err;
		void *untouched = &err;
		void *items = untouched;
		size_t count = 99;

		if (!CHECK_RC(row->name, json_decode_list(json, JSON_TABLE(fields), sizeof(struct thing), &items, &count, &err), row->rc, &err))
			continue;
		if (row->rc != 0) {
			CHECK(row->name, items == untouched && count == 99);
			continue;
		}
		struct thing *things = items;
		CHECK_INT(row->name, count, row->count);
		CHECK(row->name, items != NULL);
		if (count == 2)
			CHECK_STR(row->name, things[1].text, "b");
		json_release_list(JSON_TABLE(fields), sizeof *things, things, count);
	}
}

static void reads_strictly(void)
{
	static const struct {
		const char *name;
		const char *text;
		int rc;
	} rows[] = {
		{"an object", "{\"a\": [1, 2.5, null]}", 0},
		{"a number", "12", 0},
		{"null", "null", 0},
		{"NUL in a string", "\"a\\u0000b\"", 0},
		{"nothing", "", ERR_DECODE},
		{"a repeated key", "{\"a\": 1, \"a\": 1}", ERR_DECODE},
		{"a repeated key inside", "[{\"b\": {\"a\": 1, \"a\": 2}}]", ERR_DECODE},
		{"more after the end", "{} {}", ERR_DECODE},
		{"cut off", "{\"a\": ", ERR_DECODE},
		{"NaN", "NaN", ERR_DECODE},
		{"a number that is too large", "1e999", ERR_DECODE},
		{"an integer that is too large", "99999999999999999999", 0},
		{"a repeated key beside it", "{\"a\": 99999999999999999999, \"a\": 1}", ERR_DECODE},
		{"not UTF-8", "\"\xff\"", ERR_DECODE},
		{"a lone surrogate", "\"\\ud800\"", ERR_DECODE},
		{"HTML", "<html>", ERR_DECODE},
	};

	EACH(row, rows)
	{
		json_t *json = NULL;
		struct error err;

		CHECK_RC(row->name, json_read(row->text, strlen(row->text), &json, &err), row->rc, &err);
		CHECK_INT(row->name, json != NULL, row->rc == 0);
		if (row->rc != 0)
			CHECK_HAS(row->name, err.text, "not JSON");
		json_decref(json);
	}
}

/* One number that nobody here can count to must not make the rest unreadable, nor change it. */
static void reads_large_integers_as_reals(void)
{
	static const struct {
		const char *name;
		const char *text;
		const char *want;
	} rows[] = {
		{"alone", "18446744073709551616", "18446744073709551616.0"},
		{"negative", "-18446744073709551616", "-18446744073709551616.0"},
		{"beside others", "{\"a\": [99999999999999999999, 7, -1, 1.5], \"b\": {\"c\": 0}, \"d\": \"x\"}",
		 "{\"a\": [1e20, 7, -1, 1.5], \"b\": {\"c\": 0}, \"d\": \"x\"}"},
		{"the largest that fits", "9223372036854775807", "9223372036854775807"},
	};

	EACH(row, rows)
	{
		json_t *json = NULL;
		struct error err;

		CHECK_RC(row->name, json_read(row->text, strlen(row->text), &json, &err), 0, &err);
		CHECK_JSON(row->name, json, row->want);
		json_decref(json);
	}
}

static void makes_ids_and_times(void)
{
	char one[UUID_SIZE];
	char other[UUID_SIZE];
	char again[UUID_SIZE];
	AUTO_JSON *time = json_time(1);

	uuid_make(one);
	uuid_make(other);
	CHECK("two are different", strcmp(one, other) != 0);
	CHECK("and readable", uuid_parse_text(one, again));
	CHECK_STR("and lower case", again, one);
	CHECK_JSON("time", time, "\"1970-01-01T00:00:00.000001Z\"");
}

/* What is too deep is read as null, which may be longer than what it stands for. Found by fuzzing. */
static void reads_many_things_that_are_too_deep(void)
{
	AUTO_TEXT text = {.max = 64 * 1024};
	AUTO_JSON *json = NULL;
	struct error err;

	for (int i = 0; i < 64; i++)
		text_addf(&text, "[");
	for (int i = 0; i < 1000; i++)
		text_addf(&text, "[],");
	text_addf(&text, "{}");
	for (int i = 0; i < 64; i++)
		text_addf(&text, "]");
	CHECK_RC("deep", json_read(text_str(&text), text.len, &json, &err), 0, &err);
	const json_t *inner = json;
	for (int i = 0; i < 63; i++)
		inner = json_array_get(inner, 0);
	CHECK_INT("each of them", json_array_size(inner), 1001);
	CHECK("is null", json_is_null(json_array_get(inner, 0)) && json_is_null(json_array_get(inner, 1000)));
}

UNIT_SUITE("client/base/json", TEST(reads_many_things_that_are_too_deep), TEST(decodes_every_kind), TEST(leaves_out_what_is_missing), TEST(refuses_wrong_fields),
           TEST(decodes_lists), TEST(reads_strictly), TEST(reads_large_integers_as_reals),
           TEST(makes_ids_and_times))
