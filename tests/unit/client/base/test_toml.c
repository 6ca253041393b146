/* Documents that are TOML, and documents that are not: the error names the line. */
#include "client/base/toml.h"

#include <string.h>

#include "client/base/text.h"
#include "tests/unit/unit.h"

static void reads_documents(void)
{
	static const struct {
		const char *name, *text, *want;
	} rows[] = {
		{"nothing", "", "{}"},
		{"comments and blanks", "# a\n\n \t# b \xc3\xa4\r\n", "{}"},
		{"no end of the last line", "a = 1", "{\"a\": 1}"},
		{"what Prefect writes", "active = \"p\"\n\n[profiles.p]\nPREFECT_API_URL = \"http://h/api\"\n",
		 "{\"active\": \"p\", \"profiles\": {\"p\": {\"PREFECT_API_URL\": \"http://h/api\"}}}"},
		{"integers", "a=0\nb=-17\nc=+1_000\nd=0xDead_beef\ne=0o17\nf=0b101\ng=9223372036854775807",
		 "{\"a\":0,\"b\":-17,\"c\":1000,\"d\":3735928559,\"e\":15,\"f\":5,\"g\":9223372036854775807}"},
		{"reals", "a=1.5\nb=-0.0\nc=1e3\nd=6.25E-1\ne=1_0.2_5", "{\"a\":1.5,\"b\":-0.0,\"c\":1000.0,\"d\":0.625,\"e\":10.25}"},
		{"what JSON has not", "a=inf\nb=-nan\nc=1979-05-27\nd=07:32:00.5\ne=1979-05-27T07:32:00Z\nf=1979-05-27 07:32:00-07:00",
		 "{\"a\":null,\"b\":null,\"c\":null,\"d\":null,\"e\":null,\"f\":null}"},
		{"booleans", "a=true\nb=false # c", "{\"a\":true,\"b\":false}"},
		{"strings", "a=\"x \\\"\\\\ \\t\\u00e4\\U0001F600\" #\nb='C:\\x'\nc=\"\"\nd=''",
		 "{\"a\":\"x \\\"\\\\ \\t\xc3\xa4\xf0\x9f\x98\x80\",\"b\":\"C:\\\\x\",\"c\":\"\",\"d\":\"\"}"},
		{"strings of several lines", "a=\"\"\"\none\\\n   two\n\"three\" \"\"\"\nb='''\r\nx\\\ny'''\nc=\"\"\"\"\"\"\nd=\"\"\"\"q\"\"\"\"\"",
		 "{\"a\":\"onetwo\\n\\\"three\\\" \",\"b\":\"x\\\\\\ny\",\"c\":\"\",\"d\":\"\\\"q\\\"\\\"\"}"},
		{"keys", "a-b_1 = 1\n\"x.y\" = 2\n'' = 3\n1234 = 4\n\"\\u00e4\"=5", "{\"a-b_1\":1,\"x.y\":2,\"\":3,\"1234\":4,\"\xc3\xa4\":5}"},
		{"dotted keys", "a.b = 1\na . c.\"d\" = 2", "{\"a\":{\"b\":1,\"c\":{\"d\":2}}}"},
		{"tables", "[a]\nx=1\n[a.b]\ny=2\n[ c . d ]\n[c]\nz=3", "{\"a\":{\"x\":1,\"b\":{\"y\":2}},\"c\":{\"d\":{},\"z\":3}}"},
		{"a table below a dotted one", "[a]\nb.c=1\n[a.b.d]\ne=2", "{\"a\":{\"b\":{\"c\":1,\"d\":{\"e\":2}}}}"},
		{"arrays of tables", "[[a]]\nx=1\n[a.b]\ny=2\n[[a]]\nx=3\n[[a.c]]\n[[a.c]]",
		 "{\"a\":[{\"x\":1,\"b\":{\"y\":2}},{\"x\":3,\"c\":[{},{}]}]}"},
		{"arrays", "a=[]\nb=[1, 'x', [true],\n # c\n {y=1} , ]", "{\"a\":[],\"b\":[1,\"x\",[true],{\"y\":1}]}"},
		{"inline tables in a row", "a = {}\nb = { x = 1, y.z = 'w' }", "{\"a\":{},\"b\":{\"x\":1,\"y\":{\"z\":\"w\"}}}"},
		{"levels", "a.b.c.d.e.f.g.h=[[[[[[[[1]]]]]]]]",
		 "{\"a\":{\"b\":{\"c\":{\"d\":{\"e\":{\"f\":{\"g\":{\"h\":[[[[[[[[1]]]]]]]]}}}}}}}}"},
	};

	EACH(row, rows)
	{
		struct toml toml;
		struct error err;

		if (!CHECK_RC(row->name, toml_read(row->text, strlen(row->text), "f", &toml, &err), 0, &err))
			continue;
		CHECK_JSON(row->name, toml.root, row->want);
		toml_release(&toml);
	}
}

static void refuses_what_is_none(void)
{
	static const struct {
		const char *name, *text, *error;
	} rows[] = {
		{"no value", "a", "f:1: a line is KEY = VALUE, or [TABLE]"},
		{"nothing after it", "a =\n", "f:1: a value is missing"},
		{"no key", "\n= 1", "f:2: a key is missing"},
		{"a bare word", "a = s3cr3t", "f:1: a value that is no number, no date, neither true nor false, and no text in quotes"},
		{"two on a line", "a = 1 b = 2", "f:1: more text than one KEY = VALUE or [TABLE] on a line"},
		{"a key twice", "a = 1\n\na = 2", "f:3: 'a' is there already"},
		{"a key twice, in quotes", "a = 1\n\"a\" = 2", "f:2: 'a' is there already"},
		{"a table twice", "[a]\n[a]", "f:2: the table 'a' is there already"},
		{"a table over a value", "a = 1\n[a]", "f:2: the table 'a' is there already"},
		{"a table below a value", "a = 1\n[a.b]", "f:2: 'a' has a value already"},
		{"a table over a dotted one", "a.b = 1\n[a]", "f:2: the table 'a' is there already"},
		{"an inline table goes on", "a = {}\na.b = 1", "f:2: 'a' is there already, and cannot be added to"},
		{"an inline table goes on as a table", "a = {}\n[a.b]", "f:2: 'a' has a value already"},
		{"inside an inline table", "a = {b.c = 1}\n[a.b.d]", "f:2: 'a' has a value already"},
		{"dotted keys into a table", "[a.b]\n[a]\nb.c = 1", "f:3: 'b' is there already, and cannot be added to"},
		{"dotted keys into a value", "a = 1\na.b = 2", "f:2: 'a' is there already"},
		{"a table after an array of tables", "[[a]]\n[a]", "f:2: the table 'a' is there already"},
		{"an array of tables after a table", "[a]\n[[a]]", "f:2: 'a' is there already, and is no array of tables"},
		{"an array of tables after an array", "a = []\n[[a]]", "f:2: 'a' is there already"},
		{"a table that does not end", "[a", "f:1: a table's name ends with ]"},
		{"an array's that does not", "[[a]", "f:1: a table's name ends with ]]"},
		{"a table without a name", "[]", "f:1: a key is missing"},
		{"a dot at the end", "a. = 1", "f:1: a key is missing"},
		{"leading zeros", "a = 007", "f:1: a value that is no number"},
		{"two underscores", "a = 1__0", "f:1: a value that is no number"},
		{"no digit after the point", "a = 1.", "f:1: a value that is no number"},
		{"no digit before it", "a = .5", "f:1: a value that is no number"},
		{"a month too many", "a = 2020-13-01", "f:1: a value that is no number"},
		{"an hour too many", "a = 24:00:00", "f:1: a value that is no number"},
		{"True", "a = True", "f:1: a value that is no number"},
		{"more than 64 bits", "a = 9223372036854775808", "f:1: '9223372036854775808' has more than 64 bits"},
		{"a string that does not end", "a = \"b\nc = 1", "f:1: a string that does not end"},
		{"at the end", "a = 'b", "f:1: a string that does not end"},
		{"of several lines", "a = \"\"\"b\n\nc", "f:3: a string that does not end"},
		{"an escape that is none", "a = \"\\q\"", "f:1: there is no such escape"},
		{"a short one", "a = \"\\u12\"", "f:1: an escape needs 4 hexadecimal digits"},
		{"half a character", "a = \"\\ud800\"", "f:1: an escape that is no character"},
		{"beyond Unicode", "a = \"\\U00110000\"", "f:1: an escape that is no character"},
		{"a control character", "a = \"\x01\"", "f:1: a string that does not end on its line, or a control character in it"},
		{"in a comment", "# \x07", "f:1: a control character in a comment"},
		{"in a key", "\"\\u0001\" = 1", "f:1: a control character in a key"},
		{"a return alone", "a = 1\rb = 2", "f:1: more text than one"},
		{"not UTF-8", "a = 1\nb = \"\xff\"", "f:2: a byte that is not UTF-8"},
		{"a mark of byte order", "\xef\xbb\xbf" "a = 1", "f:1: a key is missing"},
		{"a key of several lines", "\"\"\"a\"\"\" = 1", "f:1: a key cannot have several lines"},
		{"an array without a comma", "a = [1 2]", "f:1: an array goes on with , or ends with ]"},
		{"an array of commas", "a = [,]", "f:1: a value is missing"},
		{"that does not end", "a = [\n1,\n", "f:3: a value is missing"},
		{"an inline table over lines", "a = {\nb = 1}", "f:1: a key is missing"},
		{"with a comma at its end", "a = {b = 1, }", "f:1: a key is missing"},
		{"with a key twice", "a = {b = 1, b = 2}", "f:1: 'b' is there already"},
		{"too many levels", "a = [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", "f:1: more than 32 levels"},
		{"too many keys", "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a = 1", "f:1: more than 32 levels"},
	};

	EACH(row, rows)
	{
		struct toml toml = {0};
		struct error err = {0};

		if (!CHECK_INT(row->name, toml_read(row->text, strlen(row->text), "f", &toml, &err), ERR_DECODE))
			toml_release(&toml);
		CHECK(row->name, strncmp(err.text, row->error, strlen(row->error)) == 0);
		CHECK_HAS(row->name, err.text, row->error);
		CHECK_LACKS(row->name, err.text, "s3cr3t");
	}
}

static void knows_lines(void)
{
	static const char text[] = "a.b = 1\n\n[c]\nd = [\n1]\ne = {f = 2}\n";
	struct toml toml;
	struct error err;
	unsigned line;

	if (!CHECK_RC("read", toml_read(text, strlen(text), "f", &toml, &err), 0, &err))
		return;
	CHECK_JSON("dotted", toml_get(&toml, (const char *[]){"a", "b"}, 2, &line), "1");
	CHECK_INT("dotted", line, 1);
	CHECK_JSON("in a table", toml_get(&toml, (const char *[]){"c", "d"}, 2, &line), "[1]");
	CHECK_INT("in a table", line, 4);
	CHECK_JSON("inline", toml_get(&toml, (const char *[]){"c", "e", "f"}, 3, &line), "2");
	CHECK_INT("inline", line, 6);
	CHECK("nothing", toml_get(&toml, (const char *[]){"c", "x", "f"}, 3, NULL) == NULL);
	CHECK("below a value", toml_get(&toml, (const char *[]){"a", "b", "c"}, 3, NULL) == NULL);
	toml_release(&toml);
}

static void reads_files(void)
{
	struct toml toml;
	struct error err;

	CHECK_INT("no file", toml_read_file("/tmp/there-is-no-such-file", &toml, &err), ERR_NOT_FOUND);
	CHECK_INT("a folder", toml_read_file("/tmp", &toml, &err), ERR_SYSTEM);
	CHECK_HAS("a folder", err.text, "'/tmp' cannot be read: Is a directory");
	CHECK_INT("no TOML", toml_read_file("README.md", &toml, &err), ERR_DECODE);
	CHECK_HAS("no TOML", err.text, "README.md:");
}

UNIT_SUITE("client/base/toml", TEST(reads_documents), TEST(refuses_what_is_none), TEST(knows_lines), TEST(reads_files))
