/* `prefect-janitor doctor`: is everything there that a cleanup needs? Looks, and changes nothing. */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/doctor.h"

#define INTRO                                                                                              \
	"Looks at everything that a cleanup needs: configuration, address, TLS, password, what the server can\n" \
	"do, clocks, the deployment with its parameters and schedule, the work pool, and who works for it. Each\n" \
	"line says ok, warn or fail, and what to do next. Nothing is changed on the server.\n"                   \
	"\n"                                                                                                  \
	"Usage: prefect-janitor doctor [--pool NAME] [--deployment NAME] [OPTIONS]\n"

#define OUTRO                                                                                         \
	"Without --pool it is the one of the deployment; without --deployment, each one there is.\n" \
	"Exit codes: 0 no line says fail (warn may), 1 one does, 2 wrong usage or configuration.\n"

static json_t *findings_json(const struct doctor *doctor)
{
	json_t *checks = json_array();

	for (size_t i = 0; i < doctor->count; i++) {
		const struct finding *f = &doctor->findings[i];
		json_t *check = json_pack("{s:s, s:s, s:s}", "check", f->name, "status", finding_word(f->status), "text", f->text);
		if (f->deployment[0] != '\0')
			(void)json_object_set_new(check, "deployment", json_string(f->deployment));
		if (f->next[0] != '\0')
			(void)json_object_set_new(check, "next", json_string(f->next));
		if (json_array_append_new(checks, check) != 0) {
			json_decref(checks);
			return NULL;
		}
	}
	return json_pack("{s:s, s:o}", "status", finding_word(doctor_verdict(doctor)), "checks", checks);
}

static const enum colour colours[] = {
	[FINDING_OK] = COLOUR_GREEN, [FINDING_WARN] = COLOUR_YELLOW, [FINDING_FAIL] = COLOUR_RED, [FINDING_SKIP] = COLOUR_DIM};

static void print_finding(const struct finding *finding, const struct style *style)
{
	enum colour colour = colours[finding->status];

	printf("%s%-4s%s  %-13s  %s\n", style_on(style, colour), finding_word(finding->status), style_off(style, colour),
	       finding->name, finding->text);
	if (finding->next[0] != '\0')
		printf("%21s-> %s\n", "", finding->next);
}

/* What was not looked at is said once: it is well or not as soon as the failures before it are put right. */
static void print_text(const struct doctor *doctor, const struct style *style)
{
	size_t counts[FINDING_SKIP + 1] = {0};
	const char *deployment = "";

	for (size_t i = 0; i < doctor->count; i++) {
		const char *of = doctor->findings[i].deployment;
		if (strcmp(of, deployment) != 0)
			printf("\ndeployment %s\n", of);
		deployment = of;
		if (doctor->findings[i].status != FINDING_SKIP)
			print_finding(&doctor->findings[i], style);
		counts[doctor->findings[i].status]++;
	}
	printf("\n%zu ok, %zu warn, %zu fail", counts[FINDING_OK], counts[FINDING_WARN], counts[FINDING_FAIL]);
	if (counts[FINDING_SKIP] > 0)
		printf("; %zu not looked at, because of what failed", counts[FINDING_SKIP]);
	printf("\n");
}

static int run(struct session *session, struct error *err)
{
	struct doctor doctor = {.settings = session->settings, .prefect = session->prefect, .clock = session->clock};
	int rc = 0;

	doctor_examine(&doctor);
	if (session->settings->output == OUTPUT_JSON)
		rc = command_print_json(findings_json(&doctor), err);
	else
		print_text(&doctor, &session->style);
	session->exit_code = doctor_verdict(&doctor) == FINDING_FAIL ? EXIT_FAILED : EXIT_DONE;
	doctor_release(&doctor);
	return rc;
}

int command_doctor(int argc, char **argv)
{
	return command_client(&(struct client_command){.name = "doctor", .bit = COMMAND_DOCTOR, .intro = INTRO, .outro = OUTRO, .run = run},
	                      argc, argv);
}
