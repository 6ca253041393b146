/* JSON: reading with jansson's strictness set once, and decoding by field tables.
 *
 * A table names the known fields of an object; one call checks and converts them all into a struct.
 * Strict on what is known (a missing or mistyped field is ERR_DECODE and the text names it), silent
 * on what is new. The struct is written on success only. Thread rule: no state. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/base/clock.h"
#include "client/base/error.h"

#define UUID_SIZE 37 /* "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx" and its NUL */

/* Foreign names, as they are shown. */
#define JSON_LABEL_SIZE 256

enum json_kind {
	JSON_KIND_TEXT,   /* char *: a copy, owned by the struct; NULs inside become '?' */
	JSON_KIND_LABEL,  /* char *: text that is only shown, made one harmless line of less than JSON_LABEL_SIZE bytes; owned */
	JSON_KIND_UUID,   /* char[UUID_SIZE], lower case */
	JSON_KIND_TIME,   /* time_us, from RFC 3339 text */
	JSON_KIND_BOOL,   /* bool */
	JSON_KIND_INT,    /* int64_t */
	JSON_KIND_ENUM,   /* int, by `names`; text that is not in it gives `unknown` */
	JSON_KIND_OBJECT, /* json_t *: a reference, owned by the struct */
	JSON_KIND_ANY,    /* json_t *: likewise, of any type */
};

struct json_name {
	const char *name; /* NULL ends the list; its value stands for every other text */
	int value;
};

struct json_field {
	const char *name;
	enum json_kind kind;
	size_t offset;
	bool required; /* must be there and not null; otherwise the member stays zero */
	const struct json_name *names;
};

/* A table that is an array, as the @fields and the @count that the functions below take. */
#define JSON_TABLE(fields) (fields), sizeof(fields) / sizeof((fields)[0])

/* Values that lie deeper are read as null: an executor's stack is small, everything that walks a value is recursive, and
 * one run with such parameters must not make all others unreadable. */
#define JSON_DEPTH_MAX 64

/* Parses @len bytes; refuses repeated keys. Returns 0, ERR_DECODE or ERR_NOMEM. @ret_json is the
 * caller's reference. */
int json_read(const char *data, size_t len, json_t **ret_json, struct error *err) MUST_CHECK;

/* @json as compact text; @flags: more of jansson's, JSON_SORT_KEYS. The caller frees it. NULL without memory: json_dumps()
 * leaves out keys then, and returns the rest as if it were all (jansson 2.14). */
char *json_write(const json_t *json, size_t flags);

/* Fills @ret_struct (of @size bytes) from @object (borrowed). Returns 0, ERR_DECODE or ERR_NOMEM. */
int json_decode(const json_t *object, const struct json_field *fields, size_t count, void *ret_struct,
                size_t size, struct error *err) MUST_CHECK;

/* The same for an array of objects: @ret_items is one block of @ret_count structs (never NULL on success),
 * which the caller releases with json_release_list(). */
int json_decode_list(const json_t *list, const struct json_field *fields, size_t count, size_t size,
                     void **ret_items, size_t *ret_count, struct error *err) MUST_CHECK;

/* Frees what the table's fields own in @object, and zeroes those members. */
void json_release(const struct json_field *fields, size_t count, void *object);

/* The same for @item_count structs of @size bytes each, and frees their block; @items may be NULL where there are none. */
void json_release_list(const struct json_field *fields, size_t count, size_t size, void *items, size_t item_count);

/* A new reference to the text of @t as a JSON string (a time as RFC 3339), NULL without memory. */
json_t *json_time(time_us t);
/* The same, null where @t is 0: there is none. */
json_t *json_time_or_null(time_us t);

/* The string under @key, borrowed; "" where there is none. */
const char *json_text_of(const json_t *object, const char *key);

/* Is @value (by json_equal()) in the array @list? NULL is in none. */
bool json_list_has(const json_t *list, const json_t *value);

/* True where @text is a UUID; copied in lower case to @ret_uuid. */
bool uuid_parse_text(const char *text, char ret_uuid[UUID_SIZE]);
/* A new random one. */
void uuid_make(char ret_uuid[UUID_SIZE]);

static inline void json_auto_free(json_t **json)
{
	json_decref(*json);
}
#define AUTO_JSON __attribute__((cleanup(json_auto_free))) json_t

#endif
