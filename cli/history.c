#include "cli/history.h"

#include <string.h>

#include "client/base/text.h"
#include "client/prefect/artifact.h"
#include "flows/database_cleanup/report.h"

/* Appends the report of one artifact. */
static int add_report(json_t *reports, const struct artifact *artifact, struct error *err)
{
	const char *markdown = json_string_value(artifact->data);
	AUTO_JSON *report = NULL;
	struct error why = {0};

	int rc = markdown != NULL ? report_parse(markdown, &report, &why) : error_set(&why, ERR_DECODE, "it is no text");
	if (rc == ERR_NOMEM)
		return error_nomem(err);
	if (rc != 0)
		report = json_pack("{s:s, s:s}", "flow_run_id", artifact->flow_run_id, "unreadable", why.text);
	if (json_object_set_new(report, "artifact_id", json_string(artifact->id)) != 0 || json_array_append(reports, report) != 0)
		return error_nomem(err);
	return 0;
}

int history_read(struct prefect *prefect, int64_t limit, json_t **ret_reports, struct error *err)
{
	AUTO_JSON *filter = json_pack("{s:{s:[s]}}", "key", "any_", REPORT_KEY);
	AUTO_JSON *reports = json_array();
	size_t asked;
	size_t count;

	if (filter == NULL || reports == NULL)
		return error_nomem(err);
	do {
		int64_t left = limit - (int64_t)json_array_size(reports);
		struct artifact *artifacts;

		asked = left < PREFECT_PAGE_MAX ? (size_t)left : PREFECT_PAGE_MAX;
		int rc = artifact_filter(prefect,
		                         &(struct artifact_query){.artifacts = filter, .sort = "CREATED_DESC", .limit = (int)asked,
		                                                  .offset = (int64_t)json_array_size(reports)},
		                         &artifacts, &count, err);
		if (rc != 0)
			return rc;
		for (size_t i = 0; rc == 0 && i < count; i++)
			rc = add_report(reports, &artifacts[i], err);
		artifacts_release(artifacts, count);
		if (rc != 0)
			return rc;
	} while (count == asked && (int64_t)json_array_size(reports) < limit);
	*ret_reports = json_incref(reports);
	return 0;
}
