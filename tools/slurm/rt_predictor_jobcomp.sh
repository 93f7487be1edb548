#!/bin/sh
# Slurm's completion script (JobCompType=jobcomp/script, JobCompLoc=this file): puts one file for each
# job that has ended into a spool, from where `rt-predictor history follow --spool` records it.
# slurmctld runs it outside of its locks. docs/slurm.md says how to install it.
#
# Settings come from rt_predictor_jobcomp.conf beside it, e.g. SPOOL=/var/spool/rt-predictor.

SPOOL=/var/spool/rt-predictor
# shellcheck source=/dev/null
[ -r "${0%.sh}.conf" ] && . "${0%.sh}.conf"

# Without a spool nothing is kept: that is how to switch it off.
[ -d "$SPOOL" ] && [ -w "$SPOOL" ] || exit 0

case $JOBSTATE in
COMPLETED | FAILED | TIMEOUT | CANCELLED | NODE_FAIL | OUT_OF_MEMORY | PREEMPTED | BOOT_FAIL | DEADLINE) ;;
*) exit 0 ;;
esac
if [ "${START:-0}" -gt 0 ]; then
    [ "${END:-0}" -ge "$START" ] || exit 0
    ELAPSED=$((END - START))
else
    # It was cancelled before it started.
    [ "$JOBSTATE" = CANCELLED ] && [ "${END:-0}" -gt 0 ] || exit 0
    START=Unknown ELAPSED=0
fi

# A name may hold anything; JobName comes last, so "|" does no harm there, but a new line would.
case $JOBNAME in
*[[:cntrl:]]*) JOBNAME=$(printf '%s' "$JOBNAME" | tr '[:cntrl:]' ' ') ;;
esac

umask 007
file=$SPOOL/$JOBID-$SUBMIT
{
    echo "JobIDRaw|User|Account|Partition|QOS|Submit|Start|End|ElapsedRaw|Timelimit|ReqCPUS|ReqNodes|State|JobName"
    printf '%s|' "$JOBID" "$USERNAME" "$ACCOUNT" "$PARTITION" "$QOS" "$SUBMIT" "$START" "$END" \
        "$ELAPSED" "$LIMIT" "$PROCS" "$NODECNT" "$JOBSTATE"
    printf '%s\n' "$JOBNAME"
} >"$file.new" && mv -f "$file.new" "$file.job"
