/* SIGHUP: the configuration is read again, and what can change while the worker runs is taken over.
 *
 * Settings that are in use are never changed: new ones take their place, and the old ones are kept until the end, since
 * any thread may still be reading them. That is some kilobytes for each reload, and no lock anywhere. */
#include <stdlib.h>

#include "client/base/log.h"
#include "worker/worker.h"

/* One set of settings after those of the start. */
struct reloaded {
	struct reloaded *before;
	struct settings settings;
	struct worker_http http;
};

static void tell(const struct option *row, const char *was, const char *is, bool kept)
{
	if (kept)
		log_warning("configuration read again: %s is '%s' in it, and stays '%s': only a restart can change it",
		            option_name(row), is != NULL ? is : "", was != NULL ? was : "");
	else if (row->secret || row->hidden)
		log_info("configuration read again: %s has changed", option_name(row));
	else
		log_info("configuration read again: %s is '%s' now, it was '%s'", option_name(row), is != NULL ? is : "",
		         was != NULL ? was : "");
}

static int load(const struct worker *worker, int argc, char **argv, struct settings *ret_settings, struct error *err)
{
	size_t changes = 0;
	bool help;

	int rc = settings_load(COMMAND_START, argc, argv, ret_settings, &help, err);
	if (rc != 0)
		return rc;
	rc = settings_take_over(ret_settings, worker->settings, tell, &changes, err);
	if (rc != 0)
		settings_release(ret_settings);
	else if (changes == 0)
		log_info("configuration read again: no setting differs (flags and the environment go before the file)");
	return rc;
}

/* Sessions take theirs over before their next request, also where no option differs: the file of certificates may. */
static void put_in_use(struct worker *worker, struct reloaded *fresh)
{
	struct worker_http *now = worker->reloaded != NULL ? &worker->reloaded->http : &worker->http;

	worker_http_init(worker, &fresh->settings, &fresh->http);
	fresh->before = worker->reloaded;
	worker->reloaded = fresh;
	atomic_store(&worker->settings, &fresh->settings);
	atomic_store(&now->executors.newer, &fresh->http.executors);
	atomic_store(&now->services.newer, &fresh->http.services);
	atomic_store(&now->logs.newer, &fresh->http.logs);
	atomic_store(&now->pictures.newer, &fresh->http.pictures);
	atomic_store(&now->probes.newer, &fresh->http.probes);
}

void worker_reload(struct worker *worker, int argc, char **argv)
{
	struct reloaded *fresh = calloc(1, sizeof *fresh);
	struct error err;

	if ((fresh == NULL ? error_nomem(&err) : load(worker, argc, argv, &fresh->settings, &err)) != 0) {
		log_error("the configuration cannot be taken over, everything stays as it is: %s", err.text);
		free(fresh);
		return;
	}
	put_in_use(worker, fresh);
	settings_apply_log(&fresh->settings);
	/* Whoever waits, waits by the old settings, or because of them. */
	registry_set_limit(&worker->registry, (size_t)fresh->settings.limit);
	write_gate_set(&worker->writes, fresh->settings.writes_at_once);
	registry_hurry(&worker->registry);
	stop_nudge(&worker->stop);
}

void worker_reload_done(struct worker *worker)
{
	while (worker->reloaded != NULL) {
		struct reloaded *before = worker->reloaded->before;

		settings_release(&worker->reloaded->settings);
		free(worker->reloaded);
		worker->reloaded = before;
	}
}
