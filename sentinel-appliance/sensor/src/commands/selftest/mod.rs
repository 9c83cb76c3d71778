//! `sentinel selftest`: built-in frames with known answers through the detectors, the packet lines, the filter and the
//! cryptography of this very program, on the machine that it runs on.
//!
//! The detectors have their default settings: the outcome says whether the program works here, not how it is configured. Memory
//! is that of `sentinel run` with the default `memory_kib`.

mod frame;
pub(crate) mod sandbox;
mod traces;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use sentinel_alert::Test;
use sentinel_capture::Frame;
use sentinel_detect::DETECTORS;
use sentinel_filter::SimpleFilter;
use sentinel_seal::digest::sha256;
use sentinel_seal::{Key, Opener, Recipient, RecipientSecret, Sealer};
use sentinel_track::hash::HashKey;
use sentinel_units::{LinkType, Timestamp};

use crate::commands::read::FILE_SEED;
use crate::packets::filter::PacketFilter;
use crate::packets::show::{Facts, line};
use crate::settings::lists::Lists;
use crate::settings::{Settings, signatures};
use crate::system::clock::Clock;
use crate::terminal::failure::Failure;
use crate::terminal::output::Output;
use crate::worker::analyser::{Analyser, LiveConfig};
use crate::worker::memory;
use frame::{ACK, SYN, dns_query, tcp, udp};
use traces::{TRACES, Trace};

/// Time between two steps of a trace: the longest, 5,000 steps, fits into the shortest window, 5 s.
const STEP: Duration = Duration::from_micros(500);
/// Time between two steps of a slow trace: contacts at regular times, a device that is watched for a while.
const PERIOD: Duration = Duration::from_secs(60);
/// Time between two steps of a trace of a week.
const HALF_HOUR: Duration = Duration::from_mins(30);
/// Time between two traces, after which every window and incident of the one before is over.
const GAP: Duration = Duration::from_secs(86_400);

const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// Runs every check and prints a line for each, and how many passed.
///
/// # Errors
/// A check failed; or the list of suspicious ports cannot be read.
pub(crate) fn selftest() -> Result<(), Failure> {
    let clock = Clock::start();
    let mut report = Report { output: Output::new(), checks: 0, passed: 0 };
    detectors(&mut report)?;
    report.check("packet line of DNS", reads_dns())?;
    report.check("packet line of HTTP", reads_http())?;
    report.check("filter expression", filters())?;
    report.check("SHA-256", hashes())?;
    report.check("AES-256-GCM", seals())?;
    report.check("X25519", wraps())?;
    let Report { mut output, checks, passed } = report;
    output.line(|line| {
        use std::fmt::Write;
        write!(line, "{passed}/{checks} passed in {} ms", clock.elapsed().as_millis())
    })?;
    output.flush()?;
    if passed == checks {
        Ok(())
    } else {
        Err(Failure::new("this program does not work right on this machine"))
    }
}

/// Outcome so far.
struct Report {
    output: Output,
    checks: u32,
    passed: u32,
}

impl Report {
    /// Prints a check; `problem` says what is wrong.
    fn check(&mut self, name: &str, problem: Result<(), String>) -> Result<(), Failure> {
        self.checks += 1;
        self.passed += u32::from(problem.is_ok());
        let outcome = problem.err().unwrap_or_else(|| "ok".into());
        self.output.line(|line| {
            use std::fmt::Write;
            write!(line, "{name:<34} {outcome}")
        })
    }
}

/// Runs the traces one after the other through one engine, a day apart.
fn detectors(report: &mut Report) -> Result<(), Failure> {
    let settings = Settings::default();
    let mut lists = Lists::load(&settings, &settings)?;
    let room = memory::list_room(settings.memory_kib);
    lists.signatures = Arc::new(signatures::parse(traces::SIGNATURES, room).map_err(Failure::new)?);
    let live_config = LiveConfig::new(&settings, &[], lists);
    let mut analyser = Analyser::new(settings.memory_kib, HashKey::new(FILE_SEED), &live_config);
    let mut now = Timestamp::from_parts(1_700_000_000, 0);
    for trace in TRACES {
        now = now.after(GAP);
        analyser.tick(now, &mut |_| {});
        let (kind, test) = (trace.test.kind().name(), trace.test.name());
        let name = if kind == test { kind.to_owned() } else { [kind, " ", test].concat() };
        report.check(&name, run(trace, &mut analyser, &mut now))?;
    }
    Ok(())
}

/// Gives the steps of a trace up to the one at which the alert is due.
fn run(trace: &Trace, analyser: &mut Analyser, now: &mut Timestamp) -> Result<(), String> {
    let detector = DETECTORS.iter().find(|detector| detector.kind == trace.test.kind());
    let threshold =
        detector.and_then(|detector| detector.thresholds.first()).map_or(0, |first| first.default);
    let due = (trace.raised_at)(threshold);
    for step in 1..=due {
        let mut raised = false;
        (trace.step)(step, &mut |bytes| {
            analyser.frame(&ethernet(*now, bytes), &mut |alert| raised |= alert.test == trace.test);
        });
        *now = now.after(match trace.test {
            Test::Beacon | Test::NewDevice | Test::LargeTransfer => PERIOD,
            Test::DeviceOffline => HALF_HOUR,
            _ => STEP,
        });
        if raised != (step == due) {
            return Err(format!("alert at step {step} is {raised}, due at {due}"));
        }
    }
    Ok(())
}

fn reads_dns() -> Result<(), String> {
    let frame = udp((CLIENT, 50_000), (SERVER, 53), &dns_query("host.example"));
    line_is(&frame, "DNS 192.0.2.1 -> 192.0.2.2 50000 -> 53 host.example A")
}

fn reads_http() -> Result<(), String> {
    let frame =
        tcp((CLIENT, 50_000), (SERVER, 80), ACK, b"GET /status HTTP/1.1\r\nHost: host.example\r\n\r\n");
    line_is(&frame, "HTTP 192.0.2.1 -> 192.0.2.2 50000 -> 80 GET /status host.example")
}

/// Compares the line of a packet, behind its time.
fn line_is(bytes: &[u8], expected: &str) -> Result<(), String> {
    let mut line = String::new();
    let written = line::write(
        Timestamp::ZERO,
        &Facts::of(&ethernet(Timestamp::ZERO, bytes)),
        line::Style::default(),
        &mut line,
    );
    let found = line.split_once(" - ").map_or("", |(_time, text)| text);
    right(written.is_ok() && found == expected, || format!("'{found}', not '{expected}'"))
}

fn filters() -> Result<(), String> {
    let mut filter =
        PacketFilter::new("tcp[tcpflags] & tcp-syn != 0 and dst port 22".into(), SimpleFilter::default());
    for (destination_port, flags, expected) in [(22, SYN, true), (22, ACK, false), (23, SYN, false)] {
        let frame = tcp((CLIENT, 50_000), (SERVER, destination_port), flags, &[]);
        let passes =
            filter.passes(&ethernet(Timestamp::ZERO, &frame)).map_err(|failure| failure.to_string())?;
        right(passes == expected, || format!("port {destination_port}, flags {flags}: {passes}"))?;
    }
    Ok(())
}

/// Test vector of FIPS 180-4 (NIST's example of one block).
fn hashes() -> Result<(), String> {
    let [a, b, c, d, ..] = sha256(&[b"abc"]);
    right([a, b, c, d] == [0xba, 0x78, 0x16, 0xbf], || "another hash of 'abc'".into())
}

/// Sealed bytes open again, and not if a bit of them has changed.
fn seals() -> Result<(), String> {
    let key = Key::from_bytes([7; 32]);
    let mut text = *b"alert";
    let sealed = Sealer::new(&key).seal(b"head", &mut text).map_err(|error| error.to_string())?;
    let mut changed = text;
    changed[0] ^= 1;
    right(&text != b"alert" && Opener::new(&key).open(b"head", &mut changed, &sealed).is_err(), || {
        "a changed byte was not noticed".into()
    })?;
    let opened = Opener::new(&key).open(b"head", &mut text, &sealed);
    right(opened.is_ok() && &text == b"alert", || "sealed bytes do not open".into())
}

/// Public key of RFC 7748 section 6.1 (Alice), and a key that is wrapped and unwrapped.
fn wraps() -> Result<(), String> {
    let alice = [
        0x77, 0x07, 0x6d, 0x0a, 0x73, 0x18, 0xa5, 0x7d, 0x3c, 0x16, 0xc1, 0x72, 0x51, 0xb2, 0x66, 0x45, 0xdf,
        0x4c, 0x2f, 0x87, 0xeb, 0xc0, 0x99, 0x2a, 0xb1, 0x77, 0xfb, 0xa5, 0x1d, 0xb9, 0x2c, 0x2a,
    ];
    let secret = RecipientSecret::from_bytes(alice);
    let public = secret.public();
    right(public.starts_with(&[0x85, 0x20, 0xf0, 0x09]), || "another public key".into())?;
    let recipient = Recipient::new(public).map_err(|error| error.to_string())?;
    let wrapped = recipient.wrap(&Key::from_bytes([9; 32]), b"1", b"head");
    let unwrapped = secret.unwrap(&wrapped, b"head").map_err(|error| error.to_string())?;
    right(unwrapped.expose() == &[9; 32], || "another key unwrapped".into())
}

fn right(is_right: bool, problem: impl FnOnce() -> String) -> Result<(), String> {
    if is_right { Ok(()) } else { Err(problem()) }
}

fn ethernet(at: Timestamp, bytes: &[u8]) -> Frame<'_> {
    let wire_len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    Frame { at, wire_len, link: LinkType::ETHERNET, vlan: None, vlan_type: 0, interface: 0, bytes }
}
