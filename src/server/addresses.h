/* IP addresses and networks as text: what the scheme `ip` writes and compares. */
#ifndef ZKLUA_SERVER_ADDRESSES_H
#define ZKLUA_SERVER_ADDRESSES_H

#include "zklua/base.h"

struct zkl_network {
    uint8_t address[16]; /* IPv4 in the first four */
    uint8_t size;        /* 4 or 16 */
    uint8_t bits;        /* that have to be equal */
};
/* "10.0.0.1", "10.0.0.0/8", "2001:db8::/32". false: none of these. */
bool zkl_network_parse(struct zkl_slice text, struct zkl_network *network);
bool zkl_network_has(const struct zkl_network *network, const uint8_t *address, size_t size);

/* As Java writes addresses: all eight groups of an IPv6 one, without leading zeros. Returns the
 * length. */
#define ZKL_ADDRESS_TEXT_MAX 39
size_t zkl_address_format(const uint8_t *address, size_t size, char text[ZKL_ADDRESS_TEXT_MAX]);

#endif
