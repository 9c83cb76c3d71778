//! Arguments to the typed request of each command.

use std::io::StdoutLock;
use std::path::{Path, PathBuf};

use sentinel_filter::DumpStyle;
use sentinel_units::LinkType;

use super::arguments::Arguments;
use super::packet_options;
use crate::commands::capture;
use crate::commands::classify;
use crate::commands::ctl;
use crate::commands::enroll::{self as enrollment, TokenSource};
use crate::commands::filter;
use crate::commands::interfaces;
use crate::commands::log;
use crate::commands::read::{self, FILE_SEED};
use crate::commands::replay;
use crate::commands::rpcd as ubus;
use crate::commands::run as sensor;
use crate::commands::selftest;
use crate::commands::status;
use crate::commands::tune;
use crate::control::visibility::Visibility;
use crate::settings::{self, Loaded, Problem, Settings, environment};
use crate::spool::MAIN_FILE;
use crate::system::clock::Clock;
use crate::system::damage::{FileState, look};
use crate::system::keys;
use crate::system::restart;
use crate::terminal::count::count;
use crate::terminal::failure::Failure;
use crate::terminal::log as messages;
use crate::worker::interface::existing_interfaces;
use crate::worker::kernel_filters::KernelFilters;
use crate::worker::routes;

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (clock, is_supervised) = (Clock::start(), restart::is_supervised());
    let outcome = run_sensor(arguments, is_supervised);
    if outcome.is_err() && is_supervised {
        restart::wait_after_failure(clock.uptime());
    }
    outcome
}

fn run_sensor(arguments: &Arguments, is_supervised: bool) -> Result<(), Failure> {
    arguments.at_most("run", 0)?;
    let mut flags = arguments.assignments()?;
    let interfaces = arguments.all("interface")?;
    if !interfaces.is_empty() {
        flags.push(("interface".into(), interfaces.join(" ")));
    }
    let loaded = arguments.readable(&flags)?;
    sensor::run(
        sensor::Request {
            config: arguments.path("config"),
            flags,
            seed: arguments.number("seed")?,
            waits_for_interfaces: !arguments.has("no-wait"),
            is_supervised,
        },
        loaded,
    )
}

pub(super) fn capture(arguments: &Arguments) -> Result<(), Failure> {
    if arguments.has("list-interfaces") {
        return interfaces::list(arguments.has("json"));
    }
    // `tcpdump -r` is one command for both.
    if arguments.has("read") {
        if let Some(live) = ["interface", "no-promisc", "buffer-size"].iter().find(|name| arguments.has(name))
        {
            return Err(Failure::usage(format!(
                "capture: --{live} does not go with --read, which reads a file"
            )));
        }
        return read(arguments);
    }
    let request = capture::Request {
        interfaces: arguments.all("interface")?.into_iter().map(str::to_owned).collect(),
        options: packet_options::parse(arguments, 0)?,
        promiscuous: !arguments.has("no-promisc"),
        ring_kib: packet_options::ring_kib(arguments)?,
        seed: arguments.number("seed")?,
    };
    capture::capture(&request, &arguments.load()?)
}

pub(super) fn read(arguments: &Arguments) -> Result<(), Failure> {
    let (file, first) = match arguments.path("read") {
        Some(file) => (Some(file), 0),
        None => (arguments.path_at(0), 1),
    };
    let file = file.ok_or_else(|| Failure::usage("read: want a file, or '-'".into()))?;
    let options = packet_options::parse(arguments, first)?;
    let progress = packet_options::has_room_for_a_bar(&options);
    let request =
        read::Request { file, options, seed: arguments.number("seed")?.unwrap_or(FILE_SEED), progress };
    read::read(&request, &arguments.load()?)
}

pub(super) fn replay(arguments: &Arguments) -> Result<(), Failure> {
    let file = arguments.path_at(0).ok_or_else(|| Failure::usage("replay: want a file, or '-'".into()))?;
    let interfaces = arguments.all("interface")?;
    let interface = match (interfaces.as_slice(), arguments.has("display-only")) {
        (_, true) => None,
        ([name], false) => Some((*name).to_owned()),
        ([], false) => {
            return Err(Failure::usage("replay: want -i INTERFACE, or --display-only".into()));
        }
        _ => return Err(Failure::usage("replay: want one interface".into())),
    };
    let speed = arguments.parsed("speed", replay::speed)?.unwrap_or(replay::Speed::ORIGINAL);
    let request = replay::Request { file, interface, speed, options: packet_options::parse(arguments, 1)? };
    replay::replay(&request, &arguments.load()?)
}

pub(super) fn filter(arguments: &Arguments) -> Result<(), Failure> {
    let style = match arguments.times("dump") {
        0 | 1 => DumpStyle::Assembly,
        2 => DumpStyle::C,
        _ => DumpStyle::Decimal,
    };
    let link = arguments.parsed("link", filter::link)?.unwrap_or(LinkType::ETHERNET);
    filter::filter(&arguments.expression(0)?, link, style)
}

pub(super) fn classify(arguments: &Arguments) -> Result<(), Failure> {
    arguments.at_most("classify", 1)?;
    let file = arguments
        .path_at(0)
        .ok_or_else(|| Failure::usage("classify: want a file of names, or '-'".into()))?;
    classify::classify(&file)
}

pub(super) fn status(arguments: &Arguments) -> Result<(), Failure> {
    arguments.at_most("status", 0)?;
    let [json, watch, memory] = ["json", "watch", "memory"].map(|option| arguments.has(option));
    status::status(&arguments.load_readable()?.run_dir, status::Show { json, watch, memory })
}

pub(super) fn ctl(arguments: &Arguments) -> Result<(), Failure> {
    let action = arguments.word(0);
    if action != Some("packets")
        && let Some(option) = ["limit", "write", "color"].iter().find(|option| arguments.has(option))
    {
        return Err(Failure::usage(format!("ctl: --{option} goes with packets only")));
    }
    let request = match action {
        Some("set-filter") => ctl::Request::SetFilter(arguments.expression(1)?),
        Some("packets") => ctl::Request::Packets {
            limit: arguments.number("limit")?.unwrap_or(ctl::DEFAULT_LIMIT),
            expression: arguments.expression(1)?,
            to: arguments.path("write"),
            colours: packet_options::colours(arguments)?,
        },
        Some("start") => ctl::Request::Start,
        Some("stop") => ctl::Request::Stop,
        _ => return Err(Failure::usage("ctl: want set-filter, start, stop or packets".into())),
    };
    if matches!(action, Some("start" | "stop")) {
        arguments.at_most("ctl", 1)?;
    }
    ctl::ctl(&request, &arguments.load_readable()?.run_dir)
}

pub(super) fn enroll(arguments: &Arguments) -> Result<(), Failure> {
    arguments.at_most("enroll", 1)?;
    if arguments.has("rotate") {
        if arguments.word(0).is_some() || arguments.path("token-file").is_some() || arguments.has("new-key") {
            return Err(Failure::usage("enroll: --rotate goes without a token".into()));
        }
        return enrollment::replace_key(&arguments.load()?);
    }
    let token = match (arguments.word(0), arguments.path("token-file")) {
        (Some(_), Some(_)) => {
            return Err(Failure::usage("enroll: want one token, as a word or after --token-file".into()));
        }
        (None, Some(file)) => TokenSource::File(file),
        (Some("-"), None) => TokenSource::StandardInput,
        (Some(token), None) => TokenSource::Argument(token.to_owned()),
        (None, None) => {
            return Err(Failure::usage(
                "enroll: want a token, '-' for standard input, or --token-file".into(),
            ));
        }
    };
    enrollment::enroll(&token, arguments.text("name")?, arguments.has("new-key"), &arguments.load()?)
}

pub(super) fn log(arguments: &Arguments) -> Result<(), Failure> {
    if arguments.word(0) == Some("evidence-keygen") {
        arguments.at_most("log evidence-keygen", 2)?;
        let want = || Failure::usage("log evidence-keygen: want the FILE for the private key".into());
        return log::keygen(&arguments.path_at(1).ok_or_else(want)?);
    }
    arguments.at_most("log", 1)?;
    let action = match arguments.word(0) {
        Some("list") => log::Action::List,
        Some("show") => log::Action::Show,
        Some("verify") => log::Action::Verify,
        Some("export") => log::Action::Export,
        _ => return Err(Failure::usage("log: want list, show, verify, export or evidence-keygen".into())),
    };
    let head = arguments.parsed("head", |text| {
        text.parse().map_err(|error| Failure::usage(format!("--head {text}: {error}")))
    })?;
    if head.is_some() && action != log::Action::Verify {
        return Err(Failure::usage("log: --head goes with verify only".into()));
    }
    log::log(
        action,
        arguments.number("count")?,
        head.as_ref(),
        &log_source(arguments),
        &arguments.load_readable()?,
    )
}

fn log_source(arguments: &Arguments) -> log::Source {
    log::Source {
        file: arguments.path("file"),
        key: arguments.path("key"),
        evidence_key: arguments.path("evidence-key"),
    }
}

pub(super) fn explain(arguments: &Arguments) -> Result<(), Failure> {
    arguments.at_most("explain", 1)?;
    let which = arguments.word(0).and_then(log::Which::parse).ok_or_else(|| {
        Failure::usage(
            "explain: want the number of a record, as 'sentinel log show' prints it, or BOOT:SEQ".into(),
        )
    })?;
    log::explain(which, &log_source(arguments), &arguments.load_readable()?)
}

pub(super) fn tune(arguments: &Arguments) -> Result<(), Failure> {
    arguments.at_most("tune", 1)?;
    let span = |text: &str| {
        tune::span(text)
            .ok_or_else(|| Failure::usage(format!("--last {text}: want a span such as 30m, 24h or 7d")))
    };
    let frames = match (arguments.path_at(0), arguments.parsed("last", span)?) {
        (Some(file), None) => tune::Frames::File(file),
        (None, Some(span)) => tune::Frames::Last(span),
        _ => return Err(Failure::usage("tune: want either a file, or '-', or --last".into())),
    };
    if !arguments.has("set") {
        return Err(Failure::usage(
            "tune: want --set with the change, such as --set port_scan.ports=25".into(),
        ));
    }
    let request = tune::Request { frames, json: arguments.has("json") };
    tune::tune(&request, &arguments.settings(&[])?, &arguments.load()?)
}

pub(super) fn config(arguments: &Arguments) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let action = arguments.word(0);
    if action != Some("show") && arguments.has("changed") {
        return Err(Failure::usage("config: --changed goes with show only".into()));
    }
    match action {
        Some("check") => config_check(arguments, &mut out),
        Some("show") => config_show(arguments, &mut out),
        Some("docs") => {
            arguments.at_most("config docs", 1)?;
            settings::docs(&mut out).map_err(|error| Failure::output(&error))
        }
        _ => Err(Failure::usage("config: want check, show or docs".into())),
    }
}

fn config_check(arguments: &Arguments, out: &mut StdoutLock<'_>) -> Result<(), Failure> {
    arguments.at_most("config check", 2)?;
    let loaded = checked(arguments, arguments.path_at(1))?;
    let problems = loaded.as_ref().err().map_or(0, Vec::len);
    if settings::check(&loaded, out).map_err(|error| Failure::output(&error))? {
        if let Ok(loaded) = &loaded {
            warn_of_damage(&loaded.settings.state_dir);
            let visibility = Visibility::new(loaded.settings.interface.clone());
            visibility.at_start().iter().for_each(|advice| messages::warn(format_args!("{advice}")));
        }
        return Ok(());
    }
    let problems = count(u64::try_from(problems).unwrap_or(u64::MAX), "problem");
    Err(Failure::new(format!("{problems} in the settings")))
}

/// Settings of a file, or else of that of the command line, or their problems.
fn checked(arguments: &Arguments, file: Option<PathBuf>) -> Result<Result<Loaded, Vec<Problem>>, Failure> {
    let file = file.or_else(|| arguments.path("config"));
    let loaded = Settings::load(file.as_deref(), environment(), &arguments.assignments()?);
    Ok(loaded.and_then(|loaded| match problems_at_start(&loaded) {
        problems if problems.is_empty() => Ok(loaded),
        problems => Err(problems),
    }))
}

/// Says which files of the sensor are damaged. It is no problem of the settings, and none for the next start.
fn warn_of_damage(state_dir: &Path) {
    let found = [
        keys::stored_sensor_key(state_dir).and_then(|_| Ok(())),
        keys::stored_log_key(state_dir).and_then(|_| Ok(())),
        keys::stored_collector(state_dir).and_then(|_| Ok(())),
        look(&state_dir.join(MAIN_FILE)),
    ];
    for (file, state) in [keys::SENSOR_KEY, keys::LOG_KEY, keys::COLLECTOR, MAIN_FILE].iter().zip(found) {
        if let FileState::Damaged(what) = state {
            messages::warn(format_args!(
                "{file}: damaged, {what}; the next start of the sensor moves it aside"
            ));
        }
    }
}

/// Problems with settings that are good by themselves, at which `run` would end: files that they name, interfaces that see the
/// same frames or routed packets, and a filter that does not fit into one program with the kernel snap.
fn problems_at_start(loaded: &Loaded) -> Vec<Problem> {
    let mut problems = loaded.file_problems();
    let Settings { filter, kernel_snap, interface, allow_overlap, .. } = &loaded.settings;
    // Of this machine; on another one the interfaces do not exist, and are waited for.
    let existing = existing_interfaces().unwrap_or_default();
    if let Err(pair) = routes::check(interface, &existing, *allow_overlap, true) {
        problems.push(loaded.problem_with("interface", &pair));
    }
    if let Err(error) = KernelFilters::new(filter, *kernel_snap) {
        problems.push(loaded.problem_with("filter", &error));
    }
    problems
}

fn config_show(arguments: &Arguments, out: &mut StdoutLock<'_>) -> Result<(), Failure> {
    arguments.at_most("config show", 1)?;
    let file = arguments.path("config");
    let Ok(loaded) = Settings::load(file.as_deref(), environment(), &arguments.assignments()?) else {
        // Loaded again by the call that all commands use, which prints the problems.
        return arguments.load().map(|_| ());
    };
    loaded.warnings.iter().for_each(|warning| messages::warn(format_args!("{warning}")));
    settings::show(&loaded, arguments.has("changed"), out).map_err(|error| Failure::output(&error))
}

pub(super) fn interfaces(arguments: &Arguments) -> Result<(), Failure> {
    arguments.at_most("interfaces", 0)?;
    interfaces::list(arguments.has("json"))
}

pub(super) fn rpcd(arguments: &Arguments) -> Result<(), Failure> {
    arguments.at_most("rpcd", 2)?;
    match (arguments.word(0), arguments.word(1)) {
        (Some("list"), None) => ubus::list(),
        (Some("call"), Some("status")) => ubus::status(arguments.load_readable()),
        (Some("call"), Some("alerts")) => ubus::alerts(arguments.load_readable()),
        (Some("call"), Some("check")) => ubus::check(&checked(arguments, None)?),
        (Some("call"), Some("interfaces")) => ubus::interfaces(),
        _ => Err(Failure::usage("rpcd: want list, or call status, alerts, check or interfaces".into())),
    }
}

pub(super) fn selftest(arguments: &Arguments) -> Result<(), Failure> {
    arguments.at_most("selftest", 0)?;
    if arguments.has("sandbox") {
        let settings = arguments.load_readable()?;
        return selftest::sandbox::selftest(&settings, arguments.path("config").as_deref());
    }
    selftest::selftest()
}
