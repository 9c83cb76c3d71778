//! Visibility score, and advice about flow tables, which hide traffic from the sensor.

use anyhow::{Context as _, Result, ensure};
use sentinel_lab::{Sensor, experiment, json, run, traffic};

#[test]
fn the_score_of_a_bridge_is_close_to_100_percent() -> Result<()> {
    experiment(|lab| {
        let mut sensor = Sensor::new(lab, "router", "")?;
        sensor.start()?;
        ensure!(sensor.status()?["visibility"]["score_percent"].is_null(), "nothing to judge yet");
        traffic::sent(lab, "mixed", &["--speed", "50"])?;
        let status = sensor.wait_until_counted()?;
        let score = json::number(&status, "/visibility/score_percent")?;
        ensure!(score >= 98, "{}", status["visibility"]);
        let text = run(&mut sensor.command(&["status"]))?;
        ensure!(text.contains("% of the bytes on these interfaces"), "{text}");
        ensure!(text.lines().count() <= 24 && text.lines().all(|line| line.chars().count() <= 80), "{text}");
        Ok(())
    })
}

#[test]
fn a_flow_table_is_reported_with_advice() -> Result<()> {
    experiment(|lab| {
        let rules =
            "table inet fw4 { flowtable ft { hook ingress priority 0; devices = { lan-attacker }; } }";
        let mut nft = lab.network.router.command("nft");
        if let Err(error) = run(nft.arg(rules)) {
            eprintln!("skipped: no flow table can be made here: {error:#}");
            return Ok(());
        }
        let mut sensor = Sensor::new(lab, "router", "")?;
        sensor.start()?;
        let status = sensor.status()?;
        ensure!(status["visibility"]["flow_tables"][0]["name"] == "fw4 ft", "{}", status["visibility"]);
        let advice = json::text(&status, "/visibility/advice")?;
        ensure!(advice.starts_with("software flow table 'fw4 ft'"), "{advice}");
        let text = run(&mut sensor.command(&["status"]))?;
        ensure!(
            text.contains("forwards packets past the sensor")
                && text.contains("nft delete flowtable inet fw4 ft"),
            "{text}"
        );
        ensure!(
            sensor.messages()?.contains("flow table 'fw4 ft'"),
            "told at the start: {}",
            sensor.messages()?
        );
        let checked = sensor.command(&["config", "check"]).output()?;
        let told = String::from_utf8_lossy(&checked.stderr);
        ensure!(checked.status.success() && told.contains("flow table 'fw4 ft'"), "{told}");
        let list = run(&mut sensor.command(&["interfaces", "--json"]))?;
        let list: serde_json::Value = serde_json::from_str(&list)?;
        let all = list.as_array().context("a list")?;
        let of =
            |name: &str| all.iter().find(|each| each["name"] == name).map(|each| each["flow_table"].clone());
        ensure!(of("lan-attacker").context("the port")? == "software", "{list}");
        ensure!(of("br-lan").context("its bridge")? == "software", "{list}");
        ensure!(of("mgmt0").context("another")? == "none", "{list}");
        ensure!(
            all.iter().any(|each| each["offload"].as_array().is_some_and(|list| !list.is_empty())),
            "{list}"
        );
        run(lab.network.router.command("nft").args(["delete", "table", "inet", "fw4"])).map(drop)
    })
}

#[test]
fn interfaces_are_listed_with_ports_offload_and_driver() -> Result<()> {
    experiment(|lab| {
        let sensor = Sensor::new(lab, "router", "")?;
        let text = run(&mut sensor.command(&["interfaces"]))?;
        let row = |name: &str| text.lines().find(|line| line.starts_with(name)).context(text.clone());
        ensure!(row("br-lan")?.contains("[ports: lan-attacker, lan-victim]"), "{text}");
        ensure!(
            row("lan-attacker")?.contains("[port of br-lan]") && row("lan-attacker")?.contains("[offload: ")
        );
        ensure!(row("lan-attacker")?.contains("[driver: veth]"), "{text}");
        Ok(())
    })
}
