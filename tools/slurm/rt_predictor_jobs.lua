-- Jobs as Slurm's plugins describe them, in the fields and units of RT Predictor's API. What is not
-- known is left out.

local M = {}

local MAX_TEXT_BYTES = 256

-- Slurm's "no value" and, one above it, "infinite".
local UNSET_16, UNSET_32 = 0xFFFE, 0xFFFFFFFE

-- What a field of 32 bits or more holds, or nil where it is unset, or less than `least`.
local function number(value, least, unset)
    local found = tonumber(value)
    return found and found >= least and found < (unset or UNSET_32) and found or nil
end
M.number = number

local function short(value)
    return number(value, 1, UNSET_16)
end

local function text(value)
    if value == nil or value == "" then
        return nil
    end
    return tostring(value):sub(1, MAX_TEXT_BYTES)
end

local function largest(...)
    local found
    for at = 1, select("#", ...) do
        local value = select(at, ...)
        if value and (not found or value > found) then
            found = value
        end
    end
    return found
end

-- GPUs that a TRES or GRES list asks for: "gres:gpu:a100:2", "gres/gpu=2", "gpu", "gpu:2,shard:4".
function M.gpus(list)
    local sum = 0
    for item in tostring(list or ""):gmatch("[^,]+") do
        local rest = item:gsub("^gres[:/]", ""):match("^gpu(.*)$")
        if rest == "" then
            sum = sum + 1
        elseif rest and rest:match("^[:=]") then
            sum = sum + (tonumber(rest:match("[:=](%d+)$")) or 1)
        end
    end
    return sum
end

-- MB of "200", "4G", "1.5T": an option of sbatch.
function M.megabytes(size)
    local amount, unit = tostring(size or ""):match("^(%d+%.?%d*)([KMGTkmgt]?)[Bb]?$")
    if not amount then
        return nil
    end
    local factor = { K = 1 / 1024, [""] = 1, M = 1, G = 1024, T = 1048576 }
    local found = tonumber(amount) * factor[unit:upper()]
    return found > 0 and found or nil -- 0 is "all of the node"
end

-- Seconds of a limit as sbatch's options hold it ("D-HH:MM:SS"), or nil.
function M.limit_s(limit)
    local days, rest = tostring(limit or ""):match("^(%d+)%-(.*)$")
    local hours, minutes, seconds = (rest or tostring(limit or "")):match("^(%d+):(%d+):(%d+)$")
    if not hours then
        return nil
    end
    local whole = (tonumber(days or 0) * 24 + tonumber(hours)) * 3600
    whole = whole + tonumber(minutes) * 60 + tonumber(seconds)
    -- "No value" is 8,166 years.
    return whole > 0 and whole < 10 * 366 * 86400 and whole or nil
end

-- What does not depend on where the numbers come from.
local function job(nodes, tasks, cpus_per_task, tasks_per_node, min_cpus)
    local a_task = cpus_per_task or 1
    local processors = largest(
        min_cpus,
        tasks and tasks * a_task,
        tasks_per_node and nodes * tasks_per_node * a_task,
        nodes,
        a_task)
    return {
        partial = true,
        processors_req = processors,
        nodes_req = nodes,
    }
end

local function memory_mb(found, per_cpu, per_node)
    return per_cpu and per_cpu * found.processors_req or per_node and per_node * found.nodes_req
end

-- The partition that a job goes to: the first that it names, else the default one.
local function partition_of(name, partitions)
    local first = name and name:match("^[^,]+")
    if first then
        return first
    end
    for listed, partition in pairs(partitions) do
        if partition.flag_default == 1 or partition.flag_default == true then
            return listed
        end
    end
    return nil
end

-- The limit that a job will have, in min: its own, or the partition's.
local function limit_min(own, partition)
    if not partition then
        return number(own, 1)
    end
    return number(own, 1) or number(partition.default_time, 1) or number(partition.max_time, 1)
end

-- A job as job_submit sees it.
function M.of_description(desc, partitions)
    local nodes = number(desc.min_nodes, 1) or 1
    local tasks = number(desc.num_tasks, 1)
    local found = job(
        nodes, tasks, short(desc.cpus_per_task), short(desc.ntasks_per_node),
        number(desc.min_cpus, 1))
    local name = partition_of(desc.partition, partitions)
    local minutes = limit_min(desc.time_limit, name and partitions[name])
    found.time_req = minutes and minutes * 60
    found.mem_req = memory_mb(
        found, number(desc.min_mem_per_cpu, 1), number(desc.min_mem_per_node, 1))
    found.gpus_req = M.gpus(desc.tres_per_job) + nodes * M.gpus(desc.tres_per_node)
        + (tasks or 1) * M.gpus(desc.tres_per_task)
    found.partition = text(name)
    found.qos = text(desc.qos or desc.default_qos)
    found.user = text(desc.user_name)
    found.account = text(desc.account or desc.default_account)
    found.job_name = text(desc.name)
    return found
end

-- A job as cli_filter sees it: all options are texts, and what the partition would add is not known.
function M.of_options(options, user, default_partition)
    local nodes = number(tostring(options["nodes"] or ""):match("^%d+"), 1) or 1
    local tasks = number(options["ntasks"], 1)
    local found = job(
        nodes, tasks, short(options["cpus-per-task"]), short(options["ntasks-per-node"]))
    found.time_req = M.limit_s(options["time"])
    found.mem_req = memory_mb(
        found, M.megabytes(options["mem-per-cpu"]), M.megabytes(options["mem"]))
    local function gpus(name)
        return options[name] and M.gpus("gpu:" .. options[name]) or 0
    end
    found.gpus_req = gpus("gpus") + nodes * (gpus("gpus-per-node") + M.gpus(options["gres"]))
        + (tasks or 1) * gpus("gpus-per-task")
    found.partition = text(partition_of(options["partition"], {}) or default_partition)
    found.qos = text(options["qos"])
    found.user = text(user)
    found.account = text(options["account"])
    found.job_name = text(options["job-name"])
    return found
end

return M
