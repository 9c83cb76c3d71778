//! A network namespace with a wire in it, which ends with this value.

use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};

/// One end of the wire: the sensor listens here.
pub(crate) const LISTEN: &str = "listen0";
/// The other end.
pub(crate) const SEND: &str = "send0";

/// A namespace of our own.
#[derive(Debug)]
pub(crate) struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes one with a pair of virtual interfaces, both up, which nothing else speaks on.
    pub(crate) fn new() -> Result<Self> {
        let namespace = Self { name: format!("sentinel-bench-{}", std::process::id()) };
        ip(&["netns", "add", &namespace.name])?;
        let home_net = |words: &[&str]| ip(&[&["-n", &namespace.name], words].concat());
        home_net(&["link", "add", LISTEN, "type", "veth", "peer", "name", SEND])?;
        for interface in [LISTEN, SEND] {
            let quiet = format!("net.ipv6.conf.{interface}.disable_ipv6=1");
            let _without_ipv6_it_is_quiet_anyway = namespace.command("sysctl").args(["-q", &quiet]).output();
            home_net(&["link", "set", interface, "up"])?;
        }
        home_net(&["address", "add", "10.20.30.2/24", "dev", LISTEN])?;
        home_net(&["link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// A command that runs in it. `ip` becomes the program, so that the process id is the program's.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// The same, kept on one processor if one is given, and before what else wants to run there.
    pub(crate) fn command_on(&self, cpu: Option<usize>, program: impl AsRef<std::ffi::OsStr>) -> Command {
        const HIGHEST_SEVERITY: &str = "-20";
        let mut command = self.command("nice");
        command.args(["-n", HIGHEST_SEVERITY]);
        if let Some(cpu) = cpu {
            command.args(["taskset", "-c", &cpu.to_string()]);
        }
        command.arg(program);
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(error) = ip(&["netns", "delete", &self.name]) {
            eprintln!("bench: {error:#}");
        }
    }
}

fn ip(words: &[&str]) -> Result<Output> {
    let output = Command::new("ip").args(words).output().context("ip (package iproute2)")?;
    let message = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {}: {}", words.join(" "), message.trim());
    Ok(output)
}
