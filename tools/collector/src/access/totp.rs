//! Time-based one-time codes (RFC 6238): HMAC-SHA-1, six digits, steps of 30 s, as every application for them takes them.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sentinel_units::Timestamp;
use sha1::Sha1;

use super::secret::{base32, is_equal};
use crate::store::StoreError;
use crate::store::key::random;

/// Length of a secret in bytes, that of SHA-1 (RFC 4226 section 4).
pub const SECRET_LEN: usize = 20;
/// Length of a time step in seconds.
const STEP_S: u64 = 30;
/// Steps before and after the present one whose codes are taken: clocks of phones differ.
const WINDOW: i64 = 1;
const DIGITS: usize = 6;

/// A new secret.
///
/// # Errors
/// [`StoreError::Io`] if the system has no random source.
pub fn generate() -> Result<[u8; SECRET_LEN], StoreError> {
    let mut secret = [0; SECRET_LEN];
    random(&mut secret)?;
    Ok(secret)
}

/// The step of the code `typed`, if it is one of `secret` at `now` and later than `last`: a code is taken once.
#[must_use]
pub fn verify(secret: &[u8], typed: &str, now: Timestamp, last: i64) -> Option<i64> {
    let typed: String = typed.chars().filter(|char| !char.is_whitespace()).take(DIGITS + 1).collect();
    let present = i64::try_from(now.as_secs() / STEP_S).unwrap_or(i64::MAX - WINDOW);
    let mut found = None;
    // Every step is compared: the time does not tell which one was right.
    for step in present - WINDOW..=present + WINDOW {
        if is_equal(code(secret, step).as_bytes(), typed.as_bytes()) && step > last {
            found = Some(step);
        }
    }
    found
}

/// Code of the present step, as an application shows it.
#[must_use]
pub fn present(secret: &[u8], now: Timestamp) -> String {
    code(secret, i64::try_from(now.as_secs() / STEP_S).unwrap_or(i64::MAX))
}

/// Code of one step (RFC 4226 section 5.3).
fn code(secret: &[u8], step: i64) -> String {
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(secret) else { return String::new() }; // takes keys of any length
    mac.update(&step.to_be_bytes());
    let tag: [u8; 20] = mac.finalize().into_bytes().into();
    let [.., last] = tag;
    let offset = usize::from(last & 15);
    let word =
        tag.get(offset..offset + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes);
    format!("{:06}", (word & 0x7fff_ffff) % 1_000_000)
}

/// Secret as text, and as a URI that applications take (Key URI format).
#[must_use]
pub fn texts(secret: &[u8], user: &str) -> (String, String) {
    let text = base32(secret);
    // Names of users are letters, digits and `._-`: nothing to escape.
    let uri = format!("otpauth://totp/Sentinel:{user}?secret={text}&issuer=Sentinel");
    (text, uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"12345678901234567890";

    /// RFC 6238 appendix B, the last six of eight digits.
    #[test]
    fn the_vectors_of_the_standard() {
        for (seconds, expected) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
        ] {
            let now = Timestamp::from_parts(seconds, 0);
            let step = i64::try_from(seconds / STEP_S).unwrap();
            assert_eq!(verify(SECRET, expected, now, 0), Some(step), "{seconds}");
        }
    }

    #[test]
    fn a_code_is_taken_once_and_within_a_minute_and_a_half() {
        let at = |seconds| Timestamp::from_parts(seconds, 0);
        assert_eq!(verify(SECRET, "287 082", at(59), 0), Some(1));
        assert_eq!(verify(SECRET, "287082", at(59), 1), None, "used already");
        assert_eq!(verify(SECRET, "287082", at(89), 0), Some(1), "one step later");
        assert_eq!(verify(SECRET, "287082", at(90), 0), None, "two steps later");
        assert_eq!(verify(SECRET, "287082", at(29), 0), Some(1), "one step earlier");
        for wrong in ["", "287083", "28708", "2870820", "０87082"] {
            assert_eq!(verify(SECRET, wrong, at(59), 0), None, "{wrong}");
        }
    }

    #[test]
    fn the_secret_is_shown_as_applications_take_it() {
        let (text, uri) = texts(SECRET, "anna");
        assert_eq!(text, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert!(
            uri.starts_with("otpauth://totp/Sentinel:anna?secret=GEZD") && uri.ends_with("&issuer=Sentinel")
        );
    }
}
