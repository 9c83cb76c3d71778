//! From words to what each command is asked to do.

use std::path::PathBuf;

use sentinel_filter::{DumpStyle, Simple};
use sentinel_units::LinkType;

use super::words::Words;
use crate::failure::Failure;
use crate::read::{self, FILE_SEED, View};
use crate::settings::{self, Settings, environment};
use crate::{
    enroll as enrolment, filter_command, interfaces_command, log_command, run as sensor, status_command,
};

pub(super) fn run(words: &Words) -> Result<(), Failure> {
    words.at_most("run", 0)?;
    let mut flags = words.assignments()?;
    let interfaces = words.all("interface")?;
    if !interfaces.is_empty() {
        flags.push(("interface".into(), interfaces.join(" ")));
    }
    let settings = words.settings(&flags)?;
    sensor::run(
        sensor::Request { config: words.path("config"), flags, seed: words.number("seed")? },
        settings,
    )
}

pub(super) fn read(words: &Words) -> Result<(), Failure> {
    let file = words.path_at(0).ok_or_else(|| Failure::Usage("read: want a file, or '-'".into()))?;
    let request = read::Request {
        file,
        view: view(words)?,
        expression: words.expression(1)?,
        filter: simple_filter(words)?,
        seed: words.number("seed")?.unwrap_or(FILE_SEED),
    };
    read::read(&request, &words.load()?)
}

/// The one view that was asked for.
fn view(words: &Words) -> Result<View, Failure> {
    let alerts = match words.text("alerts")? {
        Some("text") | None => View::Text,
        Some("" | "json") => View::Alerts,
        Some(other) => return Err(Failure::Usage(format!("--alerts={other}: want json or text"))),
    };
    let views = [("alerts", alerts), ("records", View::Records), ("count-only", View::CountOnly)];
    let mut chosen = views.iter().filter(|(option, _)| words.has(option));
    let view = chosen.next().map_or(View::Text, |(_, view)| *view);
    match chosen.next() {
        Some((second, _)) => Err(Failure::Usage(format!("--{second} does not go with another view"))),
        None => Ok(view),
    }
}

fn simple_filter(words: &Words) -> Result<Simple, Failure> {
    Ok(Simple {
        protocol: words.parsed("protocol", read::protocol)?,
        address: words.parsed("ip", read::address)?,
        port: words.parsed("port", read::port)?,
    })
}

pub(super) fn filter(words: &Words) -> Result<(), Failure> {
    let style = match words.times("dump") {
        0 | 1 => DumpStyle::Assembly,
        2 => DumpStyle::C,
        _ => DumpStyle::Decimal,
    };
    let link = words.parsed("link", filter_command::link)?.unwrap_or(LinkType::ETHERNET);
    filter_command::filter(&words.expression(0)?, link, style)
}

pub(super) fn status(words: &Words) -> Result<(), Failure> {
    words.at_most("status", 0)?;
    let [json, watch, memory] = ["json", "watch", "memory"].map(|option| words.has(option));
    status_command::status(&words.load()?.run_dir, status_command::Show { json, watch, memory })
}

pub(super) fn enroll(words: &Words) -> Result<(), Failure> {
    words.at_most("enroll", 1)?;
    let token = words.word(0).ok_or_else(|| Failure::Usage("enroll: want a token".into()))?;
    enrolment::enroll(token, words.text("name")?, &words.load()?)
}

pub(super) fn log(words: &Words) -> Result<(), Failure> {
    words.at_most("log", 1)?;
    let action = match words.word(0) {
        Some("list") => log_command::Action::List,
        Some("show") => log_command::Action::Show,
        Some("verify") => log_command::Action::Verify,
        Some("export") => log_command::Action::Export,
        _ => return Err(Failure::Usage("log: want list, show, verify or export".into())),
    };
    log_command::log(action, words.number("count")?, words.path("key").as_deref(), &words.load()?)
}

pub(super) fn config(words: &Words) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let written = |error: std::io::Error| Failure::output(&error);
    let action = words.word(0);
    if action != Some("show") && words.has("changed") {
        return Err(Failure::Usage("config: --changed goes with show only".into()));
    }
    match action {
        Some("check") => {
            words.at_most("config check", 2)?;
            let file: Option<PathBuf> = words.path_at(1).or_else(|| words.path("config"));
            let loaded = Settings::load(file.as_deref(), environment(), &words.assignments()?);
            let problems = loaded.as_ref().err().map_or(0, Vec::len);
            if settings::check(&loaded, &mut out).map_err(written)? {
                return Ok(());
            }
            Err(Failure::new(format!("{problems} problems in the settings")))
        }
        Some("show") => {
            words.at_most("config show", 1)?;
            match Settings::load(words.path("config").as_deref(), environment(), &words.assignments()?) {
                Ok(loaded) => settings::show(&loaded, words.has("changed"), &mut out).map_err(written),
                Err(_) => words.load().map(|_| ()),
            }
        }
        Some("docs") => {
            words.at_most("config docs", 1)?;
            settings::docs(&mut out).map_err(written)
        }
        _ => Err(Failure::Usage("config: want check, show or docs".into())),
    }
}

pub(super) fn interfaces(words: &Words) -> Result<(), Failure> {
    words.at_most("interfaces", 0)?;
    interfaces_command::list(words.has("json"))
}
