/* One reminder for a question that nobody has answered when three quarters of its time are over: a line in the run's log, and an
 * event of the run, which the alert `reminder` (docs/alerts.md) goes by. The run's label says that it was given, so that it is given
 * once, whatever workers come and go.
 * Source: PATCH /flow_runs/{id}/labels, POST /events, Prefect 3.4.20 to 3.9.1. Thread rule: no state. */
#ifndef WORKER_REMINDER_H
#define WORKER_REMINDER_H

#include "worker/worker.h"

/* Set to the number of the question that was reminded of. */
#define LABEL_REMINDED "janitor.reminded"
#define REMINDER_EVENT "prefect-janitor.approval-reminder"

/* When to remind of a question that was asked at @asked_at and ends at @ends_at. */
time_us reminder_time(time_us asked_at, time_us ends_at);

/* The same of @run, Paused for question @number; 0 where it was reminded of, or has no end. */
time_us reminder_of_run(const struct flow_run *run, int number);

/* Reminds, where the run still waits for question @number. */
int reminder_give(struct worker *worker, struct prefect *prefect, const char *id, int number, struct error *err) MUST_CHECK;

#endif
