#include "cli/follow.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cleanup_run.h"
#include "cli/markdown.h"
#include "client/base/log.h"
#include "client/prefect/artifact.h"
#include "client/prefect/run_log.h"
#include "flows/database_cleanup/progress.h"
#include "worker/question.h"
#include "worker/trouble.h"

#define LOOK_EVERY_MS 1000
/* Log lines reach the server up to a second after the state that they belong to. */
#define LAST_LOOKS 3
#define LAST_LOOK_EVERY_MS 700
#define BAR_CELLS 24
#define MESSAGE_MAX (256 * 1024)
/* Under a time of the day. */
#define INDENT "              "

struct follower {
	struct session *session;
	const char *id;
	bool quiet;        /* --output json */
	bool bar;          /* one is drawn on the current line */
	time_us states_since; /* the latest state that was told */
	time_us logs_since;
	json_t *logs_seen; /* owned: ids of the lines of that moment */
	struct trouble trouble;
};

/* --- what is printed ---------------------------------------------------------------------------------- */

static void clear_bar(struct follower *follower)
{
	if (follower->bar)
		printf("\r%*s\r", follower->session->style.width - 1, "");
	follower->bar = false;
}

static void print_time(const struct follower *follower, time_us t)
{
	const struct style *style = &follower->session->style;
	char text[TIME_TEXT_SIZE];

	/* 2026-11-21 06:34:21 UTC: the day is known to who follows */
	printf("%s%.12s%s  ", style_on(style, COLOUR_DIM), time_format_human(t, text) + 11, style_off(style, COLOUR_DIM));
}

/* One line is made harmless; several are a preview, in Markdown. */
static void print_message(const struct follower *follower, const char *message)
{
	AUTO_TEXT text = {.max = MESSAGE_MAX};
	size_t len = strlen(message);

	if (strchr(message, '\n') != NULL) {
		if (markdown_write(message, &follower->session->style, &text, NULL) == 0)
			printf("%s", text_str(&text));
		return;
	}
	AUTO_FREE char *line = malloc(len + 1);
	if (line == NULL)
		return;
	text_clean(line, len + 1, message, len);
	printf("%s\n", line);
}

static void tell_question(struct follower *follower, const struct state *state)
{
	const char *timeout = json_string_value(json_object_get(state->details, "pause_timeout"));
	time_us deadline;
	char when[WHEN_SIZE];

	if (question_in_state(state) == 0)
		return;
	printf(INDENT "It waits for a decision");
	if (timeout != NULL && time_parse(timeout, &deadline))
		printf(" until %s", when_format(deadline, when));
	printf(": prefect-janitor approve %s, or reject\n", follower->id);
}

static void tell_state(struct follower *follower, const struct state *state)
{
	const struct style *style = &follower->session->style;
	enum colour colour = style_state((enum state_type)state->type);
	const char *message = state->message != NULL ? state->message : "";
	char name[JSON_LABEL_SIZE];

	text_clean(name, sizeof name, state->name, strlen(state->name));
	clear_bar(follower);
	print_time(follower, state->timestamp);
	printf("%s%s%s%s", style_on(style, colour), name, style_off(style, colour), *message != '\0' ? ": " : "\n");
	if (*message != '\0')
		print_message(follower, message);
	tell_question(follower, state);
	if (strcmp(state->name, "Late") == 0)
		printf(INDENT "No worker has taken it: is one running? prefect-janitor start\n");
}

static void tell_log(struct follower *follower, const json_t *line, time_us t)
{
	const struct style *style = &follower->session->style;
	json_int_t level = json_integer_value(json_object_get(line, "level"));
	const char *message = json_string_value(json_object_get(line, "message"));
	enum colour colour = level >= LOG_LEVEL_ERROR ? COLOUR_RED : level >= LOG_LEVEL_WARNING ? COLOUR_YELLOW : COLOUR_NONE;

	clear_bar(follower);
	print_time(follower, t);
	printf("%s", style_on(style, colour));
	print_message(follower, message != NULL ? message : "");
	printf("%s", style_off(style, colour));
}

/* --- what is new ---------------------------------------------------------------------------------------- */

static int by_time(const void *a, const void *b)
{
	time_us x = ((const struct state *)a)->timestamp;
	time_us y = ((const struct state *)b)->timestamp;

	return x < y ? -1 : x > y;
}

/* Takes note of a line; false where it was told before. */
static bool is_new(struct follower *follower, const json_t *line, time_us t)
{
	const char *id = json_string_value(json_object_get(line, "id"));

	if (id == NULL || t < follower->logs_since || json_object_get(follower->logs_seen, id) != NULL)
		return false;
	if (t > follower->logs_since) {
		follower->logs_since = t;
		(void)json_object_clear(follower->logs_seen);
	}
	(void)json_object_set_new(follower->logs_seen, id, json_true());
	return true;
}

/* The log repeats the message of the state that it ends with. */
static bool repeats_state(const struct state *states, size_t count, const json_t *line)
{
	const char *message = json_string_value(json_object_get(line, "message"));
	AUTO_TEXT words = {.max = MESSAGE_MAX};

	if (count == 0 || message == NULL || states[count - 1].message == NULL)
		return false;
	text_addf(&words, "%s: %s", states[count - 1].name, states[count - 1].message);
	return strcmp(message, text_str(&words)) == 0;
}

/* The states before @t that were not told. */
static void tell_states(struct follower *follower, const struct state *states, size_t count, time_us t)
{
	for (size_t i = 0; i < count && states[i].timestamp <= t; i++) {
		if (states[i].timestamp <= follower->states_since)
			continue;
		follower->states_since = states[i].timestamp;
		if (!follower->quiet)
			tell_state(follower, &states[i]);
	}
}

/* A page of the log, and between its lines the states, in the order of their times. *ret_more: there may be another. */
static int tell_page(struct follower *follower, const struct state *states, size_t count, bool *ret_more, struct error *err)
{
	AUTO_JSON *lines = NULL;
	time_us before = follower->logs_since;
	size_t i;
	json_t *line;

	int rc = run_log_read(follower->session->prefect, follower->id, follower->logs_since, &lines, err);
	if (rc != 0)
		return rc;
	json_array_foreach(lines, i, line)
	{
		const char *timestamp = json_string_value(json_object_get(line, "timestamp"));
		time_us t;
		if (timestamp == NULL || !time_parse(timestamp, &t) || !is_new(follower, line, t))
			continue;
		tell_states(follower, states, count, t);
		if (!repeats_state(states, count, line))
			tell_log(follower, line, t);
	}
	/* A full page of one moment: there is no way past it. */
	*ret_more = json_array_size(lines) == PREFECT_PAGE_MAX && follower->logs_since > before;
	return 0;
}

/* Tells what is new; *ret_type is the type of the latest state. */
static int tell_news(struct follower *follower, enum state_type *ret_type, struct error *err)
{
	struct state *states;
	size_t count;
	bool more = !follower->quiet;

	int rc = state_history(follower->session->prefect, follower->id, &states, &count, err);
	if (rc != 0)
		return rc;
	qsort(states, count, sizeof *states, by_time);
	while (rc == 0 && more)
		rc = tell_page(follower, states, count, &more, err);
	if (rc == 0)
		tell_states(follower, states, count, TIME_MAX_US);
	*ret_type = count > 0 ? (enum state_type)states[count - 1].type : STATE_UNKNOWN;
	states_release(states, count);
	return rc != 0 || count > 0 ? rc : error_set(err, ERR_NOT_FOUND, "flow run %s was deleted", follower->id);
}

/* --- progress ------------------------------------------------------------------------------------------- */

static void draw_bar(struct follower *follower, double percent, const char *description)
{
	const struct style *style = &follower->session->style;
	int full = (int)(percent / 100 * BAR_CELLS);
	AUTO_TEXT plain = {.max = 4096};
	char cells[BAR_CELLS + 1];

	if (percent < 0 || percent > 100 || markdown_write(description, &(struct style){0}, &plain, NULL) != 0)
		return;
	for (int i = 0; i < BAR_CELLS; i++)
		cells[i] = i < full ? '#' : '.';
	cells[BAR_CELLS] = '\0';
	size_t len = strcspn(text_str(&plain), "\n");
	int room = style->width - BAR_CELLS - 11;
	size_t fits = room > 0 ? text_fit(text_str(&plain), room) : 0;
	clear_bar(follower);
	printf("%s[%s]%s %3.0f %%  %.*s", style_on(style, COLOUR_GREEN), cells, style_off(style, COLOUR_GREEN), percent,
	       (int)(fits < len ? fits : len), text_str(&plain));
	follower->bar = true;
}

static int tell_progress(struct follower *follower, struct error *err)
{
	struct artifact *found;
	size_t count;

	if (follower->quiet || !follower->session->style.terminal)
		return 0;
	int rc = artifact_of_run(follower->session->prefect, follower->id, PROGRESS_ARTIFACT_KEY, 1, &found, &count, err);
	if (rc != 0)
		return rc;
	if (count > 0 && json_is_number(found[0].data))
		draw_bar(follower, json_number_value(found[0].data), found[0].description != NULL ? found[0].description : "");
	artifacts_release(found, count);
	return 0;
}

/* --- to the end ----------------------------------------------------------------------------------------- */

static int look(struct follower *follower, enum state_type *ret_type, struct error *err)
{
	int rc = tell_news(follower, ret_type, err);

	if (rc == 0 && *ret_type == STATE_RUNNING)
		rc = tell_progress(follower, err);
	(void)fflush(stdout);
	return rc;
}

/* Waits out an outage: the run goes on without us. */
static bool wait_out(struct follower *follower, const struct error *err)
{
	if (!trouble_is_passing(err))
		return false;
	if (trouble_note(&follower->trouble, err)) {
		clear_bar(follower);
		(void)fflush(stdout);
		fprintf(stderr, "the run cannot be followed now, trying again: %s\n", err->text);
	}
	(void)stop_wait(NULL, trouble_wait_ms(&follower->trouble, err));
	return true;
}

static int follow_to_end(struct follower *follower, struct error *err)
{
	int looks = 0;

	do {
		enum state_type type = STATE_UNKNOWN;
		int64_t lasted_ms;
		int rc = look(follower, &type, err);

		if (rc != 0) {
			if (!wait_out(follower, err))
				return rc;
			continue;
		}
		(void)trouble_over(&follower->trouble, &lasted_ms);
		looks = state_type_is_terminal(type) ? looks + 1 : 0;
		if (looks < LAST_LOOKS && !(follower->quiet && looks > 0))
			(void)stop_wait(NULL, looks > 0 ? LAST_LOOK_EVERY_MS : LOOK_EVERY_MS);
	} while (looks < LAST_LOOKS && !(follower->quiet && looks > 0));
	return 0;
}

static int exit_code_of(const struct flow_run *run)
{
	const char *status = json_string_value(json_object_get(json_object_get(run->state, "data"), "status"));

	switch (run->state_type) {
	case STATE_COMPLETED:
		return status != NULL && strcmp(status, "rejected") == 0 ? EXIT_REJECTED : EXIT_DONE;
	case STATE_CANCELLED:
		return EXIT_CANCELLED;
	case STATE_FAILED:
		return flow_run_pause_expired(run) ? EXIT_EXPIRED : EXIT_FAILED;
	default:
		return EXIT_FAILED;
	}
}

/* How it ended, for scripts and as the exit code. */
static int conclude(struct follower *follower, int *ret_exit, struct error *err)
{
	struct session *session = follower->session;
	struct flow_run run;
	struct cleanup_run ended;
	int rc;

	while ((rc = flow_run_read(session->prefect, follower->id, &run, err)) != 0)
		if (!wait_out(follower, err))
			return rc;
	*ret_exit = exit_code_of(&run);
	rc = cleanup_run_from(&run, &ended, err);
	if (rc != 0)
		return rc;
	if (follower->quiet) {
		json_t *json = cleanup_run_json(session, &ended);
		json_t *result = json_object_get(ended.run.state, "data");
		(void)json_object_set(json, "result", result != NULL ? result : json_null());
		(void)json_object_set_new(json, "exit_code", json_integer(*ret_exit));
		rc = command_print_json(json, err);
	}
	cleanup_run_release(&ended);
	return rc;
}

/* A first Ctrl-C ends the following, not the run. */
static void interrupted(int number)
{
	static const char words[] = "\nNot followed any longer; the run goes on.\n";

	(void)number;
	(void)!write(STDERR_FILENO, words, sizeof words - 1);
	_exit(EXIT_FAILED);
}

int follow_run(struct session *session, const char *id, time_us since, int *ret_exit, struct error *err)
{
	struct follower follower = {
		.session = session,
		.id = id,
		.quiet = session->settings->output == OUTPUT_JSON,
		.states_since = since,
		.logs_since = since,
		.logs_seen = json_object(),
	};

	if (follower.logs_seen == NULL)
		return error_nomem(err);
	(void)signal(SIGINT, interrupted);
	int rc = follow_to_end(&follower, err);
	if (rc == 0)
		rc = conclude(&follower, ret_exit, err);
	clear_bar(&follower);
	(void)signal(SIGINT, SIG_DFL);
	json_decref(follower.logs_seen);
	return rc;
}
