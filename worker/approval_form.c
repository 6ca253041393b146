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

uint64_t approval_form_print(const struct flow_form *form)
{
	AUTO_FREE char *text = json_is_object(form->schema) ? json_write(form->schema, JSON_SORT_KEYS) : NULL;
	uint64_t hash = PRINT_START;

	if (text == NULL || form->description == NULL)
		return 0;
	for (const char *at = text; *at != '\0'; at++)
		hash = (hash ^ (unsigned char)*at) * PRINT_PRIME;
	for (const char *at = form->description; *at != '\0'; at++)
		hash = (hash ^ (unsigned char)*at) * PRINT_PRIME;
	return hash != 0 ? hash : 1;
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

int approval_form_read(struct prefect *prefect, const char *flow_run_id, const struct question *question,
                       struct flow_form *ret_form, struct error *err)
{
	char key[QUESTION_KEY_SIZE];
	AUTO_JSON *inputs = NULL;
	struct flow_form form = {0};

	int rc = run_input_list(prefect, flow_run_id, question_input_key(question, "", key), &inputs, err);
	if (rc != 0)
		return rc;
	AUTO_JSON *description = value_of(inputs, question_input_key(question, "description", key));
	form.schema = value_of(inputs, question_input_key(question, "schema", key));
	if (!json_is_object(form.schema)) {
		json_decref(form.schema);
		form.schema = NULL;
	}
	form.description = text_dup(json_string_value(description));
	if (json_is_string(description) && form.description == NULL) {
		flow_form_release(&form);
		return error_nomem(err);
	}
	*ret_form = form;
	return 0;
}

int approval_form_stored(struct prefect *prefect, const char *flow_run_id, const struct question *question,
                         uint64_t *ret_print, struct error *err)
{
	struct flow_form form;

	int rc = approval_form_read(prefect, flow_run_id, question, &form, err);
	if (rc != 0)
		return rc;
	*ret_print = approval_form_print(&form);
	flow_form_release(&form);
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

/* Is the run Paused for this question? */
static int asks_still(struct prefect *prefect, const char *flow_run_id, const struct question *question, bool *ret_asks,
                      struct error *err)
{
	struct flow_run run;
	int number = 0;

	int rc = flow_run_read(prefect, flow_run_id, &run, err);
	if (rc != 0)
		return rc;
	rc = question_of_run(&run, &number, err);
	*ret_asks = rc == 0 && number == question->number;
	flow_run_release(&run);
	return rc;
}

int approval_form_put_back(struct prefect *prefect, const char *flow_run_id, const struct question *question,
                           const struct flow_form *form, bool *ret_late, struct error *err)
{
	char key[QUESTION_KEY_SIZE];
	bool asks = false;

	int rc = run_input_delete(prefect, flow_run_id, question_input_key(question, "schema", key), err);
	if (rc == 0)
		rc = asks_still(prefect, flow_run_id, question, &asks, err);
	if (rc != 0)
		return rc;
	*ret_late = !asks;
	return asks ? approval_form_store(prefect, flow_run_id, question, form, err) : 0;
}
