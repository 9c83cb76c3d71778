//! Analysis thread: packet rings, tables, detectors.

pub(crate) mod analyser;
pub(crate) mod event_loop;
pub(crate) mod interface;
pub(crate) mod packet_memory;
pub(crate) mod siblings;
pub(crate) mod snapshot;
