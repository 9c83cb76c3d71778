//! `sentinel-collector watch`: alerts on the terminal as they arrive.
//!
//! A client of the HTTP interface like any other: it can run on another machine, and resumes after
//! the last alert when the collector was not reachable.

mod client;
mod connect;
mod paint;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

use client::{Client, ServerEvent};
pub use connect::Key;
pub use paint::Painter;

/// Options of `watch`.
#[derive(Debug)]
pub struct WatchOptions {
    /// `http://host:port` or `https://host:port` of the collector.
    pub url: String,
    /// API key.
    pub key: Option<Key>,
    /// Certificates that may sign the collector's; those that the system trusts if there is no file.
    pub authority: Option<PathBuf>,
    /// Print the sensors once instead of alerts.
    pub sensors: bool,
    /// Stored alerts printed at the start.
    pub last: u32,
    /// True for colours.
    pub colour: bool,
}

/// First and longest wait before connecting again; it doubles in between.
const RETRY_BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// Prints until the reader of standard output closes it.
///
/// # Errors
/// A malformed URL, an answer that is not one of a collector, or with `sensors` a collector that cannot be reached.
pub fn watch(options: &WatchOptions) -> anyhow::Result<()> {
    let client = Client::new(&options.url, options.key.clone(), options.authority.as_deref())?;
    let painter = Painter::new(options.colour);
    if options.sensors {
        let body = client.get("/api/v1/sensors").with_context(|| unreachable(&options.url))?;
        let answer: Value = serde_json::from_str(&body).context("the answer is not that of a collector")?;
        let stats = client.get("/api/v1/stats?minutes=1").with_context(|| unreachable(&options.url))?;
        let stats: Value = serde_json::from_str(&stats).context("the answer is not that of a collector")?;
        let table = painter.sensors(&answer, crate::clock::now());
        return finished(print(&format!("{}{table}", painter.verdict(&stats))));
    }
    let mut last_id: Option<String> = None;
    let mut delay = RETRY_BACKOFF.0;
    let mut failure_reported = false;
    loop {
        let ended = follow(&client, &painter, options.last, &mut last_id, &mut failure_reported);
        match ended {
            Ok(()) => delay = RETRY_BACKOFF.0,
            Err(WatchError::Output(error)) => return finished(Err(error)),
            Err(WatchError::Answer(error)) => return Err(error.into()),
            Err(WatchError::Connection(error)) if !failure_reported => {
                failure_reported = true;
                eprintln!("{}: {error}; trying again", unreachable(&options.url));
            }
            Err(WatchError::Connection(_)) => {}
        }
        thread::sleep(delay);
        delay = (delay * 2).min(RETRY_BACKOFF.1);
    }
}

fn unreachable(url: &str) -> String {
    format!("cannot read from the collector at {url} (is `sentinel-collector run` running?)")
}

/// Failure of one connection.
enum WatchError {
    /// The collector cannot be reached, or cannot answer for now.
    Connection(io::Error),
    /// The answer is not one of a collector, or says that the request is wrong.
    Answer(io::Error),
    /// Standard output cannot be written.
    Output(io::Error),
}

/// Prints the events of one connection; returns when it ends after having worked.
fn follow(
    client: &Client,
    painter: &Painter,
    recent: u32,
    last_id: &mut Option<String>,
    failure_reported: &mut bool,
) -> Result<(), WatchError> {
    let path = match last_id {
        Some(_) => "/api/v1/events".to_owned(),
        None => format!("/api/v1/events?recent={recent}"),
    };
    let mut events = client.events(&path, last_id.as_deref()).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => WatchError::Answer(error),
        _ => WatchError::Connection(error),
    })?;
    if std::mem::take(failure_reported) {
        eprintln!("connected again");
    }
    loop {
        let event = match events.next() {
            Ok(Some(event)) => event,
            Ok(None) | Err(_) => return Ok(()), // it worked for a while: connect again
        };
        let line = line(painter, &event);
        if event.id.is_some() {
            *last_id = event.id;
        }
        if let Some(line) = line {
            print(&line).map_err(WatchError::Output)?;
        }
    }
}

/// The line of an event; none for one of a later version.
fn line(painter: &Painter, event: &ServerEvent) -> Option<String> {
    let value: Value = serde_json::from_str(&event.data).ok()?;
    match event.name.as_str() {
        "alert" => Some(painter.alert(&value)),
        "sensor" => Some(painter.sensor_event(&value)),
        _ => None,
    }
}

fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// A reader that closes early, such as `head`, is no error.
fn finished(result: io::Result<()>) -> anyhow::Result<()> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
