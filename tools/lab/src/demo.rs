//! What `ci/demo.sh` shows: attacks become alerts at a collector.

use std::io::{self, Write as _};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use async_signal::{Signal, Signals};
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

/// What to show.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How long; `None` is until Ctrl+C.
    pub duration: Option<Duration>,
    /// Port of the page on the loopback of this machine; another if it is taken.
    pub port: u16,
}

/// Port of the page if nothing else is asked for.
pub const PORT: u16 = 8080;
/// Shorter than the defaults, so that incidents are seen to go on and to close.
const SETTINGS: &str =
    "\toption incident_update_s '5'\n\toption incident_idle_s '8'\n\toption uplink_telemetry_s '5'\n";
const NAME: &str = "demo-router";

/// Builds the network, starts everything, plays the attacks again and again until the time is over or somebody
/// presses Ctrl+C, stops in order and prints what became of the alerts.
///
/// # Errors
/// What does not work. Nothing stays behind then either.
pub fn demo(settings: Settings) -> Result<()> {
    let interrupted = interruption()?;
    let lab = Lab::new()?;
    let mut collector = Collector::start(&lab)?;
    let relay = Relay::open(&lab, settings.port, HTTP_ADDRESS)?;
    let mut sensor = Sensor::started(&lab, &collector, NAME, SETTINGS)?;
    let url = format!("http://{}/", relay.address());
    let until = settings.duration.map_or_else(
        || "until Ctrl+C".to_owned(),
        |duration| format!("for {} s; Ctrl+C ends sooner", duration.as_secs()),
    );
    say(&format!(
        "A collector, an enrolled sensor on the bridge br-lan, an attacker and a victim, each in a network namespace.\n\
         The page: {url}\n\
         Eight attacks among harmless traffic, {until}.\n"
    ))?;
    let watch = Program::start_on_terminal({
        let mut command: Command = lab.network.collector.command(&lab.binaries.collector);
        command.arg("watch");
        command
    })?;
    let begin = Instant::now();
    let mut rounds = 0_u64;
    let mut mix = traffic::send(&lab, "attack-mix", &[])?;
    while !interrupted.load(Ordering::Relaxed)
        && settings.duration.is_none_or(|duration| begin.elapsed() < duration)
    {
        if !mix.is_running()? {
            rounds += 1;
            // Every round has another attacker, or it would only go on with the incidents of the last.
            let attacker = format!("10.20.30.{}", 67 + rounds % 120);
            let seed = (rounds + 1).to_string();
            mix = traffic::send(&lab, "attack-mix", &["--attacker-ip", &attacker, "--seed", &seed])?;
        }
        thread::sleep(Duration::from_millis(50));
    }
    drop(mix);
    let before = sensor.settled()?;
    // Stopping closes what is open; those alerts are delivered before it ends.
    sensor.stop()?;
    let records = sensor.log_export()?;
    let raised = records.iter().filter(|record| record.get("kind").is_some()).count();
    let stored = collector.alerts()?.len();
    drop(watch);
    say("\nThe same from the programs themselves:\n\n$ sentinel-collector sensors")?;
    say(&run(&mut collector.command("sensors"))?)?;
    let row = collector.sensor(NAME)?;
    collector.stop()?;
    let frames = |name: &str| json::number(&before, &format!("/frames/{name}"));
    say(&format!(
        "{} frames seen = {} analysed + {} filtered + {} dropped\n\
         {raised} alerts raised, {stored} stored at the collector, {} missing, {} lost",
        frames("seen")?,
        frames("analysed")?,
        frames("filtered")?,
        frames("dropped")?,
        json::number(&row, "/alerts_missing")?,
        json::number(&row, "/alerts_lost")?,
    ))?;
    anyhow::ensure!(raised == stored, "the collector does not have every alert");
    Ok(())
}

fn say(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).context("standard output")
}

/// Becomes true when somebody wants us to end.
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

/// Builds the network and keeps it until Ctrl+C, for experiments by hand.
///
/// # Errors
/// What does not work.
pub fn network() -> Result<()> {
    let interrupted = interruption()?;
    let lab = Lab::new()?;
    let network = &lab.network;
    say("Until Ctrl+C, as `ip netns exec NAME COMMAND`:\n")?;
    for (namespace, what) in [
        (&network.attacker, "eth0 10.20.30.66, a port of br-lan"),
        (&network.victim, "eth0 10.20.30.10, a port of br-lan"),
        (&network.router, "br-lan, and mgmt0 192.0.2.2 to the collector"),
        (&network.collector, "mgmt0 192.0.2.1"),
    ] {
        say(&format!("{:36} {what}", namespace.name()))?;
    }
    let forever = Duration::from_secs(365 * 86_400);
    wait::until_true("Ctrl+C", forever, || Ok(interrupted.load(Ordering::Relaxed)))
}
