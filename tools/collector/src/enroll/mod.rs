//! Making sensors known and shutting them out: what an operator does at the terminal.
//!
//! Works on the same file as a running collector, which need not be told: it looks tokens and keys up
//! when somebody comes with them, and looks for revocations every second.

use std::fmt::Write as _;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context as _, bail};
use sentinel_units::Timestamp;
use sentinel_uplink::{KeyPair, Token};

use crate::clock;
use crate::store::key::{hex, read_private, unhex, write_private};
use crate::store::{Files, Sensor, StoreError, StoredToken, sensors};

/// The static key of this collector, made at the first call.
///
/// # Errors
/// A key file that others can read, that holds no key, or that cannot be written.
pub fn identity(files: &Files) -> anyhow::Result<KeyPair> {
    let path = files.identity();
    if !path.exists() {
        let pair = KeyPair::generate()?;
        match write_private(&path, format!("{}\n", hex(pair.secret_bytes().as_slice())).as_bytes()) {
            Ok(()) => return Ok(pair),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {} // another process was faster
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

/// Makes a token good for one sensor.
///
/// # Errors
/// A name that is taken or not allowed, an address that is none, or a store that cannot be written.
pub fn token(files: &Files, name: &str, address: &str, expires: Duration) -> anyhow::Result<Token> {
    if !is_name(name) && !name.is_empty() {
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

/// Whether a sensor may be called so: names stand in shell commands, addresses of pages and labels.
#[must_use]
pub fn is_name(text: &str) -> bool {
    (1..=48).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// The name that a sensor asks for, made into one that is allowed; empty if nothing is left of it.
#[must_use]
pub fn sanitize_name(asked: &str) -> String {
    let tame = |char: char| if char.is_ascii_alphanumeric() || "._-".contains(char) { char } else { '-' };
    asked.trim().chars().take(48).map(tame).collect()
}

/// The address of this machine that other machines most likely reach, with the port of `listen`.
///
/// Asks the routing table only: connecting a UDP socket sends nothing.
#[must_use]
pub fn likely_address(listen: SocketAddr) -> String {
    if !listen.ip().is_unspecified() {
        return listen.to_string();
    }
    let local = || -> std::io::Result<SocketAddr> {
        let socket = UdpSocket::bind(("0.0.0.0", 0))?;
        socket.connect(("192.0.2.1", 9))?; // TEST-NET-1 (RFC 5737): stands for "somewhere else"
        socket.local_addr()
    };
    let ip = local().map_or_else(|_| std::net::Ipv4Addr::LOCALHOST.into(), |address| address.ip());
    SocketAddr::new(ip, listen.port()).to_string()
}

/// Shuts a sensor out; a running collector ends its session within a second.
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
        bail!("{} was revoked before", sensor.name);
    }
    Ok(sensor)
}

/// Every sensor as a table, or as JSON as the API gives it (without what only a running collector knows).
///
/// # Errors
/// A store that cannot be read.
pub fn list(files: &Files, as_json: bool) -> Result<String, StoreError> {
    let all = sensors::all(&files.open_reader()?)?;
    if as_json {
        let row = |sensor| {
            let mut row = crate::api::sensor_row(sensor, None);
            if let Some(shown) = row.get_mut("state") {
                *shown = state(sensor).into();
            }
            row
        };
        let rows: Vec<_> = all.iter().map(row).collect();
        return Ok(format!("{}\n", serde_json::json!({ "sensors": rows })));
    }
    Ok(table(&all, clock::now()))
}

/// What the file knows. Who is connected only the running collector knows.
const fn state(sensor: &Sensor) -> &'static str {
    match (sensor.revoked_at, sensor.last_seen_at) {
        (Some(_), _) => "revoked",
        (None, Some(_)) => "seen",
        (None, None) => "enrolled",
    }
}

fn table(all: &[Sensor], now: Timestamp) -> String {
    let mut text = format!(
        "{:>4}  {:<24} {:<9} {:>10} {:>10} {:>8} {:>8} {:>8}\n",
        "ID", "NAME", "STATE", "LAST SEEN", "STORED", "AGAIN", "LOST", "MISSING"
    );
    for sensor in all {
        let state = state(sensor);
        let seen = sensor.last_seen_at.map_or_else(|| "never".into(), |at| ago(now.since(at)));
        let _ = writeln!(
            text,
            "{:>4}  {:<24} {state:<9} {seen:>10} {:>10} {:>8} {:>8} {:>8}",
            sensor.id.0, sensor.name, sensor.stored, sensor.duplicates, sensor.lost, sensor.missing
        );
    }
    if all.is_empty() {
        text.push_str("no sensor is enrolled; make a token with sentinel-collector enroll\n");
    }
    text
}

/// A span in its largest unit: `42 s ago`.
#[must_use]
pub fn ago(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..120 => format!("{seconds} s ago"),
        120..7_200 => format!("{} min ago", seconds / 60),
        7_200..172_800 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}
