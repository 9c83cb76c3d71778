//! `sentinel capture`: packets of interfaces, live.

use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use sentinel_capture::Frame;
use sentinel_capture::file::MAX_FRAME;
use sentinel_capture::interfaces::Interface;
use sentinel_capture::ring::{Counters, FrameCounter, Ring, RingConfig, WaitOutcome};
use sentinel_filter::Target;
use sentinel_units::{LinkType, Timestamp};

use crate::commands::run::{existing_interfaces, explain, prefixes, ring_sizes};
use crate::packets::filter::PacketFilter;
use crate::packets::options::PacketOptions;
use crate::packets::pipeline::{Packets, Step};
use crate::packets::totals::{self, Totals};
use crate::settings::Settings;
use crate::system::clock::{self, Clock};
use crate::system::keys;
use crate::system::signals::{Interrupt, poll};
use crate::terminal::failure::Failure;
use crate::terminal::log;

/// What `capture` was asked to do.
#[derive(Debug)]
pub(crate) struct Request {
    /// None: the one of the default route.
    pub(crate) interfaces: Vec<String>,
    pub(crate) options: PacketOptions,
    pub(crate) promiscuous: bool,
    pub(crate) ring_kib: Option<u32>,
    /// Key of the hash tables, if not random.
    pub(crate) seed: Option<u64>,
}

/// Interfaces captured at the same time.
const MAX_INTERFACES: usize = 8;
/// Longest sleep: how late a closing alert may come.
const MAX_SLEEP: Duration = Duration::from_millis(250);
/// Ticks stay so far behind the clock that no frame still in the kernel is older.
const TICK_BEHIND: Duration = Duration::from_secs(2);
/// Time between two looks whether the interfaces are still there.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// Captures until a signal comes or a limit is reached.
pub(crate) fn capture(request: &Request, settings: &Settings) -> Result<(), Failure> {
    let existing = existing_interfaces()?;
    let names = chosen(&request.interfaces, &existing)?;
    let interrupt = Interrupt::catch()?;
    let mut sources = Vec::new();
    for (number, name) in names.iter().enumerate() {
        sources.push(Source::open(request, settings, number, name, &existing)?);
    }
    let seed = match request.seed {
        Some(seed) => seed,
        None => keys::random_u64()?,
    };
    let networks = prefixes(&existing, &names);
    let mut packets = Packets::new(&request.options, settings, seed, names.clone(), &networks)?;
    let link = sources.first().map_or(LinkType::ETHERNET, |source| source.ring.link());
    let what = format!(
        "listening on {}, link type {link}, snapshot length {} bytes",
        names.join(", "),
        request.options.snap_bytes.unwrap_or(MAX_FRAME)
    );
    packets.begin(link, &format!("{what}{}", request.options.filter_text()))?;
    if !request.options.quiet {
        log::info(format_args!("{what}"));
    }
    let mut capture = Capture { sources, packets, interrupt, clock: Clock::start() };
    let outcome = capture.until_the_end(&request.options);
    if let Err(failure) = &outcome {
        capture.packets.log(&failure.to_string())?;
    }
    capture.finish()?;
    outcome
}

/// The interfaces asked for, each once and each existing and up.
fn chosen(asked: &[String], existing: &[Interface]) -> Result<Vec<String>, Failure> {
    let mut names: Vec<String> = Vec::new();
    for name in asked {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    if names.is_empty() {
        names.push(default_interface(existing)?);
    }
    if names.len() > MAX_INTERFACES {
        return Err(Failure::usage(format!("{} interfaces; at most {MAX_INTERFACES}", names.len())));
    }
    for interface in existing.iter().filter(|interface| names.contains(&interface.name)) {
        if !interface.is_up {
            let name = &interface.name;
            return Err(Failure::new(format!(
                "interface '{name}' is down; bring it up with: ip link set {name} up"
            )));
        }
    }
    Ok(names)
}

/// The interface of the default route, or the only one that there is beside the loopback.
fn default_interface(existing: &[Interface]) -> Result<String, Failure> {
    let routes = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
    let routes6 = std::fs::read_to_string("/proc/net/ipv6_route").unwrap_or_default();
    let routed = default_route(&routes).or_else(|| default_route6(&routes6));
    if let Some(name) = routed.filter(|name| existing.iter().any(|interface| interface.name == **name)) {
        return Ok(name.to_owned());
    }
    let candidates: Vec<&str> = existing
        .iter()
        .filter(|interface| interface.is_up && interface.kind != "loopback" && interface.link.is_some())
        .map(|interface| interface.name.as_str())
        .collect();
    match *candidates.as_slice() {
        [only] => Ok(only.to_owned()),
        [] => Err(Failure::usage("no interface is up but the loopback; want -i NAME".into())),
        _ => Err(Failure::usage(format!(
            "there is no default route to tell which interface is meant; want -i with one of {}",
            candidates.join(", ")
        ))),
    }
}

/// The interface of the IPv4 default route with the lowest metric (`/proc/net/route`).
fn default_route(table: &str) -> Option<&str> {
    let routes = table.lines().skip(1).filter_map(|line| {
        let mut fields = line.split_whitespace();
        let (name, destination) = (fields.next()?, fields.next()?);
        let (metric, mask) = (fields.nth(4)?.parse::<u32>().ok()?, fields.next()?);
        (destination == "00000000" && mask == "00000000").then_some((metric, name))
    });
    routes.min().map(|(_, name)| name)
}

/// The same for IPv6 (`/proc/net/ipv6_route`): the loopback has one that leads nowhere.
fn default_route6(table: &str) -> Option<&str> {
    let routes = table.lines().filter_map(|line| {
        let mut fields = line.split_whitespace();
        let (destination, length) = (fields.next()?, fields.next()?);
        let metric = u32::from_str_radix(fields.nth(3)?, 16).ok()?;
        let name = fields.nth(3)?;
        let is_default = length == "00" && destination.bytes().all(|digit| digit == b'0') && name != "lo";
        is_default.then_some((metric, name))
    });
    routes.min().map(|(_, name)| name)
}

/// One captured interface.
struct Source {
    name: String,
    ring: Ring,
    /// Counts what the filter of the ring refuses, if it has one.
    meter: Option<FrameCounter>,
    counters: Counters,
    /// Frames that the interface had, if they are counted.
    seen: Option<u64>,
    is_gone: bool,
}

impl Source {
    fn open(
        request: &Request,
        settings: &Settings,
        number: usize,
        name: &str,
        existing: &[Interface],
    ) -> Result<Self, Failure> {
        let filter = PacketFilter::new(request.options.expression.clone(), request.options.filter);
        let link = existing.iter().find(|interface| interface.name == name).and_then(|found| found.link);
        let program = if filter.is_empty() {
            None
        } else {
            // Of an interface that does not exist, opening the ring tells more.
            Some(filter.compile(Target::Kernel, link.unwrap_or(LinkType::ETHERNET))?)
        };
        // Before the ring, so that it counts no less.
        let meter = program.as_ref().map(|_| FrameCounter::open(name)).transpose();
        let meter = meter.map_err(|error| explain(name, error, existing))?;
        let (ring_bytes, block_bytes) = ring_sizes(request.ring_kib.unwrap_or(settings.ring_kib));
        let ring = Ring::open(&RingConfig {
            number: u16::try_from(number).unwrap_or(0),
            ring_bytes,
            block_bytes,
            snap_bytes: request.options.snap_bytes.unwrap_or(MAX_FRAME),
            block_timeout: settings.block_timeout,
            promiscuous: request.promiscuous,
            filter: program.as_ref().map(sentinel_filter::Program::instructions),
            ..RingConfig::new(name)
        })
        .map_err(|error| explain(name, error, existing))?;
        let counters = Counters::default();
        Ok(Self { name: name.to_owned(), ring, meter, counters, seen: None, is_gone: false })
    }

    /// Asks the kernel; often enough, because it counts in 32 bits.
    fn read_counters(&mut self) {
        if let Ok(counters) = self.ring.counters() {
            self.counters = counters;
        }
        if let Some(meter) = &mut self.meter {
            self.seen = meter.count().ok().or(self.seen);
        }
    }
}

struct Capture {
    sources: Vec<Source>,
    packets: Packets,
    interrupt: Interrupt,
    clock: Clock,
}

impl Capture {
    fn until_the_end(&mut self, options: &PacketOptions) -> Result<(), Failure> {
        let end = options.duration.map(|duration| self.clock.uptime().after(duration));
        let interval = options.statistics.filter(|interval| !interval.is_zero());
        let mut report = interval.map(|interval| self.clock.uptime().after(interval));
        let mut housekeeping = self.clock.uptime().after(HOUSEKEEPING);
        loop {
            let now = self.clock.uptime();
            if end.is_some_and(|end| now >= end) || self.interrupt.has_come() {
                return self.last_frames();
            }
            if let (Some(due), Some(interval)) = (report, interval)
                && now >= due
            {
                report = Some(due.after(interval));
                self.packets.interval(clock::wall())?;
            }
            if now >= housekeeping {
                housekeeping = now.after(HOUSEKEEPING);
                self.housekeeping()?;
            }
            match self.turn()? {
                Turn::Frames => self.packets.flush()?,
                Turn::Nothing => {
                    let due = [end, report, Some(housekeeping)].into_iter().flatten().min();
                    self.sleep(due.unwrap_or(now).since(now).min(MAX_SLEEP))?;
                }
                Turn::Enough => return Ok(()),
            }
        }
    }

    /// One block of each ring.
    fn turn(&mut self) -> Result<Turn, Failure> {
        let mut turn = Turn::Nothing;
        for source in &mut self.sources {
            let Some(block) = source.ring.next_block() else { continue };
            turn = Turn::Frames;
            for frame in &block {
                if self.packets.packet(&frame)? == Step::Stop {
                    return Ok(Turn::Enough);
                }
            }
        }
        Ok(turn)
    }

    /// What came before the stop but lies in a block that the kernel still fills.
    fn last_frames(&mut self) -> Result<(), Failure> {
        let stop = clock::wall();
        for source in &mut self.sources {
            let patience = Duration::from_millis(100);
            while let Ok(WaitOutcome::Ready) = source.ring.wait(patience) {
                let Some(block) = source.ring.next_block() else { break };
                let in_time = |frame: &Frame<'_>| frame.at <= stop;
                let mut is_over = false;
                for frame in &block {
                    is_over |= !in_time(&frame);
                    if in_time(&frame) && self.packets.packet(&frame)? == Step::Stop {
                        return Ok(());
                    }
                }
                if is_over {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Nothing waits: time passes for the analysis, and we sleep.
    fn sleep(&mut self, patience: Duration) -> Result<(), Failure> {
        self.packets
            .idle(Timestamp::ZERO.after(clock::wall().since(Timestamp::ZERO).saturating_sub(TICK_BEHIND)))?;
        self.packets.flush()?;
        let mut entries: Vec<PollFd<'_>> = vec![PollFd::new(&self.interrupt, PollFlags::IN)];
        let present = self.sources.iter().filter(|source| !source.is_gone);
        entries.extend(present.map(|source| PollFd::new(&source.ring, PollFlags::IN)));
        // An error is seen again by the next turn.
        let _woken = poll(&mut entries, Some(patience));
        let failed = entries.iter().any(|entry| entry.revents().intersects(PollFlags::ERR | PollFlags::NVAL));
        if failed {
            for source in self.sources.iter().filter(|source| !source.is_gone) {
                if let Ok(WaitOutcome::InterfaceDown) = source.ring.socket_error() {
                    log::warn(format_args!("interface '{}' went down", source.name));
                }
            }
        }
        Ok(())
    }

    /// Reads the kernel's counters, and ends when there is nothing left to capture on.
    fn housekeeping(&mut self) -> Result<(), Failure> {
        for source in &mut self.sources {
            source.read_counters();
            if !source.is_gone && !source.ring.is_attached() {
                source.is_gone = true;
                log::warn(format_args!("interface '{}' is gone", source.name));
            }
        }
        if self.sources.iter().all(|source| source.is_gone) {
            while self.turn()? == Turn::Frames {}
            return Err(Failure::new("there is no interface left to capture on"));
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Failure> {
        let mut totals = Totals { source: totals::PacketSource::Live, dropped: Some(0), ..Totals::default() };
        for source in &mut self.sources {
            source.read_counters();
            totals.received += source.counters.received;
            if let Some(seen) = source.seen {
                let refused = seen.saturating_sub(source.counters.received);
                totals.filtered = Some(totals.filtered.unwrap_or(0) + refused);
            }
            totals.dropped = totals.dropped.map(|dropped| dropped + source.counters.dropped);
        }
        self.packets.finish(&totals)
    }
}

/// What a turn found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Turn {
    Nothing,
    Frames,
    /// As many packets as were wanted.
    Enough,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_route_with_the_lowest_metric_counts() {
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
                     eth1\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n\
                     wan\t00000000\t0102A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
                     br-lan\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        assert_eq!(default_route(table), Some("wan"));
        assert_eq!(default_route("Iface\tDestination\n"), None);
    }

    #[test]
    fn the_route_of_the_loopback_leads_nowhere() {
        let zero = "0".repeat(32);
        let table = format!(
            "{zero} 00 {zero} 00 {zero} ffffffff 00000001 00000000 00200200       lo\n\
             {zero} 00 {zero} 00 fe80{} 00000400 00000001 00000000 00000003    wan6\n",
            "0".repeat(28)
        );
        assert_eq!(default_route6(&table), Some("wan6"));
    }

    #[test]
    fn an_interface_is_taken_once_and_must_be_up() {
        let interface = |name: &str, is_up| Interface {
            name: name.into(),
            is_up,
            is_running: is_up,
            link: Some(LinkType::ETHERNET),
            ..Interface::default()
        };
        let existing = [interface("left", true), interface("right", false)];
        let asked = |names: &[&str]| -> Vec<String> { names.iter().map(ToString::to_string).collect() };
        assert_eq!(chosen(&asked(&["left", "left"]), &existing).unwrap(), ["left"]);
        let error = chosen(&asked(&["left", "right"]), &existing).unwrap_err().to_string();
        assert_eq!(error, "interface 'right' is down; bring it up with: ip link set right up");
    }
}
