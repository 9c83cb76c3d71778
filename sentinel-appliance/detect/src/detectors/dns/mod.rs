//! Misuse of DNS.

pub(crate) mod dga;
mod digest;
mod ends;
mod information;
pub(crate) mod leaks;
mod load;
mod question;
pub mod score;
mod suffix;
pub(crate) mod tunnel;
