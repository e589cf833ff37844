/* Vectors: a count, then the elements. Reading checks them all once and keeps the
 * encoded bytes, so that no memory is needed and walking cannot fail. */
#include "wire/reader.h"
#include "wire/writer.h"

enum { /* the least that one element takes: bounds a count before the first loop */
    STRING_SIZE_MIN = 4,
    CLIENT_ID_SIZE_MIN = 4 + 4,
    ACL_SIZE_MIN = 4 + 4 + 4
};

/* The count, refused (but returned) when that many elements cannot be left. -1 is null;
 * the other negative numbers are nothing. */
static int32_t read_count(struct zkl_reader *reader, size_t element_size_min)
{
    int32_t count = zkl_read_i32(reader);
    if (count < -1) reader->failed = true;
    if (count > 0 && (size_t)count > zkl_reader_left(reader) / element_size_min) {
        reader->failed = true;
    }
    return count;
}

static struct zkl_vector finish(const struct zkl_reader *reader, const uint8_t *start,
                                int32_t count)
{
    const struct zkl_vector nothing = { NULL, 0, 0 };
    const struct zkl_vector null = { NULL, 0, -1 };
    if (reader->failed) return nothing;
    if (count < 0) return null;
    struct zkl_vector vector = { start, (size_t)(reader->at - start), count };
    return vector;
}

struct zkl_vector zkl_read_strings(struct zkl_reader *reader)
{
    int32_t count = read_count(reader, STRING_SIZE_MIN);
    const uint8_t *start = reader->at;
    for (int32_t i = 0; i < count && !reader->failed; i++) zkl_read_slice(reader);
    return finish(reader, start, count);
}

struct zkl_vector zkl_read_acls(struct zkl_reader *reader)
{
    int32_t count = read_count(reader, ACL_SIZE_MIN);
    const uint8_t *start = reader->at;
    for (int32_t i = 0; i < count && !reader->failed; i++) {
        zkl_read_i32(reader);
        zkl_read_slice(reader);
        zkl_read_slice(reader);
    }
    return finish(reader, start, count);
}

struct zkl_vector zkl_read_client_ids(struct zkl_reader *reader)
{
    int32_t count = read_count(reader, CLIENT_ID_SIZE_MIN);
    const uint8_t *start = reader->at;
    for (int32_t i = 0; i < count && !reader->failed; i++) {
        zkl_read_slice(reader);
        zkl_read_slice(reader);
    }
    return finish(reader, start, count);
}

/* A reader at the front of `vector`. Its bytes are ours or were checked, so what
 * fails here is a mistake of ours. */
static struct zkl_reader open_vector(const struct zkl_vector *vector)
{
    struct zkl_reader reader = { vector->base, vector->base, false };
    if (vector->size > 0) reader.end += vector->size;
    return reader;
}

static void advance(struct zkl_vector *vector, const struct zkl_reader *reader)
{
    ZKL_ASSERT(!reader->failed);
    vector->base = reader->at;
    vector->size = zkl_reader_left(reader);
    vector->count--;
}

bool zkl_vector_next_string(struct zkl_vector *vector, struct zkl_slice *string)
{
    if (vector->count <= 0) return false;
    struct zkl_reader reader = open_vector(vector);
    *string = zkl_read_slice(&reader);
    advance(vector, &reader);
    return true;
}

bool zkl_vector_next_acl(struct zkl_vector *vector, struct zkl_acl *acl)
{
    if (vector->count <= 0) return false;
    struct zkl_reader reader = open_vector(vector);
    acl->permissions = zkl_read_i32(&reader);
    acl->scheme = zkl_read_slice(&reader);
    acl->id = zkl_read_slice(&reader);
    advance(vector, &reader);
    return true;
}

bool zkl_vector_next_client_id(struct zkl_vector *vector, struct zkl_client_id *id)
{
    if (vector->count <= 0) return false;
    struct zkl_reader reader = open_vector(vector);
    id->scheme = zkl_read_slice(&reader);
    id->user = zkl_read_slice(&reader);
    advance(vector, &reader);
    return true;
}

void zkl_write_string(struct zkl_writer *writer, struct zkl_slice string)
{
    zkl_write_slice(writer, string);
}

void zkl_write_acl(struct zkl_writer *writer, const struct zkl_acl *acl)
{
    zkl_write_i32(writer, acl->permissions);
    zkl_write_slice(writer, acl->scheme);
    zkl_write_slice(writer, acl->id);
}

void zkl_write_client_id(struct zkl_writer *writer, const struct zkl_client_id *id)
{
    zkl_write_slice(writer, id->scheme);
    zkl_write_slice(writer, id->user);
}
