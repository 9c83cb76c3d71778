//! Several sensors at one collector.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use sentinel_lab::{Collector, Sensor, experiment, json, traffic, wait};

#[test]
fn each_sensor_has_its_own_alerts_and_counters() -> Result<()> {
    experiment(|lab| {
        let collector = Collector::start(lab)?;
        let first = Sensor::started(lab, &collector, "branch-1", "")?;
        let mut second = Sensor::started(lab, &collector, "branch-2", "")?;
        traffic::attack(lab, 0, 8)?;
        let both = |sensor: &Sensor<'_>| json::number(&sensor.wait_until_counted()?, "/alerts/raised");
        let expected = BTreeMap::from([("branch-1", both(&first)?), ("branch-2", both(&second)?)]);
        ensure!(expected.values().all(|count| *count >= 8), "{expected:?}");
        wait::until_true("both are stored", wait::WAIT_TIMEOUT, || {
            let mut stored: BTreeMap<String, u64> = BTreeMap::new();
            for alert in collector.alerts()? {
                *stored.entry(json::text(&alert, "/sensor")?.to_owned()).or_default() += 1;
            }
            Ok(expected.iter().all(|(name, count)| stored.get(*name) == Some(count)))
        })?;
        // The end of one sensor does not affect the other.
        second.kill()?;
        wait::until_true("the sensor is offline", wait::WAIT_TIMEOUT, || {
            Ok(json::text(&collector.sensor("branch-2")?, "/state")? == "offline")
        })?;
        ensure!(json::text(&collector.sensor("branch-1")?, "/state")? == "connected");
        traffic::attack(lab, 1, 8)?;
        wait::until_true("the other sensor's alert is stored", wait::WAIT_TIMEOUT, || {
            Ok(collector.alerts()?.iter().any(|alert| alert["src"] == "10.21.0.2"))
        })
    })
}
