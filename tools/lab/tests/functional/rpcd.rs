//! `sentinel rpcd` beside a running sensor: what the page of the router shows. `LUCI_BLESS=1` keeps the answers for the test of that page
//! (`tools/image/tests/data/luci`).

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use sentinel_lab::{Collector, Sensor, experiment, json, traffic};
use serde_json::Value;

/// Members of `status` that the page reads.
const STATUS: [&str; 14] = [
    "/version",
    "/uptime_ms",
    "/frames/seen",
    "/frames/analysed",
    "/frames/filtered",
    "/frames/dropped",
    "/visibility/score_percent",
    "/visibility/advice",
    "/alerts/raised",
    "/alerts/delivered",
    "/alerts/waiting",
    "/uplink/state",
    "/memory/resident_kib",
    "/memory/evictions",
];

fn ask(sensor: &Sensor<'_>, method: &str, arguments: &str) -> Result<Value> {
    let mut command = sensor.command(&["rpcd", "call", method]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    // It may have ended without reading its arguments.
    let _read = child.stdin.take().context("a pipe")?.write_all(arguments.as_bytes());
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "{method}: {}", String::from_utf8_lossy(&output.stderr));
    ensure!(output.stdout.len() < 65_536, "{method}: {} bytes", output.stdout.len());
    if std::env::var_os("LUCI_BLESS").is_some() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../image/tests/data/luci");
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(format!("{method}.json")), &output.stdout)?;
    }
    serde_json::from_slice(&output.stdout).with_context(|| method.to_owned())
}

#[test]
fn answers_have_what_the_page_reads_and_their_limits_hold() -> Result<()> {
    experiment(|lab| {
        let collector = Collector::start(lab)?;
        let sensor = Sensor::started(lab, &collector, "router", "\toption log_delivered_readable 'on'\n")?;
        traffic::sent(lab, "attack-mix", &["--speed", "10"])?;
        sensor.wait_until_counted()?;

        let status = ask(&sensor, "status", "{}")?;
        ensure!(status.get("running") == Some(&Value::Bool(true)), "{status}");
        for member in STATUS {
            ensure!(status.pointer(member).is_some(), "no {member} in {status}");
        }
        let all = json::list(&ask(&sensor, "alerts", "{\"limit\":500}")?, "/alerts")?.len();
        ensure!(all > 2, "{all} alerts");
        let two = ask(&sensor, "alerts", "{\"limit\":2}")?;
        ensure!(json::list(&two, "/alerts")?.len() == 2, "{two}");

        let answer = ask(&sensor, "alerts", "{}")?;
        let alerts = json::list(&answer, "/alerts")?;
        for alert in alerts {
            for member in ["/time", "/severity", "/kind", "/phase", "/summary"] {
                json::text(alert, member)?;
            }
        }
        let times: Vec<&str> =
            alerts.iter().map(|alert| json::text(alert, "/time")).collect::<Result<_>>()?;
        ensure!(times.is_sorted_by(|newer, older| newer >= older), "{times:?}");
        // Starts and deliveries are told apart from alerts.
        let records = json::list(&answer, "/records")?;
        ensure!(!records.is_empty() && records.iter().all(|record| record.get("kind").is_none()), "{answer}");

        ensure!(ask(&sensor, "check", "{}")?.get("ok") == Some(&Value::Bool(true)));
        let interfaces = ask(&sensor, "interfaces", "{}")?;
        let names = json::list(&interfaces, "/interfaces")?;
        ensure!(names.iter().any(|found| found.get("name") == Some(&Value::from("br-lan"))), "{interfaces}");
        Ok(())
    })
}
