//! Waiting for a condition instead of sleeping.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Patience with things that take milliseconds: long enough for a busy machine, short enough for a person.
pub const WAIT_TIMEOUT: Duration = Duration::from_secs(20);
/// Time between two looks.
const INTERVAL: Duration = Duration::from_millis(10);

/// Looks again and again until `look` finds what it wants.
///
/// # Errors
/// What `look` says, at once; and that `what` has not come when `patience` is over.
pub fn until<T>(what: &str, patience: Duration, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if Instant::now() >= deadline {
            bail!("{what}: not within {} s", patience.as_secs_f32());
        }
        thread::sleep(INTERVAL);
    }
}

/// As [`until`], for a condition that is true or not.
///
/// # Errors
/// As [`until`].
pub fn until_true(what: &str, patience: Duration, mut look: impl FnMut() -> Result<bool>) -> Result<()> {
    until(what, patience, || Ok(look()?.then_some(())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_returns_what_is_found_and_names_what_is_not() {
        let mut looks = 0;
        let found = until("the third look", WAIT_TIMEOUT, || {
            looks += 1;
            Ok((looks == 3).then_some(looks))
        });
        assert_eq!(found.unwrap(), 3);
        let error = until_true("rain", Duration::from_millis(1), || Ok(false)).unwrap_err().to_string();
        assert_eq!(error, "rain: not within 0.001 s");
    }

    #[test]
    fn an_error_ends_the_waiting() {
        let error = until_true("rain", WAIT_TIMEOUT, || bail!("no sky")).unwrap_err().to_string();
        assert_eq!(error, "no sky");
    }
}
