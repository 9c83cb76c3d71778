//! `sentinel capture`: packets of interfaces, live.

use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use sentinel_capture::file::MAX_FRAME;
use sentinel_capture::interfaces::Interface;
use sentinel_capture::ring::{Block, Ring};
use sentinel_filter::Target;
use sentinel_units::{LinkType, Timestamp, Uptime};

use crate::commands::interface_choice::chosen;
use crate::commands::link_types;
use crate::control::accounting::FilterAccounting;
use crate::limits::MAX_INTERFACES;
use crate::packets::filter::PacketFilter;
use crate::packets::options::PacketOptions;
use crate::packets::pipeline::PacketPipeline;
use crate::packets::reorder::Reorder;
use crate::packets::totals::{PacketSource, Totals};
use crate::settings::Settings;
use crate::system::clock::{self, Clock};
use crate::system::keys;
use crate::system::signals::Interrupt;
use crate::terminal::failure::Failure;
use crate::terminal::log;
use crate::worker::fanout::FanoutGroup;
use crate::worker::interface::{
    CaptureInterface, FrameTotals, RingOptions, existing_interfaces, open_failure, prefixes,
};
use crate::worker::kernel_filters::KernelFilters;
use crate::worker::presence::Presence;
use crate::worker::ring_set::{CaptureVisitor, Flow, MAX_SLEEP, RingSet};
use crate::worker::routes;
use crate::worker::snapshot::InterfaceCounts;

/// Arguments of `capture`.
#[derive(Debug)]
pub(crate) struct Request {
    /// Empty for the interface of the default route.
    pub(crate) interfaces: Vec<String>,
    pub(crate) options: PacketOptions,
    pub(crate) promiscuous: bool,
    pub(crate) ring_kib: Option<u32>,
    /// Key of the hash tables, if not random.
    pub(crate) seed: Option<u64>,
}

/// Wait for the block that the kernel still fills at the end.
const LAST_BLOCK_TIMEOUT: Duration = Duration::from_millis(100);
/// One thread takes all frames.
static NO_FANOUT: FanoutGroup = FanoutGroup::new(1, 0);

/// Captures until a signal arrives or a limit is reached. An interface that vanishes is captured again when it is back.
pub(crate) fn capture(request: &Request, settings: &Settings) -> Result<(), Failure> {
    let filter = PacketFilter::new(request.options.expression.clone(), request.options.filter);
    // Before anything is opened or created.
    filter.check(Target::Kernel)?;
    let existing = existing_interfaces()?;
    let names = chosen(&request.interfaces, &existing)?;
    // Before anything is opened: from here on a signal ends the capture in order, with complete files and totals.
    let interrupt = Interrupt::catch()?;
    let clock = Clock::start();
    let (mut rings, accounting) = open(request, settings, &filter, &names, &existing, clock)?;
    link_types::check(&request.options, &names, &link_types::of_rings(&mut rings))?;
    let seed = match request.seed {
        Some(seed) => seed,
        None => keys::random_u64()?,
    };
    let networks = prefixes(&existing, &names);
    let mut packets = PacketPipeline::new(&request.options, settings, seed, names.clone(), &networks)?;
    begin(&request.options, &names, &mut rings, &mut packets)?;
    let timers = Timers::new(&request.options, clock);
    let mut capture = Capture {
        packets,
        accounting,
        presence: Presence::default(),
        counts: Default::default(),
        reorder: (names.len() > 1).then(Reorder::default),
        names,
        interrupt,
        timers,
        ring_delay: settings.block_timeout.saturating_mul(2).saturating_add(Ring::DRAIN_TIMEOUT),
        read_at: Timestamp::ZERO,
        is_ended: false,
    };
    capture.run_to_end(&mut rings)
}

/// Opens the rings with their filters, and the accounting of frames that these refuse.
fn open(
    request: &Request,
    settings: &Settings,
    filter: &PacketFilter,
    names: &[String],
    existing: &[Interface],
    clock: Clock,
) -> Result<(RingSet, Option<FilterAccounting>), Failure> {
    if request.options.view.has_alerts() {
        routes::check(names, existing, settings.allow_overlap, true)
            .map_err(|pair| Failure::new(format!("--alerts: {pair}")))?;
    }
    let filters = kernel_filters(filter, names, existing)?;
    let options = RingOptions::for_frames(
        request.ring_kib.unwrap_or(settings.ring_kib),
        request.options.snap_bytes.unwrap_or(MAX_FRAME),
        request.promiscuous,
        settings.block_timeout,
    );
    let mut interfaces = Vec::new();
    for (number, name) in (0..).zip(names) {
        let interface = CaptureInterface::open(name, number, 0, options, &NO_FANOUT);
        interfaces.push(interface.map_err(|error| open_failure(name, error, existing))?);
    }
    let mut rings = RingSet::new(interfaces, &options, clock);
    // Before the filters are attached, so that every frame is counted.
    let accounting = (!filter.is_empty()).then(|| {
        let mut accounting = FilterAccounting::new(names.to_vec());
        accounting.restart(true, &Default::default());
        accounting
    });
    rings.set_filters(Some(Box::new(filters))).map_err(Failure::new)?;
    Ok((rings, accounting))
}

/// Creates the first capture file and logs the start.
fn begin(
    options: &PacketOptions,
    names: &[String],
    rings: &mut RingSet,
    packets: &mut PacketPipeline,
) -> Result<(), Failure> {
    let links = link_types::of_rings(rings);
    let link = links.first().copied().unwrap_or(LinkType::ETHERNET);
    let listening = format!(
        "listening on {}, {}, snapshot length {} bytes",
        names.join(", "),
        link_types::describe(names, &links),
        options.snap_bytes.unwrap_or(MAX_FRAME)
    );
    // Before the message: a script that waits for it finds the file.
    packets.begin(link, &format!("{listening}{}", options.filter_text()))?;
    if !options.quiet {
        log::info(format_args!("{listening}"));
    }
    Ok(())
}

/// Compiles the filter for the link types of `names`; on other link types, where it makes no sense, it matches no frame.
fn kernel_filters(
    filter: &PacketFilter,
    names: &[String],
    existing: &[Interface],
) -> Result<KernelFilters, Failure> {
    if filter.is_empty() {
        return Ok(KernelFilters::default());
    }
    let link_of = |name: &String| {
        let found = existing.iter().find(|interface| interface.name == *name);
        // Opening the ring of an interface that does not exist gives a better message than compiling for it.
        found.and_then(|interface| interface.link).unwrap_or(LinkType::ETHERNET)
    };
    let is_used = |link| names.iter().any(|name| link_of(name) == link);
    KernelFilters::compile(|link| match filter.compile(Target::Kernel, link) {
        Ok(program) => Ok(Some(program)),
        Err(_) if !is_used(link) => Ok(KernelFilters::refuse_all()),
        Err(failure) => Err(failure),
    })
}

/// Times at which a capture acts without frames.
struct Timers {
    clock: Clock,
    end: Option<Uptime>,
    statistics_interval: Option<Duration>,
    statistics_due: Option<Uptime>,
}

impl Timers {
    fn new(options: &PacketOptions, clock: Clock) -> Self {
        let statistics_interval = options.statistics.filter(|interval| !interval.is_zero());
        Self {
            clock,
            end: options.duration.map(|duration| clock.uptime().after(duration)),
            statistics_interval,
            statistics_due: statistics_interval.map(|interval| clock.uptime().after(interval)),
        }
    }

    fn is_over(&self) -> bool {
        self.end.is_some_and(|end| self.clock.uptime() >= end)
    }

    /// Returns true once for each interval of the statistics that has passed.
    fn is_statistics_due(&mut self) -> bool {
        let (Some(due), Some(interval)) = (self.statistics_due, self.statistics_interval) else {
            return false;
        };
        let is_due = self.clock.uptime() >= due;
        if is_due {
            // From when it was due, not from now: delays do not add up.
            self.statistics_due = Some(due.after(interval));
        }
        is_due
    }

    fn until_next(&self) -> Duration {
        let now = self.clock.uptime();
        let next = [self.end, self.statistics_due].into_iter().flatten().min();
        next.map_or(MAX_SLEEP, |next| next.since(now).min(MAX_SLEEP))
    }
}

/// Visitor of the capture loop that hands every frame to the packet pipeline.
struct Capture {
    packets: PacketPipeline,
    /// Only with a filter.
    accounting: Option<FilterAccounting>,
    presence: Presence,
    counts: [InterfaceCounts; MAX_INTERFACES],
    names: Vec<String>,
    interrupt: Interrupt,
    timers: Timers,
    /// Only with several interfaces.
    reorder: Option<Reorder>,
    /// Time that the kernel may keep a frame in a block that is not full.
    ring_delay: Duration,
    /// Time of day before the rings were read.
    read_at: Timestamp,
    /// A signal or the time has ended the capture, not the pipeline.
    is_ended: bool,
}

impl Capture {
    /// Also after a failure files are completed and the totals printed.
    fn run_to_end(&mut self, rings: &mut RingSet) -> Result<(), Failure> {
        let outcome = self.run(rings);
        if let Err(failure) = &outcome {
            self.packets.log(&failure.to_string())?;
        }
        self.finish(rings)?;
        outcome
    }

    fn run(&mut self, rings: &mut RingSet) -> Result<(), Failure> {
        // At once, so that `presence` has seen each interface open, and reports one that vanishes within the first
        // second.
        if rings.housekeeping(self)?.is_continue() {
            rings.run(self)?;
        }
        if !self.is_ended {
            return Ok(());
        }
        // The kernel still holds frames that came before the end: it hands an open block over only when its timeout has
        // passed.
        let Self { packets, reorder, .. } = self;
        rings.last_frames(clock::wall(), LAST_BLOCK_TIMEOUT, &mut |frame| match reorder {
            Some(reorder) => {
                reorder.push(frame);
                Ok(ControlFlow::Continue(()))
            }
            None => packets.packet(frame),
        })?;
        self.release(Timestamp::MAX).map(drop)
    }

    /// Hands the frames up to `until` that were held back to the pipeline.
    fn release(&mut self, until: Timestamp) -> Flow {
        let Self { packets, reorder, .. } = self;
        match reorder {
            Some(reorder) => reorder.release(until, &mut |frame| packets.packet(frame)),
            None => Ok(ControlFlow::Continue(())),
        }
    }

    fn finish(&mut self, rings: &mut RingSet) -> Result<(), Failure> {
        self.read_counters(rings);
        let mut totals = Totals { source: PacketSource::Live, dropped: Some(0), ..Totals::default() };
        for counts in &self.counts {
            totals.received += counts.counted;
            totals.dropped = totals.dropped.map(|dropped| dropped + counts.dropped);
        }
        if let Some(accounting) = &mut self.accounting {
            accounting.refresh();
            totals.filtered = Some(accounting.refused(&self.counts).iter().sum());
        }
        self.packets.finish(&totals)
    }

    fn read_counters(&mut self, rings: &mut RingSet) {
        for (slot, interface) in self.counts.iter_mut().zip(rings.interfaces()) {
            *slot = interface.counts();
        }
    }
}

impl CaptureVisitor for Capture {
    fn start_iteration(&mut self, _: &mut RingSet, _: Uptime) -> Flow {
        if self.timers.is_over() || self.interrupt.is_pending() {
            self.is_ended = true;
            return Ok(ControlFlow::Break(()));
        }
        if self.timers.is_statistics_due() {
            self.packets.interval(clock::wall())?;
        }
        if self.reorder.is_some() {
            // Before the rings are read: a ring that is empty then had no frame that is older than the ring delay.
            self.read_at = clock::wall();
        }
        Ok(ControlFlow::Continue(()))
    }

    fn block(
        &mut self,
        _: usize,
        block: &Block<'_>,
        totals: &mut FrameTotals,
    ) -> Result<ControlFlow<(), Timestamp>, Failure> {
        let mut newest = Timestamp::ZERO;
        for frame in block {
            totals.frames += 1;
            totals.bytes += u64::from(frame.wire_len);
            newest = frame.at;
            if let Some(reorder) = &mut self.reorder {
                reorder.push(&frame);
            } else if self.packets.packet(&frame)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(newest))
    }

    fn rings_read(&mut self, complete_until: Timestamp, is_any_empty: bool) -> Flow {
        // A ring without a block is complete up to what the kernel may still hold back.
        let delay = if is_any_empty { self.ring_delay } else { Duration::ZERO };
        let delayed = Timestamp::ZERO.after(self.read_at.since(Timestamp::ZERO).saturating_sub(delay));
        self.release(complete_until.min(delayed))
    }

    fn idle(&mut self, now: Timestamp) -> Result<(), Failure> {
        self.packets.idle(now)
    }

    fn interfaces_checked(&mut self, rings: &mut RingSet) -> Result<(), Failure> {
        self.read_counters(rings);
        if let Some(accounting) = &mut self.accounting {
            accounting.follow_interfaces(&self.counts);
        }
        self.presence.log_changes(&self.counts, &self.names);
        Ok(())
    }

    fn interface_down(&mut self, name: &str) {
        log::warn(format_args!("interface '{name}' went down"));
    }

    fn end_iteration(&mut self, _: bool) -> Result<(), Failure> {
        // Without anything to write this makes no system call.
        self.packets.flush()
    }

    fn wake(&self) -> BorrowedFd<'_> {
        self.interrupt.as_fd()
    }

    fn max_sleep(&self) -> Duration {
        let until_next = self.timers.until_next();
        let holds_frames = self.reorder.as_ref().is_some_and(|reorder| !reorder.is_empty());
        if holds_frames { until_next.min(self.ring_delay) } else { until_next }
    }
}
