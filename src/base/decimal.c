/* Whole numbers as decimal text: see decimal.h. */
#include "base/decimal.h"

size_t zkl_format_decimal(char buffer[ZKL_DECIMAL_SIZE_MAX], int64_t value)
{
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    size_t size = value < 0 ? 2 : 1;
    for (uint64_t more = rest / 10; more != 0; more /= 10) size++;
    if (value < 0) buffer[0] = '-';
    size_t at = size;
    do {
        buffer[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest != 0);
    return size;
}

bool zkl_parse_decimal(struct zkl_slice text, int64_t *value)
{
    size_t at = 0;
    bool negative = text.size > 0 && text.base[0] == '-';
    if (text.size > 0 && (text.base[0] == '-' || text.base[0] == '+')) at = 1;
    if (at == text.size) return false;
    uint64_t sum = 0, limit = negative ? UINT64_C(1) << 63 : INT64_MAX;
    for (; at < text.size; at++) {
        if (text.base[at] < '0' || text.base[at] > '9') return false;
        uint64_t digit = (uint64_t)(text.base[at] - '0');
        if (sum > (limit - digit) / 10) return false;
        sum = sum * 10 + digit;
    }
    *value = (int64_t)(negative ? 0 - sum : sum);
    return true;
}
