//! Every command.

use super::arguments::Arguments;
use super::dispatch;
use crate::terminal::failure::Failure;

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
    pub(super) run: fn(&Arguments) -> Result<(), Failure>,
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
        name: "capture",
        usage: "[-i INTERFACE]... [EXPRESSION]",
        about: "packets of interfaces, live: shown, saved, summed up",
        details: "\
Without -i, the interface of the default route. EXPRESSION is a filter in tcpdump's language; the kernel runs it.
Without a view, a line for each packet, unless they are only saved (-w) or summed up (--stats). Times are UTC.

  sentinel capture -i br-lan tcp port 80
  ssh router sentinel capture -i br-lan -w - | wireshark -k -i -
  sentinel capture -i br-lan -w trace-%Y%m%d-%H%M%S.pcap -G 3600 -W 24",
        run: dispatch::capture,
    },
    Command {
        name: "read",
        usage: "FILE [EXPRESSION]",
        about: "packets or alerts of a pcap or pcapng file ('-': standard input)",
        details: "\
EXPRESSION is a filter in tcpdump's language. Without a view, a line for each packet, unless they are only saved (-w)
or summed up (--stats). Times are UTC.

  sentinel read trace.pcap 'host 192.0.2.1 and tcp[tcpflags] & tcp-syn != 0'
  sentinel read trace.pcapng --alerts
  tcpdump -w - | sentinel read - --stats",
        run: dispatch::read,
    },
    Command {
        name: "replay",
        usage: "FILE -i INTERFACE [EXPRESSION]",
        about: "packets of a file onto an interface, at their own pace, faster, or slower",
        details: "\
Packets longer than the interface takes are left out and counted; packets that the capture has cut are filled up with
zeros.

  sentinel replay trace.pcap -i eth1 --speed 2.0
  sentinel replay trace.pcap --display-only",
        run: dispatch::replay,
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
        name: "ctl",
        usage: "set-filter [EXPRESSION]|start|stop|packets [EXPRESSION]",
        about: "commands to the running sensor",
        details: "\
A filter that is set lasts until the next reload that finds another one in the settings, or until the sensor ends;
without an expression everything is captured. Frames that it refuses are counted. 'packets' shows the newest frames
that match, if the setting max_packets keeps some.

  sentinel ctl set-filter not port 22
  sentinel ctl packets --limit 20 host 192.168.1.7
  sentinel ctl packets -w - | tshark -r -",
        run: dispatch::ctl,
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
