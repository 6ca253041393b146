/* .env as python-dotenv reads it: what the rows want is what dotenv_values() of 1.2 returns. */
#include "client/base/dotenv.h"

#include <stdlib.h>
#include <string.h>

#include "client/base/text.h"
#include "tests/unit/unit.h"

static void reads_lines(void)
{
	static const struct {
		const char *name, *text, *want;
		unsigned bad_line;
	} rows[] = {
		{"nothing", "", "{}", 0},
		{"a name", "A=b\n", "{\"A\":\"b\"}", 0},
		{"blanks", "  A = b c  \r\nB=d", "{\"A\":\"b c\",\"B\":\"d\"}", 0},
		{"export", "export A=b\nexport\tB=c\nexportC=d", "{\"A\":\"b\",\"B\":\"c\",\"exportC\":\"d\"}", 0},
		{"comments", "# x\nA=b # c\nB=b#c\nC= # d\nD=#e\n", "{\"A\":\"b\",\"B\":\"b#c\",\"C\":\"\",\"D\":\"#e\"}", 0},
		{"empty", "A=\nB=''\nC=\"\"\n", "{\"A\":\"\",\"B\":\"\",\"C\":\"\"}", 0},
		{"a name alone", "A\nB # x\n", "{\"A\":null,\"B\":null}", 0},
		{"the last one counts", "A=1\nA=2\n", "{\"A\":\"2\"}", 0},
		{"single quotes", "A='b \"c\" \\'d\\' \\n' # x\n", "{\"A\":\"b \\\"c\\\" 'd' \\\\n\"}", 0},
		{"double quotes", "A=\"b 'c' \\\"d\\\" \\n\\t\\\\ \\q\"\n", "{\"A\":\"b 'c' \\\"d\\\" \\n\\t\\\\ \\\\q\"}", 0},
		{"several lines", "A=\"b\nc\"\nB='d\n\ne'\n", "{\"A\":\"b\\nc\",\"B\":\"d\\n\\ne\"}", 0},
		{"a quoted name", "'A b'=c\n", "{\"A b\":\"c\"}", 0},
		{"variables", "A=1\nB=${A}/${DOTENV_TEST}/${NO_SUCH}/${NO_SUCH:-x y}\nC='${A}'\nD=$A ${\n",
		 "{\"A\":\"1\",\"B\":\"1/outside//x y\",\"C\":\"1\",\"D\":\"$A ${\"}", 0},
		{"variables without a name", "A=${}x${:-d}\n", "{\"A\":\"xd\"}", 0},
		{"the file goes before the environment", "DOTENV_TEST=in\nA=${DOTENV_TEST}", "{\"DOTENV_TEST\":\"in\",\"A\":\"in\"}", 0},
		{"a name alone hides the environment", "DOTENV_TEST\nA=${DOTENV_TEST:-d}", "{\"DOTENV_TEST\":null,\"A\":\"\"}", 0},
		{"a mark of byte order", "\xef\xbb\xbf" "A=b", "{\"A\":\"b\"}", 0},
		{"a line that cannot be read", "A=1\n\nthis is = wrong\n=x\nB=2", "{\"A\":\"1\",\"B\":\"2\"}", 3},
		{"quotes that do not end", "A=\"b\nB=2\n", "{\"B\":\"2\"}", 1},
		{"text after quotes", "A='b' c\nB=2\n", "{\"B\":\"2\"}", 1},
		{"quotes in the middle", "A=b\"c\n", "{\"A\":\"b\\\"c\"}", 0},
	};

	(void)setenv("DOTENV_TEST", "outside", 1);
	EACH(row, rows)
	{
		json_t *values = NULL;
		unsigned bad_line = 99;
		struct error err;

		if (!CHECK_RC(row->name, dotenv_read(row->text, strlen(row->text), &values, &bad_line, &err), 0, &err))
			continue;
		CHECK_JSON(row->name, values, row->want);
		CHECK_INT(row->name, bad_line, row->bad_line);
		json_decref(values);
	}
	(void)unsetenv("DOTENV_TEST");
}

static void refuses_bytes(void)
{
	json_t *values = NULL;
	unsigned bad_line;
	struct error err;

	CHECK_INT("not UTF-8", dotenv_read("A=\xff", 3, &values, &bad_line, &err), ERR_DECODE);
	CHECK_INT("a NUL", dotenv_read("A=\0b", 4, &values, &bad_line, &err), ERR_DECODE);
}

UNIT_SUITE("client/base/dotenv", TEST(reads_lines), TEST(refuses_bytes))
