#include "main/zoo_cfg.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "main/properties.h"
#include "zklua/server.h"

enum kind {
    INT32,    /* low..INT32_MAX into an int32_t */
    INT64,    /* low..high into an int64_t */
    BOOL,     /* true or false */
    YES,      /* skipACL: yes or not */
    TEXT,     /* into a char[ZKL_ZOO_CFG_LIST_MAX] */
    PATH,     /* into a char[ZKL_ZOO_CFG_PATH_MAX] */
    SPECIAL,  /* a function of its own */
    SILENT,   /* nothing that a client could notice */
    NOTE,     /* passed over, and said so */
    ENSEMBLE, /* the same, for ensembles */
    REFUSED   /* must not be passed over */
};

struct reader;

struct key {
    const char *name; /* ending in '*': every name that begins so */
    enum kind kind;
    size_t offset;
    int64_t low, high;
    const char *text; /* NOTE, REFUSED: why */
    void (*special)(struct reader *reader, const char *key, const char *value);
};

struct reader {
    struct zkl_zoo_cfg *cfg;
    zkl_cfg_tell_fn *tell;
    void *user;
    int line;
    int errors;
    int first_server_line;
};

__attribute__((format(printf, 3, 4)))
static void say(struct reader *reader, enum zkl_cfg_level level, const char *format, ...)
{
    char text[2 * ZKL_ZOO_CFG_LIST_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (level == ZKL_CFG_ERROR) reader->errors++;
    reader->tell(reader->user, level, reader->line, text);
}

/* --- values --------------------------------------------------------------------- */

/* A whole number in decimal, as Java's Integer.parseInt takes it. */
static bool read_whole(const char *text, int64_t *number)
{
    const char *digits = text + (text[0] == '-' || text[0] == '+');
    if (digits[0] == '\0' || digits[strspn(digits, "0123456789")] != '\0') return false;
    errno = 0;
    long long value = strtoll(text, NULL, 10);
    *number = value;
    return errno == 0;
}

static bool read_number(struct reader *reader, const char *key, const char *value, int64_t low,
                        int64_t high, int64_t *number)
{
    if (read_whole(value, number) && *number >= low && *number <= high) return true;
    say(reader, ZKL_CFG_ERROR, "%s must be a whole number from %lld to %lld, not '%s'", key,
        (long long)low, (long long)high, value);
    return false;
}

static bool read_bool(struct reader *reader, const char *key, const char *value, bool *yes)
{
    *yes = strcasecmp(value, "true") == 0;
    if (*yes || strcasecmp(value, "false") == 0) return true;
    say(reader, ZKL_CFG_ERROR, "%s must be true or false, not '%s'", key, value);
    return false;
}

static void read_text(struct reader *reader, const char *key, const char *value, char *to,
                      size_t size)
{
    if (value[0] == '\0') {
        say(reader, ZKL_CFG_ERROR, "%s has no value", key);
    } else if (strlen(value) >= size) {
        say(reader, ZKL_CFG_ERROR, "%s may have at most %zu bytes", key, size - 1);
    } else {
        strcpy(to, value);
    }
}

/* --- keys with rules of their own --------------------------------------------------- */

/* Hours, or a number with a unit as later versions of Apache's take it. */
static void read_purge_interval(struct reader *reader, const char *key, const char *value)
{
    static const struct { char unit; int64_t ms; } units[] = {
        { 'd', 86400000 }, { 'h', 3600000 }, { 'm', 60000 }, { 's', 1000 },
    };
    char digits[24];
    size_t size = strspn(value, "0123456789");
    int64_t number = -1;
    int64_t unit_ms = value[size] == '\0' ? 3600000 : 0;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (value[size] == units[i].unit && value[size + 1] == '\0') unit_ms = units[i].ms;
    }
    if (size > 0 && size < sizeof digits && unit_ms > 0) {
        memcpy(digits, value, size);
        digits[size] = '\0';
        if (!read_whole(digits, &number) || number > INT32_MAX) number = -1;
    }
    if (number < 0) {
        say(reader, ZKL_CFG_ERROR, "%s must be a number of hours, or one with d, h, m or s behind "
            "it, not '%s'", key, value);
    } else {
        reader->cfg->purge_interval_ms = number * unit_ms;
    }
}

static void read_request_size(struct reader *reader, const char *key, const char *value)
{
    int64_t size;
    if (!read_number(reader, key, value, 1024, INT32_MAX, &size)) return;
    if (size > ZKL_REQUEST_SIZE_LIMIT) {
        size = ZKL_REQUEST_SIZE_LIMIT;
        say(reader, ZKL_CFG_NOTE, "%s is %lld here: longer requests are refused", key,
            (long long)size);
    }
    reader->cfg->request_size_max = (int32_t)size;
}

static void read_force_sync(struct reader *reader, const char *key, const char *value)
{
    if (strcasecmp(value, "no") == 0) {
        say(reader, ZKL_CFG_NOTE, "%s=no is not done: what is acknowledged here is on the disk",
            key);
    }
}

static void read_digest_algorithm(struct reader *reader, const char *key, const char *value)
{
    if (strcasecmp(value, "SHA1") != 0 && strcasecmp(value, "SHA-1") != 0) {
        say(reader, ZKL_CFG_ERROR, "%s: only SHA1 is served, not '%s'", key, value);
    }
}

/* Keys whose one value is what we do anyway. */
static void expect(struct reader *reader, const char *key, const char *value, bool wanted,
                   const char *why)
{
    bool yes;
    if (read_bool(reader, key, value, &yes) && yes != wanted) {
        say(reader, ZKL_CFG_ERROR, "%s=%s: %s", key, value, why);
    }
}

static void read_digest_provider(struct reader *reader, const char *key, const char *value)
{
    expect(reader, key, value, true, "the scheme digest cannot be turned off");
}

static void read_enforced_auth(struct reader *reader, const char *key, const char *value)
{
    expect(reader, key, value, false, "clients cannot be made to authenticate yet");
}

static void read_old_ttl(struct reader *reader, const char *key, const char *value)
{
    expect(reader, key, value, false, "TTL nodes of 3.5.3 are not read");
}

static void read_tls(struct reader *reader, const char *key, const char *value)
{
    expect(reader, key, value, false, "TLS is not served yet");
}

static void read_compression(struct reader *reader, const char *key, const char *value)
{
    if (value[0] != '\0') {
        say(reader, ZKL_CFG_NOTE, "%s is passed over: snapshots are written as they are; "
            "compressed ones are read if they are gzip's", key);
    }
}

static void read_password(struct reader *reader, const char *key, const char *value)
{
    reader->cfg->apache_passwords = strcmp(value, "apache") == 0;
    if (!reader->cfg->apache_passwords && strcmp(value, "random") != 0) {
        say(reader, ZKL_CFG_ERROR, "%s must be random or apache, not '%s'", key, value);
    }
}

static void read_words(struct reader *reader, const char *key, const char *value)
{
    if (value[0] == '\0') {
        reader->cfg->commands[0] = '\0'; /* none but srvr */
    } else {
        read_text(reader, key, value, reader->cfg->commands, sizeof reader->cfg->commands);
    }
}

static void read_super_digest(struct reader *reader, const char *key, const char *value)
{
    const char *colon = strchr(value, ':');
    if (colon == NULL || colon == value || colon[1] == '\0') {
        say(reader, ZKL_CFG_ERROR, "%s must be USER:BASE64", key); /* and no word of what it was */
        return;
    }
    read_text(reader, key, value, reader->cfg->super_digest, sizeof reader->cfg->super_digest);
}

static void read_peer_type(struct reader *reader, const char *key, const char *value)
{
    if (strcmp(value, "participant") != 0) {
        say(reader, ZKL_CFG_ERROR, "%s=%s: ensembles are not served yet", key, value);
    }
}

static void read_server(struct reader *reader, const char *key, const char *value)
{
    int64_t id;
    (void)value;
    if (!read_whole(key + strlen("server."), &id)) {
        say(reader, ZKL_CFG_ERROR, "%s: the name is server.NUMBER", key);
        return;
    }
    if (reader->cfg->servers++ == 0) reader->first_server_line = reader->line;
}

/* --- the table ------------------------------------------------------------------------ */

#define AT(field) offsetof(struct zkl_zoo_cfg, field)
#define NUMBER(name, field, low) { name, INT32, AT(field), low, INT32_MAX, NULL, NULL }
#define LONG(name, field) { name, INT64, AT(field), INT64_MIN, INT64_C(1) << 43, NULL, NULL }
#define SWITCH(name, field) { name, BOOL, AT(field), 0, 0, NULL, NULL }
#define WITH(name, function) { name, SPECIAL, 0, 0, 0, NULL, function }
#define QUIET(name) { name, SILENT, 0, 0, 0, NULL, NULL }
#define PASSED(name, why) { name, NOTE, 0, 0, 0, why, NULL }
#define OF_ENSEMBLES(name) { name, ENSEMBLE, 0, 0, 0, NULL, NULL }
#define NEVER_PASSED(name, why) { name, REFUSED, 0, 0, 0, why, NULL }

static const char no_tls[] = "TLS is not served yet";
static const char no_admin[] = "there is no admin server; four-letter words tell the same";
static const char no_metrics[] = "metrics are told by the four-letter word mntr only";
static const char no_throttle[] = "there are limits of memory and of connections instead";
static const char always[] = "it is always so here";

static const struct key keys[] = {
    NUMBER("tickTime", tick_time_ms, 1),
    { "dataDir", PATH, AT(data_directory), 0, 0, NULL, NULL },
    { "dataLogDir", PATH, AT(log_directory), 0, 0, NULL, NULL },
    { "clientPort", INT32, AT(client_port), 0, 65535, NULL, NULL },
    { "clientPortAddress", TEXT, AT(client_address), 0, 0, NULL, NULL },
    NUMBER("clientPortListenBacklog", backlog, -1),
    NUMBER("maxClientCnxns", connections_per_address, 0),
    NUMBER("maxCnxns", connections, 0),
    NUMBER("minSessionTimeout", session_timeout_min_ms, -1),
    NUMBER("maxSessionTimeout", session_timeout_max_ms, -1),
    NUMBER("globalOutstandingLimit", outstanding, 1),
    WITH("jute.maxbuffer", read_request_size),
    { "memoryLimitInMb", INT64, AT(memory_mib_max), 0, INT64_C(1) << 30, NULL, NULL },

    NUMBER("snapCount", snapshot_count, INT32_MIN),
    LONG("snapSizeLimitInKb", snapshot_kib_max),
    LONG("preAllocSize", preallocate_kib),
    LONG("txnLogSizeLimitInKb", log_kib_max),
    NUMBER("autopurge.snapRetainCount", snapshots_kept, INT32_MIN),
    WITH("autopurge.purgeInterval", read_purge_interval),
    SWITCH("datadir.autocreate", autocreate),
    SWITCH("snapshot.trust.empty", trust_empty_snapshot),
    WITH("forceSync", read_force_sync),
    NUMBER("fsync.warningthresholdms", slow_sync_ms, 0),
    WITH("snapshot.compression.method", read_compression),

    SWITCH("extendedTypesEnabled", ttl_nodes),
    SWITCH("enforceQuota", enforce_quota),
    { "skipACL", YES, AT(skip_acl), 0, 0, NULL, NULL },
    SWITCH("reconfigEnabled", reconfig_enabled),
    NUMBER("znode.container.checkIntervalMs", reap_interval_ms, 1),
    NUMBER("znode.container.maxPerMinute", reap_per_minute, 1),
    NUMBER("znode.container.maxNeverUsedIntervalMs", container_unused_ms, 0),
    WITH("4lw.commands.whitelist", read_words),
    WITH("DigestAuthenticationProvider.enabled", read_digest_provider),
    WITH("DigestAuthenticationProvider.superDigest", read_super_digest),
    WITH("DigestAuthenticationProvider.digestAlg", read_digest_algorithm),
    WITH("sessionPassword", read_password),

    SWITCH("standaloneEnabled", standalone_enabled),
    WITH("server.*", read_server),
    WITH("peerType", read_peer_type),
    NEVER_PASSED("dynamicConfigFile", "ensembles are not served yet"),
    OF_ENSEMBLES("initLimit"),
    OF_ENSEMBLES("syncLimit"),
    OF_ENSEMBLES("electionAlg"),
    OF_ENSEMBLES("group.*"),
    OF_ENSEMBLES("weight.*"),
    OF_ENSEMBLES("localSessionsEnabled"),
    OF_ENSEMBLES("localSessionsUpgradingEnabled"),
    OF_ENSEMBLES("quorumListenOnAllIPs"),
    OF_ENSEMBLES("observerMasterPort"),
    OF_ENSEMBLES("observer.*"),
    OF_ENSEMBLES("connectToLearnerMasterLimit"),
    OF_ENSEMBLES("syncEnabled"),
    OF_ENSEMBLES("commitLogCount"),
    OF_ENSEMBLES("snapshotSizeFactor"),
    OF_ENSEMBLES("leaderServes"),
    OF_ENSEMBLES("cnxTimeout"),
    OF_ENSEMBLES("leader.*"),
    OF_ENSEMBLES("follower.*"),
    OF_ENSEMBLES("learner.*"),
    OF_ENSEMBLES("fastleader.*"),
    OF_ENSEMBLES("quorum.*"),
    OF_ENSEMBLES("multiAddress.*"),
    OF_ENSEMBLES("readonlymode.enabled"),
    OF_ENSEMBLES("db.autocreate"),
    OF_ENSEMBLES("electionPortBindRetry"),
    OF_ENSEMBLES("tcpKeepAlive"),

    NEVER_PASSED("secureClientPort", no_tls),
    NEVER_PASSED("secureClientPortAddress", no_tls),
    NEVER_PASSED("authProvider.*", "no other authentication than digest and ip is served"),
    WITH("sslQuorum", read_tls),
    WITH("client.portUnification", read_tls),
    PASSED("portUnification", no_tls),
    PASSED("ssl.*", no_tls),
    PASSED("serverCnxnFactory", "there is one way to serve connections"),
    WITH("enforce.auth.enabled", read_enforced_auth),
    QUIET("enforce.auth.schemes"),
    WITH("sessionRequireClientSASLAuth", read_enforced_auth),
    WITH("emulate353TTLNodes", read_old_ttl),

    PASSED("admin.*", no_admin),
    PASSED("metricsProvider.*", no_metrics),
    PASSED("request_throttle_*", no_throttle),
    PASSED("throttled_op_wait_time", no_throttle),
    PASSED("connection_throttle_*", no_throttle),
    PASSED("largeRequest*", no_throttle),
    PASSED("nio.sessionlessCnxnTimeout", "it is 10000 ms here"),
    PASSED("digest.enabled", always),
    PASSED("closeSessionTxn.enabled", always),
    PASSED("serializeLastProcessedZxid.enabled", "snapshots are written as 3.8 reads them"),
    /* How work is cut into pieces, and what is cached: nothing that a client could notice. */
    QUIET("maxBatchSize"),
    QUIET("flushDelay"),
    QUIET("maxWriteQueuePollTime"),
    QUIET("maxResponseCacheSize"),
    QUIET("maxGetChildrenResponseCacheSize"),
    QUIET("jute.maxbuffer.extrasize"),
    QUIET("enableEagerACLCheck"),
    QUIET("commitProcessor.*"),
    QUIET("requestThrottler.*"),
    QUIET("nio.*"),
    QUIET("netty.*"),
    QUIET("watchManagerName"),
    QUIET("intBufferStartingSizeBytes"),
    QUIET("outstandingChanges.initialSize"),
    QUIET("jvm.pause.*"),
    QUIET("audit.enable"),
};

static const struct key *find_key(const char *name)
{
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        size_t size = strlen(keys[i].name);
        bool begins = keys[i].name[size - 1] == '*';
        if (begins ? strncmp(name, keys[i].name, size - 1) == 0
                   : strcmp(name, keys[i].name) == 0) {
            return &keys[i];
        }
    }
    return NULL;
}

/* --- reading ---------------------------------------------------------------------------- */

static void say_unknown(struct reader *reader, const char *name)
{
    const char *bare = strncmp(name, "zookeeper.", 10) == 0 ? name + 10 : NULL;
    if (bare != NULL && find_key(bare) != NULL) {
        say(reader, ZKL_CFG_ERROR, "unknown key '%s': in this file it is written '%s'", name, bare);
        return;
    }
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (strcasecmp(keys[i].name, name) == 0) {
            say(reader, ZKL_CFG_ERROR, "unknown key '%s': it is written '%s'", name, keys[i].name);
            return;
        }
    }
    say(reader, ZKL_CFG_ERROR, "unknown key '%s'", name);
}

static bool on_property(void *user, int line, const char *name, const char *value)
{
    struct reader *reader = user;
    reader->line = line;
    const struct key *key = find_key(name);
    if (key == NULL) {
        say_unknown(reader, name);
        return true;
    }
    char *field = (char *)reader->cfg + key->offset;
    int64_t number;
    switch (key->kind) {
    case INT32:
        if (read_number(reader, name, value, key->low, key->high, &number)) {
            *(int32_t *)(void *)field = (int32_t)number;
        }
        break;
    case INT64:
        if (read_number(reader, name, value, key->low, key->high, &number)) {
            *(int64_t *)(void *)field = number;
        }
        break;
    case BOOL: read_bool(reader, name, value, (bool *)field); break;
    case YES: *(bool *)field = strcmp(value, "yes") == 0; break;
    case TEXT: read_text(reader, name, value, field, ZKL_ZOO_CFG_LIST_MAX); break;
    case PATH: read_text(reader, name, value, field, ZKL_ZOO_CFG_PATH_MAX); break;
    case SPECIAL: key->special(reader, name, value); break;
    case SILENT: break;
    case NOTE: say(reader, ZKL_CFG_NOTE, "%s is passed over: %s", name, key->text); break;
    case ENSEMBLE:
        say(reader, ZKL_CFG_NOTE, "%s is for ensembles, which are not served yet: passed over",
            name);
        break;
    case REFUSED: say(reader, ZKL_CFG_ERROR, "%s: %s", name, key->text); break;
    }
    return true;
}

/* What no line shows alone. */
static void check_whole(struct reader *reader)
{
    struct zkl_zoo_cfg *cfg = reader->cfg;
    reader->line = 0;
    if (cfg->data_directory[0] == '\0') say(reader, ZKL_CFG_ERROR, "dataDir is not set");
    if (cfg->client_port < 0 && cfg->client_address[0] != '\0') {
        say(reader, ZKL_CFG_ERROR, "clientPortAddress is set, clientPort is not");
    } else if (cfg->client_port < 0) {
        say(reader, ZKL_CFG_ERROR, "clientPort is not set: nobody could connect");
    }
    int64_t min = cfg->session_timeout_min_ms < 0 ? 2 * (int64_t)cfg->tick_time_ms
                                                  : cfg->session_timeout_min_ms;
    int64_t max = cfg->session_timeout_max_ms < 0 ? 20 * (int64_t)cfg->tick_time_ms
                                                  : cfg->session_timeout_max_ms;
    if (max > INT32_MAX) {
        say(reader, ZKL_CFG_ERROR, "tickTime=%d: 20 ticks, the longest session, are more than "
            "2147483647 ms; set maxSessionTimeout", cfg->tick_time_ms);
    } else if (min > max) {
        say(reader, ZKL_CFG_ERROR, "minSessionTimeout is %lld, more than maxSessionTimeout, "
            "which is %lld", (long long)min, (long long)max);
    }
    if (cfg->servers > 1) {
        reader->line = reader->first_server_line;
        say(reader, ZKL_CFG_ERROR, "%d lines server.N: ensembles are not served yet; one such "
            "line would be a single server", cfg->servers);
    } else if (!cfg->standalone_enabled) {
        say(reader, ZKL_CFG_ERROR, "standaloneEnabled=false: ensembles are not served yet");
    }
}

void zkl_zoo_cfg_init(struct zkl_zoo_cfg *cfg)
{
    *cfg = (struct zkl_zoo_cfg) {
        .client_port = -1,
        .backlog = -1,
        .tick_time_ms = 3000,
        .session_timeout_min_ms = -1,
        .session_timeout_max_ms = -1,
        .connections_per_address = 60,
        .snapshot_count = 100000,
        .snapshots_kept = 3,
        .snapshot_kib_max = 4194304,
        .preallocate_kib = 65536,
        .log_kib_max = -1,
        .slow_sync_ms = 1000,
        .outstanding = 1000,
        .request_size_max = ZKL_REQUEST_SIZE_MAX_DEFAULT,
        .autocreate = true,
        .reap_interval_ms = 60000,
        .reap_per_minute = 10000,
        .commands = "srvr",
        .standalone_enabled = true,
    };
}

bool zkl_zoo_cfg_read(struct zkl_zoo_cfg *cfg, char *text, size_t size, zkl_cfg_tell_fn *tell,
                      void *user)
{
    struct reader reader = { .cfg = cfg, .tell = tell, .user = user };
    const char *why = NULL;
    int line = zkl_properties_read(text, size, on_property, &reader, &why);
    if (line > 0) {
        reader.line = line;
        say(&reader, ZKL_CFG_ERROR, "%s", why);
    } else {
        check_whole(&reader);
    }
    return reader.errors == 0;
}
