/* Alerts: Prefect's own automations, made by `deploy --notify-webhook` or `--notify-block`, tell people that a cleanup of this
 * deployment waits for an approval, that one failed, and that none succeeded for days. What each one says and when is
 * in cli/alerts/NAME.json. Thread rule: main thread only. */
#ifndef CLI_ALERTS_H
#define CLI_ALERTS_H

#include <stdio.h>

#include "client/prefect/deployment.h"
#include "worker/settings.h"

/* Does the block that the settings name exist, and does it send anything? Changes nothing. ERR_USAGE: it does not. */
int alerts_check(struct prefect *prefect, const struct settings *settings, struct error *err) MUST_CHECK;

/* Makes the server's alerts for @deployment what the settings say, and writes a line for each to @out; does nothing where they say
 * nothing of alerts. Safe to repeat. ERR_USAGE: the block does not exist or does not notify. */
int alerts_deploy(struct prefect *prefect, const struct settings *settings, const struct deployment *deployment, FILE *out,
                  struct error *err) MUST_CHECK;

#endif
