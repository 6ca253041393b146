#include "cli/manual.h"

#include <string.h>

#include "cli/commands.h"
#include "worker/settings.h"

/* @text as roff reads it: no character of it is a request, an escape or a hyphen to break at. */
static void add_roff(struct text *out, const char *text, size_t len)
{
	if (len > 0 && (*text == '.' || *text == '\''))
		text_addf(out, "\\&");
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\\')
			text_addf(out, "\\e");
		else if (text[i] == '-')
			text_addf(out, "\\-");
		else
			text_add(out, text + i, 1);
	}
}

static void add_word(struct text *out, const char *font, const char *word)
{
	text_addf(out, "\\f%s", font);
	add_roff(out, word, strlen(word));
	text_addf(out, "\\fR");
}

/* "A whole number from 1 to 1000." */
static void add_kind(struct text *out, const struct option *row)
{
	switch (row->kind) {
	case OPTION_TEXT:
		break;
	case OPTION_INTEGER:
		text_addf(out, "A whole number from %.0f to %.0f.\n", row->min, row->max);
		break;
	case OPTION_NUMBER:
		text_addf(out, "A number from %g to %g.\n", row->min, row->max);
		break;
	case OPTION_SECONDS:
		text_addf(out, "Seconds, from %g to %.0f.\n", row->min, row->max);
		break;
	case OPTION_SWITCH:
		text_addf(out, "%s", row->flag == NULL || row->file_key != NULL ? "True or false.\n" : "");
		break;
	case OPTION_AUTO:
		text_addf(out, "Auto, true or false.\n");
		break;
	case OPTION_LIST:
		text_addf(out, "May be given several times; in the file a list of text.\n");
		break;
	case OPTION_LEVEL:
		break;
	case OPTION_CHOICE:
		text_addf(out, "One of");
		for (size_t i = 0; row->choices[i] != NULL; i++) {
			text_addf(out, "%s ", i > 0 ? "," : "");
			add_word(out, "B", row->choices[i]);
		}
		text_addf(out, ".\n");
		break;
	}
}

/* The commands that have it: of a setting of the file those of all rows that read it. */
static unsigned commands_of(const struct option *row, const char *name)
{
	unsigned all = row->commands;

	for (size_t i = 0; i < settings_option_count; i++) {
		const char *key = settings_options[i].file_key;
		if (key != NULL && strcmp(key, name) == 0)
			all |= settings_options[i].commands;
	}
	return all;
}

static void add_commands_of(struct text *out, unsigned bits)
{
	size_t shown = 0;

	for (size_t i = 0; i < command_count; i++) {
		if ((commands[i].bit & bits) == 0)
			continue;
		text_addf(out, "%s", shown++ > 0 ? ", " : "");
		add_word(out, "B", commands[i].name);
	}
}

static void add_label(struct text *out, const char *label, const char *word)
{
	if (word == NULL)
		return;
	text_addf(out, "%s ", label);
	add_word(out, "B", word);
	text_addf(out, ".\n");
}

/* The paragraph below an entry's name; without what the name says already. */
static void add_entry(struct text *out, const struct option *row, const char *name)
{
	char flag[64] = "";

	if (row->flag != NULL)
		(void)snprintf(flag, sizeof flag, "--%s", row->flag);
	text_addf(out, "\n");
	add_roff(out, row->help, strlen(row->help));
	text_addf(out, ".\n");
	add_kind(out, row);
	if (row->required)
		text_addf(out, "Required.\n");
	add_label(out, "Default:", row->fallback);
	add_label(out, "Option:", *flag != '\0' && strcmp(flag, name) != 0 ? flag : NULL);
	add_label(out, "Environment:", row->env != NULL && strcmp(row->env, name) != 0 ? row->env : NULL);
	add_label(out, "File:", row->file_key != NULL && strcmp(row->file_key, name) != 0 ? row->file_key : NULL);
	if (row->secret)
		text_addf(out, "Secret: never shown, and not on the command line.\n");
}

/* The same, where no heading says whose it is. */
static void add_entry_of(struct text *out, const struct option *row, const char *name)
{
	add_entry(out, row, name);
	text_addf(out, "Of ");
	add_commands_of(out, commands_of(row, name));
	text_addf(out, ".\n");
}

static void add_commands(struct text *out)
{
	for (size_t i = 0; i < command_count; i++) {
		text_addf(out, ".TP\n");
		add_word(out, "B", commands[i].name);
		text_addf(out, "\n");
		add_roff(out, commands[i].help, strlen(commands[i].help));
		text_addf(out, "\n");
	}
}

static bool is_on_command_line(const struct option *row)
{
	return row->flag != NULL || row->argument;
}

static void add_option(struct text *out, const struct option *row)
{
	char flag[64];

	text_addf(out, ".TP\n");
	if (row->argument) {
		add_word(out, "I", row->placeholder);
		add_entry(out, row, row->placeholder);
		return;
	}
	(void)snprintf(flag, sizeof flag, "--%s", row->flag);
	if (row->letter != 0)
		text_addf(out, "\\fB\\-%c\\fR, ", row->letter);
	add_word(out, "B", flag);
	if (row->kind != OPTION_SWITCH) {
		text_addf(out, " ");
		add_word(out, "I", row->placeholder);
	}
	add_entry(out, row, flag);
}

/* Those that the same commands have, below a heading that names them: an option of one name is another one elsewhere. */
static void add_options_of(struct text *out, size_t first)
{
	unsigned bits = settings_options[first].commands;

	for (size_t i = 0; i < first; i++)
		if (is_on_command_line(&settings_options[i]) && settings_options[i].commands == bits)
			return; /* shown there */
	text_addf(out, ".SS ");
	add_commands_of(out, bits);
	text_addf(out, "\n");
	for (size_t i = first; i < settings_option_count; i++)
		if (is_on_command_line(&settings_options[i]) && settings_options[i].commands == bits)
			add_option(out, &settings_options[i]);
}

static void add_options(struct text *out)
{
	for (size_t i = 0; i < settings_option_count; i++)
		if (is_on_command_line(&settings_options[i]))
			add_options_of(out, i);
}

static void add_environment(struct text *out)
{
	for (size_t i = 0; i < settings_option_count; i++) {
		const struct option *row = &settings_options[i];

		if (row->env == NULL)
			continue;
		text_addf(out, ".TP\n");
		add_word(out, "B", row->env);
		add_entry_of(out, row, row->env);
	}
}

/* Where several rows read the same setting: the one of the command that it was made for. */
static bool is_shown(const struct option *row)
{
	for (size_t i = 0; i < settings_option_count; i++) {
		const struct option *other = &settings_options[i];
		bool same = other->file_key != NULL && strcmp(other->file_key, row->file_key) == 0;

		if (same && (other->commands & (COMMAND_START | COMMAND_DEPLOY)) != 0)
			return other == row;
	}
	return true;
}

static void add_group(struct text *out, const char *group, size_t len)
{
	text_addf(out, ".SS ");
	text_add(out, group, len);
	text_addf(out, "\n");
	for (size_t i = 0; i < settings_option_count; i++) {
		const struct option *row = &settings_options[i];

		if (row->file_key == NULL || strncmp(row->file_key, group, len) != 0 || row->file_key[len] != '.' || !is_shown(row))
			continue;
		text_addf(out, ".TP\n");
		add_word(out, "B", row->file_key);
		add_entry_of(out, row, row->file_key);
	}
}

/* Does an earlier row belong to the same group of the file? */
static bool is_seen(size_t row)
{
	const char *key = settings_options[row].file_key;
	size_t group = strcspn(key, ".") + 1;

	for (size_t i = 0; i < row; i++)
		if (settings_options[i].file_key != NULL && strncmp(settings_options[i].file_key, key, group) == 0)
			return true;
	return false;
}

static void add_settings(struct text *out)
{
	for (size_t i = 0; i < settings_option_count; i++)
		if (settings_options[i].file_key != NULL && !is_seen(i))
			add_group(out, settings_options[i].file_key, strcspn(settings_options[i].file_key, "."));
}

/* A line of the frame, with the version in it. */
static void add_line(struct text *out, const char *line, size_t len)
{
	static const char version[] = "@VERSION@";
	const char *at = memmem(line, len, version, sizeof version - 1);
	size_t before = at != NULL ? (size_t)(at - line) : len;

	text_add(out, line, before);
	if (at != NULL) {
		text_addf(out, "%s", JANITOR_VERSION);
		text_add(out, at + sizeof version - 1, len - before - (sizeof version - 1));
	}
	text_addf(out, "\n");
}

int manual_render(const char *frame, struct text *out, struct error *err)
{
	static const struct {
		const char *word;
		void (*add)(struct text *out);
	} words[] = {
		{"@COMMANDS@", add_commands},
		{"@OPTIONS@", add_options},
		{"@ENVIRONMENT@", add_environment},
		{"@SETTINGS@", add_settings},
	};

	while (*frame != '\0') {
		size_t len = strcspn(frame, "\n");
		size_t i = 0;

		while (i < sizeof words / sizeof words[0] &&
		       (len != strlen(words[i].word) || memcmp(frame, words[i].word, len) != 0))
			i++;
		if (i < sizeof words / sizeof words[0])
			words[i].add(out);
		else if (len > 0 && *frame == '@')
			return error_set(err, ERR_USAGE, "the frame of a man page has an unknown word: %.*s", (int)(len < 80 ? len : 80), frame);
		else
			add_line(out, frame, len);
		frame += len + (frame[len] == '\n');
	}
	return 0;
}
