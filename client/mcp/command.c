#include "client/mcp/command.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/base/text.h"

#define WORDS_MAX 256
#define WORD_BYTES_MAX (64 * 1024)

static const char spaces[] = " \t\r\n";

/* Reads one word at *@at, without its quotes, and moves on; false where a quote does not end. */
static bool read_word(const char **at, struct text *word)
{
	const char *s = *at;
	char quote = '\0';

	for (; *s != '\0' && (quote != '\0' || strchr(spaces, *s) == NULL); s++) {
		if (quote == '\0' && (*s == '\'' || *s == '"'))
			quote = *s;
		else if (quote != '\0' && *s == quote)
			quote = '\0';
		else if (*s == '\\' && quote != '\'' && s[1] != '\0')
			text_add(word, ++s, 1);
		else
			text_add(word, s, 1);
	}
	*at = s;
	return quote == '\0';
}

static int split(const char *line, char **argv, struct error *err)
{
	size_t count = 0;

	for (line += strspn(line, spaces); *line != '\0'; line += strspn(line, spaces)) {
		struct text word = {.max = WORD_BYTES_MAX};

		if (count == WORDS_MAX)
			return error_set(err, ERR_USAGE, "more than %d words", WORDS_MAX);
		if (!read_word(&line, &word)) {
			text_release(&word);
			return error_set(err, ERR_USAGE, "a quote does not end");
		}
		argv[count] = text_take(&word);
		if (argv[count++] == NULL)
			return error_set(err, ERR_USAGE, "a word of more than %d bytes", WORD_BYTES_MAX);
	}
	return count > 0 ? 0 : error_set(err, ERR_USAGE, "it is empty");
}

char *command_shown(const char *line)
{
	struct text shown = {.max = WORD_BYTES_MAX};

	line += strspn(line, spaces);
	if (!read_word(&line, &shown) || strchr(text_str(&shown), '=') != NULL) { /* no program's name */
		text_release(&shown);
		return text_dup("...");
	}
	if (line[strspn(line, spaces)] != '\0')
		text_addf(&shown, " ...");
	return text_take(&shown);
}

static int list_environment(const json_t *environment, char **envp, struct error *err)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)environment, name, value)
	{
		struct text pair = {.max = WORD_BYTES_MAX};

		if (*name == '\0' || strchr(name, '=') != NULL || !json_is_string(value))
			return error_set(err, ERR_USAGE, "'%s' can not be a variable of its environment", name);
		text_addf(&pair, "%s=%s", name, json_string_value(value));
		*envp = text_take(&pair);
		if (*envp++ == NULL)
			return error_set(err, ERR_USAGE, "the variable '%s' is too large for its environment", name);
	}
	return 0;
}

static bool is_program(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

static int find(const char *name, const char *folders, char **ret_path, struct error *err)
{
	if (strchr(name, '/') != NULL) {
		if (!is_program(name))
			return error_set(err, ERR_USAGE, "command not found: '%s' is no program that this user may run", name);
		*ret_path = text_dup(name);
		return *ret_path != NULL ? 0 : error_nomem(err);
	}

	for (const char *at = folders; *at != '\0'; at += strspn(at, ":")) {
		int len = (int)strcspn(at, ":");
		AUTO_TEXT path = {.max = WORD_BYTES_MAX};

		text_addf(&path, "%.*s/%s", len, at, name);
		at += len;
		if (path.failed)
			return error_nomem(err);
		if (!is_program(text_str(&path)))
			continue;
		*ret_path = text_take(&path);
		return *ret_path != NULL ? 0 : error_nomem(err);
	}
	return error_set(err, ERR_USAGE, "command not found: there is no '%s' in its PATH, which is '%s'", name, folders);
}

int command_make(const char *line, const json_t *environment, struct command *ret_command, struct error *err)
{
	const char *folders = json_string_value(json_object_get(environment, "PATH"));
	struct command command = {
		.argv = calloc(WORDS_MAX + 1, sizeof(char *)),
		.envp = calloc(json_object_size(environment) + 1, sizeof(char *)),
	};

	int rc = command.argv != NULL && command.envp != NULL ? 0 : error_nomem(err);
	if (rc == 0)
		rc = split(line, command.argv, err);
	if (rc == 0)
		rc = list_environment(environment, command.envp, err);
	if (rc == 0)
		rc = find(command.argv[0], folders != NULL ? folders : "/usr/local/bin:/usr/bin:/bin", &command.path, err);
	if (rc != 0)
		command_release(&command);
	else
		*ret_command = command;
	return rc;
}

static void free_list(char **list)
{
	for (char **item = list; item != NULL && *item != NULL; item++)
		free(*item);
	free(list);
}

void command_release(struct command *command)
{
	free_list(command->argv);
	free_list(command->envp);
	free(command->path);
	*command = (struct command){0};
}
