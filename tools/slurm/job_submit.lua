-- Slurm's job_submit/lua hook: asks RT Predictor's agent about each job, and writes what it says
-- into the job. docs/slurm.md says how to install it, and how to use it beside hooks of your own.
--
-- It never refuses a job, never raises an error, and never holds a submission up for longer than
-- `timeout_ms`: it runs under slurmctld's locks, one job at a time.

local here = debug.getinfo(1, "S").source:match("^@(.*/)") or "/etc/slurm/"
package.path = here .. "?.lua;" .. package.path

-- Flags of a prediction that no limit is shortened on.
local UNSURE = { cold_start_user = true, out_of_training_range = true, no_time_limit = true }

local M = {}

local function is_sure(prediction)
    for _, flag in ipairs(prediction.flags or {}) do
        if UNSURE[flag] then
            return false
        end
    end
    return prediction.recommended_time_req ~= nil
end

-- The prediction for people and for programs: "name=value" in s, apart from the version.
local function annotation(prediction)
    local parts = {
        "rt_predictor",
        string.format("predicted_s=%.0f", prediction.predicted_runtime),
        string.format("lower_s=%.0f", prediction.confidence_lower),
        string.format("upper_s=%.0f", prediction.confidence_upper),
        string.format("level=%g", prediction.confidence_level),
    }
    if prediction.recommended_time_req then
        parts[#parts + 1] = string.format("recommended_s=%.0f", prediction.recommended_time_req)
    end
    if prediction.timeout_probability then
        parts[#parts + 1] = string.format("timeout=%.3f", prediction.timeout_probability)
    end
    parts[#parts + 1] = "model=" .. tostring(prediction.model_version)
    return table.concat(parts, " ")
end

local function annotate(desc, field, prediction)
    if field ~= "admin_comment" and field ~= "comment" then
        return
    end
    local before = desc[field]
    local text = annotation(prediction)
    desc[field] = before and before ~= "" and before .. "; " .. text or text
end

-- Shortens the limit, or says how short it may be, where the partition has opted in.
local function shorten(desc, job, prediction, settings, hooks)
    if not (job.time_req and is_sure(prediction)) then
        return
    end
    local minutes = math.max(
        math.ceil(prediction.recommended_time_req / 60), settings.least_limit_min)
    local limit_min = math.floor(job.time_req / 60)
    if minutes >= limit_min then
        return
    end
    if hooks.rtp.lists(settings.lower_limit, job.partition) then
        desc.time_limit = minutes
        slurm.log_user("time limit lowered from %s to %s by this cluster's predictor",
            hooks.rtp.duration(job.time_req), hooks.rtp.duration(minutes * 60))
    elseif hooks.rtp.lists(settings.set_time_min, job.partition)
        and not hooks.jobs.number(desc.time_min, 1) then
        desc.time_min = minutes
    end
end

local function note(desc, partitions, hooks)
    local job = hooks.jobs.of_description(desc, partitions or {})
    local prediction, why = hooks.asker.predict(job)
    if not prediction then
        slurm.log_debug("rt_predictor: %s", tostring(why))
        return
    end
    annotate(desc, hooks.settings.annotate, prediction)
    if hooks.settings.tell_user then
        local advice = hooks.rtp.advice(prediction, job.time_req, hooks.settings)
        if advice then
            slurm.log_user("%s", advice)
        end
    end
    shorten(desc, job, prediction, hooks.settings, hooks)
end

local function load()
    local rtp = require("rt_predictor")
    local settings, wrong = rtp.read_settings(here .. "rt_predictor_conf.lua")
    for _, what in ipairs(wrong or {}) do
        slurm.log_error("rt_predictor_conf.lua: %s", what)
    end
    return {
        rtp = rtp,
        jobs = require("rt_predictor_jobs"),
        settings = settings,
        asker = rtp.asker(settings),
    }
end

-- Notes a prediction on a job that is being submitted; whatever happens, the job goes on.
function M.submit(desc, partitions)
    if M.hooks == nil then
        local loaded, hooks = pcall(load)
        M.hooks = loaded and hooks
        if not loaded then
            slurm.log_error("rt_predictor: no predictions: %s", tostring(hooks))
        end
    end
    if M.hooks then
        local done, problem = pcall(note, desc, partitions, M.hooks)
        if not done then
            slurm.log_error("rt_predictor: %s", tostring(problem))
        end
    end
end

function slurm_job_submit(desc, partitions, _)
    pcall(M.submit, desc, partitions)
    return slurm.SUCCESS
end

function slurm_job_modify()
    return slurm.SUCCESS
end

return slurm.SUCCESS
