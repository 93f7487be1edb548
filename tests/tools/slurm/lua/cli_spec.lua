slurm = fake_slurm()

local rtp = require("rt_predictor")
local answer, asked
rtp.asker = function()
    return { predict = function(job) asked = job return answer end }
end
rtp.read_settings = function() return rtp.settings({ default_partition = "normal" }) end

local environment = { USER = "al" }
os.getenv = function(name) return environment[name] end
local said
io.stderr = { write = function(_, ...) said = table.concat({ ... }) end }
dofile(HOOKS .. "/cli_filter.lua")

local function submit(options)
    said, asked = nil, nil
    equal(slurm_cli_pre_submit(options, 0), slurm.SUCCESS)
    return said
end

local LONG = { type = "sbatch", time = "2-00:00:00", ntasks = "1" }

spec("a limit far too long is told in one line", function()
    answer = {
        predicted_runtime = 540, confidence_lower = 180, confidence_upper = 1920,
        confidence_level = 0.9, recommended_time_req = 2100,
    }
    equal(submit(LONG),
        "sbatch: jobs like this run for about 9 min (90 %: 3 min to 32 min), the limit is 2 d: "
        .. "--time=00:35:00 should do, and may start it sooner\n")
    equal({ asked.user, asked.partition, asked.time_req }, { "al", "normal", 172800 })
end)

spec("a limit that fits is not worth a word", function()
    equal(submit({ type = "sbatch", time = "01:00:00" }), nil)
end)

spec("nothing is asked without a limit, inside of a job, or for who wants to hear nothing", function()
    for _, options in ipairs({
        { type = "sbatch", time = "2982616-04:14:00" },
        { type = "srun", time = "2-00:00:00" },
        { type = "salloc", time = "2-00:00:00" },
    }) do
        equal({ submit(options), asked }, {})
    end
    environment.RT_PREDICTOR_QUIET = "1"
    equal({ submit(LONG), asked }, {})
    environment.RT_PREDICTOR_QUIET = nil
end)

spec("without an answer, or with one that makes no sense, sbatch goes on", function()
    for _, odd in ipairs({ false, { recommended_time_req = 1 }, { recommended_time_req = "x" } }) do
        answer = odd or nil
        equal(submit(LONG), nil)
    end
    rtp.read_settings = function() error("broken") end
    equal(submit(LONG), nil)
    equal(slurm_cli_setup_defaults({}, true), slurm.SUCCESS)
    equal(slurm_cli_post_submit(0, 5, 0), slurm.SUCCESS)
end)
