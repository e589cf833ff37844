local wire = require("zklua_testing").wire

local EMPTY = "must not be empty"
local START = "must start with '/'"
local END = "must not end with '/'"
local HOLE = "must not contain an empty component ('//')"
local DOT = "must not contain the component '.'"
local DOTS = "must not contain the component '..'"
local ZERO = "must not contain the character U+0000"
local CONTROL = "must not contain control characters"
local SURROGATE = "must not contain surrogates (U+D800 to U+DFFF)"
local PRIVATE = "must not contain private use characters (U+E000 to U+F8FF)"
local LAST = "must not contain the characters U+FFF0 to U+FFFF"
local ABOVE = "must not contain characters above U+FFFF"
local UTF8 = "must be UTF-8"

--- path, what is wrong with it, what is wrong with it as a sequential one if that differs
--- (false: nothing)
local CASES = {
  -- Well-formed.
  { "/" },
  { "/a" },
  { "/a/b/c" },
  { "/a b" },
  { "/..." },
  { "/.x" },
  { "/..x" },
  { "/x." },
  { "/x.." },
  { "/a.b/c..d" },
  { "/a/.b/..c/d" },
  { "/zookeeper/config" },
  { "/!\"#$%&'()*+,-:;<=>?@[\\]^_`{|}~" },
  { "/ " },
  { "/\126" },
  { "/\194\160" },                 -- U+00A0, the first behind the second controls
  { "/stra\195\159e" },
  { "/\223\191" },                 -- U+07FF
  { "/\224\160\128" },             -- U+0800
  { "/\230\151\165\230\156\172" },
  { "/\237\159\191" },             -- U+D7FF, the last before the surrogates
  { "/\239\164\128" },             -- U+F900, the first behind the private use
  { "/\239\191\175" },             -- U+FFEF
  { "/a\204\136" },                -- a combining character: no normalisation
  { "/" .. ("x"):rep(100000) },
  { ("/x"):rep(50000) },

  -- Begin and end.
  { "", EMPTY },
  { nil, EMPTY },
  { "a", START },
  { "a/b", START },
  { ".", START },
  { " /a", START },
  { "\0/a", START },
  { "/a/", END, false },
  { "/a/b/", END, false },

  -- Components.
  { "//", END, HOLE },
  { "//a", HOLE },
  { "/a//b", HOLE },
  { "/a//", END, HOLE },
  { "/a///b", HOLE },
  { "/.", DOT, false },
  { "/./a", DOT },
  { "/a/.", DOT, false },
  { "/a/./b", DOT },
  { "/..", DOTS, false },
  { "/../a", DOTS },
  { "/a/..", DOTS, false },
  { "/a/../b", DOTS },

  -- Characters that a server refuses.
  { "/\0", ZERO },
  { "/a\0b", ZERO },
  { "/a/b\0", ZERO },
  { "/\1", CONTROL },
  { "/a\nb", CONTROL },
  { "/\31", CONTROL },
  { "/\127", CONTROL },
  { "/\194\128", CONTROL },        -- U+0080
  { "/\194\159", CONTROL },        -- U+009F
  { "/\237\160\128", SURROGATE },  -- U+D800
  { "/\237\191\191", SURROGATE },  -- U+DFFF
  { "/\238\128\128", PRIVATE },    -- U+E000
  { "/\239\163\191", PRIVATE },    -- U+F8FF
  { "/\239\191\176", LAST },       -- U+FFF0
  { "/\239\191\189", LAST },       -- U+FFFD
  { "/\239\191\191", LAST },       -- U+FFFF
  { "/\240\144\128\128", ABOVE },  -- U+10000
  { "/\240\159\152\128", ABOVE },
  { "/\244\143\191\191", ABOVE },  -- U+10FFFF

  -- Bytes that are not UTF-8.
  { "/\128", UTF8 },
  { "/\191", UTF8 },
  { "/\192\128", UTF8 },           -- U+0000 in two bytes
  { "/\192\175", UTF8 },           -- '/' in two bytes
  { "/\193\191", UTF8 },
  { "/\224\128\175", UTF8 },       -- '/' in three
  { "/\224\159\191", UTF8 },
  { "/\240\143\191\191", UTF8 },   -- U+FFFF in four
  { "/\244\144\128\128", UTF8 },   -- above U+10FFFF
  { "/\247\191\191\191", UTF8 },
  { "/\248\136\128\128\128", UTF8 },
  { "/\248\144\128\128", UTF8 }, -- a first byte that no character has
  { "/\254", UTF8 },
  { "/\255", UTF8 },
  { "/\194", UTF8 },               -- cut off at the end
  { "/\226\130", UTF8 },
  { "/\240\159\152", UTF8 },
  { "/a\194/b", UTF8 },            -- cut off by the next component
  { "/\226\130a", UTF8 },
  { "/\226a\130", UTF8 },
  { "/ok/\255/ok", UTF8 },
}

describe("a path", function()
  local good, bad = 0, 0
  for _, case in ipairs(CASES) do
    local path, wrong, wrong_sequential = case[1], case[2], case[3]
    if wrong_sequential == nil then
      wrong_sequential = wrong
    end
    good, bad = good + (wrong and 0 or 1), bad + (wrong and 1 or 0)
    local name = path and ("%q"):format(path:sub(1, 30)) or "null"
    it(name .. " " .. (wrong or "is well-formed"), function()
      assert.equal(wrong, wire.path_check(path))
    end)
    it(name .. " as a sequential one " .. (wrong_sequential or "is well-formed"), function()
      assert.equal(wrong_sequential or nil, wire.path_check(path, true))
    end)
  end

  it("has as many bad rows as good ones", function()
    assert.is_true(bad >= good and good > 0)
  end)

  -- Each code point of the plane, by the ranges that a server goes by.
  it("allows every other code point of the first plane", function()
    local function utf8_of(point)
      if point < 0x80 then
        return string.char(point)
      elseif point < 0x800 then
        return string.char(0xc0 + math.floor(point / 64), 0x80 + point % 64)
      end
      return string.char(0xe0 + math.floor(point / 4096),
        0x80 + math.floor(point / 64) % 64, 0x80 + point % 64)
    end
    local function forbidden(point)
      return point <= 0x1f or (point >= 0x7f and point <= 0x9f)
        or (point >= 0xd800 and point <= 0xf8ff) or point >= 0xfff0
    end
    for point = 0, 0xffff do
      if point ~= 0x2f then -- '/'
        local wrong = wire.path_check("/x" .. utf8_of(point))
        if (wrong ~= nil) ~= forbidden(point) then
          error(("U+%04X: %s"):format(point, tostring(wrong)))
        end
      end
    end
  end)
end)
