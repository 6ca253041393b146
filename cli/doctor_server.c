/* doctor.h: the way to the server, and what the server can do. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cli/doctor.h"
#include "client/base/text.h"

/* No server takes so many runs in one call. */
#define LIMIT_TOO_LARGE 1000000

/* A server that is away is a finding, and not waited for. */
#define FIRST_BUDGET_MS 2000

#define CLOCK_WARN_US (60 * US_PER_SEC)

static bool is_tls_trouble(const struct error *err)
{
	return err->code == ERR_TRANSPORT && strstr(err->text, "PREFECT_API_SSL_CERT_FILE") != NULL;
}

/* GET /health, which asks for no password. */
void doctor_check_address(struct doctor *doctor, struct finding *finding)
{
	const char *url = doctor->settings->api_url;
	const char *from = doctor->settings->api_url_from;
	AUTO_JSON *answer = NULL;
	struct error *err = &doctor->contact;

	int rc = prefect_call(doctor->prefect,
	                      (struct prefect_request){.method = "GET", .repeat = PREFECT_REPEATABLE, .budget_ms = FIRST_BUDGET_MS},
	                      &answer, err, "/health");
	if (rc == 0 && !json_is_true(answer))
		rc = error_set(err, ERR_NO_ROUTE, "GET /health: the answer is not that of a Prefect server");
	err->code = rc;
	if (rc == 0)
		finding_set(finding, FINDING_OK, NULL, "%s answers (the address is from %s)", url, from);
	else if (is_tls_trouble(err))
		finding_set(finding, FINDING_OK, NULL, "%s takes connections (the address is from %s)", url, from);
	else
		finding_set(finding, FINDING_FAIL, "start the server, or set PREFECT_API_URL (api.url) to the address of its API, which "
		            "ends in /api", "%s%s%s", strstr(err->text, url) == NULL ? url : "", strstr(err->text, url) == NULL ? ": " : "",
		            err->text);
}

static bool is_this_machine(const char *url)
{
	const char *start = strstr(url, "://") + 3;
	char host[64];
	struct in_addr address;

	if (strncmp(start, "[::1]", 5) == 0)
		return true;
	(void)snprintf(host, sizeof host, "%.*s", (int)strcspn(start, ":/"), start);
	return strcasecmp(host, "localhost") == 0 ||
	       (inet_pton(AF_INET, host, &address) == 1 && ntohl(address.s_addr) >> 24 == 127);
}

void doctor_check_tls(struct doctor *doctor, struct finding *finding)
{
	const struct settings *settings = doctor->settings;
	bool secret = settings->api_key != NULL || settings->auth_string != NULL || settings->headers != NULL;

	if (strncasecmp(settings->api_url, "https:", 6) != 0) {
		if (is_this_machine(settings->api_url))
			finding_set(finding, FINDING_OK, NULL, "none, and none is needed: the server is on this machine");
		else if (secret)
			finding_set(finding, FINDING_WARN, "reach the server by https: PREFECT_API_URL",
			            "none: key, password and headers cross the network in clear text");
		else
			finding_set(finding, FINDING_OK, NULL, "none");
	} else if (is_tls_trouble(&doctor->contact)) {
		finding_set(finding, FINDING_FAIL, "set PREFECT_API_SSL_CERT_FILE (api.ssl_cert_file) to the certificates of the "
		            "authority that signed the server's", "%s", doctor->contact.text);
	} else if (doctor->contact.code != 0) {
		finding_set(finding, FINDING_SKIP, NULL, "not looked at without the server");
	} else if (settings->tls_insecure) {
		finding_set(finding, FINDING_WARN, "name the authority by PREFECT_API_SSL_CERT_FILE, and take "
		            "PREFECT_API_TLS_INSECURE_SKIP_VERIFY away", "the server's certificate is not checked: anybody can answer");
	} else {
		finding_set(finding, FINDING_OK, NULL, "the server's certificate is trusted");
	}
}

/* GET /admin/version, which asks for a password where there is one. */
void doctor_check_auth(struct doctor *doctor, struct finding *finding)
{
	const struct settings *settings = doctor->settings;
	const char *sent = settings->api_key != NULL       ? "the API key is taken"
	                   : settings->auth_string != NULL ? "user and password are taken"
	                   : settings->headers != NULL     ? "the custom headers do not disturb"
	                                                   : "no key and no password is needed";
	struct error err = {0};

	int rc = version_read(doctor->prefect, doctor->version, &err);
	if (rc == 0) {
		finding_set(finding, FINDING_OK, NULL, "%s", sent);
		return;
	}
	doctor->contact = err; /* without it nothing else can be seen */
	finding_set(finding, FINDING_FAIL,
	            rc == ERR_AUTH ? "set PREFECT_API_AUTH_STRING (api.auth_string) to the user:password of the server's "
	                             "PREFECT_SERVER_API_AUTH_STRING, or PREFECT_API_KEY (api.key)"
	                           : NULL,
	            "%s", err.text);
}

/* GET /csrf-token: 422 where the protection is off. */
void doctor_check_csrf(struct doctor *doctor, struct finding *finding)
{
	char client[UUID_SIZE];
	struct error err;

	uuid_make(client);
	int rc = prefect_get(doctor->prefect, NULL, &err, "/csrf-token?client=%s", client);
	if (rc == 0)
		finding_set(finding, FINDING_OK, NULL, "the server asks for tokens, and gives them");
	else if (rc == ERR_INVALID || rc == ERR_NO_ROUTE || rc == ERR_NOT_FOUND)
		finding_set(finding, FINDING_OK, NULL, "the server asks for no tokens");
	else
		finding_set(finding, FINDING_FAIL, "look into the server's log", "%s", err.text);
}

void doctor_check_version(struct doctor *doctor, struct finding *finding)
{
	const char *version = doctor->version;

	switch (version_stand(version)) {
	case VERSION_UNKNOWN:
		finding_set(finding, FINDING_WARN, NULL, "the server does not say which Prefect it is ('%s'); this program was tested with "
		            "%s", version, version_tested);
		break;
	case VERSION_BEFORE_3:
		finding_set(finding, FINDING_FAIL, "use a server of Prefect 3", "Prefect %s: its API is another one", version);
		break;
	case VERSION_OLDER:
		finding_set(finding, FINDING_WARN, "update the server", "Prefect %s; this program was tested with %s", version,
		            version_tested);
		break;
	case VERSION_NEWER:
		finding_set(finding, FINDING_WARN, "try it with a dry run first, or look for a newer prefect-janitor", "Prefect %s; this "
		            "program was tested with %s", version, version_tested);
		break;
	case VERSION_COVERED:
		finding_set(finding, FINDING_OK, NULL, "Prefect %s; this program was tested with %s", version, version_tested);
		break;
	}
}

/* POST /flow_runs/bulk_delete, in a way that cannot delete: see doctor.h. */
void doctor_check_bulk_delete(struct doctor *doctor, struct finding *finding)
{
	char nobody[UUID_SIZE];
	int64_t deleted = 0;
	bool ambiguous;
	int max = 0;
	struct error err;

	uuid_make(nobody);
	AUTO_JSON *filter = json_pack("{s:{s:[s]}}", "id", "any_", nobody);
	if (filter == NULL) {
		finding_set(finding, FINDING_WARN, NULL, "no memory to ask");
		return;
	}
	int rc = flow_run_bulk_delete(doctor->prefect, filter, LIMIT_TOO_LARGE, &deleted, NULL, &max, &ambiguous, &err);
	if (rc == ERR_INVALID && max > 0)
		finding_set(finding, FINDING_OK, NULL, "up to %d flow runs in one call", max);
	else if (rc == 0)
		finding_set(finding, FINDING_OK, NULL, "any number of flow runs in one call");
	else if (rc == ERR_NO_ROUTE)
		finding_set(finding, FINDING_WARN, "nothing has to be done; a server from 3.6 on deletes several in one call",
		            "this server has none: flow runs are deleted one by one");
	else
		finding_set(finding, FINDING_WARN, "try again", "%s", err.text);
}

/* GET /admin/settings: the address of the database is hidden in it, its driver is not where it was given. */
void doctor_check_database(struct doctor *doctor, struct finding *finding)
{
	AUTO_JSON *answer = NULL;
	struct error err;

	if (prefect_get(doctor->prefect, &answer, &err, "/admin/settings") != 0) {
		finding_set(finding, FINDING_OK, NULL, "the server does not tell");
		return;
	}
	const json_t *database = json_object_get(json_object_get(answer, "server"), "database");
	const char *driver = json_string_value(json_object_get(database, "driver"));

	if (driver != NULL)
		finding_set(finding, FINDING_OK, NULL, "%s", driver);
	else if (json_is_null(json_object_get(database, "connection_url")))
		finding_set(finding, FINDING_OK, NULL, "SQLite, the server's default");
	else
		finding_set(finding, FINDING_OK, NULL, "SQLite or PostgreSQL: its address was set on the server, which hides it");
}

/* By the Date header of the answers so far. */
void doctor_check_clock(struct doctor *doctor, struct finding *finding)
{
	int64_t ahead_us = atomic_load(&doctor->clock->ahead_us);
	char span[TIME_TEXT_SIZE];

	if (ahead_us <= CLOCK_WARN_US && ahead_us >= -CLOCK_WARN_US)
		finding_set(finding, FINDING_OK, NULL, "this machine's and the server's agree");
	else
		finding_set(finding, FINDING_WARN, "set both right, as by NTP; the worker goes by the server's",
		            "this machine's is %s %s the server's", span_format((ahead_us < 0 ? -ahead_us : ahead_us) / 1000, span),
		            ahead_us < 0 ? "ahead of" : "behind");
}
