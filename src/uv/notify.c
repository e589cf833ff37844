#define _POSIX_C_SOURCE 200809L
#define _DEFAULT_SOURCE /* SOCK_CLOEXEC */

#include "uv/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int zkl_notify(const char *state)
{
    const char *name = getenv("NOTIFY_SOCKET");
    if (name == NULL || name[0] == '\0') return 0;
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    size_t size = strlen(name);
    if (size >= sizeof address.sun_path) return -ENAMETOOLONG;
    memcpy(address.sun_path, name, size);
    if (name[0] == '@') address.sun_path[0] = '\0'; /* Linux's names outside of the file system */

    int manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (manager < 0) return -errno;
    socklen_t address_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
    ssize_t sent = sendto(manager, state, strlen(state), MSG_NOSIGNAL,
                          (const struct sockaddr *)&address, address_size);
    int status = sent < 0 ? -errno : 0;
    close(manager);
    return status;
}
