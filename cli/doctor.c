#include "cli/doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "client/base/text.h"

/* --- findings ---------------------------------------------------------------------------------------------- */

const char *finding_word(enum finding_status status)
{
	static const char *const words[] = {
		[FINDING_OK] = "ok", [FINDING_WARN] = "warn", [FINDING_FAIL] = "fail", [FINDING_SKIP] = "skip"};

	return words[status];
}

void finding_set(struct finding *finding, enum finding_status status, const char *next, const char *fmt, ...)
{
	char text[sizeof finding->text];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	finding->status = status;
	text_clean(finding->text, sizeof finding->text, text, strlen(text));
	text_clean(finding->next, sizeof finding->next, next != NULL ? next : "", next != NULL ? strlen(next) : 0);
}

enum finding_status doctor_verdict(const struct doctor *doctor)
{
	enum finding_status worst = FINDING_OK;

	for (size_t i = 0; i < doctor->count; i++)
		if (doctor->findings[i].status != FINDING_SKIP && doctor->findings[i].status > worst)
			worst = doctor->findings[i].status;
	return worst;
}

/* --- this machine -------------------------------------------------------------------------------------------- */

/* What other commands would say of the file and the environment: each reads its own settings only. */
static int load_for(unsigned command, const struct settings *settings, struct error *err)
{
	char pool[] = "--pool=NAME"; /* it may still be missing */
	char config[] = "--config";
	char *args[] = {pool, config, settings->config_file};
	struct settings loaded;
	bool help;

	int rc = settings_load(command, settings->config_file != NULL ? 3 : 1, args, &loaded, &help, err);
	if (rc == 0)
		settings_release(&loaded);
	return rc;
}

static void check_file(struct doctor *doctor, struct finding *finding)
{
	const char *file = doctor->settings->config_file;
	char next[400];
	struct stat st;
	struct error err;

	if (load_for(COMMAND_START, doctor->settings, &err) != 0 || load_for(COMMAND_DEPLOY, doctor->settings, &err) != 0) {
		finding_set(finding, FINDING_FAIL, "put it right; prefect-janitor.conf(5) lists all settings", "%s", err.text);
		return;
	}
	if (file == NULL) {
		finding_set(finding, FINDING_OK, NULL, "no file of this program; prefect-janitor config shows each setting and its source");
		return;
	}
	(void)snprintf(next, sizeof next, "chmod 600 '%s'", file);
	if (stat(file, &st) != 0) /* it was read a moment ago */
		finding_set(finding, FINDING_WARN, NULL, "%s is gone", file);
	else if (doctor->settings->config_exposed != 0)
		finding_set(finding, FINDING_FAIL, next, "%s holds a secret, and its mode %04o lets other users in", file,
		            doctor->settings->config_exposed);
	else if ((st.st_mode & 022) != 0)
		finding_set(finding, FINDING_WARN, next, "%s can be changed by other users: its mode is %04o", file,
		            (unsigned)st.st_mode & 07777);
	else
		finding_set(finding, FINDING_OK, NULL, "%s, mode %04o", file, (unsigned)st.st_mode & 07777);
}

/* --- all of it ------------------------------------------------------------------------------------------------- */

/* What has to be there for a check to make sense. */
enum need { NEED_NOTHING, NEED_CONTACT, NEED_DEPLOYMENT, NEED_POOL };

static const struct {
	const char *name;
	doctor_check *run;
	enum need need;
} checks[] = {
	{"configuration", check_file, NEED_NOTHING},
	{"address", doctor_check_address, NEED_NOTHING},
	{"tls", doctor_check_tls, NEED_NOTHING},
	{"auth", doctor_check_auth, NEED_CONTACT},
	{"csrf", doctor_check_csrf, NEED_CONTACT},
	{"version", doctor_check_version, NEED_CONTACT},
	{"bulk-delete", doctor_check_bulk_delete, NEED_CONTACT},
	{"database", doctor_check_database, NEED_CONTACT},
	{"clock", doctor_check_clock, NEED_CONTACT},
	{"deployment", doctor_check_deployment, NEED_CONTACT},
	{"schema", doctor_check_schema, NEED_DEPLOYMENT},
	{"parameters", doctor_check_parameters, NEED_DEPLOYMENT},
	{"schedule", doctor_check_schedule, NEED_DEPLOYMENT},
	{"ai", doctor_check_ai, NEED_NOTHING},
	{"work-pool", doctor_check_pool, NEED_CONTACT},
	{"work-queue", doctor_check_queue, NEED_DEPLOYMENT},
	{"worker", doctor_check_worker, NEED_POOL},
	{"approvals", doctor_check_forms, NEED_DEPLOYMENT},
};
_Static_assert(sizeof checks / sizeof checks[0] <= 9 + 12, "room for every check, and nine of each deployment");

/* NULL: nothing is missing. */
static const char *missing(const struct doctor *doctor, enum need need)
{
	if (need >= NEED_CONTACT && doctor->contact.code != 0)
		return "the server";
	if (need == NEED_DEPLOYMENT && doctor->deployment == NULL)
		return "the deployment";
	return need == NEED_POOL && doctor->pool.name == NULL ? "the work pool" : NULL;
}

static void run_check(struct doctor *doctor, size_t check)
{
	struct finding *finding = &doctor->findings[doctor->count++];
	const char *without = missing(doctor, checks[check].need);

	finding->name = checks[check].name;
	if (without != NULL)
		finding_set(finding, FINDING_SKIP, NULL, "not looked at without %s", without);
	else
		checks[check].run(doctor, finding);
	if (json_array_size(doctor->deployments) > 1) {
		const char *name = json_text_of(json_array_get(doctor->deployments, doctor->nth), "name");
		text_clean(finding->deployment, sizeof finding->deployment, name, strlen(name));
	}
}

/* What the last deployment has left. */
static void forget_deployment(struct doctor *doctor)
{
	json_decref(doctor->deployment);
	doctor->deployment = NULL;
	work_pool_release(&doctor->pool);
	doctor->pool_name = NULL;
	doctor->wants_ai = false;
}

void doctor_examine(struct doctor *doctor)
{
	const size_t count = sizeof checks / sizeof checks[0];
	size_t first = 0;

	for (; checks[first].run != doctor_check_deployment; first++)
		run_check(doctor, first);
	do {
		for (size_t i = first; i < count; i++)
			run_check(doctor, i);
		if (++doctor->nth < json_array_size(doctor->deployments))
			forget_deployment(doctor);
	} while (doctor->nth < json_array_size(doctor->deployments) && doctor->nth < DOCTOR_DEPLOYMENTS_MAX);
	if (json_array_size(doctor->deployments) > DOCTOR_DEPLOYMENTS_MAX) {
		struct finding *finding = &doctor->findings[doctor->count++];
		finding->name = "deployment";
		finding_set(finding, FINDING_WARN, "name one by --deployment", "%zu more deployments were not looked at",
		            json_array_size(doctor->deployments) - DOCTOR_DEPLOYMENTS_MAX);
	}
}

void doctor_release(struct doctor *doctor)
{
	forget_deployment(doctor);
	json_decref(doctor->deployments);
	doctor->deployments = NULL;
}
