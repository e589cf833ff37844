--- A disk that hangs, for a program that is started with `env`: between `hold` and `release` its
--- syncs wait, and `reached` says whether one does. Not for files of this process.
local uv = require("luv")
local write = require("support.file").write

local SOURCE = [[
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static int wait_for_it(void) {
    const char *hold = getenv("SLOW_DISK");
    char reached[4096];
    snprintf(reached, sizeof reached, "%s.reached", hold);
    while (access(hold, F_OK) == 0) {
        close(open(reached, O_CREAT | O_WRONLY, 0600));
        usleep(1000);
    }
    return 0;
}
int fsync(int file) { (void)file; return wait_for_it(); }
int fdatasync(int file) { (void)file; return wait_for_it(); }
]]

---@class tests.SlowDisk
---@field env table<string, string>  changes for program.start
local SlowDisk = {}
SlowDisk.__index = SlowDisk

function SlowDisk:hold()
  write(self.file, "")
end

function SlowDisk:release()
  os.remove(self.file)
end

---@return boolean
function SlowDisk:reached()
  return uv.fs_stat(self.file .. ".reached") ~= nil
end

---@param dir string  of the spec, which removes it
---@return tests.SlowDisk
return function(dir)
  local library = dir .. "/slow_disk"
  write(library .. ".c", SOURCE)
  assert(os.execute(("unset LD_PRELOAD; cc -shared -fPIC -o '%s.so' '%s.c'"):format(library,
    library)))
  return setmetatable({
    file = dir .. "/slow_disk.hold",
    env = {
      LD_PRELOAD = library .. ".so " .. (os.getenv("LD_PRELOAD") or ""),
      SLOW_DISK = dir .. "/slow_disk.hold",
      ASAN_OPTIONS = "verify_asan_link_order=0",
    },
  }, SlowDisk)
end
