#include <string.h>

#include "flows/database_cleanup/database_cleanup.h"
#include "flows/flow.h"

static const struct flow_spec flows[] = {
	{.name = DATABASE_CLEANUP_FLOW, .body = database_cleanup, .form = database_cleanup_form, .epilogue = database_cleanup_ended},
};

json_t *flow_names(void)
{
	json_t *names = json_array();

	for (size_t i = 0; i < sizeof flows / sizeof flows[0]; i++)
		if (json_array_append_new(names, json_string(flows[i].name)) != 0) {
			json_decref(names);
			return NULL;
		}
	return names;
}

const struct flow_spec *flow_find(const char *name)
{
	for (size_t i = 0; i < sizeof flows / sizeof flows[0]; i++)
		if (strcmp(flows[i].name, name) == 0)
			return &flows[i];
	return NULL;
}
