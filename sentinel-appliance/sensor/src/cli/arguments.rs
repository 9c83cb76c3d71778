//! What stands on the command line.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use lexopt::{Arg, Parser};

use super::catalog::{Command, command};
use super::option::{CommandOption, OPTIONS, Takes};
use crate::settings::{Settings, environment, split_assignment};
use crate::terminal::failure::Failure;
use crate::terminal::log;

/// What the command line asks for.
#[derive(Debug)]
pub(super) enum Invocation {
    /// A page of help: of the command, or of the program.
    Help(Option<&'static Command>),
    Version,
    Command(&'static Command, Arguments),
}

/// Arguments and options behind the name of the command.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    names: Vec<OsString>,
    given: Vec<OptionValue>,
}

/// An option as it was given.
#[derive(Debug)]
struct OptionValue {
    option: &'static CommandOption,
    /// Empty if the option takes none, or none was given.
    value: OsString,
}

impl Arguments {
    /// Reads the arguments; every option is one that the command takes.
    pub(super) fn parse(mut parser: Parser) -> Result<Invocation, Failure> {
        let mut words = Self::default();
        let mut invoked = None;
        while let Some(argument) = parser.next()? {
            let option = match argument {
                Arg::Value(word) if invoked.is_none() => {
                    let name = word.to_string_lossy();
                    let found = command(&name);
                    invoked = Some(found.ok_or_else(|| Failure::usage(format!("unknown command '{name}'")))?);
                    continue;
                }
                Arg::Value(word) => {
                    words.names.push(word);
                    continue;
                }
                option => match find(&option, invoked) {
                    Some(found) => found,
                    None => return Err(option.unexpected().into()),
                },
            };
            match option.name {
                "help" => return Ok(Invocation::Help(invoked)),
                "version" => return Ok(Invocation::Version),
                _ => words.given.push(OptionValue { option, value: value(option.takes, &mut parser)? }),
            }
        }
        let invoked = invoked.ok_or_else(|| Failure::usage("no command given".into()))?;
        let is_taken = |given: &&OptionValue| {
            OPTIONS.iter().any(|option| option.name == given.option.name && option.belongs_to(invoked.name))
        };
        if let Some(given) = words.given.iter().find(|given| !is_taken(given)) {
            let (command, option) = (invoked.name, given.option.name);
            return Err(Failure::usage(format!("{command}: --{option} does not belong here")));
        }
        Ok(Invocation::Command(invoked, words))
    }

    /// Refuses more than so many words.
    pub(super) fn at_most(&self, command: &str, most: usize) -> Result<(), Failure> {
        match self.names.get(most) {
            Some(extra) => {
                Err(Failure::usage(format!("{command}: unexpected '{}'", extra.to_string_lossy())))
            }
            None => Ok(()),
        }
    }

    /// The word at `index` behind the command, if it is text.
    pub(super) fn word(&self, index: usize) -> Option<&str> {
        self.names.get(index).and_then(|word| word.to_str())
    }

    /// The word at `index` as a path.
    pub(super) fn path_at(&self, index: usize) -> Option<PathBuf> {
        self.names.get(index).map(PathBuf::from)
    }

    /// Whether the option was given.
    pub(super) fn has(&self, name: &str) -> bool {
        self.times(name) > 0
    }

    /// How often the option was given.
    pub(super) fn times(&self, name: &str) -> usize {
        self.given.iter().filter(|given| given.option.name == name).count()
    }

    /// The last value of the option as a path.
    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        self.given.iter().rfind(|given| given.option.name == name).map(|given| PathBuf::from(&given.value))
    }

    /// All values of the option.
    pub(super) fn all(&self, name: &str) -> Result<Vec<&str>, Failure> {
        let given = self.given.iter().filter(|given| given.option.name == name);
        given.map(|given| text(name, &given.value)).collect()
    }

    /// The last value of the option.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, Failure> {
        self.given
            .iter()
            .rfind(|given| given.option.name == name)
            .map(|given| text(name, &given.value))
            .transpose()
    }

    /// The last value of the option, read by `read`, which says what is wrong with a value that is none.
    pub(super) fn parsed<T>(
        &self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Failure> {
        self.text(name)?.map(|text| read(text).map_err(Failure::usage)).transpose()
    }

    /// The last value of the option, a whole number.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Failure> {
        self.parsed(name, |text| text.parse().map_err(|_| format!("--{name} {text}: want a whole number")))
    }

    /// The filter expression: the words from `first` on, or what `--filter` says.
    pub(super) fn expression(&self, first: usize) -> Result<String, Failure> {
        let words: Option<Vec<&str>> = self.names.iter().skip(first).map(|word| word.to_str()).collect();
        let words = words.ok_or_else(|| Failure::usage("the filter is not UTF-8".into()))?.join(" ");
        match self.text("filter")? {
            Some(_) if !words.is_empty() => {
                Err(Failure::usage("want one filter, after --filter or at the end".into()))
            }
            Some(given) => Ok(given.to_owned()),
            None => Ok(words),
        }
    }

    /// All flags that set something.
    pub(super) fn assignments(&self) -> Result<Vec<(String, String)>, Failure> {
        let split = |text: &str| {
            split_assignment(text)
                .ok_or_else(|| Failure::usage(format!("--set {text}: want [SECTION.]NAME=VALUE")))
        };
        self.all("set")?.into_iter().map(split).collect()
    }

    /// The settings in force.
    pub(super) fn settings(&self, assignments: &[(String, String)]) -> Result<Settings, Failure> {
        Settings::load(self.path("config").as_deref(), environment(), assignments)
            .map(|loaded| {
                loaded.warnings.iter().for_each(|warning| log::warn(format_args!("{warning}")));
                loaded.settings
            })
            .map_err(|problems| {
                let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
                Failure::other(lines.join("\nsentinel: "))
            })
    }

    /// The settings in force, those on the command line included.
    pub(super) fn load(&self) -> Result<Settings, Failure> {
        self.settings(&self.assignments()?)
    }
}

/// The declaration of an option; before the command's name, of the first command that takes such a one.
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

    fn parse(arguments: &[&str]) -> Result<Invocation, Failure> {
        Arguments::parse(Parser::from_args(arguments))
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
            (&["read", "x", "--watch"][..], "read: --watch does not belong here"),
            (&["--watch", "read", "x"], "read: --watch does not belong here"),
            (&["status", "--frobnicate"], "invalid option '--frobnicate'"),
            (&["frobnicate"], "unknown command 'frobnicate'"),
            (&[], "no command given"),
        ] {
            assert_eq!(parse(arguments).unwrap_err().to_string(), expected);
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
        assert!(matches!(parse(&["-V"]), Ok(Invocation::Version)));
    }
}
