/* A Prefect server with one cleanup run in its pool and some runs to delete, as a state machine: what of the real one a
 * whole run meets. It keeps a record of what it was asked, and can let one request fail.
 * Thread rule: the members belong to the server's thread while requests are under way, else to the test. */
#ifndef TESTS_INJECTION_PREFECT_SERVER_H
#define TESTS_INJECTION_PREFECT_SERVER_H

#include "tests/unit/flows/database_cleanup/server_of_runs.h"

/* The last one that matches the plan; the others of SERVER_RUNS_TOTAL must stay. */
#define SERVER_STARTED 12
#define SERVER_NEVER_STARTED 3
#define SERVER_PLANNED (SERVER_STARTED + SERVER_NEVER_STARTED)

/* How a request fails. */
struct server_fault {
	const char *name;
	bool carried_out;       /* the request does its work, and the answer is lost or spoiled */
	struct http_reply reply; /* in place of the answer; a status of 0 keeps the real answer, for TRICK_HALF */
	bool may_reject;        /* what is read may say something else than yes: then it is no */
	int64_t lasts_ms;       /* all requests from the Nth on, for so long; 0: only that one */
};

/* Which requests of a run are the first of their method and path, or delete. */
#define SERVER_PATHS_MAX 256
struct prefect_paths {
	char seen[SERVER_PATHS_MAX][120];
	size_t count;
	bool is_new[1024]; /* by number of the request, from 0 */
	size_t requests;
};

struct prefect_server {
	struct server_of_runs runs;
	json_t *state;    /* of the cleanup run: type, name, message, timestamp, state_details, data */
	json_t *history;  /* every one that it was in */
	json_t *inputs;   /* array of {"key", "value"} */
	json_t *labels;
	json_t *fired;    /* its pause keys */
	bool approved;    /* a person said yes, and the server recorded it */

	/* the fault */
	const struct server_fault *fault; /* NULL for none */
	size_t fault_at;  /* number of the request, from 1 */
	int64_t fault_until_ms;

	struct prefect_paths *paths; /* learns them; NULL: not */

	/* the record */
	size_t requests;
	size_t answered_at; /* the last one before the answer */
	size_t faults;
	size_t deleted_unapproved;
	size_t after_end; /* states that were proposed for a run that had ended */
	size_t not_json;  /* bodies that are not JSON */
	char unknown[200]; /* a request that is not known here */
};

void prefect_server_init(struct prefect_server *server);
void prefect_server_release(struct prefect_server *server);

/* The state's type, "PAUSED" and so on; its message. */
const char *prefect_server_state(const struct prefect_server *server);
const char *prefect_server_message(const struct prefect_server *server);
bool prefect_server_ended(const struct prefect_server *server);

/* Is the run Paused, with a form? */
bool prefect_server_can_be_answered(const struct prefect_server *server);

/* What a person does in the UI while the run is Paused. */
void prefect_server_answer(struct prefect_server *server, bool approve);

http_handler prefect_server_handle;

#endif
