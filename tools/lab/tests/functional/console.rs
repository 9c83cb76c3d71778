//! Serial console, on pseudo-terminals: what whoever is at the other end sees, and that nothing it does reaches the sensor.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use sentinel_lab::{Lab, Sensor, experiment, json, traffic, wait};

/// Other end of the serial line.
struct Terminal {
    file: File,
    device: PathBuf,
    seen: Vec<u8>,
}

impl Terminal {
    fn new() -> Result<Self> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let device = PathBuf::from(ptsname(&master, Vec::new())?.to_str()?);
        rustix::fs::fcntl_setfl(&master, OFlags::NONBLOCK)?;
        Ok(Self { file: File::from(master), device, seen: Vec::new() })
    }

    /// Reads what has come; gives all so far.
    fn read(&mut self) -> Result<String> {
        let mut buffer = [0; 1_024];
        loop {
            match self.file.read(&mut buffer) {
                Ok(length) => self.seen.extend(&buffer[..length]),
                // No program has the device open.
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock) || error.raw_os_error() == Some(5) =>
                {
                    return Ok(String::from_utf8_lossy(&self.seen).into_owned());
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn wait_for(&mut self, text: &str) -> Result<String> {
        let found = wait::until(text, wait::WAIT_TIMEOUT, || {
            let all = self.read()?;
            Ok(all.contains(text).then_some(all))
        });
        found.with_context(|| format!("the line has {}", String::from_utf8_lossy(&self.seen)))
    }

    fn sensor<'l>(&self, lab: &'l Lab, options: &str) -> Result<Sensor<'l>> {
        let device = self.device.display();
        Sensor::new(lab, "router", &format!("\toption console_device '{device}'\n{options}"))
    }
}

fn scan_is_seen(lab: &Lab, sensor: &Sensor<'_>, from: &str) -> Result<()> {
    traffic::sent(lab, "port-scan-at", &["--attacker-ip", from, "--speed", "20"])?;
    sensor.wait_for_alert("port_scan", "open", from).map(drop)
}

#[test]
fn alerts_and_at_enter_the_status_are_on_the_line() -> Result<()> {
    experiment(|lab| {
        let mut terminal = Terminal::new()?;
        let mut sensor = terminal.sensor(lab, "\toption user '64123:64124'\n")?;
        let directory = sensor.state_dir();
        let parent = directory.parent().and_then(Path::parent).context("a directory")?;
        std::fs::set_permissions(parent, std::os::unix::fs::PermissionsExt::from_mode(0o711))?;
        sensor.start()?;
        scan_is_seen(lab, &sensor, "10.20.30.131")?;
        let text = terminal.wait_for(" medium port_scan open: 10.20.30.131 ")?;
        ensure!(!text.contains("sentinel 0."), "a status that nobody asked for: {text}");
        terminal.seen.clear();
        terminal.file.write_all(b"hello\r")?;
        // Its last line.
        let page = terminal.wait_for("rights  user 64123, seccomp strict")?;
        ensure!(
            page.contains("sentinel 0.") && page.contains("br-lan") && page.contains("capturing"),
            "{page}"
        );
        let lines: Vec<&str> = page.split("\r\n").skip(1).collect();
        ensure!(lines.len() <= 24 && lines.iter().all(|line| line.len() <= 79), "{page}");
        ensure!(!page.contains('\x1b') && page.is_ascii() && !page.contains("hello"), "{page:?}");
        let status = sensor.status()?;
        ensure!(json::number(&status, "/console/alerts_shown")? >= 1, "{}", status["console"]);
        ensure!(status["console"]["problem"].is_null(), "{}", status["console"]);
        // Below the severity: nothing.
        sensor.write_settings(&format!(
            "\toption console_device '{}'\n\toption user '64123:64124'\n\toption console_severity 'critical'\n",
            terminal.device.display()
        ))?;
        sensor.reload()?;
        wait::until_true("reloaded", wait::WAIT_TIMEOUT, || Ok(sensor.status()?["reload"]["ok"] == true))?;
        scan_is_seen(lab, &sensor, "10.20.30.132")?;
        ensure!(!terminal.read()?.contains("10.20.30.132"), "{}", terminal.read()?);
        sensor.stop()
    })
}

/// Processor time of a process, in ms.
fn processor_ms(process: u32) -> Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let fields: Vec<&str> = stat.split_whitespace().collect();
    let ticks = |index: usize| -> Result<u64> { Ok(fields.get(index).context("a field")?.parse()?) };
    Ok((ticks(13)? + ticks(14)?) * 10)
}

#[test]
fn a_line_that_nobody_reads_or_that_is_flooded_does_not_reach_the_sensor() -> Result<()> {
    experiment(|lab| {
        let mut terminal = Terminal::new()?;
        let mut sensor = terminal.sensor(
            lab,
            "\toption console_severity 'info'\n\toption console_line_rate '100'\n\toption incident_burst '1000000'\n\
             \toption incident_update_s '1'\n\toption incident_idle_s '1'\n",
        )?;
        sensor.start()?;
        // The buffer of a pseudo-terminal takes 4 KiB or more, that of the console three.
        let mut attackers = 0;
        let deadline = Instant::now() + Duration::from_secs(60);
        while json::number(&sensor.status()?, "/console/alerts_left_out")? == 0 {
            ensure!(Instant::now() < deadline, "{}", sensor.status()?["console"]);
            attackers += 1;
            scan_is_seen(lab, &sensor, &format!("10.20.30.{}", 132 + attackers % 100))?;
        }
        // Whoever looks now sees whole lines, and how many are missing.
        terminal.wait_for(" more alerts, not shown here")?;
        // Rubbish with line feeds, as fast as the line takes it.
        let process = sensor.program()?.id();
        let rubbish: Vec<u8> =
            (0..4_096_u32).map(|index| u8::try_from(index * 7 % 256).unwrap_or(0)).collect();
        let (start, before) = (Instant::now(), processor_ms(process)?);
        let mut sent = 0;
        while start.elapsed() < Duration::from_secs(3) {
            match terminal.file.write(&rubbish) {
                Ok(length) => sent += length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(error) => return Err(error.into()),
            }
            terminal.read()?;
        }
        let spent = processor_ms(process)? - before;
        let pages = terminal.read()?.matches("sentinel 0.").count();
        eprintln!("{sent} bytes of rubbish in 3 s: {spent} ms of processor time, {pages} status pages");
        ensure!(sent > 4_096 && (1..=5).contains(&pages), "{sent} bytes, {pages} pages");
        ensure!(spent < 1_000, "{spent} ms");
        scan_is_seen(lab, &sensor, "10.20.30.250")?;
        let status = sensor.wait_until_counted()?;
        ensure!(json::number(&status, "/workers/0/canary/age_ms")? < 500, "{status}");
        sensor.stop()
    })
}

#[test]
fn a_device_that_vanishes_is_told_and_the_sensor_watches_on() -> Result<()> {
    experiment(|lab| {
        let mut terminal = Terminal::new()?;
        let mut sensor = terminal.sensor(lab, "")?;
        sensor.start()?;
        terminal.file.write_all(b"\n")?;
        terminal.wait_for("sentinel 0.")?;
        drop(terminal);
        let problem = wait::until("the problem", wait::WAIT_TIMEOUT, || {
            Ok(sensor.status()?["console"]["problem"].as_str().map(str::to_owned))
        })?;
        ensure!(sensor.messages()?.contains("; waiting for it"), "{problem}: {}", sensor.messages()?);
        scan_is_seen(lab, &sensor, "10.20.30.141")?;
        sensor.stop()
    })
}

/// Two readers of one terminal each get half of a password.
#[test]
fn a_terminal_that_a_getty_holds_is_refused() -> Result<()> {
    experiment(|lab| {
        let terminal = Terminal::new()?;
        let open = || File::options().read(true).write(true).open(&terminal.device);
        // A session of its own with the device as its controlling terminal, as a getty has it.
        let mut getty = Command::new("setsid")
            .args(["--ctty", "sleep", "600"])
            .stdin(Stdio::from(open()?))
            .stdout(Stdio::null())
            .spawn()
            .context("setsid of util-linux")?;
        wait::until_true("the terminal is held", wait::WAIT_TIMEOUT, || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", getty.id()))?;
            Ok(stat.contains("(sleep)") && stat.split_whitespace().nth(6) != Some("0"))
        })?;
        let mut sensor = terminal.sensor(lab, "")?;
        sensor.start()?;
        let status = sensor.status()?;
        let told = status["set_aside"]["settings"].to_string();
        let expected = format!("in use by process {} (sleep); take its getty away first", getty.id());
        ensure!(told.contains("console_device: ") && told.contains(&expected), "{told}");
        ensure!(
            status["console"]["problem"].as_str().is_some_and(|told| told.contains(&expected)),
            "{status}"
        );
        scan_is_seen(lab, &sensor, "10.20.30.151")?;
        getty.kill()?;
        getty.wait()?;
        // The session is gone, and the next attempt opens the device; the hang-up has closed nothing of the sensor.
        wait::until_true("the console is open", Duration::from_secs(25), || {
            Ok(sensor.status()?["console"]["problem"].is_null())
        })?;
        sensor.stop()
    })
}
