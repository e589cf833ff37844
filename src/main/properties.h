/* Java's properties syntax, in which zoo.cfg is written: `key=value`, `key: value` or `key value`,
 * comments from # or !, lines that go on after a backslash, escapes.
 *
 * Bytes beyond ASCII are kept as they are, and \uXXXX becomes UTF-8. Values are trimmed. */
#ifndef ZKLUA_MAIN_PROPERTIES_H
#define ZKLUA_MAIN_PROPERTIES_H

#include <stdbool.h>
#include <stddef.h>

/* One entry, in the order of the file. The texts live until the next call. false: stop. */
typedef bool zkl_property_fn(void *user, int line, const char *key, const char *value);

/* Calls `each` for every entry of `text`, which is changed on the way and has room for one byte
 * behind `size`. 0; or the number of the line that cannot be read, and *why says why; -1: `each`
 * has stopped it. */
int zkl_properties_read(char *text, size_t size, zkl_property_fn *each, void *user,
                        const char **why);

/* A value as such a file has it, with escapes where Java, which reads Latin-1, needs them. false:
 * it is not UTF-8, so that there is no way to write it, or it has no room. */
bool zkl_properties_escape(const char *value, char *escaped, size_t capacity);

#endif
