/* An MCP server on stdin and stdout that does what a script says: the test program itself, started once more with the
 * script in its environment, under CHILD_SCRIPT. One step a line:
 *
 *   < TEXT    reads one line, which has to contain TEXT; else it says so and ends with status 9
 *   > TEXT    writes the line TEXT               ! TEXT    the same to stderr
 *   - TEXT    writes TEXT, without an end of line
 *   xN        ends with status N                 kN        sends itself the signal N
 *   wN        waits N milliseconds               h         does nothing any more
 *   c         closes its stdout                  i         closes its stdin
 *   t         is deaf to SIGTERM                 f         forks a child that is deaf to SIGTERM, and hangs
 *   gN        N lines that are no messages       eN        N KiB to stderr
 *   lN        a line of N KiB                    rN        answers request 2 with a text of N bytes
 *   p         answers request 2 with its process id and that of its child
 *   v         answers request 2 with its environment, one variable a line, without the script
 *   s         answers request 2 with its blocked and ignored signals, its open descriptors and its group */
#ifndef TESTS_UNIT_CLIENT_MCP_SCRIPTED_CHILD_H
#define TESTS_UNIT_CLIENT_MCP_SCRIPTED_CHILD_H

#define CHILD_SCRIPT "CHILD_SCRIPT"

/* The first steps of nearly every script; the requests after it have the ids 2, 3, ... */
#define HELLO_ANSWER "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"protocolVersion\":\"2025-06-18\",\"capabilities\":{\"tools\":{}}," \
	"\"serverInfo\":{\"name\":\"scripted\",\"version\":\"1\"}}}"
#define HELLO "< \"initialize\"\n> " HELLO_ANSWER "\n< \"notifications/initialized\"\n"

/* A result of tools/call. */
#define TOOL_RESULT(id, text) "{\"jsonrpc\":\"2.0\",\"id\":" #id ",\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"" text "\"}]}}"

/* The command line that starts it; borrowed, for good. */
const char *scripted_child_command(void);

#endif
