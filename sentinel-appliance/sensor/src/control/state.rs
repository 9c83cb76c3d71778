//! State that the tasks of the control thread share.

use std::cell::{Cell, RefCell};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::Duration;

use sentinel_units::{Timestamp, Uptime};
use sentinel_uplink::{Counter, EndCause, Telemetry};
use smol::{Timer, future};

use crate::control::notification::Notify;
use crate::control::visibility::Visibility;
use crate::control::watchdog::Watchdog;
use crate::control::workers::Workers;
use crate::serial::console::Console;
use crate::serial::port::Port;
use crate::settings::Settings;
use crate::spool::repair::State;
use crate::spool::{EvidencePolicy, Spool};
use crate::system::clock::{Clock, wall};
use crate::system::disconnect_reason::DisconnectReason;
use crate::system::keyring::Keyring;
use crate::system::keys::{self, Collector};
use crate::system::privileges::Privileges;
use crate::system::process::resident_kib;
use crate::system::restarts::Restarts;
use crate::system::wake::EventFd;
use crate::terminal::count::span;
use crate::terminal::log;
use crate::worker::canary::KernelCanary;
use crate::worker::command::AlertConsumer;

/// Clients of the local sockets that were dropped, so that none holds up the others.
#[derive(Debug, Default)]
pub(crate) struct LocalClients {
    /// Command not sent, or answer not read, in time.
    pub(crate) too_slow: Cell<u64>,
    /// Dropped for a newer client, because too many were connected.
    pub(crate) too_many: Cell<u64>,
}

/// State of the uplink.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum LinkPhase {
    /// Switched off by the settings.
    Disabled,
    /// `sentinel enroll` has not been run.
    NotEnrolled,
    /// A connection is being made.
    Connecting,
    /// The collector has accepted the session.
    Connected,
    /// Waiting until the next attempt.
    Waiting,
}

impl LinkPhase {
    /// Name in machine output.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::NotEnrolled => "not_enrolled",
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Waiting => "waiting",
        }
    }
}

/// State of the uplink with its history, for status.
#[derive(Clone, Debug)]
pub(crate) struct LinkState {
    pub(crate) phase: LinkPhase,
    pub(crate) since: Uptime,
    /// Connections lost or not made since the start.
    pub(crate) failures: u64,
    pub(crate) last_error: Option<String>,
    /// Address of the connection, or of the last attempt.
    pub(crate) address: Option<String>,
    /// A new key of this sensor was made, and is not in use yet.
    pub(crate) is_key_waiting: bool,
}

/// Way to read the settings again at SIGHUP.
pub(crate) struct Reload {
    pub(crate) file: Option<PathBuf>,
    pub(crate) flags: Vec<(String, String)>,
}

/// The last reload, for status.
#[derive(Clone, Debug)]
pub(crate) struct LastReload {
    pub(crate) at: Timestamp,
    /// Reason why settings did not take effect, if they did not.
    pub(crate) error: Option<String>,
}

/// Writes the status page of an answer of the status socket.
pub(crate) type StatusPage = fn(&str, &mut String) -> std::fmt::Result;

/// Serial console as the start found it.
pub(crate) struct SerialConsole {
    /// `Ok(None)` without one.
    pub(crate) port: Result<Option<Port>, String>,
    pub(crate) page: StatusPage,
}

/// Everything that `run` has opened for the control thread.
pub(crate) struct Prepared {
    pub(crate) clock: Clock,
    pub(crate) workers: Workers,
    pub(crate) settings: Settings,
    /// Settings that were set aside at the start.
    pub(crate) set_aside: Vec<String>,
    pub(crate) restarts: Restarts,
    pub(crate) state: State,
    /// Status socket and control socket, as far as they could be made.
    pub(crate) listeners: [Option<UnixListener>; 2],
    pub(crate) reload: Reload,
    pub(crate) visibility: Visibility,
    pub(crate) kernel_canary: KernelCanary,
    pub(crate) console: SerialConsole,
    pub(crate) privileges: Privileges,
    pub(crate) watchdog: &'static Watchdog,
}

/// Parts of [`Prepared`] that one task owns.
pub(crate) struct TaskResources {
    /// `None` if the key of the sensor cannot be read or stored.
    pub(crate) keys: Option<Keyring>,
    pub(crate) listeners: [Option<UnixListener>; 2],
    pub(crate) reload: Reload,
    /// Serial device, if it could be opened.
    pub(crate) port: Option<Port>,
}

/// Queues, threads and flags of the workers, besides their commands.
pub(crate) struct WorkerThreads {
    pub(crate) alerts: Vec<AlertConsumer>,
    /// Signalled by a worker that raised alerts.
    pub(crate) alert_event: EventFd,
    /// Set to end all workers.
    pub(crate) stop: &'static AtomicBool,
    pub(crate) threads: Vec<JoinHandle<()>>,
}

/// State that the tasks of the control thread share. All run on one thread, so cells suffice; no borrow is held across
/// an `await`.
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    /// Time of day at the start.
    pub(crate) started: Timestamp,
    pub(crate) workers: Workers,
    pub(crate) visibility: Visibility,
    pub(crate) kernel_canary: KernelCanary,
    /// `None` without the setting `console_device`.
    pub(crate) console: RefCell<Option<Box<Console>>>,
    pub(crate) console_problem: RefCell<Option<String>>,
    /// Wakes the task of the console: lines wait.
    pub(crate) wake_console: Notify,
    pub(crate) status_page: StatusPage,
    pub(crate) privileges: Privileges,
    pub(crate) watchdog: &'static Watchdog,
    pub(crate) local_clients: LocalClients,
    pub(crate) settings: RefCell<Settings>,
    /// Settings that are not in force as they were given, each with its place and the reason.
    pub(crate) set_aside: RefCell<Vec<String>>,
    pub(crate) restarts: Restarts,
    pub(crate) collector: RefCell<Option<Collector>>,
    /// Reason why there is no collector although the sensor was enrolled, or why the file that names it cannot be read.
    pub(crate) collector_problem: RefCell<Option<String>>,
    pub(crate) spool: RefCell<Spool>,
    pub(crate) link: RefCell<LinkState>,
    /// Filter of `sentinel ctl set-filter`, in force instead of that of the settings until it is reset.
    pub(crate) filter_override: RefCell<Option<String>>,
    pub(crate) last_reload: RefCell<Option<LastReload>>,
    /// Wakes the uplink task: new alerts, a reload, or shutdown.
    pub(crate) wake_uplink: Notify,
    /// Wakes the main task, because the watchdog may have found a fault.
    pub(crate) wake_main: Notify,
    /// Incremented when the uplink must connect again.
    pub(crate) generation: Cell<u32>,
    /// The workers have ended and raise no more alerts.
    pub(crate) workers_ended: Cell<bool>,
    /// At shutdown, time until which the last alerts may be delivered. Set once they are in the spool.
    pub(crate) drain_until: Cell<Option<Uptime>>,
}

impl Shared {
    /// Not inlined: [`Prepared`] is large, and its part of the stack is used again by the tasks.
    #[inline(never)]
    pub(crate) fn new(prepared: Box<Prepared>) -> (Rc<Self>, TaskResources) {
        let Prepared {
            clock,
            workers,
            settings,
            set_aside,
            restarts,
            state: State { keys, collector, enrollment_problem, spool, .. },
            listeners,
            reload,
            visibility,
            kernel_canary,
            console,
            privileges,
            watchdog,
        } = *prepared;
        let has_console = settings.console_device.is_some();
        let shared = Self {
            clock,
            started: clock.started_at(),
            workers,
            visibility,
            kernel_canary,
            console: RefCell::new(has_console.then(|| Box::new(Console::new()))),
            console_problem: RefCell::new(console.port.as_ref().err().cloned()),
            wake_console: Notify::default(),
            status_page: console.page,
            privileges,
            watchdog,
            local_clients: LocalClients::default(),
            settings: RefCell::new(settings),
            set_aside: RefCell::new(set_aside),
            restarts,
            collector: RefCell::new(collector),
            collector_problem: RefCell::new(enrollment_problem),
            spool: RefCell::new(spool),
            link: RefCell::new(LinkState {
                phase: LinkPhase::NotEnrolled,
                since: clock.uptime(),
                failures: 0,
                last_error: None,
                address: None,
                is_key_waiting: false,
            }),
            filter_override: RefCell::new(None),
            last_reload: RefCell::new(None),
            wake_uplink: Notify::default(),
            wake_main: Notify::default(),
            generation: Cell::new(0),
            workers_ended: Cell::new(false),
            drain_until: Cell::new(None),
        };
        shared.apply_evidence();
        (Rc::new(shared), TaskResources { keys, listeners, reload, port: console.port.ok().flatten() })
    }

    /// Filter in force: that of `sentinel ctl`, else that of the settings.
    pub(crate) fn filter(&self) -> String {
        let set = self.filter_override.borrow();
        set.clone().unwrap_or_else(|| self.settings.borrow().filter.clone())
    }

    /// Ends a connection, and the wait for the next one, at the next wake-up of the uplink task, which is now.
    pub(crate) fn reconnect(&self) {
        self.generation.set(self.generation.get().wrapping_add(1));
        self.wake_uplink.notify();
    }

    /// Ends the wait for the next connection; a connection stays.
    pub(crate) fn connect_now(&self) {
        if self.link.borrow().phase == LinkPhase::Waiting {
            self.reconnect();
        }
    }

    /// Tells the spool for whom the log is sealed: by the settings, and by the collector at which the sensor is enrolled.
    pub(crate) fn apply_evidence(&self) {
        let collector = self.collector.borrow().as_ref().map(|collector| collector.key);
        let policy = EvidencePolicy::new(&self.settings.borrow(), collector);
        let mut spool = self.spool.borrow_mut();
        if spool.evidence() != policy {
            spool.set_evidence(policy);
        }
    }

    /// Returns true if the program is shutting down.
    pub(crate) const fn is_stopping(&self) -> bool {
        self.drain_until.get().is_some()
    }

    /// Writes the spool to flash, and gives the uplink `span` to deliver what is in it.
    pub(crate) fn begin_drain(&self, span: Duration) {
        // On flash before the collector is waited for: a power cut during the drain loses no alert, and the end of the run is
        // known.
        let mut spool = self.spool.borrow_mut();
        spool.end_run(EndCause::Stopped);
        spool.flush_at_end();
        drop(spool);
        self.drain_until.set(Some(self.clock.uptime().after(span)));
        self.wake_uplink.notify();
    }

    /// Ends the run because of a fault: says so in the log, and closes the incidents that a worker can no longer close. What the
    /// journal has is not written to flash: the next run does that within a second, in the page of its start.
    pub(crate) fn end_after_fault(&self) {
        self.spool.borrow_mut().end_run_after_fault(self.clock.uptime());
    }

    /// Returns true at shutdown once everything is delivered or the time for it has passed.
    pub(crate) fn is_drained(&self) -> bool {
        self.drain_until
            .get()
            .is_some_and(|until| self.clock.uptime() >= until || self.spool.borrow().waiting_items() == 0)
    }

    /// Sleeps; wakes early for a reload and for shutdown.
    pub(crate) async fn sleep(&self, span: Duration) {
        let until = self.clock.uptime().after(span);
        let generation = self.generation.get();
        // A loop, because `wake_uplink` is also signalled for new alerts, which must not end a backoff. Nothing is lost
        // with such a signal: a new connection begins by reading the spool.
        while self.clock.uptime() < until && !self.is_stopping() && self.generation.get() == generation {
            let timer = async {
                Timer::at(self.clock.instant(until)).await;
            };
            future::or(self.wake_uplink.wait(), timer).await;
        }
    }

    /// Reads the file that names the collector: `sentinel enroll` may have run since. Another collector is connected to at
    /// once. A file that cannot be read changes nothing and is logged once.
    pub(crate) fn reload_enrollment(&self) {
        let found = keys::collector(&self.settings.borrow().state_dir);
        let problem = match found {
            Ok(found) => {
                // Without the file collector and problem stay: only a new enrollment replaces them.
                if found.is_none() {
                    return;
                }
                if found != *self.collector.borrow() {
                    self.collector.replace(found);
                    self.apply_evidence();
                    self.reconnect();
                }
                None
            }
            Err(failure) => Some(failure.to_string()),
        };
        if let Some(problem) =
            problem.as_ref().filter(|new| self.collector_problem.borrow().as_ref() != Some(*new))
        {
            log::warn(format_args!("{problem}"));
        }
        self.collector_problem.replace(problem);
    }

    /// Takes over an enrollment that was just made: connects again at once, also to the same collector, because it may have
    /// refused the sensor before.
    ///
    /// # Errors
    /// The reason why the enrollment cannot be read.
    pub(crate) fn enrolled(&self) -> Result<(), String> {
        self.reload_enrollment();
        if let Some(problem) = &*self.collector_problem.borrow() {
            return Err(problem.clone());
        }
        self.link.borrow_mut().last_error = None;
        // Ends a connection, and the wait for the next one.
        self.generation.set(self.generation.get().wrapping_add(1));
        self.wake_uplink.notify();
        Ok(())
    }

    /// Records the state of the uplink.
    pub(crate) fn set_link(&self, phase: LinkPhase) {
        let mut link = self.link.borrow_mut();
        if link.phase != phase {
            link.phase = phase;
            link.since = self.clock.uptime();
            if phase == LinkPhase::Connected {
                log::info(format_args!("connected to the collector"));
                // Cleared, so that the next disconnect is logged also if its reason is the one before.
                link.last_error = None;
            }
        }
    }

    /// Records the end of a connection; logs it unless the reason is the same as before.
    pub(crate) fn link_lost(&self, reason: &DisconnectReason, wait: Duration) {
        // Before the borrow below, because it borrows the state itself.
        self.set_link(LinkPhase::Waiting);
        let mut link = self.link.borrow_mut();
        link.failures += 1;
        let reason = reason.to_string();
        if link.last_error.as_ref() != Some(&reason) {
            log::warn(format_args!("uplink: {reason}; next attempt in {}", span(wait)));
            link.last_error = Some(reason);
        }
    }

    /// `br-lan, eth1`
    pub(crate) fn interface_list(&self) -> String {
        self.settings.borrow().interface.join(", ")
    }

    /// Counters for the collector.
    pub(crate) fn telemetry(&self) -> Telemetry {
        let frames = self.workers.frame_counts();
        let snapshot = &frames.snapshot;
        let spool = self.spool.borrow();
        let books = spool.books();
        let visibility = self.visibility.compare(&frames);
        let worst = visibility.worst();
        let mut telemetry = Telemetry::new();
        for (counter, value) in [
            (Counter::UptimeMs, self.clock.uptime().as_millis()),
            (Counter::FramesSeen, frames.seen()),
            (Counter::FramesAnalysed, snapshot.analysed),
            (Counter::FramesFiltered, frames.filtered() + snapshot.unsupported),
            (Counter::FramesDropped, snapshot.dropped()),
            (Counter::RingFreezes, snapshot.freezes()),
            (Counter::Malformed, snapshot.malformed),
            (Counter::Truncated, snapshot.truncated),
            (Counter::TableEvictions, snapshot.evictions),
            (Counter::AlertsRaised, books.raised + books.kept),
            (Counter::AlertsDelivered, books.delivered),
            (Counter::AlertsEvicted, books.lost),
            (Counter::SpoolBytes, spool.waiting_bytes()),
            (Counter::LogBytesWritten, spool.log().stats().main_bytes),
            (Counter::ResidentKib, resident_kib()),
            (Counter::OpenIncidents, snapshot.open_incidents),
            (Counter::Reconnects, self.link.borrow().failures),
            (Counter::SettingsSetAside, u64::try_from(self.set_aside.borrow().len()).unwrap_or(u64::MAX)),
            (Counter::CanariesMissed, self.watchdog.canaries_missed().into()),
            (Counter::InterfaceBytes, visibility.carried),
            (Counter::HiddenBytes, visibility.hidden),
            (Counter::WorstInterface, worst.0),
            (Counter::WorstInterfacePercent, worst.1),
            (Counter::FlowOffload, visibility.flow_offload()),
            (Counter::RunDelivered, books.delivered.saturating_sub(books.earlier_delivered())),
            (Counter::ClockMs, (wall().as_micros() / 1_000).max(1)),
        ] {
            telemetry.set(counter, value);
        }
        telemetry
    }
}
