//! Status socket: each connection gets one JSON object and the end of the stream.

use std::fmt::Write;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use sentinel_alert::json;
use sentinel_units::millis;
use smol::io::AsyncWriteExt;
use smol::{Async, Timer, future};

use crate::control::state::Shared;
use crate::control::workers::FrameCounts;
use crate::settings::Settings;
use crate::spool::{DeliveredAlerts, Spool};
use crate::system::damage::Damage;
use crate::system::process::{host_name, resident_kib};
use crate::worker::analyser;
use crate::worker::pulse::Pulse;
use crate::worker::snapshot::Snapshot;

/// Name of the socket in the run directory.
const SOCKET_FILE: &str = "sentinel.sock";
/// Limit of one answer; a slower reader is dropped.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);

/// Path of the socket of a sensor with this run directory.
pub(crate) fn path(run_dir: &Path) -> PathBuf {
    run_dir.join(SOCKET_FILE)
}

/// Serves the connections one after the other.
pub(crate) async fn serve(shared: Rc<Shared>, listener: Async<UnixListener>) {
    loop {
        // An error of accept, such as too many open files, stays for a while: the pause keeps this loop from spinning.
        let Ok((mut stream, _)) = listener.accept().await else {
            Timer::after(WRITE_TIMEOUT).await;
            continue;
        };
        let mut answer = String::new();
        // Written as a whole before the first byte is sent: the borrows of the shared state end before the await.
        if write(&shared, &mut answer).is_err() {
            continue;
        }
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
    write!(out, "{{\"version\":\"{}\",\"uptime_ms\":", env!("CARGO_PKG_VERSION"))?;
    write!(out, "{},\"boot\":{},\"host\":", shared.clock.uptime().as_millis(), spool.boot())?;
    json::string(&host_name(), out)?;
    write!(out, ",\"capturing\":{},\"filter\":", shared.workers.is_capturing())?;
    json::string(&shared.filter(), out)?;
    let is_override = shared.filter_override.borrow().is_some();
    write!(out, ",\"filter_source\":\"{}\"", if is_override { "ctl" } else { "settings" })?;
    write_reload(shared, out)?;
    write!(out, ",\"kernel_snap\":\"{}\"", settings.kernel_snap.name())?;
    write_interfaces(&frames, &settings.interface, out)?;
    write_frames(&frames, out)?;
    write_workers(shared, out)?;
    out.push_str(",\"visibility\":");
    shared.visibility.report(&frames).write(&settings.interface, out)?;
    out.push_str(",\"privileges\":");
    shared.privileges.write(out)?;
    write_watchdog(shared, out)?;
    let clients = &shared.local_clients;
    write!(out, ",\"local_clients\":{{\"too_slow\":{}", clients.too_slow.get())?;
    write!(out, ",\"too_many\":{}}}", clients.too_many.get())?;
    write_alerts(&frames.snapshot, &spool, out)?;
    write_link(shared, out)?;
    write_log(&spool, out)?;
    write_damage(spool.damages(), out)?;
    write_memory(&frames.snapshot, &settings, out)?;
    out.push_str("}\n");
    Ok(())
}

/// The last reload: `null` if there was none; with the reason, if settings did not take effect.
fn write_reload(shared: &Shared, out: &mut String) -> std::fmt::Result {
    out.push_str(",\"reload\":");
    match &*shared.last_reload.borrow() {
        Some(reload) => {
            write!(out, "{{\"time\":\"{}\",\"ok\":{}", reload.at.rfc3339(), reload.error.is_none())?;
            out.push_str(",\"error\":");
            optional_string(reload.error.as_deref(), out)?;
            out.push('}');
        }
        None => out.push_str("null"),
    }
    Ok(())
}

fn write_interfaces(frames: &FrameCounts, names: &[String], out: &mut String) -> std::fmt::Result {
    out.push_str(",\"interfaces\":[");
    let counts = frames.snapshot.interfaces.iter().zip(&frames.refused);
    for (index, (name, (counts, refused))) in names.iter().zip(counts).enumerate() {
        out.push_str(if index == 0 { "{\"name\":" } else { ",{\"name\":" });
        json::string(name, out)?;
        write!(out, ",\"open\":{},\"seen\":{}", counts.is_open != 0, counts.seen() + refused)?;
        write!(out, ",\"filtered\":{refused},\"dropped\":{}", counts.dropped)?;
        write!(out, ",\"freezes\":{}}}", counts.freezes)?;
    }
    out.push(']');
    Ok(())
}

/// Alerts: `raised` and `earlier_runs.kept` add up to `delivered`, `waiting` and `lost`; `kept` within `earlier_runs` to the
/// three of them.
fn write_alerts(snapshot: &Snapshot, spool: &Spool, out: &mut String) -> std::fmt::Result {
    let (counts, books) = (spool.counts(), spool.books());
    write!(out, ",\"alerts\":{{\"raised\":{},\"stored\":{}", books.raised, counts.stored)?;
    write!(out, ",\"delivered\":{},\"waiting\":{}", books.delivered, books.waiting)?;
    write!(out, ",\"lost\":{},\"lost_queue_full\":{}", books.lost, counts.lost_queue)?;
    write!(out, ",\"lost_spool_full\":{},\"lost_storage\":{}", counts.lost_full, counts.lost_storage)?;
    write!(out, ",\"lost_flash_limit\":{}", counts.lost_limit)?;
    write!(out, ",\"earlier_runs\":{{\"kept\":{}", books.kept)?;
    write!(out, ",\"delivered\":{},\"waiting\":{}", books.earlier_delivered(), books.earlier_waiting)?;
    write!(out, ",\"lost\":{}}},\"previous_run\":", books.earlier_lost)?;
    match spool.previous_end() {
        Some(end) => {
            write!(out, "{{\"boot\":{},\"next_seq\":{}", end.boot, end.next_seq)?;
            write!(out, ",\"complete\":{},\"end\":\"{}\"}}", end.cause.is_complete(), end.cause)?;
        }
        None => out.push_str("null"),
    }
    write!(out, ",\"open_incidents\":{}}}", snapshot.open_incidents)
}

/// Memory of the process, and of the tables of all workers together.
fn write_memory(snapshot: &Snapshot, settings: &Settings, out: &mut String) -> std::fmt::Result {
    write!(out, ",\"memory\":{{\"resident_kib\":{}", resident_kib())?;
    write!(out, ",\"evictions\":{}", snapshot.evictions)?;
    write!(out, ",\"incidents_closed_early\":{},\"tables\":[", snapshot.closed_early)?;
    let workers = usize::try_from(settings.workers).unwrap_or(1);
    let share = analyser::share(settings.memory_kib, settings.workers);
    for (index, table) in analyser::tables(share).enumerate() {
        out.push_str(if index == 0 { "{" } else { ",{" });
        let (slots, bytes) = (table.slots * workers, table.bytes() * workers);
        write!(out, "\"name\":\"{}\",\"slots\":{slots},\"bytes\":{bytes}}}", table.name)?;
    }
    write!(out, "],\"ring_kib\":{}}}", settings.ring_kib)
}

/// Frame accounting: frames seen = analysed + filtered + dropped + unsupported + still in the ring.
fn write_frames(frames: &FrameCounts, out: &mut String) -> std::fmt::Result {
    let snapshot = &frames.snapshot;
    let (seen, filtered, dropped) = (frames.seen(), frames.filtered(), snapshot.dropped());
    // Frames that the kernel has counted and the worker has not taken are in the ring.
    let waiting = seen.saturating_sub(filtered + dropped + snapshot.analysed + snapshot.unsupported);
    write!(out, ",\"frames\":{{\"seen\":{seen},\"analysed\":{}", snapshot.analysed)?;
    write!(out, ",\"filtered\":{filtered},\"unsupported\":{}", snapshot.unsupported)?;
    write!(out, ",\"dropped\":{dropped},\"in_ring\":{waiting},\"freezes\":{}", snapshot.freezes())?;
    write!(out, ",\"malformed\":{},\"truncated\":{}}}", snapshot.malformed, snapshot.truncated)
}

/// Watchdog of the service manager, and runs in the log that ended by a fault; canary packets are with each worker.
fn write_watchdog(shared: &Shared, out: &mut String) -> std::fmt::Result {
    let watchdog = shared.watchdog;
    let manager = watchdog.manager.as_ref();
    let limit_ms = manager.and_then(|manager| manager.watchdog).map_or(0, millis);
    write!(out, ",\"watchdog\":{{\"service_manager\":{},\"limit_ms\":{limit_ms}", manager.is_some())?;
    let faults = shared.spool.borrow().faults();
    write!(out, ",\"fed\":{},\"restarts_in_log\":{faults}}}", watchdog.fed())
}

/// Frame accounting of each worker. Frames that a filter refuses reach none of them.
fn write_workers(shared: &Shared, out: &mut String) -> std::fmt::Result {
    out.push_str(",\"workers\":[");
    for (index, snapshot) in shared.workers.snapshots().each().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let (seen, dropped) = (snapshot.seen(), snapshot.dropped());
        let waiting = seen.saturating_sub(dropped + snapshot.analysed + snapshot.unsupported);
        write!(out, "{comma}{{\"seen\":{seen},\"analysed\":{}", snapshot.analysed)?;
        write!(out, ",\"unsupported\":{},\"dropped\":{dropped}", snapshot.unsupported)?;
        write!(out, ",\"in_ring\":{waiting},\"raised\":{}", snapshot.raised)?;
        write!(out, ",\"handoff_overflow\":{}", snapshot.handoff_overflow)?;
        if let Some(reading) = shared.watchdog.pulses.get(index).map(Pulse::read) {
            write!(out, ",\"canary\":{{\"answered\":{},\"wrong\":{}", reading.answered, reading.wrong)?;
            let age_ms = (reading.answered > 0).then(|| reading.age_ms(shared.clock.uptime()));
            out.push_str(",\"age_ms\":");
            match age_ms {
                Some(age_ms) => write!(out, "{age_ms}")?,
                None => out.push_str("null"),
            }
            write!(out, ",\"took_us\":{}}}", reading.took_us)?;
        }
        out.push('}');
    }
    out.push(']');
    Ok(())
}

fn write_link(shared: &Shared, out: &mut String) -> std::fmt::Result {
    let link = shared.link.borrow();
    let since = millis(shared.clock.uptime().since(link.since));
    write!(out, ",\"uplink\":{{\"state\":\"{}\",\"since_ms\":{since}", link.phase.name())?;
    out.push_str(",\"collector\":");
    match (&*shared.collector.borrow(), &link.address) {
        (Some(_), Some(address)) => json::string(address, out)?,
        (Some(collector), None) => json::string(&collector.address, out)?,
        (None, _) => out.push_str("null"),
    }
    write!(out, ",\"key_waiting\":{}", link.is_key_waiting)?;
    write!(out, ",\"failures\":{},\"last_error\":", link.failures)?;
    optional_string(link.last_error.as_deref(), out)?;
    out.push_str(",\"enrollment_problem\":");
    optional_string(shared.collector_problem.borrow().as_deref(), out)?;
    out.push('}');
    Ok(())
}

fn write_log(spool: &Spool, out: &mut String) -> std::fmt::Result {
    let (stats, counts) = (spool.log().stats(), spool.counts());
    let records = spool.log().next_id().since(spool.log().oldest());
    write!(out, ",\"log\":{{\"records\":{records},\"flash_bytes\":{}", stats.main_bytes)?;
    write!(out, ",\"journal_bytes\":{},\"rotations\":{}", stats.journal_bytes, stats.rotations)?;
    write!(out, ",\"overwritten\":{},\"write_errors\":{}", stats.overwritten, stats.write_errors)?;
    write!(
        out,
        ",\"relocated\":{},\"flushes_deferred\":{},\"dropped\":{}",
        counts.relocated, counts.deferred, counts.dropped
    )?;
    write!(
        out,
        ",\"flash_bytes_day\":{},\"flash_limit_reached\":{},\"last_error\":",
        spool.day_bytes(),
        spool.is_limit_reached()
    )?;
    optional_string(spool.last_error(), out)?;
    let (state, key) = match spool.delivered_alerts() {
        DeliveredAlerts::SealedTo(key) => ("sealed", Some(key.to_string())),
        DeliveredAlerts::Unreadable => ("unreadable", None),
        DeliveredAlerts::Readable => ("readable", None),
    };
    write!(out, ",\"delivered_alerts\":\"{state}\",\"evidence_key\":")?;
    optional_string(key.as_deref(), out)?;
    out.push_str(",\"notice\":");
    optional_string(spool.notice(), out)?;
    out.push('}');
    Ok(())
}

/// Damage to files of the sensor that was found at the start.
fn write_damage(damages: &[Damage], out: &mut String) -> std::fmt::Result {
    out.push_str(",\"damage\":[");
    for (index, damage) in damages.iter().enumerate() {
        out.push_str(if index == 0 { "" } else { "," });
        write!(out, "{{\"file\":\"{}\",\"moved_aside\":{}", damage.file, damage.moved_in.is_some())?;
        out.push_str(",\"problem\":");
        json::string(&damage.problem, out)?;
        out.push('}');
    }
    out.push(']');
    Ok(())
}

fn optional_string(text: Option<&str>, out: &mut String) -> std::fmt::Result {
    match text {
        Some(text) => json::string(text, out),
        None => {
            out.push_str("null");
            Ok(())
        }
    }
}
