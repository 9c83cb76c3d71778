//! Limits of failed log-ins, after the device cookies of OWASP ("Slow Down Online Guessing Attacks with Device Cookies").
//!
//! Five failures within 15 minutes close an address (IPv6: /64) for 15 minutes, and an account for addresses that nobody knows.
//! An attacker with many addresses could keep an account closed for ever by that; its owner is let in all the same:
//!
//! - by a browser that has logged in to the account before, which shows it by a cookie that only this collector can make; its
//!   failures are counted for itself alone;
//! - from the collector's own machine, whose failures and those of others are counted apart;
//! - by a new one-time code, which needs the key of the database.
//!
//! Names that do not exist are counted like those that do. Memory: [`MAX_ENTRIES`] entries of some 100 bytes. When all are in use the
//! one with the oldest failure goes, those of names that do not exist first: thousands of addresses do not open an account that exists.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use sentinel_units::Timestamp;

use crate::http::network;

/// Failures that close an address, an account or a browser.
pub const MAX_FAILURES: usize = 5;
/// Time for which failures count, and for which it is closed after the last one.
pub const CLOSED_FOR: Duration = Duration::from_secs(15 * 60);
/// Addresses, names and browsers with failures.
pub const MAX_ENTRIES: usize = 8_192;

/// Number of a browser that has logged in before.
pub type DeviceId = [u8; 16];

/// Address or account that a failure is counted for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Subject {
    Address(IpAddr),
    /// SHA-256 of the name, whether it exists, and whether the attempt came from the collector's own machine.
    Account([u8; 32], bool, bool),
    Device(DeviceId),
}

/// A log-in that is attempted.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// Address of the client.
    pub address: IpAddr,
    /// SHA-256 of the name in lower case.
    pub account: [u8; 32],
    /// True if there is such a user.
    pub exists: bool,
    /// True if the client is on the collector's own machine.
    pub is_local: bool,
    /// Browser that has logged in to this account before.
    pub device: Option<DeviceId>,
}

impl Attempt {
    fn subjects(&self) -> impl Iterator<Item = Subject> {
        let others = [
            Subject::Address(network(self.address)),
            Subject::Account(self.account, self.exists, self.is_local),
        ];
        let device = self.device.map(Subject::Device);
        let others = if device.is_some() { [None, None] } else { others.map(Some) };
        device.into_iter().chain(others.into_iter().flatten())
    }
}

/// A failure: its time, and the account, so that a right password takes back those of its own account only.
#[derive(Clone, Copy, Debug)]
struct Failure {
    at: Timestamp,
    account: [u8; 32],
}

/// Failed log-ins of the last 15 minutes.
#[derive(Debug, Default)]
pub struct Throttle(HashMap<Subject, Vec<Failure>>);

impl Throttle {
    /// Checks if the log-in may be attempted now.
    ///
    /// # Errors
    /// The time until it may.
    pub fn check(&self, attempt: &Attempt, now: Timestamp) -> Result<(), Duration> {
        let closed = attempt.subjects().filter_map(|subject| self.closed_for(&subject, now)).max();
        closed.map_or(Ok(()), Err)
    }

    fn closed_for(&self, subject: &Subject, now: Timestamp) -> Option<Duration> {
        let failures = self.0.get(subject)?;
        let recent = failures.iter().filter(|failure| now.since(failure.at) < CLOSED_FOR);
        let last = recent.clone().map(|failure| failure.at).max()?;
        (recent.count() >= MAX_FAILURES).then(|| CLOSED_FOR.saturating_sub(now.since(last)))
    }

    /// Counts a failure. Also to be called before the password is checked, and taken back by [`Throttle::succeed`]: attempts at
    /// the same time are counted as well.
    pub fn fail(&mut self, attempt: &Attempt, now: Timestamp) {
        for subject in attempt.subjects() {
            if !self.0.contains_key(&subject) && self.0.len() >= MAX_ENTRIES {
                self.make_room(now);
            }
            let failures = self.0.entry(subject).or_default();
            failures.retain(|failure| now.since(failure.at) < CLOSED_FOR);
            if failures.len() < MAX_FAILURES {
                failures.push(Failure { at: now, account: attempt.account });
            }
        }
    }

    /// Takes back the failure that was counted at `at`, and no other: the password was right, and a code is missing.
    pub fn take_back(&mut self, attempt: &Attempt, at: Timestamp) {
        for subject in attempt.subjects() {
            let Some(failures) = self.0.get_mut(&subject) else { continue };
            let is_it = |failure: &Failure| failure.at == at && failure.account == attempt.account;
            if let Some(index) = failures.iter().rposition(is_it) {
                failures.remove(index);
            }
        }
    }

    /// Takes back the failures of the account, and leaves those of others at the same address.
    pub fn succeed(&mut self, attempt: &Attempt) {
        for subject in attempt.subjects() {
            if let Some(failures) = self.0.get_mut(&subject) {
                failures.retain(|failure| failure.account != attempt.account);
                if failures.is_empty() {
                    self.0.remove(&subject);
                }
            }
        }
    }

    /// Forgets what is over; if that is nothing, the oldest entry, one of a name that does not exist first.
    fn make_room(&mut self, now: Timestamp) {
        let before = self.0.len();
        self.0.retain(|_, failures| failures.iter().any(|failure| now.since(failure.at) < CLOSED_FOR));
        if self.0.len() < before {
            return;
        }
        let rank = |(subject, failures): &(&Subject, &Vec<Failure>)| {
            let class = match subject {
                Subject::Account(_, false, _) => 0,
                Subject::Address(_) => 1,
                Subject::Device(_) | Subject::Account(_, true, _) => 2,
            };
            (class, failures.iter().map(|failure| failure.at).max())
        };
        if let Some(subject) = self.0.iter().min_by_key(rank).map(|(subject, _)| *subject) {
            self.0.remove(&subject);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_parts(1_000_000 + seconds, 0)
    }

    fn attempt(address: [u8; 4], account: u8) -> Attempt {
        Attempt {
            address: address.into(),
            account: [account; 32],
            exists: true,
            is_local: false,
            device: None,
        }
    }

    #[test]
    fn five_failures_close_the_address_and_the_account_for_15_minutes() {
        let mut throttle = Throttle::default();
        let (here, other) = (attempt([192, 0, 2, 1], 1), attempt([192, 0, 2, 2], 1));
        for second in 0..5 {
            assert_eq!(throttle.check(&here, at(second)), Ok(()));
            throttle.fail(&here, at(second));
        }
        assert_eq!(throttle.check(&here, at(5)), Err(Duration::from_secs(899)));
        assert!(throttle.check(&other, at(5)).is_err(), "the account is closed");
        assert!(throttle.check(&attempt([192, 0, 2, 1], 2), at(5)).is_err(), "the address is closed");
        assert_eq!(throttle.check(&attempt([192, 0, 2, 2], 2), at(5)), Ok(()));
        assert_eq!(throttle.check(&here, at(4 + 900)), Ok(()));
    }

    #[test]
    fn guessing_from_everywhere_does_not_keep_the_owner_out() {
        let mut throttle = Throttle::default();
        for second in 0..3_500 {
            let [_, _, high, low] = u32::try_from(second).unwrap().to_be_bytes();
            throttle.fail(&attempt([198, 51, high, low], 1), at(second));
        }
        let now = at(3_500);
        assert!(throttle.check(&attempt([192, 0, 2, 7], 1), now).is_err(), "a stranger");
        let local = Attempt { is_local: true, ..attempt([127, 0, 0, 1], 1) };
        assert_eq!(throttle.check(&local, now), Ok(()));
        let known = Attempt { device: Some([7; 16]), ..attempt([198, 51, 0, 1], 1) };
        assert_eq!(throttle.check(&known, now), Ok(()));
        for _ in 0..5 {
            throttle.fail(&known, now);
        }
        assert!(throttle.check(&known, now).is_err(), "a stolen cookie guesses no further");
    }

    #[test]
    fn a_right_password_takes_back_no_failure_of_another_account() {
        let mut throttle = Throttle::default();
        let (victim, own) = (attempt([192, 0, 2, 1], 1), attempt([192, 0, 2, 1], 2));
        for _ in 0..4 {
            throttle.fail(&victim, at(0));
        }
        throttle.succeed(&own);
        throttle.fail(&victim, at(1));
        assert!(throttle.check(&victim, at(2)).is_err());
        throttle.succeed(&victim);
        assert_eq!(throttle.check(&victim, at(2)), Ok(()));
    }

    #[test]
    fn neighbours_in_ipv6_are_one_address() {
        let mut throttle = Throttle::default();
        for host in 1..=5_u16 {
            let address = std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, host, 0, 0, 1).into();
            throttle.fail(&Attempt { address, ..attempt([0; 4], u8::try_from(host).unwrap()) }, at(0));
        }
        let address = std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 9, 0, 0, 1).into();
        assert!(throttle.check(&Attempt { address, ..attempt([0; 4], 9) }, at(1)).is_err());
    }

    #[test]
    fn a_flood_of_names_and_addresses_does_not_open_an_account_that_exists() {
        let mut throttle = Throttle::default();
        for _ in 0..5 {
            throttle.fail(&attempt([192, 0, 2, 1], 1), at(0));
        }
        for number in 0..u32::try_from(MAX_ENTRIES).unwrap() + 100 {
            let mut account = [0xff; 32];
            account[..4].copy_from_slice(&number.to_be_bytes());
            let address = std::net::Ipv4Addr::from(0x0a00_0000 + number).into();
            throttle.fail(&Attempt { address, account, exists: false, is_local: false, device: None }, at(1));
        }
        assert!(throttle.0.len() <= MAX_ENTRIES);
        assert!(throttle.check(&attempt([203, 0, 113, 1], 1), at(2)).is_err());
    }
}
