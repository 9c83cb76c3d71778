#!/usr/bin/env bash
# Long forms of tests that the normal run has in a short form. Each ends by itself.
#
#   ci/soak.sh all|PART...
#
#   cuts    the spool crashes at ${SENTINEL_CRASH_POINTS:-10000} write boundaries, by kills and power cuts with torn and
#           reordered sectors, and recovers from each; seed ${SENTINEL_CRASH_SEED:-1}
#   sessions  ${SENTINEL_RUNS:-5000} sessions of sensor and collector over a wire that breaks anywhere
#   machine-cuts  ${SENTINEL_MACHINE_CUTS:-50} power cuts of a qemu machine whose disk loses, tears and reorders what was not
#           flushed; seed ${SENTINEL_CUT_SEED:-1}. Root, network namespaces, and `ci/install.sh machine`
#   fuzz    ${SENTINEL_FUZZ_INPUTS:-1000000000} inputs for all fuzz bodies together; seed ${SENTINEL_FUZZ_SEED:-1}.
#           SENTINEL_FUZZ_STATE names a file with which the next run goes on, SENTINEL_FUZZ_CORPUS a folder with more samples
#   deny    cargo-deny, installed into the cache if it is missing: licences, sources and forbidden packages (deny.toml)
#   lab     whole-system tests with outages as long as those that are guaranteed to lose nothing
#   attacks honest sensors beside each attack on the collector, alone and together: acknowledgements and handshakes within
#           250 ms and 2 s (99th percentile); ${ATTACK_SECONDS:-20} s each, best as root and on an idle machine
#   load    2,500 full spools at once, alerts a second, scrapes with 5,000 sensors
#
# Each part ends after ${SENTINEL_SOAK_SECONDS:-3600} s at the latest; a part that cannot run here says so and passes.
# The last line names the parts that failed; the exit status is 1 if there are any.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2

everything=(cuts sessions machine-cuts fuzz deny lab attacks load)
seconds=${SENTINEL_SOAK_SECONDS:-3600}
rustup_bin=${CARGO_HOME:-${HOME:-/nonexistent}/.cargo}/bin
[[ -x $rustup_bin/cargo ]] && PATH=$rustup_bin:$PATH
export PATH

usage() {
    sed -n '2,22s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

part_cuts() {
    # Optimised: a crash point takes some milliseconds then. With the checks of a debug build.
    SENTINEL_CRASH_POINTS=${SENTINEL_CRASH_POINTS:-10000} timeout "$seconds" \
        cargo test --locked --quiet --profile smoke --package sentinel-appliance --bin sentinel -- \
        --exact spool::crash::no_crash_leaves_an_alert_unaccounted_or_doubled --nocapture
}

part_sessions() {
    SENTINEL_RUNS=${SENTINEL_RUNS:-5000} timeout "$seconds" \
        cargo test --locked --quiet --profile smoke --package sentinel-uplink --test exactly_once -- --nocapture
}

part_machine-cuts() {
    if [[ ${CI:-} == true ]]; then
        ci/install.sh machine || return
    fi
    SENTINEL_MACHINE=${SENTINEL_MACHINE:-$(ci/install.sh --folder machine)} SENTINEL_SOAK_SECONDS=$seconds \
        cargo test --locked --quiet --package sentinel-lab --test machine -- --ignored --nocapture
}

part_fuzz() {
    local options=(--inputs "${SENTINEL_FUZZ_INPUTS:-1000000000}" --within "$seconds" --seed "${SENTINEL_FUZZ_SEED:-1}")
    [[ -z ${SENTINEL_FUZZ_STATE:-} ]] || options+=(--state "$SENTINEL_FUZZ_STATE")
    [[ -z ${SENTINEL_FUZZ_CORPUS:-} ]] || options+=(--corpus "$SENTINEL_FUZZ_CORPUS")
    cargo run --quiet --locked --profile smoke --package sentinel-fuzz-smoke -- "${options[@]}"
}

part_deny() {
    local root=${SENTINEL_CACHE:-${HOME:-/root}/.cache/sentinel}/cargo
    export PATH=$PATH:$root/bin
    cargo deny --version >/dev/null 2>&1 ||
        timeout "$seconds" cargo install --quiet --locked --no-default-features --root "$root" cargo-deny@0.20.2 || return
    ci/check.sh advisories
}

part_lab() {
    LAB_FULL=1 timeout "$seconds" cargo test --locked --quiet --package sentinel-lab -- --test-threads 1
}

attack_tests() {
    timeout "$seconds" cargo test --locked --quiet --release --package sentinel-collector --test attacks -- \
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
