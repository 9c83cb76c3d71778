//! `sentinel ctl`: commands to the running sensor.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sentinel_capture::file::Reader;
use sentinel_units::Timestamp;

use crate::control::command_socket;
use crate::packets::show::{Facts, line};
use crate::terminal::failure::Failure;
use crate::terminal::log;
use crate::terminal::output::Output;

/// Limit of an answer: a change waits for all workers, and packets are copied.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest answer in bytes: the largest packet memory.
const MAX_ANSWER: u64 = 64 << 20;

/// Packets shown without `--limit`.
pub(crate) const DEFAULT_LIMIT: u64 = 100;

/// Command to the sensor.
#[derive(Debug)]
pub(crate) enum Request {
    /// Replaces the filter; empty for none.
    SetFilter(String),
    /// Starts capturing.
    Start,
    /// Stops capturing.
    Stop,
    /// Takes over an enrollment.
    Enrolled,
    /// Returns the newest frames that match.
    Packets {
        /// Number of frames; zero for all.
        limit: u64,
        /// Filter; empty for all.
        expression: String,
        /// Capture file to write, `-` for standard output; lines without it.
        to: Option<PathBuf>,
        /// Lines in colours.
        colours: bool,
    },
}

/// Sends a command to the sensor with this run directory and shows the answer.
///
/// # Errors
/// No sensor runs there, or it refuses the command.
pub(crate) fn ctl(request: &Request, run_dir: &Path) -> Result<(), Failure> {
    let command = match request {
        Request::SetFilter(expression) => format!("set-filter {expression}\n"),
        Request::Start => "start\n".to_owned(),
        Request::Stop => "stop\n".to_owned(),
        Request::Enrolled => "enrolled\n".to_owned(),
        Request::Packets { limit, expression, .. } => format!("packets {limit} {expression}\n"),
    };
    let answer = ask(&command, run_dir)?;
    match request {
        Request::Packets { to: Some(to), .. } => save(answer, to),
        Request::Packets { to: None, colours, .. } => {
            let mut output = Output::new();
            let style = line::Style { colours: *colours, ..line::Style::default() };
            if show(answer, Timestamp::ZERO, u64::MAX, style, &mut output)? == 0 {
                log::info(format_args!("no packet in memory matches"));
            }
            output.flush()
        }
        _ => Ok(()),
    }
}

/// Sends a line to the sensor with this run directory; gives what follows the line `ok`.
///
/// # Errors
/// No sensor runs there, or it refuses the command.
pub(crate) fn ask(command: &str, run_dir: &Path) -> Result<impl Read + use<>, Failure> {
    let path = command_socket::path(run_dir);
    let failed = |error: std::io::Error| Failure::new(format!("{}: {error}", path.display()));
    let stream = UnixStream::connect(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => Failure::new(format!(
            "{}: no sensor is running here; start it with 'service sentinel-appliance start', or 'sentinel run'",
            path.display()
        )),
        _ => failed(error),
    })?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT)).map_err(failed)?;
    (&stream).write_all(command.as_bytes()).map_err(failed)?;
    let mut answer = BufReader::new(stream.take(MAX_ANSWER));
    let mut verdict = String::new();
    answer.read_line(&mut verdict).map_err(failed)?;
    match verdict.trim_end() {
        "ok" => {}
        "" => return Err(Failure::new(format!("{}: the sensor has not answered", path.display()))),
        other => return Err(Failure::other(other.strip_prefix("error: ").unwrap_or(other).to_owned())),
    }
    Ok(answer)
}

fn save(mut file: impl Read, to: &Path) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::new(format!("{}: {error}", to.display()));
    if to.as_os_str() == "-" {
        let copied = std::io::copy(&mut file, &mut std::io::stdout().lock());
        return copied.map(drop).map_err(|error| Failure::output(&error));
    }
    let mut out = std::fs::File::create(to).map_err(failed)?;
    std::io::copy(&mut file, &mut out).map(drop).map_err(failed)
}

/// Prints a line for each of the first `most` packets from the time `from` on; returns their number.
pub(crate) fn show(
    file: impl Read,
    from: Timestamp,
    most: u64,
    style: line::Style,
    output: &mut Output,
) -> Result<u64, Failure> {
    let wrong = |what: &dyn std::fmt::Display| Failure::new(format!("the sensor's answer: {what}"));
    let mut reader = Reader::open(file).map_err(|error| wrong(&error))?;
    let mut shown = 0_u64;
    while let Some(frame) = reader.next().map_err(|error| wrong(&error))? {
        if frame.at >= from && shown < most {
            output.line(|text| line::write(frame.at, &Facts::of(&frame), style, text))?;
            shown += 1;
        }
    }
    Ok(shown)
}
