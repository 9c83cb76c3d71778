//! Sensor under test, used through its command line.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use rustix::process::Signal;
use serde_json::Value;

use crate::collector::Collector;
use crate::disk::SmallDisk;
use crate::json;
use crate::lab::Lab;
use crate::program::{Program, run};
use crate::wait;

/// Sensor on the router, with one state directory for all its starts.
#[derive(Debug)]
pub struct Sensor<'l> {
    lab: &'l Lab,
    name: String,
    directory: PathBuf,
    disk: Option<&'l SmallDisk>,
    program: Option<Program>,
}

impl<'l> Sensor<'l> {
    /// Sensor that captures on the bridge and is not started. `options` are lines of its settings file after
    /// `config sentinel 'main'`.
    ///
    /// # Errors
    /// If its files cannot be written.
    pub fn new(lab: &'l Lab, name: &str, options: &str) -> Result<Self> {
        let directory = lab.path(name);
        fs::create_dir_all(&directory)?;
        let sensor = Self { lab, name: name.to_owned(), directory, disk: None, program: None };
        sensor.write_settings(options)?;
        Ok(sensor)
    }

    /// Sensor that is enrolled at `collector`, started and connected.
    ///
    /// # Errors
    /// The error of any of these steps.
    pub fn started(lab: &'l Lab, collector: &Collector<'_>, name: &str, options: &str) -> Result<Self> {
        let mut sensor = Self::new(lab, name, options)?;
        sensor.enroll(&collector.token(name, &[])?)?;
        sensor.start()?;
        collector.wait_for(name, wait::WAIT_TIMEOUT)?;
        Ok(sensor)
    }

    /// Runs it in the mount namespace of `disk`, whose mount point must hold [`Sensor::state_dir`].
    #[must_use]
    pub const fn on_disk(mut self, disk: &'l SmallDisk) -> Self {
        self.disk = Some(disk);
        self
    }

    /// Directory of keys, enrollment and log.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.directory.join("state")
    }

    /// Directory of socket and journal.
    #[must_use]
    pub fn run_dir(&self) -> PathBuf {
        self.directory.join("run")
    }

    /// Replaces the settings file. Every alert is delivered, unless the options limit it: tests count them.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_settings(&self, options: &str) -> Result<()> {
        let unlimited =
            if options.contains("alert_daily_messages") { "" } else { "\toption alert_daily_messages '0'\n" };
        let text = format!(
            "config sentinel 'main'\n\tlist interface 'br-lan'\n\toption state_dir '{}'\n\toption run_dir '{}'\n\
             {unlimited}{options}\n",
            self.state_dir().display(),
            self.run_dir().display(),
        );
        fs::write(self.settings_file(), text).context("the settings file")
    }

    /// Command `sentinel ARGUMENTS --config ...` on the router.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let router = &self.lab.network.router;
        let mut command = match self.disk {
            Some(disk) => disk.command(&router.command(&self.lab.binaries.sensor)),
            None => router.command(&self.lab.binaries.sensor),
        };
        command.args(arguments).arg("--config").arg(self.settings_file());
        // A system call that the filter does not list ends the sensor, and with it any test: none stays unnoticed.
        command.env("SENTINEL_SANDBOX", "strict");
        command
    }

    /// Enrolls it at the collector.
    ///
    /// # Errors
    /// The message of the command.
    pub fn enroll(&self, token: &str) -> Result<String> {
        run(&mut self.command(&["enroll", token]))
    }

    /// Starts it and waits until it captures.
    ///
    /// # Errors
    /// If it ends, or does not respond.
    pub fn start(&mut self) -> Result<()> {
        let mut program =
            Program::start(self.command(&["run"]), &self.lab.path(&format!("{}-run", self.name)))?;
        wait::until_true("the sensor captures", wait::WAIT_TIMEOUT, || {
            if !program.is_running()? {
                anyhow::bail!("the sensor has ended: {}", program.errors()?);
            }
            // The worker publishes the state of the interface in its first iteration.
            let is_open = |status: &Value| status.pointer("/interfaces/0/open") == Some(&Value::Bool(true));
            Ok(self.status().is_ok_and(|status| is_open(&status)))
        })?;
        self.program = Some(program);
        Ok(())
    }

    /// Running process.
    ///
    /// # Errors
    /// If it is not running.
    pub fn program(&mut self) -> Result<&mut Program> {
        self.program.as_mut().context("the sensor is not running")
    }

    /// Kills it.
    ///
    /// # Errors
    /// If it had ended before.
    pub fn kill(&mut self) -> Result<()> {
        self.program.take().context("the sensor is not running")?.kill()
    }

    /// Ends it by SIGTERM.
    ///
    /// # Errors
    /// If it had ended before, does not end in time, or fails.
    pub fn stop(&mut self) -> Result<()> {
        self.program.take().context("the sensor is not running")?.terminate(wait::WAIT_TIMEOUT)
    }

    /// Makes it reload its settings, by SIGHUP.
    ///
    /// # Errors
    /// If it is not running.
    pub fn reload(&mut self) -> Result<()> {
        self.program()?.signal(Signal::HUP)
    }

    /// Output of `sentinel status --json`.
    ///
    /// # Errors
    /// The message of the command.
    pub fn status(&self) -> Result<Value> {
        let answer = run(&mut self.command(&["status", "--json"]))?;
        serde_json::from_str(&answer).with_context(|| answer.clone())
    }

    /// Standard error of all its starts.
    ///
    /// # Errors
    /// If it is not running.
    pub fn messages(&mut self) -> Result<String> {
        self.program()?.errors()
    }

    /// All records of its log, oldest first.
    ///
    /// # Errors
    /// The message of the command.
    pub fn log_export(&self) -> Result<Vec<Value>> {
        let text = run(&mut self.command(&["log", "export"]))?;
        text.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
    }

    /// Alerts among the records of [`Sensor::log_export`].
    ///
    /// # Errors
    /// The message of the command.
    pub fn logged_alerts(&self) -> Result<Vec<Value>> {
        let mut records = self.log_export()?;
        records.retain(|record| record.get("kind").is_some());
        Ok(records)
    }

    /// Waits until its log has an alert of `kind` and `phase` whose source is `source`.
    ///
    /// # Errors
    /// If there is none within the timeout.
    pub fn wait_for_alert(&self, kind: &str, phase: &str, source: &str) -> Result<Value> {
        wait::until(&format!("{kind} of {source}, {phase}"), wait::WAIT_TIMEOUT, || {
            let expected = [("/kind", kind), ("/phase", phase), ("/src", source)];
            let alerts = self.logged_alerts()?;
            let matches = |alert: &&Value| {
                expected.iter().all(|(name, value)| json::text(alert, name).is_ok_and(|is| is == *value))
            };
            Ok(alerts.iter().find(matches).cloned())
        })
    }

    /// Waits until every frame that the kernel has seen is counted, and returns the status.
    ///
    /// # Errors
    /// If the frame counters do not add up within the timeout.
    pub fn wait_until_counted(&self) -> Result<Value> {
        let mut before = None;
        let mut last = Value::Null;
        let outcome = wait::until("the sensor's frame counters add up", wait::WAIT_TIMEOUT, || {
            last = self.status()?;
            let frame_count = |name: &str| json::number(&last, &format!("/frames/{name}"));
            let counted = ["analysed", "filtered", "unsupported", "dropped"]
                .iter()
                .try_fold(0, |sum, name| Ok::<_, anyhow::Error>(sum + frame_count(name)?))?;
            let mut interfaces = json::list(&last, "/interfaces")?.iter();
            // The kernel's counters are read once a second, so those of the interfaces are the last to arrive.
            let received = interfaces
                .try_fold(0, |sum, each| Ok::<_, anyhow::Error>(sum + json::number(each, "/seen")?))?;
            let adds_up = frame_count("seen")? == counted && received == counted;
            let is_unchanged = before.replace(counted) == Some(counted);
            Ok((adds_up && is_unchanged).then(|| last.clone()))
        });
        outcome.with_context(|| format!("last answer: {last}"))
    }

    fn settings_file(&self) -> PathBuf {
        Path::new(&self.directory).join("settings")
    }
}
