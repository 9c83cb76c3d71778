#!/bin/sh
# Makes the root directory of a machine of the guides and runs a shell in it. Called with mounts and processes of its own, in the
# network namespace of the machine.
#
#   enter.sh router|debian FOLDER EXCHANGE CHECKOUT STAND-INS
#
# A router is a tree with busybox and the files of this repository (FOLDER). A machine with Debian is this machine with everything
# that is changed kept in memory (overlayfs), and the checkout at /usr/src/sentinel.
set -e
kind=$1 folder=$2 exchange=$3 checkout=$4 stand_ins=$5
root=$folder/root

mkdir -p "$root"
if [ "$kind" = debian ]; then
	mount -t tmpfs tmpfs "$folder"
	mkdir -p "$root" "$folder/changed" "$folder/work" "$folder/source-changed" "$folder/source-work"
	mount -t overlay overlay -o "lowerdir=/,upperdir=$folder/changed,workdir=$folder/work" "$root"
	# Left by other runs of the programs on this machine; in the overlay only.
	rm -rf "$root"/var/lib/sentinel-* "$root"/etc/config
	mkdir -p "$root/usr/src/sentinel"
	mount -t overlay overlay \
		-o "lowerdir=$checkout,upperdir=$folder/source-changed,workdir=$folder/source-work" "$root/usr/src/sentinel"
	mount -t tmpfs tmpfs "$root/run"
	mkdir -p "$root/run/systemd/system" "$root/var/www/html"
	mount -t tmpfs tmpfs "$root/tmp"
	mount --bind "$exchange/www" "$root/var/www/html"
	mkdir -p "$root/root"
	mount -t tmpfs tmpfs "$root/root"
else
	mount --bind "$exchange/router-tmp" "$root/tmp"
	mkdir -p "$root/www-server" "$root/checkout"
	mount --bind "$exchange/www" "$root/www-server"
	mount --bind "$checkout" "$root/checkout"
fi
mkdir -p "$root/exchange" "$root/stand-ins" "$root/proc" "$root/sys" "$root/dev"
mount --bind "$exchange" "$root/exchange"
mount --bind "$stand_ins" "$root/stand-ins"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
[ "$kind" = router ] || exec chroot "$root" /bin/bash
exec chroot "$root" /bin/sh
