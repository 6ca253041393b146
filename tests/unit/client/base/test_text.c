#include "client/base/text.h"

#include <string.h>

#include "tests/unit/unit.h"

static void cleans_foreign_text(void)
{
	static const struct {
		const char *name;
		const char *src;
		const char *want;
	} rows[] = {
		{"plain", "curly-otter 7", "curly-otter 7"},
		{"empty", "", ""},
		{"two, three and four bytes", "\u00e4\u20ac\U0001f9a6", "\u00e4\u20ac\U0001f9a6"},
		{"line breaks", "a\nb\r\nc\td", "a?b??c?d"},
		{"bell and DEL", "\a\x7f", "??"},
		{"ANSI escape", "\x1b[31mred\x1b[0m", "?[31mred?[0m"},
		{"C1 control in UTF-8", "a\xc2\x85" "b\xc2\x9b" "c", "a?b?c"},
		{"line and paragraph separator", "a\u2028b\u2029c", "a?b?c"},
		{"marks of direction", "\u200e\u200f\u202a\u202e\u2066\u2069", "??????"},
		{"zero-width and BOM", "a\u200bb\ufeffc", "a?b?c"},
		{"their neighbours are kept", "\u200a\u2010\u2027\u202f\u2065\u206a", "\u200a\u2010\u2027\u202f\u2065\u206a"},
		{"lone continuation byte", "a\x80z", "a?z"},
		{"lone lead byte", "a\xc3z", "a?z"},
		{"cut off at the end", "a\xe2\x82", "a??"},
		{"overlong slash", "\xc0\xaf", "??"},
		{"overlong in three", "\xe0\x80\xaf", "???"},
		{"overlong in four", "\xf0\x80\x80\xaf", "????"},
		{"overlong NUL", "\xc0\x80", "??"},
		{"surrogate", "\xed\xa0\x80", "???"},
		{"above U+10FFFF", "\xf4\x90\x80\x80", "????"},
		{"the last code point", "\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf"},
		{"five bytes", "\xf8\x88\x80\x80\x80", "?????"},
		{"FE and FF", "\xfe\xff", "??"},
	};
	char dst[64];

	EACH(row, rows)
	{
		text_clean(dst, sizeof dst, row->src, strlen(row->src));
		CHECK_STR(row->name, dst, row->want);
	}
	text_clean(dst, sizeof dst, "a\0b", 3);
	CHECK_STR("NUL inside", dst, "a?b");
}

static void cuts_at_a_character(void)
{
	static const struct {
		const char *name;
		size_t size;
		const char *src;
		const char *want;
	} rows[] = {
		{"fits to the byte", 7, "otters", "otters"},
		{"one too long", 6, "otters", "ot..."},
		{"between two characters", 8, "\u20ac\u20ac\u20ac", "\u20ac..."},
		{"no half character", 9, "\u20ac\u20ac\u20ac", "\u20ac..."},
		{"three fit to the byte", 10, "\u20ac\u20ac\u20ac", "\u20ac\u20ac\u20ac"},
		{"only the dots", 4, "otters", "..."},
		{"too small for dots", 3, "otters", "ot"},
		{"nothing but the NUL", 1, "otters", ""},
		{"a character that does not fit", 3, "\u20ac", ""},
	};

	EACH(row, rows)
	{
		char dst[16] = "untouched";

		text_clean(dst, row->size, row->src, strlen(row->src));
		CHECK_STR(row->name, dst, row->want);
		CHECK(row->name, strlen(dst) < row->size);
	}
	char none[2] = "x";
	text_clean(none, 0, "otters", 6);
	CHECK_STR("no room at all", none, "x");
}

static void escapes_markdown(void)
{
	static const struct {
		const char *name;
		const char *src;
		size_t max;
		const char *want;
	} rows[] = {
		{"plain", "curly-otter 7.1, ok?", 80, "curly-otter 7.1, ok?"},
		{"emphasis and code", "*a* _b_ `c`", 80, "\\*a\\* \\_b\\_ \\`c\\`"},
		{"a table cell", "a | b", 80, "a \\| b"},
		{"a link", "[x](http://evil)", 80, "\\[x\\]\\(http\\://evil\\)"},
		{"an image", "![x](y)", 80, "\\!\\[x\\]\\(y\\)"},
		{"mail", "me@evil", 80, "me\\@evil"},
		{"HTML", "<img src=x onerror=y>", 80, "&lt;img src=x onerror=y\\>"},
		{"an entity", "&lt;", 80, "&amp;lt;"},
		{"a heading", "# x", 80, "\\# x"},
		{"a quote, a list, strike, math", "> + ~ $", 80, "\\> \\+ \\~ \\$"},
		{"a backslash", "\\*", 80, "\\\\\\*"},
		{"braces", "{x}", 80, "\\{x\\}"},
		{"a line break", "a\nb", 80, "a?b"},
		{"direction", "a\u202eb", 80, "a?b"},
		{"bytes that are not UTF-8", "a\xff", 80, "a?"},
		{"cut, source bytes counted", "****", 2, "\\*\\*..."},
		{"cut before a character", "\u20ac\u20ac", 5, "\u20ac..."},
		{"fits to the byte", "\u20ac\u20ac", 6, "\u20ac\u20ac"},
	};

	EACH(row, rows)
	{
		AUTO_TEXT t = {.max = 200};

		text_add_markdown(&t, row->src, strlen(row->src), row->max);
		CHECK_STR(row->name, text_str(&t), row->want);
	}
}

static void grows_to_its_limit(void)
{
	struct text t = {.max = 1000};

	CHECK_STR("empty", text_str(&t), "");
	for (int i = 0; i < 100; i++)
		text_addf(&t, "%09d\n", i);
	CHECK_INT("full", t.len, 1000);
	CHECK("full", !t.failed);
	text_add(&t, "", 0);
	CHECK("nothing more fits too", !t.failed);
	text_add(&t, "x", 1);
	CHECK("one more", t.failed);
	CHECK_INT("one more", t.len, 1000);
	CHECK_INT("still terminated", strlen(text_str(&t)), 1000);
	CHECK("not handed out", text_take(&t) == NULL);
	CHECK("released", t.data == NULL && t.len == 0 && t.max == 1000);
}

static void hands_out_its_string(void)
{
	struct text t = {.max = 10};

	char *empty = text_take(&t);
	CHECK_STR("empty", empty, "");
	free(empty);
	text_add(&t, "abc", 2);
	char *two = text_take(&t);
	CHECK_STR("two bytes", two, "ab");
	CHECK("starts again", t.data == NULL && t.len == 0);
	free(two);

	text_addf(&t, "%s", "0123456789x");
	CHECK("too long at once", t.failed);
	CHECK_STR("nothing was added", text_str(&t), "");
	text_release(&t);

	CHECK("NULL", text_dup(NULL) == NULL);
}

static void cuts_copies(void)
{
	static const struct {
		const char *name;
		const char *src;
		size_t max;
		const char *want;
	} rows[] = {
		{"empty", "", 3, ""},
		{"fits to the byte", "abc", 3, "abc"},
		{"one too long", "abcd", 3, "abc"},
		{"no half character", "a\u20ac", 3, "a"},
		{"a whole one", "\u20ac\u20ac", 3, "\u20ac"},
		{"none fits", "\u20ac", 2, ""},
		{"nothing", "abc", 0, ""},
	};

	EACH(row, rows)
	{
		AUTO_FREE char *copy = text_cut(row->src, row->max);
		CHECK_STR(row->name, copy, row->want);
	}
}

static void knows_utf8(void)
{
	CHECK("plain", text_is_utf8("") && text_is_utf8("a\n\x7f") && text_is_utf8("\u00e4\u20ac\U0001f9a6"));
	CHECK("not", !text_is_utf8("\xff") && !text_is_utf8("a\xe2\x82") && !text_is_utf8("\xed\xa0\x80"));
}

UNIT_SUITE("client/base/text", TEST(cleans_foreign_text), TEST(cuts_at_a_character), TEST(escapes_markdown),
           TEST(cuts_copies), TEST(knows_utf8), TEST(grows_to_its_limit), TEST(hands_out_its_string))
