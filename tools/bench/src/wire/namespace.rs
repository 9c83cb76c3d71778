//! Network namespace with a pair of virtual interfaces.

use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};

/// End of the wire at which the receiver listens.
pub(crate) const LISTEN: &str = "listen0";
/// End of the wire at which frames are sent.
pub(crate) const SEND: &str = "send0";

/// Network namespace, deleted when dropped.
#[derive(Debug)]
pub(crate) struct Namespace {
    name: String,
}

impl Namespace {
    /// Creates a namespace with a pair of virtual interfaces, both up and without traffic of the system's own.
    pub(crate) fn new() -> Result<Self> {
        let namespace = Self { name: format!("sentinel-bench-{}", std::process::id()) };
        ip(&["netns", "add", &namespace.name])?;
        let ip_inside = |words: &[&str]| ip(&[&["-n", &namespace.name], words].concat());
        ip_inside(&["link", "add", LISTEN, "type", "veth", "peer", "name", SEND])?;
        for interface in [LISTEN, SEND] {
            let ipv6_off = format!("net.ipv6.conf.{interface}.disable_ipv6=1");
            let _kernel_without_ipv6 = namespace.command("sysctl").args(["-q", &ipv6_off]).output();
            ip_inside(&["link", "set", interface, "up"])?;
        }
        ip_inside(&["address", "add", "10.20.30.2/24", "dev", LISTEN])?;
        ip_inside(&["link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// Command that runs `program` in the namespace. `ip` executes the program in its place, so the process id is the
    /// program's.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Command in the namespace with the highest priority, bound to processor `cpu` if one is given.
    pub(crate) fn command_on(&self, cpu: Option<usize>, program: impl AsRef<std::ffi::OsStr>) -> Command {
        const HIGHEST_PRIORITY: &str = "-20";
        let mut command = self.command("nice");
        command.args(["-n", HIGHEST_PRIORITY]);
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
