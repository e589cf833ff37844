/* Numbers in text: the suffix of a sequential node, and hexadecimal ids. */
#include "zklua/wire.h"

enum { DIGITS = 10 }; /* a server formats the counter as %010d */

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

/* The counter is a signed 32-bit number that steps from 2147483647 to -2147483648.
 * A '-' in front of the digits is then the number's, but nearly always it is the
 * prefix's ("lock-0000000007"). It is the number's where no other reading is left:
 * above 2147483647; and, the number having all ten digits, where the prefix already
 * ends in its own '-' or is empty. */
static bool is_negative(const uint8_t *name, size_t digits_at, int64_t value)
{
    if (digits_at == 0 || name[digits_at - 1] != '-') return false;
    if (value > INT32_MAX) return true;
    return value >= 1000000000 && (digits_at == 1 || name[digits_at - 2] == '-');
}

bool zkl_split_sequence(struct zkl_slice name, size_t *prefix_size, int64_t *sequence)
{
    if (name.size < DIGITS) return false;
    size_t digits_at = name.size - DIGITS;
    int64_t value = 0;
    for (size_t i = digits_at; i < name.size; i++) {
        if (!is_digit(name.base[i])) return false;
        value = value * 10 + (name.base[i] - '0');
    }
    bool negative = is_negative(name.base, digits_at, value);
    if (value > (negative ? -(int64_t)INT32_MIN : INT32_MAX)) return false;
    *prefix_size = negative ? digits_at - 1 : digits_at;
    *sequence = negative ? -value : value;
    return true;
}

size_t zkl_format_hex(char buffer[ZKL_HEX_SIZE_MAX], uint64_t value)
{
    size_t size = 3;
    for (uint64_t rest = value >> 4; rest != 0; rest >>= 4) size++;
    buffer[0] = '0';
    buffer[1] = 'x';
    for (size_t i = size; i > 2; i--) {
        buffer[i - 1] = "0123456789abcdef"[value & 15];
        value >>= 4;
    }
    return size;
}

static int hex_digit(uint8_t byte)
{
    if (is_digit(byte)) return byte - '0';
    if (byte >= 'a' && byte <= 'f') return byte - 'a' + 10;
    if (byte >= 'A' && byte <= 'F') return byte - 'A' + 10;
    return -1;
}

/* With or without "0x"; 1 to 16 digits. */
bool zkl_parse_hex(struct zkl_slice text, uint64_t *value)
{
    size_t at = 0;
    if (text.size > 2 && text.base[0] == '0' && (text.base[1] | 0x20) == 'x') at = 2;
    if (text.size == at || text.size - at > 16) return false;
    uint64_t sum = 0;
    for (; at < text.size; at++) {
        int digit = hex_digit(text.base[at]);
        if (digit < 0) return false;
        sum = sum << 4 | (uint64_t)digit;
    }
    *value = sum;
    return true;
}
