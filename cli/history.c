#include "cli/history.h"

#include <string.h>

#include "client/base/text.h"
#include "client/prefect/artifact.h"
#include "flows/database_cleanup/report.h"

/* --- all of one shape ---------------------------------------------------------------------------------------- */

static const char *const report_keys[] = {"version",  "outcome", "message", "flow_run_id", "worker", "worker_version", "finished_at",
                                          "policy",   "limits",  "plan",    "decision",   "deletion", "flows",       "flows_left_out",
                                          "artifact_id", "unreadable"};
static const char *const deletion_keys[] = {"deleted", "failed", "remaining", "gone", "given_up", "failed_ids", "took_ms",
                                            "runs_per_second", "artifacts_deleted", "artifacts_left", "logs_checked", "logs_left",
                                            "logs_more", "counted"};

/* -1 as "not known" is for those who read the report itself. */
static bool is_unknown(const json_t *value)
{
	return value == NULL || (json_is_integer(value) && json_integer_value(value) < 0);
}

/* Gives @object null for each of @keys that it does not know. */
static int fill(json_t *object, const char *const *keys, size_t count)
{
	int rc = 0;

	for (size_t i = 0; i < count; i++)
		if (is_unknown(json_object_get(object, keys[i])))
			rc |= json_object_set_new(object, keys[i], json_null());
	return rc;
}

static int shape(json_t *report)
{
	json_t *told = json_object_get(report, "deletion");
	AUTO_JSON *deletion = json_is_object(told) ? json_copy(told) /* null: nothing was deleted */
	                      : json_is_null(told) ? json_pack("{s:i, s:i, s:[]}", "deleted", 0, "failed", 0, "failed_ids")
	                                           : json_object();

	if (fill(deletion, deletion_keys, sizeof deletion_keys / sizeof deletion_keys[0]) != 0 ||
	    json_object_set(report, "deletion", deletion) != 0)
		return -1;
	return fill(report, report_keys, sizeof report_keys / sizeof report_keys[0]);
}

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
		report = json_pack("{s:s?, s:s}", "flow_run_id", *artifact->flow_run_id != '\0' ? artifact->flow_run_id : NULL, "unreadable",
		                   why.text);
	if (json_object_set_new(report, "artifact_id", json_string(artifact->id)) != 0 || shape(report) != 0 ||
	    json_array_append(reports, report) != 0)
		return error_nomem(err);
	return 0;
}

int history_read(struct prefect *prefect, const char *flow_run_id, int64_t limit, json_t **ret_reports, struct error *err)
{
	AUTO_JSON *filter = json_pack("{s:{s:[s]}}", "key", "any_", REPORT_KEY);
	AUTO_JSON *reports = json_array();
	size_t asked;
	size_t count;

	if (filter == NULL || reports == NULL ||
	    (flow_run_id != NULL &&
	     json_object_set_new(filter, "flow_run_id", json_pack("{s:[s]}", "any_", flow_run_id)) != 0))
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
