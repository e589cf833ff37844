/* What is to be served, and the serving of it: what the command line, a zoo.cfg and the helper of
 * `local:` have in common. */
#ifndef ZKLUA_MAIN_PLAN_H
#define ZKLUA_MAIN_PLAN_H

#include "main/zoo_cfg.h"
#include "uv/serve.h"

struct zkl_plan {
    struct zkl_zoo_cfg cfg;
    bool memory; /* nothing is kept: no data_directory */
    char addresses[ZKL_LISTENERS_MAX * 64 + ZKL_ZOO_CFG_LIST_MAX]; /* what `listen` may point to */
    const char *listen[ZKL_LISTENERS_MAX];
    size_t listen_count;
    struct zkl_serve_local local;
};

/* What a server without a configuration is: made for one machine and its programs, so that the
 * limits of Apache's that guard against the world are wider, and old files go. */
void zkl_plan_defaults(struct zkl_plan *plan);

/* The directory for this user's data where none is named. An exit status; it was said why. */
int zkl_plan_state_directory(char directory[ZKL_ZOO_CFG_PATH_MAX]);

/* "HOST PID", for the files that tell who has a directory. */
#define ZKL_OWNER_TEXT_MAX 128
void zkl_plan_owner(char owner[ZKL_OWNER_TEXT_MAX]);

/* Until a signal, or the disk, ends it. An exit status. */
int zkl_plan_serve(const struct zkl_plan *plan);

#endif
