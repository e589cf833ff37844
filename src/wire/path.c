/* Which paths a server takes. The rules are those of its full check in create,
 * applied before anything is sent, because a refusal from afar costs a round trip
 * and the reads do not check at all: a bad path there is just "no node". */
#include <string.h>

#include "zklua/wire.h"

enum { MALFORMED = -1 };

/* The code point at the front of text[0..left), left > 0; its bytes in *size.
 * MALFORMED for what is not UTF-8: a stray or missing continuation byte, a form that
 * is longer than needed, or a number past U+10FFFF. Surrogates come out as they are. */
static int32_t decode(const uint8_t *text, size_t left, size_t *size)
{
    uint8_t first = text[0];
    int32_t point, least;
    if (first < 0x80) {
        *size = 1;
        return first;
    } else if (first >= 0xc0 && first < 0xe0) {
        *size = 2, point = first & 0x1f, least = 0x80;
    } else if (first >= 0xe0 && first < 0xf0) {
        *size = 3, point = first & 0x0f, least = 0x800;
    } else if (first >= 0xf0 && first < 0xf8) {
        *size = 4, point = first & 0x07, least = 0x10000;
    } else {
        return MALFORMED;
    }
    if (*size > left) return MALFORMED;
    for (size_t i = 1; i < *size; i++) {
        if ((text[i] & 0xc0) != 0x80) return MALFORMED;
        point = point << 6 | (text[i] & 0x3f);
    }
    return point < least || point > 0x10ffff ? MALFORMED : point;
}

/* What is wrong with a code point inside a path, or NULL. */
static const char *check_point(int32_t point)
{
    if (point == MALFORMED) return "must be UTF-8";
    if (point == 0) return "must not contain the character U+0000";
    if (point < 0x20) return "must not contain control characters";
    if (point < 0x7f) return NULL;
    if (point <= 0x9f) return "must not contain control characters";
    if (point < 0xd800) return NULL;
    if (point > 0xffff) return "must not contain characters above U+FFFF";
    if (point <= 0xdfff) return "must not contain surrogates (U+D800 to U+DFFF)";
    if (point <= 0xf8ff) return "must not contain private use characters (U+E000 to U+F8FF)";
    if (point >= 0xfff0) return "must not contain the characters U+FFF0 to U+FFFF";
    return NULL;
}

/* What is wrong with one component, or NULL. `completed`: the server appends its
 * number, so that "", "." and ".." become something else. */
static const char *check_component(const uint8_t *name, size_t size, bool completed)
{
    if (completed) return NULL;
    if (size == 0) return "must not contain an empty component ('//')";
    if (size == 1 && name[0] == '.') return "must not contain the component '.'";
    if (size == 2 && name[0] == '.' && name[1] == '.') {
        return "must not contain the component '..'";
    }
    return NULL;
}

const char *zkl_path_check(struct zkl_slice path, bool sequential)
{
    if (path.base == NULL || path.size == 0) return "must not be empty";
    if (path.base[0] != '/') return "must start with '/'";
    if (path.size == 1) return NULL; /* the root, or its next sequential child */
    if (path.base[path.size - 1] == '/' && !sequential) return "must not end with '/'";

    size_t start = 1, at = 1; /* of the component, of the character */
    while (at < path.size) {
        size_t size = 1;
        if (path.base[at] == '/') {
            const char *wrong = check_component(path.base + start, at - start, false);
            if (wrong != NULL) return wrong;
            start = at + 1;
        } else {
            const char *wrong = check_point(decode(path.base + at, path.size - at, &size));
            if (wrong != NULL) return wrong;
        }
        at += size;
    }
    return check_component(path.base + start, at - start, sequential);
}
