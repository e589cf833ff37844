/* What the core's four-letter words tell of the process and its files. Descriptors and files are
 * counted when a connection begins, which is the only moment at which a word can follow, and at
 * most once a second. */
#define _POSIX_C_SOURCE 200809L /* fstatat */
#define _DEFAULT_SOURCE

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "uv/host.h"

enum {
    REPORT_INTERVAL_MS = 1000,
    COUNTED_MAX = 1000 /* connections; with more, only the other descriptors' last count is new */
};

/* Of the directory's entries; 0 where it cannot be read. */
static size_t count_entries(const char *directory)
{
    DIR *entries = opendir(directory);
    if (entries == NULL) return 0;
    size_t count = 0;
    struct dirent *entry;
    while ((entry = readdir(entries)) != NULL) {
        if (entry->d_name[0] != '.') count++;
    }
    closedir(entries);
    return count;
}

static int64_t count_descriptors(struct zkl_host *host)
{
    if (host->open_count <= COUNTED_MAX) {
        size_t all = count_entries("/proc/self/fd"); /* and the one that reads this */
        host->other_descriptors = all > host->open_count ? all - host->open_count - 1 : 0;
    }
    return (int64_t)(host->open_count + host->other_descriptors);
}

static int64_t descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > INT_MAX) return INT_MAX;
    return (int64_t)limit.rlim_cur;
}

/* Of all files in version-2 below `directory`; 0 where there is none. */
static int64_t size_of_files(const char *directory)
{
    char name[PATH_MAX];
    snprintf(name, sizeof name, "%s/version-2", directory);
    DIR *files = opendir(name);
    if (files == NULL) return 0;
    int64_t total = 0;
    struct dirent *file;
    while ((file = readdir(files)) != NULL) {
        struct stat status;
        if (fstatat(dirfd(files), file->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0
            && S_ISREG(status.st_mode)) {
            total += status.st_size;
        }
    }
    closedir(files);
    return total;
}

void zkl_host_report(struct zkl_host *host, int64_t now_ms)
{
    const struct zkl_store_options *store = &host->options->store;
    if (now_ms < host->report_at_ms) return;
    host->report_at_ms = now_ms + REPORT_INTERVAL_MS;
    struct zkl_report report = {
        .open_descriptors = count_descriptors(host),
        .open_descriptors_max = descriptor_limit(),
    };
    if (store->data_directory != NULL) {
        report.data_bytes = report.log_bytes = size_of_files(store->data_directory);
        if (store->log_directory != NULL) report.log_bytes = size_of_files(store->log_directory);
    }
    zkl_server_report(host->server, &report);
}

/* By the names of Java's properties, as far as they mean something here. */
void zkl_host_describe_environment(char *text, size_t size)
{
    char name[256] = "unknown";
    char directory[PATH_MAX] = "unknown";
    struct utsname system = { .sysname = "unknown" };
    uv_passwd_t user = { .username = NULL };
    bool has_user = uv_os_get_passwd(&user) == 0;
    if (gethostname(name, sizeof name - 1) != 0) snprintf(name, sizeof name, "unknown");
    if (getcwd(directory, sizeof directory) == NULL) {
        snprintf(directory, sizeof directory, "unknown");
    }
    uname(&system);
    snprintf(text, size,
             "host.name=%s\nos.name=%s\nos.arch=%s\nos.version=%s\nuser.name=%s\nuser.home=%s\n"
             "user.dir=%s\n",
             name, system.sysname, system.machine, system.release,
             has_user && user.username != NULL ? user.username : "unknown",
             has_user && user.homedir != NULL ? user.homedir : "unknown", directory);
    if (has_user) uv_os_free_passwd(&user);
}
