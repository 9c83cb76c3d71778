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

const READ: &[&str] = &["read"];

/// All options, in the order in which the help shows them.
pub(super) const OPTIONS: &[CommandOption] = &[
    value("interface", "NAME", &["run"], "capture on this interface; may be repeated").short('i'),
    CommandOption {
        short: None,
        name: "alerts",
        takes: Takes::OptionalValue("text"),
        commands: READ,
        help: "what the detectors raise, as NDJSON; --alerts=text for people",
    },
    flag("records", READ, "DNS, TLS and HTTP messages as NDJSON"),
    flag("count-only", READ, "the number of packets that pass the filter"),
    value("filter", "EXPRESSION", &["read", "filter"], "tcpdump's language, instead of words at the end")
        .short('f'),
    value("protocol", "NAME", READ, "only tcp, udp, icmp, arp, http, dns, tls or quic"),
    value("ip", "ADDRESS", READ, "only packets from or to this address"),
    value("port", "NUMBER", READ, "only packets from or to this port"),
    flag("dump", &["filter"], "-d for people (the default), -dd as a C array, -ddd as decimal numbers")
        .short('d'),
    value("link", "NAME", &["filter"], "link type, by name or number (EN10MB)"),
    flag("json", &["status", "interfaces"], "as JSON"),
    flag("watch", &["status"], "again every second"),
    flag("memory", &["status"], "bytes of each table"),
    value("name", "NAME", &["enroll"], "what the collector shall call this sensor"),
    value("count", "NUMBER", &["log"], "show, export: only the newest records").short('c'),
    value("key", "FILE", &["log"], "another key, for segments that this sensor's key no longer opens"),
    flag("changed", &["config"], "show: only what differs from the defaults"),
    value("seed", "NUMBER", &["run", "read"], "key of the hash tables; random for run, fixed for files"),
    value("config", "FILE", &[], "settings file in UCI syntax (/etc/config/sentinel-appliance)"),
    value("set", "[SECTION.]NAME=VALUE", &[], "a setting for this run; see 'sentinel config docs'"),
    flag("help", &[], "what the command does and takes").short('h'),
    flag("version", &[], "the version of this program").short('V'),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::catalog::COMMANDS;

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
    fn options_belong_to_commands_that_exist() {
        for option in OPTIONS {
            for name in option.commands {
                assert!(COMMANDS.iter().any(|command| command.name == *name), "--{}: {name}", option.name);
            }
        }
    }
}
