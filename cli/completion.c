#include "cli/completion.h"

#include <string.h>

#include "cli/commands.h"
#include "client/base/log.h"
#include "worker/settings.h"

/* The server is asked for the runs that wait; one that is away is not waited for. */
#define PENDING_NAMES "timeout 3 \"${COMP_WORDS[0]}\" pending --quiet 2>/dev/null"
#define PENDING_NAMES_ZSH "${(f)\"$(timeout 3 prefect-janitor pending --quiet 2>/dev/null)\"}"

static bool takes_run(const char *command)
{
	return strcmp(command, "show") == 0 || strcmp(command, "approve") == 0 || strcmp(command, "reject") == 0;
}

static const char *const log_levels[] = {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", NULL};
static const char *const shells[] = {"bash", "zsh", NULL};

const char *const *completion_words(const char *command)
{
	return strcmp(command, "completion") == 0 ? shells : NULL;
}

/* The words that a value can be, up to NULL; NULL where it can be anything. */
static const char *const *value_words(const struct option *row)
{
	return row->kind == OPTION_CHOICE ? row->choices : row->kind == OPTION_LEVEL ? log_levels : NULL;
}

static bool takes_file(const struct option *row)
{
	return strcmp(row->placeholder, "FILE") == 0;
}

static bool is_option_of(const struct option *row, const struct command *command)
{
	return row->flag != NULL && (row->commands & command->bit) != 0;
}

static void add_words(struct text *out, const char *const *words)
{
	for (size_t i = 0; words != NULL && words[i] != NULL; i++)
		text_addf(out, "%s%s", i > 0 ? " " : "", words[i]);
}

static void add_command_names(struct text *out)
{
	for (size_t i = 0; i < command_count; i++)
		text_addf(out, "%s%s", i > 0 ? " " : "", commands[i].name);
}

static void add_each(struct text *out, void (*add)(struct text *out, const struct command *command))
{
	for (size_t i = 0; i < command_count; i++)
		add(out, &commands[i]);
}

/* --- bash ------------------------------------------------------------------------------------------------------ */

static void bash_add_words(struct text *out, const struct command *command)
{
	text_addf(out, "\t%s) words='", command->name);
	if (strcmp(command->name, "help") == 0)
		add_command_names(out);
	else
		add_words(out, completion_words(command->name));
	text_addf(out, "' options='--help");
	for (size_t i = 0; i < settings_option_count; i++)
		if (is_option_of(&settings_options[i], command))
			text_addf(out, " --%s", settings_options[i].flag);
	text_addf(out, "' ;;\n");
}

/* What follows an option: the pattern is "COMMAND OPTION". */
static void bash_add_values(struct text *out, const struct command *command)
{
	for (size_t i = 0; i < settings_option_count; i++) {
		const struct option *row = &settings_options[i];

		if (!is_option_of(row, command) || row->kind == OPTION_SWITCH)
			continue;
		text_addf(out, "\t'%s --%s'", command->name, row->flag);
		if (row->letter != 0)
			text_addf(out, "|'%s -%c'", command->name, row->letter);
		if (!takes_file(row) && value_words(row) == NULL) {
			text_addf(out, ") return ;;\n");
		} else if (takes_file(row)) {
			text_addf(out, ") compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- \"$current\"); return ;;\n");
		} else {
			text_addf(out, ") mapfile -t COMPREPLY < <(compgen -W '");
			add_words(out, value_words(row));
			text_addf(out, "' -- \"$current\"); return ;;\n");
		}
	}
}

void completion_bash(struct text *out)
{
	text_addf(out, "# bash completion for prefect-janitor; made by: prefect-janitor completion bash\n"
	               "_prefect_janitor()\n"
	               "{\n"
	               "\tlocal current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]}\n"
	               "\tlocal words='' options=''\n"
	               "\n"
	               "\tCOMPREPLY=()\n"
	               "\t# --option=value comes as three words\n"
	               "\tif [[ $current == '=' ]]; then\n"
	               "\t\tcurrent=''\n"
	               "\telif [[ $before == '=' ]]; then\n"
	               "\t\tbefore=${COMP_WORDS[COMP_CWORD - 2]}\n"
	               "\tfi\n"
	               "\tif ((COMP_CWORD == 1)); then\n"
	               "\t\tmapfile -t COMPREPLY < <(compgen -W '");
	add_command_names(out);
	text_addf(out, " --help --version' -- \"$current\")\n"
	               "\t\treturn\n"
	               "\tfi\n"
	               "\tcase \"$command $before\" in\n");
	add_each(out, bash_add_values);
	text_addf(out, "\tesac\n"
	               "\tcase $command in\n");
	add_each(out, bash_add_words);
	text_addf(out, "\tesac\n"
	               "\tif [[ $command == @(show|approve|reject) && $current != -* ]]; then\n"
	               "\t\twords=$(" PENDING_NAMES ")\n"
	               "\tfi\n"
	               "\tif [[ $current == -* || -z $words ]]; then\n"
	               "\t\twords=$options\n"
	               "\tfi\n"
	               "\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
	               "}\n"
	               "complete -F _prefect_janitor prefect-janitor\n");
}

/* --- zsh ------------------------------------------------------------------------------------------------------- */

/* @help inside of '...[...]...': what would end the quotes, the brackets or a part of the specification. */
static void zsh_add_help(struct text *out, const char *help)
{
	for (; *help != '\0'; help++) {
		if (*help == '\'')
			text_addf(out, "'\\''");
		else if (strchr("[]:\\", *help) != NULL)
			text_addf(out, "\\%c", *help);
		else
			text_add(out, help, 1);
	}
}

static void zsh_add_option(struct text *out, const struct option *row)
{
	bool value = row->kind != OPTION_SWITCH;

	text_addf(out, "\t\t\t");
	if (row->kind == OPTION_LIST)
		text_addf(out, "'*'");
	else if (row->letter != 0)
		text_addf(out, "'(-%c --%s)'", row->letter, row->flag);
	if (row->letter != 0)
		text_addf(out, "{-%c%s,--%s%s}", row->letter, value ? "+" : "", row->flag, value ? "=" : "");
	else
		text_addf(out, "--%s%s", row->flag, value ? "=" : "");
	text_addf(out, "'[");
	zsh_add_help(out, row->help);
	text_addf(out, "]");
	if (value) {
		const char *const *words = value_words(row);

		text_addf(out, ":");
		zsh_add_help(out, row->placeholder);
		text_addf(out, ":");
		if (takes_file(row))
			text_addf(out, "_files");
		if (words != NULL) {
			text_addf(out, "(");
			add_words(out, words);
			text_addf(out, ")");
		}
	}
	text_addf(out, "' \\\n");
}

static void zsh_add_command(struct text *out, const struct command *command)
{
	const char *const *words = completion_words(command->name);

	text_addf(out, "\t%s)\n\t\t_arguments -S : \\\n", command->name);
	for (size_t i = 0; i < settings_option_count; i++)
		if (is_option_of(&settings_options[i], command))
			zsh_add_option(out, &settings_options[i]);
	if (words != NULL || strcmp(command->name, "help") == 0) {
		text_addf(out, "\t\t\t'1:word:(");
		if (words != NULL)
			add_words(out, words);
		else
			add_command_names(out);
		text_addf(out, ")' \\\n");
	}
	if (takes_run(command->name))
		text_addf(out, "\t\t\t'%s:run:{ local -a runs; runs=(" PENDING_NAMES_ZSH "); compadd -a runs }' \\\n",
		          strcmp(command->name, "reject") == 0 ? "*" : "1");
	text_addf(out, "\t\t\t'(-h --help)'{-h,--help}'[the options of this command]' ;;\n");
}

void completion_zsh(struct text *out)
{
	text_addf(out, "#compdef prefect-janitor\n"
	               "# zsh completion for prefect-janitor; made by: prefect-janitor completion zsh\n"
	               "_prefect_janitor()\n"
	               "{\n"
	               "\tlocal -a commands\n"
	               "\tcommands=(\n");
	for (size_t i = 0; i < command_count; i++) {
		text_addf(out, "\t\t'%s:", commands[i].name);
		zsh_add_help(out, commands[i].help);
		text_addf(out, "'\n");
	}
	text_addf(out, "\t)\n"
	               "\tif ((CURRENT == 2)); then\n"
	               "\t\t_describe -t commands command commands\n"
	               "\t\treturn\n"
	               "\tfi\n"
	               "\tlocal command=$words[2]\n"
	               "\tshift words\n"
	               "\t((CURRENT--))\n"
	               "\tcase $command in\n");
	add_each(out, zsh_add_command);
	text_addf(out, "\tesac\n"
	               "}\n"
	               "# from a folder of fpath it is the function itself, else it is sourced\n"
	               "if [[ $funcstack[1] == _prefect-janitor ]]; then\n"
	               "\t_prefect_janitor \"$@\"\n"
	               "else\n"
	               "\tcompdef _prefect_janitor prefect-janitor\n"
	               "fi\n");
}
