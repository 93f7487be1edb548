local jobs = require("rt_predictor_jobs")

local NO_VAL, NO_VAL16, NO_VAL64 = 4294967294, 65534, 18446744073709551614
local PARTITIONS = {
    normal = { flag_default = 1, default_time = 60, max_time = 2880 },
    long = { flag_default = 0, default_time = NO_VAL, max_time = 14400 },
    endless = { flag_default = 0, default_time = NO_VAL, max_time = 4294967295 },
}

-- What slurmctld 22.05 shows of `sbatch --wrap true`, with some fields set otherwise.
local function description(fields)
    local desc = {
        name = "wrap", user_name = "al", num_tasks = NO_VAL, cpus_per_task = NO_VAL16, min_cpus = 1,
        max_cpus = NO_VAL, min_nodes = NO_VAL, max_nodes = NO_VAL, ntasks_per_node = NO_VAL16,
        pn_min_cpus = NO_VAL16, pn_min_memory = NO_VAL64, time_limit = NO_VAL, time_min = NO_VAL,
    }
    for name, value in pairs(fields or {}) do
        desc[name] = value
    end
    return desc
end

local function of(fields)
    return jobs.of_description(description(fields), PARTITIONS)
end

spec("a job that asks for nothing has its partition's limit, and no field that is not known", function()
    equal(of(), {
        partial = true, processors_req = 1, nodes_req = 1, gpus_req = 0, time_req = 3600,
        partition = "normal", user = "al", job_name = "wrap",
    })
end)

spec("limits are in minutes there and in seconds here", function()
    equal(of({ time_limit = 10 }).time_req, 600)
    equal(of({ partition = "long" }).time_req, 864000, "the partition's greatest")
    equal(of({ partition = "endless" }).time_req, nil)
    equal(of({ partition = "endless", time_limit = 4294967295 }).time_req, nil, "--time=infinite")
    equal(of({ partition = "gone", time_limit = 10 }).time_req, 600)
    equal(of({ partition = "gone" }).time_req, nil)
end)

spec("the first of several partitions counts", function()
    equal(of({ partition = "long,normal" }).partition, "long")
end)

spec("processors are those of the whole job", function()
    equal(of({ num_tasks = 8, min_cpus = 8 }).processors_req, 8)
    equal(of({ num_tasks = 4, cpus_per_task = 3, min_cpus = 12 }).processors_req, 12)
    equal(of({ min_nodes = 3, ntasks_per_node = 4, cpus_per_task = 2 }).processors_req, 24)
    equal(of({ min_nodes = 5 }).processors_req, 5, "one a node at least")
    equal(of({ min_nodes = 5 }).nodes_req, 5)
end)

spec("memory is that of the whole job", function()
    equal(of({ min_mem_per_node = 200, min_nodes = 3 }).mem_req, 600)
    equal(of({ min_mem_per_cpu = 100, num_tasks = 8, min_cpus = 8 }).mem_req, 800)
    equal(of({ min_mem_per_node = 0 }).mem_req, nil, "all of the node")
end)

spec("GPUs are those of the whole job, of any type", function()
    equal(of({ tres_per_job = "gres:gpu:2" }).gpus_req, 2)
    equal(of({ tres_per_node = "gres:gpu:a100:4", min_nodes = 2 }).gpus_req, 8)
    equal(of({ tres_per_task = "gres/gpu=1", num_tasks = 3 }).gpus_req, 3)
    equal(jobs.gpus("gpu"), 1)
    equal(jobs.gpus("gres:gpu:a100:1,gres:gpu:v100:2,gres:shard:9"), 3)
    equal(jobs.gpus("gpus:3,gpumem:4"), 0)
end)

spec("what the association gives stands in for what was not asked for", function()
    local found = of({ default_account = "lab", default_qos = "normal" })
    equal({ found.account, found.qos }, { "lab", "normal" })
    found = of({ account = "own", qos = "high", default_account = "lab", default_qos = "normal" })
    equal({ found.account, found.qos }, { "own", "high" })
end)

spec("a long name is cut, since a field takes 256 characters", function()
    equal(#of({ name = string.rep("x", 1000) }).job_name, 256)
end)

spec("options of sbatch are read as it writes them", function()
    equal(jobs.of_options({
        type = "sbatch", time = "2-01:00:00", ntasks = "4", ["cpus-per-task"] = "2", nodes = "2-4",
        ["mem-per-cpu"] = "1G", partition = "long,normal", qos = "high", account = "lab",
        ["job-name"] = "sim", ["gpus-per-node"] = "a100:2", ["ntasks-per-node"] = "-2",
    }, "al", "normal"), {
        partial = true, time_req = 176400, processors_req = 8, nodes_req = 2, mem_req = 8192,
        partition = "long", qos = "high", account = "lab", job_name = "sim", user = "al",
        gpus_req = 4,
    })
end)

spec("options that are not set are not known", function()
    equal(jobs.of_options({
        type = "sbatch", time = "2982616-04:14:00", ntasks = "1", ["cpus-per-task"] = "0",
        nodes = "1-0", ["ntasks-per-node"] = "-2", mem = "0",
    }, nil, "normal"), {
        partial = true, processors_req = 1, nodes_req = 1, gpus_req = 0, partition = "normal",
    })
end)

spec("sizes of memory have units", function()
    equal({ jobs.megabytes("200"), jobs.megabytes("4G"), jobs.megabytes("512K"), jobs.megabytes("2TB") },
        { 200, 4096, 0.5, 2097152 })
    equal(jobs.megabytes("lots"), nil)
end)
