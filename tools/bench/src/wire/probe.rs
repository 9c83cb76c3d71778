//! Latency probe: sends packets that raise one alert each, and measures the time until the alert arrives.

use std::net::Ipv4Addr;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use sentinel_alert::{Alert, Phase};
use sentinel_trafficgen::packet::{Family, Options, Path, Tcp};
use sentinel_trafficgen::{Host, Random, Topology};
use sentinel_units::Address;
use serde_json::json;

use super::listener::{Event, Listener};
use super::send;
use crate::output;

/// Port of the built-in list of suspicious ports.
const LISTED_PORT: u16 = 4_444;
/// Timeout of the sensor's connection, and of each alert.
const WAIT_TIMEOUT: Duration = Duration::from_secs(20);
/// Shortest pause between two packets. Pauses vary, so that packets are not in phase with the sensor's periodic work.
const MIN_PAUSE: Duration = Duration::from_millis(20);
const PAUSE_SPREAD_US: u64 = 20_000;

/// Prints a token. When a sensor that enrolled with it is connected, sends `rounds` packets on `interface` and prints the
/// nanoseconds from each packet to its alert, as JSON.
pub(crate) fn probe(interface: &str, rounds: u32) -> Result<()> {
    let listener = Listener::new()?;
    output::line(&listener.token);
    let (sender, events) = channel();
    let _detached = thread::spawn(move || {
        if let Err(error) = listener.serve(&sender) {
            eprintln!("bench: listening: {error:#}");
        }
    });
    loop {
        if let Event::Connected = events.recv_timeout(WAIT_TIMEOUT).context("no sensor has connected")? {
            break;
        }
    }
    let socket = send::open(interface)?;
    let mut random = Random::new(1);
    let mut took_ns = Vec::new();
    for round in 0..rounds {
        thread::sleep(MIN_PAUSE + Duration::from_micros(random.within(0..PAUSE_SPREAD_US)));
        let [.., high, low] = (round + 1).to_be_bytes();
        let client = Ipv4Addr::new(10, 21, high, low);
        let frame = request(client, &mut random);
        let sent = Instant::now();
        send::send_all(&socket, &[frame])?;
        let arrived = wait_for(&events, client).with_context(|| format!("alert of round {round}"))?;
        took_ns.push(u64::try_from(arrived.saturating_duration_since(sent).as_nanos())?);
    }
    output::line(json!({"took_ns": took_ns}));
    Ok(())
}

/// SYN to the listed port from a new client.
fn request(client: Ipv4Addr, random: &mut Random) -> Vec<u8> {
    let path = Path::between(&Host::internal(client), &Topology::default().outside, Family::V4);
    let syn = Tcp::syn(random.ephemeral_port(), LISTED_PORT, random.word());
    path.tcp(&Tcp { options: Options::SegmentSize(1_460), ..syn }, &[])
}

/// Arrival time of the opening alert of `client`; other alerts are ignored.
fn wait_for(events: &Receiver<Event>, client: Ipv4Addr) -> Result<Instant> {
    let source = Some(Address::v4(client.to_bits()));
    let deadline = Instant::now() + WAIT_TIMEOUT;
    loop {
        match events.recv_timeout(deadline.saturating_duration_since(Instant::now()))? {
            Event::Alert(at, alert) if is_opening(&alert) && alert.subject.source == source => return Ok(at),
            Event::Alert(..) => {}
            Event::Connected => bail!("the sensor has reconnected"),
        }
    }
}

fn is_opening(alert: &Alert) -> bool {
    alert.phase == Phase::Open
}
