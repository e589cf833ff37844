local wire = require("zklua_testing").wire

describe("error codes", function()
  for _, case in ipairs({
    { 0, "OK" }, { -1, "SYSTEMERROR" }, { -2, "RUNTIMEINCONSISTENCY" },
    { -3, "DATAINCONSISTENCY" }, { -4, "CONNECTIONLOSS" }, { -5, "MARSHALLINGERROR" },
    { -6, "UNIMPLEMENTED" }, { -7, "OPERATIONTIMEOUT" }, { -8, "BADARGUMENTS" },
    { -9, "INVALIDSTATE" }, { -12, "UNKNOWNSESSION" }, { -13, "NEWCONFIGNOQUORUM" },
    { -14, "RECONFIGINPROGRESS" }, { -100, "APIERROR" }, { -101, "NONODE" },
    { -102, "NOAUTH" }, { -103, "BADVERSION" }, { -108, "NOCHILDRENFOREPHEMERALS" },
    { -110, "NODEEXISTS" }, { -111, "NOTEMPTY" }, { -112, "SESSIONEXPIRED" },
    { -113, "INVALIDCALLBACK" }, { -114, "INVALIDACL" }, { -115, "AUTHFAILED" },
    { -116, "CLOSING" }, { -117, "NOTHING" }, { -118, "SESSIONMOVED" },
    { -119, "NOTREADONLY" }, { -120, "EPHEMERALONLOCALSESSION" }, { -121, "NOWATCHER" },
    { -122, "REQUESTTIMEOUT" }, { -123, "RECONFIGDISABLED" },
    { -124, "SESSIONCLOSEDREQUIRESASLAUTH" }, { -125, "QUOTAEXCEEDED" },
    { -127, "THROTTLEDOP" },
  }) do
    it(case[1] .. " is " .. case[2], function()
      assert.equal(case[2], wire.code_name(case[1]))
      assert.equal(case[1], wire.codes[case[2]])
    end)
  end

  it("have a name only where there is one", function()
    for _, code in ipairs({ 1, -10, -11, -15, -104, -109, -126, -128, -1001, 2147483647,
      -2147483648 }) do
      assert.is_nil(wire.code_name(code))
    end
  end)

  it("are as many as those above", function()
    local count = 0
    for _ in pairs(wire.codes) do
      count = count + 1
    end
    assert.equal(35, count)
  end)
end)
