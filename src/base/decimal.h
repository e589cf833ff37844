/* Whole numbers as decimal text. */
#ifndef ZKLUA_BASE_DECIMAL_H
#define ZKLUA_BASE_DECIMAL_H

#include "zklua/base.h"

#define ZKL_DECIMAL_SIZE_MAX 20 /* "-9223372036854775808" */

/* Without a terminator; returns the length. */
size_t zkl_format_decimal(char buffer[ZKL_DECIMAL_SIZE_MAX], int64_t value);
/* All of the text: digits, with a '+' or '-' in front at most, and no more than 64 bits. */
bool zkl_parse_decimal(struct zkl_slice text, int64_t *value);

#endif
