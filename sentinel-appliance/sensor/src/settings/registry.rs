//! Registry of all settings: file, environment, flags and the reference page read this one table.
//!
//! Settings of the detectors come from [`DETECTORS`], which declares them for the engine too.

use std::ffi::c_ulong;
use std::path::PathBuf;
use std::time::Duration;

use sentinel_alert::Severity;
use sentinel_detect::registry::Detector;
use sentinel_detect::{AllowRule, Configs, DETECTORS, MAX_ALLOW_RULES};
use sentinel_units::Prefix;

use crate::limits::{MAX_INTERFACES, MAX_WORKERS};

use super::choice::{Cipher, KernelSnap, LogLevel, Sandbox};
use super::evidence_key::EvidenceKey;
use super::field::{Field, PROFILES};
use super::renamed;

/// Declares the fields of [`Settings`] together with their lines in [`MAIN`].
macro_rules! main_settings {
    ($($field:ident: $type:ty = $name:literal {
        $help:literal, $unit:literal, default $default:literal, $change:ident, |$value:ident| $typed:expr
    })*) => {
        /// Values in force, each within its range.
        #[derive(Clone, Debug, Eq, PartialEq)]
        pub(crate) struct Settings {
            $(#[doc = $help] pub(crate) $field: $type,)*
            /// Settings of each of [`DETECTORS`], in that order.
            pub(crate) detectors: Configs,
        }

        const MAIN: &[Main] = &[$(Main {
            name: $name,
            unit: $unit,
            default: $default,
            change: Change::$change,
            help: $help,
            field: |settings| {
                let $value = &mut settings.$field;
                $typed
            },
        },)*];

        impl Settings {
            fn blank() -> Self {
                Self {
                    $($field: <$type>::default(),)*
                    detectors: DETECTORS.each_ref().map(Detector::default_config),
                }
            }
        }
    };
}

main_settings! {
    interface: Vec<String> = "interface" {
        "interfaces to capture on; a bridge sees the traffic of all its ports",
        "", default "br-lan", Restart, |value| Field::Interfaces(value, MAX_INTERFACES)
    }
    home_net: Vec<Prefix> = "home_net" {
        "home networks; traffic from them to other networks is outbound",
        "", default "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7 fe80::/10", Live,
        |value| Field::Networks(value, 16)
    }
    memory_kib: u32 = "memory_kib" {
        "memory of the analysis tables of all workers together, allocated once at start; by default tiny on a device of 64 MiB or less",
        "KiB", default "2048", Restart, |value| Field::Memory(value, 256..=262_144)
    }
    ring_kib: u32 = "ring_kib" {
        "capture ring in the kernel, for each interface and worker; by default at most half of the memory of the tables",
        "KiB", default "1024", Restart, |value| Field::Number(value, 64..=65_536)
    }
    snap_bytes: u32 = "snap_bytes" {
        "bytes of each frame that are analysed; longer frames are cut and counted",
        "bytes", default "1600", Restart, |value| Field::Number(value, 96..=65_535)
    }
    kernel_snap: KernelSnap = "kernel_snap" {
        "content: the kernel cuts bulk traffic to its headers; handshakes, requests, names and leases stay whole",
        "", default "content", Restart, |value| Field::Choice(value)
    }
    filter: String = "filter" {
        "only frames that match are analysed, in tcpdump's language; empty matches all; other frames are counted",
        "", default "", Live, |value| Field::Expression(value, 1_024)
    }
    workers: u32 = "workers" {
        "analysis threads; frames are distributed by source address",
        "threads", default "1", Restart, |value| Field::Number(value, 1..=MAX_WORKERS)
    }
    max_packets: u32 = "max_packets" {
        "newest frames kept in memory for 'sentinel ctl packets', 256 bytes of each; 0 keeps none",
        "frames", default "0", Restart, |value| Field::Number(value, 0..=65_536)
    }
    flow_entries: u32 = "flow_entries" {
        "flows that --flows tracks at a time, 168 bytes each; past that, those idle longest are printed early",
        "flows", default "32768", Restart, |value| Field::Number(value, 64..=1_048_576)
    }
    block_timeout: Duration = "block_timeout_ms" {
        "longest time that a frame waits in the ring; a shorter one gives alerts sooner, a longer one fewer wake-ups",
        "ms", default "2", Restart, |value| Field::Millis(value, 1..=1_000)
    }
    promiscuous: bool = "promiscuous" {
        "promiscuous mode: also frames that are not addressed to the interface",
        "", default "on", Restart, |value| Field::Switch(value)
    }
    allow_overlap: bool = "allow_overlap" {
        "capture also on interfaces that see the same frames or routed packets, such as a bridge and its port, which then count twice",
        "", default "off", Restart, |value| Field::Switch(value)
    }
    incident_idle: Duration = "incident_idle_s" {
        "an incident without new evidence for this long is closed",
        "s", default "60", Live, |value| Field::Seconds(value, 1..=3_600)
    }
    incident_update: Duration = "incident_update_s" {
        "minimum time between two updates of one incident",
        "s", default "30", Live, |value| Field::Seconds(value, 1..=3_600)
    }
    incident_burst: u32 = "incident_burst" {
        "incidents of one kind that may open at once; the token bucket gets one more every two seconds; without a token, new sources share one incident",
        "incidents", default "32", Live, |value| Field::Number(value, 1..=1_000_000)
    }
    alert_daily_messages: u32 = "alert_daily_messages" {
        "alerts of one kind that the collector gets in 24 hours, half of them about private addresses; the log keeps the others; 0 is no limit",
        "alerts", default "60", Live, |value| Field::Number(value, 0..=1_000_000)
    }
    allow: Vec<AllowRule> = "allow" {
        "behaviour that is expected: findings for which all conditions of a rule hold open no incident, and are counted",
        "", default "", Live, |value| Field::AllowRules(value, MAX_ALLOW_RULES)
    }
    state_dir: PathBuf = "state_dir" {
        "directory on flash: keys, enrollment, sealed log",
        "", default "/var/lib/sentinel-appliance", Restart, |value| Field::Path(value, 255)
    }
    run_dir: PathBuf = "run_dir" {
        "directory on a RAM disk: status socket, open log segment; short, because the path of a socket has at most 107 bytes",
        "", default "/run/sentinel-appliance", Restart, |value| Field::Path(value, 80)
    }
    log_segment_kib: u32 = "log_segment_kib" {
        "segment size of the sealed log; a segment is kept in RAM until it is full, then written to flash in one piece",
        "KiB", default "64", Restart, |value| Field::Number(value, 16..=1_024)
    }
    log_segments: u32 = "log_segments" {
        "segments of the sealed log; the oldest is overwritten, and its records are counted",
        "segments", default "16", Restart, |value| Field::Number(value, 3..=1_024)
    }
    log_flush_severity: Severity = "log_flush_severity" {
        "alerts of this severity or above are written to flash immediately",
        "", default "critical", Live, |value| Field::Choice(value)
    }
    log_high_severity_flush_s: u32 = "log_high_severity_flush_s" {
        "alerts of high severity or above are written to flash within this time; 0 leaves them in RAM like all others",
        "s", default "10", Live, |value| Field::Number(value, 0..=3_600)
    }
    log_daily_kib: u32 = "log_daily_kib" {
        "limit of writes to flash in 24 hours; a quarter is for high severity or above, past it alerts stay in RAM; 0 is no limit",
        "KiB", default "1024", Live, |value| Field::Number(value, 0..=1_048_576)
    }
    log_evidence_key: EvidenceKey = "log_evidence_key" {
        "public key to which the log is sealed as evidence; only who has its private key reads delivered alerts; collector is the key of the collector, once enrolled",
        "", default "collector", Live, |value| Field::EvidenceKey(value)
    }
    log_delivered_readable: bool = "log_delivered_readable" {
        "keep the key to delivered alerts on the device, so that they can be read here, also by whoever steals it",
        "", default "off", Live, |value| Field::Switch(value)
    }
    log_rotate_hours: u32 = "log_rotate_hours" {
        "a segment on flash whose alerts are all delivered is closed at this age, so that its key can be deleted",
        "hours", default "24", Live, |value| Field::Number(value, 1..=720)
    }
    uplink_enabled: bool = "uplink_enabled" {
        "send alerts to the collector, once enrolled",
        "", default "on", Live, |value| Field::Switch(value)
    }
    collector_address: Vec<String> = "collector_address" {
        "addresses of the collector instead of that of the enrollment, tried one after the other; its key stays the same",
        "", default "", Live, |value| Field::Addresses(value, 4)
    }
    collector_port: u32 = "collector_port" {
        "port of the collector for addresses without one; 0 is the port of the enrollment",
        "port", default "0", Live, |value| Field::Number(value, 0..=65_535)
    }
    uplink_cipher: Cipher = "uplink_cipher" {
        "cipher of the uplink; chachapoly is faster on a CPU without AES instructions; the collector accepts both",
        "", default "aesgcm", Live, |value| Field::Choice(value)
    }
    uplink_telemetry: Duration = "uplink_telemetry_s" {
        "time between two looks at the counters; the collector gets them if losses, alerts or the frame rate have changed, else once in 240 s",
        "s", default "30", Live, |value| Field::Seconds(value, 5..=3_600)
    }
    suspicious_ports_file: Option<PathBuf> = "suspicious_ports_file" {
        "JSON list of suspicious ports; empty is the built-in list",
        "", default "", Live, |value| Field::OptionalPath(value, 255)
    }
    signatures_file: Option<PathBuf> = "signatures_file" {
        "JSON lists of names and addresses; empty is the built-in file",
        "", default "", Live, |value| Field::OptionalPath(value, 255)
    }
    indicators_file: Option<PathBuf> = "indicators_file" {
        "compiled list of malicious addresses, names, URLs and fingerprints ('sentinel-learn indicators'); empty is none",
        "", default "", Live, |value| Field::OptionalPath(value, 255)
    }
    user: String = "user" {
        "user that the sensor becomes once its rings are open, if it is started as root; empty stays root",
        "", default "sentinel-appliance", Restart, |value| Field::User(value, 64)
    }
    sandbox: Sandbox = "sandbox" {
        "system calls that the sensor does not need: on: one ends the program, which says its number; strict: the kernel kills it; fail: it fails; off: all calls, and all paths, are allowed",
        "", default "on", Restart, |value| Field::Choice(value)
    }
    console_device: Option<PathBuf> = "console_device" {
        "serial device for alerts and, at Enter, the status, such as /dev/ttyS0; no getty may be on it; empty is none",
        "", default "", Restart, |value| Field::OptionalPath(value, 255)
    }
    console_speed: u32 = "console_speed" {
        "speed of the serial device",
        "bits/s", default "115200", Restart, |value| Field::Number(value, 300..=4_000_000)
    }
    console_severity: Severity = "console_severity" {
        "alerts of this severity or above are printed on the serial device",
        "", default "medium", Live, |value| Field::Choice(value)
    }
    console_line_rate: u32 = "console_line_rate" {
        "alerts printed on the serial device in a second; further ones are counted there",
        "lines/s", default "5", Live, |value| Field::Number(value, 0..=100)
    }
    log_level: LogLevel = "log_level" {
        "lowest level of messages that are printed",
        "", default "info", Live, |value| Field::Choice(value)
    }
}

/// Way in which a changed setting takes effect.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Change {
    /// At a reload.
    Live,
    /// At the next start of the program.
    Restart,
}

/// Setting of the section `main`.
struct Main {
    name: &'static str,
    unit: &'static str,
    /// Text as in a file; elements of a list are separated by spaces.
    default: &'static str,
    change: Change,
    help: &'static str,
    field: fn(&mut Settings) -> Field<'_>,
}

/// Setting of any section.
#[derive(Clone, Copy)]
pub(super) struct Setting {
    pub(super) section: Section,
    pub(super) name: &'static str,
    /// Empty if there is none.
    pub(super) unit: &'static str,
    pub(super) change: Change,
    pub(super) help: &'static str,
    place: Place,
}

/// Section of the file: its type and name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Section {
    /// `config sentinel 'main'`
    Main,
    /// `config detector 'NAME'`
    Detector(&'static str),
}

/// Place of a value in [`Settings`].
#[derive(Clone, Copy)]
enum Place {
    Main(fn(&mut Settings) -> Field<'_>),
    Enabled(usize),
    Severity(usize),
    Threshold(usize, usize),
    Ports(usize),
}

impl Section {
    /// Type of the main section.
    pub(super) const SENTINEL: &'static str = "sentinel";
    /// Type of the sections of detectors.
    pub(super) const DETECTOR: &'static str = "detector";

    /// `memory_kib`, `port_scan.ports`: what `--set` takes for the setting `name` of this section.
    pub(super) fn key(self, name: &str) -> String {
        match self {
            Self::Main => name.into(),
            Self::Detector(section) => format!("{section}.{name}"),
        }
    }

    /// Word after `config`.
    pub(super) const fn kind(self) -> &'static str {
        match self {
            Self::Main => Self::SENTINEL,
            Self::Detector(_) => Self::DETECTOR,
        }
    }

    /// Word after the type.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Detector(name) => name,
        }
    }
}

impl Setting {
    /// `memory_kib`, `port_scan.ports`: what `--set` takes.
    pub(super) fn key(&self) -> String {
        self.section.key(self.name)
    }

    /// `SENTINEL_MEMORY_KIB`, `SENTINEL_PORT_SCAN_PORTS`. Settings about the collector have `SENTINEL_UPLINK_` first: without it
    /// the variables would be those of the collector program.
    pub(super) fn variable(&self) -> String {
        let key = self.key();
        if key.starts_with("collector_") {
            renamed::variable(&format!("uplink_{key}"))
        } else {
            renamed::variable(&key)
        }
    }

    /// Sets the default in `settings`.
    pub(super) fn reset(&self, settings: &mut Settings) {
        let texts = self.field(&mut Settings::default()).texts();
        let words: Vec<&str> = texts.iter().map(String::as_str).collect();
        let outcome = self.field(settings).set(&words);
        debug_assert_eq!(outcome, Ok(()), "default of {}", self.name);
    }

    /// Value in `settings`, with its type and range.
    #[expect(clippy::indexing_slicing, reason = "`all` counts the indices over DETECTORS itself")]
    pub(super) fn field<'s>(&self, settings: &'s mut Settings) -> Field<'s> {
        match self.place {
            Place::Main(field) => field(settings),
            Place::Enabled(at) => Field::Switch(&mut settings.detectors[at].enabled),
            Place::Severity(at) => Field::Choice(&mut settings.detectors[at].severity),
            Place::Threshold(at, index) => {
                let threshold = &DETECTORS[at].thresholds[index];
                Field::Number(&mut settings.detectors[at].thresholds[index], threshold.min..=threshold.max)
            }
            Place::Ports(at) => Field::Ports(&mut settings.detectors[at].ports),
        }
    }
}

/// All settings, section by section.
pub(super) fn all() -> Vec<Setting> {
    let mut settings: Vec<Setting> = MAIN
        .iter()
        .map(|&Main { name, unit, change, help, field, .. }| Setting {
            section: Section::Main,
            name,
            unit,
            change,
            help,
            place: Place::Main(field),
        })
        .collect();
    for (at, detector) in DETECTORS.iter().enumerate() {
        let section = Section::Detector(detector.kind.name());
        let mut declare = |name, unit, help, place| {
            settings.push(Setting { section, name, unit, change: Change::Live, help, place });
        };
        declare("enabled", "", "whether the detector runs", Place::Enabled(at));
        declare("severity", "", "severity of its alerts", Place::Severity(at));
        for (index, threshold) in detector.thresholds.iter().enumerate() {
            declare(threshold.name, threshold.unit, threshold.help, Place::Threshold(at, index));
        }
        if let Some(ports) = &detector.ports {
            declare(ports.name, "", ports.help, Place::Ports(at));
        }
    }
    settings
}

/// Default of every setting.
impl Default for Settings {
    fn default() -> Self {
        let mut settings = Self::blank();
        for main in MAIN {
            let words: Vec<&str> = main.default.split(' ').collect();
            let outcome = (main.field)(&mut settings).set(&words);
            debug_assert_eq!(outcome, Ok(()), "default of {}", main.name);
        }
        settings
    }
}

/// Memory up to which a device takes the profile `tiny` by itself, KiB: 64 MiB, of which the kernel does not report its own part.
const SMALL_DEVICE_KIB: c_ulong = 64 * 1024;

impl Settings {
    /// Sets the default of `memory_kib` on a device with `total_kib` of memory.
    pub(super) fn default_memory(&mut self, total_kib: c_ulong) {
        if let [(_, tiny), ..] = PROFILES
            && total_kib <= SMALL_DEVICE_KIB
        {
            self.memory_kib = tiny;
        }
    }

    /// Sets the default of `ring_kib`: a sensor with little memory for its tables has little for rings.
    pub(super) fn default_ring_size(&mut self) {
        // Within the range of the setting, and a power of two.
        let half = 1 << (self.memory_kib / 2).max(64).ilog2();
        self.ring_kib = self.ring_kib.min(half);
    }

    /// Takes over the settings that take effect at a reload; all others keep their value until the next start.
    pub(crate) fn take_live(&mut self, mut new: Self) {
        for setting in all().iter().filter(|setting| setting.change == Change::Live) {
            let texts = setting.field(&mut new).texts();
            let words: Vec<&str> = texts.iter().map(String::as_str).collect();
            let outcome = setting.field(self).set(&words);
            debug_assert_eq!(outcome, Ok(()), "text of {}", setting.name);
        }
    }
}

/// Names of the settings that differ and take effect at the next start only.
pub(crate) fn restart_needed(old: &Settings, new: &Settings) -> Vec<&'static str> {
    let (mut old, mut new) = (old.clone(), new.clone());
    all()
        .into_iter()
        .filter(|setting| setting.change == Change::Restart)
        .filter(|setting| setting.field(&mut old).texts() != setting.field(&mut new).texts())
        .map(|setting| setting.name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_the_documented_ones() {
        let settings = Settings::default();
        assert_eq!(settings.interface, ["br-lan"]);
        assert_eq!(settings.home_net.len(), 5);
        assert_eq!((settings.memory_kib, settings.ring_kib, settings.snap_bytes), (2_048, 1_024, 1_600));
        assert_eq!(settings.block_timeout, Duration::from_millis(2));
        assert_eq!(settings.incident_idle, Duration::from_secs(60));
        assert_eq!(settings.suspicious_ports_file, None);
        assert!(settings.promiscuous && settings.uplink_enabled);
        assert_eq!(settings.log_flush_severity, Severity::Critical);
        assert_eq!(settings.detectors[0].thresholds[0], 15);
    }

    #[test]
    fn a_default_reads_back_as_it_is_shown() {
        let mut settings = Settings::default();
        for setting in all() {
            let mut field = setting.field(&mut settings);
            let texts = field.texts();
            let words: Vec<&str> = texts.iter().map(String::as_str).collect();
            assert_eq!(field.set(&words), Ok(()), "{}", setting.key());
            assert_eq!(field.texts(), texts);
        }
        assert_eq!(settings, Settings::default());
    }

    #[test]
    fn no_two_settings_share_a_variable() {
        let mut variables: Vec<String> = all().iter().map(Setting::variable).collect();
        variables.sort();
        let count = variables.len();
        variables.dedup();
        assert_eq!(variables.len(), count);
    }

    #[test]
    fn names_carry_their_unit() {
        for setting in all() {
            for (suffix, unit) in [("_kib", "KiB"), ("_s", "s"), ("_ms", "ms"), ("bytes", "bytes")] {
                if setting.name.ends_with(suffix) {
                    assert_eq!(setting.unit, unit, "{}", setting.key());
                }
            }
            let mut settings = Settings::default();
            match setting.field(&mut settings) {
                Field::Seconds(..) => assert_eq!(setting.unit, "s"),
                Field::Millis(..) => assert_eq!(setting.unit, "ms"),
                Field::Number(..) | Field::Memory(..) => assert_ne!(setting.unit, "", "{}", setting.key()),
                _ => assert_eq!(setting.unit, "", "{}", setting.key()),
            }
        }
    }

    #[test]
    fn only_settings_that_cannot_change_live_need_a_restart() {
        let old = Settings::default();
        assert!(restart_needed(&old, &old).is_empty());
        let mut new = old.clone();
        new.log_level = LogLevel::Debug;
        new.detectors[0].enabled = false;
        assert!(restart_needed(&old, &new).is_empty());
        new.ring_kib = 2_048;
        new.interface.push("eth1".into());
        new.suspicious_ports_file = Some("/mnt/it's a list".into());
        assert_eq!(restart_needed(&old, &new), ["interface", "ring_kib"]);
        let mut running = old.clone();
        running.take_live(new.clone());
        assert_eq!(restart_needed(&old, &running), [""; 0]);
        let expected = Settings { interface: old.interface, ring_kib: old.ring_kib, ..new };
        assert_eq!(running, expected);
        running.take_live(Settings::default());
        assert_eq!(running, Settings::default());
    }
}
