/* The disk itself: see disk.h. disk_object.c makes it an object of Lua. */
#include "testing/disk_model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "zklua/base.h"

/* --- chance ------------------------------------------------------------------------------- */

static bool chance(struct zkl_disk *disk, unsigned percent)
{
    return percent > 0 && zkl_random_below(&disk->random, 100) < percent;
}

/* --- inodes ------------------------------------------------------------------------------- */

static size_t sector_count(int64_t size)
{
    return (size_t)((size + SECTOR - 1) / SECTOR);
}

static void *grow_block(void *block, size_t old_size, size_t size)
{
    uint8_t *grown = realloc(block, size);
    ZKL_ASSERT(grown != NULL);
    memset(grown + old_size, 0, size - old_size);
    return grown;
}

static void reserve(struct inode *inode, int64_t size)
{
    if (size <= inode->capacity) return;
    int64_t capacity = inode->capacity == 0 ? 4096 : inode->capacity;
    while (capacity < size) capacity *= 2;
    size_t before = (size_t)inode->capacity, after = (size_t)capacity;
    inode->cache = grow_block(inode->cache, before, after);
    inode->durable = grow_block(inode->durable, before, after);
    inode->states = grow_block(inode->states, before / SECTOR, after / SECTOR);
    inode->capacity = capacity;
}

static void touch(struct inode *inode, int64_t from, int64_t to)
{
    for (int64_t i = from / SECTOR; i * SECTOR < to; i++) inode->states[i] = DIRTY;
}

/* To `size`, which is larger; what is between reads as zeros, also after a crash. */
static void extend(struct inode *inode, int64_t size)
{
    reserve(inode, size);
    memset(inode->cache + inode->size, 0, (size_t)(size - inode->size));
    if (inode->durable_size > inode->size) {
        memset(inode->durable + inode->size, 0, (size_t)(inode->durable_size - inode->size));
    }
    inode->size = size;
}

static void write_back(struct inode *inode, size_t sector)
{
    size_t at = sector * SECTOR;
    memcpy(inode->durable + at, inode->cache + at, SECTOR);
    inode->states[sector] = CLEAN;
}

static void inode_free(struct inode *inode)
{
    free(inode->cache);
    free(inode->durable);
    free(inode->states);
    memset(inode, 0, sizeof *inode);
}

/* --- names -------------------------------------------------------------------------------- */

static int find_directory(const struct zkl_disk *disk, const char *path)
{
    for (int i = 0; i < disk->directory_count; i++) {
        if (strcmp(disk->directories[i], path) == 0) return i;
    }
    return -ENOENT;
}

static struct name *find_name(struct names *names, int directory, const char *text)
{
    for (int i = 0; i < names->count; i++) {
        struct name *name = &names->items[i];
        if (name->directory == directory && strcmp(name->text, text) == 0) return name;
    }
    return NULL;
}

static void set_name(struct names *names, int directory, const char *text, int inode)
{
    struct name *name = find_name(names, directory, text);
    if (name == NULL) {
        ZKL_ASSERT(names->count < NAMES_MAX && strlen(text) < NAME_MAX_SIZE);
        name = &names->items[names->count++];
        name->directory = directory;
        memcpy(name->text, text, strlen(text) + 1);
    }
    name->inode = inode;
}

static void unset_name(struct names *names, int directory, const char *text)
{
    struct name *name = find_name(names, directory, text);
    if (name != NULL) *name = names->items[--names->count];
}

static void apply(struct names *names, const struct change *change)
{
    if (change->from[0] != 0) unset_name(names, change->directory, change->from);
    if (change->to[0] != 0) set_name(names, change->directory, change->to, change->inode);
}

/* `from` "": made; `to` "": removed. */
static void change_names(struct zkl_disk *disk, int directory, const char *from, const char *to,
                         int inode)
{
    ZKL_ASSERT(disk->change_count < CHANGES_MAX);
    struct change *change = &disk->changes[disk->change_count++];
    change->directory = directory;
    change->inode = inode;
    memcpy(change->from, from, strlen(from) + 1);
    memcpy(change->to, to, strlen(to) + 1);
    apply(&disk->names, change);
}

/* --- what is still needed ----------------------------------------------------------------- */

static void collect(struct zkl_disk *disk)
{
    bool used[INODES_MAX] = { false };
    for (int i = 0; i < disk->names.count; i++) used[disk->names.items[i].inode] = true;
    for (int i = 0; i < disk->durable.count; i++) used[disk->durable.items[i].inode] = true;
    for (int i = 0; i < disk->change_count; i++) used[disk->changes[i].inode] = true;
    for (int i = 0; i < HANDLES_MAX; i++) {
        if (disk->handles[i].open) used[disk->handles[i].inode] = true;
    }
    for (int i = 0; i < INODES_MAX; i++) {
        if (!used[i]) inode_free(&disk->inodes[i]);
        disk->inodes[i].used = used[i];
    }
}

static int new_inode(struct zkl_disk *disk)
{
    for (int attempt = 0; attempt < 2; attempt++) {
        for (int i = 0; i < INODES_MAX; i++) {
            if (disk->inodes[i].used) continue;
            disk->inodes[i].used = true;
            return i;
        }
        collect(disk);
    }
    zkl_assert_failed("inodes", __FILE__, __LINE__);
}

/* --- every call --------------------------------------------------------------------------- */

static const char *const call_names[CALL_COUNT] = {
    "open", "close", "read", "write", "sync", "truncate", "allocate", "size", "rename", "remove",
    "make_directory", "sync_directory", "list", "lock",
};

int zkl_disk_call(const char *name)
{
    for (int i = 0; i < CALL_COUNT; i++) {
        if (strcmp(call_names[i], name) == 0) return i;
    }
    return -1;
}

static bool power_is_off(const struct zkl_disk *disk)
{
    return disk->power_off_at > 0 && disk->calls >= disk->power_off_at;
}

/* Calls that change something are numbered; the power goes off behind one of them. Closing
 * never fails: a program that has lost its disk must be able to end. */
static int enter(struct zkl_disk *disk, enum call call)
{
    bool changes = call != CALL_CLOSE && call != CALL_READ && call != CALL_SIZE &&
                   call != CALL_LIST;
    if (call == CALL_CLOSE) return 0;
    if (power_is_off(disk)) return -EIO;
    if (changes) disk->calls++;
    int64_t number = ++disk->counts[call];
    const struct fault *fault = &disk->faults[call];
    if (fault->from > 0 && number >= fault->from && number <= fault->to) return -fault->error;
    if (chance(disk, disk->write_back_percent)) {
        struct inode *inode = &disk->inodes[zkl_random_below(&disk->random, INODES_MAX)];
        size_t count = sector_count(inode->size);
        for (size_t i = 0; i < count; i++) {
            if (inode->states[i] == DIRTY && chance(disk, 50)) write_back(inode, i);
        }
    }
    return 0;
}

static struct inode *of_file(struct zkl_disk *disk, int file)
{
    ZKL_ASSERT(file >= 0 && file < HANDLES_MAX && disk->handles[file].open);
    return &disk->inodes[disk->handles[file].inode];
}

static int new_handle(struct zkl_disk *disk, int inode)
{
    for (int i = 0; i < HANDLES_MAX; i++) {
        struct handle *handle = &disk->handles[i];
        if (handle->open) continue;
        *handle = (struct handle) { true, false, inode };
        return i;
    }
    return -EMFILE;
}

static int disk_open(void *context, const char *path, const char *name, enum zkl_open_mode mode)
{
    struct zkl_disk *disk = context;
    int directory = find_directory(disk, path), status = enter(disk, CALL_OPEN);
    if (status != 0 || directory < 0) return status != 0 ? status : directory;
    const struct name *found = find_name(&disk->names, directory, name);
    if (mode != ZKL_OPEN_CREATE) return found == NULL ? -ENOENT : new_handle(disk, found->inode);
    if (found != NULL) return -EEXIST;
    int inode = new_inode(disk);
    change_names(disk, directory, "", name, inode);
    return new_handle(disk, inode);
}

static int disk_close(void *context, int file)
{
    struct zkl_disk *disk = context;
    enter(disk, CALL_CLOSE);
    of_file(disk, file);
    disk->handles[file].open = false;
    return 0;
}

/* How much of a call is done at once. */
static size_t some(struct zkl_disk *disk, size_t size)
{
    if (!chance(disk, disk->short_percent) || size < 2) return size;
    return 1 + (size_t)zkl_random_below(&disk->random, (int64_t)size - 1);
}

static int64_t disk_read(void *context, int file, void *bytes, size_t size, int64_t offset)
{
    struct zkl_disk *disk = context;
    struct inode *inode = of_file(disk, file);
    int status = enter(disk, CALL_READ);
    if (status != 0) return status;
    if (offset >= inode->size) return 0;
    if ((int64_t)size > inode->size - offset) size = (size_t)(inode->size - offset);
    size = some(disk, size);
    memcpy(bytes, inode->cache + offset, size);
    return (int64_t)size;
}

/* Bytes that are taken, in whole sectors. */
static int64_t space_used(const struct zkl_disk *disk)
{
    int64_t used = 0;
    for (int i = 0; i < INODES_MAX; i++) {
        used += (int64_t)sector_count(disk->inodes[i].size) * SECTOR;
    }
    return used;
}

static bool space_for(const struct zkl_disk *disk, const struct inode *inode, int64_t size)
{
    if (disk->space == 0 || size <= inode->size) return true;
    int64_t more = (int64_t)(sector_count(size) - sector_count(inode->size)) * SECTOR;
    return more == 0 || space_used(disk) + more <= disk->space;
}

static int64_t disk_write(void *context, int file, const void *bytes, size_t size, int64_t offset)
{
    struct zkl_disk *disk = context;
    struct inode *inode = of_file(disk, file);
    int status = enter(disk, CALL_WRITE);
    if (status != 0) return status;
    size = some(disk, size);
    while (size > 0 && !space_for(disk, inode, offset + (int64_t)size)) size /= 2;
    if (size == 0) return -ENOSPC;
    int64_t end = offset + (int64_t)size;
    if (end > inode->size) extend(inode, end);
    memcpy(inode->cache + offset, bytes, size);
    touch(inode, offset, end);
    return (int64_t)size;
}

static int disk_sync(void *context, int file)
{
    struct zkl_disk *disk = context;
    struct inode *inode = of_file(disk, file);
    if (power_is_off(disk)) return -EIO;
    int status = enter(disk, CALL_SYNC);
    for (size_t i = 0; i < sector_count(inode->size); i++) {
        if (inode->states[i] != DIRTY) continue;
        if (status == 0 || chance(disk, 30)) write_back(inode, i);
        else inode->states[i] = LOST;
    }
    if (status == 0) inode->durable_size = inode->size;
    return status;
}

static int disk_truncate(void *context, int file, int64_t size)
{
    struct zkl_disk *disk = context;
    struct inode *inode = of_file(disk, file);
    int status = enter(disk, CALL_TRUNCATE);
    if (status != 0) return status;
    if (size > inode->size) extend(inode, size);
    if (size % SECTOR != 0 && size < inode->size) {
        int64_t end = (size / SECTOR + 1) * SECTOR;
        memset(inode->cache + size, 0, (size_t)(end - size));
        touch(inode, size, size + 1);
    }
    inode->size = size;
    return 0;
}

static int disk_allocate(void *context, int file, int64_t offset, int64_t size)
{
    struct zkl_disk *disk = context;
    struct inode *inode = of_file(disk, file);
    int status = enter(disk, CALL_ALLOCATE);
    if (status != 0) return status;
    if (!space_for(disk, inode, offset + size)) return -ENOSPC;
    if (offset + size > inode->size) extend(inode, offset + size);
    return 0;
}

static int64_t disk_size(void *context, int file)
{
    struct zkl_disk *disk = context;
    int status = enter(disk, CALL_SIZE);
    return status != 0 ? status : of_file(disk, file)->size;
}

static int disk_rename(void *context, const char *path, const char *from, const char *to)
{
    struct zkl_disk *disk = context;
    int directory = find_directory(disk, path), status = enter(disk, CALL_RENAME);
    if (status != 0) return status;
    const struct name *name = find_name(&disk->names, directory, from);
    if (name == NULL) return -ENOENT;
    change_names(disk, directory, from, to, name->inode);
    return 0;
}

static int disk_remove(void *context, const char *path, const char *text)
{
    struct zkl_disk *disk = context;
    int directory = find_directory(disk, path), status = enter(disk, CALL_REMOVE);
    if (status != 0) return status;
    const struct name *name = find_name(&disk->names, directory, text);
    if (name == NULL) return -ENOENT;
    change_names(disk, directory, text, "", name->inode);
    return 0;
}

/* 1: it is new. */
static int add_directory(struct zkl_disk *disk, const char *path, size_t size)
{
    char directory[NAME_MAX_SIZE] = "";
    ZKL_ASSERT(size < NAME_MAX_SIZE);
    memcpy(directory, path, size);
    int at = find_directory(disk, directory);
    if (at >= 0) return 0;
    at = find_directory(disk, "");
    if (at < 0) at = disk->directory_count++;
    ZKL_ASSERT(at < DIRECTORIES_MAX);
    memcpy(disk->directories[at], directory, size + 1);
    disk->unsynced[at] = path[size] == 0 && strchr(path, '/') != NULL;
    return 1;
}

static void sync_subdirectories(struct zkl_disk *disk, const char *path)
{
    size_t size = strlen(path);
    for (int i = 0; i < disk->directory_count; i++) {
        const char *directory = disk->directories[i];
        const char *slash = strrchr(directory, '/');
        if (slash == directory + size && strncmp(directory, path, size) == 0) {
            disk->unsynced[i] = false;
        }
    }
}

/* Parents are durable at once. */
static int disk_make_directory(void *context, const char *path)
{
    struct zkl_disk *disk = context;
    int status = enter(disk, CALL_MAKE_DIRECTORY);
    if (status != 0) return status;
    for (size_t size = 1; size <= strlen(path); size++) { /* its parents, then itself */
        if (path[size] == '/' || path[size] == 0) status = add_directory(disk, path, size);
    }
    return status;
}

static int disk_sync_directory(void *context, const char *path)
{
    struct zkl_disk *disk = context;
    int directory = find_directory(disk, path), status = enter(disk, CALL_SYNC_DIRECTORY);
    if (status != 0 || directory < 0) return status != 0 ? status : directory;
    int left = 0;
    for (int i = 0; i < disk->change_count; i++) {
        if (disk->changes[i].directory == directory) apply(&disk->durable, &disk->changes[i]);
        else disk->changes[left++] = disk->changes[i];
    }
    disk->change_count = left;
    sync_subdirectories(disk, path);
    return 0;
}

static int disk_list(void *context, const char *path,
                     int (*each)(void *user, const char *name), void *user)
{
    struct zkl_disk *disk = context;
    int directory = find_directory(disk, path), status = enter(disk, CALL_LIST);
    if (directory < 0) return directory;
    for (int i = disk->names.count; i > 0 && status == 0; i--) {
        const struct name *name = &disk->names.items[i - 1];
        if (name->directory == directory) status = each(user, name->text);
    }
    return status;
}

static int disk_lock(void *context, const char *path, const char *text)
{
    struct zkl_disk *disk = context;
    int directory = find_directory(disk, path), status = enter(disk, CALL_LOCK);
    if (status != 0 || directory < 0) return status != 0 ? status : directory;
    const struct name *name = find_name(&disk->names, directory, text);
    int inode = name != NULL ? name->inode : new_inode(disk);
    if (name == NULL) change_names(disk, directory, "", text, inode);
    for (int i = 0; i < HANDLES_MAX; i++) {
        const struct handle *handle = &disk->handles[i];
        if (handle->open && handle->locks && handle->inode == inode) return -EWOULDBLOCK;
    }
    int file = new_handle(disk, inode);
    if (file >= 0) disk->handles[file].locks = true;
    return file;
}

/* --- life --------------------------------------------------------------------------------- */

void zkl_disk_init(struct zkl_disk *disk, uint64_t seed)
{
    memset(disk, 0, sizeof *disk);
    disk->random.state = seed;
    disk->files = (struct zkl_files) {
        disk_open, disk_close, disk_read, disk_write, disk_sync, disk_truncate, disk_allocate,
        disk_size, disk_rename, disk_remove, disk_make_directory, disk_sync_directory, disk_list,
        disk_lock, disk,
    };
}

void zkl_disk_free(struct zkl_disk *disk)
{
    for (int i = 0; i < INODES_MAX; i++) inode_free(&disk->inodes[i]);
}

static void *copy_block(const void *block, size_t size)
{
    if (size == 0) return NULL;
    void *copy = malloc(size);
    ZKL_ASSERT(copy != NULL);
    return memcpy(copy, block, size);
}

void zkl_disk_copy(struct zkl_disk *to, const struct zkl_disk *from)
{
    *to = *from;
    to->files.context = to;
    for (int i = 0; i < INODES_MAX; i++) {
        struct inode *inode = &to->inodes[i];
        size_t size = (size_t)inode->capacity;
        inode->cache = copy_block(inode->cache, size);
        inode->durable = copy_block(inode->durable, size);
        inode->states = copy_block(inode->states, size / SECTOR);
    }
    zkl_disk_restart(to);
}

/* The program is gone, and with it what it held open; faults and counts begin anew. */
void zkl_disk_restart(struct zkl_disk *disk)
{
    memset(disk->handles, 0, sizeof disk->handles);
    memset(disk->faults, 0, sizeof disk->faults);
    memset(disk->counts, 0, sizeof disk->counts);
    disk->calls = disk->power_off_at = 0;
    collect(disk);
}

static int64_t crash_size(struct zkl_disk *disk, const struct inode *inode)
{
    int64_t low = inode->durable_size, high = inode->size;
    if (low == high || chance(disk, 40)) return low;
    if (chance(disk, 60) || high < low) return high;
    return low + zkl_random_below(&disk->random, high - low);
}

static void crash_inode(struct zkl_disk *disk, struct inode *inode, unsigned kept_percent)
{
    int64_t size = crash_size(disk, inode);
    for (size_t i = 0; i < sector_count(inode->size); i++) {
        if (inode->states[i] == DIRTY && chance(disk, kept_percent)) write_back(inode, i);
    }
    /* What was never written reads as zeros, whatever the size says. */
    memset(inode->states, CLEAN, (size_t)inode->capacity / SECTOR);
    memset(inode->durable + size, 0, (size_t)(inode->capacity - size));
    memcpy(inode->cache, inode->durable, (size_t)inode->capacity);
    inode->size = inode->durable_size = size;
}

/* With all that is in it. */
static void forget_directory(struct zkl_disk *disk, int directory)
{
    disk->directories[directory][0] = 0;
    for (int i = disk->durable.count; i > 0; i--) {
        struct name *name = &disk->durable.items[i - 1];
        if (name->directory == directory) *name = disk->durable.items[--disk->durable.count];
    }
}

void zkl_disk_crash(struct zkl_disk *disk, uint64_t seed)
{
    static const unsigned shares[] = { 0, 10, 50, 50, 90, 100 };
    disk->random.state = seed;
    zkl_random_next(&disk->random);
    unsigned sectors = shares[zkl_random_below(&disk->random, 6)];
    unsigned names = shares[zkl_random_below(&disk->random, 6)];
    for (int i = 0; i < disk->change_count; i++) {
        if (chance(disk, names)) apply(&disk->durable, &disk->changes[i]);
    }
    disk->change_count = 0;
    for (int i = 0; i < disk->directory_count; i++) {
        if (disk->unsynced[i] && !chance(disk, names)) forget_directory(disk, i);
        disk->unsynced[i] = false;
    }
    disk->names = disk->durable;
    for (int i = 0; i < INODES_MAX; i++) {
        if (disk->inodes[i].capacity > 0) crash_inode(disk, &disk->inodes[i], sectors);
    }
    zkl_disk_restart(disk);
}
