/* Bytes that are to be text, as Java takes them: what is not UTF-8 becomes U+FFFD. */
#ifndef ZKLUA_SERVER_UTF8_H
#define ZKLUA_SERVER_UTF8_H

#include "zklua/wire.h"

bool zkl_utf8_is_valid(struct zkl_slice bytes);
/* Appends the text; measures with a writer of capacity 0. At most three times the bytes. */
void zkl_utf8_repair(struct zkl_writer *writer, struct zkl_slice bytes);

#endif
