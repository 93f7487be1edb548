-- Says whether hooks that run as this user get predictions on this host, and if not, why. It asks with
-- the hooks' own files and settings, so it lies beside them:
--
--     runuser -u slurm -- lua5.1 /etc/slurm/rt_predictor_check.lua     what job_submit.lua gets
--     lua5.1 /etc/slurm/rt_predictor_check.lua                         what cli_filter.lua gets
--
-- Exit code 0: predictions come.

local here = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
package.path = here .. "?.lua;" .. package.path

local TRIES, PAUSE_S = 20, 0.02

-- What is to be done about a reason for which there is no prediction, by a part of that reason.
local MENDS = {
    { "^off$", "the hooks are switched off: remove %s" },
    { "ermission denied", "this user may not connect: see --mode and --group of the agent, %s" },
    { "refused", "no agent listens at %s: systemctl status rt-predictor-agent" },
    { "No such file", "no agent listens at %s: systemctl status rt-predictor-agent" },
    { "^timeout$", "the agent at %s takes longer than timeout_ms: is it stopped, or the host busy?" },
    { "%(deadline%)", "the service takes longer than the agent's deadline: is it busy, or far away?" },
    { "%(away%)", "the agent cannot reach the service: journalctl -u rt-predictor-agent" },
}

local function say(name, ...)
    print(string.format("%-11s", name) .. string.format(...))
end

local function mend(why, settings)
    for _, known in ipairs(MENDS) do
        if why:match(known[1]) then
            return known[2]:format(known[1] == "^off$" and settings.off_file or settings.socket)
        end
    end
    return "docs/slurm.md says what can go wrong"
end

-- Predictions of some tries, the slowest of them (ms), the last one, and why the last try failed that did.
local function ask(asker, socket)
    local got, slowest_ms, last, why = 0, 0, nil, nil
    for try = 1, TRIES do
        -- No two alike: an answer that the agent has kept would prove little.
        local begun_s = socket.gettime()
        local prediction, problem = asker.predict({
            partial = true, user = os.getenv("USER"), time_req = 3600 + try,
            job_name = string.format("rt_predictor_check %.6f", begun_s),
        })
        slowest_ms = math.max(slowest_ms, (socket.gettime() - begun_s) * 1000)
        got, last, why = got + (prediction and 1 or 0), prediction or last, problem or why
        socket.sleep(PAUSE_S)
    end
    return got, slowest_ms, last, why
end

-- Whether the files that Slurm loads are Lua: it refuses all jobs where they are not.
local function are_lua()
    local fine = true
    for _, name in ipairs({ "job_submit.lua", "cli_filter.lua", "rt_predictor_conf.lua" }) do
        local file = io.open(here .. name)
        if file then
            file:close()
            local loads, problem = loadfile(here .. name)
            if not loads then
                fine = false
                say("PROBLEM", "%s", problem)
            end
        end
    end
    return fine
end

local function main()
    say("Lua", "%s, files of %s", _VERSION, here)
    if not are_lua() then
        return false
    end
    local rtp = require("rt_predictor")
    require("rt_predictor_jobs")
    local settings, wrong = rtp.read_settings(here .. "rt_predictor_conf.lua")
    for _, what in ipairs(wrong or {}) do
        say("PROBLEM", "rt_predictor_conf.lua: %s", what)
    end
    local has_socket, socket = pcall(require, "socket")
    if not has_socket then
        say("PROBLEM", "no LuaSocket: install lua-socket for %s", _VERSION)
        return false
    end
    say("LuaSocket", "%s", socket._VERSION)
    settings.failures = TRIES + 1 -- no pauses
    local got, slowest_ms, prediction, why = ask(rtp.asker(settings), socket)
    if prediction then
        say("agent", "%d predictions for %d jobs, the slowest answer after %.1f ms, by model %s",
            got, TRIES, slowest_ms, tostring(prediction.model_version))
    end
    if got < TRIES then
        say(got == 0 and "PROBLEM" or "note", "%d jobs without: %s", TRIES - got, tostring(why))
        say("", "%s", mend(tostring(why), settings))
    end
    return got > 0 and #(wrong or {}) == 0
end

local done, fine = pcall(main)
if not done then
    say("PROBLEM", "%s", tostring(fine))
end
os.exit(done and fine and 0 or 1)
