/* A session with a child process: a scripted one, which does all that a server should not do. */
#include "client/mcp/mcp.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/base/clock.h"
#include "client/base/text.h"
#include "tests/unit/client/mcp/scripted_child.h"
#include "tests/unit/unit.h"

#define CALL "< \"tools/call\"\n"

/* A session with a script: the child's environment is the script and PATH. */
struct session {
	struct mcp_settings settings;
	json_t *environment;
	struct mcp *mcp;
	struct error err;
};

static int open_session(struct session *s, const char *script)
{
	s->environment = json_pack("{s:s, s:s}", CHILD_SCRIPT, script, "PATH", "/usr/bin:/bin");
	s->settings.environment = s->environment;
	if (s->settings.command == NULL)
		s->settings.command = scripted_child_command();
	if (s->settings.start_timeout_ms == 0)
		s->settings.start_timeout_ms = 100000;
	if (s->settings.call_timeout_ms == 0)
		s->settings.call_timeout_ms = 100000;
	return mcp_open(&s->settings, &s->mcp, &s->err);
}

static void close_session(struct session *s)
{
	mcp_close(s->mcp);
	json_decref(s->environment);
	*s = (struct session){0};
}

/* Calls a tool; the text of its result, which the caller frees, or NULL. */
static char *call(struct session *s, const char *row, int want)
{
	struct mcp_result result = {0};

	if (CHECK_RC(row, mcp_call_tool(s->mcp, "look", NULL, &result, &s->err), want, &s->err) && want == 0) {
		char *text = result.text;
		result.text = NULL;
		mcp_result_release(&result);
		return text;
	}
	return NULL;
}

/* Opens a session, calls a tool, and closes it. */
static void play(const char *row, const char *script, const char *want)
{
	struct session s = {0};

	if (CHECK_RC(row, open_session(&s, script), 0, &s.err)) {
		AUTO_FREE char *text = call(&s, row, 0);
		CHECK_STR(row, text, want);
	}
	close_session(&s);
}

static void reads_answers_among_all_else(void)
{
	static const struct {
		const char *name;
		const char *script;
	} rows[] = {
		{"as it should be", HELLO CALL "> " TOOL_RESULT(2, "yes")},
		{"a slow start", "w300\n" HELLO CALL "> " TOOL_RESULT(2, "yes")},
		{"noise before the handshake", "> Welcome!\n>  \n! a banner\n" HELLO CALL "> " TOOL_RESULT(2, "yes")},
		{"noise before the answer", HELLO CALL "g1000\n> " TOOL_RESULT(2, "yes")},
		{"another one's answers", HELLO CALL "> " TOOL_RESULT(7, "no") "\n> " TOOL_RESULT("2", "no") "\n> "
		 TOOL_RESULT(1, "no") "\n> " TOOL_RESULT(2.5, "no") "\n> " TOOL_RESULT(2, "yes")},
		{"notifications", HELLO CALL "> {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{\"level\":\"info\"}}\n"
		 "> {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n> " TOOL_RESULT(2, "yes")},
		{"a ping, answered before the call is", HELLO CALL "> {\"jsonrpc\":\"2.0\",\"id\":\"p1\",\"method\":\"ping\"}\n"
		 "< {\"jsonrpc\":\"2.0\",\"id\":\"p1\",\"result\":{}}\n> " TOOL_RESULT(2, "yes")},
		{"a request with our id", HELLO CALL "> {\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"sampling/createMessage\"}\n"
		 "< \"code\":-32601\n> " TOOL_RESULT(2, "yes")},
		{"errors about lines that it could not read", HELLO CALL
		 "> {\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32700,\"message\":\"Parse error\"}}\n> " TOOL_RESULT(2, "yes")},
		{"a line that ends as on Windows", HELLO CALL "> " TOOL_RESULT(2, "yes") "\r"},
		{"a flood on stderr", HELLO CALL "e4096\n> " TOOL_RESULT(2, "yes") "\ne4096"},
		{"a large line", HELLO CALL "> {\"jsonrpc\":\"2.0\",\"method\":\"n\"}\nl9000\n> " TOOL_RESULT(2, "yes")},
		{"it ends with its answer", HELLO CALL "> " TOOL_RESULT(2, "yes") "\nx0"},
	};

	EACH(row, rows)
		play(row->name, row->script, "yes");
}

static void tells_why_a_session_does_not_start(void)
{
	static const struct {
		const char *name;
		const char *command; /* NULL: the scripted child */
		const char *script;
		int64_t timeout_ms;
		int rc;
		const char *text;
	} rows[] = {
		{"no such command", "no-such-command --x", "", 0, ERR_USAGE, "command not found: there is no 'no-such-command' in its PATH"},
		{"no such file", "/nowhere/server", "", 0, ERR_USAGE, "command not found: '/nowhere/server'"},
		{"no program", "/etc/passwd", "", 0, ERR_USAGE, "command not found: '/etc/passwd'"},
		{"empty", "  ", "", 0, ERR_USAGE, "it is empty"},
		{"a quote", "sh -c 'exit", "", 0, ERR_USAGE, "a quote does not end"},
		{"exits at once", NULL, "x3", 0, ERR_TRANSPORT, "it ended with exit status 3"},
		{"exits with words", NULL, "! first\n! ModuleNotFoundError: fastmcp\nx1", 0, ERR_TRANSPORT,
		 "exit status 1; its last words: 'ModuleNotFoundError: fastmcp'"},
		{"dies of a signal", NULL, "k9", 0, ERR_TRANSPORT, "it was ended by signal 9"},
		{"noise and exit", NULL, "> usage: server\nx2", 0, ERR_TRANSPORT, "it wrote to stdout: 'usage: server'"},
		{"closes its output", NULL, "c\nh", 0, ERR_TRANSPORT, "it closed its output before it answered: it still runs"},
		{"silent", NULL, "! thinking\nh", 200, ERR_BUSY, "no answer within 200 ms: it still runs"},
		{"noise alone", NULL, "! no\n> no protocol\nh", 3000, ERR_BUSY, "it wrote to stdout: 'no protocol'"},
		{"endless noise", NULL, "g1001\nh", 0, ERR_TRANSPORT, "too many lines of its output are no messages"},
		{"a line that is too long", NULL, "l10300\nh", 0, ERR_TRANSPORT, "a line of more than 10 MiB"},
		{"refused", NULL, "> {\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32602,\"message\":\"bad version\"}}", 0,
		 ERR_INVALID, "bad version (code -32602)"},
		{"another version", NULL, "> {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"protocolVersion\":\"1999-01-01\"}}", 0,
		 ERR_DECODE, "version '1999-01-01'"},
		{"no version", NULL, "> {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}", 0, ERR_DECODE, "'protocolVersion'"},
		{"neither result nor error", NULL, "> {\"jsonrpc\":\"2.0\",\"id\":1}", 0, ERR_DECODE, "neither result nor error"},
		{"it does not read", NULL, "< \"initialize\"\ni\n> " HELLO_ANSWER "\nh", 0, ERR_TRANSPORT, "it takes no more input"},
	};

	EACH(row, rows)
	{
		struct session s = {.settings = {.command = row->command, .start_timeout_ms = row->timeout_ms}};

		CHECK_RC(row->name, open_session(&s, row->script), row->rc, &s.err);
		CHECK_HAS(row->name, s.err.text, row->text);
		CHECK_HAS(row->name, s.err.text, "PREFECT_JANITOR_AI_MCP_COMMAND");
		close_session(&s);
	}
}

static void tells_why_a_call_fails(void)
{
	static const struct {
		const char *name;
		const char *script;
		int rc;
		const char *text;
	} rows[] = {
		{"refused", HELLO CALL "> {\"jsonrpc\":\"2.0\",\"id\":2,\"error\":{\"code\":0,\"message\":\"Request cancelled\"}}", ERR_INVALID,
		 "tool 'look': Request cancelled (code 0)"},
		{"closed in the middle", HELLO CALL "c\n! Killed\nx4", ERR_TRANSPORT, "exit status 4; its last words: 'Killed'"},
		{"half an answer", HELLO CALL "- {\"jsonrpc\":\"2.0\",\"id\":2,\n! bye\nx5", ERR_TRANSPORT, "exit status 5; its last words: 'bye'"},
		{"dead before the call", HELLO "x6", ERR_TRANSPORT, "exit status 6"},
		{"a result of a wrong type", HELLO CALL "> {\"jsonrpc\":\"2.0\",\"id\":2,\"result\":[]}", ERR_DECODE, "not an object"},
		{"a result without content", HELLO CALL "> {\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}}", ERR_DECODE, "'content'"},
		{"an endless line", HELLO CALL "l10300\nh", ERR_TRANSPORT, "a line of more than 10 MiB"},
	};

	EACH(row, rows)
	{
		struct session s = {0};

		if (CHECK_RC(row->name, open_session(&s, row->script), 0, &s.err)) {
			(void)call(&s, row->name, row->rc);
			CHECK_HAS(row->name, s.err.text, row->text);
			if (row->rc == ERR_TRANSPORT) {
				(void)call(&s, row->name, ERR_TRANSPORT);
				CHECK_HAS(row->name, s.err.text, "the session is over");
			}
		}
		close_session(&s);
	}
}

/* The late answer must not be taken for the next one's, and the server is told. */
static void goes_on_after_a_late_answer(void)
{
	struct session s = {.settings = {.call_timeout_ms = 50}};
	const char *script = HELLO CALL "< \"notifications/cancelled\",\"params\":{\"requestId\":2,\n" CALL "> " TOOL_RESULT(3, "in time")
	                     "\n> " TOOL_RESULT(2, "late") "\n" CALL "> " TOOL_RESULT(4, "again");
	if (CHECK_RC("late", open_session(&s, script), 0, &s.err)) {
		(void)call(&s, "first", ERR_BUSY);
		CHECK_HAS("first", s.err.text, "no answer within 50 ms");
		s.settings.call_timeout_ms = 100000;
		AUTO_FREE char *second = call(&s, "second", 0);
		CHECK_STR("second", second, "in time");
		AUTO_FREE char *third = call(&s, "third", 0);
		CHECK_STR("third", third, "again");
	}
	close_session(&s);
}

/* How many processes of the group are there, zombies not counted. */
static int count_group(int group)
{
	DIR *proc = opendir("/proc");
	int count = 0;

	for (struct dirent *entry = readdir(proc); entry != NULL; entry = readdir(proc)) {
		char path[300];
		char stat[512] = "";
		char state = 'Z';
		int parent;
		int of = 0;

		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		(void)snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
		FILE *file = fopen(path, "r");
		if (file == NULL)
			continue;
		const char *end = fgets(stat, sizeof stat, file) != NULL ? strrchr(stat, ')') : NULL;
		(void)fclose(file);
		if (end != NULL && sscanf(end + 1, " %c %d %d", &state, &parent, &of) == 3)
			count += of == group && state != 'Z';
	}
	(void)closedir(proc);
	return count;
}

static void leaves_no_process_behind(void)
{
	static const struct {
		const char *name;
		const char *script;
		int members;
		int64_t least_ms; /* how long the end takes */
	} rows[] = {
		{"it ends with its input", HELLO CALL "p", 1, 0},
		{"it ends, its child does not", HELLO "f\n" CALL "p", 2, 0},
		{"it hangs", HELLO "f\n" CALL "p\nh", 2, 2000},
		{"it is deaf", HELLO "t\nf\n" CALL "p\nh", 2, 4000},
	};

	EACH(row, rows)
	{
		struct session s = {0};
		int pids[2] = {0};

		if (CHECK_RC(row->name, open_session(&s, row->script), 0, &s.err)) {
			AUTO_FREE char *text = call(&s, row->name, 0);
			CHECK_INT(row->name, text != NULL ? sscanf(text, "%d %d", &pids[0], &pids[1]) : 0, 2);
			CHECK_INT(row->name, count_group(pids[0]), row->members);
		}
		int64_t started = clock_mono_ms();
		close_session(&s);
		CHECK(row->name, clock_mono_ms() - started >= row->least_ms);
		CHECK_INT(row->name, pids[0] != 0 ? count_group(pids[0]) : -1, 0);
	}
}

/* What it gets is what was given: no key of ours, no signal state, no descriptor. */
static void gives_nothing_away(void)
{
	int leaked = open("/dev/null", O_RDONLY); /* as a library would open it */
	struct sigaction before;
	sigset_t mask;

	(void)setenv("ANTHROPIC_API_KEY", "sk-topsecret", 1);
	(void)sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, &before);
	(void)sigemptyset(&mask);
	(void)sigaddset(&mask, SIGTERM);
	(void)pthread_sigmask(SIG_BLOCK, &mask, NULL);

	play("environment", HELLO CALL "v", "PATH=/usr/bin:/bin\n");
	play("state", HELLO CALL "s", "blocked 0 ignored 0 descriptors 3 own group 1");

	(void)pthread_sigmask(SIG_UNBLOCK, &mask, NULL);
	(void)sigaction(SIGPIPE, &before, NULL);
	(void)unsetenv("ANTHROPIC_API_KEY");
	(void)close(leaked);
}

static void refuses_a_broken_environment(void)
{
	static const char *const rows[] = {"{\"A\": 5}", "{\"A=B\": \"c\"}", "{\"\": \"c\"}"};

	EACH(row, rows)
	{
		AUTO_JSON *environment = unit_json(*row);
		struct mcp_settings settings = {.command = "true", .environment = environment, .start_timeout_ms = 1000};
		struct mcp *mcp;
		struct error err;

		CHECK_RC(*row, mcp_open(&settings, &mcp, &err), ERR_USAGE, &err);
		CHECK_HAS(*row, err.text, "can not be a variable");
	}
}

static void *ask_soon(void *arg)
{
	(void)stop_wait(NULL, 100);
	stop_ask(arg);
	return NULL;
}

static void ends_with_the_process(void)
{
	struct stop stop;
	pthread_t thread;
	struct session s = {.settings = {.stop = &stop}};

	stop_init(&stop);
	if (CHECK_RC("stop", open_session(&s, HELLO CALL "h"), 0, &s.err) &&
	    CHECK_INT("stop", pthread_create(&thread, NULL, ask_soon, &stop), 0)) {
		int64_t started = clock_mono_ms();
		(void)call(&s, "stop", ERR_STOPPED);
		CHECK("stop", clock_mono_ms() - started < 50000);
		(void)pthread_join(thread, NULL);
	}
	close_session(&s);
	stop_done(&stop);
}

static void lists_tools_of_all_pages(void)
{
	struct session s = {0};
	struct mcp_tool *tools;
	size_t count;
	const char *script = HELLO
		"< \"tools/list\"\n> {\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{\"tools\":[{\"name\":\"a\",\"inputSchema\":{\"type\":\"object\"},"
		"\"annotations\":{\"readOnlyHint\":true}}],\"nextCursor\":\"c1\"}}\n"
		"< \"c1\"\n> {\"jsonrpc\":\"2.0\",\"id\":3,\"result\":{\"tools\":[{\"name\":\"b\",\"description\":\"B\",\"inputSchema\":{}}]}}";

	if (CHECK_RC("open", open_session(&s, script), 0, &s.err) &&
	    CHECK_RC("list", mcp_list_tools(s.mcp, &tools, &count, &s.err), 0, &s.err)) {
		if (CHECK_INT("count", count, 2)) {
			CHECK_STR("first", tools[0].name, "a");
			CHECK("first", tools[0].read_only);
			CHECK_JSON("first", tools[0].input_schema, "{\"type\": \"object\"}");
			CHECK_STR("second", tools[1].description, "B");
			CHECK("second", !tools[1].read_only);
		}
		mcp_tools_free(tools, count);
	}
	close_session(&s);
}

static void does_not_list_without_end(void)
{
	struct session s = {0};
	struct text script = {.max = 100000};
	struct mcp_tool *tools;
	size_t count;

	text_addf(&script, HELLO);
	for (int id = 2; id < 60; id++)
		text_addf(&script, "< \"tools/list\"\n> {\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":{\"tools\":[],\"nextCursor\":\"x\"}}\n", id);
	if (CHECK_RC("open", open_session(&s, text_str(&script)), 0, &s.err)) {
		CHECK_RC("list", mcp_list_tools(s.mcp, &tools, &count, &s.err), ERR_DECODE, &s.err);
		CHECK_HAS("list", s.err.text, "more than 50 pages");
	}
	close_session(&s);
	text_release(&script);
}

/* More than any pipe holds, to a server that does not read yet and first has much to say. */
static void sends_large_arguments(void)
{
	enum { SIZE = 3000000 };
	struct session s = {0};
	char *much = malloc(SIZE);
	json_t *arguments = json_pack("{s:o}", "text", json_stringn(memset(much, 'y', SIZE), SIZE));
	struct mcp_result result;

	if (CHECK_RC("open", open_session(&s, HELLO "e1024\nl1024\n" CALL "> " TOOL_RESULT(2, "one")), 0, &s.err) &&
	    CHECK_RC("call", mcp_call_tool(s.mcp, "t", arguments, &result, &s.err), 0, &s.err)) {
		CHECK_STR("call", result.text, "one");
		mcp_result_release(&result);
	}
	close_session(&s);
	json_decref(arguments);
	free(much);
}

static void cuts_a_huge_result(void)
{
	struct session s = {0};
	struct mcp_result result;

	if (CHECK_RC("open", open_session(&s, HELLO CALL "r5000000"), 0, &s.err) &&
	    CHECK_RC("call", mcp_call_tool(s.mcp, "t", NULL, &result, &s.err), 0, &s.err)) {
		CHECK("cut", result.cut && strlen(result.text) <= MCP_RESULT_MAX && strlen(result.text) > MCP_RESULT_MAX - 100);
		CHECK_HAS("cut", result.text + MCP_RESULT_MAX - 200, "of 5000000 bytes are left out]");
		mcp_result_release(&result);
	}
	close_session(&s);
}

UNIT_SUITE("client/mcp/stdio", TEST(reads_answers_among_all_else), TEST(tells_why_a_session_does_not_start),
           TEST(tells_why_a_call_fails), TEST(goes_on_after_a_late_answer), TEST(leaves_no_process_behind),
           TEST(gives_nothing_away), TEST(refuses_a_broken_environment), TEST(ends_with_the_process),
           TEST(lists_tools_of_all_pages), TEST(does_not_list_without_end), TEST(sends_large_arguments),
           TEST(cuts_a_huge_result))
