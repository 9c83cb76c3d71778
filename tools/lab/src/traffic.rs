//! Made-up traffic onto the bridge, or into a file.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::lab::Lab;
use crate::program::{Program, run};

/// Begins to send `scenario` from the attacker's machine; `options` are those of `trafficgen send`.
///
/// # Errors
/// That `trafficgen` cannot be started.
pub fn send(lab: &Lab, scenario: &str, options: &[&str]) -> Result<Program> {
    let mut command = lab.network.attacker.command(&lab.binaries.trafficgen);
    command.args(["send", scenario, "--interface", "eth0"]).args(options);
    Program::start(command, &lab.path(&format!("send-{scenario}")))
}

/// Sends `scenario` to its end.
///
/// # Errors
/// What `trafficgen` says.
pub fn sent(lab: &Lab, scenario: &str, options: &[&str]) -> Result<()> {
    let mut command = lab.network.attacker.command(&lab.binaries.trafficgen);
    command.args(["send", scenario, "--interface", "eth0"]).args(options);
    run(&mut command).map(drop)
}

/// Writes `scenario` as a pcap file.
///
/// # Errors
/// What `trafficgen` says.
pub fn write(lab: &Lab, scenario: &str, to: &Path, options: &[&str]) -> Result<()> {
    let mut command = Command::new(&lab.binaries.trafficgen);
    command.args(["write", scenario, "--output"]).arg(to).args(options);
    run(&mut command).map(drop)
}
