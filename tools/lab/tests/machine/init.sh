#!/bin/sh
# First process of the machine. Words of the kernel's command line: `lab.round=N` varies the traffic, `lab.traffic=no` sends none, `lab.flush=SEVERITY` sets `log_flush_severity`.
# Port 1 gets the status of the sensor again and again, port 2 its messages.
export PATH=/bin HOME=/
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev 2>/dev/null
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs run /run
# Modules need each other: a second pass loads those whose turn came too early.
load() {
	for module in /modules/*.ko; do
		insmod "$module" 2>/dev/null
	done
}
load
load
load
read -r words </proc/cmdline
for word in $words; do
	case $word in
	lab.round=*) round=${word#*=} ;;
	lab.traffic=*) traffic=${word#*=} ;;
	lab.flush=*) export SENTINEL_LOG_FLUSH_SEVERITY="${word#*=}" ;;
	esac
done

stop() {
	echo "the machine cannot go on: $*"
	poweroff -f
}

until [ -e /dev/vda ] && [ -e /sys/class/net/eth0 ] && [ -n "$(ls /dev/vport* 2>/dev/null)" ]; do
	sleep 0.05
done
# shellcheck disable=SC2046 # names without blanks, in their order
set -- $(ls /dev/vport*)
echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6
ip link set lo up
{ ip address add 10.0.2.15/24 dev eth0 && ip link set eth0 up && ip route add default via 10.0.2.2; } || stop network
{ ip link add type veth && ip link set veth0 up && ip link set veth1 up; } || stop veth
mount -t ext4 /dev/vda /data || stop "the disk cannot be mounted"
echo "the disk is mounted" >"$2"
[ -e /data/enrolled ] || { sentinel enroll --config /etc/settings "$(cat /etc/token)" && touch /data/enrolled && sync; } || stop enroll

while :; do
	sentinel run --config /etc/settings
	echo "the sensor ended with $?"
	sleep 1
done >>"$2" 2>&1 &

while :; do
	sentinel status --json --config /etc/settings 2>/dev/null
	sleep 0.1
done >"$1" &

[ "$traffic" = no ] || while :; do
	number=$((number + 1))
	trafficgen send attack-mix --interface veth0 --speed 0 --seed "$((round * 100 + number))" \
		--attacker-ip "10.21.$round.$((number % 250 + 1))" --client-ip "10.22.$round.$((number % 250 + 1))" >/dev/null
done &
wait
