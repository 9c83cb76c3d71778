//! `sentinel replay`: sends the frames of a file on an interface, in order, with their timing.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use sentinel_lab::{Lab, experiment, run, traffic, wait};

use crate::capture::{ATTACKER, capturing, command};

/// Frames of a little-endian pcap file: seconds, nanoseconds, bytes.
fn frames(file: &[u8]) -> Result<Vec<(u32, u32, Vec<u8>)>> {
    let (mut remaining, mut found) = (file.get(24..).context("a header")?, Vec::new());
    while !remaining.is_empty() {
        let word = |at: usize| -> Result<u32> {
            let bytes = remaining.get(at..at + 4).context("a complete record")?;
            Ok(u32::from_le_bytes(bytes.try_into()?))
        };
        let end = 16 + usize::try_from(word(8)?)?;
        found.push((word(0)?, word(4)?, remaining.get(16..end).context("a complete frame")?.to_vec()));
        remaining = &remaining[end..];
    }
    Ok(found)
}

fn bytes(frames: &[(u32, u32, Vec<u8>)]) -> Vec<&[u8]> {
    frames.iter().map(|(_, _, bytes)| bytes.as_slice()).collect()
}

/// Nanoseconds from the first frame to the last.
fn span(frames: &[(u32, u32, Vec<u8>)]) -> u64 {
    let at = |frame: &(u32, u32, Vec<u8>)| u64::from(frame.0) * 1_000_000_000 + u64::from(frame.1);
    frames.first().zip(frames.last()).map_or(0, |(first, last)| at(last) - at(first))
}

/// Replays a file from the attacker's namespace.
fn replay(lab: &Lab, words: &[&str]) -> Result<String> {
    run(&mut command(lab, &lab.network.attacker, &[&["replay"], words].concat())?)
}

#[test]
fn every_frame_arrives_in_order_at_the_given_speed() -> Result<()> {
    experiment(|lab| {
        let file = lab.path("scan.pcap");
        traffic::write(lab, "port-scan-at", &file, &[])?;
        let all = frames(&fs::read(&file)?)?;
        let attacker = [2, 0, 10, 20, 30, 66];
        let is_attacker = |frame: &&(u32, u32, Vec<u8>)| frame.2.get(6..12) == Some(&attacker);
        let sent: Vec<_> = all.iter().filter(is_attacker).cloned().collect();
        ensure!(sent.len() == 15, "{sent:?}");
        let name = file.to_str().context("a path that is text")?;
        for (speed, least, most) in [("2.0", 480, 700), ("10", 90, 300), ("0", 0, 50)] {
            let saved = lab.path(&format!("arrived-{speed}.pcap"));
            let path = saved.to_str().context("a path that is text")?;
            let words = ["-i", "lan-attacker", "-w", path, "-c", "15", ATTACKER];
            let mut capture = capturing(lab, &format!("capture-{speed}"), &words)?;
            let summary = replay(lab, &[name, "-i", "eth0", "--speed", speed])?;
            ensure!(capture.end(wait::WAIT_TIMEOUT)?.success(), "{}", capture.errors()?);
            let arrived = frames(&fs::read(&saved)?)?;
            ensure!(bytes(&arrived) == bytes(&sent), "speed {speed}");
            // A busy machine never sends too fast, and seldom far too slowly.
            let (original, now) = (span(&sent), span(&arrived));
            let thousandths = now * 1_000 / original;
            ensure!(thousandths >= least, "speed {speed}: {now} ns for {original}");
            ensure!(thousandths <= most || now < 500_000_000, "speed {speed}: {now} ns for {original}");
            let total: usize = all.iter().map(|(_, _, bytes)| bytes.len()).sum();
            ensure!(summary.starts_with(&format!("30 packets sent, {total} bytes in ")), "{summary}");
            ensure!(summary.contains(" packets/s, ") && summary.contains(" Mbit/s"), "{summary}");
        }
        Ok(())
    })
}

#[test]
fn frames_that_cannot_be_sent_are_counted() -> Result<()> {
    experiment(|lab| {
        let file = lab.path("scan.pcap");
        traffic::write(lab, "port-scan-at", &file, &[])?;
        let mut content = fs::read(&file)?;
        let record = |length: u32, wire: u32, bytes: &[u8]| {
            let header = [0, 0, length, wire].map(u32::to_le_bytes).concat();
            [&header, bytes].concat()
        };
        let mut jumbo = vec![0xff; 12];
        jumbo.extend([0x88, 0xb5]);
        jumbo.resize(1_515, 7);
        content.extend(record(1_515, 1_515, &jumbo));
        // With a VLAN tag four bytes more fit.
        let mut tagged = jumbo.clone();
        tagged[12..14].copy_from_slice(&[0x81, 0]);
        content.extend(record(1_515, 1_515, &tagged));
        content.extend(record(13, 13, &jumbo[..13]));
        content.extend(record(100, 1_000, &jumbo[..100]));
        fs::write(&file, &content)?;
        let name = file.to_str().context("a path that is text")?;
        let summary = replay(lab, &[name, "-i", "eth0", "--speed", "0"])?;
        ensure!(summary.starts_with("32 packets sent, "), "{summary}");
        for line in [
            "1 packets longer than the MTU, skipped",
            "1 packets shorter than a link-layer header, skipped",
            "1 packets cut by the capture, padded with zeros",
        ] {
            ensure!(summary.lines().any(|found| found == line), "{line}: {summary}");
        }
        // With a filter and a limit.
        let summary = replay(lab, &[name, "-i", "eth0", "--speed", "0", "-c", "4", "tcp[13] & 2 != 0"])?;
        ensure!(summary.starts_with("4 packets sent, "), "{summary}");
        Ok(())
    })
}

#[test]
fn many_frames_go_out_as_fast_as_possible() -> Result<()> {
    experiment(|lab| {
        let file = lab.path("mix.pcap");
        traffic::write(lab, "attack-mix", &file, &[])?;
        let name = file.to_str().context("a path that is text")?;
        let counted = run(&mut command(lab, &lab.network.router, &["read", name, "--count-only"])?)?;
        let count = counted.trim();
        let mut capture = capturing(lab, "many", &["-i", "lan-attacker", "--count-only", "-B", "16384"])?;
        let summary = replay(lab, &[name, "-i", "eth0", "--speed", "0"])?;
        ensure!(summary.starts_with(&format!("{count} packets sent, ")), "{summary}");
        capture.terminate(wait::WAIT_TIMEOUT)?;
        let arrived: u64 = capture.output()?.trim().parse()?;
        ensure!(arrived >= count.parse::<u64>()?, "{arrived} of {count} arrived: {}", capture.errors()?);
        Ok(())
    })
}

#[test]
fn errors_name_interface_and_link_type() -> Result<()> {
    experiment(|lab| {
        let file = lab.path("scan.pcap");
        traffic::write(lab, "port-scan-at", &file, &[])?;
        let name = file.to_str().context("a path that is text")?;
        let failure = |words: &[&str]| -> Result<String> {
            let error = replay(lab, words).err().context("it should have failed")?;
            Ok(error.to_string())
        };
        let unknown = failure(&[name, "-i", "wan9"])?;
        ensure!(unknown.contains("interface 'wan9' does not exist; there are: lo, eth0"), "{unknown}");
        let mut raw = fs::read(&file)?;
        raw[20..24].copy_from_slice(&101_u32.to_le_bytes());
        let other = lab.path("raw.pcap");
        fs::write(&other, raw)?;
        let link = failure(&[other.to_str().context("a path that is text")?, "-i", "eth0"])?;
        ensure!(link.contains("no packet has the link type of interface 'eth0', which is EN10MB"), "{link}");
        lab.network.attacker.ip(&["link", "set", "eth0", "down"])?;
        let down = failure(&[name, "-i", "eth0"])?;
        ensure!(down.contains("interface 'eth0' is down"), "{down}");
        Ok(())
    })
}

#[test]
fn a_signal_ends_a_replay_during_a_pause_of_the_file() -> Result<()> {
    experiment(|lab| {
        let file = lab.path("scan.pcap");
        traffic::write(lab, "port-scan-at", &file, &[])?;
        let name = file.to_str().context("a path that is text")?;
        let words = ["replay", name, "-i", "eth0", "--speed", "0.001"];
        let mut program =
            sentinel_lab::Program::start(command(lab, &lab.network.attacker, &words)?, &lab.path("slow"))?;
        let mut capture = capturing(lab, "first", &["-i", "lan-attacker", "-c", "1", "ip"])?;
        // The first frame may have come before or after the capture began; the process runs in both cases.
        ensure!(program.is_running()?);
        wait::until_true("the program catches signals", wait::WAIT_TIMEOUT, || {
            let status = fs::read_to_string(format!("/proc/{}/status", program.id()))?;
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or_default();
            Ok(u64::from_str_radix(caught.trim(), 16)? & 1 << 14 != 0)
        })?;
        program.terminate(Duration::from_secs(2))?;
        ensure!(program.output()?.contains(" packets sent, "), "{}", program.output()?);
        capture.terminate(wait::WAIT_TIMEOUT)
    })
}
