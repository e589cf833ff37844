/* Events of the client core as tables. Everything is read before the table is returned, so
 * that a slice which points nowhere is found by the sanitizers. */
#include "testing/client_testing.h"
#include "testing/records.h"

static const char *const KINDS[] = { "none", "connect", "disconnect", "state",
                                     "reply", "watch", "end" };
static const char *const STATES[] = { "connecting", "connected", "readonly", "disconnected",
                                      "expired", "authfailed", "closed" };
static const char *const REASONS[] = { "none", "driver", "timeout", "refused",
                                       "protocol", "nomem", "expired", "expired_here",
                                       "auth", "rebalance", "close" };

const char *zkl_testing_state_name(enum zkl_state state)
{
    return STATES[state];
}

static void set_string(lua_State *L, const char *name, const char *value)
{
    if (value == NULL) return;
    lua_pushstring(L, value);
    lua_setfield(L, -2, name);
}

static void set_number(lua_State *L, const char *name, int64_t value)
{
    lua_pushnumber(L, (lua_Number)value);
    lua_setfield(L, -2, name);
}

static const char *code_name(int32_t code)
{
    switch (code) {
    case ZKL_CODE_TIMEOUT:
        return "TIMEOUT";
    case ZKL_CODE_CANCELLED:
        return "CANCELLED";
    case ZKL_CODE_NOTCONNECTED:
        return "NOTCONNECTED";
    case ZKL_CODE_CLOSED:
        return "CLOSED";
    default:
        return zkl_code_name(code);
    }
}

static void push_reply(lua_State *L, const struct zkl_event *event)
{
    set_number(L, "xid", event->xid);
    set_number(L, "user", (int64_t)event->user);
    set_number(L, "number", event->code);
    set_string(L, "code", code_name(event->code));
    zkl_testing_set_i64(L, "zxid", event->zxid);
    set_number(L, "op", event->result.op);
    if (event->code != ZKL_CODE_OK) return;
    zkl_testing_push_result(L, &event->result);
    lua_setfield(L, -2, "result");
}

void zkl_testing_push_event(lua_State *L, const struct zkl_event *event)
{
    if (event->kind == ZKL_EVENT_NONE) {
        lua_pushnil(L);
        return;
    }
    lua_newtable(L);
    set_string(L, "kind", KINDS[event->kind]);
    switch (event->kind) {
    case ZKL_EVENT_CONNECT:
        set_number(L, "link", event->link);
        set_number(L, "endpoint", (int64_t)event->endpoint);
        set_number(L, "not_before", event->not_before_ms);
        break;
    case ZKL_EVENT_DISCONNECT:
        set_number(L, "link", event->link);
        set_string(L, "reason", REASONS[event->reason]);
        set_string(L, "detail", event->detail);
        break;
    case ZKL_EVENT_STATE:
        set_string(L, "state", STATES[event->state]);
        set_string(L, "reason", REASONS[event->reason]);
        set_string(L, "detail", event->detail);
        break;
    case ZKL_EVENT_REPLY:
        push_reply(L, event);
        break;
    case ZKL_EVENT_WATCH:
        set_number(L, "type", event->type);
        set_number(L, "kinds", event->kinds);
        zkl_testing_set_slice(L, "path", event->path);
        zkl_testing_set_i64(L, "zxid", event->zxid);
        break;
    case ZKL_EVENT_NONE:
    case ZKL_EVENT_END:
        break;
    }
}
