//! A wire of our own: a network namespace, what is sent on it, and who listens.

pub(crate) mod count_ring;
pub(crate) mod listener;
pub(crate) mod namespace;
pub(crate) mod pattern;
pub(crate) mod probe;
pub(crate) mod receiver;
pub(crate) mod send;
