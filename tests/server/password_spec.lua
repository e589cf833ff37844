local codec = require("wire.codec")
local sessions = require("zklua_testing").sessions

local hex, unhex = codec.hex, codec.unhex
local SECRET = ("s"):rep(20)

describe("a session's password", function()
  -- The first was seen from an Apache server; the others are java.util.Random's with that seed.
  for id, password in pairs({
    ["0x100000f60e6000e"] = "f75f9a9da57eb8416a144ad8fa7d5bd4",
    ["0x0"] = "f22acd4a97e69d6d20a49bb638eadb38",
    ["0x1"] = "054cc74a37327db215e702e20c73f005",
    ["0xfe0001a1ffb9ffff"] = "ba272f29f6073a7b9ba3b21606803444",
    ["0x8000000000000001"] = "054cc74a37327db215e702e20c73f005",
  }) do
    it("is Apache's where that was asked for: " .. id, function()
      assert.are.equal(password, hex(sessions.password(id)))
    end)
  end

  it("is the beginning of a hash of secret and id otherwise", function()
    -- printf 'ssssssssssssssssssss\1\0\0\17\140\346\0\16' | sha1sum
    assert.are.equal("19ca2b3e53f58afb66efb98ae714f656",
      hex(sessions.password("0x100000f60e6000e", SECRET)))
  end)

  it("differs with the id, and with the secret", function()
    local seen = {}
    for i = 1, 500 do
      for _, secret in ipairs({ SECRET, ("t"):rep(20) }) do
        local password = sessions.password(("0x%x"):format(i), secret)
        assert.is_nil(seen[password])
        seen[password] = true
      end
    end
  end)

  it("is equal to itself only", function()
    local password = unhex("00112233445566778899aabbccddeeff")
    assert.is_true(sessions.password_equal(password, password))
    for i = 1, 16 do
      local other = password:sub(1, i - 1) .. "\42" .. password:sub(i + 1)
      assert.is_false(sessions.password_equal(other, password))
    end
    for size = 0, 15 do
      assert.is_false(sessions.password_equal(password:sub(1, size), password))
    end
    assert.is_false(sessions.password_equal(password .. "\0", password))
    assert.is_false(sessions.password_equal(nil, password))
    assert.is_false(sessions.password_equal(nil, ("\0"):rep(16)))
    assert.is_false(sessions.password_equal("", ("\0"):rep(16)))
  end)
end)
