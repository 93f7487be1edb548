-- What the Slurm hooks of RT Predictor share: their settings, how they ask the agent, and the words
-- for its answers. For Lua 5.1 to 5.4 with LuaSocket.
--
-- Nothing here raises an error or waits for longer than `timeout_ms`.

local json = require("rt_predictor_json")

local M = {}

-- The defaults; rt_predictor_conf.lua beside this file explains them, and may say otherwise.
local DEFAULTS = {
    socket = "/run/rt-predictor/agent.sock",
    timeout_ms = 10,
    off_file = "/etc/slurm/rt_predictor.off",
    failures = 3,
    pause_s = 30,
    confidence_level = 0,
    annotate = "admin_comment",
    set_time_min = {},
    lower_limit = {},
    least_limit_min = 30,
    tell_user = false,
    tell_factor = 3,
    tell_least_min = 60,
    tell_timeout = 0.5,
    default_partition = "",
}
M.DEFAULTS = DEFAULTS

-- The settings of a table, and what is wrong with others.
function M.settings(given)
    local found, wrong = {}, {}
    for name, default in pairs(DEFAULTS) do
        found[name] = default
    end
    for name, value in pairs(given) do
        if DEFAULTS[name] == nil then
            wrong[#wrong + 1] = "no such setting: " .. tostring(name)
        elseif type(value) ~= type(DEFAULTS[name]) then
            wrong[#wrong + 1] = name .. " must be a " .. type(DEFAULTS[name])
        else
            found[name] = value
        end
    end
    return found, wrong
end

-- The settings of a file that may not be there, and what is wrong with it.
function M.read_settings(path)
    local file = io.open(path)
    if not file then
        return M.settings({})
    end
    file:close()
    local read, given = pcall(dofile, path)
    if not read or type(given) ~= "table" then
        local settings = M.settings({})
        return settings, { read and path .. " does not return a table" or tostring(given) }
    end
    return M.settings(given)
end

local function is_there(path)
    local file = path ~= "" and io.open(path)
    if file then
        file:close()
    end
    return file and true or false
end

-- LuaSocket as it is; nil where it is not installed.
local function luasocket()
    local has_socket, socket = pcall(require, "socket")
    local has_unix, unix = pcall(require, "socket.unix")
    if not (has_socket and has_unix) then
        return nil
    end
    -- A function until LuaSocket 3.0, a table since.
    return { gettime = socket.gettime, stream = type(unix) == "table" and unix.stream or unix }
end

-- One line to the agent and its answer, or nil and why not, after `timeout_ms`.
local function exchange(sockets, settings, line)
    local ends_s = sockets.gettime() + settings.timeout_ms / 1000
    local client, why = sockets.stream()
    if not client then
        return nil, why
    end
    local function step(method, ...)
        -- Each step of a connection gets what time is left; 0 would be "without waiting".
        client:settimeout(math.max(ends_s - sockets.gettime(), 0), "t")
        return client[method](client, ...)
    end
    local done, answer
    done, why = step("connect", settings.socket)
    if done then
        done, why = step("send", line .. "\n")
    end
    if done then
        answer, why = step("receive", "*l")
    end
    client:close()
    return answer, why
end

-- An asker; `sockets` is given by tests alone.
function M.asker(settings, sockets)
    local self = { failures = 0, paused_at_s = nil }
    sockets = sockets or luasocket()

    local function is_paused()
        if not self.paused_at_s then
            return false
        end
        local age_s = sockets.gettime() - self.paused_at_s
        if age_s >= 0 and age_s < settings.pause_s then
            return true
        end
        -- One try: a further failure pauses again.
        self.paused_at_s, self.failures = nil, settings.failures - 1
        return false
    end

    local function failed(why)
        self.failures = self.failures + 1
        if self.failures >= settings.failures then
            self.paused_at_s = sockets.gettime()
        end
        return nil, why
    end

    local function ask(job)
        if not sockets then
            return nil, "LuaSocket is not installed"
        elseif is_there(settings.off_file) then
            return nil, "off"
        elseif is_paused() then
            return nil, "paused"
        end
        if settings.confidence_level > 0 then
            job.confidence_level = settings.confidence_level
        end
        local line, why = exchange(sockets, settings, json.encode({ v = 1, job = job }))
        if not line then
            return failed(why or "no answer")
        end
        local read, answer = pcall(json.decode, line)
        if not read or type(answer) ~= "table" then
            return failed("an answer that cannot be read")
        end
        self.failures = 0
        if type(answer.prediction) == "table" then
            return answer.prediction
        elseif type(answer.error) == "table" then
            return nil, tostring(answer.error.message)
        end
        return nil, "no prediction (" .. tostring(answer.reason) .. ")"
    end

    -- The prediction for a job (fields of the API), or nil and why there is none.
    function self.predict(job)
        local done, prediction, why = pcall(ask, job)
        if done then
            return prediction, why
        end
        return nil, tostring(prediction)
    end

    return self
end

-- Whether a list of partitions names one.
function M.lists(partitions, name)
    for _, listed in ipairs(partitions) do
        if listed == "*" or listed == name then
            return true
        end
    end
    return false
end

-- One line for the user where the limit is far from what is to be expected, else nil.
function M.advice(prediction, limit_s, settings)
    local recommended_s = prediction.recommended_time_req
    if not (limit_s and recommended_s) then
        return nil
    end
    local ran = string.format(
        "jobs like this run for about %s (%.0f %%: %s to %s), the limit is %s",
        M.duration(prediction.predicted_runtime), 100 * prediction.confidence_level,
        M.duration(prediction.confidence_lower), M.duration(prediction.confidence_upper),
        M.duration(limit_s))
    local above_s = limit_s - recommended_s
    if limit_s >= settings.tell_factor * recommended_s and above_s >= settings.tell_least_min * 60 then
        return ran .. ": --time=" .. M.limit(recommended_s) .. " should do, and may start it sooner"
    elseif (prediction.timeout_probability or 0) >= settings.tell_timeout then
        return ran .. ": it may be cut off"
    end
    return nil
end

-- A limit as sbatch's --time takes it, in whole minutes.
function M.limit(seconds)
    local minutes = math.ceil(seconds / 60)
    local days, rest = math.floor(minutes / 1440), minutes % 1440
    local clock = string.format("%02d:%02d:00", math.floor(rest / 60), rest % 60)
    return days > 0 and string.format("%d-%s", days, clock) or clock
end

-- A span of time as people say it.
function M.duration(seconds)
    local minutes = math.floor(seconds / 60 + 0.5)
    if seconds < 90 then
        return string.format("%.0f s", seconds)
    elseif minutes < 90 then
        return minutes .. " min"
    elseif minutes < 2880 then
        local hours, rest = math.floor(minutes / 60), minutes % 60
        return hours .. " h" .. (rest > 0 and string.format(" %d min", rest) or "")
    end
    local hours = math.floor(minutes / 60 + 0.5)
    local days, rest = math.floor(hours / 24), hours % 24
    return days .. " d" .. (rest > 0 and string.format(" %d h", rest) or "")
end

return M
