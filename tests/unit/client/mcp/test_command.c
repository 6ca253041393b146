/* A command line as a setting holds it: split as a shell would split it, and nothing more. */
#include "client/mcp/command.h"

#include <string.h>

#include "client/base/text.h"
#include "tests/unit/unit.h"

static void splits_words(void)
{
	static const struct {
		const char *line;
		const char *words; /* each in brackets */
	} rows[] = {
		{"sh", "[sh]"},
		{"  sh\t-c  a\n", "[sh][-c][a]"},
		{"sh 'a b' \"c d\"", "[sh][a b][c d]"},
		{"sh a' 'b\"\"c", "[sh][a bc]"},
		{"sh '' \"\"", "[sh][][]"},
		{"sh a\\ b \\'c \\\\", "[sh][a b]['c][\\]"},
		{"sh 'a\\b' \"a\\\"b\"", "[sh][a\\b][a\"b]"},
		{"sh \"it's\" 'say \"x\"'", "[sh][it's][say \"x\"]"},
		{"sh $HOME * ; | > `x` a\\", "[sh][$HOME][*][;][|][>][`x`][a\\]"},
		{"sh ä", "[sh][ä]"},
	};
	AUTO_JSON *environment = unit_json("{\"PATH\": \"/usr/bin:/bin\"}");

	EACH(row, rows)
	{
		struct command command;
		struct error err;
		AUTO_TEXT words = {.max = 1000};

		if (!CHECK_RC(row->line, command_make(row->line, environment, &command, &err), 0, &err))
			continue;
		for (char **word = command.argv; *word != NULL; word++)
			text_addf(&words, "[%s]", *word);
		CHECK_STR(row->line, text_str(&words), row->words);
		command_release(&command);
	}
}

static void finds_the_program(void)
{
	static const struct {
		const char *name;
		const char *line;
		const char *environment;
		const char *path; /* NULL: not found */
	} rows[] = {
		{"in the PATH", "env", "{\"PATH\": \"/nowhere::/usr/bin\"}", "/usr/bin/env"},
		{"in ours, not in the child's", "env", "{\"PATH\": \"/nowhere\"}", NULL},
		{"an empty PATH", "env", "{\"PATH\": \"\"}", NULL},
		{"no PATH", "env", "{}", "/usr/bin/env"},
		{"a whole path", "/usr/bin/env x", "{\"PATH\": \"\"}", "/usr/bin/env"},
		{"a folder", "/usr/bin", "{}", NULL},
		{"a folder in the PATH", "bin", "{\"PATH\": \"/usr\"}", NULL},
	};

	EACH(row, rows)
	{
		AUTO_JSON *environment = unit_json(row->environment);
		struct command command = {0};
		struct error err;

		CHECK_RC(row->name, command_make(row->line, environment, &command, &err), row->path != NULL ? 0 : ERR_USAGE, &err);
		CHECK_STR(row->name, command.path, row->path);
		command_release(&command);
	}
}

static void shows_only_the_program(void)
{
	static const struct {
		const char *line;
		const char *want;
	} rows[] = {
		{"uvx", "uvx"},
		{" uvx --from prefect-mcp prefect-mcp-server", "uvx ..."},
		{"/opt/mcp/server --api-key s3cr3t", "/opt/mcp/server ..."},
		{"'/opt/my tools/mcp' x", "/opt/my tools/mcp ..."},
		{"uvx ", "uvx"},
		{"\"uvx s3cr3t", "..."},
		{"KEY=s3cr3t uvx", "..."},
		{"", ""},
	};

	EACH(row, rows)
	{
		AUTO_FREE char *shown = command_shown(row->line);

		CHECK_STR(row->line, shown, row->want);
	}
}

UNIT_SUITE("client/mcp/command", TEST(splits_words), TEST(finds_the_program), TEST(shows_only_the_program))
