/* Bytes that are to be text: see utf8.h. */
#include "server/utf8.h"

#include "wire/writer.h"

/* How long a character is that begins so, and what its second byte may be; 0: none does. */
static size_t begin(uint8_t first, uint8_t *least, uint8_t *most)
{
    *least = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    *most = first == 0xf4 ? 0x8f : 0xbf;
    if (first < 0x80) return 1;
    if (first < 0xc2 || first > 0xf4) return 0;
    return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* The size of the character at the front, or of what can be the beginning of one and is not:
 * that is one replacement (`*valid` false). Surrogates are characters too, but no text. */
static size_t take(const uint8_t *at, size_t left, bool *valid)
{
    uint8_t least, most;
    size_t size = begin(at[0], &least, &most), taken = 1;
    while (taken < size && taken < left && at[taken] >= least && at[taken] <= most) {
        taken++;
        least = 0x80;
        most = 0xbf;
    }
    *valid = taken == size && !(size == 3 && at[0] == 0xed && at[1] >= 0xa0);
    return taken;
}

bool zkl_utf8_is_valid(struct zkl_slice bytes)
{
    bool valid = true;
    for (size_t at = 0; at < bytes.size && valid;) {
        at += take(bytes.base + at, bytes.size - at, &valid);
    }
    return valid;
}

void zkl_utf8_repair(struct zkl_writer *writer, struct zkl_slice bytes)
{
    static const uint8_t REPLACEMENT[] = { 0xef, 0xbf, 0xbd };
    bool valid;
    for (size_t at = 0, size; at < bytes.size; at += size) {
        size = take(bytes.base + at, bytes.size - at, &valid);
        if (valid) {
            zkl_write_raw(writer, bytes.base + at, size);
        } else {
            zkl_write_raw(writer, REPLACEMENT, sizeof REPLACEMENT);
        }
    }
}
