#!/usr/bin/env bash
# Builds the static program `sentinel` for the boards and tests each build under qemu-user.
#
#   ci/cross.sh [--no-golden] [--tests] [TARGET ...|all|light]
#
# TARGET is armv7, aarch64, mipsel, mips (big-endian), x86_64 or a full target triple; `light`, the default, is mips
# only: it differs most from development machines (32 bits, big-endian, no 64-bit atomics, no rustix system calls).
#
# Each build must be one static, stripped file within the budget of ci/budgets.toml, must print its version, and must print
# for every golden capture the alerts that are committed beside it, byte by byte. On MIPS, no register that Linux changes
# during a system call may be read before the program has written it again (`cargo xtask mips-syscalls`): qemu-user
# preserves all registers, so no test under it can fail for this reason.
#
#   --no-golden  do not compare alerts
#   --tests      only run the unit tests of the crates without I/O on the target, under qemu-user
#
# Results go to dist/TARGET/sentinel. Intermediate files stay in ${SENTINEL_CACHE:-~/.cache/sentinel}, which may be removed at
# any time. `ci/install.sh cross` installs what this needs.
#
# Two tool chains: MIPS has no prebuilt standard library. For Debian's rustc-web the library's source is a package, and zig
# has a C compiler, a linker and musl for every target; rustup's own tool chain is not used.
set -euo pipefail
cd "$(dirname "$0")/.."

cache=${SENTINEL_CACHE:-$HOME/.cache/sentinel}
dist=dist
golden="sentinel-appliance/sensor/tests/data/golden"
all=(armv7 aarch64 mipsel mips x86_64)
pure_crates=(sentinel-units sentinel-seal sentinel-alert sentinel-filter sentinel-dissect sentinel-track sentinel-detect
    sentinel-ringlog sentinel-uplink)

usage() {
    sed -n '2,19s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

triple_of() {
    case $1 in
        armv7 | armv7-unknown-linux-musleabihf) echo armv7-unknown-linux-musleabihf ;;
        aarch64 | aarch64-unknown-linux-musl) echo aarch64-unknown-linux-musl ;;
        mipsel | mipsel-unknown-linux-musl) echo mipsel-unknown-linux-musl ;;
        mips | mips-unknown-linux-musl) echo mips-unknown-linux-musl ;;
        x86_64 | x86_64-unknown-linux-musl) echo x86_64-unknown-linux-musl ;;
        *) return 1 ;;
    esac
}

# What the code generator for MIPS can do for short code, and does not by itself: 35 KiB of mipsel when they were chosen.
#
# The last six are for the packed program: with the same few registers and sequences everywhere mipsel packs to 475 KiB instead
# of 508. Five of them make it 488 and take no instruction of a packet (counted under qemu: mixed 750, before 754; bulk 487, 490).
# The allocator makes the rest, and takes 1.2 % of mixed (759), 1.4 % of a SYN flood, 2.4 % of DNS, 2.8 % of fragments; bulk 488.
mips_arguments=(
    -disable-mips-df-forward-search=false -disable-mips-df-succbb-search=false # what fills delay slots
    -mips-tail-calls            # no frame for a call that ends a function
    -pre-RA-sched=list-hybrid   # order for few registers, not for many units
    -min-jump-table-entries=8   # a table of addresses takes more than a few comparisons
    -enable-ext-tsp-block-placement -apply-ext-tsp-for-size # blocks in an order that needs few jumps
    -split-spill-mode=size      # fewer copies to and from the stack, not shorter ways to them
    -disable-machine-licm -disable-machine-cse # addresses and constants are made where they are used, not kept in a register
    -disable-lsr                # one induction variable in a loop
    -disable-early-taildup      # what follows two branches stands once
    -disable-phi-elim-edge-splitting # no block only for copies
    -regalloc=basic             # the first register that is free; a value is in one place as long as it lives
)

# link-self-contained=no: zig brings crt1.o and libunwind. The two `compact` settings halve the flash that software AES
# and SHA-256 take.
flags_of() {
    local flags='-C link-self-contained=no --cfg aes_backend_soft="compact" --cfg sha2_backend_soft="compact"'
    flags+=" -C link-arg=$cache/static-libc-$1.o"
    local mips="-C relocation-model=static" argument
    for argument in "${mips_arguments[@]}"; do
        # Tests are compiled without optimisation, for which the code generator has one allocator only.
        [[ $only_tests == yes && $argument == -regalloc=* ]] && continue
        mips+=" -C llvm-args=$argument"
    done
    case $1 in
        # relocation-model=static: in a static PIE linked by lld for MIPS an undefined weak symbol resolves to the load
        # address instead of null, and std calls such a symbol (__cxa_thread_atexit_impl) when the first thread starts.
        #
        # fix_y2038: musl 1.2 has a 64-bit time_t. The libc crate and the standard library call the functions with a 32-bit
        # time_t that musl keeps for old binaries (valid until 2038); rustix passes 64-bit values unless this flag makes it
        # convert field by field. Two other settings compile and are wrong. With libc_unstable_musl_v1_2 (libc takes
        # musl 1.2's types) rustix's nanoseconds stand where musl has padding, and a timer shorter than a second never
        # fires. With RUST_LIBC_UNSTABLE_MUSL_V1_2_3 (the same for the standard library) every wait with a timeout returns
        # at once and spins.
        #
        # Not rustix_use_experimental_asm, which on little-endian MIPS replaces the calls of the C library by inline
        # assembly. rustix 1.1.6 does not list $1 ($at) as clobbered there. Linux does not preserve $1 across a system
        # call, so a value that the compiler keeps in it is lost. That happened at 1 of 195 syscall instructions, the
        # munmap of the packet ring: under Linux 6.1 on an emulated 24Kc every SIGTERM ended `sentinel run` with SIGBUS,
        # before the log was on flash. Any rebuild can affect other calls. qemu-user preserves $1, so the golden check
        # passed. With the C library's functions, which list $1, no syscall instruction has a value in $1 (0 of 145);
        # check_registers holds every build to that.
        mips-* | mipsel-*) echo "$flags $mips --cfg fix_y2038" ;;
        # Every ARMv7-A has Thumb-2, whose instructions are two or four bytes long: a fifth less of everything.
        armv7-*) echo "$flags -C target-feature=+thumb-mode" ;;
        # The vector code of Curve25519 and of ChaCha20-Poly1305 is 30 KiB and resident; the connection to the collector carries
        # some hundred bytes a second.
        x86_64-*) echo "$flags --cfg curve25519_dalek_backend=\"serial\" --cfg chacha20_backend=\"soft\" --cfg poly1305_backend=\"soft\"" ;;
        *) echo "$flags" ;;
    esac
}

emulator_of() {
    case $1 in
        armv7-*) echo qemu-arm-static ;;
        x86_64-*) [[ $(uname -m) == x86_64 ]] || echo qemu-x86_64-static ;;
        *) echo "qemu-${1%%-*}-static" ;;
    esac
}

# Identical functions become one, texts share their ends, and what `run` does not use once it captures is placed apart.
lld_flags="--icf=all -O2 -T $cache/sections.ld"

# On MIPS similar functions are placed beside each other, for packing: 5 KiB less flash. zig's lld 20 cannot do this; Debian's 22
# links everything else to the same bytes.
lld_of() {
    case $1 in
        mips-* | mipsel-*) echo "ld.lld-22" ;;
        *) echo "$cache/venv/bin/python -m ziglang ld.lld" ;;
    esac
}
lld_flags_of() {
    case $1 in
        mips-* | mipsel-*) echo "$lld_flags --bp-compression-sort=both" ;;
        *) echo "$lld_flags" ;;
    esac
}

# One directory per set of flags: otherwise cargo would rebuild std at each change of target.
target_dir_of() {
    local key
    key=$( (flags_of "$1"; echo "${more_flags:-}"; lld_flags_of "$1"; cat ci/link.sh ci/sections.ld; /usr/bin/rustc --version) |
        cksum | cut -d' ' -f1)
    echo "$cache/target/$1-$key"
}

# device_cargo TRIPLE ARGUMENTS...: Debian's cargo and rustc, with zig as linker, and nothing of the caller's tool chain.
device_cargo() {
    local triple=$1 emulator runner=()
    shift
    emulator=$(emulator_of "$triple")
    # Set only if there is an emulator: cargo rejects an empty runner.
    [[ -z $emulator ]] || runner=("CARGO_TARGET_$(tr 'a-z-' 'A-Z_' <<<"$triple")_RUNNER=$emulator")
    env -u CARGO -u RUSTC -u RUST_LIBC_UNSTABLE_MUSL_V1_2_3 -u RUSTC_WRAPPER -u RUSTDOC -u RUSTUP_TOOLCHAIN -u CARGO_ENCODED_RUSTFLAGS \
        PATH="$cache/venv/bin:/usr/bin:/bin:$PATH" \
        RUSTC_BOOTSTRAP=1 \
        SENTINEL_LLD="$(lld_of "$triple")" \
        SENTINEL_LLD_FLAGS="$(lld_flags_of "$triple")" \
        RUSTFLAGS="$(flags_of "$triple") ${more_flags:-}" \
        ZIG_GLOBAL_CACHE_DIR="$cache/zig" \
        CARGO_ZIGBUILD_CACHE_DIR="$cache/cargo-zigbuild" \
        CARGO_TARGET_DIR="$(target_dir_of "$triple")" \
        "${runner[@]}" \
        cargo-zigbuild "$@"
}

# See ci/static-libc.c.
build_libc_parts() {
    local target
    case $1 in
        armv7-*) target=arm-linux-musleabihf ;;
        mips*) target=${1%%-*}-linux-musleabi ;;
        *) target=${1%%-*}-linux-musl ;;
    esac
    ZIG_GLOBAL_CACHE_DIR="$cache/zig" "$cache/venv/bin/python" -m ziglang cc -target "$target" -Os \
        -c ci/static-libc.c -o "$cache/static-libc-$1.o"
}

# A program that aborts on panic never unwinds; the tables would be a twentieth of it. The texts of panics and what
# formats them would be an eighth (mipsel: 877 KiB with them, 766 without): a panic is a bug that ends the program at once,
# the supervisor starts it again, and `cargo build --profile device` makes a program that says where it was.
# What is only formatted with {:?} is for tests: of derived formats the name of the type remains, and with the rest of
# tinyjson's goes what prints floating point.
# `more_flags` reaches device_cargo and target_dir_of.
build() {
    local more_flags='-C force-unwind-tables=no -Z unstable-options -C panic=immediate-abort -Z fmt-debug=shallow'
    more_flags+=" -C linker=$cache/link.sh -C linker-flavor=gcc"
    rm -f "$dist/$1/sentinel"
    cp ci/link.sh ci/sections.ld "$cache/" || return
    build_libc_parts "$1" || return
    device_cargo "$1" zigbuild --quiet --locked --package sentinel-appliance --profile device --target "$1" \
        -Z build-std=std,panic_abort -Z build-std-features=optimize_for_size || return
    mkdir -p "$dist/$1"
    cp "$(target_dir_of "$1")/$1/device/sentinel" "$dist/$1/sentinel"
    # lld keeps what only a debugger reads: a tenth of the file. These binutils know both byte orders.
    case $1 in
        mips-* | mipsel-*) mipsel-linux-gnu-objcopy -R .pdr -R .mdebug.abi32 -R .comment "$dist/$1/sentinel" ;;
    esac
}

# Runs the tests through the emulator, which is cargo's runner for the target.
run_tests() {
    local crate packages=()
    for crate in "${pure_crates[@]}"; do
        packages+=(--package "$crate")
    done
    build_libc_parts "$1" || return
    local test=(test --quiet --locked --lib --target "$1" -Z "build-std=std,panic_unwind,test") family skips=()
    device_cargo "$1" "${test[@]}" "${packages[@]}" -- --skip detectors:: || return
    # Each family of detectors in a process of its own: the tables of tests are never freed, and 32 bits have room for 2 GiB of them.
    for family in sentinel-appliance/detect/src/detectors/*/; do
        family="detectors::$(basename "$family")::"
        skips+=(--skip "$family")
        device_cargo "$1" "${test[@]}" --package sentinel-detect -- "$family" || return
    done
    device_cargo "$1" "${test[@]}" --package sentinel-detect -- detectors:: "${skips[@]}"
}

check_file() {
    local kind
    kind=$(file -b "$dist/$1/sentinel")
    [[ $kind == *"statically linked"* || $kind == *"static-pie linked"* ]] || { echo "$1: not static: $kind" >&2; return 1; }
    [[ $kind == *", stripped"* ]] || { echo "$1: not stripped: $kind" >&2; return 1; }
}

# Follows the code after each system call in the program; 0.03 s for 250,000 instructions.
check_registers() {
    case $1 in
        mips-* | mipsel-*) cargo run --quiet --locked --package xtask -- mips-syscalls "$dist/$1/sentinel" >&2 ;;
    esac
}

# The emulator is left unquoted because it is empty where this machine runs the program itself.
check_version() {
    local says
    # shellcheck disable=SC2046
    says=$($(emulator_of "$1") "$dist/$1/sentinel" --version) || { echo "$1: sentinel --version fails" >&2; return 1; }
    [[ $says == "sentinel "[0-9]* ]] || { echo "$1: sentinel --version says '$says'" >&2; return 1; }
}

# Names the capture relative to its directory, so that no path of this machine is in the output. The committed alerts
# are those of the default settings: neither the system's settings file nor SENTINEL_* variables may apply.
run_read() {
    # shellcheck disable=SC2046
    (cd "$(dirname "$3")" && timeout 120 env -i PATH="$PATH" $(emulator_of "$1") "$2" --config /dev/null \
        read "${3##*/}" --alerts)
}

# Prints "n of n"; fails if they differ or if there is nothing to compare.
check_golden() {
    local capture wanted same=0 count=0 sentinel got
    sentinel=$(realpath "$dist/$1/sentinel")
    got=$(mktemp)
    for capture in "$golden"/*.pcap "$golden"/*.pcapng; do
        [[ -e $capture ]] || continue
        wanted=${capture%.pcap*}.alerts.ndjson
        count=$((count + 1))
        if [[ ! -e $wanted ]]; then
            echo "$1: $capture has no ${wanted##*/} beside it" >&2
        elif ! run_read "$1" "$sentinel" "$capture" >"$got" 2>"$got.error"; then
            echo "$1: sentinel read $capture fails: $(tail -n 1 "$got.error")" >&2
        elif ! cmp -s "$got" "$wanted"; then
            echo "$1: alerts of $capture differ from ${wanted##*/}:" >&2
            diff "$wanted" "$got" | head -n 4 | cut -c 1-300 >&2
        else
            same=$((same + 1))
        fi
    done
    rm -f "$got" "$got.error"
    echo "$same of $count"
    [[ $count -gt 0 ]] || { echo "$1: no golden captures in $golden" >&2; return 1; }
    [[ $same -eq $count ]]
}

with_golden=yes
only_tests=no
triples=()
for argument in "$@"; do
    case $argument in
        --no-golden) with_golden=no ;;
        --tests) only_tests=yes ;;
        light) triples+=("$(triple_of mips)") ;;
        all) for board in "${all[@]}"; do triples+=("$(triple_of "$board")"); done ;;
        -*) usage ;;
        *) triples+=("$(triple_of "$argument")") || usage ;;
    esac
done
[[ ${#triples[@]} -gt 0 ]] || triples=("$(triple_of mips)")

if ! ci/install.sh --check cross >&2; then
    echo "ci/cross.sh: run \`ci/install.sh cross\` first" >&2
    exit 1
fi

passed=0
failed=0
table=$(printf '%-32s %7s %7s  %s' target KiB budget golden)
for triple in "${triples[@]}"; do
    if [[ $only_tests == yes ]]; then
        if run_tests "$triple"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
        continue
    fi
    size=- budget=- compared=- verdict=passed
    if build "$triple"; then
        check_file "$triple" || verdict=failed
        check_registers "$triple" || verdict=failed
        if says=$(cargo run --quiet --locked --package xtask -- size "$dist/$triple/sentinel" --board "${triple%%-*}"); then
            # "armv7: 467 KiB of 900 KiB (51 %)"
            read -r _ size _ _ budget _ <<<"$says"
        else
            size=$(($(stat -c %s "$dist/$triple/sentinel") / 1024)) verdict=failed
        fi
        check_version "$triple" || verdict=failed
        if [[ $with_golden == yes ]]; then
            compared=$(check_golden "$triple") || verdict=failed
        fi
    else
        echo "$triple: build fails" >&2
        verdict=failed
    fi
    if [[ $verdict == passed ]]; then passed=$((passed + 1)); else failed=$((failed + 1)); compared="$compared  FAILED"; fi
    table+=$(printf '\n%-32s %7s %7s  %s' "$triple" "$size" "$budget" "$compared")
done
[[ $only_tests == yes ]] || printf '%s\n' "$table"
echo "cross: $passed passed, $failed failed"
[[ $failed -eq 0 ]]
