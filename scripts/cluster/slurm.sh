#!/usr/bin/env bash
# A sweep as a SLURM job array: one shard a task. docs/cluster.md tells how.
#   sbatch --array=1-16 scripts/cluster/slurm.sh scenarios/quickstart.toml [RESULTS]
#SBATCH --job-name=fedrobust
#SBATCH --array=1-16
#SBATCH --cpus-per-task=2
#SBATCH --mem=4G
#SBATCH --time=04:00:00
#SBATCH --output=fedrobust-%A-%a.log
#SBATCH --open-mode=append
#SBATCH --requeue
# Two minutes before the time is up, to this script alone. Not TERM: scancel sends that, and what it ends stays ended.
#SBATCH --signal=B:USR1@120
set -euo pipefail

scenario=${1:?usage: sbatch --array=1-N slurm.sh SCENARIO.toml [RESULTS]}
results=${2:-results/$(basename "$scenario" .toml)}
# SHARDS, where only some tasks of an array are repeated: SLURM counts those alone.
part=$SLURM_ARRAY_TASK_ID of=${SHARDS:-$SLURM_ARRAY_TASK_COUNT}

"${FEDROBUST:-fedrobust}" run "$scenario" --shard "$part/$of" --out "$results-shards/$part-of-$of" \
    --threads "${SLURM_CPUS_PER_TASK:-1}" --quiet &
sweep=$! again=no
# The sweep ends after its round with everything saved. What sends TERM to this script sends it to the sweep as well.
trap 'again=yes; kill -TERM "$sweep" || true' USR1
trap : TERM
# A signal ends the wait, not the sweep.
while kill -0 "$sweep" 2>/dev/null; do
    wait "$sweep" || true
done
code=0
wait "$sweep" || code=$?
if [ "$again" = yes ] && [ "$code" -eq 130 ]; then
    scontrol requeue "${SLURM_ARRAY_JOB_ID}_$part"
fi
exit "$code"
