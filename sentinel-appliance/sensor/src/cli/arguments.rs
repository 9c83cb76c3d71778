//! Arguments of the command line, checked against the tables of commands and options, with typed access.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use lexopt::{Arg, Parser};

use super::option::{CommandOption, OPTIONS, Takes, instead};
use crate::settings::{Loaded, Problem, Settings, environment, split_assignment};
use crate::terminal::failure::Failure;
use crate::terminal::log;

/// Command with its help.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) name: &'static str,
    /// Text after the name in the usage line.
    pub(super) usage: &'static str,
    /// Purpose, in a line.
    pub(super) about: &'static str,
    /// Further text of its own help page.
    pub(super) details: &'static str,
    /// Calls the command with its arguments.
    pub(super) run: fn(&Arguments) -> Result<(), Failure>,
}

/// Request of the command line.
#[derive(Debug)]
pub(super) enum Invocation {
    /// Help page of the command, or of the program.
    Help(Option<&'static Command>),
    Version,
    Command(&'static Command, Arguments),
}

/// Words and options after the name of the command.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    words: Vec<OsString>,
    options: Vec<OptionValue>,
}

/// Option with the value that was given.
#[derive(Debug)]
struct OptionValue {
    option: &'static CommandOption,
    /// Empty if the option takes no value, or none was given.
    value: OsString,
}

impl Arguments {
    /// Parses the arguments; every option is one that the command takes.
    pub(super) fn parse(mut parser: Parser, commands: &'static [Command]) -> Result<Invocation, Failure> {
        let mut arguments = Self::default();
        let mut invoked = None;
        // `help`, `help COMMAND`: as `--help`, `COMMAND --help`.
        let mut asks_for_help = false;
        while let Some(argument) = parser.next()? {
            let option = match argument {
                Arg::Value(word) if invoked.is_none() => {
                    let name = word.to_string_lossy();
                    if name == "help" && !asks_for_help {
                        asks_for_help = true;
                        continue;
                    }
                    let found = commands.iter().find(|command| command.name == name);
                    invoked = Some(found.ok_or_else(|| Failure::usage(format!("unknown command '{name}'")))?);
                    continue;
                }
                Arg::Value(word) => {
                    arguments.words.push(word);
                    continue;
                }
                option => match find(&option, invoked) {
                    Some(found) => found,
                    None => return Err(unexpected(option, invoked)),
                },
            };
            match option.name {
                "help" => return Ok(Invocation::Help(invoked)),
                "version" => return Ok(Invocation::Version),
                _ => arguments.options.push(OptionValue { option, value: value(option.takes, &mut parser)? }),
            }
        }
        if asks_for_help {
            return Ok(Invocation::Help(invoked));
        }
        let invoked = invoked.ok_or_else(|| Failure::usage("no command given".into()))?;
        let is_taken = |given: &&OptionValue| {
            OPTIONS.iter().any(|option| option.name == given.option.name && option.belongs_to(invoked.name))
        };
        if let Some(given) = arguments.options.iter().find(|given| !is_taken(given)) {
            let (command, option) = (invoked.name, given.option.name);
            return Err(Failure::usage(format!("{command}: option --{option} is not supported")));
        }
        Ok(Invocation::Command(invoked, arguments))
    }

    /// Checks that there are at most `most` words.
    pub(super) fn at_most(&self, command: &str, most: usize) -> Result<(), Failure> {
        match self.words.get(most) {
            Some(extra) => {
                Err(Failure::usage(format!("{command}: unexpected '{}'", extra.to_string_lossy())))
            }
            None => Ok(()),
        }
    }

    /// Word at `index` after the command, if it is UTF-8.
    pub(super) fn word(&self, index: usize) -> Option<&str> {
        self.words.get(index).and_then(|word| word.to_str())
    }

    /// Word at `index` as a path.
    pub(super) fn path_at(&self, index: usize) -> Option<PathBuf> {
        self.words.get(index).map(PathBuf::from)
    }

    /// Returns true if the option was given.
    pub(super) fn has(&self, name: &str) -> bool {
        self.times(name) > 0
    }

    /// Number of times that the option was given.
    pub(super) fn times(&self, name: &str) -> usize {
        self.options.iter().filter(|given| given.option.name == name).count()
    }

    /// Last value of the option as a path.
    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        self.options.iter().rfind(|given| given.option.name == name).map(|given| PathBuf::from(&given.value))
    }

    /// All values of the option.
    pub(super) fn all(&self, name: &str) -> Result<Vec<&str>, Failure> {
        let given = self.options.iter().filter(|given| given.option.name == name);
        given.map(|given| text(name, &given.value)).collect()
    }

    /// Last value of the option.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, Failure> {
        self.options
            .iter()
            .rfind(|given| given.option.name == name)
            .map(|given| text(name, &given.value))
            .transpose()
    }

    /// Last value of the option, parsed by `read`.
    pub(super) fn parsed<T>(
        &self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, Failure>,
    ) -> Result<Option<T>, Failure> {
        self.text(name)?.map(read).transpose()
    }

    /// Last value of the option, a whole number.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Failure> {
        self.parsed(name, |text| {
            text.parse().map_err(|_| Failure::usage(format!("--{name} {text}: want a whole number")))
        })
    }

    /// Filter expression: the words from `first` on, or the value of `--filter`.
    pub(super) fn expression(&self, first: usize) -> Result<String, Failure> {
        let words: Option<Vec<&str>> = self.words.iter().skip(first).map(|word| word.to_str()).collect();
        let words = words.ok_or_else(|| Failure::usage("the filter is not UTF-8".into()))?.join(" ");
        match self.text("filter")? {
            Some(_) if !words.is_empty() => {
                Err(Failure::usage("want one filter, after --filter or at the end".into()))
            }
            Some(given) => Ok(given.to_owned()),
            None => Ok(words),
        }
    }

    /// All assignments of `--set`.
    pub(super) fn assignments(&self) -> Result<Vec<(String, String)>, Failure> {
        let split = |text: &str| {
            split_assignment(text)
                .ok_or_else(|| Failure::usage(format!("--set {text}: want [SECTION.]NAME=VALUE")))
        };
        self.all("set")?.into_iter().map(split).collect()
    }

    /// Settings of file and environment with `assignments` on top.
    pub(super) fn settings(&self, assignments: &[(String, String)]) -> Result<Settings, Failure> {
        let loaded = Settings::load(self.path("config").as_deref(), environment(), assignments);
        loaded.map(in_force).map_err(|problems| failure(&problems))
    }

    /// Settings of all layers as far as they can be read, for commands that need only the directories of a sensor: a typo in
    /// the file must not take them away while the sensor runs.
    pub(super) fn load_readable(&self) -> Result<Settings, Failure> {
        self.readable(&self.assignments()?).map(in_force)
    }

    /// As [`Arguments::load_readable`], with these assignments, and what was set aside.
    pub(super) fn readable(&self, assignments: &[(String, String)]) -> Result<Loaded, Failure> {
        let loaded = Settings::load_readable(self.path("config").as_deref(), environment(), assignments);
        loaded.map_err(|problems| failure(&problems))
    }

    /// Settings of all layers.
    pub(super) fn load(&self) -> Result<Settings, Failure> {
        self.settings(&self.assignments()?)
    }
}

/// Failure for an option that no command has, with what to use instead of a letter of tcpdump.
fn unexpected(argument: Arg<'_>, command: Option<&Command>) -> Failure {
    let hint = match argument {
        Arg::Short(short) => command.and_then(|command| instead(command.name, short)),
        _ => None,
    };
    hint.map_or_else(|| argument.unexpected().into(), Failure::usage)
}

/// Logs what was set aside, and the warnings; gives the values.
fn in_force(loaded: Loaded) -> Settings {
    // First: the problems say why the values in force may not be those of the file.
    let all = loaded.set_aside.iter().chain(&loaded.warnings);
    all.for_each(|warning| log::warn(format_args!("{warning}")));
    loaded.settings
}

fn failure(problems: &[Problem]) -> Failure {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    Failure::other(lines.join("\nsentinel: "))
}

/// Declaration of an option; if it comes before the command, of the first command that has such an option.
fn find(argument: &Arg<'_>, command: Option<&Command>) -> Option<&'static CommandOption> {
    let is_it = |option: &&CommandOption| match argument {
        Arg::Short(short) => option.short == Some(*short),
        Arg::Long(name) => option.name == *name,
        Arg::Value(_) => false,
    };
    let own = |option: &&CommandOption| command.is_none_or(|command| option.belongs_to(command.name));
    let named = || OPTIONS.iter().filter(is_it);
    named().find(own).or_else(|| named().next())
}

fn value(takes: Takes, parser: &mut Parser) -> Result<OsString, Failure> {
    Ok(match takes {
        Takes::Nothing => OsString::new(),
        Takes::Value(_) => parser.value()?,
        Takes::OptionalValue(_) => parser.optional_value().unwrap_or_default(),
        Takes::OptionalNumber(_) => match parser.optional_value() {
            Some(value) => value,
            None => parser.try_raw_args().and_then(|mut rest| rest.next_if(is_number)).unwrap_or_default(),
        },
    })
}

fn is_number(word: &OsStr) -> bool {
    !word.is_empty() && word.as_encoded_bytes().iter().all(u8::is_ascii_digit)
}

fn text<'v>(name: &str, value: &'v OsString) -> Result<&'v str, Failure> {
    value.to_str().ok_or_else(|| Failure::usage(format!("--{name}: the value is not UTF-8")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::catalog::COMMANDS;

    fn parse(arguments: &[&str]) -> Result<Invocation, Failure> {
        Arguments::parse(Parser::from_args(arguments), COMMANDS)
    }

    fn words(arguments: &[&str]) -> Arguments {
        match parse(arguments) {
            Ok(Invocation::Command(_, words)) => words,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn options_may_stand_before_and_behind_the_command() {
        let words = words(&["--json", "status", "--set", "a=b", "--memory", "--set=c=d"]);
        assert!(words.has("json") && words.has("memory") && !words.has("watch"));
        let expected = [("a".into(), "b".into()), ("c".into(), "d".into())];
        assert_eq!(words.assignments().unwrap(), expected);
    }

    #[test]
    fn an_option_of_another_command_is_refused() {
        for (arguments, expected) in [
            (&["read", "x", "--watch"][..], "read: option --watch is not supported"),
            (&["--watch", "read", "x"], "read: option --watch is not supported"),
            (&["status", "--frobnicate"], "invalid option '--frobnicate'"),
            (&["frobnicate"], "unknown command 'frobnicate'"),
            (&[], "no command given"),
        ] {
            assert_eq!(parse(arguments).unwrap_err().to_string(), expected);
        }
    }

    /// Whoever knows tcpdump types these without thinking.
    #[test]
    fn letters_of_tcpdump_are_taken() {
        let given = words(&["capture", "-nni", "br-lan", "-lUpveXX", "-Q", "in", "port", "53"]);
        assert_eq!(
            (given.all("interface").unwrap(), given.expression(0).unwrap()),
            (vec!["br-lan"], "port 53".into())
        );
        assert_eq!((given.times("no-names"), given.times("hex-ascii")), (2, 2));
        assert_eq!(given.text("direction").unwrap(), Some("in"));
        assert!(words(&["capture", "-D"]).has("list-interfaces"));
        let given = words(&["read", "-nr", "x.pcap", "tcp"]);
        assert_eq!((given.path("read"), given.expression(0).unwrap()), (Some("x.pcap".into()), "tcp".into()));
        assert_eq!(words(&["ctl", "packets", "-n", "5"]).number("limit").unwrap(), Some(5));
        for (arguments, expected) in [
            (&["capture", "-F", "x"][..], "capture: -F is not supported: use the expression itself"),
            (&["read", "x", "-K"], "read: -K is not supported: leave it out: checksums"),
            (&["status", "-K"], "invalid option '-K'"),
        ] {
            let text = parse(arguments).unwrap_err().to_string();
            assert!(text.starts_with(expected), "{text}");
        }
    }

    #[test]
    fn the_words_behind_the_file_are_the_filter() {
        let given = words(&["read", "x.pcap", "tcp", "port", "80"]);
        assert_eq!((given.word(0), given.expression(1).unwrap()), (Some("x.pcap"), "tcp port 80".into()));
        let given = words(&["read", "x.pcap", "-f", "udp"]);
        assert_eq!(given.expression(1).unwrap(), "udp");
        assert!(words(&["read", "x.pcap", "tcp", "-f", "udp"]).expression(1).is_err());
    }

    #[test]
    fn a_number_behind_stats_is_its_value_and_another_word_is_not() {
        let given = words(&["read", "x.pcap", "--stats", "5", "tcp"]);
        assert_eq!((given.text("stats").unwrap(), given.expression(1).unwrap()), (Some("5"), "tcp".into()));
        let given = words(&["read", "--stats", "x.pcap", "--stats=7"]);
        assert_eq!((given.word(0), given.all("stats").unwrap()), (Some("x.pcap"), vec!["", "7"]));
        let given = words(&["read", "x.pcap", "--stats", "-q"]);
        assert!(given.has("quiet") && given.text("stats").unwrap() == Some(""));
        let given = words(&["read", "--alerts", "x.pcap", "--alerts=text"]);
        assert_eq!((given.word(0), given.all("alerts").unwrap()), (Some("x.pcap"), vec!["", "text"]));
    }

    #[test]
    fn help_is_of_the_command_before_it() {
        assert!(
            matches!(parse(&["read", "-h"]), Ok(Invocation::Help(Some(command))) if command.name == "read")
        );
        assert!(matches!(parse(&["-h", "read"]), Ok(Invocation::Help(None))));
        assert!(matches!(parse(&["help"]), Ok(Invocation::Help(None))));
        assert!(
            matches!(parse(&["help", "read"]), Ok(Invocation::Help(Some(command))) if command.name == "read")
        );
        assert_eq!(parse(&["help", "frobnicate"]).unwrap_err().to_string(), "unknown command 'frobnicate'");
        assert!(matches!(parse(&["-V"]), Ok(Invocation::Version)));
    }
}
