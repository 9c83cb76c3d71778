//! Demonstration of `ci/demo.sh`: attacks become alerts at a collector.

use std::io::{self, Write as _};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use async_signal::{Signal, Signals};
use serde_json::Value;
use smol::stream::StreamExt as _;

use crate::collector::Collector;
use crate::http::HTTP_ADDRESS;
use crate::json;
use crate::lab::Lab;
use crate::program::{Program, run};
use crate::relay::Relay;
use crate::sensor::Sensor;
use crate::traffic;
use crate::wait;

/// Duration of the demonstration and port of its page.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Duration; `None` is until Ctrl+C.
    pub duration: Option<Duration>,
    /// Port of the page on the loopback of this machine; any free port if it is taken.
    pub port: u16,
}

/// Default port of the page.
pub const PORT: u16 = 8080;
/// Intervals shorter than the defaults, so that updates and closing of incidents are shown.
const SETTINGS: &str =
    "\toption incident_update_s '5'\n\toption incident_idle_s '8'\n\toption uplink_telemetry_s '5'\n";
const NAME: &str = "demo-router";

/// Builds the network, starts the programs, repeats the attacks until the time is over or Ctrl+C is pressed, stops the
/// programs and prints the counts of frames and alerts.
///
/// # Errors
/// The first error of any step; the network is deleted in that case, too.
pub fn demo(settings: Settings) -> Result<()> {
    let interrupted = interruption()?;
    let lab = Lab::new()?;
    let mut collector = Collector::start(&lab)?;
    let relay = Relay::open(&lab, settings.port, HTTP_ADDRESS)?;
    let mut sensor = Sensor::started(&lab, &collector, NAME, SETTINGS)?;
    print_introduction(&relay, settings.duration)?;
    let watch = Program::start_on_terminal({
        let mut command: Command = lab.network.collector.command(&lab.binaries.collector);
        command.arg("watch");
        command
    })?;
    repeat_attacks(&lab, settings.duration, &interrupted)?;
    let before = sensor.wait_until_counted()?;
    // A stop closes open incidents; those alerts are delivered before the sensor ends.
    sensor.stop()?;
    let records = sensor.log_export()?;
    let raised = records.iter().filter(|record| record.get("kind").is_some()).count();
    let stored = collector.alerts()?.len();
    drop(watch);
    print("\nFrom the programs themselves:\n\n$ sentinel-collector sensors")?;
    print(&run(&mut collector.command("sensors"))?)?;
    let row = collector.sensor(NAME)?;
    collector.stop()?;
    print_totals(&before, &row, raised, stored)?;
    anyhow::ensure!(raised == stored, "the collector does not have every alert");
    Ok(())
}

fn print_introduction(relay: &Relay, duration: Option<Duration>) -> Result<()> {
    let until = duration.map_or_else(
        || "until Ctrl+C".to_owned(),
        |duration| format!("for {} s; Ctrl+C ends sooner", duration.as_secs()),
    );
    print(&format!(
        "A collector, an enrolled sensor on the bridge br-lan, an attacker and a victim, each in a network namespace.\n\
         The page: http://{}/\n\
         Eight attacks among harmless traffic, {until}.\n",
        relay.address()
    ))
}

/// Sends the attacks round after round until `duration` is over or `interrupted` is set.
fn repeat_attacks(lab: &Lab, duration: Option<Duration>, interrupted: &AtomicBool) -> Result<()> {
    let begin = Instant::now();
    let mut rounds = 0_u64;
    let mut mix = traffic::send(lab, "attack-mix", &[])?;
    while !interrupted.load(Ordering::Relaxed) && duration.is_none_or(|duration| begin.elapsed() < duration) {
        if !mix.is_running()? {
            rounds += 1;
            // Every round has another attacker; with the same one it would only update the incidents of the round before.
            let attacker = format!("10.20.30.{}", 67 + rounds % 120);
            let seed = (rounds + 1).to_string();
            mix = traffic::send(lab, "attack-mix", &["--attacker-ip", &attacker, "--seed", &seed])?;
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Prints the frames of the sensor's last status, and the alerts of both sides.
fn print_totals(status: &Value, sensor: &Value, raised: usize, stored: usize) -> Result<()> {
    let frames = |name: &str| json::number(status, &format!("/frames/{name}"));
    print(&format!(
        "{} frames seen = {} analysed + {} filtered + {} dropped\n\
         {raised} alerts raised, {stored} stored at the collector, {} missing, {} lost",
        frames("seen")?,
        frames("analysed")?,
        frames("filtered")?,
        frames("dropped")?,
        json::number(sensor, "/alerts_missing")?,
        json::number(sensor, "/alerts_lost")?,
    ))
}

/// Prints to standard output at once.
fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).context("standard output")
}

/// Flag that is set by SIGINT, SIGTERM and SIGHUP.
fn interruption() -> Result<Arc<AtomicBool>> {
    let mut signals = Signals::new([Signal::Int, Signal::Term, Signal::Hup]).context("signals")?;
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&interrupted);
    thread::spawn(move || {
        smol::block_on(async {
            while signals.next().await.is_some() {
                flag.store(true, Ordering::Relaxed);
            }
        });
    });
    Ok(interrupted)
}

/// Builds the network and keeps it until Ctrl+C, for manual experiments.
///
/// # Errors
/// The first error of any step.
pub fn network() -> Result<()> {
    let interrupted = interruption()?;
    let lab = Lab::new()?;
    let network = &lab.network;
    print("Until Ctrl+C, as `ip netns exec NAME COMMAND`:\n")?;
    for (namespace, what) in [
        (&network.attacker, "eth0 10.20.30.66, a port of br-lan"),
        (&network.victim, "eth0 10.20.30.10, a port of br-lan"),
        (&network.router, "br-lan, and mgmt0 192.0.2.2 to the collector"),
        (&network.collector, "mgmt0 192.0.2.1"),
    ] {
        print(&format!("{:36} {what}", namespace.name()))?;
    }
    let forever = Duration::from_secs(365 * 86_400);
    wait::until_true("Ctrl+C", forever, || Ok(interrupted.load(Ordering::Relaxed)))
}
