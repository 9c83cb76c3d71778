#!/usr/bin/env bash
# Makes a release: programs, packages, feed, image of the Raspberry Pi, components and checksums.
#
#   ci/release.sh --keys DIRECTORY [OPTION ...] OUTPUT     into OUTPUT, which must not exist
#   ci/release.sh --twice --keys DIRECTORY [OPTION ...]    two releases in two checkouts of the last commit, compared
#
#   --keys DIRECTORY      private keys of the feed (`image keys`)
#   --programs DIRECTORY  programs as ci/cross.sh leaves them, instead of building all five
#   --system DIRECTORY    Debian packages for the image as `ci/install.sh pi` leaves them (its own directory)
#   --no-image            without the image
#
# OUTPUT has programs/, openwrt/ (a signed feed for each architecture), debian/, pi/, components/ (CycloneDX 1.5) and
# SHA256SUMS, which `sha256sum --check` reads. The time of all files is that of the last commit, or SOURCE_DATE_EPOCH. The same
# commit, programs, keys and Debian packages give the same bytes; the last line of --twice says how many files are equal.
set -euo pipefail
cd "$(dirname "$0")/.."

# Debian's cargo, which the cross-build needs, may be first in PATH; it is too old for the tools.
rustup_bin=${CARGO_HOME:-${HOME:-/nonexistent}/.cargo}/bin
[[ -x $rustup_bin/cargo ]] && PATH=$rustup_bin:$PATH
export PATH LC_ALL=C TZ=UTC
umask 022

usage() {
    sed -n '2,14s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

image() {
    cargo run --quiet --locked --package sentinel-image -- "$@"
}

programs() {
    local folder
    if [[ -z $programs ]]; then
        ci/cross.sh all
        programs=dist
    fi
    for folder in "$programs"/*/; do
        [[ -f $folder/sentinel ]] || continue
        install -D -m 755 "$folder/sentinel" "$output/programs/sentinel-$version-$(basename "$folder")"
    done
}

packages() {
    image openwrt --programs "$programs" --keys "$keys" --output "$output/openwrt"
    image deb --programs "$programs" --output "$output/debian"
    image check "$output"/openwrt/*/ "$output"/debian/*.deb \
        --usign-key "$keys/usign.pub" --apk-key "$keys/sentinel-appliance.pem"
    # What a device needs to trust the feed.
    install -m 644 "$keys/usign.pub" "$keys/sentinel-appliance.pem" "$output/openwrt/"
}

pi() {
    local name=sentinel-appliance-$version-raspberrypi.img
    ci/install.sh --check pi || { echo "ci/release.sh: run \`ci/install.sh pi\` first, or give --no-image" >&2; return 1; }
    mkdir -p "$output/pi"
    image pi --programs "$programs" --system "$system" --output "$output/pi/$name"
    # One thread: the blocks of several depend on their number.
    xz -T1 -6 "$output/pi/$name"
}

components() {
    mkdir -p "$output/components"
    cargo xtask sbom sentinel-appliance >"$output/components/sentinel-$version.cdx.json"
    [[ $with_image == no ]] || cargo xtask sbom sentinel-appliance --debian "$system/packages" \
        >"$output/components/sentinel-appliance-$version-raspberrypi.cdx.json"
}

checksums() {
    local sums
    sums=$(cd "$output" && find . -type f -printf '%P\n' | sort | xargs -d '\n' sha256sum)
    echo "$sums" >"$output/SHA256SUMS"
}

release() {
    [[ ! -e $output ]] || { echo "ci/release.sh: $output exists; want a new directory" >&2; exit 1; }
    mkdir -p "$output"
    programs
    packages
    [[ $with_image == no ]] || pi
    components
    checksums
    echo "release: $(wc -l <"$output/SHA256SUMS") files in $output"
}

# The checkouts lie in directories of different length, so that a path in a file shows.
twice() {
    local folder one other arguments=(--keys "$keys" --system "$system")
    [[ -z $programs ]] || arguments+=(--programs "$programs")
    [[ $with_image == yes ]] || arguments+=(--no-image)
    folder=$(mktemp -d)
    one=$folder/one other=$folder/a-longer-name/other
    # Both before the first release is made: the commit must not change in between.
    for checkout in "$one" "$other"; do
        git clone --quiet --no-hardlinks . "$checkout"
    done
    for checkout in "$one" "$other"; do
        # The variable would keep the tools of the first checkout for the second.
        env -u CARGO_TARGET_DIR "$checkout/ci/release.sh" "${arguments[@]}" "$checkout/release" | tail -n 1
        rm -rf "$checkout/target"
    done
    if ! diff "$one/release/SHA256SUMS" "$other/release/SHA256SUMS"; then
        echo "ci/release.sh: two releases of one commit differ; they are in $folder" >&2
        return 1
    fi
    echo "release: $(wc -l <"$one/release/SHA256SUMS") of $(wc -l <"$other/release/SHA256SUMS") files are equal"
    rm -rf "$folder"
}

keys='' programs='' system=$(ci/install.sh --folder pi) with_image=yes output='' mode=release
while [[ $# -gt 0 ]]; do
    case $1 in
        --keys | --programs | --system)
            [[ $# -ge 2 && -d $2 ]] || { echo "ci/release.sh: $1 wants a directory" >&2; exit 2; }
            printf -v "${1#--}" '%s' "$(realpath "$2")"
            shift
            ;;
        --no-image) with_image=no ;;
        --twice) mode=twice ;;
        -*) usage ;;
        *) [[ -z $output ]] || usage; output=$1 ;;
    esac
    shift
done
[[ -n $keys ]] || usage
[[ $mode == twice || -n $output ]] || usage
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
"$mode"
