//! Misuse of DNS.

pub(crate) mod tunnel;
