#!/usr/bin/env bash
# Long forms of tests that the normal run has in a short form. Each ends by itself.
#
#   ci/soak.sh all|PART...
#
#   cuts    the spool crashes at ${SENTINEL_CRASH_POINTS:-10000} write boundaries, by kills and power cuts with torn and
#           reordered sectors, and recovers from each; seed ${SENTINEL_CRASH_SEED:-1}. At most ${SENTINEL_SOAK_SECONDS:-3600} s
#   attacks honest sensors beside each attack on the collector, alone and together: acknowledgements and handshakes within
#           250 ms and 2 s (99th percentile); ${ATTACK_SECONDS:-20} s each, best as root and on an idle machine
#   load    2,500 full spools at once, alerts a second, scrapes with 5,000 sensors
#
# The last line names the parts that failed; the exit status is 1 if there are any.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2

everything=(cuts attacks load)
rustup_bin=${CARGO_HOME:-${HOME:-/nonexistent}/.cargo}/bin
[[ -x $rustup_bin/cargo ]] && PATH=$rustup_bin:$PATH
export PATH

usage() {
    sed -n '2,13s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

part_cuts() {
    # Optimised: a crash point takes some milliseconds then. With the checks of a debug build.
    SENTINEL_CRASH_POINTS=${SENTINEL_CRASH_POINTS:-10000} timeout "${SENTINEL_SOAK_SECONDS:-3600}" \
        cargo test --locked --quiet --profile smoke --package sentinel-appliance --bin sentinel -- \
        --exact spool::crash::no_crash_leaves_an_alert_unaccounted_or_doubled --nocapture
}

attack_tests() {
    timeout "${SENTINEL_SOAK_SECONDS:-3600}" cargo test --locked --quiet --release --package sentinel-collector --test attacks -- \
        --ignored --nocapture --test-threads 1 --exact "$@"
}

part_attacks() {
    ATTACK_SECONDS=${ATTACK_SECONDS:-20} attack_tests honest_sensors_under_each_attack
}

part_load() {
    attack_tests full_spools_at_once alerts_per_second scrapes_each_second
}

(($# > 0)) || usage
parts=("$@")
[[ ${parts[*]} == all ]] && parts=("${everything[@]}")
for part in "${parts[@]}"; do
    [[ " ${everything[*]} " == *" $part "* ]] || usage
done
failed=()
for part in "${parts[@]}"; do
    echo "== $part"
    "part_$part" || failed+=("$part")
done
if ((${#failed[@]})); then
    echo "failed: ${failed[*]}"
    exit 1
fi
echo "passed: ${parts[*]}"
