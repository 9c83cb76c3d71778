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
const METHODS: &str = "{\"status\":{},\"alerts\":{\"limit\":32},\"check\":{},\"interfaces\":{}}\n";
/// Longest content of an answer in bytes; names and braces around it take less than 100.
const MAX_CONTENT: usize = 65_000;
const MAX_ARGUMENTS: u64 = 1_024;
/// Alerts of an answer without the argument `limit`, and the most that one may have.
const DEFAULT_ALERTS: u64 = 50;
const MAX_ALERTS: u64 = 500;
/// Bytes of the problems of a settings file; escaped they take six times as many at most.
const MAX_PROBLEMS: usize = 8 * 1024;

/// The methods.
pub(crate) fn list() -> Result<(), Failure> {
    print(METHODS, Ok(String::new()), "", "")
}

/// Status of the running sensor, with `running` before its members.
pub(crate) fn status(settings: Result<Settings, Failure>) -> Result<(), Failure> {
    let mut answer = settings.and_then(|settings| status::ask(&settings.run_dir));
    if let Ok(text) = &mut answer {
        // Its first brace is printed before `running`.
        text.drain(..text.len().min(1));
        if !text.ends_with("}\n") && !text.ends_with('}') {
            answer = Err(Failure::new("the sensor's answer is cut off"));
        }
    }
    print("{\"running\":true,", answer, "", "{\"running\":false")
}

/// Newest alerts of the log, and what else is in it: starts, ends, gaps.
pub(crate) fn alerts(settings: Result<Settings, Failure>) -> Result<(), Failure> {
    let lists = settings.and_then(|settings| log::newest(&settings, limit(), MAX_CONTENT - 64));
    print("{\"alerts\":[", lists, "]}\n", "{\"alerts\":[],\"records\":[]")
}

/// Argument `limit`; what is no number from 1 to [`MAX_ALERTS`] counts as the nearest, or as none.
fn limit() -> u64 {
    let mut arguments = String::new();
    let _unreadable_is_none = stdin().lock().take(MAX_ARGUMENTS).read_to_string(&mut arguments);
    let limit = parse(&arguments).ok().and_then(|arguments| member(&arguments, "limit").and_then(whole));
    limit.unwrap_or(DEFAULT_ALERTS).clamp(1, MAX_ALERTS)
}

/// Problems of the settings file, a line each, as `sentinel config check` prints them.
pub(crate) fn check(loaded: &Result<Loaded, Vec<Problem>>) -> Result<(), Failure> {
    let mut text = Vec::new();
    let is_good = settings::check(loaded, &mut text).unwrap_or(false);
    text.truncate(MAX_PROBLEMS);
    let mut quoted = String::new();
    let _into_a_string = json::string(&String::from_utf8_lossy(&text), &mut quoted);
    let start = if is_good { "{\"ok\":true,\"problems\":" } else { "{\"ok\":false,\"problems\":" };
    print(start, Ok(quoted), "}\n", "")
}

/// Interfaces of this machine.
pub(crate) fn interfaces() -> Result<(), Failure> {
    print("{\"interfaces\":", all_interfaces::json_array(), "}\n", "{\"interfaces\":[]")
}

/// Prints `start`, the content and `end`; or, after `failed`, an object without its end, why there is no content.
fn print(start: &str, content: Result<String, Failure>, end: &str, failed: &str) -> Result<(), Failure> {
    let mut output = Output::new();
    let failure = match content {
        Ok(content) if content.len() <= MAX_CONTENT => {
            [start, &content, end].iter().try_for_each(|text| output.text(text))?;
            return output.flush();
        }
        Ok(_) => Failure::new("more than an answer has room for"),
        Err(failure) => failure,
    };
    output.line(|line| {
        line.push_str(failed);
        line.push_str(",\"error\":");
        json::string(&failure.to_string(), line)?;
        line.push('}');
        Ok(())
    })?;
    output.flush()
}
