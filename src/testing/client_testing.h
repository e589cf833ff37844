/* The client core as specs see it. */
#ifndef ZKLUA_TESTING_CLIENT_H
#define ZKLUA_TESTING_CLIENT_H

#include "testing/testing.h"
#include "zklua/client.h"

/* Pushes the table of an event; nil for NONE. */
void zkl_testing_push_event(lua_State *L, const struct zkl_event *event);
const char *zkl_testing_state_name(enum zkl_state state);

int zkl_testing_client_bench(lua_State *L);

#endif
