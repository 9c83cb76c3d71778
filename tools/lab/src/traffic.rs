//! Generated traffic, onto the bridge or into a file.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Result, bail};

use crate::lab::Lab;
use crate::program::{Program, run};

/// Starts to send `scenario` from the attacker's namespace; `options` are those of `trafficgen send`.
///
/// # Errors
/// If `trafficgen` cannot be started.
pub fn send(lab: &Lab, scenario: &str, options: &[&str]) -> Result<Program> {
    let mut command = lab.network.attacker.command(&lab.binaries.trafficgen);
    command.args(["send", scenario, "--interface", "eth0"]).args(options);
    Program::start(command, &lab.path(&format!("send-{scenario}")))
}

/// Sends `scenario` and waits until all of it is sent.
///
/// # Errors
/// The message of `trafficgen`.
pub fn sent(lab: &Lab, scenario: &str, options: &[&str]) -> Result<()> {
    let mut command = lab.network.attacker.command(&lab.binaries.trafficgen);
    command.args(["send", scenario, "--interface", "eth0"]).args(options);
    run(&mut command).map(drop)
}

/// Runs `work` during attacks: `attack-mix` is repeated at `speed` times its speed, each time with another attacker and
/// another client.
///
/// # Errors
/// The error of `work`, or the message of `trafficgen`.
pub fn during_attacks<T>(lab: &Lab, speed: u32, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let mut round = 0;
            while !stop.load(Ordering::Relaxed) {
                attack(lab, round, speed)?;
                round += 1;
            }
            anyhow::Ok(())
        });
        // Stops the sender also when `work` panics; otherwise the scope would wait for ever.
        let stopping = StopAtEnd(&stop);
        let outcome = work();
        drop(stopping);
        sender.join().unwrap_or_else(|_| bail!("the sender panicked"))?;
        outcome
    })
}

/// Sends `attack-mix` once, with addresses and seed that depend on `round`.
///
/// # Errors
/// The message of `trafficgen`.
pub fn attack(lab: &Lab, round: u32, speed: u32) -> Result<()> {
    let (high, low) = (round / 200 % 200, round % 200);
    let attacker = format!("10.21.{high}.{}", low + 1);
    let client = format!("10.22.{high}.{}", low + 1);
    let (seed, speed) = ((round + 1).to_string(), speed.to_string());
    let addresses = ["--attacker-ip", &attacker, "--client-ip", &client];
    sent(lab, "attack-mix", &[addresses.as_slice(), &["--seed", &seed, "--speed", &speed]].concat())
}

struct StopAtEnd<'s>(&'s AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Writes `scenario` as a pcap file.
///
/// # Errors
/// The message of `trafficgen`.
pub fn write(lab: &Lab, scenario: &str, to: &Path, options: &[&str]) -> Result<()> {
    let mut command = Command::new(&lab.binaries.trafficgen);
    command.args(["write", scenario, "--output"]).arg(to).args(options);
    run(&mut command).map(drop)
}
