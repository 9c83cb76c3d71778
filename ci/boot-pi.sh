#!/usr/bin/env bash
# Boots the image of the Raspberry Pi under qemu as its owner would use it, and judges what it does. By hand, a minute each.
#
#   ci/boot-pi.sh IMAGE [virt|raspi3b]...
#
# Writes setup.txt with a new SSH key, settings.txt and a token onto a copy of IMAGE (`image pi`), boots it, logs in with SSH,
# replays a port scan from the device, and looks at the alert and the log; kills the sensor, switches the machine off by command,
# boots again, and cuts the power. Ends with `N passed, N failed`; what failed is listed, and the directory with the consoles is
# kept. qemu's raspi3b has no boot loader of the Pi (kernel, initramfs and device tree are read from the image and given to it),
# its network is an adapter on USB, and its watchdog resets at once, so that driver is left out there. Needs `ci/install.sh pi`.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2

usage() {
    sed -n '2,11s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

[[ $# -ge 1 && -f $1 ]] || usage
image=$1
shift
machines=("$@")
[[ ${#machines[@]} -gt 0 ]] || machines=(virt raspi3b)
for program in qemu-system-aarch64 mcopy ssh; do
    command -v "$program" >/dev/null || { echo "ci/boot-pi.sh: skipped: no $program; \`ci/install.sh pi\` installs it"; exit 0; }
done
capture=sentinel-appliance/sensor/tests/data/golden/port-scan-above.pcap
folder=$(mktemp -d)
card=$folder/card.img
machine=''
passed=0
failed=0
trap '[[ -z $machine ]] || kill "$machine" 2>/dev/null' EXIT

# judge NAME COMMAND...
judge() {
    local name=$1
    shift
    if "$@" >"$folder/said" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "failed: $board: $name"
        tail -n 5 "$folder/said"
    fi
}

# A port of the loopback that nobody listens on.
free_port() {
    local candidate
    for candidate in $(shuf -i 20000-60000 -n 50); do
        (exec 3<>"/dev/tcp/127.0.0.1/$candidate") 2>/dev/null || { echo "$candidate"; return; }
    done
}

on_device() {
    timeout 60 ssh -q -p "$port" -i "$folder/key" -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
        -o ConnectTimeout=10 root@127.0.0.1 "$@"
}

write_setup() {
    rm -f "$folder"/key "$folder"/key.pub
    ssh-keygen -q -t ed25519 -N '' -C '' -f "$folder/key"
    printf 'port = mirror\r\nssh_key = %s\r\ntimezone = Europe/Berlin\r\n' "$(cat "$folder/key.pub")" >"$folder/setup.txt"
    printf "config sentinel 'main'\r\n\tlist interface '%s'\r\n" "$interface" >"$folder/settings.txt"
    echo "a-token-that-must-not-stay" >"$folder/token.txt"
    mcopy -o -i "$card@@49M" "$folder"/{setup,settings,token}.txt ::
    mcopy -o -n -i "$card@@1M" ::kernel8.img ::initramfs.img ::bcm2837-rpi-3-b.dtb "$folder/"
}

boot() {
    port=$(free_port)
    local network=(-netdev "user,id=n,hostfwd=tcp:127.0.0.1:$port-:22")
    local common=(-display none -kernel "$folder/kernel8.img" -initrd "$folder/initramfs.img" "${network[@]}")
    case $board in
        virt)
            qemu-system-aarch64 -M virt -cpu cortex-a53 -m 512 "${common[@]}" -append "console=ttyAMA0 panic=5" \
                -drive "if=virtio,format=raw,file=$card" -device virtio-net-pci,netdev=n -serial "file:$folder/$board.console" \
                >"$folder/$board.qemu" 2>&1 &
            ;;
        raspi3b)
            qemu-system-aarch64 -M raspi3b -dtb "$folder/bcm2837-rpi-3-b.dtb" "${common[@]}" \
                -append "console=ttyAMA0 panic=5 module_blacklist=bcm2835_wdt" -drive "if=sd,format=raw,file=$card" \
                -device usb-net,netdev=n -serial "file:$folder/$board.console" >"$folder/$board.qemu" 2>&1 &
            ;;
        *) usage ;;
    esac
    machine=$!
    local tries
    for tries in {1..30}; do
        sleep 3
        on_device true && return
        kill -0 "$machine" 2>/dev/null || break
    done
    echo "$board: no SSH after $((tries * 3)) s" >&2
    return 1
}

# The command runs there, not here.
# shellcheck disable=SC2016
capture_time() {
    on_device 'dmesg | sed -n "s/^\[ *\([0-9.]*\)\] device '"$interface"' entered promiscuous mode/\1/p" | head -n 1'
}

has_alert() {
    local tries
    for tries in {1..20}; do
        on_device sentinel log show 2>/dev/null | grep -q port_scan && return
        sleep 1
    done
    on_device sentinel log show
    return 1
}

# The program is back, as another process.
comes_back() {
    local before after tries
    before=$(on_device 'cat /run/sentinel-appliance/*.pid 2>/dev/null || pidof sentinel')
    on_device 'killall -KILL sentinel' || return
    for tries in {1..10}; do
        sleep 1
        after=$(on_device pidof sentinel)
        [[ -n $after && $after != "$before" ]] && on_device sentinel status && return
    done
    return 1
}

switch_off() {
    on_device 'poweroff' || true
    local tries
    for tries in {1..40}; do
        grep -q 'Power down\|System halted' "$folder/$board.console" && break
        kill -0 "$machine" 2>/dev/null || break
        sleep 1
    done
    grep 'Power down\|System halted' "$folder/$board.console" || return
    stop_machine
}

stop_machine() {
    kill "$machine" 2>/dev/null
    wait "$machine" 2>/dev/null
    machine=''
    return 0
}

# A partition is named by offset and length in MiB.
same_partition() {
    cmp <(dd if="$image" bs=1M skip="$1" count="$2" status=none) <(dd if="$card" bs=1M skip="$1" count="$2" status=none)
}

no_token() {
    # Neither a file nor its bytes, on the whole partition.
    ! mdir -b -i "$card@@49M" :: | grep -i token &&
        ! dd if="$card" bs=1M skip=49 count=34 status=none | grep -a -q a-token-that-must-not-stay
}

answered() {
    mtype -i "$card@@49M" ::result.txt | tr -d '\r' | grep -x "$1"
}

whole_state() {
    dd if="$card" of="$folder/state" bs=1M skip=83 count=45 status=none && e2fsck -fn "$folder/state"
}

nothing_taken() {
    ! grep "setup:" "$folder/$board.console"
}

try() {
    board=$1
    interface=eth0
    [[ $board != raspi3b ]] || interface=usb0
    cp "$image" "$card"
    write_setup
    if ! boot; then
        failed=$((failed + 1))
        stop_machine
        return
    fi
    echo "$board: captures $(capture_time) s after the start of the kernel"
    judge "the sensor captures" on_device "sentinel status | grep -i $interface"
    judge "time zone" on_device 'grep -x CET-1CEST,M3.5.0,M10.5.0/3 /etc/TZ'
    judge "the capture arrives" on_device 'cat >/tmp/scan.pcap' <"$capture"
    judge "the scan is sent" on_device "sentinel replay /tmp/scan.pcap -i $interface"
    judge "alert of the scan" has_alert
    judge "the log is whole" on_device sentinel log verify
    judge "back after kill -9" comes_back
    judge "nothing of the card is mounted but the state" on_device '! grep -E "vfat|(vda|mmcblk0p)[12]" /proc/mounts'
    judge "switched off" switch_off
    judge "the token is wiped" no_token
    judge "told what was taken" answered 'settings.txt: taken'
    judge "the system is as it was" same_partition 1 48
    judge "the state is whole" whole_state
    boot || { failed=$((failed + 1)); stop_machine; return; }
    judge "the log of the first start is there" has_alert
    judge "nothing is taken twice" nothing_taken
    # The power goes while the sensor runs.
    stop_machine
    boot || { failed=$((failed + 1)); stop_machine; return; }
    judge "the log is whole after a power cut" on_device sentinel log verify
    stop_machine
    judge "the system is as it was in the end" same_partition 1 48
}

for each in "${machines[@]}"; do
    try "$each"
done
echo "$passed passed, $failed failed"
if [[ $failed -gt 0 ]]; then
    echo "consoles: $folder"
    exit 1
fi
rm -rf "$folder"
