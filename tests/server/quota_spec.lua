local quota = require("zklua_testing").quota

local function numbers(count, bytes, count_hard, bytes_hard)
  return {
    count = tostring(count or -1), bytes = tostring(bytes or -1),
    count_hard = tostring(count_hard or -1), bytes_hard = tostring(bytes_hard or -1),
  }
end

describe("the text of a quota", function()
  for _, case in ipairs({
    { "count=5,bytes=100", numbers(5, 100) },
    { "count=-1,bytes=-1", numbers() },
    { "count=-1,bytes=-1=;byteHardLimit=100;countHardLimit=5", numbers(-1, -1, 5, 100) },
    { "count=0,bytes=7=;countHardLimit=0", numbers(0, 7, 0) },
    { "count=1,bytes=2=;byteHardLimit=0", numbers(1, 2, -1, 0) },
    { "count=-9223372036854775808,bytes=-9223372036854775808=;"
      .. "byteHardLimit=-9223372036854775808;countHardLimit=-9223372036854775808",
      numbers("-9223372036854775808", "-9223372036854775808", "-9223372036854775808",
        "-9223372036854775808") },
  }) do
    it("is read and written as " .. case[1], function()
      assert.are.same(case[2], quota.parse(case[1]))
      assert.are.equal(case[1], quota.format(case[2]))
    end)
  end

  -- Each of these was given to Apache's parser: it reads them so.
  for _, case in ipairs({
    { "", numbers() },
    { ",", numbers() },
    { ";,;", numbers() },
    { "bytes=3", numbers(-1, 3) },
    { "bytes=3,count=4", numbers(4, 3) },
    { "count=4,", numbers(4) },
    { "count=4,;,bytes=1;;", numbers(4, 1) },
    { "count=1,count=2", numbers(2) },
    { "count=+5", numbers(5) },
    { "count=007", numbers(7) },
    { "count==5", numbers() },
    { "count=5=6", numbers(5) },
    { "count=5==", numbers(5) },
    { "=5", numbers() },
    { "other=1,count=2", numbers(2) },
    { " count=1", numbers() },
    { "Count=1", numbers() },
  }) do
    it("may also be " .. ("%q"):format(case[1]), function()
      assert.are.same(case[2], quota.parse(case[1]))
    end)
  end

  -- On these Apache's parser throws, and a server that finds one does not start.
  for _, text in ipairs({
    "count", "count=", "=", "==", ",count=1", ";bytes=2", "hello", "count=a", "count=1 ",
    "count= 1", "count=1.5", "count=-", "count=9223372036854775808", "count=1,bytes",
    "count=1,bytes=", "count=1,other=x", "count=1\0", "\0",
  }) do
    it("is not " .. ("%q"):format(text), function()
      assert.is_nil(quota.parse(text))
    end)
  end
end)
