# Stand-ins for what the commands of the README call on the machine that builds, on a router and on a Pi. They act on files below
# $PLACE, which is also the root directory of the device. Sourced by the test before the commands.
# shellcheck shell=sh disable=SC2015,SC2317

fail() {
	echo "FAILED: $*"
	exit 1
}

# ci/cross.sh: the programs of the test.
cross() { cp -r "$PLACE/programs/." dist/; }

cargo() {
	[ "$1 $2 $3 $4" = "run -p sentinel-image --" ] || fail "cargo $*"
	shift 4
	case "$1" in
	# The program of the test runs on no machine.
	deb) "$IMAGE" --repository "$REPOSITORY" "$@" --time 1700000000 --help-from "$PLACE/help" ;;
	openwrt) "$IMAGE" --repository "$REPOSITORY" "$@" --time 1700000000 ;;
	*) "$IMAGE" --repository "$REPOSITORY" "$@" ;;
	esac || fail "image $*"
}

# A file of the web server that serves dist/feed.
served() { echo "$PLACE/dist/feed/${1#https://server.example/feed/}"; }

wget() {
	[ "$1" = -O ] || fail "wget $*"
	cp "$(served "$3")" "$2" || fail "$3 is not on the server"
}

judged() {
	"$IMAGE" --repository "$REPOSITORY" check "$1" --usign-key "$2" --apk-key "$3" || fail "the feed $1"
}

apk() {
	index=$(served "$(tail -n 1 "$PLACE/etc/apk/repositories.d/customfeeds.list")")
	case "$1" in
	update) judged "${index%/packages.adb}" "$PLACE/dist/feed/usign.pub" "$PLACE/etc/apk/keys/sentinel-appliance.pem" ;;
	add) "$IMAGE" show "$index" | grep -q "name: $2\$" && echo "installed $2" || fail "no package $2" ;;
	*) fail "apk $*" ;;
	esac
}

opkg_key() {
	[ "$1" = add ] || fail "opkg-key $*"
	cp "$2" "$PLACE/etc/opkg/keys/trusted" || fail "no key $2"
}

opkg() {
	feed=$(sed -n 's/^src\/gz sentinel //p' "$PLACE/etc/opkg/customfeeds.conf")
	case "$1" in
	update) judged "$(served "$feed")" "$PLACE/etc/opkg/keys/trusted" "$PLACE/dist/feed/sentinel-appliance.pem" ;;
	install) grep -qx "Package: $2" "$(served "$feed")/Packages" && echo "installed $2" || fail "no package $2" ;;
	*) fail "opkg $*" ;;
	esac
}

scp() {
	[ "$2" = pi: ] && cp "$1" "$PLACE" || fail "scp $*"
}

sudo() { "$@"; }
editor() { [ -f "$PLACE/unpacked$1" ] || fail "no file $1 in the package"; }

apt() {
	[ "$1" = install ] || fail "apt $*"
	"$IMAGE" --repository "$REPOSITORY" check "$2" || fail "the package $2"
	dpkg-deb -x "$2" "$PLACE/unpacked" || fail "dpkg-deb $2"
	echo "installed $2"
}

systemctl() {
	[ -f "$PLACE/unpacked/lib/systemd/system/$2.service" ] || fail "no unit $2 in the package"
}

sentinel() { grep -q "sentinel $1" "$PLACE/help" || fail "no command sentinel $1"; }
