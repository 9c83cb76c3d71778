//! Settings: from the defaults, a UCI file, the environment and flags to one typed [`Settings`].
//!
//! In: text that an operator wrote. Out: values within their ranges, each with its origin, or every
//! problem at once, each with its place. Everything is allocated at start and at a reload; the packet path
//! sees plain numbers only. Nothing here logs, exits or keeps state between two loads.
//!
//! - `uci`: the syntax of the file;
//! - `field`: the types of values, their ranges and their text;
//! - `registry`: every setting, declared once;
//! - `relation`: rules between settings; `renamed`: old names that are still accepted;
//! - `load`: the layers default < file < environment < flag;
//! - `report`: `sentinel config check|show|docs`.

mod choice;
mod evidence_key;
mod field;
pub(crate) mod indicators;
pub(crate) mod json;
pub(crate) mod lists;
mod load;
mod problem;
mod registry;
mod relation;
mod renamed;
mod report;
pub(crate) mod signatures;
pub(crate) mod suspicious_ports;
mod uci;

pub(crate) use choice::{KernelSnap, LogLevel, Sandbox};
#[cfg(test)]
pub(crate) use evidence_key::EvidenceKey;
pub(crate) use field::with_port;
#[cfg(test)]
pub(crate) use load::tests::load_flags;
pub(crate) use load::{DEFAULT_FILE, Loaded, environment, split_assignment};
pub(crate) use problem::Problem;
pub(crate) use registry::{Settings, restart_needed};
pub(crate) use report::{check, docs, of_detector, show};
