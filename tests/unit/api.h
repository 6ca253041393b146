/* A session with a scripted server, as most tests of requests need it. */
#ifndef TESTS_UNIT_API_H
#define TESTS_UNIT_API_H

#include "client/prefect/prefect.h"
#include "tests/unit/http_server.h"
#include "tests/unit/unit.h"

#define ID_A "aaaaaaaa-0000-4000-8000-000000000001"
#define ID_B "bbbbbbbb-0000-4000-8000-000000000002"
#define ID_C "cccccccc-0000-4000-8000-000000000003"

/* 404 in Prefect's own words: the object does not exist. */
#define GONE {.status = 404, .body = "{\"detail\": \"Flow run not found\"}"}

struct api {
	struct http_server *server;
	struct http_settings settings;
	struct server_clock clock;
	struct prefect *prefect;
};

/* A scripted server alone; the script ends at the first step without a method. */
struct http_server *api_script(const struct http_step *steps, size_t count);

/* Starts the server, likewise, and opens the session. */
void api_open(struct api *api, const struct http_step *steps, size_t count);
void api_open_handler(struct api *api, http_handler *handler, void *arg);

/* Closes both; a deviation from the script fails the test under the name @row. Returns the number of requests. */
size_t api_close(struct api *api, const char *row);

/* The settings of a client that gives up soon. */
struct http_settings api_settings(const char *url);

/* Stops a server, and fails the test under the name @row for its problems. */
size_t api_stop_server(struct http_server *server, const char *row);

#endif
