/* Quotas as text: "count=5,bytes=-1=;byteHardLimit=100". The odd "=" behind the bytes makes
 * parsers before hard limits stop there.
 *
 * Accepts what Apache's parser accepts and nothing else: text that it cannot read keeps an
 * Apache server from starting again, so it must not get into a quota's node. */
#include <string.h>

#include "base/decimal.h"
#include "server/prep.h"

static const char COUNT[] = "count", BYTES[] = "bytes", COUNT_HARD[] = "countHardLimit",
                  BYTES_HARD[] = "byteHardLimit";

static bool is_separator(uint8_t byte)
{
    return byte == ',' || byte == ';';
}

static bool is_key(struct zkl_slice text, const char *key)
{
    return text.size == strlen(key) && memcmp(text.base, key, text.size) == 0;
}

/* "key=value", "key==" and more: an empty value that something follows is -1. */
static bool parse_pair(struct zkl_slice pair, struct zkl_quota *quota)
{
    const uint8_t *end = pair.base + pair.size;
    const uint8_t *equals = pair.size > 0 ? memchr(pair.base, '=', pair.size) : NULL;
    while (end > pair.base && end[-1] == '=') end--;
    if (equals == NULL || equals >= end) return false; /* nothing but '=' behind the key */
    struct zkl_slice key = { pair.base, (size_t)(equals - pair.base) };
    struct zkl_slice text = { equals + 1, (size_t)(end - equals - 1) };
    const uint8_t *next = memchr(text.base, '=', text.size);
    if (next != NULL) text.size = (size_t)(next - text.base);
    int64_t value = -1;
    if (text.size > 0 && !zkl_parse_decimal(text, &value)) return false;
    if (is_key(key, COUNT)) quota->count = value;
    if (is_key(key, BYTES)) quota->bytes = value;
    if (is_key(key, COUNT_HARD)) quota->count_hard = value;
    if (is_key(key, BYTES_HARD)) quota->bytes_hard = value;
    return true;
}

bool zkl_quota_parse(struct zkl_slice text, struct zkl_quota *quota)
{
    *quota = (struct zkl_quota) { -1, -1, -1, -1 };
    while (text.size > 0 && is_separator(text.base[text.size - 1])) text.size--;
    size_t at = 0;
    while (at < text.size) {
        size_t start = at;
        while (at < text.size && !is_separator(text.base[at])) at++;
        struct zkl_slice pair = { text.base + start, at - start };
        if (!parse_pair(pair, quota)) return false;
        while (at < text.size && is_separator(text.base[at])) at++;
    }
    return true;
}

static size_t put(char *at, const char *before, const char *key, int64_t value)
{
    size_t before_size = strlen(before), key_size = strlen(key);
    memcpy(at, before, before_size);
    memcpy(at + before_size, key, key_size);
    at[before_size + key_size] = '=';
    return before_size + key_size + 1 + zkl_format_decimal(at + before_size + key_size + 1, value);
}

size_t zkl_quota_format(const struct zkl_quota *quota, char text[ZKL_QUOTA_TEXT_MAX])
{
    size_t size = put(text, "", COUNT, quota->count);
    size += put(text + size, ",", BYTES, quota->bytes);
    const char *before = "=;";
    if (quota->bytes_hard != -1) {
        size += put(text + size, before, BYTES_HARD, quota->bytes_hard);
        before = ";";
    }
    if (quota->count_hard != -1) size += put(text + size, before, COUNT_HARD, quota->count_hard);
    return size;
}
