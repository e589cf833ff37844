"""A second way to a ZooKeeper server for specs, without any client library.

    raw.py HOST:PORT COMMAND [ARGUMENTS...]

Each call is one connection. Data and results are printed as a Lua value (raw.lua loads it), so
that bytes arrive as they are. Commands: read, create, set, delete, end_session.
"""
import socket
import struct
import sys

CREATE, DELETE, EXISTS, GET, SET, GET_ACL = 1, 2, 3, 4, 5, 6
CHILDREN, CREATE_CONTAINER, CLOSE = 12, 19, -11
STAT = struct.Struct(">qqqqiiiqiiq")
STAT_FIELDS = ("czxid mzxid ctime mtime version cversion aversion owner "
               "data_length num_children pzxid").split()


class ServerError(Exception):
    pass


def buffer(data):
    return struct.pack(">i", -1) if data is None else struct.pack(">i", len(data)) + data


class Reader:
    def __init__(self, data):
        self.data = data

    def take(self, count):
        taken, self.data = self.data[:count], self.data[count:]
        if len(taken) != count:
            raise EOFError("the reply ends early")
        return taken

    def int(self):
        return struct.unpack(">i", self.take(4))[0]

    def buffer(self):
        length = self.int()
        return None if length < 0 else self.take(length)

    def vector(self, item):
        return [item() for _ in range(self.int())]

    def stat(self):
        return dict(zip(STAT_FIELDS, STAT.unpack(self.take(STAT.size))))

    def acl(self):
        return {"perms": self.int(), "scheme": self.buffer(), "id": self.buffer()}


class Session:
    """A connection with a session: a new one, or another client's taken over."""

    def __init__(self, address, session=0, password=bytes(16), timeout_ms=10000, end=False):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), 5)
        self.socket.settimeout(10)
        request = struct.pack(">iqiq", 0, 0, timeout_ms, session) + buffer(password) + b"\0"
        first = self.frame(request)
        # In one piece, where asked: the session's owner must have no time to take it back.
        self.socket.sendall(first + (self.frame(struct.pack(">ii", 1, CLOSE)) if end else b""))
        reply = Reader(self.receive())
        reply.int()
        self.granted_ms = reply.int()

    @staticmethod
    def frame(body):
        return struct.pack(">i", len(body)) + body

    def exactly(self, count):
        data = b""
        while len(data) < count:
            piece = self.socket.recv(count - len(data))
            if not piece:
                raise EOFError("closed by the server")
            data += piece
        return data

    def receive(self):
        return self.exactly(struct.unpack(">i", self.exactly(4))[0])

    def call(self, opcode, body=b""):
        self.socket.sendall(self.frame(struct.pack(">ii", 1, opcode) + body))
        return self.reply()

    def reply(self):
        reply = Reader(self.receive())
        _, _, error = struct.unpack(">iqi", reply.take(16))
        if error:
            raise ServerError(str(error))
        return reply


def lua(value):
    """A Lua expression for `value`; strings as decimal escapes, so any byte passes."""
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, bytes):
        return '"' + "".join("\\%03d" % byte for byte in value) + '"'
    if isinstance(value, str):
        return lua(value.encode())
    if isinstance(value, list):
        return "{" + ",".join(lua(item) for item in value) + "}"
    return "{" + ",".join("[%s]=%s" % (lua(k), lua(v)) for k, v in value.items()) + "}"


def read(session, path):
    data = session.call(GET, buffer(path) + b"\0")
    acl = session.call(GET_ACL, buffer(path))
    children = session.call(CHILDREN, buffer(path) + b"\0")
    content = data.buffer()
    stat = data.stat()
    # Session ids do not fit a number on every Lua.
    stat["owner"] = hex(stat["owner"] % 2 ** 64)
    return {"data": content, "stat": stat, "acl": acl.vector(acl.acl),
            "children": sorted(children.vector(children.buffer))}


def create(session, path, data=b"", flags=b"0"):
    flags = int(flags)
    acl = struct.pack(">ii", 1, 31) + buffer(b"world") + buffer(b"anyone")
    opcode = CREATE_CONTAINER if flags == 4 else CREATE
    reply = session.call(opcode, buffer(path) + buffer(data) + acl + struct.pack(">i", flags))
    return reply.buffer()


def set_data(session, path, data, version=b"-1"):
    return session.call(SET, buffer(path) + buffer(data) + struct.pack(">i", int(version))).stat()


def delete(session, path, version=b"-1"):
    session.call(DELETE, buffer(path) + struct.pack(">i", int(version)))
    return True


COMMANDS = {"read": read, "create": create, "set": set_data, "delete": delete}


def main():
    address, command = sys.argv[1:3]
    arguments = [argument.encode("utf-8", "surrogateescape") for argument in sys.argv[3:]]
    try:
        if command == "end_session":
            # Take the session over, then close it: what its owner next hears is "expired".
            identity, password = int(arguments[0], 16), bytes.fromhex(arguments[1].decode())
            signed = identity - 2 ** 64 if identity >= 2 ** 63 else identity
            session = Session(address, signed, password, end=True)
            if session.granted_ms <= 0:
                raise ServerError("-112")
            session.reply()
            result = True
        else:
            session = Session(address)
            result = COMMANDS[command](session, *arguments)
            session.call(CLOSE)
    except (ServerError, OSError, EOFError) as error:
        print("return nil, %s" % lua(str(error)))
        return
    print("return " + lua(result))


main()
