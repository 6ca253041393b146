/* Flows and deployments.
 * Source: /flows and /deployments, Prefect 3.4.20 to 3.9.1. Thread rule: none shared. */
#ifndef PREFECT_DEPLOYMENT_H
#define PREFECT_DEPLOYMENT_H

#include "client/prefect/flow_run.h"

struct flow {
	char id[UUID_SIZE];
	char *name; /* owned */
};

struct deployment {
	char id[UUID_SIZE];
	char flow_id[UUID_SIZE];
	char *name;            /* owned */
	json_t *job_variables; /* owned; may be NULL */
};

void flow_release(struct flow *flow);
void deployment_release(struct deployment *deployment);

/* GET /flows/{id}. */
int flow_read(struct prefect *prefect, const char *id, struct flow *ret_flow, struct error *err) MUST_CHECK;

/* POST /flows/: creates the flow or reads the one of that name. */
int flow_ensure(struct prefect *prefect, const char *name, struct flow *ret_flow, struct error *err) MUST_CHECK;

/* POST /flows/filter: one page of the flows that have runs which match @flow_runs (borrowed), from
 * @offset on, by name. @ret_flows is an array; release with flows_release(). */
int flow_filter(struct prefect *prefect, const json_t *flow_runs, int64_t offset, struct flow **ret_flows,
                size_t *ret_count, struct error *err) MUST_CHECK;
void flows_release(struct flow *flows, size_t count);

/* POST /flows/count, POST /deployments/count: those that have flow runs which match @flow_runs (FlowRunFilter). */
int flow_count(struct prefect *prefect, const json_t *flow_runs, int64_t *ret_count, struct error *err) MUST_CHECK;
int deployment_count(struct prefect *prefect, const json_t *flow_runs, int64_t *ret_count, struct error *err) MUST_CHECK;

/* GET /deployments/{id}. */
int deployment_read(struct prefect *prefect, const char *id, struct deployment *ret_deployment,
                    struct error *err) MUST_CHECK;

/* POST /deployments/filter: one page of the deployments that match @body (of filters; taken), as the server describes them:
 * an array of objects, a new reference. */
int deployment_filter(struct prefect *prefect, json_t *body, json_t **ret_deployments, struct error *err) MUST_CHECK;

/* POST /deployments/{id}/create_flow_run: a run that is scheduled for now. @body (DeploymentFlowRunCreate, with an
 * idempotency_key, so that it may be repeated) is taken. ERR_CONFLICT where the server refuses the parameters. */
int deployment_run(struct prefect *prefect, const char *id, json_t *body, struct flow_run *ret_run,
                   struct error *err) MUST_CHECK;

/* Would the server take @body (DeploymentCreate, borrowed; of any flow)? Changes nothing: it is sent for a work pool that does not
 * exist, which the server looks for after it has checked the body and before it does anything. ERR_INVALID where it is refused. */
int deployment_check(struct prefect *prefect, json_t *body, struct error *err) MUST_CHECK;

/* POST /deployments/: creates the deployment or, by flow and name, updates it; its schedules are replaced.
 * @body (DeploymentCreate) is taken. @ret_created may be NULL. */
int deployment_upsert(struct prefect *prefect, json_t *body, struct deployment *ret_deployment,
                      struct error *err) MUST_CHECK;

/* PATCH /deployments/{id}/schedules/{schedule}, 204. @body (DeploymentScheduleUpdate) is taken; without parameters in it the
 * schedule has none afterwards. */
int deployment_schedule_update(struct prefect *prefect, const char *id, const char *schedule, json_t *body,
                               struct error *err) MUST_CHECK;

/* POST /deployments/count: how many are in the work pool @pool. */
int deployment_count_in_pool(struct prefect *prefect, const char *pool, int64_t *ret_count, struct error *err) MUST_CHECK;

#endif
