/* c_tour SERVERS ROOT: what users of Apache's C client do with a server. Ends with 0 and "done". */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zookeeper/zookeeper.h>

static const char *root;
static volatile int connected;
static volatile int child_events;

static void check(int line, const char *what, int rc, int wanted)
{
    if (rc == wanted) return;
    printf("line %d: %s: %s instead of %s\n", line, what, zerror(rc), zerror(wanted));
    exit(1);
}
#define EXPECT(wanted, call) check(__LINE__, #call, call, wanted)
#define ASSERT(condition) check(__LINE__, #condition, (condition) ? ZOK : ZSYSTEMERROR, ZOK)

static void on_event(zhandle_t *zh, int type, int state, const char *path, void *context)
{
    (void)zh;
    (void)path;
    (void)context;
    if (type == ZOO_SESSION_EVENT && state == ZOO_CONNECTED_STATE) connected = 1;
    if (type == ZOO_CHILD_EVENT) child_events++;
}

static void wait_for(volatile int *flag)
{
    for (int i = 0; i < 2000 && !*flag; i++) usleep(10000);
    ASSERT(*flag);
}

static const char *at(const char *name)
{
    static char paths[8][256];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s%s", root, name);
    return path;
}

static void nodes(zhandle_t *zh)
{
    char buffer[64];
    int size = sizeof buffer;
    struct Stat stat;
    EXPECT(ZOK, zoo_create(zh, at("/a"), "one", 3, &ZOO_OPEN_ACL_UNSAFE, 0, buffer, sizeof buffer));
    EXPECT(ZNODEEXISTS, zoo_create(zh, at("/a"), "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0));
    EXPECT(ZOK, zoo_get(zh, at("/a"), 0, buffer, &size, &stat));
    ASSERT(size == 3 && memcmp(buffer, "one", 3) == 0 && stat.version == 0);
    EXPECT(ZBADVERSION, zoo_set(zh, at("/a"), "x", 1, 5));
    EXPECT(ZOK, zoo_set2(zh, at("/a"), NULL, -1, 0, &stat));
    ASSERT(stat.version == 1 && stat.dataLength == 0);
    size = sizeof buffer;
    EXPECT(ZOK, zoo_get(zh, at("/a"), 0, buffer, &size, &stat));
    ASSERT(size == -1); /* null is not empty */
    EXPECT(ZNONODE, zoo_exists(zh, at("/none"), 0, &stat));
    EXPECT(ZOK, zoo_create2(zh, at("/a/s-"), "", 0, &ZOO_OPEN_ACL_UNSAFE,
                            ZOO_SEQUENCE | ZOO_EPHEMERAL, buffer, sizeof buffer, &stat));
    ASSERT(strcmp(buffer + strlen(root), "/a/s-0000000000") == 0 && stat.ephemeralOwner != 0);
    EXPECT(ZOK, zoo_create2_ttl(zh, at("/ttl"), "", 0, &ZOO_OPEN_ACL_UNSAFE,
                                ZOO_PERSISTENT_WITH_TTL, 60000, buffer, sizeof buffer, &stat));
    EXPECT(ZNOTEMPTY, zoo_delete(zh, at("/a"), -1));
}

static void watches(zhandle_t *zh)
{
    struct String_vector names;
    struct Stat stat;
    EXPECT(ZOK, zoo_wget_children2(zh, at(""), on_event, NULL, &names, &stat));
    ASSERT(names.count == 2 && stat.numChildren == 2);
    deallocate_String_vector(&names);
    EXPECT(ZOK, zoo_create(zh, at("/b"), "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0));
    wait_for(&child_events);
    EXPECT(ZOK, zoo_wget_children(zh, at(""), on_event, NULL, &names));
    deallocate_String_vector(&names);
    EXPECT(ZOK, zoo_remove_watches(zh, at(""), ZWATCHTYPE_CHILD, on_event, NULL, 0));
    EXPECT(ZNOWATCHER, zoo_remove_watches(zh, at(""), ZWATCHTYPE_CHILD, on_event, NULL, 0));
}

static void transactions(zhandle_t *zh)
{
    zoo_op_t ops[3];
    zoo_op_result_t results[3];
    char path[64];
    struct Stat stat;
    zoo_create_op_init(&ops[0], at("/m"), "1", 1, &ZOO_OPEN_ACL_UNSAFE, 0, path, sizeof path);
    zoo_set_op_init(&ops[1], at("/m"), "2", 1, 0, &stat);
    zoo_check_op_init(&ops[2], at("/m"), 1);
    EXPECT(ZOK, zoo_multi(zh, 3, ops, results));
    ASSERT(stat.version == 1 && strcmp(path, at("/m")) == 0);
    zoo_delete_op_init(&ops[0], at("/m"), -1);
    zoo_delete_op_init(&ops[1], at("/none"), -1);
    zoo_check_op_init(&ops[2], at("/a"), -1);
    EXPECT(ZNONODE, zoo_multi(zh, 3, ops, results));
    ASSERT(results[0].err == ZOK || results[0].err == ZRUNTIMEINCONSISTENCY);
    ASSERT(results[1].err == ZNONODE && results[2].err == ZRUNTIMEINCONSISTENCY);
    EXPECT(ZOK, zoo_exists(zh, at("/m"), 0, &stat));
}

static volatile int authenticated;

static void on_auth(int rc, const void *data)
{
    (void)data;
    authenticated = rc == ZOK ? 1 : -1;
}

static void access_lists(zhandle_t *zh)
{
    struct ACL_vector acls;
    struct Stat stat;
    EXPECT(ZOK, zoo_add_auth(zh, "digest", "joe:secret", 10, on_auth, NULL));
    wait_for(&authenticated);
    ASSERT(authenticated == 1);
    EXPECT(ZOK, zoo_create(zh, at("/mine"), "", 0, &ZOO_CREATOR_ALL_ACL, 0, NULL, 0));
    EXPECT(ZOK, zoo_get_acl(zh, at("/mine"), &acls, &stat));
    ASSERT(acls.count == 1 && strcmp(acls.data[0].id.scheme, "digest") == 0);
    ASSERT(strncmp(acls.data[0].id.id, "joe:", 4) == 0);
    deallocate_ACL_vector(&acls);
    EXPECT(ZOK, zoo_set_acl(zh, at("/mine"), 0, &ZOO_READ_ACL_UNSAFE));
    EXPECT(ZNOAUTH, zoo_set(zh, at("/mine"), "x", 1, -1));
}

int main(int argc, char **argv)
{
    if (argc != 3) return 2;
    root = argv[2];
    zoo_set_debug_level(ZOO_LOG_LEVEL_ERROR);
    zhandle_t *zh = zookeeper_init(argv[1], on_event, 10000, NULL, NULL, 0);
    ASSERT(zh != NULL);
    wait_for(&connected);
    EXPECT(ZOK, zoo_create(zh, root, "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0));
    nodes(zh);
    watches(zh);
    transactions(zh);
    access_lists(zh);
    EXPECT(ZOK, zookeeper_close(zh));
    puts("done");
    return 0;
}
