/* Sentences for a person: what is wrong, in which file, where in it, and what to do. The line
 * that says why a call failed stands first, warnings below it. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "store/internal.h"

void zkl_warn(struct zkl_store_report *report, const char *format, ...)
{
    size_t used = strlen(report->text);
    if (used > 0 && used + 1 < sizeof report->text) report->text[used++] = '\n';
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(report->text + used, sizeof report->text - used, format, arguments);
    va_end(arguments);
}

static void put_first(struct zkl_store_report *report, const char *line)
{
    char below[sizeof report->text];
    memcpy(below, report->text, sizeof below);
    size_t size = strlen(line);
    if (size >= sizeof report->text) size = sizeof report->text - 1;
    memcpy(report->text, line, size);
    report->text[size] = 0;
    if (below[0] != 0) zkl_warn(report, "%s", below);
}

void zkl_headline(struct zkl_store_report *report, const char *format, ...)
{
    char line[sizeof report->text];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    put_first(report, line);
}

int zkl_damaged(struct zkl_store_report *report, int64_t zxid_first, int64_t zxid_last,
                const char *format, ...)
{
    char line[sizeof report->text];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    put_first(report, line);
    report->damaged = true;
    report->zxid_first = zxid_first;
    report->zxid_last = zxid_last;
    return -EBADMSG;
}

int zkl_failed(struct zkl_store_report *report, int status, const char *format, ...)
{
    char line[sizeof report->text];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (size > 0 && (size_t)size < sizeof line) {
        snprintf(line + size, sizeof line - (size_t)size, ": %s", strerror(-status));
    }
    put_first(report, line);
    return status;
}
