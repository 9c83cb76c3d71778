//! Polling of a condition until a deadline, instead of sleeping.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Timeout of operations that take milliseconds, long enough for a busy machine.
pub const WAIT_TIMEOUT: Duration = Duration::from_secs(20);
/// Polling interval.
const INTERVAL: Duration = Duration::from_millis(10);

/// Calls `poll` every 10 ms until it returns a value. `what` names the condition in the error.
///
/// # Errors
/// The first error of `poll`; and the timeout, if there is no value when it has elapsed.
pub fn until<T>(what: &str, timeout: Duration, mut poll: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + timeout;
    loop {
        if let Some(found) = poll()? {
            return Ok(found);
        }
        if Instant::now() >= deadline {
            bail!("{what}: not within {} s", timeout.as_secs_f32());
        }
        thread::sleep(INTERVAL);
    }
}

/// Calls `poll` every 10 ms until it returns true.
///
/// # Errors
/// The errors of [`until`].
pub fn until_true(what: &str, timeout: Duration, mut poll: impl FnMut() -> Result<bool>) -> Result<()> {
    until(what, timeout, || Ok(poll()?.then_some(())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_returned_and_a_timeout_names_the_condition() {
        let mut polls = 0;
        let found = until("the third poll", WAIT_TIMEOUT, || {
            polls += 1;
            Ok((polls == 3).then_some(polls))
        });
        assert_eq!(found.unwrap(), 3);
        let error = until_true("rain", Duration::from_millis(1), || Ok(false)).unwrap_err().to_string();
        assert_eq!(error, "rain: not within 0.001 s");
    }

    #[test]
    fn an_error_ends_the_polling() {
        let error = until_true("rain", WAIT_TIMEOUT, || bail!("no sky")).unwrap_err().to_string();
        assert_eq!(error, "no sky");
    }
}
