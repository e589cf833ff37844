#define _POSIX_C_SOURCE 200809L /* what uv.h needs */

#include "main/server.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "main/local.h"
#include "main/plan.h"

static const char usage[] =
    "usage: zklua server [--data DIR | --memory] [--listen ADDRESS[,ADDRESS...]]\n"
    "       zklua server ZOO.CFG\n"
    "       zklua server --local [DIR]\n"
    "       zklua server --check DIR|ZOO.CFG\n"
    "       zklua server --salvage DIR|ZOO.CFG OUT\n"
    "       zklua server --to-ensemble HOST,HOST,HOST DIR|ZOO.CFG OUT\n"
    "\n"
    "Serves ZooKeeper clients. Without options it keeps its data under this user's state\n"
    "directory (/var/lib/zklua for root) and listens at 127.0.0.1:2181.\n"
    "\n"
    "  --data DIR      keeps the data in DIR, as Apache ZooKeeper does\n"
    "  --memory        keeps nothing\n"
    "  --listen ADDR   HOST:PORT, [IPV6]:PORT, *:PORT for every address of this machine, or\n"
    "                  unix:PATH; port 0 takes any that is free\n"
    "  ZOO.CFG         a configuration file of Apache ZooKeeper's\n"
    "  --local [DIR]   what a program with `local:` or `local:DIR` starts by itself: serves this\n"
    "                  user's programs on this machine at DIR/sock, ends after the last of them\n"
    "                  and logs to DIR/local.log; 'zklua server --data DIR' has the same data\n"
    "  --check DIR     reads all of DIR and says whether it is sound; changes nothing\n"
    "  --salvage       writes what can be read of a damaged DIR to OUT, and says what is lost\n"
    "  --to-ensemble   writes one folder per server to OUT, for Apache ZooKeeper: configuration,\n"
    "                  id and all data of DIR. HOST may be HOST:CLIENT:QUORUM:ELECTION with the\n"
    "                  ports, which are 2181, 2888 and 3888\n"
    "                  these three take a ZOO.CFG for its dataDir and dataLogDir: where logs are\n"
    "                  kept apart, DIR alone is an old state\n"
    "  --help          this text\n"
    "\n"
    "Exit status: 0 stopped, or all is well; 1 could not start, had to stop, or is not well;\n"
    "2 wrong usage or configuration. SIGTERM and SIGINT stop it.\n";

__attribute__((format(printf, 1, 2)))
static int misused(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("zklua: ", stderr);
    vfprintf(stderr, format, arguments);
    fputs(" (zklua server --help tells more)\n", stderr);
    va_end(arguments);
    return ZKL_EXIT_USAGE;
}

static int failed(const char *what, const char *why)
{
    fprintf(stderr, "zklua: %s: %s\n", what, why);
    return ZKL_EXIT_FAILED;
}

/* --- where ------------------------------------------------------------------------ */

static int plan_listen(struct zkl_plan *plan, const char *list)
{
    struct zkl_listener_error error;
    if (strlen(list) >= sizeof plan->addresses) return misused("--listen: too long");
    strcpy(plan->addresses, list);
    plan->listen_count = 0;
    for (char *next = plan->addresses; next != NULL;) {
        char *comma = strchr(next, ',');
        if (comma != NULL) *comma = '\0';
        if (plan->listen_count == ZKL_LISTENERS_MAX) {
            return misused("--listen takes at most %d addresses", ZKL_LISTENERS_MAX);
        }
        if (!zkl_listen_address_check(next, &error)) return misused("--listen %s", error.text);
        plan->listen[plan->listen_count++] = next;
        next = comma != NULL ? comma + 1 : NULL;
    }
    return ZKL_EXIT_OK;
}

/* --- a zoo.cfg ---------------------------------------------------------------------- */

static void tell_line(void *user, enum zkl_cfg_level level, int line, const char *text)
{
    const char *name = user;
    const char *kind = level == ZKL_CFG_NOTE ? "note: " : "";
    if (line > 0) fprintf(stderr, "zklua: %s:%d: %s%s\n", name, line, kind, text);
    else fprintf(stderr, "zklua: %s: %s%s\n", name, kind, text);
}

char *zkl_config_read(const char *name, size_t *size)
{
    char *text = malloc(ZKL_ZOO_CFG_SIZE_MAX + 1);
    FILE *file = text != NULL ? fopen(name, "rb") : NULL;
    if (file != NULL) {
        *size = fread(text, 1, ZKL_ZOO_CFG_SIZE_MAX, file);
        bool whole = fgetc(file) == EOF && ferror(file) == 0;
        int reason = ferror(file) != 0 ? errno : EFBIG;
        fclose(file);
        if (whole) return text;
        errno = reason;
    }
    misused("%s: %s", name, strerror(errno));
    free(text);
    return NULL;
}

static int plan_zoo_cfg(struct zkl_plan *plan, const char *name)
{
    size_t size;
    char *text = zkl_config_read(name, &size);
    if (text == NULL) return ZKL_EXIT_USAGE;
    bool good = zkl_zoo_cfg_read(&plan->cfg, text, size, tell_line, (void *)(uintptr_t)name);
    free(text);
    if (!good) return ZKL_EXIT_USAGE;
    const char *host = plan->cfg.client_address;
    bool bare_v6 = strchr(host, ':') != NULL && host[0] != '[';
    snprintf(plan->addresses, sizeof plan->addresses, bare_v6 ? "[%s]:%d" : "%s:%d", host,
             (int)plan->cfg.client_port);
    plan->listen[0] = plan->addresses;
    plan->listen_count = 1;
    return ZKL_EXIT_OK;
}

/* --- the command line -------------------------------------------------------------------- */

static int run_options(int argc, char **argv, struct zkl_plan *plan)
{
    zkl_plan_defaults(plan);
    plan->listen[0] = "127.0.0.1:2181";
    plan->listen_count = 1;
    const char *data = NULL;
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        bool valued = strcmp(word, "--data") == 0 || strcmp(word, "--listen") == 0;
        if (valued && (value == NULL || value[0] == '\0')) return misused("%s needs a value", word);
        if (strcmp(word, "--memory") == 0) {
            plan->memory = true;
        } else if (strcmp(word, "--data") == 0) {
            data = value;
        } else if (strcmp(word, "--listen") == 0) {
            int status = plan_listen(plan, value);
            if (status != ZKL_EXIT_OK) return status;
        } else if (word[0] == '-') {
            return misused("unknown option %s", word);
        } else {
            return misused("'%s': a configuration stands alone", word);
        }
        if (valued) i++;
    }
    if (data != NULL && plan->memory) return misused("--data and --memory exclude each other");
    if (data != NULL && strlen(data) >= ZKL_ZOO_CFG_PATH_MAX) return misused("--data: too long");
    if (data != NULL) {
        strcpy(plan->cfg.data_directory, data);
    } else if (!plan->memory) { /* the store makes it, with its parents and for nobody else */
        int status = zkl_plan_state_directory(plan->cfg.data_directory);
        if (status != ZKL_EXIT_OK) return status;
    }
    return zkl_plan_serve(plan);
}

/* `--local` alone takes one word behind it, or none. */
static int run_local(int argc, char **argv)
{
    if (argc > 3) return misused("--local takes one directory");
    if (argc == 3 && argv[2][0] == '\0') return misused("--local: a directory without a name");
    return zkl_local_main(argc == 3 ? argv[2] : NULL);
}

static int run_zoo_cfg(const char *name, struct zkl_plan *plan)
{
    zkl_zoo_cfg_init(&plan->cfg);
    int status = plan_zoo_cfg(plan, name);
    return status == ZKL_EXIT_OK ? zkl_plan_serve(plan) : status;
}

/* As a variable leaves one that was not set; "" and "/version-2" is nobody's. */
static bool has_empty(int argc, char **argv, int first)
{
    for (int i = first; i < argc; i++) {
        if (argv[i][0] == '\0') return true;
    }
    return false;
}

/* One of the commands about a directory: false, if it is none. */
static bool run_command(int argc, char **argv, int *status)
{
    const char *word = argc > 1 ? argv[1] : "";
    bool check = strcmp(word, "--check") == 0;
    bool salvage = strcmp(word, "--salvage") == 0;
    bool to_ensemble = strcmp(word, "--to-ensemble") == 0;
    if (!check && !salvage && !to_ensemble) return false;
    int wanted = check ? 1 : salvage ? 2 : 3;
    if (argc - 2 != wanted) {
        *status = misused("%s takes %s", word, check ? "one directory" : salvage
                              ? "a directory and where to write" : "HOSTS, a directory and where "
                              "to write");
    } else if (has_empty(argc, argv, to_ensemble ? 3 : 2)) {
        *status = misused("%s: a directory without a name", word);
    } else if (check) {
        *status = zkl_directory_check(argv[2]);
    } else if (salvage) {
        *status = zkl_directory_salvage(argv[2], argv[3]);
    } else {
        *status = zkl_to_ensemble(argv[2], argv[3], argv[4]);
    }
    return true;
}

int zkl_server_main(int argc, char **argv)
{
    int status;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(usage, stdout);
            return ZKL_EXIT_OK;
        }
    }
    if (argc > 1 && strcmp(argv[1], "--local") == 0) return run_local(argc, argv);
    if (run_command(argc, argv, &status)) return status;
    struct zkl_plan *plan = calloc(1, sizeof *plan);
    if (plan == NULL) return failed("cannot start", strerror(ENOMEM));
    status = argc == 2 && argv[1][0] != '-' && argv[1][0] != '\0'
        ? run_zoo_cfg(argv[1], plan) : run_options(argc, argv, plan);
    free(plan);
    return status;
}
