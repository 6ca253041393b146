#include "worker/approval_form.h"

#include <string.h>

#include "client/base/text.h"
#include "client/prefect/run_input.h"

/* FNV-1a, 64 bits. */
#define PRINT_START UINT64_C(0xcbf29ce484222325)
#define PRINT_PRIME UINT64_C(0x100000001b3)

void flow_form_release(struct flow_form *form)
{
	json_decref(form->schema);
	free(form->description);
	*form = (struct flow_form){0};
}

static uint64_t print(const json_t *schema, const char *description)
{
	AUTO_FREE char *text = json_is_object(schema) ? json_write(schema, JSON_SORT_KEYS) : NULL;
	uint64_t hash = PRINT_START;

	if (text == NULL || description == NULL)
		return 0;
	for (const char *at = text; *at != '\0'; at++)
		hash = (hash ^ (unsigned char)*at) * PRINT_PRIME;
	for (const char *at = description; *at != '\0'; at++)
		hash = (hash ^ (unsigned char)*at) * PRINT_PRIME;
	return hash != 0 ? hash : 1;
}

uint64_t approval_form_print(const struct flow_form *form)
{
	return print(form->schema, form->description);
}

/* The value under @key in a list of inputs: a new reference, NULL where there is none that is JSON. */
static json_t *value_of(const json_t *inputs, const char *key)
{
	size_t i;
	json_t *input;
	json_t *value = NULL;

	json_array_foreach(inputs, i, input)
	{
		const char *text = json_string_value(json_object_get(input, "value"));
		if (strcmp(json_text_of(input, "key"), key) == 0)
			return text != NULL && json_read(text, strlen(text), &value, NULL) == 0 ? value : NULL;
	}
	return NULL;
}

int approval_form_stored(struct prefect *prefect, const char *flow_run_id, const struct question *question,
                         uint64_t *ret_print, struct error *err)
{
	char key[QUESTION_KEY_SIZE];
	AUTO_JSON *inputs = NULL;

	int rc = run_input_list(prefect, flow_run_id, question_input_key(question, "", key), &inputs, err);
	if (rc != 0)
		return rc;
	AUTO_JSON *schema = value_of(inputs, question_input_key(question, "schema", key));
	AUTO_JSON *description = value_of(inputs, question_input_key(question, "description", key));
	*ret_print = print(schema, json_string_value(description));
	return 0;
}

static int store_part(struct prefect *prefect, const char *flow_run_id, const struct question *question, const char *part,
                      const json_t *value, struct error *err)
{
	char key[QUESTION_KEY_SIZE];

	int rc = run_input_create(prefect, flow_run_id, question_input_key(question, part, key), value, err);
	/* Another value is there, or something that is no JSON. */
	return rc == ERR_CONFLICT || rc == ERR_DECODE ? run_input_replace(prefect, flow_run_id, key, value, err) : rc;
}

int approval_form_store(struct prefect *prefect, const char *flow_run_id, const struct question *question,
                        const struct flow_form *form, struct error *err)
{
	/* A JSON string: raw Markdown is silently not shown. */
	AUTO_JSON *description = json_string(form->description);
	uint64_t stored;

	if (description == NULL)
		return error_nomem(err);
	int rc = store_part(prefect, flow_run_id, question, "description", description, err);
	if (rc == 0)
		rc = store_part(prefect, flow_run_id, question, "schema", form->schema, err);
	if (rc == 0)
		rc = approval_form_stored(prefect, flow_run_id, question, &stored, err);
	if (rc == 0 && stored != approval_form_print(form))
		rc = error_set(err, ERR_CONFLICT, "the server gives back another form than the one that was stored");
	return rc;
}
