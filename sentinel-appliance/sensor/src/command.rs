//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::{Arg, Parser, ValueExt};
use sentinel_filter::{DumpStyle, Simple};
use sentinel_units::LinkType;

use crate::failure::Failure;
use crate::read::{self, FILE_SEED, View};
use crate::settings::{self, Settings, environment, split_assignment};
use crate::{enroll, filter_command, interfaces_command, log_command, output, run, status_command};

const HELP: &str = "\
sentinel - network security sensor

Usage:
  sentinel run [-i INTERFACE]...        capture, detect, log, send to the collector
  sentinel read FILE [EXPRESSION]       the same detection over a pcap or pcapng file ('-': standard input)
  sentinel filter EXPRESSION            the program that a filter in tcpdump's language becomes
  sentinel status                       what the running sensor sees, lost, raised, sent
  sentinel enroll TOKEN [--name NAME]   make this sensor known to a collector
  sentinel log list|show|verify|export  the sealed log
  sentinel config check|show|docs       settings: check a file, effective values, reference
  sentinel interfaces [--json]          what there is to capture on

Options of every command:
  -c, --config FILE         settings file in UCI syntax (default /etc/config/sentinel-appliance)
      --set [SECTION.]NAME=VALUE  a setting for this run; see 'sentinel config docs'
  -h, --help, -V, --version

read:
      --alerts              alerts as NDJSON
      --records             DNS, TLS and HTTP messages as NDJSON
      --count-only          the number of packets that pass the filter
  -f, --filter EXPRESSION   only packets that match, as after the file: sentinel read x.pcap tcp port 80
      --protocol NAME       only tcp, udp, icmp, arp, http, dns, tls or quic
      --ip ADDRESS          only packets from or to this address
      --port NUMBER         only packets from or to this port
      --seed NUMBER         key of the hash tables (fixed, so that runs repeat)

filter:
  -d, -dd, -ddd, --dump     for people (the default), as a C array, as decimal numbers
      --link NAME           link type, by name or number (EN10MB)

run:
  -i, --interface NAME      capture on this interface; may be repeated (setting 'interface')
      --seed NUMBER         key of the hash tables (random)

status:
      --json                the whole answer as one JSON object
      --watch               again every second
      --memory              bytes of each table

log:
  -n, --count NUMBER        show, export: only the newest records
      --key FILE            another key, for segments that this sensor's key no longer opens

config:
      check [FILE]          every problem with its place; exit code 1 if there is one
      show [--changed]      values in force and where each comes from
      docs                  the reference, in Markdown

Exit codes: 0 success, 1 failure (reason on standard error), 2 wrong usage.
";

/// Words and options of the whole command line. Which command takes which is checked at the end.
#[derive(Default)]
struct Words {
    names: Vec<OsString>,
    config: Option<PathBuf>,
    assignments: Vec<(String, String)>,
    interfaces: Vec<String>,
    name: Option<String>,
    expression: Option<String>,
    link: Option<LinkType>,
    filter: Simple,
    key: Option<PathBuf>,
    count: Option<u64>,
    seed: Option<u64>,
    /// Options seen, to refuse those that the command does not take.
    seen: Vec<&'static str>,
}

/// Runs the command that the arguments ask for.
///
/// # Errors
/// Why it did not succeed.
pub(crate) fn run() -> Result<(), Failure> {
    let mut words = Words::default();
    let mut parser = Parser::from_env();
    while let Some(argument) = parser.next()? {
        match words.option(&argument) {
            Some(name) => {
                words.seen.push(name);
                match name {
                    "--help" => return print(HELP),
                    "--version" => {
                        return print(&format!("sentinel {}\n", env!("CARGO_PKG_VERSION")));
                    }
                    _ => words.value(name, &mut parser)?,
                }
            }
            None => match argument {
                Arg::Value(word) => words.names.push(word),
                other => return Err(other.unexpected().into()),
            },
        }
    }
    dispatch(words)
}

fn print(text: &str) -> Result<(), Failure> {
    let mut output = output::Output::new();
    output.line(|line| {
        line.push_str(text.trim_end());
        Ok(())
    })?;
    output.flush()
}

const OPTIONS: [(Option<char>, &str); 23] = [
    (Some('h'), "--help"),
    (Some('V'), "--version"),
    (Some('c'), "--config"),
    (None, "--set"),
    (None, "--alerts"),
    (None, "--records"),
    (None, "--count-only"),
    (Some('f'), "--filter"),
    (Some('d'), "--dump"),
    (None, "--link"),
    (None, "--protocol"),
    (None, "--ip"),
    (None, "--port"),
    (None, "--seed"),
    (Some('i'), "--interface"),
    (None, "--json"),
    (None, "--watch"),
    (None, "--memory"),
    (Some('n'), "--count"),
    (None, "--key"),
    (None, "--changed"),
    (None, "--name"),
    (None, "--"),
];

impl Words {
    fn option(&self, argument: &Arg<'_>) -> Option<&'static str> {
        OPTIONS
            .iter()
            .find(|(short, long)| match argument {
                Arg::Short(given) => *short == Some(*given),
                Arg::Long(given) => long.strip_prefix("--") == Some(*given) && !given.is_empty(),
                Arg::Value(_) => false,
            })
            .map(|(_, long)| *long)
    }

    fn value(&mut self, name: &str, parser: &mut Parser) -> Result<(), Failure> {
        let mut text = || -> Result<String, Failure> { Ok(parser.value()?.string()?) };
        match name {
            "--config" => self.config = Some(parser.value()?.into()),
            "--key" => self.key = Some(parser.value()?.into()),
            "--set" => {
                let text = text()?;
                let assignment = split_assignment(&text)
                    .ok_or_else(|| Failure::Usage(format!("--set {text}: want [SECTION.]NAME=VALUE")))?;
                self.assignments.push(assignment);
            }
            "--interface" => self.interfaces.push(text()?),
            "--name" => self.name = Some(text()?),
            "--filter" => self.expression = Some(text()?),
            "--link" => self.link = Some(filter_command::link(&text()?).map_err(Failure::Usage)?),
            "--protocol" => self.filter.protocol = Some(read::protocol(&text()?).map_err(Failure::Usage)?),
            "--ip" => self.filter.address = Some(read::address(&text()?).map_err(Failure::Usage)?),
            "--port" => self.filter.port = Some(read::port(&text()?).map_err(Failure::Usage)?),
            "--seed" => self.seed = Some(number(name, &text()?)?),
            "--count" => self.count = Some(number(name, &text()?)?),
            _ => {}
        }
        Ok(())
    }

    fn has(&self, option: &str) -> bool {
        self.seen.contains(&option)
    }

    /// Refuses what this command does not take.
    fn only(&self, command: &str, most_words: usize, options: &[&str]) -> Result<(), Failure> {
        if let Some(extra) = self.names.get(most_words) {
            return Err(Failure::Usage(format!("{command}: unexpected '{}'", extra.to_string_lossy())));
        }
        let allowed = |option: &&&str| matches!(**option, "--config" | "--set") || options.contains(*option);
        match self.seen.iter().find(|option| !allowed(option)) {
            Some(option) => Err(Failure::Usage(format!("{command}: {option} does not belong here"))),
            None => Ok(()),
        }
    }

    fn word(&self, index: usize) -> Option<&str> {
        self.names.get(index).and_then(|word| word.to_str())
    }

    /// The filter expression: the words from `first` on, or what `--filter` says.
    fn expression(&self, first: usize) -> Result<String, Failure> {
        let words: Option<Vec<&str>> = self.names.iter().skip(first).map(|word| word.to_str()).collect();
        let words = words.ok_or_else(|| Failure::Usage("the filter is not UTF-8".into()))?.join(" ");
        match &self.expression {
            Some(_) if !words.is_empty() => {
                Err(Failure::Usage("want one filter, after --filter or after the file".into()))
            }
            Some(given) => Ok(given.clone()),
            None => Ok(words),
        }
    }

    /// All flags that set something, `-i` included.
    fn flags(&self) -> Vec<(String, String)> {
        let mut flags = self.assignments.clone();
        if !self.interfaces.is_empty() {
            flags.push(("interface".into(), self.interfaces.join(" ")));
        }
        flags
    }

    fn load(&self) -> Result<Settings, Failure> {
        Settings::load(self.config.as_deref(), environment(), &self.flags())
            .map(|loaded| loaded.settings)
            .map_err(|problems| {
                let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
                Failure::Other(lines.join("\nsentinel: "))
            })
    }
}

fn number(option: &str, text: &str) -> Result<u64, Failure> {
    text.parse().map_err(|_| Failure::Usage(format!("{option} {text}: want a whole number")))
}

fn dispatch(words: Words) -> Result<(), Failure> {
    match words.word(0) {
        Some("run") => {
            words.only("run", 1, &["--interface", "--seed"])?;
            let settings = words.load()?;
            let flags = words.flags();
            run::run(run::Request { config: words.config, flags, seed: words.seed }, settings)
        }
        Some("read") => read_command(&words),
        Some("filter") => filter_program(&words),
        Some("status") => {
            words.only("status", 1, &["--json", "--watch", "--memory"])?;
            let [json, watch, memory] = ["--json", "--watch", "--memory"].map(|option| words.has(option));
            let show = status_command::Show { json, watch, memory };
            status_command::status(&words.load()?.run_dir, show)
        }
        Some("enroll") => {
            words.only("enroll", 2, &["--name"])?;
            let token = words.word(1).ok_or_else(|| Failure::Usage("enroll: want a token".into()))?;
            enroll::enroll(token, words.name.as_deref(), &words.load()?)
        }
        Some("log") => log(&words),
        Some("config") => config(&words),
        Some("interfaces") => {
            words.only("interfaces", 1, &["--json"])?;
            interfaces_command::list(words.has("--json"))
        }
        Some(other) => Err(Failure::Usage(format!("unknown command '{other}'"))),
        None => Err(Failure::Usage("no command given".into())),
    }
}

fn read_command(words: &Words) -> Result<(), Failure> {
    let options =
        ["--alerts", "--records", "--count-only", "--filter", "--protocol", "--ip", "--port", "--seed"];
    words.only("read", usize::MAX, &options)?;
    let file = words.names.get(1).ok_or_else(|| Failure::Usage("read: want a file, or '-'".into()))?;
    let views = [("--alerts", View::Alerts), ("--records", View::Records), ("--count-only", View::CountOnly)];
    let mut chosen = views.iter().filter(|(option, _)| words.has(option));
    let view = chosen.next().map_or(View::Text, |(_, view)| *view);
    if let Some((second, _)) = chosen.next() {
        return Err(Failure::Usage(format!("read: {second} does not go with another view")));
    }
    let request = read::Request {
        file: file.into(),
        view,
        expression: words.expression(2)?,
        filter: words.filter,
        seed: words.seed.unwrap_or(FILE_SEED),
    };
    read::read(&request, &words.load()?)
}

fn filter_program(words: &Words) -> Result<(), Failure> {
    words.only("filter", usize::MAX, &["--filter", "--dump", "--link"])?;
    let style = match words.seen.iter().filter(|option| **option == "--dump").count() {
        0 | 1 => DumpStyle::Assembly,
        2 => DumpStyle::C,
        _ => DumpStyle::Decimal,
    };
    let link = words.link.unwrap_or(LinkType::ETHERNET);
    filter_command::filter(&words.expression(1)?, link, style)
}

fn log(words: &Words) -> Result<(), Failure> {
    words.only("log", 2, &["--count", "--key"])?;
    let action = match words.word(1) {
        Some("list") => log_command::Action::List,
        Some("show") => log_command::Action::Show,
        Some("verify") => log_command::Action::Verify,
        Some("export") => log_command::Action::Export,
        _ => return Err(Failure::Usage("log: want list, show, verify or export".into())),
    };
    log_command::log(action, words.count, words.key.as_deref(), &words.load()?)
}

fn config(words: &Words) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let written = |error: std::io::Error| Failure::output(&error);
    match words.word(1) {
        Some("check") => {
            words.only("config check", 3, &[])?;
            let file = words.names.get(2).map(PathBuf::from).or_else(|| words.config.clone());
            let loaded = Settings::load(file.as_deref(), environment(), &words.flags());
            let problems = loaded.as_ref().err().map_or(0, Vec::len);
            if settings::check(&loaded, &mut out).map_err(written)? {
                return Ok(());
            }
            Err(Failure::new(format!("{problems} problems in the settings")))
        }
        Some("show") => {
            words.only("config show", 2, &["--changed"])?;
            match Settings::load(words.config.as_deref(), environment(), &words.flags()) {
                Ok(loaded) => settings::show(&loaded, words.has("--changed"), &mut out).map_err(written),
                Err(_) => words.load().map(|_| ()),
            }
        }
        Some("docs") => {
            words.only("config docs", 2, &[])?;
            settings::docs(&mut out).map_err(written)
        }
        _ => Err(Failure::Usage("config: want check, show or docs".into())),
    }
}
