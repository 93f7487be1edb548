-- Settings of RT Predictor's Slurm hooks, each with its default: without this file nothing changes.
-- slurmctld reads them again when job_submit.lua is touched; sbatch reads them every time.
return {
    -- Where the agent answers.
    socket = "/run/rt-predictor/agent.sock",
    -- A submission waits no longer than this for the agent, ms.
    timeout_ms = 10,
    -- While this file is there, nothing is asked.
    off_file = "/etc/slurm/rt_predictor.off",
    -- After so many failures in a row job_submit leaves the agent alone for so many seconds.
    failures = 3,
    pause_s = 30,
    -- Level of the interval and, from 0.5 on, of the recommended limit: 0 to 1; 0 takes the service's.
    confidence_level = 0,
    -- Where job_submit writes the prediction: "admin_comment", "comment" or "" for nowhere.
    annotate = "admin_comment",
    -- Partitions where job_submit sets time_min, which lets the scheduler shorten a limit to start
    -- the job sooner; "*" stands for all.
    set_time_min = {},
    -- Partitions where job_submit lowers a time limit to the recommended one.
    lower_limit = {},
    -- Neither makes a limit shorter than this, min.
    least_limit_min = 30,
    -- job_submit tells the user too, as cli_filter does: for sites without that.
    tell_user = false,
    -- The user is told where the limit is at least `tell_factor` times the recommended one and
    -- `tell_least_min` min above it, or where the chance to hit it is at least `tell_timeout`.
    tell_factor = 3,
    tell_least_min = 60,
    tell_timeout = 0.5,
    -- Partition of a job that names none, for cli_filter: job_submit knows it.
    default_partition = "",
}
