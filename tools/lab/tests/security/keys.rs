//! Permissions of keys and logs, and encryption of stored data.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use sentinel_lab::{Collector, Sensor, experiment};

fn mode(path: &Path) -> Result<u32> {
    Ok(fs::metadata(path).with_context(|| path.display().to_string())?.permissions().mode() & 0o7777)
}

#[test]
fn keys_and_logs_are_readable_by_their_owner_only() -> Result<()> {
    experiment(|lab| {
        let collector = Collector::start(lab)?;
        let mut sensor = Sensor::started(lab, &collector, "router", "")?;
        sensor.stop()?;
        let state = sensor.state_dir();
        for directory in [&state, &sensor.run_dir(), &lab.path("collector")] {
            ensure!(mode(directory)? == 0o700, "{}: {:o}", directory.display(), mode(directory)?);
        }
        let ours = ["sensor.key", "log.key", "collector", "log"].map(|name| state.join(name));
        let theirs = ["db.key", "collector.key"].map(|name| lab.path("collector").join(name));
        for file in ours.iter().chain(&theirs) {
            ensure!(mode(file)? == 0o600, "{}: {:o}", file.display(), mode(file)?);
        }
        Ok(())
    })
}

#[test]
fn a_key_that_others_can_read_is_closed_to_them() -> Result<()> {
    experiment(|lab| {
        let collector = Collector::start(lab)?;
        let mut sensor = Sensor::started(lab, &collector, "router", "")?;
        sensor.stop()?;
        for name in ["sensor.key", "log.key"] {
            let key = sensor.state_dir().join(name);
            fs::set_permissions(&key, Permissions::from_mode(0o644))?;
            sensor.start()?;
            ensure!(mode(&key)? == 0o600, "{name}: {:o}", mode(&key)?);
            sensor.stop()?;
        }
        Ok(())
    })
}

#[test]
fn database_and_log_hold_no_cleartext() -> Result<()> {
    experiment(|lab| {
        let mut collector = Collector::start(lab)?;
        let mut sensor = Sensor::started(lab, &collector, "router", "")?;
        sentinel_lab::traffic::sent(lab, "dns-tunnel-data", &["--speed", "10"])?;
        sensor.wait_for_alert("dns_tunnel", "open", "10.20.30.20")?;
        sensor.stop()?;
        collector.stop()?;
        let mut files = vec![sensor.state_dir().join("log"), sensor.run_dir().join("journal")];
        for entry in fs::read_dir(lab.path("collector"))? {
            files.push(entry?.path());
        }
        ensure!(files.iter().any(|file| file.ends_with("sentinel.db")), "{files:?}");
        for file in files {
            let bytes = fs::read(&file)?;
            // The tunnel's domain and the sensor's name are in the alert and must not appear unencrypted.
            for secret in ["example.net", "router", "SQLite format"] {
                let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                ensure!(!found, "{} holds {secret:?}", file.display());
            }
        }
        Ok(())
    })
}
