/* IP addresses and networks as text: see addresses.h. */
#include "server/addresses.h"

#include <string.h>

#include "base/decimal.h"

enum { V4_SIZE = 4, V6_SIZE = 16, V6_GROUP_DIGITS_MAX = 4 };

/* Takes what stands before the next `separator` off the front of the text, and the separator. */
static struct zkl_slice take_field(struct zkl_slice *text, uint8_t separator, bool *more)
{
    const uint8_t *at = text->size > 0 ? memchr(text->base, separator, text->size) : NULL;
    struct zkl_slice field = *text;
    *more = at != NULL;
    if (at != NULL) field.size = (size_t)(at - text->base);
    size_t taken = field.size + (at != NULL ? 1 : 0);
    text->base += taken;
    text->size -= taken;
    return field;
}

/* 0 .. max, as Java reads numbers: with leading zeros and a sign, if need be. */
static bool parse_number(struct zkl_slice text, int64_t max, uint8_t *number)
{
    int64_t value;
    if (!zkl_parse_decimal(text, &value) || value < 0 || value > max) return false;
    *number = (uint8_t)value;
    return true;
}

static bool parse_v4(struct zkl_slice text, uint8_t address[V6_SIZE])
{
    bool more = true;
    for (size_t i = 0; i < V4_SIZE; i++) {
        if (!more || !parse_number(take_field(&text, '.', &more), 255, &address[i])) return false;
    }
    return !more;
}

static int hex_digit(uint8_t byte)
{
    if (byte >= '0' && byte <= '9') return byte - '0';
    if (byte >= 'a' && byte <= 'f') return byte - 'a' + 10;
    if (byte >= 'A' && byte <= 'F') return byte - 'A' + 10;
    return -1;
}

static bool parse_group(struct zkl_slice text, uint8_t group[2])
{
    unsigned value = 0;
    if (text.size == 0 || text.size > V6_GROUP_DIGITS_MAX) return false;
    for (size_t i = 0; i < text.size; i++) {
        int digit = hex_digit(text.base[i]);
        if (digit < 0) return false;
        value = value << 4 | (unsigned)digit;
    }
    group[0] = (uint8_t)(value >> 8);
    group[1] = (uint8_t)value;
    return true;
}

/* Groups with ':' between them, at most 8; their bytes to `bytes` and how many to *size. No
 * text is no group. */
static bool parse_groups(struct zkl_slice text, uint8_t bytes[V6_SIZE], size_t *size)
{
    *size = 0;
    bool more = text.size > 0;
    while (more) {
        if (*size == V6_SIZE) return false;
        if (!parse_group(take_field(&text, ':', &more), bytes + *size)) return false;
        *size += 2;
    }
    return true;
}

/* Where the first "::" begins, or the text's size. */
static size_t find_gap(struct zkl_slice text)
{
    for (size_t i = 0; i + 1 < text.size; i++) {
        if (text.base[i] == ':' && text.base[i + 1] == ':') return i;
    }
    return text.size;
}

/* "::" stands for at least one group. */
static bool parse_v6(struct zkl_slice text, uint8_t address[V6_SIZE])
{
    uint8_t back[V6_SIZE];
    size_t front_size, back_size = 0, gap = find_gap(text);
    struct zkl_slice front = { text.base, gap };
    if (!parse_groups(front, address, &front_size)) return false;
    if (gap == text.size) return front_size == V6_SIZE;
    struct zkl_slice rest = { text.base + gap + 2, text.size - gap - 2 };
    if (!parse_groups(rest, back, &back_size)) return false;
    if (front_size + back_size >= V6_SIZE) return false;
    memcpy(address + V6_SIZE - back_size, back, back_size);
    return true;
}

bool zkl_network_parse(struct zkl_slice text, struct zkl_network *network)
{
    bool has_bits;
    if (text.base == NULL) return false;
    struct zkl_slice address = take_field(&text, '/', &has_bits);
    bool is_v6 = address.size > 0 && memchr(address.base, ':', address.size) != NULL;
    memset(network, 0, sizeof *network);
    network->size = is_v6 ? V6_SIZE : V4_SIZE;
    network->bits = (uint8_t)(8 * network->size);
    if (has_bits && !parse_number(text, network->bits, &network->bits)) return false;
    return is_v6 ? parse_v6(address, network->address) : parse_v4(address, network->address);
}

bool zkl_network_has(const struct zkl_network *network, const uint8_t *address, size_t size)
{
    size_t whole = network->bits / 8, rest = network->bits % 8;
    if (network->size != size || memcmp(network->address, address, whole) != 0) return false;
    if (rest == 0) return true;
    return (network->address[whole] ^ address[whole]) >> (8 - rest) == 0;
}

static size_t format_group(unsigned value, char *text)
{
    size_t size = 1;
    for (unsigned rest = value >> 4; rest != 0; rest >>= 4) size++;
    for (size_t i = size; i > 0; i--, value >>= 4) text[i - 1] = "0123456789abcdef"[value & 15];
    return size;
}

size_t zkl_address_format(const uint8_t *address, size_t size, char text[ZKL_ADDRESS_TEXT_MAX])
{
    size_t at = 0;
    ZKL_ASSERT(size == V4_SIZE || size == V6_SIZE);
    if (size == V4_SIZE) {
        for (size_t i = 0; i < V4_SIZE; i++) {
            char digits[ZKL_DECIMAL_SIZE_MAX];
            size_t length = zkl_format_decimal(digits, address[i]);
            if (i > 0) text[at++] = '.';
            memcpy(text + at, digits, length);
            at += length;
        }
        return at;
    }
    for (size_t i = 0; i < V6_SIZE; i += 2) {
        if (i > 0) text[at++] = ':';
        at += format_group((unsigned)address[i] << 8 | address[i + 1], text + at);
    }
    return at;
}
