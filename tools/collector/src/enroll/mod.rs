//! Parts that the operator's commands need beside the use cases of `service`: the identity of the collector, its likely
//! address, and the listing of the sensors.

mod key_files;
mod key_ring;

use std::fmt::Write as _;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use sentinel_units::Timestamp;
use sentinel_uplink::KeyPair;

use crate::api::render;
use crate::clock;
use crate::log::printable;
use crate::model::{CollectorKeyTimes, CopiedKey, CopySign, HeadText, RunEnds, Sensor, SensorStatus};
use crate::store::{Files, collector_keys};
use crate::time_text::ago;

pub use key_files::KeyFiles;
pub use key_ring::KeyRing;

/// Static key pair of this collector, made at the first call.
///
/// # Errors
/// Errors of [`KeyFiles::load`].
pub fn identity(files: &Files) -> anyhow::Result<KeyPair> {
    Ok(KeyFiles::load(files)?.current)
}

/// Makes the next key of this collector, and lets a running collector announce it. With one that is announced already nothing
/// changes.
///
/// # Errors
/// Errors of the files and of the store.
pub fn rotate_key(files: &Files, overlap: Duration, keep: Duration) -> anyhow::Result<()> {
    let key = KeyFiles::load(files)?.make_next(files)?;
    let now = clock::now();
    // The file first: an announced key exists.
    let times = CollectorKeyTimes {
        key,
        announced_at: Some(now),
        switch_at: Some(now.after(overlap)),
        keep,
        in_force_at: None,
        served_until: None,
    };
    Ok(collector_keys::announce(&files.open_writer()?, &times)?)
}

/// The keys of this collector with their times, and the sensors that have not stored the next one.
///
/// # Errors
/// Errors of the files and of the store.
pub fn key_status(files: &Files) -> anyhow::Result<String> {
    let (keys, connection, now) = (KeyFiles::load(files)?, files.open_reader()?, clock::now());
    let plan = collector_keys::plan(&connection)?;
    let times = |key| plan.keys.iter().find(|times| times.key == key);
    let mut text = String::new();
    let current = keys.current.public();
    let since = times(current).and_then(|times| times.in_force_at);
    let since = since.map_or_else(|| "from the beginning".into(), |at| format!("since {}", at.rfc3339()));
    let _ = writeln!(text, "in force  {current}  {since}");
    if let Some(next) = keys.next.as_ref().map(KeyPair::public) {
        let switch = times(next).and_then(|times| times.switch_at);
        let switch = switch
            .map_or_else(|| "not announced".into(), |at| format!("in force {} at the latest", at.rfc3339()));
        let _ = writeln!(text, "next      {next}  {switch}");
        for sensor in collector_keys::unconfirmed(&connection, next)? {
            let seen = sensor.last_seen_at.map_or_else(|| "never".into(), |at| ago(now.since(at)));
            let _ = writeln!(text, "          not stored by {}, last seen {seen}", sensor.name);
        }
    }
    for key in keys.replaced.iter().map(KeyPair::public) {
        let until = times(key).and_then(|times| times.served_until);
        let until = match until {
            Some(until) if now < until => {
                format!("sensors that have only this one are served until {}", until.rfc3339())
            }
            _ => "kept to open logs that were sealed to it".into(),
        };
        let _ = writeln!(text, "replaced  {key}  {until}");
    }
    Ok(text)
}

/// `listen`, with the source address of the default route in place of an unspecified one; loopback without a route.
///
/// Reads the routing table only: connecting a UDP socket sends nothing.
#[must_use]
pub fn likely_address(listen: SocketAddr) -> String {
    if !listen.ip().is_unspecified() {
        return listen.to_string();
    }
    let local = || -> std::io::Result<SocketAddr> {
        let socket = UdpSocket::bind(("0.0.0.0", 0))?;
        socket.connect(("192.0.2.1", 9))?; // TEST-NET-1 (RFC 5737): any address of another network
        socket.local_addr()
    };
    let ip = local().map_or_else(|_| std::net::Ipv4Addr::LOCALHOST.into(), |address| address.ip());
    SocketAddr::new(ip, listen.port()).to_string()
}

/// The sensors as a table, or as JSON as the API gives them.
#[must_use]
pub fn listing(statuses: &[SensorStatus], as_json: bool) -> String {
    if as_json { format!("{}\n", render::sensors(statuses)) } else { table(statuses, clock::now()) }
}

fn table(statuses: &[SensorStatus], now: Timestamp) -> String {
    let mut text = format!(
        "{:>4}  {:<24} {:<15} {:>10} {:>10} {:>9} {:>8} {:>8} {:>8} {:>8}  LIMITS\n",
        "ID", "NAME", "STATE", "LAST SEEN", "STORED", "DUPLICATE", "LOST", "MISSING", "UNCLEAN", "KIB"
    );
    for SensorStatus { sensor, state, .. } in statuses {
        let seen = sensor.last_seen_at.map_or_else(|| "never".into(), |at| ago(now.since(at)));
        let _ = writeln!(
            text,
            "{:>4}  {:<24} {:<15} {seen:>10} {:>10} {:>9} {:>8} {:>8} {:>8} {:>8}  {}",
            sensor.id.0,
            sensor.name,
            state.name(),
            sensor.stored,
            sensor.duplicates,
            sensor.lost,
            sensor.missing,
            sensor.run_ends.unclean(),
            sensor.stored_bytes / 1_024,
            limits(sensor)
        );
        if let RunEnds::Unclean { boot, from, .. } = sensor.run_ends {
            let _ =
                writeln!(text, "      run {boot} has no known end: alerts from number {from} on are unknown");
        }
        if let Some(copy) = &sensor.copy {
            let what =
                CopySign::ALL.iter().find(|sign| sign.name() == copy.sign).map_or("", |sign| sign.describe());
            let _ = writeln!(
                text,
                "      KEY COPIED: {what} ({}), {} signs, the last {}; {}",
                printable(&copy.detail),
                copy.signs,
                ago(now.since(copy.at)),
                CopiedKey::REMEDY
            );
        }
        if let Some(missing) = sensor.missing_since_restore().filter(|missing| *missing > 0) {
            let _ =
                writeln!(text, "      {missing} alerts missing since restore: acknowledged after the backup");
        }
        if let Some(known) = &sensor.acknowledged {
            let _ = writeln!(
                text,
                "      {} unclean runs acknowledged, the last {} by {}",
                known.runs,
                ago(now.since(known.at)),
                printable(&known.by)
            );
        }
        if let Some((before, at)) = sensor.log_head.as_ref().and_then(|log| log.contradicted.as_ref()) {
            let _ = writeln!(
                text,
                "      log rolled back or rewritten {}; check it with sentinel log verify --head {}",
                ago(now.since(*at)),
                HeadText(before)
            );
        }
    }
    if statuses.is_empty() {
        text.push_str("no sensor is enrolled; make a token with sentinel-collector enroll\n");
    }
    text
}

/// Number of times that the sensor met one of its limits, and the last one.
fn limits(sensor: &Sensor) -> String {
    match &sensor.last_limit {
        Some(last) => format!("{} (last {last})", sensor.limit_hits),
        None => "-".into(),
    }
}
