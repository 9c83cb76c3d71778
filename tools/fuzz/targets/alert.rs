//! Alerts from the wire, and back: what decodes must encode to something that decodes to the same.
#![no_main]

use sentinel_alert::wire;
use sentinel_units::Timestamp;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok((alert, _)) = wire::decode(bytes, Timestamp::ZERO) else { return };
    let mut json = String::new();
    sentinel_alert::json::write(&alert, None, &mut json).unwrap();
    let mut buffer = [0; wire::MAX_ALERT_LEN];
    let again = wire::encode(&alert, Timestamp::ZERO, &mut buffer).unwrap();
    assert_eq!(wire::decode(again, Timestamp::ZERO).unwrap().0, alert);
});
