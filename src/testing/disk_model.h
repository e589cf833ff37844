/* The parts of the simulated disk, for disk.c and disk_object.c. */
#ifndef ZKLUA_TESTING_DISK_MODEL_H
#define ZKLUA_TESTING_DISK_MODEL_H

#include "base/random.h"
#include "testing/disk.h"

enum {
    SECTOR = 512,
    INODES_MAX = 64,
    NAMES_MAX = 48,
    CHANGES_MAX = 256,
    HANDLES_MAX = 16,
    DIRECTORIES_MAX = 8,
    NAME_MAX_SIZE = 64
};

enum sector_state {
    CLEAN,
    DIRTY, /* the cache is newer; the next sync, or chance, writes it */
    LOST   /* the cache is newer, and nothing will write it: a sync failed */
};

struct inode {
    bool used;
    int64_t size, durable_size;
    int64_t capacity;        /* of both blocks */
    uint8_t *cache, *durable;
    uint8_t *states;         /* enum sector_state */
};

struct name {
    int directory, inode;
    char text[NAME_MAX_SIZE];
};
struct names {
    struct name items[NAMES_MAX];
    int count;
};
struct change { /* of a name, not yet durable */
    int directory, inode;
    char from[NAME_MAX_SIZE], to[NAME_MAX_SIZE];
};

struct handle {
    bool open, locks;
    int inode;
};

enum call {
    CALL_OPEN, CALL_CLOSE, CALL_READ, CALL_WRITE, CALL_SYNC, CALL_TRUNCATE, CALL_ALLOCATE,
    CALL_SIZE, CALL_RENAME, CALL_REMOVE, CALL_MAKE_DIRECTORY, CALL_SYNC_DIRECTORY, CALL_LIST,
    CALL_LOCK, CALL_COUNT
};
struct fault { /* calls number from .. to fail; from 0: none */
    int64_t from, to;
    int error;
};

struct zkl_disk {
    int references;
    struct zkl_files files;
    struct zkl_random random;
    struct inode inodes[INODES_MAX];
    struct names names, durable;
    struct change changes[CHANGES_MAX];
    int change_count;
    char directories[DIRECTORIES_MAX][NAME_MAX_SIZE]; /* "": forgotten */
    bool unsynced[DIRECTORIES_MAX]; /* new, and its parent was not synced since */
    int directory_count;
    struct handle handles[HANDLES_MAX];
    struct fault faults[CALL_COUNT];
    int64_t counts[CALL_COUNT];
    int64_t calls;           /* that may change something */
    int64_t power_off_at;    /* behind that many; 0: never */
    int64_t space;           /* bytes; 0: without end */
    unsigned short_percent, write_back_percent;
};

void zkl_disk_init(struct zkl_disk *disk, uint64_t seed);
void zkl_disk_free(struct zkl_disk *disk);
/* A disk of its own, as the program that comes next finds it if only the program ends. */
void zkl_disk_copy(struct zkl_disk *to, const struct zkl_disk *from);
void zkl_disk_restart(struct zkl_disk *disk);
/* The power fails. */
void zkl_disk_crash(struct zkl_disk *disk, uint64_t seed);
/* The number of a call by its name, or -1. */
int zkl_disk_call(const char *name);

#endif
