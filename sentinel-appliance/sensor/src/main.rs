//! The program `sentinel`: everything that runs on the router.
//!
//! In: frames, settings, commands. Out: alerts to the log, the collector and the terminal; status.
//! Memory: all tables and rings are taken at start; the packet path allocates nothing after that.
//! This is the only crate that reads a clock, opens a socket or starts a task. It parses no packets and
//! detects nothing itself.
//!
//! - `cli`: argument vector to a typed request; one table makes parser and help;
//! - `commands`: one file for each subcommand;
//! - `packets`: pipeline behind `read`, `capture` and `replay`: input, filter, views, capture files, totals;
//! - `worker`: analysis thread: packet rings, tables, detectors, and the snapshot of its counters;
//! - `control`: control thread: uplink, sockets, reload, supervision of workers and interfaces, accounting;
//! - `spool`: alerts, numbered, into the sealed log and out to the uplink;
//! - `serial`: console on a serial line;
//! - `settings`: file, environment and flags to one typed value;
//! - `system`: clock, keys, threads, signals, name resolution, pages touched at start;
//! - `terminal`: messages, tables and errors that people read.

#![forbid(unsafe_code)]

mod cli;
mod commands;
mod control;
mod limits;
mod packets;
mod serial;
mod settings;
mod spool;
mod system;
mod terminal;
mod worker;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
