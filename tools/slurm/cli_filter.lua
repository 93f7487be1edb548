-- Slurm's cli_filter/lua hook: tells the user at sbatch, in one line on stderr, when the time limit is
-- far from what jobs like this one take. It runs as the user, in sbatch itself.
--
-- It never refuses a job, never raises an error, and never takes longer than `timeout_ms`. Users who
-- want to hear nothing set RT_PREDICTOR_QUIET.

local here = debug.getinfo(1, "S").source:match("^@(.*/)") or "/etc/slurm/"
package.path = here .. "?.lua;" .. package.path

local function tell(options)
    local rtp = require("rt_predictor")
    local settings = rtp.read_settings(here .. "rt_predictor_conf.lua")
    local user = os.getenv("USER") or os.getenv("LOGNAME")
    local job = require("rt_predictor_jobs").of_options(options, user, settings.default_partition)
    if not job.time_req then
        return
    end
    local prediction = rtp.asker(settings).predict(job)
    local advice = prediction and rtp.advice(prediction, job.time_req, settings)
    if advice then
        io.stderr:write("sbatch: ", advice, "\n")
    end
end

function slurm_cli_setup_defaults()
    return slurm.SUCCESS
end

function slurm_cli_pre_submit(options, _)
    if options["type"] == "sbatch" and not os.getenv("RT_PREDICTOR_QUIET") then
        pcall(tell, options)
    end
    return slurm.SUCCESS
end

function slurm_cli_post_submit()
    return slurm.SUCCESS
end

return slurm.SUCCESS
