//! Collector under test, used through its command line and its HTTP interface.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::http::{self, Events};
use crate::json;
use crate::lab::Lab;
use crate::network::{COLLECTOR_ADDRESS, COLLECTOR_PORT};
use crate::program::{Program, run};
use crate::wait;

/// Identity of an alert: number of the sensor's run, and the alert's number within it.
pub type AlertKey = (u64, u64);

/// Collector in its namespace, with one data directory for all its starts.
#[derive(Debug)]
pub struct Collector<'l> {
    lab: &'l Lab,
    data: PathBuf,
    program: Option<Program>,
}

impl<'l> Collector<'l> {
    /// Starts a collector and waits until it responds.
    ///
    /// # Errors
    /// If it does not respond.
    pub fn start(lab: &'l Lab) -> Result<Self> {
        let mut collector = Self { lab, data: lab.path("collector"), program: None };
        collector.start_again()?;
        Ok(collector)
    }

    /// Starts it again after [`Collector::kill`] or [`Collector::stop`].
    ///
    /// # Errors
    /// If it does not respond.
    pub fn start_again(&mut self) -> Result<()> {
        let mut command = self.command("run");
        command.args(["--listen", &address()]).args(["--http", http::HTTP_ADDRESS]);
        let mut program = Program::start(command, &self.lab.path("collector-run"))?;
        wait::until_true("the collector answers", wait::WAIT_TIMEOUT, || {
            if !program.is_running()? {
                anyhow::bail!("the collector has ended: {}", program.errors()?);
            }
            Ok(matches!(http::get(&self.lab.network.collector, "/health"), Ok((200, _))))
        })?;
        self.program = Some(program);
        Ok(())
    }

    /// Kills it.
    ///
    /// # Errors
    /// If it had ended before.
    pub fn kill(&mut self) -> Result<()> {
        self.program.take().context("the collector is not running")?.kill()
    }

    /// Ends it by SIGTERM.
    ///
    /// # Errors
    /// If it had ended before, or fails.
    pub fn stop(&mut self) -> Result<()> {
        self.program.take().context("the collector is not running")?.terminate(wait::WAIT_TIMEOUT)
    }

    /// Creates a one-time token; `options` are added to the command.
    ///
    /// # Errors
    /// The message of the command.
    pub fn token(&self, name: &str, options: &[&str]) -> Result<String> {
        let mut command = self.command("enroll");
        command.args(["--name", name, "--address", &address()]).args(options);
        Ok(run(&mut command)?.trim().to_owned())
    }

    /// `sentinel-collector VERB --data ...` in the collector's namespace.
    #[must_use]
    pub fn command(&self, verb: &str) -> Command {
        let mut command = self.lab.network.collector.command(&self.lab.binaries.collector);
        command.arg(verb).arg("--data").arg(&self.data);
        command
    }

    /// All stored alerts, oldest first.
    ///
    /// # Errors
    /// The error of the request.
    pub fn alerts(&self) -> Result<Vec<Value>> {
        let mut all: Vec<Value> = Vec::new();
        loop {
            let last = all.last().map_or(Ok(0), |alert| json::number(alert, "/id"))?;
            let page = self.get(&format!("/api/v1/alerts?limit=1000&after={last}"))?;
            let page = json::list(&page, "/alerts")?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend_from_slice(page);
        }
    }

    /// Number of times that each alert is stored.
    ///
    /// # Errors
    /// The error of the request.
    pub fn stored(&self) -> Result<BTreeMap<AlertKey, u32>> {
        let mut stored = BTreeMap::new();
        for alert in self.alerts()? {
            *stored.entry(key(&alert)?).or_insert(0) += 1;
        }
        Ok(stored)
    }

    /// Entry of the sensor called `name`.
    ///
    /// # Errors
    /// The error of the request, or that there is no such sensor.
    pub fn sensor(&self, name: &str) -> Result<Value> {
        let sensors = self.get("/api/v1/sensors")?;
        let mut all = json::list(&sensors, "/sensors")?.iter();
        let found = all.find(|sensor| json::text(sensor, "/name").is_ok_and(|is| is == name));
        found.cloned().with_context(|| format!("no sensor {name}: {sensors}"))
    }

    /// Number of connections rejected so far for `reason`.
    ///
    /// # Errors
    /// If there is no such counter.
    pub fn rejections(&self, reason: &str) -> Result<u64> {
        self.metric(&format!("sentinel_collector_connections_rejected_total{{reason=\"{reason}\"}}"))
    }

    /// Value of one line of `/metrics`.
    ///
    /// # Errors
    /// If there is no such line.
    pub fn metric(&self, line: &str) -> Result<u64> {
        let (_, body) = http::get(&self.lab.network.collector, "/metrics")?;
        let value = body.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(' '));
        Ok(value.with_context(|| format!("no {line} in {body}"))?.parse()?)
    }

    /// Subscribes to alerts as they arrive.
    ///
    /// # Errors
    /// If there is no response.
    pub fn events(&self) -> Result<Events> {
        Events::follow(&self.lab.network.collector)
    }

    /// Log of all its starts.
    ///
    /// # Errors
    /// If it is not running.
    pub fn log(&self) -> Result<String> {
        self.program.as_ref().context("the collector is not running")?.errors()
    }

    /// Waits until the sensor called `name` is connected.
    ///
    /// # Errors
    /// If it does not connect within `timeout`.
    pub fn wait_for(&self, name: &str, timeout: Duration) -> Result<()> {
        wait::until_true(&format!("{name} connects"), timeout, || {
            Ok(json::text(&self.sensor(name)?, "/state")? == "connected")
        })
    }

    fn get(&self, path: &str) -> Result<Value> {
        http::get_json(&self.lab.network.collector, path)
    }
}

/// Identity of an alert in JSON.
///
/// # Errors
/// If it has none.
pub fn key(alert: &Value) -> Result<AlertKey> {
    Ok((json::number(alert, "/boot")?, json::number(alert, "/seq")?))
}

fn address() -> String {
    format!("{COLLECTOR_ADDRESS}:{COLLECTOR_PORT}")
}
