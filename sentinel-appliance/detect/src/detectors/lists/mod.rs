//! Contacts with what a list names.

pub(crate) mod suspicious_port;
