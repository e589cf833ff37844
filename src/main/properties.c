#include "main/properties.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "server/utf8.h"

/* The text is decoded in place: what an escape becomes is never longer than the escape. */
struct text {
    char *next, *end;
    int line; /* of `next` */
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\f';
}

static bool is_line_end(char c)
{
    return c == '\n' || c == '\r';
}

static void skip_spaces(struct text *text)
{
    while (text->next < text->end && is_space(*text->next)) text->next++;
}

/* Past one end of a line, which may be CR, LF or both. */
static void skip_line_end(struct text *text)
{
    if (text->next == text->end) return;
    char first = *text->next++;
    if (first == '\r' && text->next < text->end && *text->next == '\n') text->next++;
    text->line++;
}

/* To the next entry, past empty lines and comments. false: there is none. */
static bool find_entry(struct text *text)
{
    while (true) {
        skip_spaces(text);
        if (text->next == text->end) return false;
        char c = *text->next;
        if (c == '#' || c == '!') {
            while (text->next < text->end && !is_line_end(*text->next)) text->next++;
        } else if (!is_line_end(c)) {
            return true;
        }
        skip_line_end(text);
    }
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

static char *put_utf8(char *to, uint32_t c)
{
    if (c < 0x80) {
        *to++ = (char)c;
    } else if (c < 0x800) {
        *to++ = (char)(0xc0 | (c >> 6));
        *to++ = (char)(0x80 | (c & 0x3f));
    } else {
        if (c < 0x10000) {
            *to++ = (char)(0xe0 | (c >> 12));
        } else {
            *to++ = (char)(0xf0 | (c >> 18));
            *to++ = (char)(0x80 | ((c >> 12) & 0x3f));
        }
        *to++ = (char)(0x80 | ((c >> 6) & 0x3f));
        *to++ = (char)(0x80 | (c & 0x3f));
    }
    return to;
}

/* The four digits after \u. false: they are not there. */
static bool read_digits(struct text *text, uint32_t *c, const char **why)
{
    *c = 0;
    for (int i = 0; i < 4; i++) {
        int digit = text->next < text->end ? hex_digit(*text->next) : -1;
        if (digit < 0) {
            *why = "\\u needs four hexadecimal digits";
            return false;
        }
        *c = *c * 16 + (uint32_t)digit;
        text->next++;
    }
    return true;
}

/* What follows \u, and the second half of a pair. NULL: there is no such character, and *why says
 * so. */
static char *read_unicode(struct text *text, char *to, const char **why)
{
    uint32_t c, low;
    if (!read_digits(text, &c, why)) return NULL;
    if (c >= 0xd800 && c < 0xdc00 && text->end - text->next >= 2
        && memcmp(text->next, "\\u", 2) == 0) {
        text->next += 2;
        if (!read_digits(text, &low, why)) return NULL;
        if (low >= 0xdc00 && low < 0xe000) c = 0x10000 + (c - 0xd800) * 0x400 + (low - 0xdc00);
    }
    if (c == 0 || (c >= 0xd800 && c < 0xe000)) {
        *why = "\\u names no character that a setting may have";
        return NULL;
    }
    return put_utf8(to, c);
}

/* What follows a backslash. NULL as above. */
static char *read_escape(struct text *text, char *to, const char **why)
{
    if (text->next == text->end) return to; /* Java drops it, too */
    char c = *text->next;
    if (is_line_end(c)) { /* the line goes on */
        skip_line_end(text);
        skip_spaces(text);
        return to;
    }
    text->next++;
    switch (c) {
    case 't': c = '\t'; break;
    case 'n': c = '\n'; break;
    case 'r': c = '\r'; break;
    case 'f': c = '\f'; break;
    case 'u': return read_unicode(text, to, why);
    default: break;
    }
    *to++ = c;
    return to;
}

/* Up to the end of the line, or, for a key, up to what ends it. *end is where the decoded text
 * ends. false: it cannot be read. */
static bool read_token(struct text *text, bool is_key, char **end, const char **why)
{
    char *to = text->next;
    while (text->next < text->end && !is_line_end(*text->next)) {
        char c = *text->next;
        if (is_key && (c == '=' || c == ':' || is_space(c))) break;
        text->next++;
        if (c == '\0') {
            *why = "a NUL byte";
            return false;
        }
        if (c != '\\') {
            *to++ = c;
        } else if ((to = read_escape(text, to, why)) == NULL) {
            return false;
        }
    }
    *end = to;
    return true;
}

static bool is_blank(char c)
{
    return (unsigned char)c <= ' ';
}

/* As Java's String.trim. */
static char *trim(char *text)
{
    while (*text != '\0' && is_blank(*text)) text++;
    char *end = text + strlen(text);
    while (end > text && is_blank(end[-1])) end--;
    *end = '\0';
    return text;
}

static bool read_entry(struct text *text, char **key, char **value, const char **why)
{
    char *key_end;
    char *value_end;
    *key = text->next;
    if (!read_token(text, true, &key_end, why)) return false;
    skip_spaces(text);
    if (text->next < text->end && (*text->next == '=' || *text->next == ':')) {
        text->next++;
        skip_spaces(text);
    }
    *value = text->next;
    if (!read_token(text, false, &value_end, why)) return false;
    skip_line_end(text);
    *key_end = *value_end = '\0'; /* both lie before what is read next */
    *key = trim(*key);
    *value = trim(*value);
    return true;
}

int zkl_properties_read(char *bytes, size_t size, zkl_property_fn *each, void *user,
                        const char **why)
{
    struct text text = { bytes, bytes + size, 1 };
    while (find_entry(&text)) {
        int line = text.line;
        char *key;
        char *value;
        if (!read_entry(&text, &key, &value, why)) return text.line;
        if (!each(user, line, key, value)) return -1;
    }
    return 0;
}

/* --- writing ------------------------------------------------------------------------------ */

/* One character of valid UTF-8. */
static uint32_t take_utf8(const uint8_t **at)
{
    uint32_t first = *(*at)++;
    if (first < 0x80) return first;
    uint32_t c = first < 0xe0 ? first & 0x1f : first < 0xf0 ? first & 0x0f : first & 0x07;
    while ((**at & 0xc0) == 0x80) c = c << 6 | (*(*at)++ & 0x3f);
    return c;
}

bool zkl_properties_escape(const char *value, char *escaped, size_t capacity)
{
    const uint8_t *at = (const uint8_t *)value;
    if (!zkl_utf8_is_valid((struct zkl_slice) { at, strlen(value) })) return false;
    for (int size; *at != '\0'; escaped += size, capacity -= (size_t)size) {
        uint32_t c = take_utf8(&at);
        if (c == '\\') size = snprintf(escaped, capacity, "\\\\");
        else if (c >= ' ' && c <= '~') size = snprintf(escaped, capacity, "%c", (int)c);
        else if (c < 0x10000) size = snprintf(escaped, capacity, "\\u%04x", c);
        else size = snprintf(escaped, capacity, "\\u%04x\\u%04x", 0xd7c0 + (c >> 10),
                             0xdc00 + (c & 0x3ff));
        if (size < 0 || (size_t)size >= capacity) return false;
    }
    return true;
}
