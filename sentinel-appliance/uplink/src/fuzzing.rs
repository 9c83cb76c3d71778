//! Bodies for fuzzing. They take any bytes and must not panic; `tools/fuzz` and a test here call them.

use sentinel_units::Uptime;

use crate::{CollectorSession, KeyPair, Limits};

/// A stranger's bytes, as a collector sees them.
pub fn collector(bytes: &[u8]) {
    let mut session =
        CollectorSession::accept(&KeyPair::from_bytes(&[7; 32]), Limits::COLLECTOR, Uptime::ZERO);
    let mut rest = bytes;
    while !rest.is_empty() {
        let Ok(taken) = session.receive(rest) else { return };
        rest = rest.get(taken..).unwrap_or_default();
        if session.poll(Uptime::ZERO).is_err() || taken == 0 {
            return;
        }
    }
}
