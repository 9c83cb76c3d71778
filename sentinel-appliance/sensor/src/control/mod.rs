//! Control thread, and what it serves: log, uplink, sockets, signals.

pub(crate) mod accounting;
pub(crate) mod command_socket;
pub(crate) mod reload;
pub(crate) mod status_socket;
pub(crate) mod supervision;
pub(crate) mod tasks;
pub(crate) mod uplink;
pub(crate) mod visibility;
pub(crate) mod workers;
