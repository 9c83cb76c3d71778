//! Table of the options.

/// Value that follows an option.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Takes {
    /// Nothing.
    Nothing,
    /// A value, with its placeholder in the help.
    Value(&'static str),
    /// An optional value, only after `=`.
    OptionalValue(&'static str),
    /// An optional whole number, after `=` or as the next word.
    OptionalNumber(&'static str),
}

/// Option and the commands that take it.
#[derive(Debug)]
pub(super) struct CommandOption {
    pub(super) short: Option<char>,
    /// Long name without the dashes.
    pub(super) name: &'static str,
    pub(super) takes: Takes,
    /// Commands that take it; empty for all commands.
    pub(super) commands: &'static [&'static str],
    pub(super) help: &'static str,
}

impl CommandOption {
    /// Returns true if `command` takes it.
    pub(super) fn belongs_to(&self, command: &str) -> bool {
        self.commands.is_empty() || self.commands.contains(&command)
    }
}

const fn flag(name: &'static str, commands: &'static [&'static str], help: &'static str) -> CommandOption {
    CommandOption { short: None, name, takes: Takes::Nothing, commands, help }
}

const fn value(
    name: &'static str,
    placeholder: &'static str,
    commands: &'static [&'static str],
    help: &'static str,
) -> CommandOption {
    CommandOption { short: None, name, takes: Takes::Value(placeholder), commands, help }
}

impl CommandOption {
    const fn short(self, short: char) -> Self {
        Self { short: Some(short), ..self }
    }
}

impl CommandOption {
    const fn optional(self, takes: Takes) -> Self {
        Self { takes, ..self }
    }
}

/// Commands that show packets.
const PACKETS: &[&str] = &["capture", "read", "replay"];
const LIVE: &[&str] = &["capture"];
const VIEWS: &[&str] = &["capture", "read"];
/// Commands that open the log.
const LOGS: &[&str] = &["log", "explain"];

/// All options, in the order of the help.
pub(super) const OPTIONS: &[CommandOption] = &[
    value(
        "interface",
        "NAME",
        &["run", "capture"],
        "capture on this interface; may be repeated; of 'capture' also any, for all that are up",
    )
    .short('i'),
    value("interface", "NAME", &["replay"], "send on this interface").short('i'),
    flag(
        "no-wait",
        &["run"],
        "an interface that does not exist at the start is an error; otherwise it is waited for",
    ),
    value("read", "FILE", VIEWS, "packets of FILE, as 'sentinel read FILE'").short('r'),
    flag("list-interfaces", LIVE, "list the interfaces, as 'sentinel interfaces'").short('D'),
    flag("no-promisc", LIVE, "only frames that are addressed to this machine").short('p'),
    value("direction", "in|out|inout", LIVE, "only frames that this machine receives, or sends").short('Q'),
    value("buffer-size", "KIB", LIVE, "capture ring in the kernel, for each interface").short('B'),
    value("speed", "FACTOR", &["replay"], "speed relative to the capture (1.0); 0: as fast as possible"),
    flag("display-only", &["replay"], "show the packets with their timing, send nothing"),
    flag("alerts", VIEWS, "alerts of the detectors as NDJSON; --alerts=text as text")
        .optional(Takes::OptionalValue("text")),
    flag("records", VIEWS, "messages of DNS, TLS, HTTP and others as NDJSON"),
    flag("flows", VIEWS, "flows as NDJSON, each when it ends"),
    flag("count-only", VIEWS, "the number of packets that pass the filter"),
    flag("json", PACKETS, "one JSON object per packet (NDJSON)"),
    flag("hex", PACKETS, "also dump the bytes of each packet").short('x'),
    flag("hex-ascii", PACKETS, "-X: the same without the link-layer header; -XX: with it").short('X'),
    flag("ascii", PACKETS, "-A: also the bytes as text, without the link-layer header; -AA: with it")
        .short('A'),
    flag("verbose", PACKETS, "also TTL, length, TCP sequence numbers, window and options").short('v'),
    flag("link-header", PACKETS, "also hardware addresses and length of the frame").short('e'),
    flag("no-names", PACKETS, "accepted: names of hosts and ports are never looked up").short('n'),
    flag("line-buffered", PACKETS, "accepted: live lines are written at once").short('l'),
    flag("packet-buffered", PACKETS, "accepted: live packets are written at once").short('U'),
    value("color", "WHEN", PACKETS, "auto (the default: on a terminal, without NO_COLOR), always, never"),
    value(
        "filter",
        "EXPRESSION",
        &["capture", "read", "replay", "filter", "ctl"],
        "filter, instead of words at the end",
    )
    .short('f'),
    value("protocol", "NAME", PACKETS, "only one protocol, such as tcp, icmp, dns or tls"),
    value("ip", "ADDRESS", PACKETS, "only packets from or to this address"),
    value("port", "NUMBER", PACKETS, "only packets from or to this port"),
    value("count", "NUMBER", PACKETS, "stop after NUMBER packets; 0: no limit").short('c'),
    value("duration", "SECONDS", PACKETS, "stop after SECONDS, in files by packet time; 0: no limit")
        .short('t'),
    value("snaplen", "BYTES", VIEWS, "analyse and save BYTES of each packet; 0: all").short('s'),
    value("write", "FILE", VIEWS, "save the packets; '-': standard output").short('w'),
    value("format", "NAME", VIEWS, "pcap or pcapng; by default as FILE ends, else pcap"),
    value("rotate-size", "MB", VIEWS, "with -w: start a new file when it exceeds MB million bytes")
        .short('C'),
    value("rotate-seconds", "SECONDS", VIEWS, "with -w: start a new file after SECONDS; FILE as in strftime")
        .short('G'),
    value(
        "rotate-count",
        "NUMBER",
        VIEWS,
        "with -C: files before the first is overwritten; with -G: total files",
    )
    .short('W'),
    flag("utc", PACKETS, "times in UTC, not local: lines on a terminal, dates in FILE of -G"),
    value("output", "DIRECTORY", VIEWS, "write results and a log to this directory").short('o'),
    flag("stats", VIEWS, "totals and top talkers at the end; live also every SECONDS")
        .optional(Takes::OptionalNumber("SECONDS")),
    flag("quiet", PACKETS, "print errors only").short('q'),
    flag("dump", &["filter"], "-d as assembly (the default), -dd as a C array, -ddd as decimal numbers")
        .short('d'),
    value("link", "NAME", &["filter"], "link type, by name or number (EN10MB)"),
    value("limit", "NUMBER", &["ctl"], "packets: NUMBER newest packets; 0: all (100)").short('n'),
    value("write", "FILE", &["ctl"], "packets: save as pcapng; '-': standard output").short('w'),
    value("color", "WHEN", &["ctl"], "packets: auto, always, never"),
    flag("json", &["status", "interfaces"], "as JSON"),
    flag("json", &["tune"], "one JSON object per incident that changes (NDJSON)"),
    flag("watch", &["status"], "refresh every second"),
    flag("memory", &["status"], "bytes of each table"),
    flag("sandbox", &["selftest"], "give up all rights that 'run' gives up, and try what must fail then"),
    value("last", "SPAN", &["tune"], "packets that the running sensor has in memory, of SPAN: 30m, 24h, 7d"),
    value("token-file", "FILE", &["enroll"], "token in a file, so that it is not in the list of processes"),
    value("name", "NAME", &["enroll"], "name of this sensor at the collector"),
    flag("new-key", &["enroll"], "with another key, because the old one was copied"),
    flag("rotate", &["enroll"], "replace the key of this enrolled sensor; needs no token"),
    value("count", "NUMBER", &["log"], "show, export: only the newest records").short('c'),
    value("key", "FILE", LOGS, "other key file, for segments that this sensor's key no longer opens"),
    value("evidence-key", "FILE", LOGS, "private key to which segments were sealed"),
    value("file", "FILE", LOGS, "log copied from elsewhere, or log.old; without its journal"),
    value("head", "NUMBER:EPOCH:CHAIN", &["log"], "verify: what the collector remembers of this log"),
    flag("changed", &["config"], "show: only settings that differ from the defaults"),
    value(
        "seed",
        "NUMBER",
        &["run", "capture", "read"],
        "key of the hash tables; random live, fixed for files",
    ),
    value("config", "FILE", &[], "UCI settings file (/etc/config/sentinel-appliance); /dev/null for none"),
    value("set", "[SECTION.]NAME=VALUE", &[], "a setting for this run; see 'sentinel config docs'"),
    flag("help", &[], "help of the command").short('h'),
    flag("version", &[], "version of this program").short('V'),
];

/// Replacements of letters of tcpdump that the packet commands do not have.
const INSTEAD_OF_TCPDUMP: &[(char, &str)] = &[
    ('#', "--json numbers the packets"),
    ('b', "leave it out"),
    ('d', "use 'sentinel filter EXPRESSION -d'"),
    ('E', "encrypted packets are not decrypted; leave it out"),
    ('F', "use the expression itself, such as \"$(cat FILE)\""),
    ('I', "use 'iw dev NAME set type monitor'; frames of 802.11 are not read"),
    ('j', "leave it out: times are those of the kernel"),
    ('J', "leave it out: times are those of the kernel"),
    ('K', "leave it out: checksums are not verified"),
    ('L', "use 'sentinel interfaces'"),
    ('N', "leave it out: names are never looked up"),
    ('O', "leave it out"),
    ('S', "leave it out: sequence numbers (-v) are always absolute"),
    ('T', "protocols are recognised by their content; leave it out"),
    ('u', "leave it out"),
    ('y', "leave it out: the link type is that of the interface"),
    ('Z', "use 'setpriv' or 'sudo -u'"),
    ('z', "compress the files afterwards"),
];

/// Message about a letter of tcpdump that `command` does not have.
pub(super) fn instead(command: &str, short: char) -> Option<String> {
    let (_, hint) = INSTEAD_OF_TCPDUMP.iter().find(|(letter, _)| *letter == short)?;
    VIEWS.contains(&command).then(|| format!("{command}: -{short} is not supported: {hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::catalog::COMMANDS;

    #[test]
    fn no_command_takes_two_options_of_one_name_or_letter() {
        for command in COMMANDS {
            let taken: Vec<_> = OPTIONS.iter().filter(|option| option.belongs_to(command.name)).collect();
            for (index, option) in taken.iter().enumerate() {
                for other in taken.iter().skip(index + 1) {
                    assert_ne!(option.name, other.name, "{}", command.name);
                    assert!(option.short.is_none() || option.short != other.short, "{:?}", option.short);
                }
            }
        }
    }

    #[test]
    fn letters_with_a_substitute_are_those_that_are_missing() {
        for (letter, _) in INSTEAD_OF_TCPDUMP {
            for command in VIEWS {
                let is_taken =
                    |option: &CommandOption| option.short == Some(*letter) && option.belongs_to(command);
                assert!(!OPTIONS.iter().any(is_taken), "{command} -{letter}");
            }
        }
        assert_eq!(instead("status", 'K'), None);
    }

    /// An option before the command's name is parsed without knowing the command.
    #[test]
    fn options_of_one_name_take_the_same() {
        for option in OPTIONS {
            let others = OPTIONS.iter().filter(|other| other.name == option.name);
            for other in others {
                assert_eq!((other.takes, other.short), (option.takes, option.short), "{}", option.name);
            }
        }
    }

    #[test]
    fn options_belong_to_commands_that_exist() {
        for option in OPTIONS {
            for name in option.commands {
                assert!(COMMANDS.iter().any(|command| command.name == *name), "--{}: {name}", option.name);
            }
        }
    }
}
