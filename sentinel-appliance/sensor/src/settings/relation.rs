//! Rules that tie settings to each other. Each is declared once, for the check and for the reference.

use super::registry::Settings;

/// A rule between settings of the section `main`.
pub(super) struct Relation {
    /// The settings it ties together.
    pub(super) names: &'static [&'static str],
    /// What must hold.
    pub(super) rule: &'static str,
    /// What would go wrong otherwise.
    pub(super) because: &'static str,
    /// Whether it holds.
    pub(super) holds: fn(&Settings) -> bool,
}

/// Every rule.
pub(super) const RELATIONS: &[Relation] = &[
    Relation {
        names: &["ring_kib"],
        rule: "ring_kib must be a power of two",
        because: "the kernel hands the ring over in equal blocks of at least 64 KiB",
        holds: |settings| settings.ring_kib.is_power_of_two(),
    },
    Relation {
        names: &["ring_kib", "snap_bytes"],
        rule: "ring_kib must have room for 8 frames of snap_bytes",
        because: "a frame that does not fit a block of the ring is lost",
        holds: |settings| kib(settings.ring_kib) >= 8 * u64::from(settings.snap_bytes),
    },
    Relation {
        names: &["memory_kib", "ring_kib", "interface"],
        rule: "memory_kib plus ring_kib for each interface must be at most 524288 KiB",
        because: "a 32-bit device cannot map more",
        holds: |settings| {
            let rings = settings.interface.iter().map(|_| kib(settings.ring_kib)).sum::<u64>();
            kib(settings.memory_kib) + rings <= kib(524_288)
        },
    },
    Relation {
        names: &["incident_update_s", "incident_quiet_s"],
        rule: "incident_update_s must be at most incident_quiet_s",
        because: "an incident would be closed before its first update",
        holds: |settings| settings.incident_update <= settings.incident_quiet,
    },
    Relation {
        names: &["log_segment_kib", "log_segments"],
        rule: "log_segment_kib times log_segments must be at most 262144 KiB",
        because: "the log is read through at start",
        holds: |settings| kib(settings.log_segment_kib) * u64::from(settings.log_segments) <= kib(262_144),
    },
    Relation {
        names: &["log_daily_kib", "log_segment_kib"],
        rule: "log_daily_kib must be 0 or at least log_segment_kib",
        because: "a segment is written as a whole and would never fit into a day",
        holds: |settings| settings.log_daily_kib == 0 || settings.log_daily_kib >= settings.log_segment_kib,
    },
    Relation {
        names: &["run_dir", "state_dir"],
        rule: "run_dir must not be state_dir",
        because: "what is meant for RAM would wear out the flash",
        holds: |settings| settings.run_dir != settings.state_dir,
    },
];

fn kib(count: u32) -> u64 {
    u64::from(count) * 1024
}
