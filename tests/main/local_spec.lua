-- `zklua server --local`: the helper process of `local:`, as whoever starts it and whoever connects
-- to it see it (src/main/local.h).
local uv = require("luv")
local frames = require("support.frames")
local program = require("support.program")
local talk = require("support.talk")
local zkserver = require("support.zkserver")
local read = require("support.file").read
local write = require("support.file").write

local ZKLUA = program.zklua()
local LUA = "/usr/bin/lua5.4"
local CREATE, EXISTS, PING, CLOSE = 1, 3, 11, -11
local EPHEMERAL, OPEN = 1, 0
local CREATED, DELETED = 1, 2
local IS_ROOT = uv.getuid() == 0
local unpack = table.unpack or unpack

local function mode_of(name)
  return ("%o"):format(uv.fs_stat(name).mode % 4096)
end

local function succeeds(command)
  local status = os.execute(command)
  return status == true or status == 0
end

-- For a helper that hesitates to remove its socket, as long as a file is there.
local LATE_UNLINK = [[
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
int unlink(const char *name) {
    const char *hold = getenv("LATE_UNLINK");
    char reached[4096];
    snprintf(reached, sizeof reached, "%s.reached", hold);
    while (strcmp(name, "sock") == 0 && access(hold, F_OK) == 0) {
        close(open(reached, O_CREAT | O_WRONLY, 0600));
        usleep(1000);
    }
    return (int)syscall(SYS_unlinkat, AT_FDCWD, name, 0);
}
]]

-- A client in a process of its own that does what it is told, a line of Lua at a time, and says
-- what came of it.
local WORKER = [[
package.path = %q
talk, frames, uv = require("support.talk"), require("support.frames"), require("luv")
function hex(text)
  return (text:gsub(".", function(c) return ("%%02x"):format(c:byte()) end))
end
function options_of(session)
  local function bytes(digits)
    return (digits:gsub("%%x%%x", function(two) return string.char(tonumber(two, 16)) end))
  end
  local id, password = session:match("^(%%x+) (%%x+)$")
  return { timeout = 60000, id = id and bytes(id), password = id and bytes(password) }
end
for line in io.lines() do
  local ok, result = pcall(assert(load(line)))
  io.write(ok and "done " or "failed ", tostring(result), "\n")
  io.flush()
end
]]

local Worker = {}
Worker.__index = Worker

-- Has `code` run there.
function Worker:tell(code)
  uv.write(self.process.input, code:gsub("%s*\n%s*", " ") .. "\n")
end

-- The same, and gives what it returns, as text.
function Worker:run(code)
  local from = #self.process.stdout
  self:tell(code)
  local pattern = "^" .. ("."):rep(from) .. "(%a+) ([^\n]*)\n"
  local how, result = self.process:says(pattern)
  assert.equal("done", how, result)
  return result
end

-- A session over the socket at `path`; gives its id and password in hex.
function Worker:attach(path, session)
  return self:run(([[
    link = talk.open(%q)
    local s = link:handshake(options_of(%q))
    return hex(s.id) .. " " .. hex(s.password)]]):format(path, session or ""))
end

-- Asks for a session that there is, and does not wait for the answer.
function Worker:ask(path, session)
  return self:run(([[
    link = talk.open(%q)
    local options = options_of(%q)
    link:write(frames.frame(frames.i32(0) .. frames.i64(0) .. frames.i32(options.timeout)
      .. options.id .. frames.string(options.password) .. "\0"))
    uv.run("nowait")]]):format(path, session))
end

function Worker:create(path, flags)
  assert.equal("0", self:run(([[
    link:send(1, 1, talk.create_record(%q, "", %d))
    return (select(2, link:reply()))]]):format(path, flags or EPHEMERAL)))
end

describe("the helper of local:", function()
  local top, dir, programs, links

  before_each(function()
    top = assert(uv.fs_mkdtemp((os.getenv("TMPDIR") or "/tmp") .. "/zklua-local-XXXXXX"))
    dir = top .. "/local"
    programs, links = {}, {}
  end)

  after_each(function()
    for _, link in ipairs(links) do
      link:close()
    end
    for _, each in ipairs(programs) do
      each:kill("sigkill")
      each:finish()
    end
    os.execute("rm -rf '" .. top .. "'")
  end)

  local function start(argv, options)
    local started = program.start(argv, options)
    programs[#programs + 1] = started
    return started
  end

  local function helper(directory, options)
    return start({ ZKLUA, "server", "--local", directory or dir }, options)
  end

  -- '+', and then nothing more: whoever reads stdout and stderr sees the end of both.
  local function serving(directory, options)
    local started = helper(directory, options)
    talk.wait_until("the end of stdout and stderr", function() return started.open <= 1 end)
    assert.same({ "+", "" }, { started.stdout, started.stderr })
    return started
  end

  local function open(where)
    local link = talk.open(where or dir .. "/sock")
    links[#links + 1] = link
    return link
  end

  local function worker()
    local process = start({ LUA, "-e", WORKER:format(package.path) }, { stdin = true })
    return setmetatable({ process = process }, Worker)
  end

  local function log()
    return read(dir .. "/local.log")
  end

  local function logs(pattern)
    assert(zkserver.wait_for(20, function() return log():find(pattern) end), log())
    return log():match(pattern)
  end

  -- Whether `path` is there; a watch is left where `watch` says so.
  local function exists(link, path, watch)
    link:send(7, EXISTS, frames.string(path) .. (watch and "\1" or "\0"))
    local _, code = link:reply()
    return code == 0
  end

  local function ping(link)
    link:send(-2, PING)
    assert.equal(-2, (link:reply()))
  end

  -- The kind and path of the next watch event.
  local function event(link)
    local xid, code, body = link:reply()
    assert.same({ -1, 0 }, { xid, code })
    return frames.read_i32(body, 1), body:sub(13)
  end

  local function stop(started, signal)
    started:kill(signal or "sigterm")
    local result = started:finish()
    assert.equal("", result.stderr)
    if not signal then
      assert.equal(0, result.code, result.stderr .. log())
    end
    return result
  end

  -- Where nobody may be served: the status, and one line that says why.
  local function refused(directory, pattern, options)
    local result = program.run({ ZKLUA, "server", "--local", directory }, options)
    assert.equal(1, result.code, result.stderr)
    assert.equal("", result.stdout)
    assert.truthy(result.stderr:find(pattern), result.stderr)
    assert.equal(1, select(2, result.stderr:gsub("\n", "")), result.stderr)
  end

  describe("starts", function()
    it("in a directory that it makes for nobody else, and says when it serves", function()
      dir = top .. "/a/b/c"
      local started = serving(dir)
      for _, name in ipairs({ "/a", "/a/b", "/a/b/c" }) do
        assert.equal("700", mode_of(top .. name))
      end
      assert.equal("700", mode_of(dir .. "/sock"))
      assert.equal("600", mode_of(dir .. "/local.lock"))
      assert.equal(("%s %d\n"):format(uv.os_gethostname(), started.pid), read(dir .. "/local.lock"))
      logs("info  serving at unix:sock from zxid 0x0, kept in " .. dir:gsub("%p", "%%%0") .. "\n")
      open():handshake()
      stop(started)
    end)

    it("where it is told to be by the user's state directory", function()
      local as_nobody = IS_ROOT and { "setpriv", "--reuid=65534", "--clear-groups", ZKLUA }
        or { ZKLUA }
      assert(succeeds("chmod 777 '" .. top .. "'"))
      as_nobody[#as_nobody + 1] = "server"
      as_nobody[#as_nobody + 1] = "--local"
      local started = start(as_nobody, { env = { XDG_STATE_HOME = top .. "/state" } })
      started:says("^%+")
      dir = top .. "/state/zklua/data"
      assert.truthy(uv.fs_stat(dir .. "/version-2"))
      stop(started)
    end)

    it("where a name of 300 bytes leads, and more", function()
      for _, depth in ipairs({ 2, 15 }) do
        dir = top .. ("/" .. ("d"):rep(200)):rep(depth)
        local started = serving(dir)
        local short = top .. "/short"
        assert(uv.fs_symlink(dir, short))
        open(short .. "/sock"):handshake()
        stop(started)
        assert(uv.fs_unlink(short))
      end
      refused(top .. ("/" .. ("d"):rep(200)):rep(25), "File name too long")
    end)

    it("on its own: no terminal's, no other files, its working directory its own", function()
      local file = assert(io.open(top .. "/held", "w"))
      local started = start({ "/bin/sh", "-c", ("exec 7>'%s/held'; exec '%s' server --local '%s'")
        :format(top, ZKLUA, dir) }, { stdin = true })
      talk.wait_until("the end of stdout", function() return started.open <= 1 end)
      file:close()
      local proc = "/proc/" .. started.pid
      assert.equal(dir, uv.fs_readlink(proc .. "/cwd"))
      assert.equal(dir .. "/local.log", uv.fs_readlink(proc .. "/fd/2"))
      assert.equal("/dev/null", uv.fs_readlink(proc .. "/fd/0"))
      assert.equal("/dev/null", uv.fs_readlink(proc .. "/fd/1"))
      local entries = assert(uv.fs_scandir(proc .. "/fd"))
      for name in function() return uv.fs_scandir_next(entries) end do
        assert.is_nil((uv.fs_readlink(proc .. "/fd/" .. name) or ""):find("held", 1, true))
      end
      -- Session and process group: the sixth and fifth fields of stat.
      local group, session = read(proc .. "/stat"):match("%) %a %d+ (%d+) (%d+)")
      assert.same({ tostring(started.pid), tostring(started.pid) }, { group, session })
      stop(started)
    end)

    it("and tells no service manager, which waits for somebody else", function()
      local manager = start({ "/usr/bin/python3", "-c", [[
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print("bound", flush=True)
print(s.recv(1000).decode(), flush=True)
]], top .. "/notify" }, { env = { LD_PRELOAD = false } })
      manager:says("bound")
      stop(serving(dir, { env = { NOTIFY_SOCKET = top .. "/notify" } }))
      assert(succeeds(("python3 -c 'import socket, sys; s = socket.socket(socket.AF_UNIX, "
        .. "socket.SOCK_DGRAM); s.sendto(b\"last\", sys.argv[1])' '%s/notify'"):format(top)))
      assert.equal("bound\nlast\n", manager:finish().stdout)
    end)

    it("with a log of its own that begins anew, and the data that was there", function()
      local first = serving()
      local link = open()
      link:handshake()
      link:send(1, CREATE, talk.create_record("/kept", "data"))
      assert.equal(0, (select(2, link:reply())))
      stop(first)
      assert.truthy(log():find("from zxid 0x0,", 1, true))
      local second = serving()
      logs("from zxid 0x2,")
      assert.is_nil(log():find("from zxid 0x0,", 1, true))
      link = open()
      link:handshake()
      assert.is_true(exists(link, "/kept"))
      stop(second)
    end)
  end)

  describe("is one at a time:", function()
    it("another that is started sees that, and ends with status 0", function()
      local first = serving()
      local result = program.run({ ZKLUA, "server", "--local", dir })
      assert.same({ 0, "=", "" }, { result.code, result.stdout, result.stderr })
      open():handshake()
      assert.equal(tostring(first.pid), read(dir .. "/local.lock"):match(" (%d+)\n"))
      stop(first)
    end)

    it("of many that are started together, one", function()
      local all, serves = {}, {}
      for i = 1, 12 do
        all[i] = helper()
      end
      for _, each in ipairs(all) do
        serves[#serves + 1] = each:says("^.") == "+" and each or nil
      end
      assert.equal(1, #serves)
      for _, each in ipairs(all) do
        if each ~= serves[1] then
          assert.same({ 0, "=" }, { each:finish().code, each.stdout })
        end
      end
      open():handshake()
      stop(serves[1])
    end)

    it("a killed one leaves a socket, which the next replaces; its sessions go on", function()
      local first = serving()
      local link = open()
      local session = link:handshake()
      link:send(1, CREATE, talk.create_record("/e", "", EPHEMERAL))
      assert.equal(0, (select(2, link:reply())))
      stop(first, "sigkill")
      link:drain()
      local left = uv.fs_stat(dir .. "/sock")
      assert.truthy(left)
      local second = serving()
      assert.not_same(left.mtime, uv.fs_stat(dir .. "/sock").mtime)
      link = open()
      assert.equal(session.id, link:handshake(session).id)
      assert.is_true(exists(link, "/e"))
      stop(second)
    end)

    it("a stopped one removes its socket; its sessions go on, too", function()
      for _, signal in ipairs({ "sigterm", "sigint" }) do
        local first = serving()
        local session = open():handshake()
        first:kill(signal)
        assert.equal(0, first:finish().code)
        assert.is_nil(uv.fs_stat(dir .. "/sock"))
        local second = serving()
        assert.equal(session.id, open():handshake(session).id)
        stop(second)
      end
    end)

    it("its socket is there, and lets clients wait, while it still reads its data", function()
      stop(serving())
      local disk = require("support.slow_disk")(top)
      disk:hold()
      local started = helper(dir, { env = disk.env })
      assert(zkserver.wait_for(20, function() return uv.fs_stat(dir .. "/sock") end))
      local link = open()
      disk:release()
      link:handshake()
      assert.equal("+", started.stdout)
      stop(started)
    end)

    it("nor with a server on the same directory, each names the other", function()
      local server = zkserver.serve({ ZKLUA, "server", "--data", dir, "--listen", "127.0.0.1:0" })
      programs[#programs + 1] = server.process
      local owner = ("%s %d"):format(uv.os_gethostname(), server.process.pid):gsub("%p", "%%%0")
      refused(dir, "cannot serve " .. dir:gsub("%p", "%%%0")
        .. ": %./version%-2 is in use by a server %(" .. owner .. "%)")
      assert.is_nil(uv.fs_stat(dir .. "/sock"))
      assert.equal(0, server:stop().code)
      local started = serving()
      local result = program.run({ ZKLUA, "server", "--data", dir, "--listen", "127.0.0.1:0" })
      assert.equal(1, result.code)
      owner = ("(%s %d)"):format(uv.os_gethostname(), started.pid)
      assert.truthy(result.stderr:find(owner, 1, true), result.stderr)
      stop(started)
    end)

    it("and never writes into a directory that is put in its place", function()
      local first = serving()
      local link = open()
      link:handshake()
      assert(uv.fs_rename(dir, top .. "/moved"))
      local second = serving()
      link:send(1, CREATE, talk.create_record("/first", ""))
      assert.equal(0, (select(2, link:reply())))
      local other = open()
      other:handshake()
      assert.is_false(exists(other, "/first"))
      first:kill("sigterm")
      assert.equal(0, first:finish().code)
      assert.is_nil(uv.fs_stat(top .. "/moved/sock"))
      open():handshake() -- the second one's socket was left alone
      stop(second)
    end)
  end)

  describe("does not start where", function()
    it("the directory is a file", function()
      write(dir, "")
      refused(dir, "^zklua: local: /[^\n]+/local cannot be used: Not a directory")
      refused(dir .. "/below", "/below cannot be [%a ]+: Not a directory")
    end)

    for _, mode in ipairs({ "750", "705", "777" }) do
      it("the directory is open to others: " .. mode, function()
        assert(succeeds(("mkdir '%s' && chmod %s '%s'"):format(dir, mode, dir)))
        refused(dir, " is open to other users %(mode " .. mode .. "%); close it with 'chmod 700'")
        assert.equal(mode, mode_of(dir)) -- it is not mended
        assert.is_nil(uv.fs_stat(dir .. "/local.lock"))
      end)
    end

    it("the directory is another user's", function()
      if not IS_ROOT then
        return pending("only root can give one away")
      end
      assert(succeeds(("mkdir -m 700 '%s' && chown 12345 '%s'"):format(dir, dir)))
      refused(dir, " belongs to user id 12345, and this is user id 0")
    end)

    it("the directory may not be made or written", function()
      local argv = IS_ROOT and { "setpriv", "--reuid=65534", "--clear-groups", ZKLUA } or { ZKLUA }
      argv[#argv + 1], argv[#argv + 2], argv[#argv + 3] = "server", "--local", top .. "/none"
      assert(succeeds(("chmod 555 '%s'"):format(top)))
      local result = program.run(argv)
      assert.equal(1, result.code)
      assert.truthy(result.stderr:find("/none cannot be made: Permission denied", 1, true),
        result.stderr)
      assert(succeeds(("chmod 755 '%s'; mkdir -m 500 '%s'; %s"):format(top, dir,
        IS_ROOT and ("chown 65534 '%s'"):format(dir) or ":")))
      argv[#argv] = dir
      result = program.run(argv)
      assert.equal(1, result.code)
      assert.truthy(result.stderr:find("/local.lock cannot be opened: Permission denied", 1, true),
        result.stderr)
    end)

    it("there is no file system to write to, or it is full", function()
      assert(uv.fs_mkdir(dir, 448))
      if not succeeds(("mount -t tmpfs -o size=64k,mode=700 tmpfs '%s' 2>/dev/null")
        :format(dir)) then
        return pending("no mount here")
      end
      finally(function() os.execute("umount '" .. dir .. "'") end)
      assert(succeeds(("mkdir -m 700 '%s/full' && ! head -c 100000 /dev/zero >'%s/filler' "
        .. "2>/dev/null"):format(dir, dir)))
      refused(dir .. "/full", "No space left on device")
      assert(succeeds(("mount -o remount,ro '%s'"):format(dir)))
      refused(dir .. "/new", "/new cannot be made: Read%-only file system")
      refused(dir .. "/full", "Read%-only file system")
    end)

    for _, name in ipairs({ "sock", "local.lock", "version-2" }) do
      it("something else has the name " .. name, function()
        assert(succeeds(("mkdir -m 700 '%s'"):format(dir)))
        if name == "local.lock" then
          assert(uv.fs_mkdir(dir .. "/" .. name, 448))
        else
          write(dir .. "/" .. name, "precious")
        end
        refused(dir, name == "sock" and "unix:sock: file already exists"
          or name == "local.lock" and "/local.lock cannot be opened: Is a directory"
          or "%./version%-2: Not a directory")
        assert.truthy(uv.fs_stat(dir .. "/" .. name))
      end)
    end

    it("the command is not what it should be", function()
      for _, case in ipairs({
        { { "--local", "" }, "a directory without a name" },
        { { "--local", dir, "--memory" }, "%-%-local takes one directory" },
        { { "--memory", "--local", dir }, "unknown option %-%-local" },
      }) do
        local result = program.run({ ZKLUA, "server", unpack(case[1]) })
        assert.equal(2, result.code)
        assert.truthy(result.stderr:find(case[2]), result.stderr)
      end
    end)
  end)

  it("serves without a log where that cannot be had", function()
    assert(succeeds(("mkdir -p -m 700 '%s' && mkdir '%s/local.log'"):format(dir, dir)))
    local started = helper()
    started:says("^%+")
    assert.truthy(started.stderr:find("local.log cannot be opened, and nothing is logged", 1, true))
    open():handshake()
    started:kill("sigterm")
    assert.equal(0, started:finish().code)
  end)

  it("begins its log anew before that is too long", function()
    local started = serving()
    logs("serving at")
    local function fill(size)
      local file = assert(io.open(dir .. "/local.log", "a"))
      assert(file:write(("x"):rep(size - 1 - file:seek("end")), "\n"))
      assert(file:close())
    end
    fill(4 * 1024 * 1024 - 1)
    open():handshake()
    logs("session 0x%x+ opened")
    assert.truthy(log():find("serving at", 1, true))
    open():handshake()
    logs("session 0x%x+ opened by a local process, timeout 30000 ms\n$")
    assert.truthy(log():find("^[^\n]+ info  begun anew: the log had grown to its limit\n"))
    assert.is_true(#log() < 1000)
    stop(started)
  end)

  describe("lets in", function()
    local function as_other(path)
      return program.run({ "setpriv", "--reuid=65534", "--clear-groups", LUA, "-e", ([[
        package.path = %q
        local talk = require("support.talk")
        local link = talk.open(%q)
        link:write(("\0"):rep(48))
        io.write(#link:drain())]]):format(package.path, path) })
    end

    it("no other user, whoever opens the way", function()
      if not IS_ROOT then
        return pending("only root can be another user")
      end
      local started = serving()
      assert(succeeds(("cd '%s' && chmod 755 . && chmod 711 local && chmod 666 local/sock")
        :format(top)))
      local link = open()
      link:handshake()
      local result = as_other(dir .. "/sock")
      assert.same({ 0, "0" }, { result.code, result.stdout }, result.stderr)
      logs("info  process %d+ turned away: it is user id 65534's, and this server is for user id ")
      ping(link)
      stop(started)
    end)

    it("root, where it is another's", function()
      if not IS_ROOT then
        return pending("only root is root")
      end
      assert(succeeds(("cd '%s' && chmod 755 . && mkdir -m 700 local && chown 65534 local")
        :format(top)))
      local started = start({ "setpriv", "--reuid=65534", "--clear-groups", ZKLUA, "server",
        "--local", dir })
      started:says("^%+")
      open():handshake()
      stop(started)
    end)
  end)

  -- Sessions have a timeout of 60 seconds throughout: what is seen here is never that.
  describe("ends a session with its process,", function()
    local started, watcher

    before_each(function()
      started = serving()
      watcher = open()
      watcher:handshake({ timeout = 60000 })
    end)

    local function free_of(path)
      assert.same({ DELETED, path }, { event(watcher) })
    end

    it("when that is killed", function()
      local one = worker()
      one:attach(dir .. "/sock")
      one:create("/e")
      assert.is_true(exists(watcher, "/e", true))
      one.process:kill("sigkill")
      free_of("/e")
      logs("info  process " .. one.process.pid .. " has ended, and with it 1 session\n")
      stop(started)
    end)

    it("when that just ends, after all that it had sent", function()
      local one = worker()
      one:attach(dir .. "/sock")
      assert.is_false(exists(watcher, "/last", true))
      one:tell([[
        for i = 1, 200 do link:send(i, 1, talk.create_record("/kept" .. i, "", 0)) end
        link:send(201, 1, talk.create_record("/last", "", 1))
        uv.run("nowait")
        os.exit(0, false)]])
      assert.same({ CREATED, "/last" }, { event(watcher) })
      one.process:finish()
      for i = 1, 200 do
        assert.is_true(exists(watcher, "/kept" .. i))
      end
      -- Until the end is durable it may still be there; then it is gone, and nothing else ends it.
      assert(zkserver.wait_for(20, function() return not exists(watcher, "/last") end))
      stop(started)
    end)

    it("also when it was cut off before", function()
      local one = worker()
      one:attach(dir .. "/sock")
      one:create("/e")
      one:run([[link:close() uv.run("nowait")]])
      ping(watcher)
      assert.is_true(exists(watcher, "/e", true))
      one.process:kill("sigkill")
      free_of("/e")
      stop(started)
    end)

    it("also when a child holds the socket open", function()
      local one = worker()
      one:attach(dir .. "/sock")
      one:create("/e")
      -- The child has the socket as its standard input: it is not closed with its parent.
      local child = one:run([[
        local handle, pid = uv.spawn("/bin/sleep", { args = { "60" },
          stdio = { link.socket:fileno() }, detached = true }) return pid]])
      assert.is_true(exists(watcher, "/e", true))
      one.process:kill("sigkill")
      free_of("/e")
      assert(uv.kill(tonumber(child), "sigkill"))
      stop(started)
    end)

    it("all of its sessions, and nobody else's", function()
      local one, two = worker(), worker()
      for i = 1, 3 do
        one:attach(dir .. "/sock")
        one:create("/one" .. i)
        one:run("kept = kept or {} kept[#kept + 1] = link")
      end
      two:attach(dir .. "/sock")
      two:create("/two")
      for i = 1, 3 do
        assert.is_true(exists(watcher, "/one" .. i, true))
      end
      one.process:kill("sigkill")
      local gone = {}
      for i = 1, 3 do
        local kind, path = event(watcher)
        assert.equal(DELETED, kind)
        gone[i] = path
      end
      table.sort(gone)
      assert.same({ "/one1", "/one2", "/one3" }, gone)
      assert.is_true(exists(watcher, "/two"))
      stop(started)
    end)

    it("but not one that another process has taken over, which ends with that", function()
      local one, two = worker(), worker()
      local session = one:attach(dir .. "/sock")
      one:create("/e")
      assert.equal(session, two:attach(dir .. "/sock", session))
      two:create("/two")
      assert.is_true(exists(watcher, "/two", true))
      one.process:kill("sigkill")
      one.process:finish()
      -- Whoever comes later is seen after that end.
      local three = worker()
      three:attach(dir .. "/sock")
      three:create("/three", OPEN)
      assert.is_true(exists(watcher, "/e"))
      two.process:kill("sigkill")
      free_of("/two")
      assert.is_false(exists(watcher, "/e"))
      stop(started)
    end)

    it("also when it has ended before the helper could look", function()
      local one, two = worker(), worker()
      local session = one:attach(dir .. "/sock")
      one:create("/e")
      assert.is_true(exists(watcher, "/e", true))
      started:kill("sigstop")
      two:ask(dir .. "/sock", session)
      two.process:kill("sigkill")
      two.process:finish()
      started:kill("sigcont")
      free_of("/e")
      stop(started)
    end)

    it("with the next helper, too, once it has come back", function()
      local one = worker()
      local session = one:attach(dir .. "/sock")
      one:create("/e")
      stop(started, "sigkill")
      started = serving()
      assert.equal(session, one:attach(dir .. "/sock", session))
      watcher = open()
      watcher:handshake()
      assert.is_true(exists(watcher, "/e", true))
      one.process:kill("sigkill")
      free_of("/e")
      stop(started)
    end)

    it("however often it connects, with one descriptor", function()
      local function descriptors()
        local count, entries = 0, assert(uv.fs_scandir("/proc/" .. started.pid .. "/fd"))
        for _ in function() return uv.fs_scandir_next(entries) end do
          count = count + 1
        end
        return count
      end
      local one = worker()
      one:attach(dir .. "/sock")
      one:create("/e")
      local before = descriptors()
      -- Sessions that begin and end, 100 at a time.
      one:run(([[
        for _ = 1, 15 do
          local all = {}
          for i = 1, 100 do
            all[i] = talk.open(%q)
            all[i]:write(frames.frame(("\0"):rep(14) .. "\1\0" .. ("\0"):rep(8)
              .. frames.string(("\0"):rep(16)) .. "\0"))
          end
          for _, l in ipairs(all) do assert(l:frame()) l:send(1, -11) end
          for _, l in ipairs(all) do assert(l:frame()) l:close() end
          uv.run("nowait")
        end]]):format(dir .. "/sock"))
      assert(zkserver.wait_for(20, function() return descriptors() <= before end))
      assert.is_true(exists(watcher, "/e", true))
      one.process:kill("sigkill")
      free_of("/e")
      assert(zkserver.wait_for(20, function() return descriptors() == before - 2 end))
      stop(started)
    end)

    it("or with its timeout, where there is no descriptor to see it by", function()
      local one = worker()
      -- One for the connection, none for the process. What is open for a moment only is not seen
      -- each time.
      local seen = {}
      for _ = 1, 10 do
        for name in io.popen("ls /proc/" .. started.pid .. "/fd"):lines() do
          seen[tonumber(name)] = (seen[tonumber(name)] or 0) + 1
        end
      end
      local enough, free = 0, 0
      while free < 1 do
        free = free + (seen[enough] == 10 and 0 or 1)
        enough = enough + 1
      end
      local function limit(number)
        local result = program.run({ "prlimit", "--pid", tostring(started.pid),
          "--nofile=" .. number .. ":" })
        assert.equal(0, result.code, result.stderr)
      end
      local before = read("/proc/" .. started.pid .. "/limits"):match("Max open files%s+(%d+)")
      limit(enough)
      one:attach(dir .. "/sock")
      one:create("/e")
      logs("info  the end of process " .. one.process.pid
        .. " will not be noticed %(Too many open files%): its sessions end by their timeouts\n")
      limit(before)
      one.process:kill("sigkill")
      one.process:finish()
      local two = worker()
      two:attach(dir .. "/sock")
      two:create("/two", OPEN)
      assert.is_true(exists(watcher, "/e"))
      stop(started)
    end)
  end)

  -- Three at a time, because each takes its 5 seconds.
  it("ends by itself after 5 seconds without session and connection, unless somebody comes in the "
    .. "very moment #slow", function()
    local file = top .. "/late_unlink"
    write(file .. ".c", LATE_UNLINK)
    assert(succeeds(("unset LD_PRELOAD; cc -shared -fPIC -o '%s.so' '%s.c'"):format(file, file)))
    write(file .. ".hold", "")
    local stopped, late = top .. "/stopped", top .. "/late"
    local one, two = serving(), serving(stopped)
    local three = serving(late, { env = { LATE_UNLINK = file .. ".hold",
      LD_PRELOAD = file .. ".so " .. (os.getenv("LD_PRELOAD") or "") } })
    two:kill("sigstop")
    local link = open()
    link:handshake()
    link:send(1, CREATE, talk.create_record("/kept", ""))
    assert.equal(0, (select(2, link:reply())))
    link:send(2, CLOSE)
    link:reply()
    link:drain()
    link:close()

    local start_ns = uv.hrtime()
    local result = one:finish()
    assert.same({ 0, "+", "" }, { result.code, result.stdout, result.stderr })
    assert.is_true(uv.hrtime() - start_ns > 4.5e9)
    assert.truthy(log():find("stopping: neither a session nor a connection for 5000 ms", 1, true))
    local names, entries = {}, assert(uv.fs_scandir(dir))
    for name in function() return uv.fs_scandir_next(entries) end do
      names[#names + 1] = name
    end
    table.sort(names)
    assert.same({ "local.lock", "local.log", "version-2", "zklua.secret" }, names)

    -- Its time is over, and a client waits: when it looks, it sees both.
    local waiting = open(stopped .. "/sock")
    two:kill("sigcont")
    waiting:handshake()
    ping(waiting)

    -- It is about to remove its socket.
    assert(zkserver.wait_for(20, function() return uv.fs_stat(file .. ".hold.reached") end))
    waiting = open(late .. "/sock")
    os.remove(file .. ".hold")
    waiting:handshake()
    open(late .. "/sock"):handshake() -- a new one
    assert.is_nil(read(late .. "/local.log"):find("stopping", 1, true))
    stop(two)
    stop(three)
  end)
end)
