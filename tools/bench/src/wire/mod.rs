//! Virtual wire in a network namespace, with its senders and receivers.

pub(crate) mod count_ring;
pub(crate) mod listener;
pub(crate) mod namespace;
pub(crate) mod pattern;
pub(crate) mod probe;
pub(crate) mod receiver;
pub(crate) mod send;
