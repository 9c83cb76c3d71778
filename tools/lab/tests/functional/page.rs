//! The page and the terminal view.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use sentinel_lab::{Collector, Program, Relay, Sensor, experiment, http, traffic, wait};

fn fetch(from: SocketAddr, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(from)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {from}\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn the_page_is_reachable_through_the_relay_until_it_is_closed() -> Result<()> {
    experiment(|lab| {
        let collector = Collector::start(lab)?;
        let relay = Relay::open(lab, 0, http::HTTP_ADDRESS)?;
        let address = relay.address();
        ensure!(address.ip().is_loopback(), "{address} can be reached by others");
        let page = fetch(address, "/")?;
        ensure!(page.starts_with("HTTP/1.0 200") && page.contains("<html"), "{page}");
        let _sensor = Sensor::started(lab, &collector, "router", "")?;
        ensure!(fetch(address, "/api/v1/sensors")?.contains("\"name\":\"router\""));
        drop(relay);
        ensure!(TcpStream::connect(address).is_err(), "the relay still accepts");
        Ok(())
    })
}

#[test]
fn watch_shows_alerts_as_they_arrive_and_no_colours_when_piped() -> Result<()> {
    experiment(|lab| {
        let collector = Collector::start(lab)?;
        let _sensor = Sensor::started(lab, &collector, "router", "")?;
        let mut command = lab.network.collector.command(&lab.binaries.collector);
        command.arg("watch");
        let mut watch = Program::start(command, &lab.path("watch"))?;
        traffic::sent(lab, "port-scan-at", &["--speed", "10"])?;
        let line = wait::until("the alert is shown", wait::WAIT_TIMEOUT, || {
            ensure!(watch.is_running()?, "{}", watch.errors()?);
            let shown = watch.output()?;
            Ok(shown.lines().find(|line| line.contains("port_scan")).map(str::to_owned))
        })?;
        ensure!(line.contains("router") && line.contains("10.20.30.66"), "{line}");
        ensure!(!watch.output()?.contains('\u{1b}'), "colours in a file: {line:?}");
        drop(watch);
        let mut command = lab.network.collector.command(&lab.binaries.collector);
        let table = sentinel_lab::run(command.args(["watch", "--sensors"]))?;
        let row = table.lines().find(|line| line.starts_with("router ")).context(table.clone())?;
        ensure!(row.contains("connected"), "{table}");
        Ok(())
    })
}
