#include "client/base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uuid/uuid.h>

#include "client/base/text.h"

#define READ_FLAGS (JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL)

/* jansson says "invalid token" or nothing where it had no memory: this notices it. While it reads, nothing is had any more after
 * that: its buffer of a token loses bytes unnoticed, and what is left of the token must not become a value (load()). */
static _Thread_local bool no_memory;
static _Thread_local bool reading;

static void *noting_malloc(size_t size)
{
	void *memory = reading && no_memory ? NULL : malloc(size);

	no_memory = no_memory || memory == NULL;
	return memory;
}

/* Before main(), since a value that was made by one malloc must not be freed by another. */
__attribute__((constructor)) static void note_allocations(void)
{
	json_set_alloc_funcs(noting_malloc, free);
}

#define WRITE_MAX (64 * 1024 * 1024)

static bool ends_token(char c)
{
	return c == ',' || c == ':' || c == '[' || c == ']' || c == '{' || c == '}' || c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The length of the longest string, number or word of @data, or more. */
static size_t longest_token(const char *data, size_t len)
{
	size_t longest = 0;
	size_t run = 0;
	bool in_string = false;

	for (size_t i = 0; i < len; i++) {
		char c = data[i];

		run = in_string || !ends_token(c) ? run + 1 : 0;
		if (in_string && c == '\\' && i + 1 < len) {
			i++;
			run++;
		} else if (c == '"') {
			in_string = !in_string;
			run = in_string ? run : run + 1;
		}
		longest = run > longest ? run : longest;
	}
	return longest;
}

/* json_loadb() of jansson 2.14 ends the program by an assertion where the buffer in which it collects a token could not grow: the
 * byte is dropped, and it finds half an escape, or a number that is none. So all the growing is done by a harmless string that
 * is read first, as long as the longest token: of that one, bytes may be missing, and where memory fails for good, there is
 * none for its value either (noting_malloc()) and that is the end of it. */
static json_t *load(const char *data, size_t len, size_t flags, json_error_t *ret_parse)
{
	size_t pad = longest_token(data, len);
	size_t size = len + pad + sizeof "[\"\",]";
	AUTO_FREE char *padded = malloc(size);

	no_memory = padded == NULL;
	*ret_parse = (json_error_t){0};
	if (padded == NULL)
		return NULL;
	memset(padded, 'x', size);
	memcpy(padded, "[\"", 2);
	memcpy(padded + 2 + pad, "\",", 2);
	if (len > 0)
		memcpy(padded + 4 + pad, data, len);
	padded[4 + pad + len] = ']';

	reading = true;
	AUTO_JSON *both = json_loadb(padded, len + pad + 5, READ_FLAGS | flags, ret_parse);
	reading = false;
	ret_parse->position -= (int)pad + 4;
	json_t *json = json_array_get(both, 1);
	if (json_array_size(both) == 2 && !no_memory)
		return json_incref(json);
	if (both != NULL)
		(void)snprintf(ret_parse->text, sizeof ret_parse->text, "end of file expected near ','");
	return NULL;
}

/* Reals that were written as integers, back to integers where they are exact. */
static json_t *restore_integers(json_t *value)
{
	const char *key;
	json_t *member;
	size_t i;
	double real = json_real_value(value);

	if (json_is_real(value) && real > -9e15 && real < 9e15 && real == (double)(int64_t)real)
		return json_integer((json_int_t)real);
	json_object_foreach(value, key, member)
		(void)json_object_set_new(value, key, restore_integers(member));
	json_array_foreach(value, i, member)
		(void)json_array_set_new(value, i, restore_integers(member));
	return json_incref(value);
}

/* Integers of 2^63 and more, which a run's parameters may hold, are read as reals: nothing here counts that far, and
 * one such run must not make all others unreadable. */
static json_t *read_large_integers(const char *data, size_t len, json_error_t *parse)
{
	AUTO_JSON *json = load(data, len, JSON_DECODE_INT_AS_REAL, parse);

	return json != NULL ? restore_integers(json) : NULL;
}

/* Walks @data, and copies what lies within JSON_DEPTH_MAX levels to @out, with null for each value below them; @out NULL:
 * only looks. Returns whether there was anything below. Text that is not JSON stays text that is not JSON: a value that
 * does not end takes the brackets that are missing with it. */
static bool cut_nesting(const char *data, size_t len, struct text *out)
{
	size_t depth = 0;
	size_t from = 0; /* where what is still to be copied begins */
	bool in_string = false;
	bool deep = false;

	for (size_t i = 0; i < len; i++) {
		char c = data[i];

		if (in_string) {
			if (c == '\\')
				i++;
			in_string = c != '"';
		} else if (c == '"') {
			in_string = true;
		} else if ((c == '[' || c == '{') && depth++ == JSON_DEPTH_MAX) {
			deep = true;
			if (out == NULL)
				return true;
			text_add(out, data + from, i - from);
			text_add(out, "null", 4);
		} else if ((c == ']' || c == '}') && depth > 0 && --depth == JSON_DEPTH_MAX) {
			from = i + 1;
		}
	}
	if (out != NULL && depth <= JSON_DEPTH_MAX)
		text_add(out, data + from, len - from);
	return deep;
}

static int read_deep(const char *data, size_t len, json_t **ret_json, struct error *err)
{
	/* "[]" becomes "null": twice as long at most. */
	AUTO_TEXT cut = {.max = 2 * len + 4};

	(void)cut_nesting(data, len, &cut);
	return cut.failed ? error_nomem(err) : json_read(text_str(&cut), cut.len, ret_json, err);
}

int json_read(const char *data, size_t len, json_t **ret_json, struct error *err)
{
	json_error_t parse;

	if (cut_nesting(data, len, NULL))
		return read_deep(data, len, ret_json, err);

	json_t *json = load(data, len, 0, &parse);
	if (json == NULL && json_error_code(&parse) == json_error_numeric_overflow)
		json = read_large_integers(data, len, &parse);
	if (no_memory) {
		json_decref(json);
		return error_nomem(err);
	}
	if (json == NULL)
		return error_set(err, ERR_DECODE, "not JSON: %s (byte %d)", parse.text, parse.position);
	*ret_json = json;
	return 0;
}

static int write_part(const char *data, size_t len, void *out)
{
	text_add(out, data, len);
	return 0; /* text.failed remembers */
}

char *json_write(const json_t *json, size_t flags)
{
	struct text out = {.max = WRITE_MAX};

	if (json_dump_callback(json, write_part, &out, JSON_COMPACT | JSON_ENCODE_ANY | flags) != 0)
		out.failed = true;
	return text_take(&out);
}

bool uuid_parse_text(const char *text, char ret_uuid[UUID_SIZE])
{
	uuid_t uuid;

	if (strlen(text) != UUID_SIZE - 1 || uuid_parse(text, uuid) != 0)
		return false;
	uuid_unparse_lower(uuid, ret_uuid);
	return true;
}

void uuid_make(char ret_uuid[UUID_SIZE])
{
	uuid_t uuid;

	uuid_generate_random(uuid);
	uuid_unparse_lower(uuid, ret_uuid);
}

json_t *json_time(time_us t)
{
	char buf[TIME_TEXT_SIZE];

	return json_string(time_format(t, buf));
}

json_t *json_time_or_null(time_us t)
{
	return t != 0 ? json_time(t) : json_null();
}

const char *json_text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text != NULL ? text : "";
}

static char *decode_text(const json_t *value)
{
	size_t len = json_string_length(value);
	char *copy = malloc(len + 1);

	if (copy == NULL)
		return NULL;
	memcpy(copy, json_string_value(value), len + 1);
	for (size_t i = 0; i < len; i++)
		if (copy[i] == '\0')
			copy[i] = '?';
	return copy;
}

static char *decode_label(const json_t *value)
{
	char *copy = malloc(JSON_LABEL_SIZE);

	if (copy != NULL)
		text_clean(copy, JSON_LABEL_SIZE, json_string_value(value), json_string_length(value));
	return copy;
}

static int decode_enum(const struct json_name *names, const char *text)
{
	while (names->name != NULL && strcmp(names->name, text) != 0)
		names++;
	return names->value;
}

/* Converts one value into its member; returns what it should have been, or NULL where all is well. */
static const char *decode_value(const struct json_field *field, json_t *value, void *member, bool *ret_nomem)
{
	switch (field->kind) {
	case JSON_KIND_TEXT:
		if (!json_is_string(value))
			return "text";
		*(char **)member = decode_text(value);
		*ret_nomem = *(char **)member == NULL;
		return NULL;
	case JSON_KIND_LABEL:
		if (!json_is_string(value))
			return "text";
		*(char **)member = decode_label(value);
		*ret_nomem = *(char **)member == NULL;
		return NULL;
	case JSON_KIND_UUID:
		return json_is_string(value) && uuid_parse_text(json_string_value(value), member) ? NULL : "a UUID";
	case JSON_KIND_TIME:
		return json_is_string(value) && time_parse(json_string_value(value), member) ? NULL : "a time";
	case JSON_KIND_BOOL:
		*(bool *)member = json_is_true(value);
		return json_is_boolean(value) ? NULL : "true or false";
	case JSON_KIND_INT:
		*(int64_t *)member = json_integer_value(value);
		return json_is_integer(value) ? NULL : "an integer";
	case JSON_KIND_ENUM:
		if (!json_is_string(value))
			return "text";
		*(int *)member = decode_enum(field->names, json_string_value(value));
		return NULL;
	case JSON_KIND_OBJECT:
		if (!json_is_object(value))
			return "an object";
		*(json_t **)member = json_incref(value);
		return NULL;
	case JSON_KIND_ANY:
		*(json_t **)member = json_incref(value);
		return NULL;
	}
	return "of a known kind";
}

void json_release(const struct json_field *fields, size_t count, void *object)
{
	for (size_t i = 0; i < count; i++) {
		void *member = (char *)object + fields[i].offset;

		if (fields[i].kind == JSON_KIND_TEXT || fields[i].kind == JSON_KIND_LABEL) {
			free(*(char **)member);
			*(char **)member = NULL;
		} else if (fields[i].kind == JSON_KIND_OBJECT || fields[i].kind == JSON_KIND_ANY) {
			json_decref(*(json_t **)member);
			*(json_t **)member = NULL;
		}
	}
}

void json_release_list(const struct json_field *fields, size_t count, size_t size, void *items, size_t item_count)
{
	for (size_t i = 0; i < item_count; i++)
		json_release(fields, count, (char *)items + i * size);
	free(items);
}

int json_decode(const json_t *object, const struct json_field *fields, size_t count, void *ret_struct,
                size_t size, struct error *err)
{
	if (!json_is_object(object))
		return error_set(err, ERR_DECODE, "the answer is not a JSON object");

	AUTO_FREE void *temp = calloc(1, size);
	if (temp == NULL)
		return error_nomem(err);

	for (size_t i = 0; i < count; i++) {
		json_t *value = json_object_get(object, fields[i].name);
		const char *wanted = NULL;
		bool nomem = false;

		if (value != NULL && !json_is_null(value))
			wanted = decode_value(&fields[i], value, (char *)temp + fields[i].offset, &nomem);
		else if (fields[i].required)
			wanted = "there";

		if (wanted != NULL || nomem) {
			json_release(fields, i, temp);
			return nomem ? error_nomem(err)
			             : error_set(err, ERR_DECODE, "field '%s' of the answer should be %s",
			                         fields[i].name, wanted);
		}
	}
	memcpy(ret_struct, temp, size);
	return 0;
}

int json_decode_list(const json_t *list, const struct json_field *fields, size_t count, size_t size,
                     void **ret_items, size_t *ret_count, struct error *err)
{
	if (!json_is_array(list))
		return error_set(err, ERR_DECODE, "the answer is not a JSON array");

	size_t rows = json_array_size(list);
	char *items = calloc(rows > 0 ? rows : 1, size);
	if (items == NULL)
		return error_nomem(err);

	for (size_t i = 0; i < rows; i++) {
		int rc = json_decode(json_array_get(list, i), fields, count, items + i * size, size, err);
		if (rc != 0) {
			json_release_list(fields, count, size, items, i);
			return rc;
		}
	}
	*ret_items = items;
	*ret_count = rows;
	return 0;
}

bool json_list_has(const json_t *list, const json_t *value)
{
	size_t i;
	json_t *one;

	json_array_foreach(list, i, one)
		if (json_equal(one, value))
			return true;
	return false;
}
