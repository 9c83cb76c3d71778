//! `sentinel replay`: packets of a capture file to an interface, or to the terminal, with their timing.

use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use sentinel_capture::Frame;
use sentinel_capture::file::Reader;
use sentinel_capture::interfaces::Interface;
use sentinel_capture::send::{MAX_BATCH, Sender};
use sentinel_filter::Target;
use sentinel_units::{LinkType, Rate, Timestamp};

use crate::packets::filter::PacketFilter;
use crate::packets::input::{self, PacketInput};
use crate::packets::options::PacketOptions;
use crate::packets::pipeline::{PacketPipeline, say};
use crate::packets::show::statistics::seconds;
use crate::settings::Settings;
use crate::system::clock::Clock;
use crate::system::signals::Interrupt;
use crate::terminal::failure::Failure;
use crate::terminal::output::Output;
use crate::worker::interface::{existing_interfaces, open_failure};

/// Arguments of `replay`.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) file: PathBuf,
    /// Interface to send on; `None` only shows the packets.
    pub(crate) interface: Option<String>,
    pub(crate) speed: Speed,
    pub(crate) options: PacketOptions,
}

/// Speed relative to the capture, in thousandths; zero is as fast as possible.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Speed(pub(crate) u64);

impl Speed {
    /// Speed of the capture.
    pub(crate) const ORIGINAL: Self = Self(1_000);

    /// Time after the first packet at which a packet is due.
    fn due(self, after_first: Duration) -> Duration {
        if self.0 == 0 {
            return Duration::ZERO;
        }
        let nanos = after_first.as_nanos().saturating_mul(1_000) / u128::from(self.0);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// Replays the file.
pub(crate) fn replay(request: &Request, settings: &Settings) -> Result<(), Failure> {
    let filter = PacketFilter::new(request.options.expression.clone(), request.options.filter);
    filter.check(Target::File)?;
    let file = input::open(&request.file)?;
    let wire = request.interface.as_deref().map(Wire::open).transpose()?;
    let interrupt = Rc::new(Interrupt::catch()?);
    let packets = PacketPipeline::new(&request.options, settings, 0, Vec::new(), &[])?;
    let packets = Rc::new(RefCell::new(packets));
    let stopped = Rc::new(Cell::new(false));
    let input = PacketInput::new(file, interrupt.clone(), packets.clone(), stopped.clone());
    let mut replay = Replay {
        wire,
        packets,
        interrupt,
        filter,
        speed: request.speed,
        count: request.options.count,
        duration: request.options.duration,
        clock: Clock::start(),
        first: None,
        tally: Tally::default(),
    };
    let outcome = replay.frames(&input::name(&request.file), input, &stopped);
    // Also after a failure: frames that were due are sent, and the report counts them.
    replay.flush()?;
    replay.packets.borrow_mut().flush()?;
    if !request.options.quiet {
        replay.report()?;
    }
    outcome
}

/// Counts of packets sent or shown, and of those that were not.
#[derive(Debug, Default)]
struct Tally {
    packets: u64,
    bytes: u64,
    /// Longer than the MTU of the interface allows.
    too_long: u64,
    /// Shorter than a link-layer header.
    too_short: u64,
    /// Of another link type than the interface has.
    other_link: u64,
    /// Cut by the capture, and padded with zeros.
    padded: u64,
}

struct Replay {
    wire: Option<Wire>,
    packets: Rc<RefCell<PacketPipeline>>,
    interrupt: Rc<Interrupt>,
    filter: PacketFilter,
    speed: Speed,
    count: Option<u64>,
    duration: Option<Duration>,
    clock: Clock,
    /// Timestamp of the first packet, and the time at which it was sent.
    first: Option<(Timestamp, Duration)>,
    tally: Tally,
}

impl Replay {
    fn frames(&mut self, name: &str, input: PacketInput, stopped: &Cell<bool>) -> Result<(), Failure> {
        let in_file = |error: sentinel_capture::file::FileError| Failure::new(format!("{name}: {error}"));
        let mut reader = Reader::open(input).map_err(in_file)?;
        loop {
            let frame = match reader.next() {
                Ok(Some(frame)) => frame,
                Err(_) if stopped.get() => return Ok(()),
                Ok(None) => break,
                Err(error) => return Err(in_file(error)),
            };
            if let Some(wire) = &self.wire
                && !wire.takes(frame.link)
            {
                self.tally.other_link += 1;
            } else if self.filter.passes(&frame)? && self.play(&frame)?.is_break() {
                return Ok(());
            }
        }
        match &self.wire {
            Some(wire) if self.tally.packets == 0 && self.tally.other_link > 0 => Err(Failure::new(format!(
                "{name}: no packet has the link type of interface '{}', which is {}",
                wire.name, wire.link
            ))),
            _ => Ok(()),
        }
    }

    fn play(&mut self, frame: &Frame<'_>) -> Result<ControlFlow<()>, Failure> {
        let (first, start) = *self.first.get_or_insert_with(|| (frame.at, self.clock.elapsed()));
        // Measured from the first frame, not from the one before: late wake-ups and rounding do not add up.
        let due = start.saturating_add(self.speed.due(frame.at.since(first)));
        let end = self.duration.map(|duration| start.saturating_add(duration));
        loop {
            let now = self.clock.elapsed();
            if end.is_some_and(|end| now >= end || due >= end && self.speed.0 != 0) {
                return Ok(ControlFlow::Break(()));
            }
            // Left once the frame is due; repeated, because a poll may return early.
            let Some(wait) = due.checked_sub(now).filter(|wait| !wait.is_zero()) else { break };
            // Everything queued is due by now: it is sent before this wait, not with the next full batch.
            self.flush()?;
            self.packets.borrow_mut().flush()?;
            if self.interrupt.arrives_within(wait) {
                return Ok(ControlFlow::Break(()));
            }
        }
        self.pass(frame)?;
        // Queued frames count as sent, or the last batch would exceed the limit.
        let is_last = self.count.is_some_and(|most| self.tally.packets + self.waiting() >= most);
        Ok(if is_last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    fn pass(&mut self, frame: &Frame<'_>) -> Result<(), Failure> {
        match &mut self.wire {
            None => {
                self.tally.packets += 1;
                self.tally.bytes += u64::from(frame.wire_len);
                self.packets.borrow_mut().packet(frame).map(drop)
            }
            Some(wire) => {
                match wire.fit(frame) {
                    Fit::TooLong => self.tally.too_long += 1,
                    Fit::TooShort => self.tally.too_short += 1,
                    Fit::Padded => self.tally.padded += 1,
                    Fit::Complete => {}
                }
                if wire.ends.len() < MAX_BATCH {
                    return Ok(());
                }
                self.flush()
            }
        }
    }

    fn waiting(&self) -> u64 {
        self.wire.as_ref().map_or(0, |wire| u64::try_from(wire.ends.len()).unwrap_or(0))
    }

    /// Sends the queued frames.
    fn flush(&mut self) -> Result<(), Failure> {
        let Some(wire) = &mut self.wire else { return Ok(()) };
        let (packets, bytes) = wire.send(&self.interrupt)?;
        self.tally.packets += packets;
        self.tally.bytes += bytes;
        Ok(())
    }

    fn report(&self) -> Result<(), Failure> {
        let Tally { packets, bytes, .. } = self.tally;
        let start = self.first.map_or(Duration::ZERO, |(_, start)| start);
        let span = self.clock.elapsed().saturating_sub(start);
        let verb = if self.wire.is_some() { "sent" } else { "shown" };
        let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX).max(1);
        let packet_rate = packets.saturating_mul(1_000_000) / micros;
        let kilobits = Rate::over(bytes.saturating_mul(8), Duration::from_millis(1)).0 / micros;
        let mut text = format!(
            "{packets} packets {verb}, {bytes} bytes in {}: {packet_rate} packets/s, {}.{:03} Mbit/s\n",
            seconds(span),
            kilobits / 1_000,
            kilobits % 1_000
        );
        for (count, what) in [
            (self.tally.too_long, "longer than the MTU, skipped"),
            (self.tally.too_short, "shorter than a link-layer header, skipped"),
            (self.tally.other_link, "of another link type than the interface, skipped"),
            (self.tally.padded, "cut by the capture, padded with zeros"),
        ] {
            if count > 0 {
                text.push_str(&format!("{count} packets {what}\n"));
            }
        }
        if self.wire.is_none() {
            say(&text);
            return Ok(());
        }
        let mut output = Output::new();
        output.text(&text)?;
        output.flush()
    }
}

/// Interface, and frames that are queued to be sent in one call.
struct Wire {
    name: String,
    link: LinkType,
    /// Bytes of the longest frame; four more with a VLAN tag.
    longest: usize,
    sender: Sender,
    bytes: Vec<u8>,
    /// End of each frame in `bytes`.
    ends: Vec<usize>,
}

/// Outcome of queueing a frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fit {
    Complete,
    Padded,
    TooLong,
    TooShort,
}

impl Wire {
    fn open(name: &str) -> Result<Self, Failure> {
        let existing = existing_interfaces()?;
        // Opened first: its error lists the interfaces that there are.
        let sender = Sender::open(name).map_err(|error| open_failure(name, error, &existing))?;
        let found = existing.iter().find(|interface| interface.name == name);
        let Some(Interface { is_up, mtu, link, .. }) = found else {
            return Err(Failure::new(format!("interface '{name}' is gone")));
        };
        if !is_up {
            return Err(Failure::new(format!(
                "interface '{name}' is down; bring it up with: ip link set {name} up"
            )));
        }
        let link =
            link.ok_or_else(|| Failure::new(format!("interface '{name}' has an unsupported link type")))?;
        let header = if link == LinkType::ETHERNET { ETHERNET_HEADER } else { 0 };
        let longest = usize::try_from(*mtu).unwrap_or(usize::MAX).saturating_add(header);
        let (bytes, ends) = (Vec::new(), Vec::with_capacity(MAX_BATCH));
        Ok(Self { name: name.to_owned(), link, longest, sender, bytes, ends })
    }

    fn takes(&self, link: LinkType) -> bool {
        let is_bare_ip = |link| matches!(link, LinkType::RAW | LinkType::IPV4 | LinkType::IPV6);
        link == self.link || is_bare_ip(link) && is_bare_ip(self.link)
    }

    /// Queues a frame at its full length, if it fits.
    fn fit(&mut self, frame: &Frame<'_>) -> Fit {
        const TAG: usize = 4;
        // The kernel sends frames with an 802.1Q tag of up to four bytes above the MTU (af_packet.c,
        // `packet_extra_vlan_len_allowed`).
        let is_tagged = self.link == LinkType::ETHERNET
            && matches!(frame.bytes, [_, _, _, _, _, _, _, _, _, _, _, _, 0x81, 0x00, ..]);
        let length = usize::try_from(frame.wire_len).unwrap_or(usize::MAX).max(frame.bytes.len());
        if length > self.longest.saturating_add(if is_tagged { TAG } else { 0 }) {
            return Fit::TooLong;
        }
        if length < ETHERNET_HEADER && self.link == LinkType::ETHERNET || length == 0 {
            return Fit::TooShort;
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(frame.bytes);
        self.bytes.resize(start + length, 0);
        self.ends.push(self.bytes.len());
        if frame.bytes.len() < length { Fit::Padded } else { Fit::Complete }
    }

    /// Sends the queued frames; gives packets and bytes.
    fn send(&mut self, interrupt: &Interrupt) -> Result<(u64, u64), Failure> {
        const QUEUE_FULL: Duration = Duration::from_micros(100);
        let mut frames: Vec<&[u8]> = Vec::with_capacity(self.ends.len());
        let mut start = 0;
        for end in &self.ends {
            frames.push(self.bytes.get(start..*end).unwrap_or_default());
            start = *end;
        }
        let (mut remaining, mut packets, mut bytes) = (frames.as_slice(), 0, 0);
        // Ends: each call sends at least one frame or fails. The frames left at a signal are neither sent nor counted.
        while !remaining.is_empty() {
            match self.sender.send_batch(remaining) {
                Ok(count) => {
                    let (sent, left) = remaining.split_at_checked(count).unwrap_or((remaining, &[]));
                    packets += u64::try_from(sent.len()).unwrap_or(0);
                    bytes += sent.iter().map(|frame| u64::try_from(frame.len()).unwrap_or(0)).sum::<u64>();
                    remaining = left;
                }
                // The transmit queue of the interface is full, and drains as it sends.
                Err(error) if error.raw_os_error() == Some(ENOBUFS) => {
                    if interrupt.arrives_within(QUEUE_FULL) {
                        break;
                    }
                }
                Err(error) => {
                    return Err(Failure::new(format!("interface '{}': sending: {error}", self.name)));
                }
            }
        }
        self.bytes.clear();
        self.ends.clear();
        Ok((packets, bytes))
    }
}

const ETHERNET_HEADER: usize = 14;
const ENOBUFS: i32 = rustix::io::Errno::NOBUFS.raw_os_error();

/// Parses `--speed 2.0`: a decimal number with up to three decimals.
pub(crate) fn speed(text: &str) -> Result<Speed, Failure> {
    thousandths(text).map(Speed).ok_or_else(|| {
        Failure::usage(format!("--speed {text}: want a factor, like 2.0 or 0.5; 0 is as fast as possible"))
    })
}

/// Parses a decimal number without sign into thousandths.
pub(crate) fn thousandths(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || part.len() > 3 || !is_digits(whole) || !is_digits(part) {
        return None;
    }
    let part: u64 = format!("{part:0<3}").parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(1_000)?.checked_add(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_are_decimal_numbers() {
        for (text, expected) in
            [("1", 1_000), ("2.0", 2_000), ("0.5", 500), ("0", 0), ("10.125", 10_125), ("3.", 3_000)]
        {
            assert_eq!(speed(text).unwrap(), Speed(expected), "{text}");
        }
        for text in ["", "-1", "fast", "1.2345", ".5", "1e3", "99999999999999999999"] {
            assert!(speed(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_between_packets_are_divided_by_the_speed() {
        let second = Duration::from_secs(1);
        assert_eq!(Speed::ORIGINAL.due(second), second);
        assert_eq!(Speed(2_000).due(second), second / 2);
        assert_eq!(Speed(500).due(second), second * 2);
        assert_eq!(Speed(0).due(second), Duration::ZERO);
        assert_eq!(Speed(1).due(Duration::MAX), Duration::from_nanos(u64::MAX));
    }
}
