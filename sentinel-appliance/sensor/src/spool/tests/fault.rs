//! End of a run by the watchdog.

use sentinel_uplink::RunEnd;

use super::*;

/// A worker that hangs cannot close its incidents, and nobody would know that the run is complete.
#[test]
fn a_run_that_ends_after_a_fault_closes_its_incidents_and_is_complete_without_a_write_to_flash() {
    let place = place();
    let mut spool = place.open();
    let boot = spool.boot();
    for (incident, phase) in [(1, Phase::Open), (2, Phase::Open), (1, Phase::Update), (2, Phase::Close)] {
        spool.enqueue(&Alert { phase, suppressed: 3, ..alert(incident, Severity::Medium) }, NOW);
    }
    let written = spool.log().stats().main_bytes;
    spool.end_run_after_fault(NOW);
    assert_eq!(spool.log().stats().main_bytes, written);
    drop(spool);
    let mut spool = place.open();
    let end = RunEnd { boot, next_seq: 6, cause: EndCause::Fault };
    assert_eq!((spool.previous_end(), spool.faults()), (Some(end), 1));
    let mut last = None;
    spool.unsent(|_, item| {
        if let Item::Alert(id, alert) = item {
            last = Some((id, alert.incident, alert.phase, alert.suppressed));
        }
        true
    });
    assert_eq!(last, Some((AlertId { boot, seq: 5 }, 1, Phase::Close, 0)));
    spool.end_run(EndCause::Stopped);
    drop(spool);
    assert_eq!(place.open().faults(), 1, "counted while it is in the log");
}
