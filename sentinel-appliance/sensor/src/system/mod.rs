//! Edge to the operating system: clock, keys, threads, signals, sockets.

pub(crate) mod clock;
pub(crate) mod connect;
pub(crate) mod keys;
pub(crate) mod prefault;
pub(crate) mod signals;
pub(crate) mod thread;
