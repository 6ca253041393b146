#include "client/prefect/block.h"

#include <string.h>

#include "client/base/text.h"

/* What is read of a block type, a block schema or a block document. */
struct row {
	char id[UUID_SIZE];
	json_t *schema; /* owned; of a document */
};

static const struct json_field row_fields[] = {
	{"id", JSON_KIND_UUID, offsetof(struct row, id), true, NULL},
	{"block_schema", JSON_KIND_OBJECT, offsetof(struct row, schema), false, NULL},
};

int block_find(struct prefect *prefect, const char *type, const char *name, struct block *ret_block, struct error *err)
{
	AUTO_FREE char *type_escaped = http_escape(type);
	AUTO_FREE char *name_escaped = http_escape(name);
	AUTO_JSON *answer = NULL;
	struct row row;
	size_t i;
	json_t *capability;

	if (type_escaped == NULL || name_escaped == NULL)
		return error_nomem(err);
	int rc = prefect_get(prefect, &answer, err, "/block_types/slug/%s/block_documents/name/%s", type_escaped, name_escaped);
	if (rc == 0)
		rc = json_decode(answer, JSON_TABLE(row_fields), &row, sizeof row, err);
	if (rc != 0)
		return rc;

	*ret_block = (struct block){0};
	memcpy(ret_block->id, row.id, UUID_SIZE);
	json_array_foreach(json_object_get(row.schema, "capabilities"), i, capability)
		if (json_is_string(capability) && strcmp(json_string_value(capability), "notify") == 0)
			ret_block->notifies = true;
	json_release(JSON_TABLE(row_fields), &row);
	return 0;
}

/* The type's id, and that of the newest of its schemas: each version of Prefect adds one. */
static int read_schema(struct prefect *prefect, const char *type, char ret_type[UUID_SIZE], char ret_schema[UUID_SIZE],
                       struct error *err)
{
	AUTO_FREE char *type_escaped = http_escape(type);
	AUTO_JSON *answer = NULL;
	AUTO_JSON *schemas = NULL;
	struct row row;

	if (type_escaped == NULL)
		return error_nomem(err);
	int rc = prefect_get(prefect, &answer, err, "/block_types/slug/%s", type_escaped);
	if (rc == 0)
		rc = json_decode(answer, JSON_TABLE(row_fields), &row, sizeof row, err);
	if (rc != 0)
		return rc;
	memcpy(ret_type, row.id, UUID_SIZE);
	json_release(JSON_TABLE(row_fields), &row);

	rc = prefect_post(prefect, json_pack("{s:{s:{s:[s]}}, s:i}", "block_schemas", "block_type_id", "any_", ret_type, "limit", 1),
	                  PREFECT_REPEATABLE, &schemas, err, "/block_schemas/filter");
	if (rc != 0)
		return rc;
	rc = json_decode(json_array_get(schemas, 0), JSON_TABLE(row_fields), &row, sizeof row, err);
	if (rc != 0)
		return error_prefix(err, rc, "POST /block_schemas/filter for a block of type '%s'", type);
	memcpy(ret_schema, row.id, UUID_SIZE);
	json_release(JSON_TABLE(row_fields), &row);
	return 0;
}

static int create(struct prefect *prefect, const char *type, const char *name, json_t *data, struct error *err)
{
	char type_id[UUID_SIZE];
	char schema_id[UUID_SIZE];

	int rc = read_schema(prefect, type, type_id, schema_id, err);
	if (rc != 0)
		return rc;
	/* A second try of one that was done is refused as a conflict: there it is. */
	rc = prefect_post(prefect, json_pack("{s:s, s:O, s:s, s:s}", "name", name, "data", data, "block_type_id", type_id,
	                                     "block_schema_id", schema_id),
	                  PREFECT_REPEATABLE, NULL, err, "/block_documents/");
	return rc == ERR_CONFLICT ? 0 : rc;
}

int block_ensure(struct prefect *prefect, const char *type, const char *name, json_t *data, struct block *ret_block,
                 struct error *err)
{
	AUTO_JSON *owned = data;

	if (data == NULL)
		return error_nomem(err);
	int rc = block_find(prefect, type, name, ret_block, err);
	if (rc == 0)
		return prefect_patch(prefect, json_pack("{s:O, s:b}", "data", data, "merge_existing_data", 1), err,
		                     "/block_documents/%s", ret_block->id);
	if (rc == ERR_NOT_FOUND)
		rc = create(prefect, type, name, data, err);
	return rc != 0 ? rc : block_find(prefect, type, name, ret_block, err);
}

int block_delete(struct prefect *prefect, const char *type, const char *name, bool *ret_was_there, struct error *err)
{
	struct block block;

	int rc = block_find(prefect, type, name, &block, err);
	*ret_was_there = rc == 0;
	if (rc == 0)
		rc = prefect_call(prefect, (struct prefect_request){.method = "DELETE", .repeat = PREFECT_REPEATABLE}, NULL, err,
		                  "/block_documents/%s", block.id);
	return rc == ERR_NOT_FOUND ? 0 : rc;
}
