//! Made-up traffic onto the bridge, or into a file.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Result, bail};

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

/// Does `work` while attacks go on: `attack-mix` again and again, `speed` times as fast as it is, each time by another
/// attacker on another client.
///
/// # Errors
/// What `work` or `trafficgen` says.
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
        // Also when `work` panics, or the scope would wait for ever.
        let stopping = StopAtEnd(&stop);
        let outcome = work();
        drop(stopping);
        sender.join().unwrap_or_else(|_| bail!("the sender panicked"))?;
        outcome
    })
}

/// Sends `attack-mix` once; the addresses and the seed are those of `round`.
///
/// # Errors
/// What `trafficgen` says.
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
/// What `trafficgen` says.
pub fn write(lab: &Lab, scenario: &str, to: &Path, options: &[&str]) -> Result<()> {
    let mut command = Command::new(&lab.binaries.trafficgen);
    command.args(["write", scenario, "--output"]).arg(to).args(options);
    run(&mut command).map(drop)
}
