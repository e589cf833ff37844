/* What there is to do about a data directory without serving it. */
#define _DEFAULT_SOURCE

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "main/machine.h"
#include "main/properties.h"
#include "main/server.h"

/* --- which ---------------------------------------------------------------------------------- */

/* Of a zoo.cfg two keys count here, whatever else it says: what a server of ours would refuse to
 * serve, an ensemble say, has its data all the same. */
static bool take_property(void *user, int line, const char *key, const char *value)
{
    struct zkl_directory *directory = user;
    bool data = strcmp(key, "dataDir") == 0;
    (void)line;
    if (!data && strcmp(key, "dataLogDir") != 0) return true;
    if (strlen(value) >= ZKL_ZOO_CFG_PATH_MAX) {
        fprintf(stderr, "zklua: %s is too long\n", key);
        return false;
    }
    strcpy(data ? directory->data : directory->log, value);
    return true;
}

static int read_config(struct zkl_directory *directory, const char *name)
{
    size_t size;
    const char *why = NULL;
    char *text = zkl_config_read(name, &size);
    if (text == NULL) return ZKL_EXIT_USAGE;
    int line = zkl_properties_read(text, size, take_property, directory, &why);
    free(text);
    if (line > 0) fprintf(stderr, "zklua: %s:%d: %s\n", name, line, why);
    if (line != 0) return ZKL_EXIT_USAGE;
    if (directory->data[0] != '\0') return ZKL_EXIT_OK;
    fprintf(stderr, "zklua: %s: dataDir is not set\n", name);
    return ZKL_EXIT_USAGE;
}

/* A name alone says nothing about logs elsewhere. */
static int use_directory(struct zkl_directory *directory, const char *name)
{
    struct zkl_store_report report;
    if (strlen(name) >= sizeof directory->data) {
        fprintf(stderr, "zklua: %s: %s\n", name, strerror(ENAMETOOLONG));
        return ZKL_EXIT_FAILED;
    }
    strcpy(directory->data, name);
    if (zkl_store_complete(&directory->options, &report) == 0) return ZKL_EXIT_OK;
    fprintf(stderr, "zklua: %s: %s\n", name, report.text);
    return ZKL_EXIT_FAILED;
}

int zkl_directory_find(struct zkl_directory *directory, const char *name)
{
    struct stat about;
    directory->data[0] = directory->log[0] = '\0';
    directory->options = (struct zkl_store_options) {
        .allocator = zkl_machine_allocator,
        .files = &zkl_posix_files,
        .data_directory = directory->data,
        .snapshots_kept = 3,
        .snapshot_bytes_max = -1,
        .log_bytes_max = -1,
        .seed = zkl_machine_seed(),
    };
    if (stat(name, &about) != 0 || !S_ISREG(about.st_mode)) return use_directory(directory, name);
    int status = read_config(directory, name);
    if (directory->log[0] != '\0') directory->options.log_directory = directory->log;
    return status;
}

/* --- what is in it ---------------------------------------------------------------------------- */

struct zkl_server *zkl_directory_server(void)
{
    const struct zkl_server_options options = {
        .allocator = zkl_machine_allocator,
        .crypto = zkl_machine_crypto,
        .seed = zkl_machine_seed(),
        .ttl_nodes = true,
    };
    struct zkl_server *server = zkl_server_new(&options);
    if (server == NULL) fprintf(stderr, "zklua: out of memory\n");
    return server;
}

static void print_content(const struct zkl_server *server)
{
    struct zkl_server_counts counts;
    zkl_server_count(server, &counts);
    printf("zxid 0x%" PRIx64 ", %" PRIu64 " nodes, %" PRIu64 " sessions, digest 0x%" PRIx64 "\n",
           (uint64_t)zkl_server_zxid(server), counts.nodes, counts.sessions,
           zkl_server_digest(server));
}

/* What was done says itself; then what is there now, in `result`. */
static int conclude(const char *name, const char *result, int status,
                    const struct zkl_store_report *report, struct zkl_server *server)
{
    const char *text = report->text[0] != '\0' ? report->text : NULL;
    if (status != 0) {
        fprintf(stderr, "zklua: %s: %s\n", name, text != NULL ? text : strerror(-status));
    } else {
        if (text != NULL) printf("%s: %s\n", result, text);
        printf("%s: ", result);
        print_content(server);
    }
    zkl_server_free(server);
    return status == 0 ? ZKL_EXIT_OK : ZKL_EXIT_FAILED;
}

int zkl_directory_check(const char *name)
{
    struct zkl_directory directory;
    struct zkl_store_report report = { .text = "" };
    int found = zkl_directory_find(&directory, name);
    if (found != ZKL_EXIT_OK) return found;
    struct zkl_server *server = zkl_directory_server();
    if (server == NULL) return ZKL_EXIT_FAILED;
    int status = zkl_store_check(&directory.options, server, &report);
    return conclude(name, name, status, &report, server);
}

/* How much of a path is there already: the size of its longest beginning that is. */
static size_t size_that_exists(const char *path)
{
    char part[PATH_MAX];
    struct stat about;
    snprintf(part, sizeof part, "%s", path);
    while (part[0] != '\0' && stat(part, &about) != 0) {
        char *slash = strrchr(part, '/');
        *(slash != NULL ? slash : part) = '\0';
    }
    return strlen(part);
}

/* Removes the empty directories at the end of a path, of which `kept` bytes stay. */
static void remove_directories(const char *path, size_t kept)
{
    char part[PATH_MAX];
    snprintf(part, sizeof part, "%s", path);
    while (strlen(part) > kept && (rmdir(part) == 0 || errno == ENOENT)) {
        char *slash = strrchr(part, '/');
        *(slash != NULL ? slash : part) = '\0';
    }
}

/* A failure leaves nothing behind: the store removes its files, and what holds them goes here. */
int zkl_directory_salvage(const char *name, const char *out)
{
    char path[PATH_MAX];
    int size = snprintf(path, sizeof path, "%s/version-2", out);
    if (size < 0 || size >= PATH_MAX) {
        fprintf(stderr, "zklua: %s: %s\n", out, strerror(ENAMETOOLONG));
        return ZKL_EXIT_FAILED;
    }
    size_t before = size_that_exists(path);
    struct zkl_directory directory;
    int found = zkl_directory_find(&directory, name);
    if (found != ZKL_EXIT_OK) return found;
    struct zkl_store_report report = { .text = "" };
    struct zkl_server *server = zkl_directory_server();
    if (server == NULL) return ZKL_EXIT_FAILED;
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is a failed write, which is told */
    int status = zkl_store_salvage(&directory.options, out, server, &report);
    if (status != 0) remove_directories(path, before);
    return conclude(name, out, status, &report, server);
}
