//! Every command.

use super::dispatch;
use super::words::Words;
use crate::failure::Failure;

/// A command.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) name: &'static str,
    /// What follows the name.
    pub(super) usage: &'static str,
    /// What it does, in a line.
    pub(super) about: &'static str,
    /// What else there is to say, in its own help.
    pub(super) details: &'static str,
    pub(super) run: fn(&Words) -> Result<(), Failure>,
}

/// All commands, in the order in which the help shows them.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "run",
        usage: "[-i INTERFACE]...",
        about: "capture, detect, log, send to the collector",
        details: "",
        run: dispatch::run,
    },
    Command {
        name: "read",
        usage: "FILE [EXPRESSION]",
        about: "the same detection over a pcap or pcapng file ('-': standard input)",
        details: "",
        run: dispatch::read,
    },
    Command {
        name: "filter",
        usage: "EXPRESSION",
        about: "the program that a filter in tcpdump's language becomes",
        details: "",
        run: dispatch::filter,
    },
    Command {
        name: "status",
        usage: "",
        about: "what the running sensor sees, lost, raised, sent",
        details: "",
        run: dispatch::status,
    },
    Command {
        name: "enroll",
        usage: "TOKEN",
        about: "make this sensor known to a collector",
        details: "",
        run: dispatch::enroll,
    },
    Command {
        name: "log",
        usage: "list|show|verify|export",
        about: "the sealed log",
        details: "",
        run: dispatch::log,
    },
    Command {
        name: "config",
        usage: "check [FILE]|show|docs",
        about: "settings: check a file, effective values, reference",
        details: "check exits with 1 if there is a problem, and names the place of each.",
        run: dispatch::config,
    },
    Command {
        name: "interfaces",
        usage: "",
        about: "what there is to capture on",
        details: "",
        run: dispatch::interfaces,
    },
];

/// The command of that name.
pub(super) fn command(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.name == name)
}
