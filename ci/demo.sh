#!/usr/bin/env bash
# Demonstration on this machine: attacks on a virtual network are shown as alerts on the terminal and on a page.
#
#   ci/demo.sh [--seconds N | --keep] [--port PORT] [--debug]
#
#   --seconds N   duration (40)
#   --keep        run until Ctrl+C
#   --port PORT   port of the page on 127.0.0.1 (8080; any free port if it is taken)
#   --debug       build without optimisation: a shorter build, for development
#
# Builds the programs, creates network namespaces with a bridge, an attacker, a victim and a collector, enrolls a sensor with
# a one-time token, starts it on the bridge, sends eight attacks, and deletes the namespaces. Needs root for the namespaces;
# the network of this machine is not changed, and only the page on the loopback can be reached from outside them.
set -euo pipefail
cd "$(dirname "$0")/.."

profile=release
arguments=()
while [[ $# -gt 0 ]]; do
    case $1 in
        --seconds | --port)
            [[ $# -ge 2 ]] || { echo "ci/demo.sh: $1 needs a number" >&2; exit 2; }
            arguments+=("$1" "$2")
            shift
            ;;
        --keep) arguments+=("$1") ;;
        --debug) profile=dev ;;
        *)
            sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
            [[ $1 == --help || $1 == -h ]] && exit 0
            exit 2
            ;;
    esac
    shift
done

# rustup's cargo may not be in the PATH of root; Debian's own is too old.
rustup_bin=${CARGO_HOME:-${HOME:-/root}/.cargo}/bin
[[ -x $rustup_bin/cargo ]] && PATH=$rustup_bin:$PATH

missing=()
as_root=()
if [[ $(id -u) -ne 0 ]]; then
    # Only the lab, which creates namespaces, runs as root; build results belong to the calling user.
    command -v sudo >/dev/null || missing+=("root, for network namespaces: run it again as root")
    as_root=(sudo)
fi
command -v cargo >/dev/null ||
    missing+=("Rust 1.95 or later: curl --proto '=https' -sSf https://sh.rustup.rs | sh")
packages=()
command -v ip >/dev/null || packages+=(iproute2)
command -v unshare >/dev/null || packages+=(util-linux)
command -v cc >/dev/null || packages+=(build-essential)
command -v perl >/dev/null || packages+=(perl)
command -v pkg-config >/dev/null || packages+=(pkg-config)
{ command -v pkg-config >/dev/null && pkg-config --exists openssl; } || [[ -e /usr/include/openssl/ssl.h ]] ||
    packages+=(libssl-dev)
[[ ${#packages[@]} -eq 0 ]] || missing+=("Debian packages: apt-get install --no-install-recommends ${packages[*]}")
if [[ ${#missing[@]} -gt 0 ]]; then
    echo "ci/demo.sh: missing on this machine:" >&2
    printf '  %s\n' "${missing[@]}" >&2
    exit 1
fi
if command -v rustc >/dev/null; then
    version=$(rustc --version | cut -d' ' -f2)
    if [[ $(printf '%s\n' 1.95.0 "$version" | sort -V | head -n 1) != 1.95.0 ]]; then
        echo "ci/demo.sh needs Rust 1.95 or later, this is $version: rustup update" >&2
        exit 1
    fi
fi

echo "Building the sensor, the collector, the traffic generator and the lab; the first build takes some minutes."
cargo build --locked --profile "$profile" --bins \
    --package sentinel-appliance --package sentinel-collector --package sentinel-trafficgen --package sentinel-lab
directory=${CARGO_TARGET_DIR:-target}/${profile/dev/debug}
exec "${as_root[@]}" env LAB_SENSOR="$directory/sentinel" LAB_COLLECTOR="$directory/sentinel-collector" \
    LAB_TRAFFICGEN="$directory/trafficgen" "$directory/lab" demo "${arguments[@]}"
