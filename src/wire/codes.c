/* The names of error codes. */
#include "zklua/wire.h"

const char *zkl_code_name(int32_t code)
{
    switch (code) {
#define X(name, number) \
    case (number):      \
        return #name;
        ZKL_CODES(X)
#undef X
    default:
        return NULL; /* newer servers may have more: the number is passed on */
    }
}
