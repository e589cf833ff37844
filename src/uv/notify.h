/* What the service manager that started us is told, by systemd's protocol: one datagram to the
 * socket in NOTIFY_SOCKET. Without one, nothing. */
#ifndef ZKLUA_UV_NOTIFY_H
#define ZKLUA_UV_NOTIFY_H

/* `state` as "READY=1". Returns 0, or -errno: the manager will think that we never started. */
int zkl_notify(const char *state);

#endif
