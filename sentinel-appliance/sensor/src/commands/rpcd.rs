//! `sentinel rpcd`: answers of the ubus object `sentinel`, for `/usr/libexec/rpcd/sentinel`.
//!
//! Read first: OpenWrt, rpcd, `exec.c`: `list` prints the methods with their arguments, `call METHOD` gets the arguments as a JSON
//! object on standard input and prints one JSON object. Whoever may call a method over HTTP chooses the arguments: standard input
//! is read up to 1 KiB and an answer has less than 64 KiB. A failure is an answer, so that a page can show it.

use std::io::{Read, stdin};

use sentinel_alert::json;

use super::{interfaces as all_interfaces, log, status};
use crate::settings::json::{member, parse, whole};
use crate::settings::{self, Loaded, Problem, Settings};
use crate::terminal::failure::Failure;
use crate::terminal::output::Output;

/// Methods and the types of their arguments.
pub(crate) const METHODS: &str = r#"{"status":{},"alerts":{"limit":32},"check":{},"interfaces":{}}"#;
/// Longest answer in bytes.
const MAX_ANSWER: usize = 65_000;
const MAX_ARGUMENTS: u64 = 1_024;
/// Alerts of an answer without the argument `limit`, and the most that one may have.
const DEFAULT_ALERTS: u64 = 50;
const MAX_ALERTS: u64 = 500;
/// Bytes of the problems of a settings file.
const MAX_PROBLEMS: usize = 8 * 1024;

/// Status of the running sensor, with `running` before its members.
pub(crate) fn status(settings: Result<Settings, Failure>) -> String {
    let answer = settings.and_then(|settings| status::ask(&settings.run_dir));
    let members = answer.and_then(|answer| match answer.trim_end().strip_prefix('{') {
        Some(members) if members.ends_with('}') && members.len() < MAX_ANSWER - 32 => {
            Ok(["{\"running\":true,", members].concat())
        }
        _ => Err(Failure::new("the sensor's answer is cut off")),
    });
    members.unwrap_or_else(|failure| failed("{\"running\":false", &failure))
}

/// Newest alerts of the log, and what else is in it: starts, ends, gaps.
pub(crate) fn alerts(settings: Result<Settings, Failure>) -> String {
    let most = usize::try_from(limit()).unwrap_or_default();
    let lists = settings.and_then(|settings| log::newest(&settings, most, MAX_ANSWER - 64));
    match lists {
        Ok([alerts, records]) => ["{\"alerts\":[", &alerts, "],\"records\":[", &records, "]}"].concat(),
        Err(failure) => failed("{\"alerts\":[],\"records\":[]", &failure),
    }
}

/// Argument `limit`; what is no number from 1 to [`MAX_ALERTS`] counts as the nearest, or as none.
fn limit() -> u64 {
    let mut arguments = String::new();
    let _unreadable_is_empty = stdin().take(MAX_ARGUMENTS).read_to_string(&mut arguments);
    let limit = parse(&arguments).ok().and_then(|arguments| member(&arguments, "limit").and_then(whole));
    limit.unwrap_or(DEFAULT_ALERTS).clamp(1, MAX_ALERTS)
}

/// Problems of the settings file, a line each, as `sentinel config check` prints them.
pub(crate) fn check(loaded: &Result<Loaded, Vec<Problem>>) -> String {
    let mut text = Vec::new();
    let is_good = settings::check(loaded, &mut text).unwrap_or(false);
    text.truncate(MAX_PROBLEMS);
    let start = if is_good { "{\"ok\":true" } else { "{\"ok\":false" };
    with_text(start, "problems", &String::from_utf8_lossy(&text))
}

/// Interfaces of this machine.
pub(crate) fn interfaces() -> String {
    match all_interfaces::json_array() {
        Ok(array) if array.len() < MAX_ANSWER - 32 => ["{\"interfaces\":", &array, "}"].concat(),
        Ok(_) => failed("{\"interfaces\":[]", &Failure::new("more interfaces than an answer has room for")),
        Err(failure) => failed("{\"interfaces\":[]", &failure),
    }
}

/// Prints the answer.
pub(crate) fn print(answer: &str) -> Result<(), Failure> {
    let mut output = Output::new();
    output.text(answer)?;
    output.text("\n")?;
    output.flush()
}

fn failed(start: &str, failure: &Failure) -> String {
    with_text(start, "error", &failure.to_string())
}

/// `start`, which is an object without its end, with one more member.
fn with_text(start: &str, name: &str, text: &str) -> String {
    let mut answer = [start, ",\"", name, "\":"].concat();
    // Into a string: cannot fail.
    let _written = json::string(text, &mut answer);
    answer.push('}');
    answer
}
