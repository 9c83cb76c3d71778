//! Passwords: Argon2id (RFC 9106), and what a new one must have.

use std::fmt;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};

use crate::store::StoreError;
use crate::store::key::random;

/// Memory of one hash in KiB: 19 MiB with two passes on one thread, the least that OWASP recommends. With
/// [`super::MAX_HASHES`] under way it bounds what strangers can make the collector take.
pub const MEMORY_KIB: u32 = 19 * 1024;
/// Passes over it.
pub const PASSES: u32 = 2;
/// Threads.
pub const LANES: u32 = 1;
/// Least length of a new password, in characters.
pub const MIN_LEN: usize = 12;
/// Greatest length, in bytes: a longer one only costs time.
pub const MAX_LEN: usize = 256;
/// Different characters that a new password has at least.
const MIN_DIFFERENT: usize = 5;

fn argon2() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).unwrap_or_default(); // the default has the same values
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// PHC string of `password` with a new salt of 16 bytes. Takes some tens of milliseconds: not on a thread that serves others.
///
/// # Errors
/// [`StoreError::Io`] if the system has no random source.
pub fn hash(password: &str) -> Result<String, StoreError> {
    let mut salt = [0; 16];
    random(&mut salt)?;
    let hash = argon2().hash_password_with_salt(password.as_bytes(), &salt);
    let failed = |error| StoreError::Io("argon2".into(), std::io::Error::other(format!("{error}")));
    Ok(hash.map_err(failed)?.to_string())
}

/// Returns true if `password` is that of `hash`. Without a hash (there is no such user) the same work is done, and the answer is
/// false: the time does not tell which names exist.
#[must_use]
pub fn verify(password: &str, hash: Option<&str>) -> bool {
    let Ok(parsed) = PasswordHash::new(hash.unwrap_or(NOBODY)) else { return false };
    let is_right =
        password.len() <= MAX_LEN && argon2().verify_password(password.as_bytes(), &parsed).is_ok();
    is_right && hash.is_some()
}

/// Hash that nobody's password has: salt and output are arbitrary.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c2VudGluZWwtbm9ib2R5$YmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAxMjM0NTY";

/// Checks a password that is to be set.
///
/// # Errors
/// [`WeakPassword`].
pub fn check_new(password: &str, user: &str) -> Result<(), WeakPassword> {
    let (count, lower) = (password.chars().count(), password.to_lowercase());
    if count < MIN_LEN {
        return Err(WeakPassword::Short);
    }
    if password.len() > MAX_LEN {
        return Err(WeakPassword::Long);
    }
    let different: std::collections::BTreeSet<char> = lower.chars().collect();
    if different.len() < MIN_DIFFERENT {
        return Err(WeakPassword::Uniform);
    }
    if user.chars().count() >= 3 && lower.contains(&user.to_lowercase()) {
        return Err(WeakPassword::HasName);
    }
    Ok(())
}

/// Reason for which a password cannot be set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum WeakPassword {
    /// Shorter than [`MIN_LEN`].
    Short,
    /// Longer than [`MAX_LEN`].
    Long,
    /// Few different characters.
    Uniform,
    /// Contains the name of the user.
    HasName,
}

impl fmt::Display for WeakPassword {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => write!(
                out,
                "the password has fewer than {MIN_LEN} characters; four words in a row are a good one"
            ),
            Self::Long => write!(out, "the password has more than {MAX_LEN} bytes"),
            Self::Uniform => write!(out, "the password has fewer than {MIN_DIFFERENT} different characters"),
            Self::HasName => out.write_str("the password contains the name of the user"),
        }
    }
}

impl std::error::Error for WeakPassword {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_itself_is_right() {
        let stored = hash("correct horse battery").unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(verify("correct horse battery", Some(&stored)));
        for wrong in ["", "correct horse batterz", "Correct horse battery", &"x".repeat(MAX_LEN + 1)] {
            assert!(!verify(wrong, Some(&stored)), "{wrong}");
        }
        assert_ne!(hash("correct horse battery").unwrap(), stored, "each has its salt");
        assert!(!verify("correct horse battery", Some("no hash")));
    }

    /// Times on a busy machine tell nothing; the work follows from these.
    #[test]
    fn an_unknown_user_costs_what_a_known_one_costs() {
        let stored = hash("correct horse battery").unwrap();
        let (known, nobody) = (PasswordHash::new(&stored).unwrap(), PasswordHash::new(NOBODY).unwrap());
        assert_eq!((known.algorithm, known.version), (nobody.algorithm, nobody.version));
        assert_eq!(Params::try_from(&known).unwrap(), Params::try_from(&nobody).unwrap());
        let lengths = |hash: &PasswordHash| hash.hash.map(|hash| hash.len());
        assert_eq!((lengths(&known), lengths(&nobody)), (Some(32), Some(32)));
        assert!(!verify("correct horse battery", None));
    }

    #[test]
    fn weak_passwords_are_refused_with_the_reason() {
        assert_eq!(check_new("four words in a row", "anna"), Ok(()));
        assert_eq!(check_new("köln-köln-ulm", "anna"), Ok(()));
        for (password, reason) in [
            ("elevenchars", WeakPassword::Short),
            ("aaaaaaaaaaaaaaab", WeakPassword::Uniform),
            ("the-Anna-password", WeakPassword::HasName),
            (&"abcdefgh".repeat(40), WeakPassword::Long),
        ] {
            assert_eq!(check_new(password, "anna"), Err(reason), "{password}");
        }
    }
}
