/* The man pages and the example configuration against the table of options: all that is there, and nothing else. Run in
 * the project's folder, as `make unit` does. */
#include "cli/manual.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "tests/unit/unit.h"
#include "worker/settings.h"

static char *read_file(const char *path)
{
	struct text text = {.max = 1024 * 1024};
	char buf[4096];
	size_t len;

	FILE *file = fopen(path, "r");
	if (!CHECK(path, file != NULL))
		return text_dup("");
	while ((len = fread(buf, 1, sizeof buf, file)) > 0)
		text_add(&text, buf, len);
	(void)fclose(file);
	return text_take(&text);
}

/* A page as it is read: without fonts and escapes. */
static char *read_page(const char *frame_path)
{
	AUTO_FREE char *frame = read_file(frame_path);
	AUTO_TEXT page = {.max = 1024 * 1024};
	struct text plain = {.max = 1024 * 1024};
	struct error err;

	CHECK_RC(frame_path, manual_render(frame, &page, &err), 0, &err);
	CHECK(frame_path, !page.failed);
	for (const char *s = text_str(&page); *s != '\0'; s++) {
		if (s[0] == '\\' && s[1] == 'f')
			s += 2;
		else if (s[0] == '\\' && s[1] == 'e')
			text_add(&plain, ++s, 0), text_add(&plain, "\\", 1);
		else if (s[0] == '\\' && s[1] == '&')
			s++;
		else if (s[0] == '\\')
			text_add(&plain, ++s, 1);
		else
			text_add(&plain, s, 1);
	}
	return text_take(&plain);
}

static bool is_part(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '-';
}

/* @word as a word of its own, and not a part of one. */
static bool has_word(const char *text, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = text; (at = strstr(at, word)) != NULL; at++)
		if ((at == text || !is_part(at[-1])) && !is_part(at[len]))
			return true;
	return false;
}

static void pages_have_every_option(void)
{
	AUTO_FREE char *page = read_page("man/prefect-janitor.1.in");
	AUTO_FREE char *conf = read_page("man/prefect-janitor.conf.5.in");

	for (size_t i = 0; i < settings_option_count; i++) {
		const struct option *row = &settings_options[i];
		char flag[64];

		(void)snprintf(flag, sizeof flag, "--%s", row->flag != NULL ? row->flag : "");
		CHECK(flag, row->flag == NULL || has_word(page, flag));
		CHECK(option_name(row), row->env == NULL || has_word(page, row->env));
		CHECK(option_name(row), row->file_key == NULL || (has_word(page, row->file_key) && has_word(conf, row->file_key)));
		CHECK(option_name(row), row->file_key == NULL || row->env == NULL || has_word(conf, row->env));
	}
	for (size_t i = 0; i < command_count; i++)
		CHECK(commands[i].name, has_word(page, commands[i].name));
}

static bool is_flag(const char *word)
{
	for (size_t i = 0; i < settings_option_count; i++)
		if ((settings_options[i].flag != NULL && strcmp(settings_options[i].flag, word + 2) == 0) ||
		    (settings_options[i].fallback != NULL && has_word(settings_options[i].fallback, word))) /* of another program */
			return true;
	return strcmp(word, "--help") == 0 || strcmp(word, "--version") == 0;
}

static bool is_variable(const char *word)
{
	static const char *const others[] = {"NO_COLOR", "NO_PROXY", "PREFECT_HOME", "PREFECT_PROFILE", "PREFECT_PROFILES_PATH",
	                                     "SSL_CERT_FILE", "SSL_CERT_DIR"};

	for (size_t i = 0; i < settings_option_count; i++)
		if (settings_options[i].env != NULL && strcmp(settings_options[i].env, word) == 0)
			return true;
	for (size_t i = 0; i < COUNT_OF(others); i++)
		if (strcmp(word, others[i]) == 0)
			return true;
	return false;
}

static bool is_key(const char *word)
{
	for (size_t i = 0; i < settings_option_count; i++)
		if (settings_options[i].file_key != NULL && strcmp(settings_options[i].file_key, word) == 0)
			return true;
	return false;
}

/* "worker.limit": does it begin with a group of the file? */
static bool names_group(const char *word)
{
	size_t group = strcspn(word, ".") + 1;

	for (size_t i = 0; i < settings_option_count; i++)
		if (settings_options[i].file_key != NULL && strncmp(settings_options[i].file_key, word, group) == 0)
			return word[group - 1] == '.' && word[group] != '\0';
	return false;
}

/* Checks one word of a page; counts those that name something. */
static void check_word(const char *path, char *word, size_t *count)
{
	size_t len = strlen(word);

	while (len > 0 && word[len - 1] == '.')
		word[--len] = '\0';
	bool upper = strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") == len && strchr(word, '_') != NULL && isupper((unsigned char)word[0]);
	bool flag = strncmp(word, "--", 2) == 0 && len > 2;

	if (flag)
		unit_check(is_flag(word), __FILE__, __LINE__, "%s: there is no option %s", path, word);
	else if (upper)
		unit_check(is_variable(word), __FILE__, __LINE__, "%s: nobody reads %s", path, word);
	else if (names_group(word))
		unit_check(is_key(word), __FILE__, __LINE__, "%s: there is no setting %s", path, word);
	*count += flag || upper || names_group(word);
}

static void pages_have_nothing_else(void)
{
	static const char *const paths[] = {"man/prefect-janitor.1.in", "man/prefect-janitor.conf.5.in"};

	for (size_t i = 0; i < COUNT_OF(paths); i++) {
		AUTO_FREE char *page = read_page(paths[i]);
		size_t count = 0;

		for (char *s = page; *s != '\0';) {
			char word[200];
			size_t len = 0;

			while (*s != '\0' && !is_part(*s))
				s++;
			while ((is_part(*s) || *s == '.') && len + 1 < sizeof word)
				word[len++] = *s++;
			word[len] = '\0';
			check_word(paths[i], word, &count);
		}
		CHECK(paths[i], count > 40);
	}
}

/* The example has every setting, in its group, and each line of it that sets something is one. */
static void example_has_every_setting(void)
{
	AUTO_FREE char *example = read_file("conf/prefect-janitor.conf");
	char group[40] = "";
	char seen[100 * 64] = " ";
	char *save = NULL;

	for (char *line = strtok_r(example, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
		char name[64];
		char key[128];

		if (sscanf(line, "%39[a-z]: {", group) == 1 || *line != '\t')
			continue;
		if (sscanf(line, " // %63[a-z_] =", name) != 1 && sscanf(line, " %63[a-z_] =", name) != 1)
			continue;
		(void)snprintf(key, sizeof key, "%s.%s", group, name);
		CHECK(key, is_key(key));
		(void)snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%s ", key);
	}
	for (size_t i = 0; i < settings_option_count; i++) {
		char key[128];

		(void)snprintf(key, sizeof key, " %s ", settings_options[i].file_key != NULL ? settings_options[i].file_key : "");
		CHECK(key, settings_options[i].file_key == NULL || strstr(seen, key) != NULL);
	}
}

static void refuses_unknown_words(void)
{
	AUTO_TEXT out = {.max = 1000};
	struct error err;

	CHECK_RC("unknown", manual_render(".TH X 1\n@NONSENSE@\n", &out, &err), ERR_USAGE, &err);
	CHECK_HAS("unknown", err.text, "@NONSENSE@");
}

UNIT_SUITE("cli/manual", TEST(pages_have_every_option), TEST(pages_have_nothing_else), TEST(example_has_every_setting),
           TEST(refuses_unknown_words))
