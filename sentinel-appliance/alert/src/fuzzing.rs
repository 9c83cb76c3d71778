//! Fuzz bodies: functions that take any bytes and must not panic.

use sentinel_units::Timestamp;

use crate::{json, wire};

/// Fuzz body: its name, which is that of its folder in `tests/fuzz-corpus`, and the function.
pub type Body = (&'static str, fn(&[u8]));

/// Every body of this crate.
pub const BODIES: &[Body] = &[("wire", decode)];

/// Decodes an alert, formats it, and encodes it again.
///
/// # Panics
/// If an alert that was decoded cannot be encoded, or decodes to another one afterwards.
#[expect(clippy::unwrap_used, reason = "a panic is how a fuzz body reports")]
pub fn decode(bytes: &[u8]) {
    let Ok((alert, _)) = wire::decode(bytes, Timestamp::ZERO) else { return };
    json::write(&alert, None, &mut Discard).unwrap();
    let mut buffer = [0; wire::MAX_ALERT_LEN];
    let again = wire::encode(&alert, Timestamp::ZERO, &mut buffer).unwrap();
    assert_eq!(wire::decode(again, Timestamp::ZERO).unwrap().0, alert);
}

/// Formats without keeping the text.
struct Discard;

impl core::fmt::Write for Discard {
    fn write_str(&mut self, _text: &str) -> core::fmt::Result {
        Ok(())
    }
}
