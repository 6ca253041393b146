/* A flow's context over a scripted server, for the tests of flow bodies and of what they are given. */
#ifndef TESTS_UNIT_WORKER_FLOW_RUN_H
#define TESTS_UNIT_WORKER_FLOW_RUN_H

#include "tests/unit/api.h"
#include "worker/worker.h"

#define OWN_ID "99999999-0000-4000-8000-000000000009"
#define OWN_INSTANCE "99999999-0000-4000-8000-0000000000aa"
#define LABELS(worker, instance) "{\"prefect.worker.name\": \"" worker "\", \"janitor.instance\": \"" instance "\"}"
#define OWN_LABELS LABELS("me", OWN_INSTANCE)
#define RUN_LABELLED(type, labels, more)                                                                           \
	"{\"id\": \"" OWN_ID "\", \"flow_id\": \"" ID_B "\", \"name\": \"own-run\", \"state_type\": \"" type "\", " \
	"\"state\": {\"timestamp\": \"2026-11-21T06:34:21Z\"}, \"labels\": " labels more "}"
#define OWN_RUN(type, more) RUN_LABELLED(type, OWN_LABELS, more)

struct unit_flow {
	struct http_server *server;
	struct settings settings;
	char url[64];
	struct worker worker;
	struct prefect *prefect;
	struct flow_ctx *ctx;
};

/* @run: the run as JSON, NULL for one that is just Running. @question: NULL for one that was not asked yet. Takes over
 * @server. */
void unit_flow_open(struct unit_flow *flow, struct http_server *server, const char *run, const struct question *question);
/* The same over the steps up to the first without a method. */
void unit_flow_open_steps(struct unit_flow *flow, const struct http_step *steps, size_t max, const char *run,
                          const struct question *question);
/* Problems of the server fail the test under the name @row. Returns the number of requests. */
size_t unit_flow_close(struct unit_flow *flow, const char *row);

/* Does a line of the run's log contain @part? */
bool unit_flow_logged(struct unit_flow *flow, const char *part);

#endif
