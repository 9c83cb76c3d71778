//! From words to what each command is asked to do.

use std::path::PathBuf;

use sentinel_filter::DumpStyle;
use sentinel_units::LinkType;

use super::arguments::Words;
use super::packet_options;
use crate::commands::capture;
use crate::commands::ctl;
use crate::commands::enroll as enrollment;
use crate::commands::filter;
use crate::commands::interfaces;
use crate::commands::log;
use crate::commands::read::{self, FILE_SEED};
use crate::commands::replay;
use crate::commands::run as sensor;
use crate::commands::status;
use crate::settings::{self, Settings, environment};
use crate::terminal::failure::Failure;

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

pub(super) fn capture(words: &Words) -> Result<(), Failure> {
    let request = capture::Request {
        interfaces: words.all("interface")?.into_iter().map(str::to_owned).collect(),
        plan: packet_options::plan(words, 0)?,
        promiscuous: !words.has("no-promisc"),
        ring_kib: packet_options::ring_kib(words)?,
        seed: words.number("seed")?,
    };
    capture::capture(&request, &words.load()?)
}

pub(super) fn read(words: &Words) -> Result<(), Failure> {
    let file = words.path_at(0).ok_or_else(|| Failure::usage("read: want a file, or '-'".into()))?;
    let plan = packet_options::plan(words, 1)?;
    let progress = packet_options::has_room_for_a_bar(&plan);
    let request = read::Request { file, plan, seed: words.number("seed")?.unwrap_or(FILE_SEED), progress };
    read::read(&request, &words.load()?)
}

pub(super) fn replay(words: &Words) -> Result<(), Failure> {
    let file = words.path_at(0).ok_or_else(|| Failure::usage("replay: want a file, or '-'".into()))?;
    let interfaces = words.all("interface")?;
    let interface = match (interfaces.as_slice(), words.has("display-only")) {
        (_, true) => None,
        ([name], false) => Some((*name).to_owned()),
        ([], false) => {
            return Err(Failure::usage("replay: want -i INTERFACE, or --display-only".into()));
        }
        _ => return Err(Failure::usage("replay: want one interface".into())),
    };
    let speed = words.parsed("speed", replay::speed)?.unwrap_or(replay::Speed::ORIGINAL);
    let request = replay::Request { file, interface, speed, plan: packet_options::plan(words, 1)? };
    replay::replay(&request, &words.load()?)
}

pub(super) fn filter(words: &Words) -> Result<(), Failure> {
    let style = match words.times("dump") {
        0 | 1 => DumpStyle::Assembly,
        2 => DumpStyle::C,
        _ => DumpStyle::Decimal,
    };
    let link = words.parsed("link", filter::link)?.unwrap_or(LinkType::ETHERNET);
    filter::filter(&words.expression(0)?, link, style)
}

pub(super) fn status(words: &Words) -> Result<(), Failure> {
    words.at_most("status", 0)?;
    let [json, watch, memory] = ["json", "watch", "memory"].map(|option| words.has(option));
    status::status(&words.load()?.run_dir, status::Show { json, watch, memory })
}

pub(super) fn ctl(words: &Words) -> Result<(), Failure> {
    let action = words.word(0);
    if action != Some("packets")
        && let Some(option) = ["limit", "write", "color"].iter().find(|option| words.has(option))
    {
        return Err(Failure::usage(format!("ctl: --{option} goes with packets only")));
    }
    let request = match action {
        Some("set-filter") => ctl::Request::SetFilter(words.expression(1)?),
        Some("packets") => ctl::Request::Packets {
            limit: words.number("limit")?.unwrap_or(ctl::DEFAULT_LIMIT),
            expression: words.expression(1)?,
            to: words.path("write"),
            colours: packet_options::colours(words)?,
        },
        Some("start") => ctl::Request::Start,
        Some("stop") => ctl::Request::Stop,
        _ => return Err(Failure::usage("ctl: want set-filter, start, stop or packets".into())),
    };
    if matches!(action, Some("start" | "stop")) {
        words.at_most("ctl", 1)?;
    }
    ctl::ctl(&request, &words.load()?.run_dir)
}

pub(super) fn enroll(words: &Words) -> Result<(), Failure> {
    words.at_most("enroll", 1)?;
    let token = words.word(0).ok_or_else(|| Failure::usage("enroll: want a token".into()))?;
    enrollment::enroll(token, words.text("name")?, &words.load()?)
}

pub(super) fn log(words: &Words) -> Result<(), Failure> {
    words.at_most("log", 1)?;
    let action = match words.word(0) {
        Some("list") => log::Action::List,
        Some("show") => log::Action::Show,
        Some("verify") => log::Action::Verify,
        Some("export") => log::Action::Export,
        _ => return Err(Failure::usage("log: want list, show, verify or export".into())),
    };
    log::log(action, words.number("count")?, words.path("key").as_deref(), &words.load()?)
}

pub(super) fn config(words: &Words) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let written = |error: std::io::Error| Failure::output(&error);
    let action = words.word(0);
    if action != Some("show") && words.has("changed") {
        return Err(Failure::usage("config: --changed goes with show only".into()));
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
        _ => Err(Failure::usage("config: want check, show or docs".into())),
    }
}

pub(super) fn interfaces(words: &Words) -> Result<(), Failure> {
    words.at_most("interfaces", 0)?;
    interfaces::list(words.has("json"))
}
