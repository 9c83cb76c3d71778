//! Facts about this process and machine.

use std::ffi::c_ulong;

/// Host name of this machine.
pub(crate) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Memory of this machine in KiB, without what the kernel keeps for itself.
pub(crate) fn total_memory_kib() -> c_ulong {
    let found = rustix::system::sysinfo();
    // The unit is a byte, or larger where the number of bytes has no room.
    found.totalram / 1024 * c_ulong::from(found.mem_unit)
}

/// Resident memory of this process in KiB (`VmRSS` of `/proc/self/status`); zero if `/proc` is not mounted.
pub(crate) fn resident_kib() -> u64 {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return 0 };
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|value| value.trim().split(' ').next())
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}
