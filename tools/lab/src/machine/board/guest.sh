#!/bin/sh
# shellcheck shell=dash
# First process of a board's machine. The word `lab.part=NAME` of the kernel's command line selects what it does; everything that it
# finds out goes to the port, as sections that begin with "=== NAME" and end with "=== NAME status N".
export PATH=/bin HOME=/
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev 2>/dev/null
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
# Modules need each other: a later pass loads those whose turn came too early.
for _ in 1 2 3; do
	for module in /modules/*.ko; do
		insmod "$module" 2>/dev/null
	done
done
read -r words </proc/cmdline
for word in $words; do
	case $word in
	lab.part=*) part=${word#*=} ;;
	lab.port=*) port=${word#*=} ;;
	esac
done
until [ -n "$port" ]; do
	port=$(ls /dev/vport* 2>/dev/null) || sleep 0.05
done
exec 3>"$port"
case $port in
/dev/tty*) stty -F "$port" raw ;;
esac

# section NAME COMMAND...: its output and its exit status.
section() {
	local name=$1 code
	shift
	echo "=== $name" >&3
	"$@" >&3 2>&1
	code=$?
	# Behind a line of its own, whatever the output ends with.
	printf '\n=== %s status %s\n' "$name" "$code" >&3
}

SETTINGS=/etc/settings
export SENTINEL_SANDBOX=strict

network() {
	# The kernel's own announcements would be frames that nobody sent.
	echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6 2>/dev/null
	ip link set lo up
	ip link add br-lan type bridge
	echo 0 >/sys/class/net/br-lan/bridge/multicast_snooping
	ip link add gen0 type veth
	for port in /sys/class/net/eth* /sys/class/net/veth*; do
		port=${port##*/}
		ip link set "$port" up && brctl addif br-lan "$port"
	done
	ip link set gen0 up && ip link set br-lan up
	ls /sys/class/net/br-lan/brif
}

is_open() {
	sentinel status --json --config "$SETTINGS" 2>/dev/null | grep -q '"open":true'
}

seconds() {
	cut -d. -f1 /proc/uptime
}

# Waits until COMMAND succeeds, 30 s at the longest.
await() {
	deadline=$(($(seconds) + 30))
	until "$@"; do
		[ "$(seconds)" -lt $deadline ] || return 1
		sleep 0.1
	done
}

start() {
	sentinel run --config "$SETTINGS" >>/tmp/messages 2>&1 &
	process=$!
	await is_open
}

stop() {
	kill -TERM "$process"
	wait "$process"
}

# analysed FRAMES: as many are.
analysed() {
	count=$(sentinel status --json --config "$SETTINGS" | sed -n 's/.*"frames":{"seen":[0-9]*,"analysed":\([0-9]*\).*/\1/p')
	[ "${count:-0}" -ge "$1" ]
}

clean() {
	rm -rf /data/* /run/sentinel /tmp/messages
}

privileges() {
	for task in /proc/"$process"/task/*; do
		grep -E '^(Name|Uid|Gid|CapEff|NoNewPrivs|Seccomp):' "$task/status"
	done
}

rest() {
	section "$1.stop" stop
	section "$1.messages" cat /tmp/messages
	section "$1.alerts" sentinel log export --config "$SETTINGS"
	section "$1.verify" sentinel log verify --config "$SETTINGS"
}

status() {
	# The kernel's counters are read once a second.
	sleep 1.2
	section "$1.status" sentinel status --json --config "$SETTINGS"
	section "$1.memory" cat /proc/"$process"/status
}

# trial NAME [CAPTURE]: a capture at its own pace through a virtual port of the bridge; the log is empty before.
trial() {
	clean
	section "$1.start" start
	section "$1.replay" sentinel replay "/captures/${2:-$1}.pcap" -i gen0 --config "$SETTINGS"
	status "$1"
	rest "$1"
}

# outside NAME CARD FRAMES: a capture that the host sends to a network card, at its own pace, once this asks for it.
outside() {
	clean
	section "$1.start" start
	section "$1.go" echo "$2"
	section "$1.arrived" await analysed "$3"
	status "$1"
	rest "$1"
}

# Reload, kill, restart with the log and the journal that the kill left, and a stop.
life() {
	clean
	section life.start start
	section life.first sentinel replay /captures/port-scan-ipv6.pcap -i gen0 --config "$SETTINGS"
	kill -HUP "$process"
	section life.reload await grep -q 'settings reloaded' /tmp/messages
	section life.second sentinel replay /captures/credentials-ftp.pcap -i gen0 --config "$SETTINGS"
	section life.privileges privileges
	status life.before
	kill -9 "$process"
	wait "$process"
	section life.restart start
	section life.third sentinel replay /captures/suspicious-port-4444.pcap -i gen0 --config "$SETTINGS"
	status life.after
	rest life
}

trials() {
	section network network
	section check sentinel config check "$SETTINGS"
	section sandbox sentinel selftest --sandbox --config "$SETTINGS"
	# It tries what the filter of system calls refuses, and the kernel tells that.
	section boot dmesg -c
	cd /captures || return
	# The settings file of the system has other thresholds: without --config it must show, with it it must not.
	section control sentinel read syn-flood-at.pcap --alerts
	for capture in *.pcap; do
		section "${capture%.pcap}.read" sentinel --config /dev/null read "$capture" --alerts
	done
	while read -r name <&4; do
		trial "$name"
	done 4<list.inside
	while read -r name card frames <&4; do
		outside "$name" "$card" "$frames"
	done 4<list.outside
	life
	export SENTINEL_MEMORY_KIB=tiny
	trial tiny mac-flood
}

# Name of each thread and its time on the processor in nanoseconds.
threads() {
	for task in /proc/"$process"/task/*; do
		echo "$(cat "$task/comm") $(cut -d' ' -f1 "$task/schedstat")"
	done
}

# counted NAME SPEED: time of the threads over a capture, after another one of the same traffic.
counted() {
	clean
	section "$1.start" start
	section "$1.warm" sentinel replay "/captures/$1-before.pcap" -i gen0 --speed "$2" --config "$SETTINGS"
	sleep 1
	section "$1.before" threads
	section "$1.replay" sentinel replay "/captures/$1.pcap" -i gen0 --speed "$2" --config "$SETTINGS"
	sleep 1
	section "$1.after" threads
	status "$1"
	section "$1.stop" stop
}

instructions() {
	section network network
	clean
	sentinel run --config "$SETTINGS" >/tmp/messages 2>&1 &
	process=$!
	sleep 3
	section start.threads threads
	section start.stop stop
	while read -r name speed <&4; do
		counted "$name" "$speed"
	done 4</captures/list.counted
}

case $part in
trials) trials ;;
instructions) instructions ;;
esac
section kernel dmesg
section end true
poweroff -f
