//! Options that the packet commands share: views, limits, files.

use std::ffi::OsStr;
use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use sentinel_capture::file::{FileKind, MAX_FRAME};
use sentinel_filter::SimpleFilter;
use sentinel_units::Timestamp;

use super::arguments::Arguments;
use crate::commands::replay::thousandths;
use crate::packets::filter;
use crate::packets::options::{Dump, DumpStyle, PacketOptions, View};
use crate::packets::save::SaveRequest;
use crate::terminal::calendar;
use crate::terminal::failure::Failure;
use crate::terminal::zone::Zone;

/// Parses the options; the words of the filter begin at `first`.
pub(super) fn parse(arguments: &Arguments, first: usize) -> Result<PacketOptions, Failure> {
    let snap_bytes = limit(arguments, "snaplen")?.map(|bytes| u32::try_from(bytes).unwrap_or(MAX_FRAME));
    let snap_bytes = snap_bytes.map(|bytes| bytes.min(MAX_FRAME));
    let zone = if arguments.has("utc") { Zone::UTC } else { Zone::local() };
    let save = save(arguments, snap_bytes, zone)?;
    let statistics = statistics(arguments)?;
    let dump = dump(arguments);
    let view = match explicit_view(arguments)? {
        Some(view) => view,
        None if (save.is_some() || statistics.is_some()) && dump.is_none() => View::Nothing,
        None => View::Lines,
    };
    match dump {
        Some(_) if !matches!(view, View::Lines | View::Json) => {
            return Err(Failure::usage("--hex goes with lines and --json only".into()));
        }
        Some(Dump { style: DumpStyle::Ascii, .. }) if view == View::Json => {
            return Err(Failure::usage("--ascii goes with lines only".into()));
        }
        _ => {}
    }
    if save.as_ref().is_some_and(|save| save.path.as_os_str() == "-") {
        check_standard_output(view)?;
    }
    Ok(PacketOptions {
        view,
        colours: colours(arguments)?,
        dump,
        verbose: arguments.has("verbose"),
        link_header: arguments.has("link-header"),
        // As tcpdump has them for people; what programs read does not depend on the machine.
        zone: if std::io::stdout().is_terminal() { zone } else { Zone::UTC },
        quiet: arguments.has("quiet"),
        expression: in_direction(arguments.text("direction")?, arguments.expression(first)?)?,
        filter: SimpleFilter {
            protocol: arguments.parsed("protocol", filter::protocol)?,
            address: arguments.parsed("ip", filter::address)?,
            port: arguments.parsed("port", filter::port)?,
        },
        count: limit(arguments, "count")?,
        duration: duration(arguments)?,
        snap_bytes,
        save,
        results: arguments.path("output"),
        statistics,
    })
}

/// Dump of the bytes; of several options the last of the table counts. As in tcpdump, a letter twice adds the link layer;
/// `-x` has always shown it here.
fn dump(arguments: &Arguments) -> Option<Dump> {
    [("hex", DumpStyle::Hex), ("hex-ascii", DumpStyle::Hex), ("ascii", DumpStyle::Ascii)]
        .into_iter()
        .rfind(|(name, _)| arguments.has(name))
        .map(|(name, style)| Dump { style, whole_frame: name == "hex" || arguments.times(name) > 1 })
}

/// `-Q`: the filter with the direction, which only the kernel knows.
fn in_direction(direction: Option<&str>, expression: String) -> Result<String, Failure> {
    let direction = match direction {
        None | Some("inout") => return Ok(expression),
        Some("in") => "inbound",
        Some("out") => "outbound",
        Some(other) => return Err(Failure::usage(format!("--direction {other}: want in, out or inout"))),
    };
    let is_empty = expression.trim().is_empty();
    Ok(if is_empty { direction.to_owned() } else { format!("({expression}) and {direction}") })
}

/// Checks that standard output is free for `-w -`: no view writes to it, and it is no terminal.
fn check_standard_output(view: View) -> Result<(), Failure> {
    if view != View::Nothing {
        return Err(Failure::usage(
            "-w -: the packets take standard output, so there is none for a view".into(),
        ));
    }
    if std::io::stdout().is_terminal() {
        return Err(Failure::usage("-w -: a terminal shows no packets; want a pipe, or no -w".into()));
    }
    Ok(())
}

/// Returns true if a progress bar on standard error is not mixed with packets on the same terminal.
pub(super) fn has_room_for_a_bar(options: &PacketOptions) -> bool {
    !options.quiet
        && (!std::io::stdout().is_terminal() || matches!(options.view, View::CountOnly | View::Nothing))
}

/// Parses `-B`; `None` for 0.
pub(super) fn ring_kib(arguments: &Arguments) -> Result<Option<u32>, Failure> {
    const RANGE: std::ops::RangeInclusive<u64> = 64..=1_048_576;
    match limit(arguments, "buffer-size")? {
        None => Ok(None),
        Some(kib) if RANGE.contains(&kib) => Ok(u32::try_from(kib).ok()),
        Some(kib) => Err(Failure::usage(format!(
            "--buffer-size {kib}: want {} to {} KiB, or 0 for the setting ring_kib",
            RANGE.start(),
            RANGE.end()
        ))),
    }
}

/// View that was chosen by an option, at most one.
fn explicit_view(arguments: &Arguments) -> Result<Option<View>, Failure> {
    let alerts = match arguments.text("alerts")? {
        None | Some("" | "json") => View::Alerts,
        Some("text") => View::AlertText,
        Some(other) => return Err(Failure::usage(format!("--alerts={other}: want json or text"))),
    };
    let views = [
        ("alerts", alerts),
        ("records", View::Records),
        ("flows", View::Flows),
        ("count-only", View::CountOnly),
        ("json", View::Json),
    ];
    let mut chosen = views.iter().filter(|(option, _)| arguments.has(option));
    let view = chosen.next().map(|(_, view)| *view);
    match chosen.next() {
        Some((second, _)) => Err(Failure::usage(format!("--{second} does not go with another view"))),
        None => Ok(view),
    }
}

/// Parses a limit; 0 is no limit.
fn limit(arguments: &Arguments, name: &str) -> Result<Option<u64>, Failure> {
    Ok(arguments.number(name)?.filter(|number| *number > 0))
}

/// Parses seconds with up to three decimals.
fn duration(arguments: &Arguments) -> Result<Option<Duration>, Failure> {
    let millis = arguments.parsed("duration", |text| {
        // `-tttt` is how tcpdump is asked for dates, which lines always have.
        if text.bytes().all(|byte| byte == b't') && !text.is_empty() {
            return Ok(0);
        }
        thousandths(text)
            .ok_or_else(|| Failure::usage(format!("--duration {text}: want seconds, like 10 or 0.5")))
    })?;
    Ok(millis.filter(|millis| *millis > 0).map(Duration::from_millis))
}

fn statistics(arguments: &Arguments) -> Result<Option<Duration>, Failure> {
    arguments.parsed("stats", |text| match text {
        "" => Ok(Duration::ZERO),
        _ => text
            .parse()
            .map(Duration::from_secs)
            .map_err(|_| Failure::usage(format!("--stats={text}: want a whole number of seconds"))),
    })
}

pub(super) fn colours(arguments: &Arguments) -> Result<bool, Failure> {
    match arguments.text("color")? {
        None | Some("auto") => {
            let is_set =
                |name| std::env::var_os(name).is_some_and(|value: std::ffi::OsString| !value.is_empty());
            let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
            Ok(std::io::stdout().is_terminal() && !is_set("NO_COLOR") && !is_dumb)
        }
        Some("always") => Ok(true),
        Some("never") => Ok(false),
        Some(other) => Err(Failure::usage(format!("--color {other}: want auto, always or never"))),
    }
}

fn save(
    arguments: &Arguments,
    snap_bytes: Option<u32>,
    zone: &'static Zone,
) -> Result<Option<SaveRequest>, Failure> {
    let rotate_bytes = limit(arguments, "rotate-size")?.map(|megabytes| megabytes.saturating_mul(1_000_000));
    let rotate_after = limit(arguments, "rotate-seconds")?.map(Duration::from_secs);
    let files = limit(arguments, "rotate-count")?;
    let Some(path) = arguments.path("write") else {
        return match ["format", "rotate-size", "rotate-seconds", "rotate-count"]
            .iter()
            .find(|name| arguments.has(name))
        {
            Some(name) => Err(Failure::usage(format!("--{name} goes with --write only"))),
            None => Ok(None),
        };
    };
    let rotates = rotate_bytes.is_some() || rotate_after.is_some();
    if files.is_some() && !rotates {
        return Err(Failure::usage("--rotate-count goes with --rotate-size or --rotate-seconds only".into()));
    }
    if rotates && path.as_os_str() == "-" {
        return Err(Failure::usage("-w -: standard output is one file; it does not rotate".into()));
    }
    if rotate_after.is_some() {
        let pattern = path.to_str().ok_or_else(|| Failure::usage("-w: the name is not UTF-8".into()))?;
        calendar::format(pattern, Timestamp::ZERO, zone, &mut String::new()).map_err(Failure::bad_usage)?;
    }
    let kind = kind(arguments, &path)?;
    let snap_bytes = snap_bytes.unwrap_or(MAX_FRAME);
    Ok(Some(SaveRequest { path, kind, rotate_bytes, rotate_after, files, zone, snap_bytes }))
}

fn kind(arguments: &Arguments, path: &Path) -> Result<FileKind, Failure> {
    match arguments.text("format")? {
        Some("pcap") => Ok(FileKind::Pcap),
        Some("pcapng") => Ok(FileKind::Pcapng),
        Some(other) => Err(Failure::usage(format!("--format {other}: want pcap or pcapng"))),
        None if path.extension().is_some_and(|extension: &OsStr| extension == "pcapng") => {
            Ok(FileKind::Pcapng)
        }
        None => Ok(FileKind::Pcap),
    }
}
