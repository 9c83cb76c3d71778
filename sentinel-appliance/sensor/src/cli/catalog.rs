//! Table of the commands: parser and help read it.

use super::arguments::Command;
use super::dispatch;

/// All commands, in the order of the help.
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
        about: "live packets of interfaces: show, save, count",
        details: "\
Without -i, the interface of the default route. EXPRESSION is a filter in tcpdump's language; the kernel runs it.
Without a view, a line for each packet, unless they are only saved (-w) or counted (--stats). Times are UTC.
An interface that vanishes is captured again when it is back.

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
or counted (--stats). Times are UTC.

  sentinel read trace.pcap 'host 192.0.2.1 and tcp[tcpflags] & tcp-syn != 0'
  sentinel read trace.pcapng --alerts
  tcpdump -w - | sentinel read - --stats",
        run: dispatch::read,
    },
    Command {
        name: "replay",
        usage: "FILE -i INTERFACE [EXPRESSION]",
        about: "send packets of a file on an interface, with their timing, faster, or slower",
        details: "\
Packets longer than the MTU of the interface allows are skipped and counted; packets that the capture has cut are padded
with zeros.

  sentinel replay trace.pcap -i eth1 --speed 2.0
  sentinel replay trace.pcap --display-only",
        run: dispatch::replay,
    },
    Command {
        name: "filter",
        usage: "EXPRESSION",
        about: "BPF program of a filter in tcpdump's language",
        details: "",
        run: dispatch::filter,
    },
    Command {
        name: "status",
        usage: "",
        about: "counters and state of the running sensor",
        details: "",
        run: dispatch::status,
    },
    Command {
        name: "ctl",
        usage: "set-filter [EXPRESSION]|start|stop|packets [EXPRESSION]",
        about: "commands to the running sensor",
        details: "\
A filter that is set is in force instead of the setting 'filter', also after a reload, until the sensor ends; set-filter
without an expression returns to the setting. Frames that the filter refuses are counted. 'packets' shows the newest frames that match, if the
setting max_packets keeps any.

  sentinel ctl set-filter not port 22
  sentinel ctl packets --limit 20 host 192.168.1.7
  sentinel ctl packets -w - | tshark -r -",
        run: dispatch::ctl,
    },
    Command {
        name: "enroll",
        usage: "TOKEN|-|--rotate",
        about: "enroll this sensor at a collector ('-': token on standard input)",
        details: "\
A sensor that runs here connects at once. Arguments are in the list of processes: on a machine with other users give the
token on standard input or in a file.

  sentinel enroll - <token
  sentinel enroll --token-file token --name office
  sentinel enroll --rotate",
        run: dispatch::enroll,
    },
    Command {
        name: "log",
        usage: "list|show|verify|export|evidence-keygen FILE",
        about: "the sealed log",
        details: "\
Delivered alerts cannot be read with the key of the device, unless log_delivered_readable is on. Those that were sealed to
log_evidence_key are read with its private key. 'evidence-keygen' makes a pair: the private key in FILE, the public one on
standard output. Exit code 1 tells of damage; what can be read is printed all the same.

  sentinel log show --evidence-key private.key --file copy-of-log
  sentinel log verify --head 1234:17:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        run: dispatch::log,
    },
    Command {
        name: "explain",
        usage: "NUMBER|BOOT:SEQ",
        about: "an alert of the log: its test, evidence, settings and first packets",
        details: "\
NUMBER is that of the record, the first column of 'sentinel log show'; BOOT and SEQ are those of machine output. Packets
are those that the running sensor still has in memory, if max_packets keeps any.",
        run: dispatch::explain,
    },
    Command {
        name: "tune",
        usage: "FILE|--last SPAN --set DETECTOR.NAME=VALUE...",
        about: "alerts that a change of the settings adds and removes",
        details: "\
Compares the settings of file and environment with the same after --set. Incidents of one test and source belong together,
the first of one run to the first of the other.

  sentinel tune trace.pcap --set port_scan.ports=25
  sentinel tune --last 24h --set port_scan.ports=25
  sentinel tune - --set port_scan.severity=low --json <trace.pcapng",
        run: dispatch::tune,
    },
    Command {
        name: "config",
        usage: "check [FILE]|show|docs",
        about: "settings: check a file, effective values, reference",
        details: "check prints every problem with its place, and exits with 1 if there is one.",
        run: dispatch::config,
    },
    Command {
        name: "interfaces",
        usage: "",
        about: "network interfaces to capture on",
        details: "",
        run: dispatch::interfaces,
    },
    Command {
        name: "selftest",
        usage: "",
        about: "frames with known answers through detectors, filter and cryptography",
        details: "\
With the default settings, in the memory of 'sentinel run'; needs no interface, no rights and no files.",
        run: dispatch::selftest,
    },
];
