//! Every option, declared once.

/// What follows an option.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Takes {
    /// Nothing.
    Nothing,
    /// A value, so called in the help.
    Value(&'static str),
    /// A value only if it stands behind `=`.
    OptionalValue(&'static str),
    /// A whole number, behind `=` or as the next word, or nothing.
    OptionalNumber(&'static str),
}

/// An option and the commands that take it.
#[derive(Debug)]
pub(super) struct CommandOption {
    pub(super) short: Option<char>,
    /// Without the dashes.
    pub(super) name: &'static str,
    pub(super) takes: Takes,
    /// Names of commands; none for an option of every command.
    pub(super) commands: &'static [&'static str],
    pub(super) help: &'static str,
}

impl CommandOption {
    /// Whether `command` takes it.
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

/// All options, in the order in which the help shows them.
pub(super) const OPTIONS: &[CommandOption] = &[
    value("interface", "NAME", &["run", "capture"], "capture on this interface; may be repeated").short('i'),
    value("interface", "NAME", &["replay"], "send on this interface").short('i'),
    flag("no-promisc", LIVE, "only frames that are addressed to this machine"),
    value("buffer-size", "KIB", LIVE, "capture ring in the kernel, for each interface").short('B'),
    value("speed", "FACTOR", &["replay"], "times as fast as the packets came (1.0); 0: as fast as possible"),
    flag("display-only", &["replay"], "show the packets at their pace, send nothing"),
    flag("alerts", VIEWS, "what the detectors raise, as NDJSON; --alerts=text for people")
        .optional(Takes::OptionalValue("text")),
    flag("records", VIEWS, "DNS, TLS, QUIC, HTTP and SSH messages as NDJSON"),
    flag("flows", VIEWS, "conversations as NDJSON, each when it ends"),
    flag("count-only", VIEWS, "the number of packets that pass the filter"),
    flag("json", PACKETS, "an object for each packet, as NDJSON"),
    flag("hex", PACKETS, "the bytes of each packet as well").short('x'),
    value("color", "WHEN", PACKETS, "auto (the default: on a terminal, without NO_COLOR), always, never"),
    value(
        "filter",
        "EXPRESSION",
        &["capture", "read", "replay", "filter", "ctl"],
        "instead of words at the end",
    )
    .short('f'),
    value("protocol", "NAME", PACKETS, "only tcp, udp, icmp, arp, http, dns, tls or quic"),
    value("ip", "ADDRESS", PACKETS, "only packets from or to this address"),
    value("port", "NUMBER", PACKETS, "only packets from or to this port"),
    value("count", "NUMBER", PACKETS, "stop after so many packets; 0: no limit").short('c'),
    value("duration", "SECONDS", PACKETS, "stop after so long, in files by their time; 0: no limit")
        .short('t'),
    value("snaplen", "BYTES", VIEWS, "look at so much of each packet; 0: all").short('s'),
    value("write", "FILE", VIEWS, "save the packets; '-': standard output").short('w'),
    value("format", "NAME", VIEWS, "pcap or pcapng; by default as FILE ends, else pcap"),
    value("rotate-size", "MB", VIEWS, "with -w: another file once it is larger than MB million bytes")
        .short('C'),
    value(
        "rotate-seconds",
        "SECONDS",
        VIEWS,
        "with -w: another file after so long, FILE as in strftime (UTC)",
    )
    .short('G'),
    value(
        "rotate-count",
        "NUMBER",
        VIEWS,
        "with -C: files before the first is overwritten; with -G: files in all",
    )
    .short('W'),
    value("output", "DIRECTORY", VIEWS, "results and a log into this directory").short('o'),
    flag("stats", VIEWS, "sums and top talkers at the end; live also every SECONDS")
        .optional(Takes::OptionalNumber("SECONDS")),
    flag("quiet", PACKETS, "nothing on the terminal but errors").short('q'),
    flag("dump", &["filter"], "-d for people (the default), -dd as a C array, -ddd as decimal numbers")
        .short('d'),
    value("link", "NAME", &["filter"], "link type, by name or number (EN10MB)"),
    value("limit", "NUMBER", &["ctl"], "packets: the newest so many; 0 is all of them (100)").short('n'),
    value("write", "FILE", &["ctl"], "packets: save them as pcapng; '-': standard output").short('w'),
    value("color", "WHEN", &["ctl"], "packets: auto, always, never"),
    flag("json", &["status", "interfaces"], "as JSON"),
    flag("watch", &["status"], "again every second"),
    flag("memory", &["status"], "bytes of each table"),
    value("name", "NAME", &["enroll"], "what the collector shall call this sensor"),
    value("count", "NUMBER", &["log"], "show, export: only the newest records").short('c'),
    value("key", "FILE", &["log"], "another key, for segments that this sensor's key no longer opens"),
    flag("changed", &["config"], "show: only what differs from the defaults"),
    value(
        "seed",
        "NUMBER",
        &["run", "capture", "read"],
        "key of the hash tables; random live, fixed for files",
    ),
    value("config", "FILE", &[], "UCI settings file (/etc/config/sentinel-appliance); /dev/null for none"),
    value("set", "[SECTION.]NAME=VALUE", &[], "a setting for this run; see 'sentinel config docs'"),
    flag("help", &[], "what the command does and takes").short('h'),
    flag("version", &[], "the version of this program").short('V'),
];

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

    /// So that an option before the command's name can be read.
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
