#!/bin/sh
# shellcheck shell=dash disable=SC2034,SC2154
# Sourced by sysupgrade. Files of keep.d travel in every backup of the settings: settings and keys, not the log. A new firmware on the
# same device keeps the sealed log as well, with the key file that belongs to it: the collector takes a log that begins anew for one
# that was wiped.

sentinel_appliance_keep_log() {
	# Set for a backup, a restoration and a list.
	[ -z "$NEED_IMAGE$CONF_BACKUP" ] && [ "${CONF_BACKUP_LIST:-0}" = 0 ] || return 0
	for file in /etc/sentinel-appliance/log /etc/sentinel-appliance/log.key; do
		# With -c it is in the list already.
		[ ! -f "$file" ] || grep -qxF "$file" "$1" || echo "$file" >>"$1"
	done
}

sysupgrade_init_conffiles="$sysupgrade_init_conffiles sentinel_appliance_keep_log"
