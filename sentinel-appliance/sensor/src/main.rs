//! The program `sentinel`: everything that runs on the router.
//!
//! In: frames, settings, commands. Out: alerts to the log, the collector and the terminal; status.
//! Memory: all tables and rings are taken at start; the packet path allocates nothing after that.
//! This is the only crate that reads a clock, opens a socket or starts a task. It parses no packets and
//! detects nothing itself.
//!
//! - `command`: the command line; one module for each command: `read`, `capture_command`, `replay_command`, `run`,
//!   `status_command`, `log_command`, `enroll`, `interfaces_command`;
//! - `packets`: what is done with the packets of `read`, `capture` and `replay`, by their `plan`, until the `totals`:
//!   `packet_input`, `packet_filter`, `show` (lines, JSON, statistics), `record`, `flows`, `unfold` (tunnels, fragments),
//!   `save` (capture files), `results`, `interrupt` (Ctrl+C);
//! - `analysis`: tables and engine over one allocation; `worker`: rings to alerts; `snapshot`: what the
//!   worker tells of itself; `resident`: memory that is there from the start;
//! - `control`: the other thread: `spool` (log and numbering), `link` (uplink), `status`, signals;
//! - `settings`, `ports` (list of suspicious ports), `identity` (keys), `document` (JSON), `clock`,
//!   `message` (standard error), `output` (standard output), `failure`.

#![forbid(unsafe_code)]

mod analysis;
mod calendar;
mod capture_command;
mod clock;
mod command;
mod connect;
mod control;
mod ctl;
mod ctl_command;
mod document;
mod enroll;
mod failure;
mod filter_command;
mod flows;
mod identity;
mod interfaces_command;
mod interrupt;
mod ledger;
mod link;
mod log_command;
mod message;
mod output;
mod packet_filter;
mod packet_input;
mod packet_memory;
mod packets;
mod peers;
mod plan;
mod ports;
mod read;
mod record;
mod reload;
mod replay_command;
mod resident;
mod results;
mod run;
mod save;
mod settings;
mod show;
mod snapshot;
mod source;
mod spool;
mod status;
mod status_command;
mod thread;
mod totals;
mod unfold;
mod visibility;
mod watch;
mod worker;
mod workers;

use std::process::ExitCode;

fn main() -> ExitCode {
    match command::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
