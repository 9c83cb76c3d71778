//! Status socket: each connection gets one JSON object and the end of the stream.

use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use sentinel_units::millis;
use smol::io::AsyncWriteExt;
use smol::{Async, Timer, future};

use crate::control::json_object::Object;
use crate::control::state::Shared;
use crate::control::workers::FrameCounts;
use crate::settings::Settings;
use crate::spool::{DeliveredAlerts, Spool};
use crate::system::clock;
use crate::system::damage::Damage;
use crate::system::process::{host_name, resident_kib};
use crate::system::restarts::{CAUSES, Restarts};
use crate::worker::pulse::Pulse;
use crate::worker::snapshot::Snapshot;
use crate::worker::{analyser, memory};

/// Name of the socket in the run directory.
const SOCKET_FILE: &str = "sentinel.sock";
/// Number of the form of the answer. It grows when a member changes its meaning or goes; new members may come without.
const SCHEMA: u64 = 1;
/// Settings that were set aside which an answer names; all are counted.
const NAMED_SET_ASIDE: usize = 8;
/// Limit of one answer; a slower reader is dropped.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);

/// Path of the socket of a sensor with this run directory.
pub(crate) fn path(run_dir: &Path) -> PathBuf {
    run_dir.join(SOCKET_FILE)
}

/// Status as one JSON object and a line feed.
pub(crate) fn answer(shared: &Shared) -> Option<String> {
    let mut answer = String::new();
    write(shared, &mut answer).is_ok().then_some(answer)
}

/// Serves the connections one after the other.
pub(crate) async fn serve(shared: Rc<Shared>, listener: Async<UnixListener>) {
    loop {
        // An error of accept, such as too many open files, stays for a while: the pause keeps this loop from spinning.
        let Ok((mut stream, _)) = listener.accept().await else {
            Timer::after(WRITE_TIMEOUT).await;
            continue;
        };
        // Written as a whole before the first byte is sent: the borrows of the shared state end before the await.
        let Some(answer) = answer(&shared) else { continue };
        let timeout = async {
            Timer::after(WRITE_TIMEOUT).await;
            shared.local_clients.too_slow.set(shared.local_clients.too_slow.get() + 1);
            Ok(())
        };
        // The kernel's buffer has room for the whole answer, so that a client that reads nothing holds up nobody.
        let _reader_gone = future::or(stream.write_all(answer.as_bytes()), timeout).await;
    }
}

/// Writes the status as one JSON object. Counters are numbers; all stay below 2^53 for the life of a device.
fn write(shared: &Shared, out: &mut String) -> std::fmt::Result {
    let frames = shared.workers.frame_counts();
    let settings = shared.settings.borrow();
    let spool = shared.spool.borrow();
    let mut status = Object::begin(out);
    status.number("schema", SCHEMA);
    status.text("time", &clock::wall().rfc3339().to_string());
    status.text("version", env!("CARGO_PKG_VERSION"));
    status.number("uptime_ms", shared.clock.uptime().as_millis());
    status.number("boot", spool.boot().into());
    status.text("host", &host_name());
    status.flag("capturing", shared.workers.is_capturing());
    status.text("filter", &shared.filter());
    let is_override = shared.filter_override.borrow().is_some();
    status.text("filter_source", if is_override { "ctl" } else { "settings" });
    write_reload(shared, &mut status);
    write_set_aside(&shared.set_aside.borrow(), status.object("set_aside"));
    write_restarts(&shared.restarts, status.object("restarts"));
    status.text("kernel_snap", settings.kernel_snap.name());
    write_interfaces(&frames, &settings.interface, &mut status);
    write_frames(&frames, status.object("frames"));
    write_workers(shared, &mut status);
    shared.visibility.report(&frames).write(&settings.interface, status.member("visibility"))?;
    shared.privileges.write(status.member("privileges"))?;
    write_watchdog(shared, status.object("watchdog"));
    let mut clients = status.object("local_clients");
    clients.number("too_slow", shared.local_clients.too_slow.get());
    clients.number("too_many", shared.local_clients.too_many.get());
    clients.end();
    write_console(shared, settings.console_device.as_deref(), status.object("console"));
    write_alerts(&frames.snapshot, &spool, status.object("alerts"));
    write_link(shared, status.object("uplink"));
    write_log(&spool, status.object("log"));
    write_damage(spool.damages(), &mut status);
    write_memory(&frames.snapshot, &settings, status.object("memory"));
    status.end();
    out.push('\n');
    Ok(())
}

/// The last reload: `null` if there was none; with the reason, if settings did not take effect.
fn write_reload(shared: &Shared, status: &mut Object<'_>) {
    let last = shared.last_reload.borrow();
    let Some(reload) = &*last else { return status.optional("reload", None) };
    let mut object = status.object("reload");
    object.text("time", &reload.at.rfc3339().to_string());
    object.flag("ok", reload.error.is_none());
    object.optional("error", reload.error.as_deref());
    object.end();
}

/// Settings that are not in force as they were given.
fn write_set_aside(all: &[String], mut object: Object<'_>) {
    object.count("count", all.len());
    let mut list = object.list("settings");
    for problem in all.iter().take(NAMED_SET_ASIDE) {
        let mut member = list.object();
        member.text("problem", problem);
        member.end();
    }
    list.end();
    object.end();
}

/// Restarts since the machine started, by the end of the run before each.
fn write_restarts(restarts: &Restarts, mut object: Object<'_>) {
    object.number("since_boot", restarts.total().into());
    object.optional("latest", restarts.latest());
    for (name, count) in CAUSES.iter().zip(restarts.counts) {
        object.number(name, count.into());
    }
    object.end();
}

/// Serial console.
fn write_console(shared: &Shared, device: Option<&Path>, mut object: Object<'_>) {
    let console = shared.console.borrow();
    object.optional("device", device.and_then(Path::to_str));
    let (shown, left_out) = console.as_ref().map_or((0, 0), |console| (console.shown, console.left_out));
    object.number("alerts_shown", shown.into());
    object.number("alerts_left_out", left_out.into());
    object.optional("problem", shared.console_problem.borrow().as_deref());
    object.end();
}

fn write_interfaces(frames: &FrameCounts, names: &[String], status: &mut Object<'_>) {
    let mut interfaces = status.list("interfaces");
    let counts = frames.snapshot.interfaces.iter().zip(&frames.refused);
    for (name, (counts, refused)) in names.iter().zip(counts) {
        let mut interface = interfaces.object();
        interface.text("name", name);
        interface.flag("open", counts.is_open != 0);
        interface.number("seen", counts.seen() + refused);
        interface.number("filtered", *refused);
        interface.number("dropped", counts.dropped);
        interface.number("freezes", counts.freezes);
        interface.end();
    }
    interfaces.end();
}

/// Alerts: `raised` and `earlier_runs.kept` add up to `delivered`, `waiting` and `lost`; `kept` within `earlier_runs` to the
/// three of them.
fn write_alerts(snapshot: &Snapshot, spool: &Spool, mut alerts: Object<'_>) {
    let (counts, books) = (spool.counts(), spool.books());
    alerts.number("raised", books.raised);
    alerts.number("stored", counts.stored);
    alerts.number("delivered", books.delivered);
    alerts.number("waiting", books.waiting);
    alerts.number("lost", books.lost);
    alerts.number("lost_queue_full", counts.lost_queue);
    alerts.number("lost_spool_full", counts.lost_full);
    alerts.number("lost_storage", counts.lost_storage);
    alerts.number("lost_flash_limit", counts.lost_limit);
    alerts.number("log_only", counts.log_only);
    let mut earlier = alerts.object("earlier_runs");
    earlier.number("kept", books.kept);
    earlier.number("delivered", books.earlier_delivered());
    earlier.number("waiting", books.earlier_waiting);
    earlier.number("lost", books.earlier_lost);
    earlier.end();
    if let Some(end) = spool.previous_end() {
        let mut previous = alerts.object("previous_run");
        previous.number("boot", end.boot.into());
        previous.number("next_seq", end.next_seq);
        previous.flag("complete", end.cause.is_complete());
        previous.text("end", &end.cause.to_string());
        previous.end();
    } else {
        alerts.optional("previous_run", None);
    }
    alerts.number("open_incidents", snapshot.open_incidents);
    alerts.number("allowed_findings", snapshot.allowed);
    alerts.end();
}

/// Memory of the process, and of the tables of all workers together.
fn write_memory(snapshot: &Snapshot, settings: &Settings, mut memory: Object<'_>) {
    memory.number("resident_kib", resident_kib());
    memory.number("tables_kib", settings.memory_kib.into());
    memory.number("evictions", snapshot.evictions);
    memory.number("incidents_closed_early", snapshot.closed_early);
    memory.number("dns_messages_unread", snapshot.unread_messages);
    memory.number("first_payloads_unread", snapshot.unread_payloads);
    let mut tables = memory.list("tables");
    let workers = usize::try_from(settings.workers).unwrap_or(1);
    let share = memory::share(settings.memory_kib, settings.workers);
    for table in analyser::tables(share) {
        let mut object = tables.object();
        object.text("name", table.name);
        object.count("slots", table.slots * workers);
        object.count("bytes", table.bytes() * workers);
        object.end();
    }
    tables.end();
    memory.number("ring_kib", settings.ring_kib.into());
    memory.end();
}

/// Frame accounting: frames seen = analysed + filtered + dropped + unsupported + still in the ring.
fn write_frames(frames: &FrameCounts, mut object: Object<'_>) {
    let snapshot = &frames.snapshot;
    let (seen, filtered, dropped) = (frames.seen(), frames.filtered(), snapshot.dropped());
    // Frames that the kernel has counted and the worker has not taken are in the ring.
    let waiting = seen.saturating_sub(filtered + dropped + snapshot.analysed + snapshot.unsupported);
    object.number("seen", seen);
    object.number("analysed", snapshot.analysed);
    object.number("filtered", filtered);
    object.number("unsupported", snapshot.unsupported);
    object.number("dropped", dropped);
    object.number("in_ring", waiting);
    object.number("freezes", snapshot.freezes());
    object.number("malformed", snapshot.malformed);
    object.number("truncated", snapshot.truncated);
    object.end();
}

/// Watchdog of the service manager, and runs in the log that ended by a fault; canary packets are with each worker.
fn write_watchdog(shared: &Shared, mut object: Object<'_>) {
    let watchdog = shared.watchdog;
    let manager = watchdog.manager.as_ref();
    object.flag("service_manager", manager.is_some());
    object.number("limit_ms", manager.and_then(|manager| manager.watchdog).map_or(0, millis));
    object.number("fed", watchdog.fed().into());
    object.number("restarts_in_log", shared.spool.borrow().faults().into());
    let canary = &shared.kernel_canary;
    object.number("canary_frames", canary.sent.get().into());
    object.number("canary_frames_missed", watchdog.canaries_missed().into());
    object.optional("canary_problem", canary.problem.borrow().as_deref());
    object.end();
}

/// Frame accounting of each worker. Frames that a filter refuses reach none of them.
fn write_workers(shared: &Shared, status: &mut Object<'_>) {
    let mut workers = status.list("workers");
    for (index, snapshot) in shared.workers.snapshots().each().enumerate() {
        let (seen, dropped) = (snapshot.seen(), snapshot.dropped());
        let waiting = seen.saturating_sub(dropped + snapshot.analysed + snapshot.unsupported);
        let mut worker = workers.object();
        worker.number("seen", seen);
        worker.number("analysed", snapshot.analysed);
        worker.number("unsupported", snapshot.unsupported);
        worker.number("dropped", dropped);
        worker.number("in_ring", waiting);
        worker.number("raised", snapshot.raised);
        worker.number("handoff_overflow", snapshot.handoff_overflow);
        if let Some(reading) = shared.watchdog.pulses.get(index).map(Pulse::read) {
            let mut canary = worker.object("canary");
            canary.number("answered", reading.answered.into());
            canary.number("wrong", reading.wrong.into());
            if reading.answered > 0 {
                canary.number("age_ms", reading.age_ms(shared.clock.uptime()).into());
            } else {
                canary.optional("age_ms", None);
            }
            canary.number("took_us", reading.took_us.into());
            canary.number("frames_heard", reading.heard.into());
            canary.end();
        }
        worker.end();
    }
    workers.end();
}

fn write_link(shared: &Shared, mut object: Object<'_>) {
    let link = shared.link.borrow();
    object.text("state", link.phase.name());
    object.number("since_ms", millis(shared.clock.uptime().since(link.since)));
    let collector = shared.collector.borrow();
    let enrolled = collector.as_ref().map(|collector| link.address.as_ref().unwrap_or(&collector.address));
    object.optional("collector", enrolled.map(String::as_str));
    object.flag("key_waiting", link.is_key_waiting);
    object.number("failures", link.failures);
    object.optional("last_error", link.last_error.as_deref());
    object.optional("enrollment_problem", shared.collector_problem.borrow().as_deref());
    object.end();
}

fn write_log(spool: &Spool, mut log: Object<'_>) {
    let (stats, counts) = (spool.log().stats(), spool.counts());
    log.number("records", spool.log().next_id().since(spool.log().oldest()));
    log.number("flash_bytes", stats.main_bytes);
    log.number("journal_bytes", stats.journal_bytes);
    log.number("rotations", stats.rotations);
    log.number("overwritten", stats.overwritten);
    log.number("write_errors", stats.write_errors);
    log.number("relocated", counts.relocated);
    log.number("flushes_deferred", counts.deferred);
    log.number("dropped", counts.dropped);
    log.number("flash_bytes_day", spool.day_bytes());
    log.flag("flash_limit_reached", spool.is_limit_reached());
    log.optional("last_error", spool.last_error());
    let (state, key) = match spool.delivered_alerts() {
        DeliveredAlerts::SealedTo(key) => ("sealed", Some(key.to_string())),
        DeliveredAlerts::Unreadable => ("unreadable", None),
        DeliveredAlerts::Readable => ("readable", None),
    };
    log.text("delivered_alerts", state);
    log.optional("evidence_key", key.as_deref());
    log.optional("notice", spool.notice());
    log.end();
}

/// Damage to files of the sensor that was found at the start.
fn write_damage(damages: &[Damage], status: &mut Object<'_>) {
    let mut list = status.list("damage");
    for damage in damages {
        let mut object = list.object();
        object.text("file", damage.file);
        object.flag("moved_aside", damage.moved_in.is_some());
        object.text("problem", &damage.problem);
        object.end();
    }
    list.end();
}
