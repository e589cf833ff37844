--- Builds small archives and shows them to tools/check_purity.
local function check(sources)
  local folder = os.tmpname()
  os.remove(folder)
  assert(os.execute("mkdir -p " .. folder))
  for name, text in pairs(sources) do
    local file = assert(io.open(folder .. "/" .. name, "w"))
    file:write(text)
    file:close()
  end
  local pipe = assert(io.popen(([[
    unset LD_PRELOAD # a sanitizer would judge the compiler
    for source in %s/*.c; do gcc -w -O1 -U_FORTIFY_SOURCE -c "$source" -o "$source.o"; done
    ar rc %s/a.a %s/*.o && tools/check_purity %s/a.a 2>&1; echo "status $?"
  ]]):format(folder, folder, folder, folder)))
  local output = pipe:read("*a")
  pipe:close()
  os.execute("rm -rf " .. folder)
  return tonumber(output:match("status (%d+)")), output
end

describe("purity #once", function()
  for _, case in ipairs({
    { "what the cores use", [[
      #include <string.h>
      unsigned libdeflate_adler32(unsigned, const void *, size_t);
      void zkl_assert_failed(const char *, const char *, int);
      int f(char *a, const char *b, size_t n) {
        memmove(a, b, n);
        if (strlen(a) > n) zkl_assert_failed(a, b, 1);
        return memcmp(a, b, n) + (int)libdeflate_adler32(1, a, 3);
      }]] },
    { "nothing at all from outside", "int f(int x) { return x + 1; }" },
  }) do
    it("allows " .. case[1], function()
      local status, output = check({ ["a.c"] = case[2] })
      assert.equal(0, status, output)
    end)
  end

  for _, case in ipairs({
    { "malloc", "void *malloc(unsigned long); void *f(void) { return malloc(8); }" },
    { "strdup", "char *strdup(const char *); char *f(char *s) { return strdup(s); }" },
    { "memalign", "void *memalign(long, long); void *f(void) { return memalign(8, 8); }" },
    { "strerror", "char *strerror(int); char *f(int x) { return strerror(x); }" },
    { "snprintf",
      "#include <stdio.h>\nint f(char *s, int x) { return snprintf(s, 9, \"%%d\", x); }" },
    { "clock_gettime",
      "int clock_gettime(int, void *); int f(void *t) { return clock_gettime(0, t); }" },
    { "socket", "int socket(int, int, int); int f(void) { return socket(1, 2, 3); }" },
    { "environ", "extern char **environ; char **f(void) { return environ; }" },
  }) do
    it("refuses " .. case[1] .. " and names it", function()
      local status, output = check({ ["a.c"] = case[2] })
      assert.equal(1, status, output)
      assert.truthy(output:find("\n  " .. case[1] .. "   in a.c.o", 1, true), output)
    end)
  end

  it("counts what one object gives another as its own", function()
    local use = "int g(int); int f(int x) { return g(x); }"
    assert.equal(0, (check({ ["a.c"] = use, ["b.c"] = "int g(int x) { return x; }" })))
    -- A static of the same name is not it.
    local status, output = check({
      ["a.c"] = use,
      ["b.c"] = "__attribute__((noinline)) static int g(int x) { return x * x; }"
        .. "\nint (*h)(int) = g;",
    })
    assert.equal(1, status, output)
  end)

  it("refuses what is no archive", function()
    for _, name in ipairs({ "/nonexistent", "/dev/null", "README.md" }) do
      local pipe = io.popen("unset LD_PRELOAD; tools/check_purity " .. name
        .. " 2>&1; echo \"status $?\"")
      local output = pipe:read("*a")
      pipe:close()
      assert.is_nil(output:find("status 0", 1, true), output)
    end
  end)
end)
