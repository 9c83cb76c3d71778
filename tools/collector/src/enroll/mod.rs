//! Parts that the operator's commands need beside the use cases of `service`: the identity of the collector, its likely
//! address, and the listing of the sensors.

use std::fmt::Write as _;
use std::net::{SocketAddr, UdpSocket};

use anyhow::{Context as _, bail};
use sentinel_units::Timestamp;
use sentinel_uplink::KeyPair;

use crate::api::render;
use crate::clock;
use crate::model::{HeadText, RunEnds, Sensor, SensorStatus};
use crate::store::Files;
use crate::store::key::{hex, read_private, unhex, write_private};
use crate::time_text::ago;

/// Static key pair of this collector, made at the first call.
///
/// # Errors
/// A key file that others can read, that holds no key, or that cannot be written.
pub fn identity(files: &Files) -> anyhow::Result<KeyPair> {
    let path = files.identity();
    if !path.exists() {
        let pair = KeyPair::generate()?;
        match write_private(&path, format!("{}\n", hex(pair.secret_bytes().as_slice())).as_bytes()) {
            Ok(()) => return Ok(pair),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {} // another process made it meanwhile
            Err(error) => return Err(error).with_context(|| format!("cannot write {}", path.display())),
        }
    }
    let text = read_private(&path)?;
    let secret = unhex(text.trim()).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    let Some(secret) = secret else {
        bail!("{} does not hold a key of 64 hexadecimal digits", path.display());
    };
    Ok(KeyPair::from_bytes(&secret))
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
        "{:>4}  {:<24} {:<9} {:>10} {:>10} {:>9} {:>8} {:>8} {:>8} {:>8}  LIMITS\n",
        "ID", "NAME", "STATE", "LAST SEEN", "STORED", "DUPLICATE", "LOST", "MISSING", "UNCLEAN", "KIB"
    );
    for SensorStatus { sensor, state, .. } in statuses {
        let seen = sensor.last_seen_at.map_or_else(|| "never".into(), |at| ago(now.since(at)));
        let _ = writeln!(
            text,
            "{:>4}  {:<24} {:<9} {seen:>10} {:>10} {:>9} {:>8} {:>8} {:>8} {:>8}  {}",
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
