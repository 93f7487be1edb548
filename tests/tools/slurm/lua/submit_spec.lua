slurm = fake_slurm()

local PREDICTION = {
    predicted_runtime = 540.4, confidence_lower = 180, confidence_upper = 1920, confidence_level = 0.9,
    recommended_time_req = 2100, timeout_probability = 0.0123, flags = {}, model_version = "m1",
}
local TEXT = "rt_predictor predicted_s=540 lower_s=180 upper_s=1920 level=0.9 recommended_s=2100 "
    .. "timeout=0.012 model=m1"
local NO_VAL = 4294967294

local rtp = require("rt_predictor")
local answer, why
rtp.asker = function()
    return { predict = function() return answer, why end }
end

-- The hook, afresh, with settings; submits one job and gives it back.
local function submitted(fields, settings)
    slurm = fake_slurm()
    rtp.read_settings = function() return rtp.settings(settings or {}) end
    dofile(HOOKS .. "/job_submit.lua")
    local desc = { user_name = "al", partition = "long", time_limit = 2880, time_min = NO_VAL }
    for name, value in pairs(fields or {}) do
        desc[name] = value
    end
    equal(slurm_job_submit(desc, {}, 1000), slurm.SUCCESS)
    return desc
end

spec("the prediction is written into the job, after what is there", function()
    answer = PREDICTION
    equal(submitted().admin_comment, TEXT)
    equal(submitted({ admin_comment = "held" }).admin_comment, "held; " .. TEXT)
    local desc = submitted({}, { annotate = "comment" })
    equal({ desc.comment, desc.admin_comment }, { TEXT })
    desc = submitted({}, { annotate = "" })
    equal({ desc.comment, desc.admin_comment }, {})
end)

spec("nothing else is changed unless a partition has opted in", function()
    answer = PREDICTION
    local desc = submitted({}, { lower_limit = { "other" }, set_time_min = { "other" } })
    equal({ desc.time_limit, desc.time_min, #slurm.said.user }, { 2880, NO_VAL, 0 })
end)

spec("a limit is lowered to the recommended one where asked for, and the user told", function()
    answer = PREDICTION
    local desc = submitted({}, { lower_limit = { "long" } })
    equal({ desc.time_limit, desc.time_min }, { 35, NO_VAL })
    contains(slurm.said.user[1], "time limit lowered from 2 d to 35 min")
    equal(submitted({}, { lower_limit = { "*" }, least_limit_min = 120 }).time_limit, 120)
end)

spec("a limit is never raised", function()
    answer = PREDICTION
    equal(submitted({ time_limit = 20 }, { lower_limit = { "*" }, set_time_min = { "*" } }).time_limit, 20)
    equal(submitted({ time_limit = 35 }, { lower_limit = { "*" } }).time_limit, 35)
    equal(submitted({ time_limit = NO_VAL }, { lower_limit = { "*" } }).time_limit, NO_VAL)
end)

spec("time_min is set where asked for, unless the user has set it", function()
    answer = PREDICTION
    local settings = { set_time_min = { "long" } }
    local desc = submitted({}, settings)
    equal({ desc.time_limit, desc.time_min }, { 2880, 35 })
    equal(submitted({ time_min = 600 }, settings).time_min, 600)
end)

spec("no limit is shortened on a prediction that is unsure", function()
    for _, flag in ipairs({ "cold_start_user", "out_of_training_range" }) do
        answer = {}
        for name, value in pairs(PREDICTION) do answer[name] = value end
        answer.flags = { "unseen_qos", flag }
        local desc = submitted({}, { lower_limit = { "*" } })
        equal({ desc.time_limit, desc.admin_comment }, { 2880, TEXT })
    end
    answer.recommended_time_req, answer.flags = nil, {}
    equal(submitted({}, { lower_limit = { "*" } }).time_limit, 2880)
end)

spec("the user is told where that is asked for", function()
    answer = PREDICTION
    submitted({}, { tell_user = true })
    contains(slurm.said.user[1], "jobs like this run for about 9 min")
end)

spec("without a prediction the job stays as it is", function()
    answer, why = nil, "paused"
    local desc = submitted({}, { lower_limit = { "*" }, set_time_min = { "*" }, tell_user = true })
    equal({ desc.time_limit, desc.time_min, desc.admin_comment }, { 2880, NO_VAL })
    equal({ #slurm.said.user, #slurm.said.error }, { 0, 0 })
    contains(slurm.said.debug[1], "paused")
end)

spec("an answer that makes no sense changes nothing and is logged", function()
    for _, odd in ipairs({ { predicted_runtime = "x" }, {}, { predicted_runtime = {} } }) do
        answer = odd
        equal(submitted({}, { lower_limit = { "*" } }).time_limit, 2880)
        equal(#slurm.said.error, 1)
    end
end)

spec("a job that cannot be read or written is let pass", function()
    answer = PREDICTION
    submitted()
    local locked = setmetatable({}, { __newindex = function() error("read only") end })
    equal(slurm_job_submit(locked, {}, 0), slurm.SUCCESS)
    local broken = setmetatable({}, { __index = function() error("no field") end })
    equal(slurm_job_submit(broken, {}, 0), slurm.SUCCESS)
    equal(slurm_job_submit(nil, nil, nil), slurm.SUCCESS)
    equal(slurm_job_modify({}, {}, {}, 0), slurm.SUCCESS)
end)

spec("a module that is missing or a settings file that is wrong is told, and jobs go on", function()
    slurm = fake_slurm()
    rtp.read_settings = function() error("cannot be read") end
    dofile(HOOKS .. "/job_submit.lua")
    local desc = { time_limit = 5 }
    for _ = 1, 3 do equal(slurm_job_submit(desc, {}, 0), slurm.SUCCESS) end
    equal({ desc, #slurm.said.error }, { { time_limit = 5 }, 1 }, "told once")
    submitted({}, { no_such = 1 })
    equal(slurm.said.error, { "rt_predictor_conf.lua: no such setting: no_such" })
end)
