//! The sensor is started as root and gives up everything but the right to open packet sockets, for good; what it does later
//! still works. A system call that its filter does not list kills every sensor of the lab (`sandbox` is `strict`).

use std::fs::{self, Permissions};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use sentinel_lab::{COLLECTOR_ADDRESS, Collector, Lab, Sensor, experiment, json, run, traffic, wait};

/// User and group that no machine has.
const USER: u32 = 64_123;
const GROUP: u32 = 64_124;
/// `CAP_NET_RAW` in the lines of `/proc/PID/status`.
const NET_RAW: &str = "0000000000002000";
const NONE: &str = "0000000000000000";

/// Sensor that becomes [`USER`] and is not started.
fn unprivileged<'l>(lab: &'l Lab, name: &str, options: &str) -> Result<Sensor<'l>> {
    // The directory of the lab is root's alone; what the sensor opens later is below it.
    let directory = lab.path(name);
    fs::set_permissions(directory.parent().context("a directory")?, Permissions::from_mode(0o711))?;
    Sensor::new(lab, name, &format!("\toption user '{USER}:{GROUP}'\n{options}"))
}

/// Lines of the status of each thread.
fn threads(process: u32) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(format!("/proc/{process}/task"))? {
        // A thread that resolves a name may end meanwhile.
        if let Ok(status) = fs::read_to_string(entry?.path().join("status")) {
            all.push(status);
        }
    }
    Ok(all)
}

fn field<'s>(status: &'s str, name: &str) -> Result<Vec<&'s str>> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    Ok(line.with_context(|| format!("no {name} in {status}"))?.split_whitespace().collect())
}

fn is_unprivileged(status: &str) -> Result<()> {
    let (user, group) = (USER.to_string(), GROUP.to_string());
    for (name, expected) in [
        ("Uid", vec![user.as_str(); 4]),
        ("Gid", vec![group.as_str(); 4]),
        ("Groups", vec![]),
        ("CapInh", vec![NONE]),
        ("CapPrm", vec![NET_RAW]),
        ("CapEff", vec![NET_RAW]),
        ("CapBnd", vec![NONE]),
        ("CapAmb", vec![NONE]),
        ("NoNewPrivs", vec!["1"]),
        ("Seccomp", vec!["2"]),
    ] {
        let found = field(status, name)?;
        ensure!(found == expected, "{name} is {found:?} in {status}");
    }
    Ok(())
}

fn owner(path: &Path) -> Result<u32> {
    Ok(fs::symlink_metadata(path).with_context(|| path.display().to_string())?.uid())
}

fn scan_is_seen(lab: &Lab, sensor: &Sensor<'_>, from: &str) -> Result<()> {
    traffic::sent(lab, "port-scan-at", &["--attacker-ip", from, "--speed", "20"])?;
    sensor.wait_for_alert("port_scan", "open", from).map(drop)
}

#[test]
fn every_thread_is_unprivileged_and_everything_works() -> Result<()> {
    experiment(|lab| {
        let mut collector = Collector::start(lab)?;
        let mut sensor = unprivileged(lab, "router", "\toption workers '2'\n\toption max_packets '64'\n")?;
        sensor.enroll(&collector.token("router", &[])?)?;
        sensor.start()?;
        collector.wait_for("router", wait::WAIT_TIMEOUT)?;
        let process = sensor.program()?.id();
        let threads = threads(process)?;
        ensure!(threads.len() >= 3, "{} threads", threads.len());
        threads.iter().try_for_each(|status| is_unprivileged(status))?;
        let status = sensor.status()?;
        ensure!(
            status["privileges"]["uid"] == USER && status["privileges"]["seccomp"] == "strict",
            "{status}"
        );
        ensure!(status["privileges"]["capabilities"] == serde_json::json!(["net_raw"]), "{status}");
        let missing = json::list(&status, "/privileges/missing")?;
        let is_landlock =
            |what: &serde_json::Value| what.as_str().is_some_and(|what| what.starts_with("Landlock"));
        ensure!(missing.iter().all(is_landlock), "{missing:?}");
        let text = run(&mut sensor.command(&["status"]))?;
        ensure!(text.contains(&format!("rights  user {USER}, seccomp strict")), "{text}");

        scan_is_seen(lab, &sensor, "10.20.30.111")?;
        // The ring of an interface that comes back is a new packet socket.
        lab.network.delete_bridge()?;
        wait_until_open(&sensor, false)?;
        lab.network.add_bridge()?;
        lab.network.add_ports()?;
        wait_until_open(&sensor, true)?;
        scan_is_seen(lab, &sensor, "10.20.30.112")?;
        run(&mut sensor.command(&["ctl", "set-filter", "not", "host", "10.20.30.113"]))?;
        ensure!(run(&mut sensor.command(&["ctl", "packets"]))?.contains("10.20.30.112"));
        sensor.write_settings(&format!("\toption user '{USER}:{GROUP}'\n\toption filter 'ip'\n"))?;
        sensor.reload()?;
        wait::until_true("settings reloaded", wait::WAIT_TIMEOUT, || {
            Ok(sensor.messages()?.contains("settings reloaded"))
        })?;
        scan_is_seen(lab, &sensor, "10.20.30.114")?;
        collector.kill()?;
        collector.start_again()?;
        collector.wait_for("router", Duration::from_secs(90))?;
        ensure!(sensor.program()?.id() == process, "the sensor was restarted");
        sensor.stop()?;
        // What root made before the first start, and what the sensor made, is the sensor's.
        for name in ["", "sensor.key", "collector", "log.key", "log"] {
            ensure!(owner(&sensor.state_dir().join(name))? == USER, "{name}");
        }
        ensure!(owner(&sensor.run_dir())? == USER && owner(&sensor.run_dir().join("journal"))? == USER);
        sensor.start()?;
        sensor.stop()
    })
}

fn wait_until_open(sensor: &Sensor<'_>, open: bool) -> Result<()> {
    wait::until_true(&format!("the interface is open: {open}"), wait::WAIT_TIMEOUT, || {
        Ok(sensor.status()?["interfaces"][0]["open"] == open)
    })
}

/// `sentinel enroll` as root wrote a file that the sensor's user could not read, and a sensor that had been revoked waited for
/// five minutes after it was enrolled again.
#[test]
fn enrolling_as_root_takes_effect_at_once() -> Result<()> {
    experiment(|lab| {
        let collector = Collector::start(lab)?;
        let mut sensor = unprivileged(lab, "router", "")?;
        let settings = lab.path("router").join("settings");
        fs::set_permissions(&settings, Permissions::from_mode(0o600))?;
        sensor.start()?;
        let status = sensor.status()?;
        ensure!(status["uplink"]["state"] == "not_enrolled", "{status}");
        // Root reads its own settings at the start, and the sensor's user could not at a reload.
        ensure!(status["privileges"]["missing"].to_string().contains("chmod 644"), "{status}");
        let token = lab.path("token");
        fs::write(&token, collector.token("router", &[])? + "\n")?;
        let connected = |sensor: &Sensor<'_>| {
            wait::until_true("connected at once", Duration::from_secs(4), || {
                Ok(sensor.status()?["uplink"]["state"] == "connected")
            })
        };
        run(&mut sensor.command(&["enroll", "--token-file", &token.to_string_lossy()]))?;
        connected(&sensor)?;
        for name in ["sensor.key", "collector"] {
            let path = sensor.state_dir().join(name);
            ensure!(owner(&path)? == USER && fs::metadata(&path)?.mode() & 0o777 == 0o600, "{name}");
        }
        run(collector.command("revoke").arg("router"))?;
        wait::until_true("the sensor is told", wait::WAIT_TIMEOUT, || {
            Ok(sensor.status()?["uplink"]["last_error"]
                .as_str()
                .is_some_and(|error| error.contains("revoked")))
        })?;
        sensor.enroll(&collector.token("router-again", &[])?)?;
        connected(&sensor)?;
        sensor.stop()
    })
}

/// Answers every question for an IPv4 address with the collector's, from each name server of this machine's resolver.
fn serve_names(lab: &Lab) -> Result<Vec<UdpSocket>> {
    let resolver = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let servers = resolver.lines().filter_map(|line| line.strip_prefix("nameserver")?.trim().parse().ok());
    let mut servers: Vec<Ipv4Addr> = servers.collect();
    if servers.is_empty() {
        servers.push(Ipv4Addr::LOCALHOST);
    }
    let mut sockets = Vec::new();
    for server in servers {
        if !server.is_loopback() {
            lab.network.router.ip(&["address", "add", &format!("{server}/32"), "dev", "lo"])?;
        }
        sockets.push(lab.network.router.inside(|| UdpSocket::bind((server, 53)))??);
    }
    Ok(sockets)
}

fn answer(question: &[u8]) -> Option<Vec<u8>> {
    let end = 12 + question.get(12..)?.iter().position(|byte| *byte == 0)? + 1;
    let is_ipv4 = question.get(end..end + 2)? == [0, 1];
    let header = [question.get(..2)?, &[0x81, 0x80, 0, 1, 0, u8::from(is_ipv4), 0, 0, 0, 0]].concat();
    let record = [&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4][..], &COLLECTOR_ADDRESS.octets()].concat();
    let records = if is_ipv4 { record } else { Vec::new() };
    Some([&header, question.get(12..end + 4)?, &records].concat())
}

#[test]
fn the_name_of_the_collector_is_resolved_without_privileges() -> Result<()> {
    experiment(|lab| {
        let collector = Collector::start(lab)?;
        let mut sensor = unprivileged(lab, "router", "")?;
        sensor.enroll(&collector.token("router", &[])?)?;
        let file = sensor.state_dir().join("collector");
        let enrolled = fs::read_to_string(&file)?;
        fs::write(&file, enrolled.replace(&COLLECTOR_ADDRESS.to_string(), "collector.example.net"))?;
        let servers = serve_names(lab)?;
        let asked = std::thread::scope(|scope| {
            let serving: Vec<_> = servers
                .iter()
                .map(|socket| {
                    scope.spawn(move || -> std::io::Result<bool> {
                        socket.set_read_timeout(Some(wait::WAIT_TIMEOUT / 4))?;
                        let (mut asked, mut question) = (false, [0; 512]);
                        while let Ok((length, client)) = socket.recv_from(&mut question) {
                            asked = true;
                            if let Some(answer) = question.get(..length).and_then(answer) {
                                socket.send_to(&answer, client)?;
                            }
                        }
                        Ok(asked)
                    })
                })
                .collect();
            sensor.start()?;
            collector.wait_for("router", wait::WAIT_TIMEOUT)?;
            anyhow::Ok(serving.into_iter().any(|thread| matches!(thread.join(), Ok(Ok(true)))))
        })?;
        ensure!(asked, "the resolver asked nobody: this shows nothing");
        sensor.stop()
    })
}

/// Connections with half a command held up `sentinel ctl` for five seconds each.
#[test]
fn slow_clients_of_the_control_socket_hold_up_nobody() -> Result<()> {
    experiment(|lab| {
        let mut sensor = Sensor::new(lab, "router", "")?;
        sensor.start()?;
        let half = |path: &Path| -> Result<UnixStream> {
            let mut client = UnixStream::connect(path)?;
            client.write_all(b"set-filt")?;
            Ok(client)
        };
        let control = sensor.run_dir().join("control.sock");
        let slow = (0..20).map(|_| half(&control)).collect::<Result<Vec<_>>>()?;
        let mute = (0..20)
            .map(|_| UnixStream::connect(sensor.run_dir().join("sentinel.sock")))
            .collect::<std::io::Result<Vec<_>>>()?;
        let start = Instant::now();
        run(&mut sensor.command(&["ctl", "stop"]))?;
        run(&mut sensor.command(&["ctl", "start"]))?;
        let status = sensor.status()?;
        ensure!(start.elapsed() < Duration::from_secs(3), "took {:?}", start.elapsed());
        ensure!(json::number(&status, "/local_clients/too_many")? >= 12, "{status}");
        for mut client in slow {
            client.set_read_timeout(Some(Duration::from_secs(3)))?;
            let mut answer = Vec::new();
            match client.read_to_end(&mut answer) {
                Ok(_) => ensure!(answer.is_empty(), "{answer:?}"),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
                Err(error) => bail!("the sensor keeps a client that sends nothing: {error}"),
            }
        }
        ensure!(json::number(&sensor.status()?, "/local_clients/too_slow")? >= 1);
        drop(mute);
        sensor.stop()
    })
}

#[test]
fn without_the_account_the_sensor_watches_and_tells() -> Result<()> {
    experiment(|lab| {
        let mut sensor = Sensor::new(lab, "router", "\toption user 'nobody-has-this-name'\n")?;
        sensor.start()?;
        let status = sensor.status()?;
        let missing = status["privileges"]["missing"].to_string();
        ensure!(missing.contains("there is no user 'nobody-has-this-name'"), "{missing}");
        ensure!(status["privileges"]["capabilities"] == serde_json::json!(["net_raw"]), "{status}");
        ensure!(sensor.messages()?.contains("there is no user 'nobody-has-this-name'"));
        let text = run(&mut sensor.command(&["status"]))?;
        ensure!(text.contains("rights  user root") && text.contains("there is no user"), "{text}");
        scan_is_seen(lab, &sensor, "10.20.30.115")?;
        sensor.stop()
    })
}
