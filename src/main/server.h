/* `zklua server`: the server, and what there is to do about its directory. */
#ifndef ZKLUA_MAIN_SERVER_H
#define ZKLUA_MAIN_SERVER_H

#include "main/zoo_cfg.h"
#include "store/store.h"

/* Exit statuses, as those of zklua itself. */
enum { ZKL_EXIT_OK = 0, ZKL_EXIT_FAILED = 1, ZKL_EXIT_USAGE = 2 };

/* argv[0] is the word "server". Returns the exit status. */
int zkl_server_main(int argc, char **argv);

/* server.c: all of a file, with room for one byte more. NULL: it was said why not. */
char *zkl_config_read(const char *name, size_t *size);

/* directory.c: `zklua server --check DIR`, `--salvage DIR OUT`; DIR may be a zoo.cfg. */
int zkl_directory_check(const char *name);
int zkl_directory_salvage(const char *name, const char *out);

/* What every command about a directory begins with: where that is, and whether it is all of it. */
struct zkl_directory {
    struct zkl_store_options options; /* points into the two below */
    char data[ZKL_ZOO_CFG_PATH_MAX];
    char log[ZKL_ZOO_CFG_PATH_MAX];   /* "": the same */
};
/* `name` is a directory, or a zoo.cfg that names it. An exit status; it was said what is wrong. */
int zkl_directory_find(struct zkl_directory *directory, const char *name);
/* A server to read a directory into, NULL: no memory, and it was said. */
struct zkl_server *zkl_directory_server(void);

/* ensemble.c: `zklua server --to-ensemble HOST,HOST,HOST DIR OUT`. `hosts` is changed. */
int zkl_to_ensemble(char *hosts, const char *name, const char *out);

#endif
