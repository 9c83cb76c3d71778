//! `sentinel-collector watch`: alerts on the terminal as they arrive.
//!
//! A client of the HTTP interface like any other: it can run on another machine through a tunnel, and
//! goes on where it stopped when the collector has been away.

mod client;
mod paint;

use std::io::{self, Write as _};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;

use client::{Client, ServerEvent};
pub use paint::Painter;

/// What to watch, and how to show it.
#[derive(Debug)]
pub struct Settings {
    /// `http://host:port` of the collector.
    pub url: String,
    /// Show the sensors and end.
    pub sensors: bool,
    /// Alerts shown at the start.
    pub last: u32,
    /// Whether to colour.
    pub colour: bool,
}

/// First and longest pause before trying again.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// Shows until the reader of standard output goes away.
///
/// # Errors
/// A wrong URL, an answer that is not a collector's, or with `sensors` a collector that is not there.
pub fn watch(settings: &Settings) -> anyhow::Result<()> {
    let client = Client::new(&settings.url)?;
    let painter = Painter::new(settings.colour);
    if settings.sensors {
        let body = client.get("/api/v1/sensors").with_context(|| unreachable(&settings.url))?;
        let answer: Value = serde_json::from_str(&body).context("the answer is not that of a collector")?;
        return finished(print(&painter.sensors(&answer, crate::clock::now())));
    }
    let mut last_id: Option<String> = None;
    let mut pause = RETRY.0;
    let mut told = false;
    loop {
        let ended = follow(&client, &painter, settings.last, &mut last_id, &mut told);
        match ended {
            Ok(()) => pause = RETRY.0,
            Err(Broken::Output(error)) => return finished(Err(error)),
            Err(Broken::Answer(what)) => bail!("{what}"),
            Err(Broken::Connection(error)) if !told => {
                told = true;
                eprintln!("{}: {error}; trying again", unreachable(&settings.url));
            }
            Err(Broken::Connection(_)) => {}
        }
        thread::sleep(pause);
        pause = (pause * 2).min(RETRY.1);
    }
}

fn unreachable(url: &str) -> String {
    format!("cannot read from the collector at {url} (is `sentinel-collector run` running?)")
}

enum Broken {
    Connection(io::Error),
    Answer(String),
    Output(io::Error),
}

/// Shows what one connection brings; returns when it ends after having worked.
fn follow(
    client: &Client,
    painter: &Painter,
    recent: u32,
    last_id: &mut Option<String>,
    told: &mut bool,
) -> Result<(), Broken> {
    let path = match last_id {
        Some(_) => "/api/v1/events".to_owned(),
        None => format!("/api/v1/events?recent={recent}"),
    };
    let mut events = client.events(&path, last_id.as_deref()).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => Broken::Answer(error.to_string()),
        _ => Broken::Connection(error),
    })?;
    if std::mem::take(told) {
        eprintln!("connected again");
    }
    loop {
        let ServerEvent { name, id, data } = match events.next() {
            Ok(Some(event)) => event,
            Ok(None) | Err(_) => return Ok(()), // it worked for a while: connect again
        };
        if let Some(id) = id {
            *last_id = Some(id);
        }
        let Ok(value) = serde_json::from_str::<Value>(&data) else { continue };
        let line = match name.as_str() {
            "alert" => painter.alert(&value),
            "sensor" => painter.sensor_event(&value),
            _ => continue, // of a later version
        };
        print(&line).map_err(Broken::Output)?;
    }
}

fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// A reader that has enough, such as `head`, is no error.
fn finished(result: io::Result<()>) -> anyhow::Result<()> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
