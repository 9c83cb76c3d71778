#!/usr/bin/env bash
# Linker of ci/cross.sh: links as cargo-zigbuild does, by `zig cc`, and then once more by lld, with options that `zig cc`
# does not hand on. Cargo names the first one in CARGO_TARGET_*_LINKER. From the caller:
#
#   SENTINEL_LLD        command of lld
#   SENTINEL_LLD_FLAGS  the options for lld
set -euo pipefail

zig_cc=$(env | sed -n 's/^CARGO_TARGET_.*_LINKER=//p' | head -n 1)
says=$(mktemp)
trap 'rm -f "$says"' EXIT
if ! "$zig_cc" "$@" -v 2>"$says"; then
    cat "$says" >&2
    exit 1
fi
# With -v zig prints each command that it runs. The last one of lld is the link; others before it may be for crt1.o.
link=$(grep '^ld\.lld ' "$says" | tail -n 1)
[[ -n $link ]] || { echo "ci/link.sh: zig prints no command of lld" >&2; exit 1; }
# Unquoted: zig and the caller separate arguments by blanks.
# shellcheck disable=SC2086
$SENTINEL_LLD ${link#ld.lld } $SENTINEL_LLD_FLAGS
