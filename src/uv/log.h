/* Lines for whoever runs the server, on standard error: time, level, text.
 *
 * A line is written at once or dropped: a terminal that was stopped, or a pipe that nobody
 * empties, must not stop the server. What was dropped is counted, and told when there is room
 * again. Chatter (a session here, a session there) is limited in its rate as well; warnings and
 * errors are not. May be called from any thread. */
#ifndef ZKLUA_UV_LOG_H
#define ZKLUA_UV_LOG_H

#include <stddef.h>

enum zkl_log_level {
    ZKL_LOG_CHATTER, /* about one client: at most ZKL_LOG_CHATTER_PER_S of them in a second */
    ZKL_LOG_INFO,
    ZKL_LOG_WARNING,
    ZKL_LOG_ERROR
};
#define ZKL_LOG_CHATTER_PER_S 100
#define ZKL_LOG_LINE_MAX 2048 /* the rest of a longer text is cut */

/* Standard error is a file that is appended to: from now on it is emptied before a line when it has
 * `size` bytes or more. */
void zkl_log_limit(size_t size);

__attribute__((format(printf, 2, 3)))
void zkl_log(enum zkl_log_level level, const char *format, ...);

#endif
