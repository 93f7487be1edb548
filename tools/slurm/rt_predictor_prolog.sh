#!/bin/sh
# Slurm's PrologSlurmctld: puts one file for each job that starts into the spool from where
# `rt-predictor history follow --spool` records it. Not needed where the follower asks squeue itself,
# which costs the controller less. docs/slurm.md says how to install it.
#
# Settings come from rt_predictor_jobcomp.conf beside it, e.g. SPOOL=/var/spool/rt-predictor.
# It never fails: slurmctld would put the job back into the queue.

SPOOL=/var/spool/rt-predictor
conf=${0%/*}/rt_predictor_jobcomp.conf
# shellcheck source=/dev/null
[ -r "$conf" ] && . "$conf"

# Without a spool nothing is kept: that is how to switch it off.
[ -d "$SPOOL" ] && [ -w "$SPOOL" ] && [ -n "$SLURM_JOB_ID" ] || exit 0

umask 007
file=$SPOOL/$SLURM_JOB_ID
timeout 5 squeue --json --jobs="$SLURM_JOB_ID" >"$file.new-start" 2>/dev/null &&
    mv -f "$file.new-start" "$file.started" || rm -f "$file.new-start"
exit 0
