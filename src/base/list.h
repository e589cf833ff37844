/* A doubly linked list through the elements themselves: adding and taking off never
 * allocate and never fail, and two lists join in one step whatever their length.
 *
 * The list is a ring with a head that belongs to no element. A link that is in no list
 * points to itself, so that taking it off twice does no harm. */
#ifndef ZKLUA_BASE_LIST_H
#define ZKLUA_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct zkl_list {
    struct zkl_list *next, *previous;
};

/* The element that `link` is the `member` of. */
#define ZKL_LIST_ELEMENT(link, type, member) \
    ((type *)(void *)((char *)(link) - offsetof(type, member)))

static inline void zkl_list_init(struct zkl_list *list)
{
    list->next = list->previous = list;
}

static inline bool zkl_list_empty(const struct zkl_list *list)
{
    return list->next == list;
}

static inline void zkl_list_push(struct zkl_list *list, struct zkl_list *link)
{
    link->previous = list->previous;
    link->next = list;
    list->previous->next = link;
    list->previous = link;
}

static inline void zkl_list_remove(struct zkl_list *link)
{
    link->previous->next = link->next;
    link->next->previous = link->previous;
    link->next = link->previous = link;
}

/* Appends all of `from`, which is empty afterwards. */
static inline void zkl_list_join(struct zkl_list *list, struct zkl_list *from)
{
    if (zkl_list_empty(from)) return;
    from->next->previous = list->previous;
    from->previous->next = list;
    list->previous->next = from->next;
    list->previous = from->previous;
    zkl_list_init(from);
}

#endif
