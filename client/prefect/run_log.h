/* Log lines of flow runs. Source: POST /logs/, Prefect 3.4.20 to 3.8.8. */
#ifndef PREFECT_RUN_LOG_H
#define PREFECT_RUN_LOG_H

#include "client/prefect/prefect.h"

/* Sends @lines, a JSON array of LogCreate (borrowed). A try whose answer was lost is repeated: a line
 * may then stand twice in the UI, which is better than a line that is missing. */
int run_log_send(struct prefect *prefect, json_t *lines, struct error *err) MUST_CHECK;

#endif
