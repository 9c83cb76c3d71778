//! Watchdog: a thread that hangs, a process that is stopped, and what the service manager hears.
//!
//! A thread hangs because this process stops it with ptrace: the sensor has no code for the tests.

use std::fs;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use sentinel_lab::{Collector, Lab, Program, Sensor, experiment, json, run, traffic, wait};

/// Exit code of a sensor that is to be started again.
const FAULT: i32 = 3;

/// Makes one ptrace request without an argument.
#[expect(unsafe_code, reason = "ptrace is a system call without a safe wrapper")]
fn trace(request: libc::c_uint, thread: libc::pid_t) -> io::Result<()> {
    // SAFETY: the requests made here have the kernel read and write no memory of this process.
    let result = unsafe { libc::ptrace(request, thread, 0_usize, 0_usize) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Waits for a change of state of a traced thread; an error once it has ended and was reaped.
#[expect(unsafe_code, reason = "waitpid for a thread is a system call without a safe wrapper")]
fn changed(thread: libc::pid_t) -> io::Result<libc::c_int> {
    let mut status = 0;
    // SAFETY: the pointer is to a live variable of the type that waitpid writes.
    let waited = unsafe { libc::waitpid(thread, &raw mut status, libc::__WALL) };
    if waited == thread { Ok(status) } else { Err(io::Error::last_os_error()) }
}

/// Thread that hangs until its process ends.
struct Hung(JoinHandle<()>);

impl Hung {
    /// Stops the last thread of a process that has this name.
    fn stop(process: u32, name: &str) -> Result<Self> {
        let mut found = None;
        for entry in fs::read_dir(format!("/proc/{process}/task"))? {
            let entry = entry?;
            if fs::read_to_string(entry.path().join("comm")).is_ok_and(|comm| comm.trim_end() == name) {
                found = found.max(entry.file_name().to_string_lossy().parse::<libc::pid_t>().ok());
            }
        }
        let thread = found.with_context(|| format!("no thread {name}"))?;
        let (sender, stopped) = mpsc::channel();
        // Every request must come from the thread that began, which also reaps the end: a process is gone only then.
        let tracer = thread::spawn(move || {
            let outcome = trace(libc::PTRACE_SEIZE, thread)
                .and_then(|()| trace(libc::PTRACE_INTERRUPT, thread))
                .and_then(|()| changed(thread));
            let is_stopped = outcome.is_ok();
            let _test_has_failed = sender.send(outcome);
            while is_stopped && changed(thread).is_ok_and(|status| libc::WIFSTOPPED(status)) {}
        });
        stopped.recv()?.with_context(|| format!("stopping thread {thread}"))?;
        Ok(Self(tracer))
    }

    /// Waits for the end of the process; gives its exit code.
    fn end(self, program: &mut Program) -> Result<Option<i32>> {
        let status = program.end(wait::WAIT_TIMEOUT)?;
        ensure!(self.0.join().is_ok(), "the tracing thread panicked");
        Ok(status.code())
    }
}

fn phases(sensor: &Sensor<'_>) -> Result<Vec<String>> {
    let alerts = sensor.logged_alerts()?;
    alerts.iter().map(|alert| json::text(alert, "/phase").map(str::to_owned)).collect()
}

#[test]
fn a_worker_that_hangs_is_restarted_within_a_second() -> Result<()> {
    experiment(|lab| {
        let collector = Collector::start(lab)?;
        let mut sensor = Sensor::started(lab, &collector, "router", "\toption workers '2'\n")?;
        traffic::sent(lab, "port-scan-at", &["--speed", "10"])?;
        sensor.wait_for_alert("port_scan", "open", "10.20.30.66")?;
        let status = sensor.status()?;
        for worker in ["/workers/0", "/workers/1"] {
            let canary = |name: &str| json::number(&status, &format!("{worker}/canary/{name}"));
            ensure!(canary("answered")? > 0 && canary("wrong")? == 0 && canary("age_ms")? < 500, "{status}");
        }
        ensure!(json::number(&status, "/watchdog/restarts_in_log")? == 0, "{status}");
        // The canary packets are in no counter.
        sensor.wait_until_counted()?;
        // A run that was shorter is not followed at once.
        wait::until_true("two seconds", wait::WAIT_TIMEOUT, || {
            Ok(json::number(&sensor.status()?, "/uptime_ms")? > 2_000)
        })?;

        let start = Instant::now();
        let hung = Hung::stop(sensor.program()?.id(), "worker")?;
        let code = hung.end(sensor.program()?)?;
        let ended = start.elapsed();
        ensure!(code == Some(FAULT), "{code:?}: {}", sensor.messages()?);
        let messages = sensor.messages()?;
        let hangs = |line: &&str| {
            line.starts_with("sentinel: worker 1 hangs: no sign of life for ")
                && line.ends_with(" ms, state t; the sensor ends with exit code 3, to be started again")
        };
        ensure!(messages.lines().filter(hangs).count() == 1, "{messages}");
        sensor.start()?;
        let restarted = start.elapsed();
        eprintln!("ended {ended:?}, captures again {restarted:?} after the thread was stopped");
        ensure!(restarted < Duration::from_secs(2), "{ended:?}, {restarted:?}");

        let status = sensor.status()?;
        ensure!(status["alerts"]["previous_run"]["end"] == "restarted by its watchdog", "{status}");
        ensure!(status["alerts"]["previous_run"]["complete"] == true, "{status}");
        ensure!(json::number(&status, "/watchdog/restarts_in_log")? == 1, "{status}");
        let text = run(&mut sensor.command(&["status"]))?;
        ensure!(text.contains("; 1 restart (watchdog)"), "{text}");
        ensure!(phases(&sensor)? == ["open", "close"], "{:?}", phases(&sensor)?);
        // The run before is complete for the collector too, and the next one watches.
        traffic::sent(lab, "port-scan-at", &["--speed", "10", "--attacker-ip", "10.20.30.77"])?;
        sensor.wait_for_alert("port_scan", "open", "10.20.30.77")?;
        wait::until_true("everything is accounted for", wait::WAIT_TIMEOUT, || {
            Ok(collector.alerts()?.len() >= 3 && collector.sensor("router")?["runs_unclean"] == 0)
        })?;
        sensor.stop()
    })
}

/// A process that is stopped, such as by a debugger or with the machine, has no hung worker when it goes on.
#[test]
fn a_process_that_is_stopped_and_continued_runs_on() -> Result<()> {
    experiment(|lab| {
        let mut sensor = Sensor::new(lab, "router", "\toption workers '2'\n")?;
        sensor.start()?;
        for millis in [100, 300, 600, 1_000, 3_000] {
            sensor.program()?.signal(Signal::STOP)?;
            thread::sleep(Duration::from_millis(millis));
            sensor.program()?.signal(Signal::CONT)?;
            wait::until_true("canary packets after the stop", wait::WAIT_TIMEOUT, || {
                let status = sensor.status()?;
                Ok(json::number(&status, "/workers/0/canary/age_ms")? < 300
                    && json::number(&status, "/workers/1/canary/age_ms")? < 300)
            })?;
        }
        let messages = sensor.messages()?;
        ensure!(!messages.contains("worker"), "{messages}");
        sensor.stop()
    })
}

/// A control thread that hangs was seen by nobody; a worker that hangs kept a sensor from ending.
#[test]
fn a_sensor_with_a_hung_worker_ends_when_it_is_stopped() -> Result<()> {
    experiment(|lab| {
        let mut sensor = Sensor::new(lab, "router", "")?;
        sensor.start()?;
        let hung = Hung::stop(sensor.program()?.id(), "worker")?;
        sensor.program()?.signal(Signal::TERM)?;
        let start = Instant::now();
        let code = hung.end(sensor.program()?)?;
        ensure!(code == Some(FAULT), "{code:?}: {}", sensor.messages()?);
        ensure!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
        Ok(())
    })
}

/// As systemd and procd do it: another start 100 ms after the end.
#[test]
fn a_sensor_that_was_killed_is_back_within_a_second() -> Result<()> {
    experiment(|lab| {
        let mut sensor = Sensor::new(lab, "router", "")?;
        sensor.start()?;
        for round in 1..=3_u8 {
            wait::until_true("two seconds", wait::WAIT_TIMEOUT, || {
                Ok(json::number(&sensor.status()?, "/uptime_ms")? > 2_000)
            })?;
            let start = Instant::now();
            sensor.kill()?;
            thread::sleep(Duration::from_millis(100));
            sensor.start()?;
            let back = start.elapsed();
            eprintln!("captures again {back:?} after kill -9");
            ensure!(back < Duration::from_secs(1), "{back:?}");
            let status = sensor.status()?;
            ensure!(json::number(&status, "/restarts/since_boot")? == u64::from(round), "{status}");
            ensure!(json::number(&status, "/restarts/killed")? == u64::from(round), "{status}");
            ensure!(status["restarts"]["latest"] == "killed", "{status}");
            let from = format!("10.20.30.{}", 120 + round);
            traffic::sent(lab, "port-scan-at", &["--attacker-ip", &from, "--speed", "10"])?;
            sensor.wait_for_alert("port_scan", "open", &from)?;
        }
        sensor.stop()
    })
}

/// Service managers start the sensor at once. One that crashes at every start would write a page to flash each time.
#[test]
fn a_run_that_was_killed_within_two_seconds_is_not_followed_at_once() -> Result<()> {
    experiment(|lab| {
        let mut sensor = Sensor::new(lab, "router", "")?;
        let start = Instant::now();
        sensor.start()?;
        sensor.kill()?;
        sensor.start()?;
        ensure!(start.elapsed() > Duration::from_secs(2), "{:?}", start.elapsed());
        sensor.stop()?;
        let (stopped, is_removed) = (Instant::now(), !sensor.run_dir().join("sentinel.sock").exists());
        sensor.start()?;
        ensure!(is_removed && stopped.elapsed() < Duration::from_secs(2), "{:?}", stopped.elapsed());
        sensor.stop()
    })
}

/// Messages that a service manager gets.
struct Manager(UnixDatagram);

impl Manager {
    fn new(socket: UnixDatagram) -> Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self(socket))
    }

    /// Waits for a message with this first line.
    fn hears(&self, expected: &str) -> Result<()> {
        wait::until_true(expected, wait::WAIT_TIMEOUT, || {
            Ok(self.next()?.is_some_and(|text| text.lines().next() == Some(expected)))
        })
    }

    fn next(&self) -> Result<Option<String>> {
        let mut buffer = [0; 256];
        match self.0.recv(&mut buffer) {
            Ok(length) => Ok(Some(String::from_utf8(buffer[..length].to_vec())?)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Sensor whose environment names the service manager at `address`, which wants a sign of life every 4 s.
fn supervised(lab: &Lab, sensor: &Sensor<'_>, address: &str) -> Result<Program> {
    let mut command = sensor.command(&["run"]);
    command.env("NOTIFY_SOCKET", address).env("WATCHDOG_USEC", "4000000");
    Program::start(command, &lab.path("supervised"))
}

fn is_fed_until_a_worker_hangs(lab: &Lab, address: &str, manager: &Manager) -> Result<()> {
    let sensor = Sensor::new(lab, "router", "")?;
    let mut program = supervised(lab, &sensor, address)?;
    manager.hears("READY=1").with_context(|| program.errors().unwrap_or_default())?;
    let start = Instant::now();
    for _ in 0..3 {
        manager.hears("WATCHDOG=1")?;
    }
    ensure!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
    program.signal(Signal::HUP)?;
    manager.hears("RELOADING=1")?;
    manager.hears("READY=1")?;
    let status = sensor.status()?;
    ensure!(json::number(&status, "/watchdog/limit_ms")? == 4_000, "{status}");
    ensure!(json::number(&status, "/watchdog/fed")? >= 3, "{status}");
    let hung = Hung::stop(program.id(), "worker")?;
    while manager.next()?.is_some() {}
    let code = hung.end(&mut program)?;
    ensure!(code == Some(FAULT), "{code:?}");
    let mut last = Vec::new();
    while let Some(text) = manager.next()? {
        last.push(text);
    }
    ensure!(last == ["STOPPING=1"], "{last:?}");
    Ok(())
}

#[test]
fn the_service_manager_is_fed_until_a_worker_hangs() -> Result<()> {
    experiment(|lab| {
        let path = lab.path("notify");
        let manager = Manager::new(UnixDatagram::bind(&path)?)?;
        is_fed_until_a_worker_hangs(lab, &path.to_string_lossy(), &manager)?;
        // Abstract addresses belong to a network namespace.
        let name = SocketAddr::from_abstract_name("sentinel-lab-notify")?;
        let socket = lab.network.router.inside(|| UnixDatagram::bind_addr(&name))??;
        is_fed_until_a_worker_hangs(lab, "@sentinel-lab-notify", &Manager::new(socket)?)
    })
}

/// Nothing that is said about the service manager keeps a sensor from watching.
#[test]
fn a_service_manager_that_cannot_be_reached_is_logged() -> Result<()> {
    experiment(|lab| {
        let sensor = Sensor::new(lab, "router", "")?;
        let absent = Path::new("/nonexistent/notify");
        let mut program = supervised(lab, &sensor, &absent.to_string_lossy())?;
        wait::until_true("the sensor captures", wait::WAIT_TIMEOUT, || {
            Ok(sensor.status().is_ok_and(|status| status["interfaces"][0]["open"] == true))
        })?;
        let messages = program.errors()?;
        ensure!(messages.contains("NOTIFY_SOCKET /nonexistent/notify: No such file"), "{messages}");
        program.terminate(wait::WAIT_TIMEOUT)
    })
}
