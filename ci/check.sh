#!/usr/bin/env bash
# Runs the checks of this repository, all of them or one by one.
#
#   ci/check.sh all|PART...
#
#   fmt     the formatting is rustfmt's
#   lint    clippy without a warning, scripts that parse, no forbidden content in tracked files
#   layers  dependencies between crates and modules, and the packages of the device program
#   units   the scripts of packages and the exposure of the systemd unit, where shellcheck and systemd-analyze are installed
#   advisories  known vulnerabilities of the locked packages (ci/advisories.toml); licences and sources (deny.toml), if
#           cargo-deny is installed
#   docs    the reference builds without a warning
#   web     the collector's page: its bundle is that of tools/collector/web, and the page works in Chromium (npm; Node 20 and Chromium
#           for the tests in the browser)
#   test    unit, integration and documentation tests of every crate but the lab
#   lab     whole-system tests in network namespaces (root)
#   smoke   every fuzz body for ${SENTINEL_SMOKE_SECONDS:-5} seconds over mutations of its corpus, on the stable tool chain
#   corpus  additional tests over the captures in ${SENTINEL_CORPUS:-../shared/corpus}, if there are any
#   size    the static x86-64 program: its size against ci/budgets.toml, and its alerts against the golden ones
#   bench   CPU time, instructions, live rate and memory of that program, with few packets, against ci/budgets.toml
#   cross   size, registers after system calls and alerts on big-endian MIPS, and the unit tests of the crates without I/O,
#           under qemu-user
#   machine the program on a booted little-endian MIPS board (ci/machine.sh), two minutes and the build of the program
#   fuzz    each fuzz target for ${SENTINEL_FUZZ_SECONDS:-60} seconds (cargo-fuzz and a nightly tool chain); not in `all`
#
# `all` is all but fuzz. With CI=true missing packages are installed by ci/install.sh; otherwise they are only listed. A part
# that cannot run here is skipped with a message. The last line counts the parts; the exit status is 1 if one failed.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2

everything=(fmt lint layers units advisories docs test web smoke lab corpus size bench cross machine)
skipped_code=77

# Debian's cargo, which the cross-build needs, may be first in PATH; it has neither clippy nor rustfmt.
rustup_bin=${CARGO_HOME:-${HOME:-/nonexistent}/.cargo}/bin
[[ -x $rustup_bin/cargo ]] && PATH=$rustup_bin:$PATH
export PATH
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-auto}
# The checkout may belong to another user than the one who runs the checks, as in a container.
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0=$PWD

usage() {
    sed -n '2,27s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

skip() {
    echo "skipped: $*"
    return "$skipped_code"
}

# needs base|cross
needs() {
    if [[ ${CI:-} == true ]]; then
        ci/install.sh "$1"
    else
        ci/install.sh --check "$1" || { echo "\`ci/install.sh $1\` installs what this part needs" && return 1; }
    fi
}

part_fmt() {
    cargo fmt --all --check
}

part_lint() {
    local script failed=0
    while IFS= read -r script; do
        bash -n "$script" || failed=1
    done < <(git ls-files '*.sh' .ci/run)
    if command -v shellcheck >/dev/null; then
        git ls-files -z '*.sh' .ci/run | xargs -0 -r shellcheck || failed=1
    else
        echo "shellcheck is not installed; scripts were only parsed"
    fi
    cargo xtask tree || failed=1
    needs base && cargo clippy --workspace --all-targets --locked -- -D warnings || failed=1
    return "$failed"
}

part_layers() {
    cargo xtask layers
}

# Tenths of what `systemd-analyze security` (252) gives the unit; rootfs/README.md says what the rest is for.
max_exposure=16

part_units() {
    local script failed=0
    [[ ${CI:-} != true ]] || ci/install.sh base || return
    # procd scripts run in ash; dash is the nearest that Debian always has. The lab runs them in ash.
    while IFS= read -r script; do
        sh -n "$script" || failed=1
        ! command -v shellcheck >/dev/null || shellcheck "$script" || failed=1
    done < <(git ls-files rootfs/etc/init.d rootfs/etc/uci-defaults rootfs/etc/hotplug.d rootfs/usr/libexec \
        rootfs/lib/upgrade/sentinel-appliance.sh tools/lab/tests/openwrt/uci tools/lab/tests/openwrt/rc.common \
        tools/lab/tests/guides/enter.sh tools/lab/tests/guides/router tools/lab/tests/guides/debian tools/image/src/debian \
        tools/image/src/pi/rootfs/{clock,enroll,init,lease,network,sensor,stop,take-setup})
    if command -v systemd-analyze >/dev/null; then
        while IFS= read -r script; do
            systemd-analyze security --offline=true --no-pager --threshold="$max_exposure" "$script" |
                tail -n 1 || failed=1
        done < <(git ls-files 'rootfs/lib/systemd/system/*.service')
    else
        echo "systemd-analyze is not installed; the exposure of the unit was not measured"
    fi
    return "$failed"
}

part_advisories() {
    cargo xtask advisories || return
    # Minutes to build: `ci/soak.sh deny` installs it, this only uses it.
    if cargo deny --version >/dev/null 2>&1; then
        cargo_deny
    else
        echo "cargo-deny is not installed; licences and sources were not compared with deny.toml"
    fi
}

cargo_deny() {
    local manifest failed=0
    while IFS= read -r manifest; do
        cargo deny --locked --config deny.toml --manifest-path "${manifest%.lock}.toml" \
            check bans licenses sources || failed=1
    done < <(git ls-files '*Cargo.lock')
    return "$failed"
}

part_docs() {
    needs base && RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet
}

part_test() {
    needs base || return
    # Tests that use them say what they skip without them.
    [[ ${CI:-} != true ]] || ci/install.sh packages || echo "some tests of packages and of the router's page are skipped"
    if cargo nextest --version >/dev/null 2>&1; then
        cargo nextest run --workspace --exclude sentinel-lab --locked --no-fail-fast || return
    else
        cargo test --workspace --exclude sentinel-lab --all-targets --locked --no-fail-fast || return
    fi
    cargo test --workspace --exclude sentinel-lab --doc --locked --quiet
}

# Playwright needs this version of Node.
min_node=20

part_web() {
    local web=tools/collector/web version
    [[ ${CI:-} != true ]] || ci/install.sh web || return
    command -v npm >/dev/null || { skip "npm is not installed; the bundle of the page was not compared with its source"; return; }
    (cd "$web" && PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --loglevel=error && npm run --silent check) || return
    version=$(node --version)
    version=${version#v}
    if [[ ${version%%.*} -lt $min_node || ! -x /usr/bin/chromium ]]; then
        echo "Node $min_node or /usr/bin/chromium is not installed; the page was not tried in a browser"
        return
    fi
    needs base && cargo test --locked --package sentinel-collector --test browser -- --ignored
}

part_smoke() {
    needs base && cargo run --quiet --locked --profile smoke --package sentinel-fuzz-smoke -- \
        --seconds "${SENTINEL_SMOKE_SECONDS:-5}"
}

part_lab() {
    [[ $(id -u) -eq 0 ]] || { skip "network namespaces need root"; return; }
    unshare --net true 2>/dev/null || { skip "this kernel or container gives no network namespaces"; return; }
    needs base || return
    cargo build --locked --bins --package sentinel-appliance --package sentinel-collector --package sentinel-trafficgen || return
    cargo test --locked --no-fail-fast --package sentinel-lab -- --test-threads 1
}

part_corpus() {
    local corpus
    corpus=$(realpath -q "${SENTINEL_CORPUS:-../shared/corpus}")
    [[ -f $corpus/INDEX.tsv ]] || { skip "no corpus; SENTINEL_CORPUS names its folder"; return; }
    [[ -n $(git ls-files '*/tests/corpus.rs') ]] || { skip "no crate has tests/corpus.rs"; return; }
    needs base && SENTINEL_CORPUS=$corpus cargo test --workspace --locked --no-fail-fast --test corpus
}

part_size() {
    needs cross && ci/cross.sh x86_64
}

part_bench() {
    local program=dist/x86_64-unknown-linux-musl/sentinel
    needs base || return
    [[ -x $program ]] || { needs cross && ci/cross.sh x86_64; } || return
    cargo build --quiet --locked --release --package sentinel-bench || return
    "${CARGO_TARGET_DIR:-target}/release/bench" light --sentinel "$program" --budgets ci/budgets.toml
}

part_cross() {
    needs cross && ci/cross.sh light && ci/cross.sh --tests light
}

part_machine() {
    needs base && ci/machine.sh --no-counts mipsel
}

part_fuzz() {
    [[ -f tools/fuzz/Cargo.toml ]] || { skip "no tools/fuzz; the fuzz bodies run over their corpora in \`test\`"; return; }
    cargo fuzz --version >/dev/null 2>&1 || { skip "cargo-fuzz is not installed"; return; }
    local target failed=0
    while IFS= read -r target; do
        (cd tools && cargo +nightly fuzz run --fuzz-dir fuzz "$target" -- \
            -max_total_time="${SENTINEL_FUZZ_SECONDS:-60}" -rss_limit_mb=512) || failed=1
    done < <(cd tools && cargo +nightly fuzz list --fuzz-dir fuzz)
    return "$failed"
}

[[ $# -gt 0 ]] || usage
parts=()
for argument in "$@"; do
    if [[ $argument == all ]]; then
        parts+=("${everything[@]}")
    elif declare -F "part_$argument" >/dev/null; then
        parts+=("$argument")
    else
        usage
    fi
done

passed=0
failed=()
skipped=()
for part in "${parts[@]}"; do
    printf '\n== %s\n' "$part"
    began=$SECONDS
    "part_$part" 2>&1
    case $? in
        0) passed=$((passed + 1)) verdict=passed ;;
        "$skipped_code") skipped+=("$part") verdict=skipped ;;
        *) failed+=("$part") verdict=failed ;;
    esac
    echo "-- $part: $verdict after $((SECONDS - began)) s"
done

echo
[[ ${#skipped[@]} -eq 0 ]] || echo "skipped: ${skipped[*]}"
[[ ${#failed[@]} -eq 0 ]] || echo "failed: ${failed[*]}"
echo "$passed passed, ${#failed[@]} failed"
[[ ${#failed[@]} -eq 0 ]]
