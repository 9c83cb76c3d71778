//! Errors of the changes of users, keys and groups.

use std::fmt;

use super::access::Forbidden;
use crate::access::LogInError;
use crate::access::password::WeakPassword;
use crate::store::StoreError;

/// Reason for which nothing was changed.
#[derive(Debug)]
#[non_exhaustive]
pub enum ChangeError {
    /// The caller may not do this.
    Access(Forbidden),
    /// A name has letters that are not allowed.
    Name(&'static str),
    /// A password cannot be set.
    Weak(WeakPassword),
    /// The present password is wrong.
    WrongPassword,
    /// The one-time code is wrong, or none was offered.
    WrongCode,
    /// There is no such user, key or sensor.
    Unknown(&'static str, String),
    /// Nobody could manage the collector any more.
    LastAdministrator,
    /// There are too many.
    TooMany(&'static str, usize),
    /// The password of the caller may not be tried now.
    LogIn(LogInError),
    /// The store cannot be written, or the name is taken.
    Store(StoreError),
}

impl ChangeError {
    /// Returns true if a password or a code was wrong: an attempt to guess it, perhaps.
    #[must_use]
    pub const fn is_wrong_secret(&self) -> bool {
        matches!(self, Self::WrongPassword | Self::WrongCode)
    }
}

impl fmt::Display for ChangeError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Access(error) => error.fmt(out),
            Self::Name(of) => {
                write!(
                    out,
                    "the {of} has letters that are not allowed: 1 to 48 letters, digits and . _ -, not a number"
                )
            }
            Self::Weak(error) => error.fmt(out),
            Self::WrongPassword => out.write_str("the present password is wrong"),
            Self::WrongCode => out.write_str("the code is wrong; codes are good for 30 s, once"),
            Self::Unknown(what, name) => {
                write!(out, "there is no {what} {:?}", name.chars().take(60).collect::<String>())
            }
            Self::LastAdministrator => out.write_str(
                "nobody else has the role admin for every sensor: make another administrator first",
            ),
            Self::TooMany(what, most) => write!(out, "{most} {what} at most"),
            Self::LogIn(error) => error.fmt(out),
            Self::Store(error) => error.fmt(out),
        }
    }
}

impl std::error::Error for ChangeError {}

impl From<StoreError> for ChangeError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Forbidden> for ChangeError {
    fn from(error: Forbidden) -> Self {
        Self::Access(error)
    }
}

impl From<LogInError> for ChangeError {
    fn from(error: LogInError) -> Self {
        Self::LogIn(error)
    }
}
