/* The records of the client protocol as plain data, and their codec.
 *
 * One codec serves both sides: a client writes requests and reads results, a
 * server reads requests and writes results. Reading borrows: every slice and
 * vector points into the frame it was read from and lives as long as that frame.
 *
 * A record is one flat struct with the fields of all operations; the table at
 * each struct says which operation uses which. Fields that an operation does not
 * use are ignored when writing and zero after reading.
 *
 * Layouts: wire protocol of Apache ZooKeeper 3.8 to 3.9 (big-endian, no padding). */
#ifndef ZKLUA_WIRE_H
#define ZKLUA_WIRE_H

#include "zklua/base.h"

#define ZKL_PORT_DEFAULT 2181
#define ZKL_PASSWORD_SIZE 16
#define ZKL_REQUEST_SIZE_MAX_DEFAULT 1048575          /* jute.maxbuffer of a server */
#define ZKL_REPLY_SIZE_MAX_DEFAULT (64 * 1024 * 1024) /* servers do not bound replies */
#define ZKL_TTL_MS_MAX ((INT64_C(1) << 40) - 1)

enum zkl_op {
    ZKL_OP_NOTIFICATION = 0,
    ZKL_OP_CREATE = 1,
    ZKL_OP_DELETE = 2,
    ZKL_OP_EXISTS = 3,
    ZKL_OP_GET_DATA = 4,
    ZKL_OP_SET_DATA = 5,
    ZKL_OP_GET_ACL = 6,
    ZKL_OP_SET_ACL = 7,
    ZKL_OP_GET_CHILDREN = 8,
    ZKL_OP_SYNC = 9,
    ZKL_OP_PING = 11,
    ZKL_OP_GET_CHILDREN2 = 12,
    ZKL_OP_CHECK = 13,
    ZKL_OP_MULTI = 14,
    ZKL_OP_CREATE2 = 15,
    ZKL_OP_RECONFIG = 16,
    ZKL_OP_CHECK_WATCHES = 17,
    ZKL_OP_REMOVE_WATCHES = 18,
    ZKL_OP_CREATE_CONTAINER = 19,
    ZKL_OP_DELETE_CONTAINER = 20, /* a server's own; never sent by a client */
    ZKL_OP_CREATE_TTL = 21,
    ZKL_OP_MULTI_READ = 22,
    ZKL_OP_AUTH = 100,
    ZKL_OP_SET_WATCHES = 101,
    ZKL_OP_SASL = 102,
    ZKL_OP_GET_EPHEMERALS = 103,
    ZKL_OP_GET_ALL_CHILDREN_NUMBER = 104,
    ZKL_OP_SET_WATCHES2 = 105,
    ZKL_OP_ADD_WATCH = 106,
    ZKL_OP_WHO_AM_I = 107,
    ZKL_OP_CREATE_SESSION = -10, /* a server's own */
    ZKL_OP_CLOSE_SESSION = -11,
    ZKL_OP_ERROR = -1 /* the type of a failed result inside a multi */
};

enum zkl_xid {
    ZKL_XID_NOTIFICATION = -1,
    ZKL_XID_PING = -2,
    ZKL_XID_AUTH = -4,
    ZKL_XID_SET_WATCHES = -8
};

/* Error codes as they travel; ZKL_CODES(X) lists X(NAME, number), and
 * zkl_code_name gives the name without prefix ("NONODE"), or NULL if unknown. */
#define ZKL_CODES(X)                       \
    X(OK, 0)                               \
    X(SYSTEMERROR, -1)                     \
    X(RUNTIMEINCONSISTENCY, -2)            \
    X(DATAINCONSISTENCY, -3)               \
    X(CONNECTIONLOSS, -4)                  \
    X(MARSHALLINGERROR, -5)                \
    X(UNIMPLEMENTED, -6)                   \
    X(OPERATIONTIMEOUT, -7)                \
    X(BADARGUMENTS, -8)                    \
    X(INVALIDSTATE, -9)                    \
    X(UNKNOWNSESSION, -12)                 \
    X(NEWCONFIGNOQUORUM, -13)              \
    X(RECONFIGINPROGRESS, -14)             \
    X(APIERROR, -100)                      \
    X(NONODE, -101)                        \
    X(NOAUTH, -102)                        \
    X(BADVERSION, -103)                    \
    X(NOCHILDRENFOREPHEMERALS, -108)       \
    X(NODEEXISTS, -110)                    \
    X(NOTEMPTY, -111)                      \
    X(SESSIONEXPIRED, -112)                \
    X(INVALIDCALLBACK, -113)               \
    X(INVALIDACL, -114)                    \
    X(AUTHFAILED, -115)                    \
    X(CLOSING, -116)                       \
    X(NOTHING, -117)                       \
    X(SESSIONMOVED, -118)                  \
    X(NOTREADONLY, -119)                   \
    X(EPHEMERALONLOCALSESSION, -120)       \
    X(NOWATCHER, -121)                     \
    X(REQUESTTIMEOUT, -122)                \
    X(RECONFIGDISABLED, -123)              \
    X(SESSIONCLOSEDREQUIRESASLAUTH, -124)  \
    X(QUOTAEXCEEDED, -125)                 \
    X(THROTTLEDOP, -127)

enum zkl_code {
#define X(name, number) ZKL_CODE_##name = (number),
    ZKL_CODES(X)
#undef X
};

const char *zkl_code_name(int32_t code);

enum zkl_permission {
    ZKL_READ = 1,
    ZKL_WRITE = 2,
    ZKL_CREATE = 4,
    ZKL_DELETE = 8,
    ZKL_ADMIN = 16,
    ZKL_ALL = 31
};

enum zkl_create_mode {
    ZKL_PERSISTENT = 0,
    ZKL_EPHEMERAL = 1,
    ZKL_PERSISTENT_SEQUENTIAL = 2,
    ZKL_EPHEMERAL_SEQUENTIAL = 3,
    ZKL_CONTAINER = 4,
    ZKL_PERSISTENT_WITH_TTL = 5,
    ZKL_PERSISTENT_SEQUENTIAL_WITH_TTL = 6
};

enum zkl_watch_type { /* WatcherEvent.type */
    ZKL_WATCH_CREATED = 1,
    ZKL_WATCH_DELETED = 2,
    ZKL_WATCH_CHANGED = 3,
    ZKL_WATCH_CHILDREN = 4
};

enum zkl_add_watch_mode { ZKL_ADD_PERSISTENT = 0, ZKL_ADD_RECURSIVE = 1 };

enum zkl_remove_watch_type {
    ZKL_REMOVE_CHILDREN = 1,
    ZKL_REMOVE_DATA = 2,
    ZKL_REMOVE_ANY = 3,
    ZKL_REMOVE_PERSISTENT = 4, /* 3.9 and later */
    ZKL_REMOVE_RECURSIVE = 5   /* 3.9 and later */
};

struct zkl_stat {
    int64_t czxid, mzxid, ctime_ms, mtime_ms;
    int32_t version, cversion, aversion;
    int64_t ephemeral_owner;
    int32_t data_length, children_count;
    int64_t pzxid;
};
#define ZKL_STAT_SIZE 68

/* A vector is its encoded elements: reading has checked every element, so that
 * walking it cannot fail, and writing copies it. count -1 is the protocol's null. */
struct zkl_vector {
    const uint8_t *base;
    size_t size;
    int32_t count;
};

struct zkl_acl {
    int32_t permissions;
    struct zkl_slice scheme, id;
};

struct zkl_client_id { /* an element of whoAmI */
    struct zkl_slice scheme, user;
};

/* Take the next element off the front; false when none is left. */
bool zkl_vector_next_string(struct zkl_vector *vector, struct zkl_slice *string);
bool zkl_vector_next_acl(struct zkl_vector *vector, struct zkl_acl *acl);
bool zkl_vector_next_client_id(struct zkl_vector *vector, struct zkl_client_id *id);

/* Writes into a buffer of `capacity` bytes. Past its end nothing is stored and
 * `size` goes on counting, so a writer of capacity 0 measures. */
struct zkl_writer {
    uint8_t *base;
    size_t capacity;
    size_t size;
};
static inline bool zkl_writer_fits(const struct zkl_writer *writer)
{
    return writer->size <= writer->capacity;
}

/* Reads from a buffer. The first thing that does not fit sets `failed`, which
 * stays; all later reads give zero. Nothing is read past `end`. */
struct zkl_reader {
    const uint8_t *at, *end;
    bool failed;
};

/* Appends one element to the encoded form of a vector (count is the caller's). */
void zkl_write_string(struct zkl_writer *writer, struct zkl_slice string);
void zkl_write_acl(struct zkl_writer *writer, const struct zkl_acl *acl);
void zkl_write_client_id(struct zkl_writer *writer, const struct zkl_client_id *id);

enum { ZKL_WATCH_LIST_COUNT = 5 }; /* data, exist, child, persistent, recursive */

/*                     fields
 * create, create2,    path data acl flags
 *   createContainer
 * createTTL           path data acl flags ttl_ms
 * delete, check       path version
 * exists, getData,    path watch
 *   getChildren, getChildren2
 * setData             path data version
 * getACL, sync,       path
 *   getAllChildrenNumber, getEphemerals, deleteContainer
 * setACL              path acl version
 * multi, multiRead    operations
 * addWatch            path kind (enum zkl_add_watch_mode)
 * check-, removeWatches  path kind (enum zkl_remove_watch_type)
 * setWatches(2)       zxid, watches[0..2] or [0..4]
 * reconfig            joining leaving members zxid
 * auth                scheme data
 * sasl                data
 * ping, whoAmI, closeSession  none */
struct zkl_request {
    int32_t op;
    struct zkl_slice chroot; /* written in front of `path`, where "/" is the chroot itself (a
                                sequential "/" its child); never set by reading */
    struct zkl_slice path;
    struct zkl_slice data;
    struct zkl_vector acl;
    int32_t flags;
    int32_t version;
    int32_t kind;
    bool watch;
    int64_t ttl_ms;
    int64_t zxid; /* setWatches: relative zxid; reconfig: current config id */
    struct zkl_slice scheme;
    struct zkl_slice joining, leaving, members;
    struct zkl_vector operations; /* count: operations; base: headers and records, no end header */
    struct zkl_vector watches[ZKL_WATCH_LIST_COUNT];
};

/*                     fields
 * create              path
 * create2, createContainer, createTTL   path stat
 * exists, setData, setACL               stat
 * getData, reconfig   data stat
 * getACL              items (ACL) stat
 * getChildren         items (strings)
 * getChildren2        items (strings) stat
 * getEphemerals       items (strings)
 * whoAmI              items (client ids)
 * getAllChildrenNumber  number
 * addWatch, error     number (the error code)
 * sync                path
 * sasl                data
 * multi, multiRead    items (results, with zkl_multi_next_result)
 * others              none */
struct zkl_result {
    int32_t op;
    struct zkl_slice path;
    struct zkl_slice data;
    struct zkl_stat stat;
    struct zkl_vector items;
    int32_t number;
};

/* The record that follows a header. Write measures with a writer of capacity 0.
 * Read leaves reader->failed set when the bytes are not such a record, a vector's
 * count does not fit into the bytes that are left, or `op` is unknown. Bytes
 * behind a record are left unread. A path is not checked here: see zkl_path_check. */
void zkl_request_write(struct zkl_writer *writer, const struct zkl_request *request);
void zkl_request_read(struct zkl_reader *reader, int32_t op, struct zkl_request *request);
void zkl_result_write(struct zkl_writer *writer, const struct zkl_result *result);
void zkl_result_read(struct zkl_reader *reader, int32_t op, struct zkl_result *result);

/* multi: append one operation or one result (with its header), and take them off
 * again. A failed result has op ZKL_OP_ERROR and its code in `number`. The op of a
 * result is the type in its header (createTTL and createContainer answer as
 * create2). false when none is left. */
void zkl_multi_write_operation(struct zkl_writer *writer, const struct zkl_request *operation);
void zkl_multi_write_result(struct zkl_writer *writer, const struct zkl_result *result);
bool zkl_multi_next_operation(struct zkl_vector *operations, struct zkl_request *operation);
bool zkl_multi_next_result(struct zkl_vector *results, struct zkl_result *result);

struct zkl_connect_request {
    int64_t last_zxid_seen;
    int32_t timeout_ms;
    int64_t session_id;
    struct zkl_slice password;
    bool readonly;
    bool has_readonly; /* absent from clients before 3.4 */
};
struct zkl_connect_response {
    int32_t timeout_ms; /* <= 0: the session is not valid */
    int64_t session_id;
    struct zkl_slice password;
    bool readonly;
    bool has_readonly;
};
void zkl_connect_request_write(struct zkl_writer *writer, const struct zkl_connect_request *record);
void zkl_connect_request_read(struct zkl_reader *reader, struct zkl_connect_request *record);
void zkl_connect_response_write(struct zkl_writer *writer,
                                const struct zkl_connect_response *record);
/* Accepts bodies of 36 and 37 bytes only; anything else fails. */
void zkl_connect_response_read(struct zkl_reader *reader, struct zkl_connect_response *record);

struct zkl_request_header {
    int32_t xid, op;
};
struct zkl_reply_header {
    int32_t xid;
    int64_t zxid;
    int32_t code;
};
#define ZKL_REQUEST_HEADER_SIZE 8
#define ZKL_REPLY_HEADER_SIZE 16
void zkl_request_header_write(struct zkl_writer *writer, const struct zkl_request_header *header);
void zkl_request_header_read(struct zkl_reader *reader, struct zkl_request_header *header);
void zkl_reply_header_write(struct zkl_writer *writer, const struct zkl_reply_header *header);
void zkl_reply_header_read(struct zkl_reader *reader, struct zkl_reply_header *header);

struct zkl_watch_event {
    int32_t type;  /* enum zkl_watch_type */
    int32_t state; /* 3 on the wire, always */
    struct zkl_slice path;
};
void zkl_watch_event_write(struct zkl_writer *writer, const struct zkl_watch_event *event);
void zkl_watch_event_read(struct zkl_reader *reader, struct zkl_watch_event *event);

/* Frames: a 4-byte length, then that many bytes. Looks at the first `size` bytes of
 * a stream. ZKL_OK with *body_size set: a whole frame of 4 + *body_size bytes is
 * there. *body_size with ZKL_E_LIMIT or ZKL_E_CORRUPT: longer than `body_size_max`,
 * or negative. ZKL_E_OFFLINE is never given; *body_size -1 and ZKL_OK: not yet whole. */
int zkl_frame_peek(const uint8_t *bytes, size_t size, size_t body_size_max, int64_t *body_size);
/* Starts a frame in `writer` and closes it again by filling in its length. */
size_t zkl_frame_begin(struct zkl_writer *writer);
void zkl_frame_end(struct zkl_writer *writer, size_t start);

/* Paths. `sequential` allows a last component that the server completes. Returns
 * NULL when well-formed, else a sentence without a full stop that says what is wrong
 * with it ("must start with '/'"). Bytes must be UTF-8; code points that a server
 * refuses are refused here. */
const char *zkl_path_check(struct zkl_slice path, bool sequential);

/* Splits "lock-0000000007" into prefix size and number. The suffix is ten digits or,
 * past 2147483647, '-' and ten digits; a '-' that could belong to the prefix does, unless
 * the prefix has one already. false: no sequence number at the end. */
bool zkl_split_sequence(struct zkl_slice name, size_t *prefix_size, int64_t *sequence);

/* The text forms of numbers, without a terminator; they return the length. */
#define ZKL_HEX_SIZE_MAX 18
size_t zkl_format_hex(char buffer[ZKL_HEX_SIZE_MAX], uint64_t value); /* "0x1f", as Apache's tools print */
bool zkl_parse_hex(struct zkl_slice text, uint64_t *value); /* "0x" is optional */

#endif
