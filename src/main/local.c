/* The helper process of `local:`: see local.h. What it is beside a server is here as far as it is
 * done before the loop turns; who may connect, which session ends with which process and when the
 * helper ends is the loop's (uv/owners.c, uv/idle.c). */
#define _GNU_SOURCE /* close_range, O_NOFOLLOW */

#include "main/local.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "main/plan.h"
#include "main/server.h"
#include "uv/log.h"

struct helper {
    struct zkl_plan plan;
    char name[PATH_MAX]; /* of the directory, for people: we go by "." */
    int log;             /* local.log; -1 once it is stderr */
};

__attribute__((format(printf, 1, 2)))
static int refused(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("zklua: local: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    return ZKL_EXIT_FAILED;
}

/* --- the process -------------------------------------------------------------------------- */

/* What was left open would be held for as long as the helper lives: a terminal, a pipe whose
 * reader waits for its end, a lock. */
static void close_others(void)
{
    if (close_range(STDERR_FILENO + 1, ~0U, 0) == 0) return;
    long most = sysconf(_SC_OPEN_MAX); /* a kernel before 5.9 */
    for (int i = STDERR_FILENO + 1; i < most; i++) close(i);
}

/* Nothing goes to a file that happens to get a number of these three. */
static void fill_standard_files(void)
{
    int null;
    do null = open("/dev/null", O_RDWR); while (null >= 0 && null <= STDERR_FILENO);
    if (null < 0) return;
    dup2(null, STDIN_FILENO);
    close(null);
}

/* On its own: whoever starts it may end, in any way, before it does. */
static void stand_alone(void)
{
    sigset_t none;
    close_others();
    fill_standard_files();
    setsid(); /* fails where it has been done, or at a shell, whose Ctrl-C then counts */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_IGN);
    umask(077);
    unsetenv("NOTIFY_SOCKET"); /* the service is the program that started us, if it is one */
}

static void say(char news)
{
    ssize_t written = write(STDOUT_FILENO, &news, 1);
    (void)written; /* who asked may have gone */
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0) return;
    dup2(null, STDOUT_FILENO);
    close(null);
}

/* --- the directory ------------------------------------------------------------------------- */

/* With its parents, and synced as far as they are new. The store's own directory is made on the
 * way: it is the one whose name the store syncs. */
static int make_directory(const char *name)
{
    char inner[PATH_MAX + 16];
    snprintf(inner, sizeof inner, "%s/version-2", name);
    int status = zkl_posix_files.make_directory(zkl_posix_files.context, inner);
    return status < 0 ? status : 0;
}

/* A directory that others may write to could have been prepared by them, and one that they may
 * read would show them what lies in it. It is not mended: somebody may want it as it is, and
 * what others have done in it would stay. */
static int check_directory(const char *name, int directory)
{
    struct stat about;
    if (fstat(directory, &about) != 0) return refused("%s: %s", name, strerror(errno));
    if (about.st_uid != geteuid()) {
        return refused("%s belongs to user id %lu, and this is user id %lu; choose another "
                       "directory with local:DIR", name, (unsigned long)about.st_uid,
                       (unsigned long)geteuid());
    }
    if ((about.st_mode & 077) != 0) {
        return refused("%s is open to other users (mode %o); close it with 'chmod 700', or choose "
                       "another directory with local:DIR", name,
                       (unsigned)(about.st_mode & 07777));
    }
    return ZKL_EXIT_OK;
}

static int open_directory(const char *name)
{
    return open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Makes it where it is not there, and goes there: from here on it is ".", whatever becomes of its
 * name, and so a helper never writes into another directory that was put in its place. */
static int enter_directory(struct helper *helper, const char *name)
{
    if (strlen(name) >= PATH_MAX) return refused("%.40s...: %s", name, strerror(ENAMETOOLONG));
    int directory = open_directory(name);
    if (directory < 0 && errno == ENOENT) {
        int status = make_directory(name);
        if (status != 0) return refused("%s cannot be made: %s", name, strerror(-status));
        directory = open_directory(name);
    }
    if (directory < 0) return refused("%s cannot be used: %s", name, strerror(errno));
    int status = check_directory(name, directory);
    if (status == ZKL_EXIT_OK && fchdir(directory) != 0) {
        status = refused("%s cannot be used: %s", name, strerror(errno));
    }
    close(directory);
    if (status == ZKL_EXIT_OK && getcwd(helper->name, sizeof helper->name) == NULL) {
        strcpy(helper->name, name);
    }
    return status;
}

/* --- its files ------------------------------------------------------------------------------- */

/* The lock, which ends with the process; -1: another helper has it; -2: it was said what fails. */
static int take_lock(const struct helper *helper)
{
    int file = open(ZKL_LOCAL_LOCK, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (file < 0) {
        refused("%s/" ZKL_LOCAL_LOCK " cannot be opened: %s", helper->name, strerror(errno));
        return -2;
    }
    int status;
    do status = flock(file, LOCK_EX | LOCK_NB); while (status != 0 && errno == EINTR);
    if (status == 0) return file;
    int reason = errno;
    close(file);
    if (reason == EWOULDBLOCK) return -1;
    refused("%s/" ZKL_LOCAL_LOCK " cannot be locked: %s; is it on a network file system? choose a "
            "directory of this machine with local:DIR", helper->name, strerror(reason));
    return -2;
}

/* Only a note for people: a full disk is no reason not to serve. */
static void sign_lock(int lock)
{
    char owner[ZKL_OWNER_TEXT_MAX];
    char line[ZKL_OWNER_TEXT_MAX + 1];
    zkl_plan_owner(owner);
    int size = snprintf(line, sizeof line, "%s\n", owner);
    if (pwrite(lock, line, (size_t)size, 0) == size && ftruncate(lock, size) != 0) return;
}

/* Opened while its failure can be told, written from '+' on. */
static int open_log(const struct helper *helper)
{
    int flags = O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    int file = open(ZKL_LOCAL_LOG, flags, 0600);
    if (file >= 0) return file;
    zkl_log(ZKL_LOG_WARNING, "%s/" ZKL_LOCAL_LOG " cannot be opened, and nothing is logged: %s",
            helper->name, strerror(errno));
    return open("/dev/null", O_WRONLY | O_CLOEXEC);
}

/* --- serving --------------------------------------------------------------------------------- */

/* First the log is stderr, then the starter is told; what is left in it from the last time goes
 * afterwards, because on a busy disk that may take as long as the rest of a start. */
static void on_ready(void *user)
{
    struct helper *helper = user;
    if (helper->log >= 0) dup2(helper->log, STDERR_FILENO);
    say('+');
    if (helper->log < 0) return;
    if (ftruncate(helper->log, 0) == 0) zkl_log_limit(ZKL_LOCAL_LOG_MAX);
    close(helper->log);
    helper->log = -1;
}

static int serve(struct helper *helper)
{
    struct zkl_plan *plan = &helper->plan;
    zkl_plan_defaults(plan);
    strcpy(plan->cfg.data_directory, ".");
    plan->listen[0] = "unix:" ZKL_LOCAL_SOCKET;
    plan->listen_count = 1;
    plan->local = (struct zkl_serve_local) {
        .own_processes = true,
        .idle_ms = ZKL_LOCAL_IDLE_MS,
        .name = helper->name,
        .on_ready = on_ready,
        .user = helper,
    };
    helper->log = open_log(helper);
    return zkl_plan_serve(plan);
}

int zkl_local_main(const char *directory)
{
    char own[ZKL_ZOO_CFG_PATH_MAX];
    stand_alone();
    if (directory == NULL) {
        int status = zkl_plan_state_directory(own);
        if (status != ZKL_EXIT_OK) return status;
        directory = own;
    }
    struct helper *helper = calloc(1, sizeof *helper);
    if (helper == NULL) return refused("%s", strerror(ENOMEM));
    int status = enter_directory(helper, directory);
    if (status == ZKL_EXIT_OK) {
        int lock = take_lock(helper);
        if (lock >= 0) {
            sign_lock(lock);
            status = serve(helper);
            close(lock);
        } else if (lock == -1) {
            say('=');
        } else {
            status = ZKL_EXIT_FAILED;
        }
    }
    free(helper);
    return status;
}
