//! Supervision of workers and interfaces, once a second.

use std::rc::Rc;
use std::time::Duration;

use smol::Timer;

use crate::control::reload::follow_networks;
use crate::control::state::Shared;
use crate::terminal::failure::{FAULT_EXIT_CODE, Failure};
use crate::terminal::log;
use crate::worker::interface::{existing_interfaces, interface_prefixes};
use crate::worker::presence::Presence;
use crate::worker::routes;

const SUPERVISION_INTERVAL: Duration = Duration::from_secs(1);
/// Time between two checks at the start whether all workers run.
const START_INTERVAL: Duration = Duration::from_millis(5);
/// Rounds between two checks of networks and relations: an address may come seconds after its interface (PPP), and a port is
/// added to a bridge at any time.
const CHECK_ROUNDS: u32 = 30;

/// Waits until the watchdog finds a fault, which it never should.
pub(crate) async fn fault(shared: &Shared) -> Failure {
    loop {
        if let Some(found) = shared.watchdog.fault() {
            // At once: ending in order may take until the watchdog aborts.
            log::error(format_args!(
                "{found}; the sensor ends with exit code {FAULT_EXIT_CODE}, to be started again"
            ));
            return Failure::fault(&found);
        }
        shared.wake_main.wait().await;
    }
}

/// Logs captured interfaces that vanish and come, and follows their networks and relations. Runs as long as the executor.
pub(crate) async fn interfaces(shared: Rc<Shared>) {
    let mut presence = Presence::default();
    // `presence` must not see the snapshots of before the first.
    while !shared.workers.snapshots().are_published() {
        Timer::after(START_INTERVAL).await;
    }
    let captured = shared.settings.borrow().interface.clone();
    let mut networks = interface_prefixes(&captured).unwrap_or_default();
    let mut overlap = None;
    let mut rounds_until_check: u32 = CHECK_ROUNDS;
    let mut wrong_before = false;
    loop {
        shared.watchdog.control_beat();
        wrong_before = warn_of_wrong_answers(&shared, wrong_before);
        shared.workers.follow_interfaces();
        shared.workers.save_devices(&shared.settings.borrow().state_dir, shared.clock.uptime(), false);
        let counts = shared.workers.snapshots().read().interfaces;
        let has_come = presence.log_changes(&counts, &captured);
        rounds_until_check -= 1;
        if has_come || rounds_until_check == 0 {
            rounds_until_check = CHECK_ROUNDS;
            networks = follow_networks(&shared, networks).await;
            overlap = warn_of_overlap(&shared, &captured, overlap.as_deref());
        }
        Timer::after(SUPERVISION_INTERVAL).await;
    }
}

/// Logs the first canary packet that was analysed wrongly. Returns true if there was one.
fn warn_of_wrong_answers(shared: &Shared, is_logged: bool) -> bool {
    let wrong = shared.watchdog.pulses.iter().position(|pulse| pulse.read().wrong > 0);
    if let Some(worker) = wrong.filter(|_| !is_logged) {
        log::error(format_args!(
            "worker {worker} has analysed a canary packet wrongly; it may overlook attacks"
        ));
    }
    wrong.is_some()
}

/// Warns if two captured interfaces see the same frames or routed packets since the start, because one became a port of the
/// other or got an address; once for each pair. Gives the warning that holds.
fn warn_of_overlap(shared: &Shared, captured: &[String], before: Option<&str>) -> Option<String> {
    let is_allowed = shared.settings.borrow().allow_overlap;
    let existing = existing_interfaces().unwrap_or_default();
    // The rules of the firewall were read at the start, with privileges that are gone.
    let now = routes::check(captured, &existing, is_allowed, false).err();
    if let Some(text) = now.as_deref().filter(|now| before != Some(now)) {
        log::warn(format_args!("interfaces: {text}"));
    }
    now
}
