#include "client/base/toml.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "client/base/file.h"
#include "client/base/text.h"
#include "client/base/toml_value.h"

/* Between the keys of a path: no key has it. */
#define STEP "\x1f"

/* What is known of a place in the document, by its path: its line, and how it came to be. */
enum mark {
	MARK_IMPLICIT, /* a table that only stands in the header of another one: [a] of [a.b] */
	MARK_HEADER,   /* a table with a header of its own */
	MARK_DOTTED,   /* a table that a dotted key made: a of a.b = 1 */
	MARK_TABLES,   /* an array of tables: [[a]] */
	MARK_VALUE,    /* anything else; an inline table too, to which nothing can be added */
};
#define MARK_BITS 3

/* A place in the document: a table, and the path to it. */
struct place {
	json_t *table; /* borrowed: of the document */
	struct text path;
};

static int set_mark(struct toml_reader *r, const char *path, enum mark mark)
{
	json_t *value = json_integer((json_int_t)((r->line << MARK_BITS) | mark));

	return json_object_set_new(r->toml.marks, path, value) == 0 ? 0 : error_nomem(r->err);
}

static enum mark mark_of(const struct toml_reader *r, const char *path)
{
	return (enum mark)(json_integer_value(json_object_get(r->toml.marks, path)) & ((1 << MARK_BITS) - 1));
}

static int step(struct toml_reader *r, struct place *place, const char *key)
{
	text_addf(&place->path, STEP "%s", key);
	return place->path.failed ? error_nomem(r->err) : 0;
}

/* A new table (or, by @mark, an array of tables) at the place's path, which is that of @key in its table. */
static int make_child(struct toml_reader *r, const struct place *place, const char *key, enum mark mark, json_t **ret_child)
{
	json_t *child = mark == MARK_TABLES ? json_array() : json_object();

	if (json_object_set_new(place->table, key, child) != 0)
		return error_nomem(r->err);
	*ret_child = child;
	return set_mark(r, text_str(&place->path), mark);
}

/* Goes to the last table of an array of tables. */
static int enter_last(struct toml_reader *r, struct place *place, const json_t *array)
{
	char index[24];

	(void)snprintf(index, sizeof index, "%zu", json_array_size(array) - 1);
	place->table = json_array_get(array, json_array_size(array) - 1);
	return step(r, place, index);
}

/* One key of a header that is not its last: the table is there, or is made. */
static int enter_super(struct toml_reader *r, struct place *place, const char *key)
{
	json_t *child = json_object_get(place->table, key);
	int rc = step(r, place, key);

	if (rc == 0 && child == NULL)
		rc = make_child(r, place, key, MARK_IMPLICIT, &child);
	if (rc != 0)
		return rc;
	enum mark mark = mark_of(r, text_str(&place->path));
	if (mark == MARK_TABLES)
		return enter_last(r, place, child);
	if (mark == MARK_VALUE)
		return toml_fail(r, "'%.80s' has a value already, and is no table that can be added to", key);
	place->table = child;
	return 0;
}

/* [a.b.KEY] */
static int enter_table(struct toml_reader *r, struct place *place, const char *key)
{
	json_t *child = json_object_get(place->table, key);
	int rc = step(r, place, key);

	if (rc == 0 && child == NULL)
		rc = make_child(r, place, key, MARK_HEADER, &child);
	else if (rc == 0 && mark_of(r, text_str(&place->path)) != MARK_IMPLICIT)
		rc = toml_fail(r, "the table '%.80s' is there already", key);
	else if (rc == 0)
		rc = set_mark(r, text_str(&place->path), MARK_HEADER);
	place->table = child;
	return rc;
}

/* [[a.b.KEY]]: one more table. */
static int enter_tables(struct toml_reader *r, struct place *place, const char *key)
{
	json_t *child = json_object_get(place->table, key);
	int rc = step(r, place, key);

	if (rc == 0 && child == NULL)
		rc = make_child(r, place, key, MARK_TABLES, &child);
	else if (rc == 0 && mark_of(r, text_str(&place->path)) != MARK_TABLES)
		rc = toml_fail(r, "'%.80s' is there already, and is no array of tables", key);
	if (rc == 0 && json_array_append_new(child, json_object()) != 0)
		rc = error_nomem(r->err);
	return rc == 0 ? enter_last(r, place, child) : rc;
}

static int read_header(struct toml_reader *r, struct place *place)
{
	struct toml_key key = {0};
	bool many = toml_skip(r, "[[");

	if (!many)
		(void)toml_skip(r, "[");
	place->table = r->toml.root;
	text_release(&place->path);
	place->path = (struct text){.max = TOML_SIZE_MAX};

	int rc = toml_read_key(r, &key);
	if (rc == 0 && !toml_skip(r, many ? "]]" : "]"))
		rc = toml_fail(r, "a table's name ends with %s", many ? "]]" : "]");
	for (size_t i = 0; rc == 0 && i + 1 < key.count; i++)
		rc = enter_super(r, place, key.parts[i]);
	if (rc == 0)
		rc = many ? enter_tables(r, place, key.parts[key.count - 1]) : enter_table(r, place, key.parts[key.count - 1]);
	toml_key_release(&key);
	return rc;
}

/* --- key = value ---------------------------------------------------------------------------------------- */

/* One key of a dotted one that is not its last: only tables that dotted keys made can be added to in this way. */
static int enter_dotted(struct toml_reader *r, struct place *place, const char *key)
{
	json_t *child = json_object_get(place->table, key);
	int rc = step(r, place, key);

	if (rc == 0 && child == NULL)
		rc = make_child(r, place, key, MARK_DOTTED, &child);
	else if (rc == 0 && mark_of(r, text_str(&place->path)) != MARK_DOTTED)
		rc = toml_fail(r, "'%.80s' is there already, and cannot be added to", key);
	place->table = child;
	return rc;
}

static int read_pair(struct toml_reader *r, const struct place *in);

static int read_inline_table(struct toml_reader *r, const char *path, json_t **ret_value)
{
	struct place place = {.table = json_object(), .path = {.max = TOML_SIZE_MAX}};
	int rc = place.table != NULL ? 0 : error_nomem(r->err);

	text_addf(&place.path, "%s", path);
	(void)toml_skip(r, "{");
	toml_skip_blanks(r);
	bool more = rc == 0 && !toml_skip(r, "}");
	while (rc == 0 && more) {
		rc = read_pair(r, &place);
		toml_skip_blanks(r);
		more = rc == 0 && !toml_skip(r, "}");
		if (more && !toml_skip(r, ","))
			rc = toml_fail(r, "an inline table goes on with , or ends with } on the same line");
		toml_skip_blanks(r);
	}
	text_release(&place.path);
	if (rc == 0)
		*ret_value = place.table;
	else
		json_decref(place.table);
	return rc;
}

static int read_value(struct toml_reader *r, const char *path, json_t **ret_value);

static int read_array(struct toml_reader *r, const char *path, json_t **ret_value)
{
	json_t *array = json_array();
	int rc = array != NULL ? 0 : error_nomem(r->err);

	(void)toml_skip(r, "[");
	if (rc == 0)
		rc = toml_skip_lines(r);
	bool more = rc == 0 && !toml_skip(r, "]");
	while (rc == 0 && more) {
		AUTO_TEXT at = {.max = TOML_SIZE_MAX};
		json_t *value = NULL;

		text_addf(&at, "%s" STEP "%zu", path, json_array_size(array));
		rc = at.failed ? error_nomem(r->err) : read_value(r, text_str(&at), &value);
		if (rc == 0 && json_array_append_new(array, value) != 0)
			rc = error_nomem(r->err);
		if (rc == 0)
			rc = toml_skip_lines(r);
		bool comma = rc == 0 && toml_skip(r, ",");
		if (comma)
			rc = toml_skip_lines(r);
		more = rc == 0 && !toml_skip(r, "]");
		if (more && !comma)
			rc = toml_fail(r, "an array goes on with , or ends with ]");
	}
	if (rc == 0)
		*ret_value = array;
	else
		json_decref(array);
	return rc;
}

static int read_value(struct toml_reader *r, const char *path, json_t **ret_value)
{
	char first = toml_peek(r);

	if (first != '[' && first != '{')
		return toml_read_scalar(r, ret_value);
	if (r->depth >= TOML_DEPTH_MAX)
		return toml_fail(r, "more than %d levels", TOML_DEPTH_MAX);
	r->depth++;
	int rc = first == '[' ? read_array(r, path, ret_value) : read_inline_table(r, path, ret_value);
	r->depth--;
	return rc;
}

/* key = value, in the table @in. */
static int read_pair(struct toml_reader *r, const struct place *in)
{
	struct place place = {.table = in->table, .path = {.max = TOML_SIZE_MAX}};
	struct toml_key key = {0};
	json_t *value = NULL;
	const char *last = NULL;

	text_addf(&place.path, "%s", text_str(&in->path));
	int rc = toml_read_key(r, &key);
	if (rc == 0 && !toml_skip(r, "="))
		rc = toml_fail(r, "a line is KEY = VALUE, or [TABLE]");
	for (size_t i = 0; rc == 0 && i + 1 < key.count; i++)
		rc = enter_dotted(r, &place, key.parts[i]);
	if (rc == 0) {
		last = key.parts[key.count - 1];
		rc = json_object_get(place.table, last) == NULL ? step(r, &place, last)
		                                                : toml_fail(r, "'%.80s' is there already", last);
	}
	if (rc == 0)
		rc = set_mark(r, text_str(&place.path), MARK_VALUE);
	toml_skip_blanks(r);
	if (rc == 0)
		rc = read_value(r, text_str(&place.path), &value);
	if (rc == 0 && json_object_set_new(place.table, last, value) != 0)
		rc = error_nomem(r->err);
	toml_key_release(&key);
	text_release(&place.path);
	return rc;
}

/* --- the document --------------------------------------------------------------------------------------- */

static int read_document(struct toml_reader *r)
{
	struct place place = {.table = r->toml.root, .path = {.max = TOML_SIZE_MAX}};
	int rc = toml_skip_lines(r);

	while (rc == 0 && r->at < r->end) {
		rc = toml_peek(r) == '[' ? read_header(r, &place) : read_pair(r, &place);
		if (rc == 0)
			rc = toml_end_line(r);
		if (rc == 0)
			rc = toml_skip_lines(r);
	}
	text_release(&place.path);
	return rc;
}

int toml_read(const char *text, size_t len, const char *name, struct toml *ret_toml, struct error *err)
{
	struct toml_reader reader = {.at = text, .end = text + len, .line = 1, .name = name, .err = err,
	                             .toml = {.root = json_object(), .marks = json_object()}};

	int rc = reader.toml.root != NULL && reader.toml.marks != NULL ? toml_reader_init(&reader) : error_nomem(err);
	if (rc == 0)
		rc = read_document(&reader);
	toml_reader_done(&reader);
	if (rc == 0)
		*ret_toml = reader.toml;
	else
		toml_release(&reader.toml);
	return rc;
}

int toml_read_file(const char *file, struct toml *ret_toml, struct error *err)
{
	AUTO_TEXT text = {.max = TOML_SIZE_MAX};

	int rc = file_read(file, &text, err);
	return rc != 0 ? rc : toml_read(text_str(&text), text.len, file, ret_toml, err);
}

json_t *toml_get(const struct toml *toml, const char *const *keys, size_t count, unsigned *ret_line)
{
	AUTO_TEXT path = {.max = TOML_SIZE_MAX};
	json_t *at = toml->root;

	for (size_t i = 0; i < count; i++) {
		at = json_object_get(at, keys[i]);
		text_addf(&path, STEP "%s", keys[i]);
	}
	if (ret_line != NULL)
		*ret_line = (unsigned)(json_integer_value(json_object_get(toml->marks, text_str(&path))) >> MARK_BITS);
	return at;
}

void toml_release(struct toml *toml)
{
	json_decref(toml->root);
	json_decref(toml->marks);
	*toml = (struct toml){0};
}
