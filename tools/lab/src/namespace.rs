//! One network namespace.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;
use std::thread;

use anyhow::{Context as _, Result, anyhow};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::program::run;

/// A network namespace with a name, its loopback up and IPv6 off. Deleted when dropped.
///
/// IPv6 is off because the kernel's own announcements would be traffic that no test has asked for.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes the namespace.
    ///
    /// # Errors
    /// What `ip` says; then there is no such namespace.
    pub fn add(name: String) -> Result<Self> {
        run(Command::new("ip").args(["netns", "add", &name]))?;
        let namespace = Self { name };
        namespace.inside(|| {
            for interfaces in ["all", "default"] {
                let path = format!("/proc/sys/net/ipv6/conf/{interfaces}/disable_ipv6");
                // A kernel without IPv6 does not have the file, and needs no switching off.
                if Path::new(&path).exists() {
                    fs::write(&path, "1").with_context(|| path.clone())?;
                }
            }
            anyhow::Ok(())
        })??;
        namespace.ip(&["link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `ip ARGUMENTS` on this namespace.
    ///
    /// # Errors
    /// What `ip` says.
    pub fn ip(&self, arguments: &[&str]) -> Result<()> {
        run(Command::new("ip").args(["-n", &self.name]).args(arguments)).map(drop)
    }

    /// A command that runs `program` in this namespace. The process it starts is the program itself.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Does `work` on a thread that is in this namespace: sockets made there stay there.
    ///
    /// # Errors
    /// That the namespace cannot be entered.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        thread::scope(|scope| {
            let door = self.door()?;
            let entered = scope.spawn(move || {
                door.enter()?;
                Ok(work())
            });
            entered.join().unwrap_or_else(|_| Err(anyhow!("a thread in {} panicked", self.name)))
        })
    }

    /// A way in for a thread that outlives the borrow of this namespace.
    ///
    /// # Errors
    /// That the namespace is gone.
    pub fn door(&self) -> Result<Door> {
        let path = Path::new(DIRECTORY).join(&self.name);
        File::open(&path).map(Door).with_context(|| path.display().to_string())
    }

    /// Names of all namespaces there are.
    #[must_use]
    pub fn names() -> Vec<String> {
        let entries = fs::read_dir(DIRECTORY).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }

    /// Deletes what a lab left behind whose process is gone.
    pub(crate) fn delete_left_behind(name: &str) {
        // Whatever still runs in there was started by that lab: nobody else knows the namespace.
        let pids = run(Command::new("ip").args(["netns", "pids", name])).unwrap_or_default();
        for pid in pids.split_whitespace().filter_map(|pid| pid.parse().ok()) {
            if let Some(pid) = rustix::process::Pid::from_raw(pid) {
                let _gone_already = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        drop(Self { name: name.to_owned() });
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(error) = run(Command::new("ip").args(["netns", "del", &self.name])) {
            eprintln!("network namespace {} stays behind: {error:#}", self.name);
        }
    }
}

/// Where `ip netns` keeps its names.
const DIRECTORY: &str = "/run/netns";

/// An open handle of a namespace, see [`Namespace::door`].
#[derive(Debug)]
pub struct Door(File);

impl Door {
    /// Moves the calling thread into the namespace, for good.
    ///
    /// # Errors
    /// That the kernel refuses.
    pub fn enter(&self) -> Result<()> {
        move_into_link_name_space(self.0.as_fd(), Some(LinkNameSpaceType::Network))
            .context("entering a network namespace")
    }
}
