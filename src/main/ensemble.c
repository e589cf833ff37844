/* From one server to several: a data directory becomes one folder per server of an Apache
 * ZooKeeper ensemble, each with all the data.
 *
 * All of them need it: servers that start empty and are a majority would win the first vote, and
 * the data would be overwritten. */
#define _POSIX_C_SOURCE 200809L
#define _DEFAULT_SOURCE /* realpath */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "main/machine.h"
#include "main/properties.h"
#include "main/server.h"

enum { MEMBERS_MAX = 31, PORTS = 3, SLICE_SIZE = 256 * 1024 };

struct member {
    const char *host;
    int ports[PORTS]; /* for clients, the quorum, elections */
};

struct export {
    struct member members[MEMBERS_MAX];
    size_t count;
    char out[PATH_MAX]; /* absolute: zoo.cfg names directories by it */
    int snapshots[MEMBERS_MAX];
    uint8_t slice[SLICE_SIZE];
};

__attribute__((format(printf, 1, 2)))
static bool complain(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("zklua: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    return false;
}

/* --- who ------------------------------------------------------------------------ */

static bool parse_ports(char *text, struct member *member)
{
    for (size_t i = 0; i < PORTS && text != NULL; i++) {
        char *colon = strchr(text, ':');
        if (colon != NULL) *colon = '\0';
        size_t size = strlen(text);
        long port = size > 0 && size <= 5 && strspn(text, "0123456789") == size
            ? strtol(text, NULL, 10) : 0;
        if (port < 1 || port > 65535) {
            return complain("%s: '%s' is no port", member->host, text);
        }
        member->ports[i] = (int)port;
        text = colon != NULL ? colon + 1 : NULL;
    }
    return text == NULL || complain("%s: HOST:CLIENT:QUORUM:ELECTION is all", member->host);
}

/* HOST, or HOST:CLIENT, or HOST:CLIENT:QUORUM:ELECTION; an IPv6 address in brackets. */
static bool parse_member(char *text, struct member *member)
{
    *member = (struct member) { text, { 2181, 2888, 3888 } };
    char *rest = text[0] == '[' ? strchr(text, ']') : text;
    if (rest == NULL) return complain("%s: the bracket is not closed", text);
    char *colon = strchr(rest, ':');
    if (colon != NULL) *colon = '\0';
    if (text[0] == '\0') return complain("a host has no name");
    /* What would end a line of zoo.cfg, or begin something else in it. */
    for (const char *c = text; *c != '\0'; c++) {
        if (*c <= ' ' || *c > '~' || strchr("\\;|#=", *c) != NULL) {
            return complain("'%s' is no host", text);
        }
    }
    return colon == NULL || parse_ports(colon + 1, member);
}

/* A port of a host is one server's, and for one purpose. */
static bool check_ports(const struct export *export)
{
    for (size_t i = 0; i < PORTS * export->count; i++) {
        const struct member *member = &export->members[i / PORTS];
        int port = member->ports[i % PORTS];
        for (size_t j = 0; j < i; j++) {
            const struct member *other = &export->members[j / PORTS];
            if (other->ports[j % PORTS] != port || strcasecmp(other->host, member->host) != 0) {
                continue;
            }
            return complain("%s:%d is there twice", member->host, port);
        }
    }
    return true;
}

static bool parse_members(char *hosts, struct export *export)
{
    for (char *next = hosts; next != NULL;) {
        char *comma = strchr(next, ',');
        if (comma != NULL) *comma = '\0';
        if (export->count == MEMBERS_MAX) return complain("at most %d hosts", MEMBERS_MAX);
        if (!parse_member(next, &export->members[export->count])) return false;
        export->count++;
        next = comma != NULL ? comma + 1 : NULL;
    }
    if (export->count > 1) return check_ports(export);
    return complain("an ensemble has several hosts, most often three; one server of Apache's runs "
                    "on the directory as it is");
}

/* --- their folders ------------------------------------------------------------------ */

__attribute__((format(printf, 4, 5)))
static bool put_name(char name[PATH_MAX], const struct export *export, size_t index,
                     const char *format, ...)
{
    int size = snprintf(name, PATH_MAX, "%s/server.%zu", export->out, index + 1);
    va_list arguments;
    va_start(arguments, format);
    if (size < PATH_MAX) {
        size += vsnprintf(name + size, (size_t)(PATH_MAX - size), format, arguments);
    }
    va_end(arguments);
    return size < PATH_MAX || complain("%s: %s", export->out, strerror(ENAMETOOLONG));
}

static bool make_directory(const char *name)
{
    return mkdir(name, 0777) == 0 || complain("%s: %s", name, strerror(errno));
}

static bool sync_directory(const char *name)
{
    int directory = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool done = directory >= 0 && fsync(directory) == 0;
    int reason = errno;
    if (directory >= 0) close(directory);
    return done || complain("%s: %s", name, strerror(reason));
}

static bool write_text(const char *name, const char *text)
{
    int file = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    size_t size = strlen(text);
    bool done = file >= 0 && write(file, text, size) == (ssize_t)size && fsync(file) == 0;
    int reason = errno;
    if (file >= 0) close(file);
    return done || complain("%s: %s", name, strerror(reason));
}

static bool write_config(const struct export *export, size_t index)
{
    static const char head[] =
        "# Written by zklua server --to-ensemble. Where this folder moves, dataDir moves along.\n"
        "# Every server of the ensemble needs its folder before the first of them starts.\n"
        "tickTime=2000\n"
        "initLimit=10\n"
        "syncLimit=5\n"
        "extendedTypesEnabled=true\n";
    char name[PATH_MAX];
    char data[PATH_MAX];
    char escaped[6 * PATH_MAX];
    if (!put_name(name, export, index, "/zoo.cfg")) return false;
    if (!put_name(data, export, index, "/data")) return false;
    if (!zkl_properties_escape(data, escaped, sizeof escaped)) {
        return complain("%s: the name is not UTF-8, and a zoo.cfg could not have it", data);
    }
    FILE *file = fopen(name, "wx");
    if (file == NULL) return complain("%s: %s", name, strerror(errno));
    fprintf(file, "%sdataDir=%s\nclientPort=%d\n", head, escaped,
            export->members[index].ports[0]);
    for (size_t i = 0; i < export->count; i++) {
        const struct member *member = &export->members[i];
        fprintf(file, "server.%zu=%s:%d:%d\n", i + 1, member->host, member->ports[1],
                member->ports[2]);
    }
    bool done = fflush(file) == 0 && fsync(fileno(file)) == 0;
    int reason = errno;
    if (fclose(file) != 0) done = false;
    return done || complain("%s: %s", name, strerror(reason));
}

static bool make_folder(const struct export *export, size_t index)
{
    char name[PATH_MAX];
    char id[32];
    snprintf(id, sizeof id, "%zu\n", index + 1);
    return put_name(name, export, index, "%s", "") && make_directory(name)
        && put_name(name, export, index, "/data") && make_directory(name)
        && put_name(name, export, index, "/data/version-2") && make_directory(name)
        && put_name(name, export, index, "/data/myid") && write_text(name, id)
        && write_config(export, index);
}

/* --- the data ------------------------------------------------------------------------- */

static bool write_slice(const struct export *export, size_t size)
{
    for (size_t i = 0; i < export->count; i++) {
        for (size_t done = 0; done < size;) {
            ssize_t written = write(export->snapshots[i], export->slice + done, size - done);
            if (written < 0 && errno == EINTR) continue;
            if (written < 0) return complain("%s: %s", export->out, strerror(errno));
            done += (size_t)written;
        }
    }
    return true;
}

static bool write_slices(struct export *export, struct zkl_server *server)
{
    while (true) {
        size_t size;
        if (zkl_server_snapshot_next(server, export->slice, sizeof export->slice, &size)
            != ZKL_OK) {
            return complain("out of memory");
        }
        if (size == 0) return true;
        if (!write_slice(export, size)) return false;
    }
}

static bool open_snapshots(struct export *export, int64_t zxid)
{
    for (size_t i = 0; i < export->count; i++) {
        char name[PATH_MAX];
        if (!put_name(name, export, i, "/data/version-2/snapshot.%" PRIx64, (uint64_t)zxid)) {
            return false;
        }
        export->snapshots[i] = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (export->snapshots[i] < 0) return complain("%s: %s", name, strerror(errno));
    }
    return true;
}

static bool close_snapshots(struct export *export)
{
    bool done = true;
    for (size_t i = 0; i < export->count; i++) {
        if (export->snapshots[i] < 0) continue;
        if (fsync(export->snapshots[i]) != 0) done = false;
        if (close(export->snapshots[i]) != 0) done = false;
    }
    return done || complain("%s: %s", export->out, strerror(errno));
}

static bool write_snapshots(struct export *export, struct zkl_server *server)
{
    int64_t zxid;
    if (zkl_server_snapshot_begin(server, &zxid) != ZKL_OK) return complain("out of memory");
    for (size_t i = 0; i < export->count; i++) export->snapshots[i] = -1;
    bool done = open_snapshots(export, zxid) && write_slices(export, server);
    zkl_server_snapshot_end(server);
    return close_snapshots(export) && done;
}

static bool sync_folders(const struct export *export)
{
    static const char *const folders[] = { "/data/version-2", "/data", "" };
    for (size_t i = 0; i < export->count; i++) {
        for (size_t j = 0; j < sizeof folders / sizeof folders[0]; j++) {
            char name[PATH_MAX];
            if (!put_name(name, export, i, "%s", folders[j])) return false;
            if (!sync_directory(name)) return false;
        }
    }
    return sync_directory(export->out);
}

/* --- all of it --------------------------------------------------------------------------- */

static bool write_all(struct export *export, struct zkl_server *server, const char *out)
{
    if (realpath(out, export->out) == NULL) return complain("%s: %s", out, strerror(errno));
    for (size_t i = 0; i < export->count; i++) {
        if (!make_folder(export, i)) return false;
    }
    return write_snapshots(export, server) && sync_folders(export);
}

/* Some folders, or a part of the data, would pass for all of it. */
static void remove_all(const struct export *export, int64_t zxid, const char *out)
{
    static const char *const parts[] = {
        "/zoo.cfg", "/data/myid", "/data/version-2", "/data", "",
    };
    char name[PATH_MAX];
    for (size_t i = 0; i < export->count && export->out[0] != '\0'; i++) {
        if (put_name(name, export, i, "/data/version-2/snapshot.%" PRIx64, (uint64_t)zxid)) {
            unlink(name);
        }
        for (size_t j = 0; j < sizeof parts / sizeof parts[0]; j++) {
            if (put_name(name, export, i, "%s", parts[j])) remove(name);
        }
    }
    rmdir(out);
}

static bool make_all(struct export *export, struct zkl_server *server, const char *out)
{
    if (!make_directory(out)) return false;
    if (write_all(export, server, out)) return true;
    remove_all(export, zkl_server_zxid(server), out);
    return false;
}

static void print_next_steps(const struct export *export, const struct zkl_server *server)
{
    struct zkl_server_counts counts;
    zkl_server_count(server, &counts);
    printf("%" PRIu64 " nodes as of zxid 0x%" PRIx64 ", for %zu servers:\n", counts.nodes,
           (uint64_t)zkl_server_zxid(server), export->count);
    for (size_t i = 0; i < export->count; i++) {
        printf("  %s/server.%zu   for %s\n", export->out, i + 1, export->members[i].host);
    }
    printf("Put each folder on its host (where it lies elsewhere, change dataDir in its zoo.cfg),\n"
           "then start Apache ZooKeeper on all of them with that zoo.cfg.\n");
}

static int export_directory(struct export *export, const char *name, const char *out)
{
    struct zkl_directory directory;
    int found = zkl_directory_find(&directory, name);
    if (found != ZKL_EXIT_OK) return found;
    struct zkl_store_report report = { .text = "" };
    struct zkl_server *server = zkl_directory_server();
    if (server == NULL) return ZKL_EXIT_FAILED;
    directory.options.owner = "zklua server --to-ensemble";
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is a failed write, which is told */
    struct zkl_store *store = zkl_store_open(&directory.options, server, &report);
    bool done = false;
    if (store == NULL) {
        complain("%s: %s", name, report.text);
    } else {
        if (report.text[0] != '\0') complain("%s: %s", name, report.text);
        done = make_all(export, server, out);
        if (done) print_next_steps(export, server);
        zkl_store_close(store);
    }
    zkl_server_free(server);
    return done ? ZKL_EXIT_OK : ZKL_EXIT_FAILED;
}

int zkl_to_ensemble(char *hosts, const char *name, const char *out)
{
    struct export *export = calloc(1, sizeof *export);
    if (export == NULL) {
        complain("out of memory");
        return ZKL_EXIT_FAILED;
    }
    int status = parse_members(hosts, export) ? export_directory(export, name, out)
                                              : ZKL_EXIT_USAGE;
    free(export);
    return status;
}
