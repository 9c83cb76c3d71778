//! Commands of the operator: enroll, list and revoke sensors.
//!
//! They write into the store beside a running collector, which needs no message: it looks tokens and keys up for
//! every connection, and looks for revocations every second.

use std::fmt::Write as _;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context as _, bail};
use sentinel_units::Timestamp;
use sentinel_uplink::{KeyPair, Token};

use crate::api::render;
use crate::clock;
use crate::model::{HeadText, RunEnds, Sensor, SensorStatus, StoredToken, is_valid_name};
use crate::store::key::{hex, read_private, unhex, write_private};
use crate::store::{Files, StoreError, sensors};
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

/// Makes and stores a token for one sensor; an empty `name` lets the sensor choose.
///
/// # Errors
/// A name that is taken or not allowed, an address that is none, or a store that cannot be written.
pub fn token(files: &Files, name: &str, address: &str, expires: Duration) -> anyhow::Result<Token> {
    if !is_valid_name(name) && !name.is_empty() {
        bail!("the name {name:?} is not allowed: 1 to 48 letters, digits and . _ - only");
    }
    let pair = identity(files)?;
    let token = Token::generate(address, pair.public()).with_context(|| format!("address {address:?}"))?;
    let now = clock::now();
    let kept = StoredToken {
        id: token.id(),
        secret: token.secret().clone(),
        name: name.into(),
        expires_at: now.after(expires),
        used_at: None,
    };
    sensors::add_token(&mut files.open_writer()?, &kept, now)?;
    Ok(token)
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

/// Revokes a sensor; a running collector ends its session within a second.
///
/// # Errors
/// No sensor of this name, number or key; a store that cannot be written.
pub fn revoke(files: &Files, text: &str) -> anyhow::Result<Sensor> {
    let connection = files.open_writer()?;
    let Some(sensor) = sensors::find(&connection, text)? else {
        let known = sensors::all(&connection)?;
        let names: Vec<&str> = known.iter().map(|sensor| sensor.name.as_str()).collect();
        if names.is_empty() {
            bail!("there is no sensor {text:?}; none is enrolled");
        }
        bail!("there is no sensor {text:?}; there are {}", names.join(", "));
    };
    if !sensors::revoke(&connection, sensor.id, clock::now())? {
        bail!("{} is revoked already", sensor.name);
    }
    Ok(sensor)
}

/// Every sensor as a table, or as JSON as the API gives it (without the figures that only a running collector has).
///
/// # Errors
/// A store that cannot be read.
pub fn list(files: &Files, as_json: bool) -> Result<String, StoreError> {
    let sensors = sensors::all(&files.open_reader()?)?;
    let statuses: Vec<SensorStatus> = sensors.into_iter().map(SensorStatus::of_store).collect();
    if as_json {
        return Ok(format!("{}\n", render::sensors(&statuses)));
    }
    Ok(table(&statuses, clock::now()))
}

fn table(statuses: &[SensorStatus], now: Timestamp) -> String {
    let mut text = format!(
        "{:>4}  {:<24} {:<9} {:>10} {:>10} {:>9} {:>8} {:>8} {:>8}\n",
        "ID", "NAME", "STATE", "LAST SEEN", "STORED", "DUPLICATE", "LOST", "MISSING", "UNCLEAN"
    );
    for SensorStatus { sensor, state, .. } in statuses {
        let seen = sensor.last_seen_at.map_or_else(|| "never".into(), |at| ago(now.since(at)));
        let _ = writeln!(
            text,
            "{:>4}  {:<24} {:<9} {seen:>10} {:>10} {:>9} {:>8} {:>8} {:>8}",
            sensor.id.0,
            sensor.name,
            state.name(),
            sensor.stored,
            sensor.duplicates,
            sensor.lost,
            sensor.missing,
            sensor.run_ends.unclean()
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
