/* first PROTOCOL PORT KEY FD COMMAND...
 *
 * Becomes COMMAND, a server, and leaves a process behind that asks it until it answers: for KEY,
 * in whole and without an error. The milliseconds that took since COMMAND began go to FD as text;
 * nothing does if the server ends before. So a start is measured without the time that a script
 * needs to start a process and to connect. */
#define _GNU_SOURCE
#include "jute.h"
#include "measure.h"
#include "protocol.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* Apache takes connections before it serves, and some of those it never answers: ask again. */
enum { PAUSE_US = 200, REPLY_TIMEOUT_MS = 100, START_TIMEOUT_S = 120, REPLY_MAX = 4096 };

struct question {
    const struct protocol *protocol;
    bool redis;
    int port;
    const char *key;
};

/* A frame; of Redis, a line is enough. */
static bool is_whole(const struct question *question, const uint8_t *reply, size_t size)
{
    if (question->redis) return size > 0 && memchr(reply, '\n', size) != NULL;
    return size >= 4 && size >= (size_t)get32(reply) + 4;
}

static bool receive(const struct question *question, int connection, uint8_t reply[REPLY_MAX])
{
    size_t size = 0;
    do {
        ssize_t count = recv(connection, reply + size, REPLY_MAX - size, 0);
        if (count <= 0) return false;
        size += (size_t)count;
    } while (!is_whole(question, reply, size));
    return true;
}

static bool converse(const struct question *question, int connection)
{
    struct request request;
    uint8_t bytes[REQUEST_MAX], reply[REPLY_MAX];
    size_t size = question->protocol->greeting(bytes);
    if (send(connection, bytes, size, MSG_NOSIGNAL) != (ssize_t)size) return false;
    if (!receive(question, connection, reply) || reply[0] == '-') return false;
    question->protocol->prepare(&request, OPERATION_GET, question->key, 0);
    size = request_write(&request, bytes, 1, 0);
    if (send(connection, bytes, size, MSG_NOSIGNAL) != (ssize_t)size) return false;
    if (!receive(question, connection, reply)) return false;
    if (!question->redis) return get32(reply + 16) == 0;
    /* Every ZooKeeper has "/"; a Redis need not. */
    return reply[0] == '$' && (reply[1] != '-' || strcmp(question->key, "/") == 0);
}

static bool answers(const struct question *question)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)question->port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct timeval timeout = { .tv_usec = REPLY_TIMEOUT_MS * 1000 };
    int connection = socket(AF_INET, SOCK_STREAM, 0);
    if (connection < 0) return false;
    setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    bool good = connect(connection, (struct sockaddr *)&address, sizeof address) == 0 &&
                converse(question, connection);
    close(connection);
    return good;
}

/* Ends when the server does. */
_Noreturn static void ask_until_answered(const struct question *question, int server, int output,
                                         const volatile uint64_t *began_ns)
{
    const struct timespec pause = { .tv_nsec = PAUSE_US * 1000 };
    struct pollfd end = { .fd = server, .events = POLLIN };
    prctl(PR_SET_TIMERSLACK, 1);
    do {
        if (ppoll(&end, 1, &pause, NULL) != 0) _exit(1);
        if (*began_ns != 0 && measure_now_ns() - *began_ns > START_TIMEOUT_S * 1000000000ull) {
            _exit(1);
        }
    } while (*began_ns == 0 || !answers(question));
    dprintf(output, "%.3f\n", (double)(measure_now_ns() - *began_ns) / 1e6);
    _exit(0);
}

int main(int argc, char **argv)
{
    if (argc < 6) measure_fail("first zookeeper|redis PORT KEY FD COMMAND...");
    const struct question question = { protocol_by_name(argv[1]), strcmp(argv[1], "redis") == 0,
                                       atoi(argv[2]), argv[3] };
    int output = atoi(argv[4]);
    volatile uint64_t *began_ns = mmap(NULL, sizeof *began_ns, PROT_READ | PROT_WRITE,
                                       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int server = (int)syscall(SYS_pidfd_open, getpid(), 0);
    if (began_ns == MAP_FAILED || server < 0 || fcntl(output, F_SETFD, FD_CLOEXEC) != 0) {
        measure_fail("cannot begin: %s", strerror(errno));
    }
    /* Not the server's child, which it would never wait for. */
    pid_t between = fork();
    if (between == 0) {
        if (fork() == 0) ask_until_answered(&question, server, output, began_ns);
        _exit(0);
    }
    waitpid(between, NULL, 0);
    *began_ns = measure_now_ns();
    execvp(argv[5], argv + 5);
    measure_fail("cannot run %s: %s", argv[5], strerror(errno));
}
