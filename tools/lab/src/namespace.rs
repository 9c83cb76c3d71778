//! Network namespace.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;
use std::thread;

use anyhow::{Context as _, Result, anyhow};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::program::run;

/// Named network namespace with its loopback up and IPv6 off. Deleted when dropped.
///
/// IPv6 is off because the kernel's own announcements would be traffic that no test has sent.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Creates the namespace.
    ///
    /// # Errors
    /// The message of `ip`; the namespace then does not exist.
    pub fn add(name: String) -> Result<Self> {
        run(Command::new("ip").args(["netns", "add", &name]))?;
        let namespace = Self { name };
        namespace.inside(|| {
            for interfaces in ["all", "default"] {
                let path = format!("/proc/sys/net/ipv6/conf/{interfaces}/disable_ipv6");
                // A kernel without IPv6 does not have the file.
                if Path::new(&path).exists() {
                    fs::write(&path, "1").with_context(|| path.clone())?;
                }
            }
            anyhow::Ok(())
        })??;
        namespace.ip(&["link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// Name of the namespace.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `ip ARGUMENTS` on this namespace.
    ///
    /// # Errors
    /// The message of `ip`.
    pub fn ip(&self, arguments: &[&str]) -> Result<()> {
        run(Command::new("ip").args(["-n", &self.name]).args(arguments)).map(drop)
    }

    /// Command that runs `program` in this namespace. The process that it starts is the program itself.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Runs `work` on a thread in this namespace: sockets opened there belong to it.
    ///
    /// # Errors
    /// If the namespace cannot be entered.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        thread::scope(|scope| {
            let handle = self.handle()?;
            let entered = scope.spawn(move || {
                handle.enter()?;
                Ok(work())
            });
            entered.join().unwrap_or_else(|_| Err(anyhow!("a thread in {} panicked", self.name)))
        })
    }

    /// Handle by which a thread that outlives the borrow of this namespace can enter it.
    ///
    /// # Errors
    /// If the namespace has been deleted.
    pub fn handle(&self) -> Result<NamespaceHandle> {
        let path = Path::new(DIRECTORY).join(&self.name);
        File::open(&path).map(NamespaceHandle).with_context(|| path.display().to_string())
    }

    /// Names of all namespaces on this machine.
    #[must_use]
    pub fn names() -> Vec<String> {
        let entries = fs::read_dir(DIRECTORY).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }

    /// Deletes the namespace of a lab whose process has ended, and kills the programs in it.
    pub(crate) fn delete_orphaned(name: &str) {
        // Every process in there was started by that lab: no other program uses the namespace.
        let pids = run(Command::new("ip").args(["netns", "pids", name])).unwrap_or_default();
        for pid in pids.split_whitespace().filter_map(|pid| pid.parse().ok()) {
            if let Some(pid) = rustix::process::Pid::from_raw(pid) {
                let _already_exited = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        drop(Self { name: name.to_owned() });
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(error) = run(Command::new("ip").args(["netns", "del", &self.name])) {
            eprintln!("network namespace {} could not be deleted: {error:#}", self.name);
        }
    }
}

/// Directory in which `ip netns` keeps its names.
const DIRECTORY: &str = "/run/netns";

/// Open handle of a namespace, see [`Namespace::handle`].
#[derive(Debug)]
pub struct NamespaceHandle(File);

impl NamespaceHandle {
    /// Moves the calling thread into the namespace permanently.
    ///
    /// # Errors
    /// The error of the kernel.
    pub fn enter(&self) -> Result<()> {
        move_into_link_name_space(self.0.as_fd(), Some(LinkNameSpaceType::Network))
            .context("entering a network namespace")
    }
}
