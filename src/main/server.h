/* `zklua server`: the server, and what there is to do about its directory. */
#ifndef ZKLUA_MAIN_SERVER_H
#define ZKLUA_MAIN_SERVER_H

#include "store/store.h"

/* Exit statuses, as those of zklua itself. */
enum { ZKL_EXIT_OK = 0, ZKL_EXIT_FAILED = 1, ZKL_EXIT_USAGE = 2 };

/* argv[0] is the word "server". Returns the exit status. */
int zkl_server_main(int argc, char **argv);

/* directory.c: `zklua server --check DIR`, `--salvage DIR OUT`. */
int zkl_directory_check(const char *directory);
int zkl_directory_salvage(const char *directory, const char *out);
/* Options for a directory that must be there, as every command begins with them. */
void zkl_directory_options(struct zkl_store_options *options, const char *directory);
/* A server to read a directory into, NULL: no memory, and it was said. */
struct zkl_server *zkl_directory_server(void);

/* ensemble.c: `zklua server --to-ensemble HOST,HOST,HOST DIR OUT`. `hosts` is changed. */
int zkl_to_ensemble(char *hosts, const char *directory, const char *out);

#endif
