//! The captured interface goes down, is removed and comes back.

use anyhow::{Result, ensure};
use sentinel_lab::{Lab, Sensor, experiment, json, traffic, wait};

fn scan_is_seen(lab: &Lab, sensor: &Sensor<'_>, from: &str) -> Result<()> {
    traffic::sent(lab, "port-scan-at", &["--attacker-ip", from, "--speed", "10"])?;
    sensor.wait_for_alert("port_scan", "open", from).map(drop)
}

fn wait_until_open(sensor: &Sensor<'_>, open: bool) -> Result<()> {
    wait::until_true(&format!("the interface is open: {open}"), wait::WAIT_TIMEOUT, || {
        Ok(sensor.status()?["interfaces"][0]["open"] == open)
    })
}

#[test]
fn an_interface_that_goes_down_and_up_is_captured_again() -> Result<()> {
    experiment(|lab| {
        let mut sensor = Sensor::new(lab, "router", "")?;
        sensor.start()?;
        scan_is_seen(lab, &sensor, "10.20.30.111")?;
        for round in 0..3_u8 {
            lab.network.set_bridge(false)?;
            // None of these frames may arrive, and the sensor must not end.
            traffic::sent(lab, "port-scan-at", &["--attacker-ip", "10.20.30.112", "--speed", "100"])?;
            lab.network.set_bridge(true)?;
            scan_is_seen(lab, &sensor, &format!("10.20.30.{}", 113 + round))?;
        }
        let missed = sensor.logged_alerts()?.iter().filter(|alert| alert["src"] == "10.20.30.112").count();
        ensure!(missed == 0, "frames came from an interface that is down");
        ensure!(sensor.program()?.is_running()?);
        Ok(())
    })
}

#[test]
fn an_interface_that_is_removed_and_created_again_is_captured_again() -> Result<()> {
    experiment(|lab| {
        let mut sensor = Sensor::new(lab, "router", "")?;
        sensor.start()?;
        scan_is_seen(lab, &sensor, "10.20.30.121")?;
        let before = sensor.wait_until_counted()?;
        lab.network.delete_bridge()?;
        wait_until_open(&sensor, false)?;
        lab.network.add_bridge()?;
        lab.network.add_ports()?;
        wait_until_open(&sensor, true)?;
        scan_is_seen(lab, &sensor, "10.20.30.122")?;
        let after = sensor.wait_until_counted()?;
        for counter in ["/frames/seen", "/frames/analysed", "/interfaces/0/seen"] {
            let (before, after) = (json::number(&before, counter)?, json::number(&after, counter)?);
            ensure!(after > before, "{counter} was {before} and is {after}");
        }
        ensure!(
            json::number(&after, "/boot")? == json::number(&before, "/boot")?,
            "the sensor was restarted"
        );
        Ok(())
    })
}

#[test]
fn an_unknown_interface_is_an_error_that_lists_the_others() -> Result<()> {
    experiment(|lab| {
        let sensor = Sensor::new(lab, "router", "")?;
        let error = sentinel_lab::run(&mut sensor.command(&["run", "--no-wait", "-i", "wan9"]))
            .unwrap_err()
            .to_string();
        ensure!(error.contains("exit status: 1"), "{error}");
        ensure!(
            ["wan9", "br-lan", "lan-attacker", "mgmt0"].iter().all(|name| error.contains(name)),
            "{error}"
        );
        Ok(())
    })
}

/// `br-lan` and `pppoe-wan` before PPP was up: the sensor ended.
#[test]
fn interfaces_that_are_absent_at_the_start_are_waited_for() -> Result<()> {
    for workers in ["1", "3"] {
        experiment(|lab| {
            let options = format!(
                "\tlist interface 'pppoe-wan'\n\toption filter 'not host 192.0.2.9'\n\toption workers '{workers}'\n"
            );
            let mut sensor = Sensor::new(lab, "router", &options)?;
            sensor.start()?;
            let messages = sensor.messages()?;
            ensure!(messages.contains("interface 'pppoe-wan' does not exist; there are: lo, "), "{messages}");
            ensure!(
                messages.contains("capturing on br-lan, waiting for pppoe-wan, ready after"),
                "{messages}"
            );
            let text = sentinel_lab::run(&mut sensor.command(&["status"]))?;
            ensure!(text.contains("waiting for pppoe-wan"), "{text}");
            scan_is_seen(lab, &sensor, "10.20.30.123")?;
            let router = &lab.network.router;
            router.ip(&["link", "add", "pppoe-wan", "type", "veth", "peer", "name", "provider"])?;
            router.ip(&["address", "add", "198.51.100.7/24", "dev", "pppoe-wan"])?;
            router.ip(&["link", "set", "pppoe-wan", "up"])?;
            wait::until_true("it is captured", wait::WAIT_TIMEOUT, || {
                Ok(sensor.status()?["interfaces"][1]["open"] == true)
            })?;
            wait::until_true("it is reported", wait::WAIT_TIMEOUT, || {
                Ok(sensor.messages()?.contains("interface 'pppoe-wan' is there, capturing"))
            })?;
            scan_is_seen(lab, &sensor, "10.20.30.124")
        })?;
    }
    Ok(())
}

#[test]
fn a_sensor_without_any_interface_waits() -> Result<()> {
    experiment(|lab| {
        lab.network.delete_bridge()?;
        let sensor = Sensor::new(lab, "router", "")?;
        let mut program = sentinel_lab::Program::start(sensor.command(&["run"]), &lab.path("alone"))?;
        wait::until_true("it says so", wait::WAIT_TIMEOUT, || {
            Ok(program.errors()?.contains("waiting for br-lan, ready after"))
        })?;
        lab.network.add_bridge()?;
        lab.network.add_ports()?;
        wait_until_open(&sensor, true)?;
        scan_is_seen(lab, &sensor, "10.20.30.125")?;
        program.terminate(wait::WAIT_TIMEOUT)
    })
}

/// Three false alarms at half the thresholds, two of them `high`.
#[test]
fn a_bridge_and_its_port_are_refused_unless_that_is_allowed() -> Result<()> {
    experiment(|lab| {
        let sensor = Sensor::new(lab, "router", "")?;
        for (interfaces, advice) in [
            (["br-lan", "lan-victim"], "'lan-victim' is a port of 'br-lan'; choose 'br-lan'"),
            (["lan-attacker", "lan-victim"], "are ports of one bridge; choose the bridge"),
        ] {
            let words = ["-i", interfaces[0], "-i", interfaces[1]];
            for command in [&["run"][..], &["capture", "--alerts"]] {
                let words = [command, &words].concat();
                let error = sentinel_lab::run(&mut sensor.command(&words)).unwrap_err().to_string();
                ensure!(error.contains("exit status: 1") && error.contains(advice), "{words:?}: {error}");
            }
        }
        let words = ["config", "check", "--set", "interface=br-lan lan-victim"];
        let output = sensor.command(&words).output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(!output.status.success() && text.contains("'lan-victim' is a port of 'br-lan'"), "{text}");
        let mut sensor =
            Sensor::new(lab, "allowed", "\tlist interface 'lan-victim'\n\toption allow_overlap 'on'\n")?;
        sensor.start()?;
        ensure!(!sensor.messages()?.contains("port of"), "{}", sensor.messages()?);
        Ok(())
    })
}

/// Packets from the LAN to the WAN counted twice where the router does not translate addresses; there was only a warning.
#[test]
fn interfaces_that_are_routed_between_are_refused_unless_the_source_is_translated() -> Result<()> {
    experiment(|lab| {
        let router = &lab.network.router;
        router.ip(&["address", "add", "10.20.30.1/24", "dev", "br-lan"])?;
        router.ip(&["route", "add", "default", "via", "192.0.2.1"])?;
        let set = |name: &str, value: &str| {
            let command = format!("echo {value} > /proc/sys/net/{name}");
            sentinel_lab::run(router.command("sh").args(["-c", &command])).map(drop)
        };
        let sensor = Sensor::new(lab, "router", "")?;
        let check = || -> Result<String> {
            let words = ["config", "check", "--set", "interface=br-lan mgmt0"];
            Ok(String::from_utf8_lossy(&sensor.command(&words).output()?.stdout).into_owned())
        };
        ensure!(check()?.contains("no problems"), "it does not forward: {}", check()?);
        set("ipv4/ip_forward", "1")?;
        let advice = "routes IPv4 between 'br-lan' and 'mgmt0', and no firewall rule translates all of it \
                      (masquerade, snat); choose 'br-lan'";
        for command in [&["run"][..], &["capture", "--alerts"]] {
            let words = [command, &["-i", "br-lan", "-i", "mgmt0"]].concat();
            let error = sentinel_lab::run(&mut sensor.command(&words)).unwrap_err().to_string();
            ensure!(error.contains("exit status: 1") && error.contains(advice), "{words:?}: {error}");
        }
        ensure!(check()?.contains(advice), "{}", check()?);
        let nft = |rules: &str| sentinel_lab::run(router.command("nft").arg(rules));
        let table = "table inet fw4 { chain srcnat { type nat hook postrouting priority 100; }; \
                     chain srcnat_wan { }; }";
        if let Err(error) = nft(table) {
            eprintln!("skipped: no rules can be made here: {error:#}");
            return Ok(());
        }
        nft("add rule inet fw4 srcnat_wan ip saddr 172.17.0.0/16 masquerade")?;
        ensure!(check()?.contains(advice), "a rule for other networks: {}", check()?);
        nft("add rule inet fw4 srcnat oifname mgmt0 jump srcnat_wan")?;
        nft("add rule inet fw4 srcnat_wan meta nfproto ipv4 masquerade")?;
        ensure!(check()?.contains("no problems"), "{}", check()?);
        set("ipv6/conf/all/forwarding", "1")?;
        // The lab has it off.
        set("ipv6/conf/br-lan/disable_ipv6", "0")?;
        set("ipv6/conf/mgmt0/disable_ipv6", "0")?;
        router.ip(&["address", "add", "fe80::2/64", "dev", "mgmt0", "nodad"])?;
        router.ip(&["address", "add", "2001:db8::1/64", "dev", "br-lan", "nodad"])?;
        ensure!(check()?.contains("routes IPv6 between 'br-lan' and 'mgmt0', which is not"), "{}", check()?);
        let mut sensor =
            Sensor::new(lab, "allowed", "\tlist interface 'mgmt0'\n\toption allow_overlap 'on'\n")?;
        sensor.start()?;
        ensure!(!sensor.messages()?.contains("routes IPv"), "{}", sensor.messages()?);
        Ok(())
    })
}
