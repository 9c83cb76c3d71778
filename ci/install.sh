#!/usr/bin/env bash
# Installs the packages that the checks need beside Rust, on Debian 12 and its derivatives.
#
#   ci/install.sh PART   install what is missing (root, or sudo without a password)
#   ci/install.sh --check PART    install nothing; list what is missing and the command that installs it
#   ci/install.sh --folder machine|machine-BOARD|pi    print the folder of the kernel for machines, of the packages for the Pi
#
# PART is base, cross, machine, machine-mipsel, machine-armv7, machine-aarch64, packages, pi, web or all.
#
# base:  a C compiler and OpenSSL for the encrypted store, and the tools of the tests (tcpdump, valgrind, ip, ethtool)
# cross: Rust with the source of its standard library, zig as C compiler and linker, and qemu-user to run the programs
# machine: qemu, busybox, and a kernel that is unpacked below the cache and not installed; not in `all`
# machine-BOARD: the same for a board of another architecture, with the busybox of that architecture; not in `all`
# web: Chromium, and Node with npm unless they are there, for the collector's page; not in `all`
# packages: what tests of packages and of the router's page use where it is installed; not in `all`
# pi: Debian packages that the image of the Raspberry Pi is made of, unpacked below the cache and not installed, and what makes
#     and boots it; not in `all`
#
# It can be called again: packages that are present are not touched. Python packages go into a virtual environment below
# ${SENTINEL_CACHE:-~/.cache/sentinel}, never into the system.
set -euo pipefail

base_packages=(build-essential busybox-static ca-certificates ethtool iproute2 libssl-dev perl pkg-config procps python3 shellcheck systemd
    tcpdump valgrind)
# rustc-web and its related packages install /usr/bin/cargo and /usr/bin/rustc. `ci/cross.sh` calls them by path; all other
# scripts use the tool chain of rustup, which `ci/check.sh` therefore puts first in PATH.
cross_packages=(binutils-mipsel-linux-gnu cargo-web file lld-22 python3-venv qemu-user-static rust-web-src rustc-web)
machine_packages=(busybox-static e2fsprogs iproute2 qemu-system-x86)
web_packages=(chromium)
# Other packages than Debian's bring npm with Node.
command -v npm >/dev/null || web_packages+=(nodejs npm)
package_packages=(busybox-static chromium dosfstools dpkg e2fsprogs lintian man-db signify-openbsd)
pi_packages=(dosfstools e2fsprogs fdisk mtools openssh-client qemu-system-arm xz-utils)
# What the image has: kernel, firmware of the Pi's boot loader, userland, SSH server with its libraries, time of day and zones.
pi_system=(linux-image-arm64 raspi-firmware busybox-static dropbear-bin libc6 libcrypt1 libgmp10 libtomcrypt1 libtommath1 openntpd tzdata zlib1g)
# ext4 is built in, the virtio drivers are modules.
kernel_package=linux-image-cloud-amd64
# zig 0.17 fails to link MIPS.
python_packages=(ziglang==0.15.2 cargo-zigbuild==0.24.0)

cache=${SENTINEL_CACHE:-${HOME:-/root}/.cache/sentinel}
venv=$cache/venv
pi=$cache/pi

usage() {
    sed -n '2,20s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

# board PART: sets what the kernel of a machine is, and of which architecture if it is not this machine's.
board() {
    kernel=$cache/$1
    architecture=
    case $1 in
        machine) return ;;
        machine-mipsel) architecture=mipsel kernel_package='^linux-image-6[.]1[.]0-[0-9]+-4kc-malta$' emulator=qemu-system-mips ;;
        machine-armv7) architecture=armhf kernel_package='^linux-image-6[.]1[.]0-[0-9]+-armmp$' emulator=qemu-system-arm ;;
        machine-aarch64) architecture=arm64 kernel_package='^linux-image-6[.]1[.]0-[0-9]+-arm64$' emulator=qemu-system-arm ;;
        *) return 1 ;;
    esac
}

missing_packages() {
    local package
    for package in "$@"; do
        [[ $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || echo "$package"
    done
}

missing_python() {
    [[ -x $venv/bin/pip ]] || { printf '%s\n' "${python_packages[@]}"; return; }
    local wanted present
    present=$("$venv/bin/pip" freeze --disable-pip-version-check 2>/dev/null)
    for wanted in "${python_packages[@]}"; do
        grep -qixF -- "$wanted" <<<"$present" || echo "$wanted"
    done
}

as_root() {
    if [[ $(id -u) -eq 0 ]]; then
        "$@"
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        sudo -n env DEBIAN_FRONTEND=noninteractive "$@"
    else
        echo "ci/install.sh: must be root to install; as root run: $*" >&2
        return 1
    fi
}

# Runs a command and prints its output only if it fails.
quietly() {
    local log
    log=$(mktemp)
    if ! "$@" >"$log" 2>&1 </dev/null; then
        tail -n 40 "$log" >&2
        rm -f "$log"
        echo "ci/install.sh: failed: $*" >&2
        return 1
    fi
    rm -f "$log"
}

install_packages() {
    export DEBIAN_FRONTEND=noninteractive
    quietly as_root apt-get -q -o Acquire::Retries=3 update
    quietly as_root apt-get -q -o Acquire::Retries=3 install -y --no-install-recommends "$@"
}

install_python() {
    mkdir -p "$cache"
    [[ -x $venv/bin/pip ]] || quietly /usr/bin/python3 -m venv "$venv"
    quietly "$venv/bin/pip" install --disable-pip-version-check "$@"
}

# Files of a foreign architecture that a machine of it needs: apt with lists and a status of its own, because dpkg shall not
# know the architecture. Of the 180 MB of a kernel package, the few modules of a bridge on virtio.
install_foreign_kernel() {
    local apt=$cache/apt-$architecture files folder patterns=() real
    local options=(-q -o "APT::Architecture=$architecture" -o "APT::Architectures=$architecture" -o "Dir::State::Lists=$apt/lists"
        -o "Dir::Cache=$apt/cache" -o "Dir::State::Status=$apt/status" -o APT::Sandbox::User=root -o Acquire::Retries=3)
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
    : >"$apt/status"
    # A list that a mirror is just renewing does not matter if another one has the packages.
    quietly apt-get "${options[@]}" update || echo "ci/install.sh: going on with the package lists that arrived" >&2
    real=$(apt-cache "${options[@]}" search --names-only "$kernel_package" | cut -d' ' -f1 | sort -V | tail -n 1)
    [[ -n $real ]] || { echo "ci/install.sh: no package matches $kernel_package" >&2; return 1; }
    folder=$(mktemp -d)
    (cd "$folder" && quietly apt-get "${options[@]}" download "$real" busybox-static) || return
    mkdir "$folder/tree"
    dpkg-deb --fsys-tarfile "$folder"/busybox-static_*.deb | tar -x -C "$folder/tree" ./bin/busybox || return
    for files in 'net/*/*' 'drivers/net/*.ko' 'drivers/net/ethernet/*/*' 'drivers/virtio/*' 'drivers/char/*.ko' 'drivers/char/hw_random/*'; do
        patterns+=("./lib/modules/*/kernel/$files")
    done
    dpkg-deb --fsys-tarfile "$folder"/linux-image-*.deb |
        tar -x -C "$folder/tree" --wildcards --no-wildcards-match-slash './boot/vmlinuz-*' "${patterns[@]}" || return
    rm -rf "$kernel" "$apt/lists" "$apt/cache"
    mv "$folder/tree" "$kernel"
    rm -rf "$folder"
}

# The package is a name for the newest kernel; what it depends on has the files.
install_kernel() {
    local real folder
    [[ -z $architecture ]] || { install_foreign_kernel; return; }
    real=$(apt-cache depends "$kernel_package" | sed -n 's/^ *Depends: \(linux-image-[^ ]*\)$/\1/p' | head -n 1)
    folder=$(mktemp -d)
    (cd "$folder" && quietly apt-get -q download "${real:-$kernel_package}" && dpkg -x ./*.deb tree) || return
    mkdir -p "$cache"
    rm -rf "$kernel"
    mv "$folder/tree" "$kernel"
    rm -rf "$folder"
}

# Packages of another architecture, with lists and state of their own: neither apt's nor dpkg's are touched. The firmware is in
# Debian's section non-free-firmware, which this machine need not have.
install_pi() {
    local folder uri suite options package names=()
    folder=$(mktemp -d)
    mkdir -p "$folder"/{lists/partial,cache/archives/partial,debs,tree}
    : >"$folder/status"
    # shellcheck disable=SC2016
    read -r uri suite < <(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' 'Component: main' |
        grep -E '/debian/? [a-z]+$')
    [[ -n ${suite:-} ]] || { echo "ci/install.sh: apt knows no archive of Debian" >&2; return 1; }
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri $suite main non-free-firmware" >"$folder/sources.list"
    options=(-q -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o "Dir::Etc::sourcelist=$folder/sources.list"
        -o Dir::Etc::sourceparts=/nonexistent -o "Dir::State::Lists=$folder/lists" -o "Dir::Cache=$folder/cache"
        -o "Dir::State::Status=$folder/status" -o APT::Sandbox::User=root)
    quietly apt-get "${options[@]}" update || return
    for package in "${pi_system[@]}"; do
        [[ $package != linux-image-arm64 ]] || package=$(apt-cache "${options[@]}" depends "$package" |
            sed -n 's/^ *Depends: \(linux-image-[^ ]*\)$/\1/p' | head -n 1)
        names+=("$package")
    done
    (cd "$folder/debs" && quietly apt-get "${options[@]}" download "${names[@]}") || return
    # shellcheck disable=SC2016
    for package in "$folder"/debs/*.deb; do
        dpkg-deb --extract "$package" "$folder/tree" || return
        echo "$(dpkg-deb --show --showformat='${Package} ${Version} ${Architecture}' "$package") $(sha256sum <"$package" | cut -d' ' -f1)"
    done >"$folder/tree/packages"
    mkdir -p "$cache"
    rm -rf "$pi"
    mv "$folder/tree" "$pi"
    rm -rf "$folder"
}

if [[ ${1:-} == --folder ]]; then
    [[ $# -eq 2 ]] || usage
    if [[ $2 == pi ]]; then
        echo "$pi"
    elif board "$2"; then
        echo "$kernel"
    else
        usage
    fi
    exit
fi
check_only=no
if [[ ${1:-} == --check ]]; then
    check_only=yes
    shift
fi
[[ $# -eq 1 ]] || usage
wanted=()
want_python=no
want_kernel=no
want_pi=no
case $1 in
    base) wanted=("${base_packages[@]}") ;;
    cross) wanted=("${cross_packages[@]}") want_python=yes ;;
    machine) wanted=("${machine_packages[@]}") want_kernel=yes && board machine ;;
    machine-*) board "$1" || usage; wanted=("$emulator") want_kernel=yes ;;
    web) wanted=("${web_packages[@]}") ;;
    packages) wanted=("${package_packages[@]}") ;;
    pi) wanted=("${pi_packages[@]}") want_pi=yes ;;
    all) wanted=("${base_packages[@]}" "${cross_packages[@]}") want_python=yes ;;
    *) usage ;;
esac

if ! command -v dpkg-query >/dev/null; then
    echo "ci/install.sh: this is not Debian; install with your own package manager: ${wanted[*]}" >&2
    [[ $want_python == no ]] || echo "ci/install.sh: and from PyPI into $venv: ${python_packages[*]}" >&2
    exit 1
fi

mapfile -t packages < <(missing_packages "${wanted[@]}")
python=()
if [[ $want_python == yes ]]; then
    mapfile -t python < <(missing_python)
fi
if [[ $want_kernel == yes ]] && compgen -G "$kernel/boot/vmlinuz-*" >/dev/null; then
    want_kernel=no
fi

[[ ! -s $pi/packages ]] || want_pi=no

if [[ $check_only == yes ]]; then
    [[ ${#packages[@]} -eq 0 ]] || echo "missing Debian packages: apt-get install ${packages[*]}"
    [[ ${#python[@]} -eq 0 ]] || echo "missing Python packages: ${python[*]} (ci/install.sh $1 puts them into $venv)"
    [[ $want_kernel == no ]] || echo "missing kernel for machines: ci/install.sh $1 unpacks $kernel_package into $kernel"
    [[ $want_pi == no ]] || echo "missing Debian packages for the Raspberry Pi: ci/install.sh $1 unpacks them into $pi"
    [[ ${#packages[@]} -eq 0 && ${#python[@]} -eq 0 && $want_kernel == no && $want_pi == no ]]
    exit
fi

[[ ${#packages[@]} -eq 0 ]] || install_packages "${packages[@]}"
[[ ${#python[@]} -eq 0 ]] || install_python "${python[@]}"
[[ $want_kernel == no ]] || install_kernel
[[ $want_pi == no ]] || install_pi
