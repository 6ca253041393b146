/* `prefect-janitor approve RUN` and `reject RUN`: answer a run's question as the form in the UI does. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "cli/follow.h"
#include "cli/question_view.h"
#include "cli/who.h"
#include "worker/approval_form.h"

#define APPROVE_INTRO                                                                                     \
	"Approves what a run of database-cleanup would delete: shows it, asks, and answers the run's question\n" \
	"as the form in the UI does. What was deleted cannot be restored.\n"                                     \
	"\n"                                                                                                     \
	"Usage: prefect-janitor approve RUN [--notes TEXT] [--digest DIGEST] [--yes] [--wait] [OPTIONS]\n"

#define REJECT_INTRO                                                                                     \
	"Rejects what a run of database-cleanup would delete: shows it, asks, and answers the run's question\n" \
	"as the form in the UI does. The run ends, and nothing is deleted.\n"                                   \
	"\n"                                                                                                    \
	"Usage: prefect-janitor reject RUN... | --all [--pool NAME] [--notes TEXT] [--digest DIGEST] [--yes] [--wait] [OPTIONS]\n"

#define OUTRO                                                                                            \
	"The notes are kept with the run, and who decided (user@host). Without a terminal --yes is needed;\n" \
	"--digest makes sure that the plan is the one that was looked at (prefect-janitor show RUN).\n"       \
	"\n"                                                                                                  \
	"Exit codes: 0 decided, 1 failed, or the question here was not answered by y; 2 wrong usage, or a run that\n" \
	"cannot be decided (none of ours, decided already, expired, not asked yet, another plan): nothing changed.\n" \
	"With --wait 0 means also that it ended as decided; 1 failed, 3 rejected, 4 cancelled.\n"

/* The flow keeps 4000 bytes. */
#define NOTES_MAX 3500
#define DIGEST_PREFIX "sha256:"
#define DIGEST_LEAST 8

/* --- what was given ------------------------------------------------------------------------------------- */

/* The digits alone. */
static int read_digest(const char *given, const char **ret_digits, struct error *err)
{
	const char *digits = strncmp(given, DIGEST_PREFIX, sizeof DIGEST_PREFIX - 1) == 0 ? given + sizeof DIGEST_PREFIX - 1 : given;
	size_t len = strlen(digits);

	if (len < DIGEST_LEAST || len >= DIGEST_SIZE || strspn(digits, "0123456789abcdefABCDEF") != len)
		return error_set(err, ERR_USAGE, "--digest: '%.80s' is not %d to %d hexadecimal digits; prefect-janitor show RUN "
		                 "prints the plan's", given, DIGEST_LEAST, DIGEST_SIZE - 1);
	*ret_digits = digits;
	return 0;
}

static int check_usage(const struct settings *settings, bool approve, struct error *err)
{
	const char *digits;
	size_t named = json_array_size(settings->runs);

	if (!approve && (named > 0) == settings->all)
		return error_set(err, ERR_USAGE, named > 0 ? "RUN and --all: only one of them at a time"
		                                           : "RUN is missing: name, id or the first digits of an id; or --all");
	if (!approve && (named > 1 || settings->all) && (settings->digest != NULL || settings->wait))
		return error_set(err, ERR_USAGE, "%s: for one run at a time", settings->wait ? "--wait" : "--digest");
	int rc = settings->digest != NULL ? read_digest(settings->digest, &digits, err) : 0;

	if (rc != 0)
		return rc;
	if (settings->notes != NULL && strlen(settings->notes) > NOTES_MAX)
		return error_set(err, ERR_USAGE, "--notes: %zu bytes; %d at most are kept", strlen(settings->notes), NOTES_MAX);
	if (!settings->yes && settings->output == OUTPUT_JSON)
		return error_set(err, ERR_USAGE, "--yes is missing: with --output json nobody is asked");
	if (!settings->yes && (isatty(STDIN_FILENO) != 1 || isatty(STDOUT_FILENO) != 1))
		return error_set(err, ERR_USAGE, "--yes is missing: there is no terminal to ask at");
	return 0;
}

/* --- what it is about ------------------------------------------------------------------------------------ */

struct matter {
	struct cleanup_run run;
	struct plan plan;
	char *description;
};

static void matter_release(struct matter *matter)
{
	cleanup_run_release(&matter->run);
	plan_release(&matter->plan);
	free(matter->description);
	*matter = (struct matter){0};
}

/* A run has its form a moment after it is Paused, and its schema last: before that the server takes no answer. */
#define FORM_WAIT_MS 10000
#define FORM_LOOK_EVERY_MS 200

static int wait_for_form(struct session *session, const struct cleanup_run *run, struct error *err)
{
	int64_t until_ms = clock_mono_ms() + FORM_WAIT_MS;
	uint64_t print = 0;

	for (;;) {
		int rc = approval_form_stored(session->prefect, run->run.id, &(struct question){.number = run->question}, &print, err);
		if (rc != 0 || print != 0)
			return rc;
		if (clock_mono_ms() >= until_ms)
			return error_set(err, ERR_USAGE, "'%s' has no form, so that the server takes no answer: a running worker of its work pool "
			                 "puts it there within a minute (prefect-janitor doctor tells whether there is one)", run->run.name);
		(void)stop_wait(NULL, FORM_LOOK_EVERY_MS);
	}
}

static int check_plan(const struct settings *settings, const struct matter *matter, struct error *err)
{
	const char *digits;

	if (settings->digest != NULL) {
		int rc = read_digest(settings->digest, &digits, err);
		if (rc != 0)
			return rc;
		if (strncasecmp(digits, matter->plan.digest, strlen(digits)) != 0)
			return error_set(err, ERR_USAGE, "--digest: the plan of '%s' is %s, not '%.70s': it is not the one that was shown; "
			                 "look at it again with prefect-janitor show", matter->run.run.name, matter->plan.digest, digits);
	}
	if (matter->description == NULL || strstr(matter->description, matter->plan.digest) == NULL)
		return error_set(err, ERR_USAGE, "'%s' shows another plan than it has stored: it cannot be decided; cancel it and "
		                 "start a new one", matter->run.run.name);
	return 0;
}

/* The run, and what it would delete; only where it can be decided now. */
static int read_matter(struct session *session, const char *id_or_name, struct matter *ret_matter, struct error *err)
{
	struct matter matter = {0};

	int rc = cleanup_run_find(session, id_or_name, &matter.run, err);
	if (rc != 0)
		return rc;
	rc = cleanup_run_check_open(session, &matter.run, err);
	if (rc == 0)
		rc = wait_for_form(session, &matter.run, err);
	if (rc == 0)
		rc = cleanup_run_read(session, &matter.run, &matter.plan, &matter.description, err);
	if (rc == 0)
		rc = check_plan(session->settings, &matter, err);
	if (rc != 0) {
		matter_release(&matter);
		return rc;
	}
	*ret_matter = matter;
	return 0;
}

/* Right before the answer: is it still the question that was shown? */
static int check_again(struct session *session, const struct matter *shown, struct error *err)
{
	struct matter now;

	int rc = read_matter(session, shown->run.run.id, &now, err);
	if (rc != 0)
		return rc;
	if (now.run.question != shown->run.question || strcmp(now.plan.digest, shown->plan.digest) != 0)
		rc = error_set(err, ERR_USAGE, "'%s' has asked again meanwhile: its plan is not the one that was shown; look at it "
		               "again", shown->run.run.name);
	matter_release(&now);
	return rc;
}

/* --- the decision ---------------------------------------------------------------------------------------- */

/* Reads the answer: a plain "y" or "yes", and nothing else. */
static bool is_yes(void)
{
	char answer[16];

	if (fgets(answer, sizeof answer, stdin) == NULL) {
		printf("\n");
		return false;
	}
	answer[strcspn(answer, "\n")] = '\0';
	return strcasecmp(answer, "y") == 0 || strcasecmp(answer, "yes") == 0;
}

static int ask(struct session *session, const struct matter *matter, bool approve, bool *ret_yes, struct error *err)
{
	int rc = question_view(session, &matter->run, matter->description, stdout, err);
	if (rc != 0)
		return rc;
	if (!approve)
		printf("\nReject it? Nothing is deleted then. [y/N] ");
	else if (matter->plan.dry_run)
		printf("\nApprove this dry run? Nothing is deleted. [y/N] ");
	else
		printf("\nDelete these %" PRId64 " flow runs? They cannot be restored. [y/N] ", matter->plan.total);
	(void)fflush(stdout);
	*ret_yes = is_yes();
	if (!*ret_yes)
		printf("Nothing was decided, nothing changed.\n");
	return 0;
}

/* The answer to the form, with who decided at the end of the notes. */
static json_t *make_input(const struct settings *settings, const struct plan *plan, bool approve)
{
	AUTO_TEXT notes = {.max = NOTES_MAX + WHO_SIZE + 40};
	char who[WHO_SIZE];

	/* "approved: " or the like stands before it wherever it is shown. */
	if (settings->notes != NULL)
		text_addf(&notes, "%s (%s, prefect-janitor %s)", settings->notes, who_am_i(who), approve ? "approve" : "reject");
	else
		text_addf(&notes, "%s, with prefect-janitor %s", who_am_i(who), approve ? "approve" : "reject");
	/* The form of version 0.1 has no field for it. */
	return json_pack("{s:b, s:s, s:s*}", "approve", approve, "notes", text_str(&notes), "plan",
	                 plan->version > 1 ? plan->digest : NULL);
}

/* Was a refusal caused by an earlier try of our own, whose answer was lost? Then our words are what is stored. */
static bool is_ours(struct session *session, const struct matter *matter, const json_t *input)
{
	AUTO_JSON *stored = NULL;

	return cleanup_run_answer(session, &matter->run, &stored, NULL) == 0 && json_equal(stored, input);
}

static int submit(struct session *session, const struct matter *matter, const json_t *input, struct error *err)
{
	struct state_answer answer;
	const char *name = matter->run.run.name;

	int rc = state_resume(session->prefect, matter->run.run.id, input, &answer, err);
	if (rc == ERR_NOT_FOUND)
		return error_set(err, rc, "'%s' was deleted meanwhile: nothing to decide", name);
	if (rc == ERR_AUTH || rc == ERR_INVALID || rc == ERR_NO_ROUTE)
		return error_prefix(err, rc, "'%s' was not decided", name);
	if (rc != 0)
		return error_prefix(err, rc, "it is not known whether '%s' was decided, see prefect-janitor show", name);
	if (answer.status != STATE_ACCEPT && !is_ours(session, matter, input))
		rc = error_set(err, ERR_CONFLICT, "the server did not take the decision on '%s': %s", name,
		               answer.reason != NULL ? answer.reason : "no reason given");
	state_answer_release(&answer);
	return rc;
}

static int report(struct session *session, const struct matter *matter, const json_t *input, bool approve, time_us since,
                  struct error *err)
{
	const struct settings *settings = session->settings;
	AUTO_FREE char *page = cleanup_run_page(session, matter->run.run.id);

	if (settings->output == OUTPUT_JSON && !settings->wait)
		return command_print_json(json_pack("{s:s, s:s, s:s, s:O, s:s, s:I, s:s}", "id", matter->run.run.id, "name",
		                                    matter->run.run.name, "decision", approve ? "approved" : "rejected", "notes",
		                                    json_object_get(input, "notes"), "digest", matter->plan.digest, "total",
		                                    (json_int_t)matter->plan.total, "page", page != NULL ? page : ""), err);
	if (settings->output == OUTPUT_TEXT) {
		const struct style *style = &session->style;
		enum colour colour = approve ? COLOUR_GREEN : COLOUR_YELLOW;
		printf("%s%s%s: %s ", style_on(style, colour), approve ? "Approved" : "Rejected", style_off(style, colour),
		       matter->run.run.name);
		if (!approve || matter->plan.dry_run)
			printf("ends, and nothing is deleted\n");
		else
			printf("deletes %" PRId64 " flow runs (plan %.12s)\n", matter->plan.total, matter->plan.digest);
		printf("page: %s\n", page != NULL ? page : "");
	}
	if (!settings->wait)
		return 0;
	int rc = follow_run(session, matter->run.run.id, since, &session->exit_code, err);
	if (rc == 0 && !approve && session->exit_code == EXIT_REJECTED)
		session->exit_code = EXIT_DONE;
	return rc;
}

static int decide_matter(struct session *session, const struct matter *matter, bool approve, struct error *err)
{
	const struct settings *settings = session->settings;
	AUTO_JSON *input = make_input(settings, &matter->plan, approve);
	time_us since = matter->run.state.timestamp;
	bool yes = settings->yes;
	int rc = 0;

	if (input == NULL)
		return error_nomem(err);
	if (!yes) {
		rc = ask(session, matter, approve, &yes, err);
		if (rc == 0 && !yes)
			session->exit_code = EXIT_FAILED;
	} else if (settings->output == OUTPUT_TEXT) {
		rc = question_view(session, &matter->run, matter->description, stdout, err);
		printf("\n");
	}
	if (rc != 0 || !yes)
		return rc;
	rc = check_again(session, matter, err);
	if (rc == 0)
		rc = submit(session, matter, input, err);
	return rc != 0 ? rc : report(session, matter, input, approve, since, err);
}

static int decide_run(struct session *session, const char *id_or_name, bool approve, struct error *err)
{
	struct matter matter;

	int rc = read_matter(session, id_or_name, &matter, err);
	if (rc != 0)
		return rc;
	rc = decide_matter(session, &matter, approve, err);
	matter_release(&matter);
	return rc;
}

static int note_id(struct session *session, const struct cleanup_run *run, void *arg, struct error *err)
{
	(void)session;
	return json_array_append_new(arg, json_string(run->run.id)) == 0 ? 0 : error_nomem(err);
}

/* Each by itself. One that cannot be decided does not hold up the others; the first error is the command's. */
static int reject_each(struct session *session, const json_t *runs, struct error *err)
{
	int first = 0;
	size_t i;
	json_t *run;

	json_array_foreach(runs, i, run)
	{
		struct error one = {0};

		if (i > 0 && session->settings->output == OUTPUT_TEXT)
			printf("\n");
		int rc = decide_run(session, json_string_value(run), /* approve= */ false, &one);
		if (rc == 0)
			continue;
		if (first == 0) {
			*err = one;
			first = rc;
		} else {
			(void)command_error("reject", &one);
		}
	}
	return first;
}

static int decide(struct session *session, bool approve, struct error *err)
{
	const struct settings *settings = session->settings;
	AUTO_JSON *open = json_array();

	int rc = open != NULL ? check_usage(settings, approve, err) : error_nomem(err);
	if (rc != 0)
		return rc;
	if (approve)
		return decide_run(session, settings->run, approve, err);
	if (!settings->all)
		return reject_each(session, settings->runs, err);
	rc = cleanup_run_for_each_open(session, settings->pool, note_id, open, err);
	if (rc == 0 && json_array_size(open) == 0 && settings->output == OUTPUT_TEXT)
		printf("No run waits for a decision.\n");
	return rc != 0 ? rc : reject_each(session, open, err);
}

static int run_approve(struct session *session, struct error *err)
{
	return decide(session, true, err);
}

static int run_reject(struct session *session, struct error *err)
{
	return decide(session, false, err);
}

int command_approve(int argc, char **argv)
{
	return command_client(
		&(struct client_command){
			.name = "approve", .bit = COMMAND_APPROVE, .intro = APPROVE_INTRO, .outro = OUTRO, .run = run_approve}, argc, argv);
}

int command_reject(int argc, char **argv)
{
	return command_client(
		&(struct client_command){
			.name = "reject", .bit = COMMAND_REJECT, .intro = REJECT_INTRO, .outro = OUTRO, .run = run_reject}, argc, argv);
}
