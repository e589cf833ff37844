/* The snapshot of a server that has seen nothing, snapshot.0: written into a new directory so
 * that Apache can start on what we write there. No session; one access list, which lets
 * anyone read; four nodes that were never changed. */
#include <libdeflate.h>
#include <string.h>

#include "store/internal.h"
#include "wire/writer.h"

#define ACL_OPEN (-1)
#define ACL_READ 1

static struct zkl_slice text(const char *string)
{
    return (struct zkl_slice) { (const uint8_t *)string, strlen(string) };
}

static void write_node(struct zkl_writer *writer, const char *path, int64_t acl, int32_t aversion)
{
    static const uint8_t zeros[40];
    zkl_write_slice(writer, text(path));
    zkl_write_slice(writer, text(""));
    zkl_write_i64(writer, acl);
    zkl_write_raw(writer, zeros, 40); /* czxid, mzxid, ctime, mtime, version, cversion */
    zkl_write_i32(writer, aversion);
    zkl_write_raw(writer, zeros, 16); /* owner, pzxid */
}

static void write_seal(struct zkl_writer *writer)
{
    zkl_write_i64(writer, (int64_t)libdeflate_adler32(1, writer->base, writer->size));
    zkl_write_slice(writer, text("/"));
}

void zkl_genesis(uint8_t bytes[ZKL_GENESIS_SIZE])
{
    struct zkl_writer writer = { bytes, ZKL_GENESIS_SIZE, 0 };
    zkl_write_raw(&writer, (const uint8_t *)"ZKSN", 4);
    zkl_write_i32(&writer, 2);
    zkl_write_i64(&writer, -1);
    zkl_write_i32(&writer, 0); /* sessions */
    zkl_write_i32(&writer, 1); /* access lists */
    zkl_write_i64(&writer, ACL_READ);
    zkl_write_i32(&writer, 1);
    zkl_write_i32(&writer, ZKL_READ);
    zkl_write_slice(&writer, text("world"));
    zkl_write_slice(&writer, text("anyone"));
    write_node(&writer, "", ACL_OPEN, 0);
    write_node(&writer, "/zookeeper", ACL_OPEN, 0);
    write_node(&writer, "/zookeeper/config", ACL_READ, -1);
    write_node(&writer, "/zookeeper/quota", ACL_OPEN, 0);
    zkl_write_slice(&writer, text("/"));
    write_seal(&writer);
    zkl_write_i64(&writer, 0); /* digest: of no transaction */
    zkl_write_i32(&writer, 2);
    zkl_write_i64(&writer, 0);
    write_seal(&writer);
    ZKL_ASSERT(writer.size == ZKL_GENESIS_SIZE);
}
