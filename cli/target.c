#include "cli/target.h"

#include <string.h>

#include "client/prefect/deployment.h"
#include "flows/database_cleanup/database_cleanup.h"

/* NAME or database-cleanup/NAME, as Prefect writes it. */
static const char *own_name(const char *name)
{
	static const char prefix[] = DATABASE_CLEANUP_FLOW "/";

	return strncmp(name, prefix, sizeof prefix - 1) == 0 ? name + sizeof prefix - 1 : name;
}

static json_t *filters(const char *name, const char *pool)
{
	json_t *body = json_pack("{s:{s:{s:[s]}}}", "flows", "name", "any_", DATABASE_CLEANUP_FLOW);
	int rc = body != NULL ? 0 : -1;

	if (name != NULL)
		rc |= json_object_set_new(body, "deployments", json_pack("{s:{s:[s]}}", "name", "any_", name));
	else if (pool != NULL)
		rc |= json_object_set_new(body, "work_pools", json_pack("{s:{s:[s]}}", "name", "any_", pool));
	if (rc != 0) {
		json_decref(body);
		return NULL;
	}
	return body;
}

static int refuse_several(const json_t *found, struct error *err)
{
	AUTO_TEXT names = {.max = 600};
	size_t i;
	json_t *deployment;

	json_array_foreach(found, i, deployment)
	{
		const char *name = json_string_value(json_object_get(deployment, "name"));
		text_addf(&names, "%s%s", i > 0 ? ", " : "", name != NULL ? name : "?");
	}
	return error_set(err, ERR_USAGE, "--deployment NAME is missing, since there are several: %s", text_str(&names));
}

int target_list(struct session *session, json_t **ret_deployments, struct error *err)
{
	const struct settings *settings = session->settings;
	const char *name = settings->deployment != NULL ? own_name(settings->deployment) : NULL;

	return deployment_filter(session->prefect, filters(name, settings->pool), ret_deployments, err);
}

int target_find(struct session *session, json_t **ret_deployment, struct error *err)
{
	const struct settings *settings = session->settings;
	const char *name = settings->deployment != NULL ? own_name(settings->deployment) : NULL;
	AUTO_JSON *found = NULL;

	*ret_deployment = NULL;
	int rc = target_list(session, &found, err);
	if (rc != 0)
		return rc;
	if (json_array_size(found) > 1)
		return refuse_several(found, err);
	if (json_array_size(found) == 0 && name != NULL)
		return error_set(err, ERR_USAGE, "--deployment: the flow " DATABASE_CLEANUP_FLOW " has no deployment '%.80s' at %s; "
		                 "prefect-janitor deploy creates it", name, settings->api_url);
	if (json_array_size(found) == 0 && settings->pool != NULL)
		return error_set(err, ERR_USAGE, "--pool: work pool '%.80s' at %s has no deployment of " DATABASE_CLEANUP_FLOW
		                 "; prefect-janitor deploy creates it", settings->pool, settings->api_url);
	*ret_deployment = json_incref(json_array_get(found, 0));
	return 0;
}
