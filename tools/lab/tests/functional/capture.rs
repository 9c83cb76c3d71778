//! `sentinel capture`: packets on a wire are shown, saved and counted.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use sentinel_lab::{Lab, Namespace, Program, experiment, run, traffic, wait};
use serde_json::Value;

/// `sentinel WORDS` in `namespace`, with default settings.
pub(crate) fn command(lab: &Lab, namespace: &Namespace, words: &[&str]) -> Result<Command> {
    let settings = lab.path("default.uci");
    fs::write(&settings, "config sentinel 'main'\n")?;
    let mut command = namespace.command(&lab.binaries.sensor);
    command.arg("--config").arg(settings).args(words);
    Ok(command)
}

/// A capture that listens. Its standard output is in `NAME.out`.
pub(crate) fn capturing(lab: &Lab, name: &str, words: &[&str]) -> Result<Program> {
    let words = [&["capture"], words].concat();
    let program = Program::start(command(lab, &lab.network.router, &words)?, &lab.path(name))?;
    wait::until_true("the capture listens", wait::WAIT_TIMEOUT, || {
        Ok(program.errors()?.contains("listening on"))
    })?;
    Ok(program)
}

fn objects(text: &str) -> Result<Vec<Value>> {
    text.lines().map(|line| serde_json::from_str(line).context(line.to_owned())).collect()
}

/// Part of a packet line that does not depend on time and place of the capture.
fn stable_fields(packet: &Value) -> Vec<String> {
    let fields = ["protocol", "src", "dst", "src_mac", "dst_mac", "wire_bytes", "summary"];
    fields.iter().map(|name| packet[*name].to_string()).collect()
}

/// Only the frames that the generator sends as the attacker: the kernel of the victim's namespace may send frames of its own.
pub(crate) const ATTACKER: &str = "ip src host 10.20.30.66";

/// The attacker's packets of a scenario as `read` shows them.
fn of_file(lab: &Lab, scenario: &str) -> Result<Vec<Vec<String>>> {
    let file = lab.path(&format!("{scenario}.pcap"));
    traffic::write(lab, scenario, &file, &[])?;
    let name = file.to_str().context("a path that is text")?;
    let text = run(&mut command(lab, &lab.network.router, &["read", name, "--json", ATTACKER])?)?;
    Ok(objects(&text)?.iter().map(stable_fields).collect())
}

/// The number before `words` at the start of a line of the summary.
fn total(errors: &str, words: &str) -> Result<u64> {
    let line = errors.lines().find_map(|line| line.strip_suffix(words));
    let line = line.with_context(|| format!("no line of {words:?} in {errors}"))?;
    Ok(line.trim().parse()?)
}

#[test]
fn a_bridge_and_its_port_show_the_packets_of_the_file() -> Result<()> {
    experiment(|lab| {
        let expected = of_file(lab, "port-scan-at")?;
        ensure!(expected.len() == 15, "{expected:?}");
        let count = expected.len().to_string();
        for interface in ["br-lan", "lan-attacker"] {
            let words = ["-i", interface, "--json", "-c", &count, ATTACKER];
            let mut capture = capturing(lab, interface, &words)?;
            traffic::sent(lab, "port-scan-at", &["--speed", "10"])?;
            let status = capture.end(wait::WAIT_TIMEOUT)?;
            ensure!(status.success(), "{}", capture.errors()?);
            let found = objects(&capture.output()?)?;
            let same: Vec<_> = found.iter().map(stable_fields).collect();
            ensure!(same == expected, "{interface}: {found:#?}");
            ensure!(found.iter().all(|packet| packet["interface"] == interface), "{found:?}");
            let errors = capture.errors()?;
            ensure!(total(&errors, " packets captured")? == 15, "{errors}");
            ensure!(total(&errors, " packets dropped by kernel")? == 0, "{errors}");
        }
        Ok(())
    })
}

#[test]
fn a_signal_ends_the_capture_with_every_packet_saved_and_counted() -> Result<()> {
    experiment(|lab| {
        for (signal, name) in [(Signal::INT, "int"), (Signal::TERM, "term")] {
            let file = lab.path(&format!("{name}.pcapng"));
            let results = lab.path(&format!("results-{name}"));
            let paths = [&file, &results].map(|path| path.to_str().unwrap_or_default());
            let words = ["-i", "br-lan", "-w", paths[0], "-o", paths[1], ATTACKER];
            let mut capture = capturing(lab, name, &words)?;
            traffic::sent(lab, "port-scan-at", &["--speed", "20"])?;
            capture.signal(signal)?;
            ensure!(capture.end(wait::WAIT_TIMEOUT)?.success(), "{}", capture.errors()?);
            let errors = capture.errors()?;
            // Fifteen probes; the filter leaves out their fifteen answers.
            let totals = ["captured", "received by filter", "filtered", "dropped by kernel"]
                .map(|what| total(&errors, &format!(" packets {what}")));
            let [captured, received, filtered, dropped] = totals;
            ensure!((captured?, received?, dropped?) == (15, 15, 0), "{errors}");
            ensure!(filtered? >= 15, "{errors}");
            let counted = run(&mut command(lab, &lab.network.router, &["read", paths[0], "--count-only"])?)?;
            ensure!(counted == "15\n", "{counted}");
            let (text, log) = results_of(&results)?;
            ensure!(text.matches("Protocol: TCP\n").count() == 15, "{text}");
            ensure!(log.contains("15 packets captured"), "{log}");
        }
        Ok(())
    })
}

/// The results file and the log of a directory.
fn results_of(directory: &Path) -> Result<(String, String)> {
    let (mut text, mut log) = (String::new(), String::new());
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let content = fs::read_to_string(&path)?;
        if name == "sentinel.log" {
            log = content;
        } else {
            ensure!(name.starts_with("sentinel_results_") && name.ends_with(".txt"), "{name}");
            text.push_str(&content);
        }
    }
    Ok((text, log))
}

/// `ssh router sentinel capture -w - | wireshark -k -i -`: frames must not wait for a buffer to fill.
#[test]
fn frames_come_through_a_pipe_during_the_capture() -> Result<()> {
    experiment(|lab| {
        let mut capture = capturing(lab, "pipe", &["-i", "br-lan", "-w", "-", ATTACKER])?;
        let saved = lab.path("pipe.out");
        ensure!(fs::read(&saved)?.len() == 24, "the header comes first");
        traffic::sent(lab, "port-scan-at", &["--speed", "20"])?;
        let name = saved.to_str().context("a path that is text")?;
        wait::until_true("all frames are there", wait::WAIT_TIMEOUT, || {
            let read = run(&mut command(lab, &lab.network.router, &["read", name, "--count-only"])?);
            Ok(read.is_ok_and(|count| count == "15\n"))
        })?;
        ensure!(capture.is_running()?);
        capture.terminate(wait::WAIT_TIMEOUT)
    })
}

#[test]
fn the_views_of_the_analysis_work_live() -> Result<()> {
    experiment(|lab| {
        let mut alerts = capturing(lab, "alerts", &["-i", "br-lan", "--alerts"])?;
        let mut records = capturing(lab, "records", &["-i", "br-lan", "--records"])?;
        let mut both = capturing(lab, "both", &["-i", "br-lan", "-i", "lan-attacker", "udp port 53"])?;
        let mut quiet = Program::start(
            command(lab, &lab.network.router, &["capture", "-i", "br-lan", "-q", "-t", "0.2"])?,
            &lab.path("quiet"),
        )?;
        traffic::sent(lab, "dns-tunnel-data", &["--speed", "10"])?;
        wait::until_true("the alert is printed during the capture", wait::WAIT_TIMEOUT, || {
            let found = objects(&alerts.output()?)?;
            Ok(found.iter().any(|alert| alert["kind"] == "dns_tunnel" && alert["phase"] == "open"))
        })?;
        for program in [&mut alerts, &mut records, &mut both] {
            program.terminate(wait::WAIT_TIMEOUT)?;
        }
        let closed = objects(&alerts.output()?)?.iter().any(|alert| alert["phase"] == "close");
        ensure!(closed, "incidents are closed at the end: {}", alerts.output()?);
        let found = objects(&records.output()?)?;
        ensure!(found.iter().filter(|record| record["record"] == "dns").count() == 80, "{found:?}");
        let lines = both.output()?;
        for interface in ["br-lan", "lan-attacker"] {
            let suffix = format!(" on {interface}");
            ensure!(lines.lines().filter(|line| line.ends_with(&suffix)).count() == 80, "{lines}");
        }
        ensure!(quiet.end(wait::WAIT_TIMEOUT)?.success());
        ensure!(quiet.output()?.is_empty() && quiet.errors()?.is_empty(), "{}", quiet.errors()?);
        Ok(())
    })
}

#[test]
fn statistics_are_printed_during_the_capture_and_at_its_end() -> Result<()> {
    experiment(|lab| {
        let mut capture = capturing(lab, "stats", &["-i", "br-lan", "--stats", "1", ATTACKER])?;
        traffic::sent(lab, "port-scan-at", &["--speed", "20"])?;
        wait::until_true("a line of statistics", wait::WAIT_TIMEOUT, || {
            Ok(capture.output()?.contains("; 15 packets, "))
        })?;
        capture.terminate(wait::WAIT_TIMEOUT)?;
        let text = capture.output()?;
        ensure!(text.contains("IPv4                            15"), "{text}");
        ensure!(text.contains("10.20.30.66") && text.contains("packets/s"), "{text}");
        Ok(())
    })
}

#[test]
fn errors_name_the_cause_and_what_can_be_captured() -> Result<()> {
    experiment(|lab| {
        let failure = |words: &[&str]| -> Result<String> {
            let words = [&["capture"], words].concat();
            let error = run(&mut command(lab, &lab.network.router, &words)?).err();
            Ok(error.context("it should have failed")?.to_string())
        };
        let unknown = failure(&["-i", "wan9"])?;
        ensure!(unknown.contains("interface 'wan9' does not exist; there are: lo, "), "{unknown}");
        let none = failure(&[])?;
        ensure!(none.contains("no default route") && none.contains("br-lan"), "{none}");
        ensure!(none.contains("exit status: 2"), "{none}");
        lab.network.set_bridge(false)?;
        let down = failure(&["-i", "br-lan"])?;
        ensure!(down.contains("is down; bring it up with: ip link set br-lan up"), "{down}");
        lab.network.set_bridge(true)?;
        // With a default route the interface need not be given.
        lab.network.router.ip(&["route", "add", "default", "dev", "mgmt0"])?;
        let mut command = command(lab, &lab.network.router, &["capture", "-t", "0.1"])?;
        let output = command.output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success() && errors.contains("listening on mgmt0"), "{errors}");
        Ok(())
    })
}

/// `capture` once ended when its interface was removed, unlike `run`.
#[test]
fn an_interface_that_is_removed_and_added_is_captured_again() -> Result<()> {
    experiment(|lab| {
        let mut capture = capturing(lab, "removed", &["-i", "br-lan", ATTACKER])?;
        let shown = |count: usize| {
            wait::until_true("all packets are shown", wait::WAIT_TIMEOUT, || {
                Ok(capture.output()?.lines().count() == count)
            })
        };
        let logged =
            |text: &str| wait::until_true(text, wait::WAIT_TIMEOUT, || Ok(capture.errors()?.contains(text)));
        traffic::sent(lab, "port-scan-at", &["--speed", "20"])?;
        shown(15)?;
        lab.network.delete_bridge()?;
        logged("interface 'br-lan' has vanished; waiting for it")?;
        lab.network.add_bridge()?;
        lab.network.add_ports()?;
        logged("interface 'br-lan' is back, capturing again")?;
        traffic::sent(lab, "port-scan-at", &["--speed", "20"])?;
        shown(30)?;
        ensure!(capture.is_running()?, "the capture has ended");
        capture.signal(Signal::TERM)?;
        let status = capture.end(wait::WAIT_TIMEOUT)?;
        let errors = capture.errors()?;
        ensure!(status.success(), "{status}: {errors}");
        ensure!(total(&errors, " packets captured")? == 30, "{errors}");
        ensure!(total(&errors, " packets received by filter")? == 30, "{errors}");
        ensure!(total(&errors, " packets dropped by kernel")? == 0, "{errors}");
        Ok(())
    })
}

/// Lines came block by block, interface by interface: a SYN-ACK before its SYN.
#[test]
fn packets_of_several_interfaces_come_in_the_order_of_time() -> Result<()> {
    experiment(|lab| {
        let file = lab.path("both.pcapng");
        let name = file.to_str().context("a path that is text")?;
        let interfaces = ["-i", "lan-victim", "-i", "lan-attacker"];
        let mut lines = capturing(lab, "lines", &[&interfaces[..], &["tcp"]].concat())?;
        let mut saved = capturing(lab, "saved", &[&interfaces[..], &["-w", name, "tcp"]].concat())?;
        traffic::sent(lab, "mixed", &["--speed", "20"])?;
        for program in [&mut lines, &mut saved] {
            program.terminate(wait::WAIT_TIMEOUT)?;
        }
        let read = run(&mut command(lab, &lab.network.router, &["read", name])?)?;
        for text in [lines.output()?, read] {
            let times: Vec<&str> = text.lines().filter_map(|line| line.get(..26)).collect();
            ensure!(times.len() > 200, "{} lines", times.len());
            ensure!(times.is_sorted(), "not in order: {text}");
        }
        let text = lines.output()?;
        ensure!(
            ["lan-victim", "lan-attacker"].iter().all(|name| text.contains(&format!(" on {name}\n"))),
            "{text}"
        );
        // Every frame that the kernel gave is shown: none is left in the buffer.
        let errors = lines.errors()?;
        ensure!(
            total(&errors, " packets captured")? == total(&errors, " packets received by filter")?,
            "{errors}"
        );
        Ok(())
    })
}

/// It died at the first frame of the other link type.
#[test]
fn a_pcap_file_for_two_link_types_is_refused_at_the_start() -> Result<()> {
    experiment(|lab| {
        let router = &lab.network.router;
        if run(router.command("ip").args(["tuntap", "add", "dev", "tun7", "mode", "tun"])).is_err() {
            eprintln!("skipped: no tun interface can be made here");
            return Ok(());
        }
        router.ip(&["link", "set", "tun7", "up"])?;
        let file = lab.path("mixed.pcap");
        let name = file.to_str().context("a path that is text")?;
        let words = ["capture", "-i", "br-lan", "-i", "tun7", "-w", name, "-t", "0.1"];
        let error = run(&mut command(lab, router, &words)?).unwrap_err().to_string();
        ensure!(error.contains("exit status: 2") && error.contains("want pcapng"), "{error}");
        ensure!(error.contains("link types EN10MB (br-lan), RAW (tun7)") && !file.exists(), "{error}");
        let mut command = command(lab, router, &[&words[..], &["--format", "pcapng"]].concat())?;
        let output = command.output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{errors}");
        ensure!(errors.contains("br-lan, tun7, link types EN10MB (br-lan), RAW (tun7),"), "{errors}");
        Ok(())
    })
}

/// A frame on the loopback is sent and received, and came twice with several workers.
#[test]
fn a_frame_on_the_loopback_counts_once() -> Result<()> {
    for workers in ["1", "3"] {
        experiment(|lab| {
            let settings = format!(
                "config sentinel 'main'\n\toption workers '{workers}'\n\toption state_dir '{0}/s'\n\toption run_dir '{0}/r'\n",
                lab.path("lo").display()
            );
            let path = lab.path("lo.uci");
            fs::write(&path, settings)?;
            let sentinel = |words: &[&str]| {
                let mut command = lab.network.router.command(&lab.binaries.sensor);
                command.arg("--config").arg(&path).args(words);
                command
            };
            let mut program = Program::start(sentinel(&["run", "-i", "lo"]), &lab.path("lo-run"))?;
            wait::until_true("it captures", wait::WAIT_TIMEOUT, || {
                Ok(program.errors()?.contains("ready after"))
            })?;
            lab.network.router.inside(|| {
                let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
                (0..50).try_for_each(|_| socket.send_to(b"x", socket.local_addr()?).map(drop))
            })??;
            let mut seen = 0;
            wait::until_true("all frames are counted", wait::WAIT_TIMEOUT, || {
                let status: Value = serde_json::from_str(&run(&mut sentinel(&["status", "--json"]))?)?;
                seen = status["frames"]["analysed"].as_u64().unwrap_or(0);
                Ok(seen >= 50)
            })?;
            ensure!(seen == 50, "{seen} frames of 50 with {workers} workers");
            program.terminate(wait::WAIT_TIMEOUT)
        })?;
    }
    Ok(())
}
