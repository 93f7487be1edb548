local rtp = require("rt_predictor")

local PREDICTION = '{"v":1,"prediction":{"predicted_runtime":60.5}}'

-- Sockets that answer as told; `now_s` is their clock.
local function fakes(answer)
    local fake = { now_s = 1000, asked = 0, lines = {}, answer = answer, closed = 0 }
    fake.gettime = function() return fake.now_s end
    fake.stream = function()
        fake.asked = fake.asked + 1
        return {
            settimeout = function(_, timeout_s) fake.timeout_s = timeout_s end,
            connect = function() return not fake.refused or nil, fake.refused end,
            send = function(_, line) table.insert(fake.lines, line) return #line end,
            receive = function() return fake.answer, fake.answer == nil and "timeout" or nil end,
            close = function() fake.closed = fake.closed + 1 end,
        }
    end
    return fake
end

local function asker(fake, given)
    given = given or {}
    given.off_file = given.off_file or "/nowhere/off"
    return rtp.asker(rtp.settings(given), fake)
end

spec("a prediction is given as the API names it", function()
    local fake = fakes(PREDICTION)
    equal(asker(fake).predict({ user = "al" }), { predicted_runtime = 60.5 })
    contains(fake.lines[1], '"job":{"user":"al"}')
    equal(fake.lines[1]:sub(-1), "\n")
    equal(fake.closed, 1)
end)

spec("every step gets what is left of the time", function()
    local fake = fakes(PREDICTION)
    asker(fake, { timeout_ms = 10 }).predict({})
    equal(math.abs(fake.timeout_s - 0.01) < 1e-6, true)
end)

spec("a level is asked for where one is set", function()
    local fake = fakes(PREDICTION)
    asker(fake, { confidence_level = 0.95 }).predict({})
    contains(fake.lines[1], '"confidence_level":0.9')
end)

spec("why there is no prediction is told", function()
    for answer, why in pairs({
        ['{"v":1,"fallback":true,"reason":"deadline"}'] = "no prediction (deadline)",
        ['{"v":1,"error":{"message":"user = 5: must be text"}}'] = "user = 5: must be text",
        ["nonsense"] = "an answer that cannot be read",
        ["5"] = "an answer that cannot be read",
        ["{}"] = "no prediction (nil)",
    }) do
        local prediction, said = asker(fakes(answer)).predict({})
        equal(prediction, nil)
        equal(said, why)
    end
    local _, said = asker(fakes(nil)).predict({})
    equal(said, "timeout")
end)

spec("after failures in a row the agent is left alone for a while, then tried once", function()
    local fake = fakes(nil)
    local it = asker(fake, { failures = 3, pause_s = 30 })
    for _ = 1, 10 do it.predict({}) end
    equal(fake.asked, 3)
    local _, why = it.predict({})
    equal(why, "paused")
    fake.now_s = fake.now_s + 30
    for _ = 1, 5 do it.predict({}) end
    equal(fake.asked, 4, "one try")
    fake.now_s, fake.answer = fake.now_s + 30, PREDICTION
    for _ = 1, 5 do equal(it.predict({}), { predicted_runtime = 60.5 }) end
    equal(fake.asked, 9)
end)

spec("a clock that goes back does not pause for ever", function()
    local fake = fakes(nil)
    local it = asker(fake, { failures = 1 })
    it.predict({})
    fake.now_s, fake.answer = fake.now_s - 86400, PREDICTION
    equal(it.predict({}), { predicted_runtime = 60.5 })
end)

spec("an agent that answers without a prediction has not failed", function()
    local fake = fakes('{"v":1,"fallback":true,"reason":"away"}')
    local it = asker(fake, { failures = 1 })
    for _ = 1, 5 do it.predict({}) end
    equal(fake.asked, 5)
end)

spec("failures that are not in a row count for nothing", function()
    local fake = fakes(nil)
    local it = asker(fake, { failures = 2 })
    for _ = 1, 6 do
        fake.answer = nil
        it.predict({})
        fake.answer = PREDICTION
        it.predict({})
    end
    equal(fake.asked, 12)
end)

spec("a file switches it off at once, and its absence on", function()
    local path = os.tmpname()
    local fake = fakes(PREDICTION)
    local it = asker(fake, { off_file = path })
    local prediction, why = it.predict({})
    equal({ prediction, why, fake.asked }, { nil, "off", 0 })
    os.remove(path)
    equal(it.predict({}), { predicted_runtime = 60.5 })
end)

spec("an error inside is a reason like any other", function()
    local fake = fakes(PREDICTION)
    fake.stream = function() error("broken") end
    local prediction, why = asker(fake).predict({})
    equal(prediction, nil)
    contains(why, "broken")
    local none, cannot = asker(fakes(PREDICTION)).predict({ job = print })
    equal(none, nil)
    contains(cannot, "no JSON")
end)

spec("settings that make no sense are told and left out", function()
    local found, wrong = rtp.settings({ timeout_ms = "5", sokket = "x", failures = 7 })
    table.sort(wrong)
    equal(wrong, { "no such setting: sokket", "timeout_ms must be a number" })
    equal({ found.timeout_ms, found.failures, found.sokket }, { 10, 7 })
end)

spec("a settings file that is absent, broken or empty gives the defaults", function()
    local path = os.tmpname()
    local function written(text)
        local file = io.open(path, "w")
        file:write(text)
        file:close()
        return rtp.read_settings(path)
    end
    equal(written("return { timeout_ms = 3 }").timeout_ms, 3)
    for _, text in ipairs({ "return {", "", "return 5", "error('x')" }) do
        local found, wrong = written(text)
        equal(found, rtp.DEFAULTS)
        equal(#wrong, 1, text)
    end
    os.remove(path)
    local found, wrong = rtp.read_settings(path)
    equal({ found, wrong }, { rtp.DEFAULTS, {} })
end)

spec("the settings file that ships holds every setting with its default", function()
    equal(dofile(HOOKS .. "/rt_predictor_conf.lua"), rtp.DEFAULTS)
end)

spec("advice is given where a limit is far too long, or too short", function()
    local settings = rtp.settings({})
    local found = {
        predicted_runtime = 540, confidence_lower = 180, confidence_upper = 1920,
        confidence_level = 0.9, recommended_time_req = 2100, timeout_probability = 0.01,
    }
    equal(rtp.advice(found, 172800, settings),
        "jobs like this run for about 9 min (90 %: 3 min to 32 min), the limit is 2 d: "
        .. "--time=00:35:00 should do, and may start it sooner")
    equal(rtp.advice(found, 3 * 2100 - 1, settings), nil, "not three times")
    found.recommended_time_req = 300
    equal(rtp.advice(found, 3600, settings), nil, "not an hour above")
    found.timeout_probability = 0.6
    contains(rtp.advice(found, 400, settings), "the limit is 7 min: it may be cut off")
    equal(rtp.advice(found, nil, settings), nil)
end)

spec("limits are written as sbatch takes them, in whole minutes", function()
    equal(rtp.limit(1), "00:01:00")
    equal(rtp.limit(3600), "01:00:00")
    equal(rtp.limit(90061), "1-01:02:00")
end)

spec("spans of time have at most two units", function()
    local words = {}
    for _, seconds in ipairs({ 4.4, 89, 90, 3600, 5400, 9000, 172800, 180000 }) do
        words[#words + 1] = rtp.duration(seconds)
    end
    equal(words, { "4 s", "89 s", "2 min", "60 min", "1 h 30 min", "2 h 30 min", "2 d", "2 d 2 h" })
end)

spec("a list of partitions names some, or all", function()
    equal(rtp.lists({ "a", "b" }, "b"), true)
    equal(rtp.lists({ "a" }, "b"), false)
    equal(rtp.lists({}, "b"), false)
    equal(rtp.lists({ "*" }, nil), true)
end)
