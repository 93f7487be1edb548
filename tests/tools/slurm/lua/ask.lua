-- Asks the agent at a socket so many times: lua ask.lua HOOKS SOCKET TIMEOUT_MS TIMES FAILURES; one
-- line for each.

package.path = arg[1] .. "/?.lua;" .. package.path
local rtp = require("rt_predictor")
local asker = rtp.asker((rtp.settings({
    socket = arg[2], timeout_ms = tonumber(arg[3]), failures = tonumber(arg[5]), off_file = "",
})))
for _ = 1, tonumber(arg[4]) do
    local prediction, why = asker.predict({ time_req = 3600, user = 'a"l', partial = true })
    print(prediction and "predicted " .. prediction.predicted_runtime or why)
end
