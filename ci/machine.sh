#!/usr/bin/env bash
# Boots the static program of a board on a real kernel under qemu and judges it.
#
#   ci/machine.sh [--no-build] [--no-counts] mipsel|armv7|aarch64|all
#
# Kernel and busybox are Debian's for that architecture (4kc-malta with 64 MiB, armmp and arm64 with 128 MiB). Inside are a bridge with
# a virtual port and two network cards. The sensor runs as on a router: golden attacks at their own pace through the virtual port
# and from outside, status, SIGHUP, kill -9 and restart, SIGTERM, the log. tools/lab/README.md lists what is judged.
#
#   --no-build   take the program in dist/ as it is
#   --no-counts  do not count instructions, which takes a second machine (mipsel)
#
# The program is built by ci/cross.sh. `ci/install.sh machine-BOARD` installs qemu and unpacks the kernel, by itself with CI=true;
# otherwise a board whose packages are missing is skipped with a message. It needs neither root nor network.
# The last line is `N passed, N failed`; the exit status is 1 if a check failed, 77 if every board was skipped.
set -euo pipefail
cd "$(dirname "$0")/.."

all=(mipsel armv7 aarch64)

usage() {
    sed -n '2,16s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

triple_of() {
    case $1 in
        armv7) echo armv7-unknown-linux-musleabihf ;;
        *) echo "$1-unknown-linux-musl" ;;
    esac
}

build=yes
counts=()
boards=()
for argument in "$@"; do
    case $argument in
        --no-build) build=no ;;
        --no-counts) counts=(--no-counts) ;;
        all) boards+=("${all[@]}") ;;
        mipsel | armv7 | aarch64) boards+=("$argument") ;;
        *) usage ;;
    esac
done
[[ ${#boards[@]} -gt 0 ]] || usage

# provided BOARD: qemu, the kernel and, if it shall be built, the tool chain of the program.
provided() {
    local part parts=("machine-$1")
    [[ $build == no ]] || parts+=(cross)
    for part in "${parts[@]}"; do
        if [[ ${CI:-} == true ]]; then
            ci/install.sh "$part" || return
        else
            ci/install.sh --check "$part" || { echo "skipped: $1: \`ci/install.sh $part\` installs what is missing"; return 77; }
        fi
    done
}

passed=0
failed=0
ran=0
cargo build --quiet --locked --package sentinel-lab --bin lab
lab=${CARGO_TARGET_DIR:-target}/debug/lab
output=$(mktemp)
trap 'rm -f "$output"' EXIT
for board in "${boards[@]}"; do
    provided "$board" && verdict=0 || verdict=$?
    [[ $verdict -ne 77 ]] || continue
    ran=$((ran + 1))
    program=dist/$(triple_of "$board")/sentinel
    if [[ $verdict -ne 0 ]] || { [[ $build == yes ]] && ! ci/cross.sh --no-golden "$board"; }; then
        failed=$((failed + 1))
        continue
    fi
    "$lab" board "$board" "${counts[@]}" --program "$program" --packages "$(ci/install.sh --folder "machine-$board")" | tee "$output" || true
    # A board that did not reach its end has no numbers, and counts as one failure.
    if [[ $(tail -n 1 "$output") =~ ^"$board: "([0-9]+)" passed, "([0-9]+)" failed"$ ]]; then
        passed=$((passed + BASH_REMATCH[1]))
        failed=$((failed + BASH_REMATCH[2]))
    else
        failed=$((failed + 1))
    fi
done
[[ $ran -gt 0 ]] || exit 77
echo "$passed passed, $failed failed"
[[ $failed -eq 0 ]]
