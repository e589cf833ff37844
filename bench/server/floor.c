/* floor DIRECTORY
 *
 * What no server on this machine can go below: the round trip of a plain echo over TCP on
 * loopback, between two processes that block in recv; and making 512 bytes durable in a file of
 * DIRECTORY, both where the file has its blocks already and where it grows. */
#define _GNU_SOURCE
#include "measure.h"
#include "protocol.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ROUND_TRIPS = 20000, SYNCS = 1000, ECHO_SIZE = 100, RECORD_SIZE = 512 };

_Noreturn static void echo(int listener)
{
    uint8_t bytes[ECHO_SIZE];
    int on = 1;
    ssize_t size;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int connection = accept(listener, NULL, NULL);
    setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    while ((size = recv(connection, bytes, sizeof bytes, 0)) > 0) {
        send_all(connection, bytes, (size_t)size);
    }
    _exit(0);
}

static void measure_echo(void)
{
    struct measure measure;
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof address;
    uint8_t bytes[ECHO_SIZE] = { 0 };
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener, 1) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) != 0) {
        measure_fail("cannot listen");
    }
    if (fork() == 0) echo(listener);
    int connection = connect_to(ntohs(address.sin_port));
    measure_start(&measure, ROUND_TRIPS);
    for (size_t i = 0; i < ROUND_TRIPS; i++) {
        uint64_t started_ns = measure_now_ns();
        send_all(connection, bytes, sizeof bytes);
        if (recv(connection, bytes, sizeof bytes, MSG_WAITALL) != ECHO_SIZE) {
            measure_fail("no echo");
        }
        measure_latency(&measure, started_ns);
    }
    close(connection);
    measure_percentiles(&measure, "echo");
}

static void measure_sync(const char *directory, const char *name, bool grows)
{
    struct measure measure;
    uint8_t record[RECORD_SIZE];
    char path[4096];
    memset(record, 'r', sizeof record);
    snprintf(path, sizeof path, "%s/floor", directory);
    int file = open(path, O_CREAT | O_TRUNC | O_RDWR, 0600);
    if (file < 0) measure_fail("cannot write %s", path);
    for (size_t i = 0; !grows && i < SYNCS; i++) {
        if (write(file, record, sizeof record) != RECORD_SIZE) measure_fail("cannot write");
    }
    if (fsync(file) != 0) measure_fail("cannot sync");
    measure_start(&measure, SYNCS);
    for (size_t i = 0; i < SYNCS; i++) {
        uint64_t started_ns = measure_now_ns();
        if (pwrite(file, record, sizeof record, (off_t)(i * RECORD_SIZE)) != RECORD_SIZE ||
            fdatasync(file) != 0) {
            measure_fail("cannot write");
        }
        measure_latency(&measure, started_ns);
    }
    close(file);
    unlink(path);
    measure_percentiles(&measure, name);
}

int main(int argc, char **argv)
{
    if (argc != 2) measure_fail("floor DIRECTORY");
    measure_echo();
    measure_sync(argv[1], "sync", false);
    measure_sync(argv[1], "grow", true);
    putchar('\n');
    return 0;
}
