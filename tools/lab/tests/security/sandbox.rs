//! Calls that the sandbox must refuse are refused, the memory of the sensor is in no core file, and a kernel without a part of it runs the
//! sensor all the same.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use sentinel_lab::{Program, Sensor, experiment, traffic, wait};

/// Result and output of `sentinel selftest --sandbox`.
fn selftest(mut command: Command) -> Result<(bool, String)> {
    let output = command.output()?;
    Ok((output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned()))
}

/// Number of attempts, if all were refused.
fn all_refused(text: &str) -> Result<u32> {
    let last = text.lines().last().context("no output")?;
    let (refused, of) =
        last.strip_suffix(" refused").and_then(|rest| rest.split_once(" of ")).context("counts")?;
    ensure!(refused == of && !text.contains("NOT REFUSED"), "{text}");
    Ok(of.parse()?)
}

/// Has `command` run as on a kernel without these system calls.
#[expect(unsafe_code, reason = "a filter of system calls must be installed in the child")]
fn without(mut command: Command, calls: [libc::c_long; 4]) -> Command {
    const LOAD_NUMBER: u16 = 0x20;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    let line = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let [a, b, c, d] = calls.map(|call| u32::try_from(call).unwrap_or(u32::MAX));
    let mut program = [
        line(LOAD_NUMBER, 0, 0, 0),
        line(JUMP_IF_EQUAL, 4, 0, a),
        line(JUMP_IF_EQUAL, 3, 0, b),
        line(JUMP_IF_EQUAL, 2, 0, c),
        line(JUMP_IF_EQUAL, 1, 0, d),
        line(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
        line(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs()),
    ];
    let install = move || {
        let filter = libc::sock_fprog { len: 7, filter: program.as_mut_ptr() };
        // SAFETY: `filter` points to seven lines that outlive the call; the kernel copies them.
        let result =
            unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    // SAFETY: the closure makes one system call and allocates nothing.
    unsafe { command.pre_exec(install) };
    command
}

#[test]
fn the_selftest_of_the_sandbox_refuses_everything() -> Result<()> {
    experiment(|lab| {
        let mut sensor = Sensor::new(lab, "router", "\toption user '64123:64124'\n")?;
        let (is_good, text) = selftest(sensor.command(&["selftest", "--sandbox"]))?;
        ensure!(is_good && all_refused(&text)? >= 13, "{text}");
        for what in ["start a program", "trace a process", "raw IP socket", "become root", "mount"] {
            ensure!(
                text.lines().any(|line| line.starts_with(what) && line.ends_with(" ok")),
                "{what}: {text}"
            );
        }
        let mut off = sensor.command(&["selftest", "--sandbox"]);
        off.env("SENTINEL_SANDBOX", "off");
        let (is_good, text) = selftest(off)?;
        ensure!(is_good && all_refused(&text)? >= 3, "{text}");
        ensure!(text.contains("not available here: sandbox: switched off by the settings"), "{text}");
        sensor.start()?;
        let limits = fs::read_to_string(format!("/proc/{}/limits", sensor.program()?.id()))?;
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).context("the limit")?;
        ensure!(core.split_whitespace().skip(4).take(2).all(|limit| limit == "0"), "{core}");
        ensure!(sensor.status()?["privileges"]["core_files"] == false, "{}", sensor.status()?["privileges"]);
        sensor.stop()
    })
}

/// OpenWrt's kernels have no Landlock, and those for small flash no seccomp either.
#[test]
fn a_kernel_without_seccomp_and_landlock_runs_the_sensor() -> Result<()> {
    const LANDLOCK: [libc::c_long; 3] =
        [libc::SYS_landlock_create_ruleset, libc::SYS_landlock_add_rule, libc::SYS_landlock_restrict_self];
    let [make, add, restrict] = LANDLOCK;
    for (missing, calls) in [
        (&["Landlock"][..], [make, add, restrict, restrict]),
        (&["system-call filter"], [libc::SYS_seccomp; 4]),
        (&["Landlock", "system-call filter"], [make, add, restrict, libc::SYS_seccomp]),
    ] {
        experiment(|lab| {
            let sensor = Sensor::new(lab, "router", "\toption user '64123:64124'\n")?;
            let (is_good, text) = selftest(without(sensor.command(&["selftest", "--sandbox"]), calls))?;
            ensure!(is_good && all_refused(&text)? >= 3, "{text}");
            for what in missing {
                ensure!(
                    text.contains(&format!("not available here: {what}: this kernel has none")),
                    "{text}"
                );
            }
            let mut program =
                Program::start(without(sensor.command(&["run"]), calls), &lab.path("old-kernel"))?;
            wait::until_true("the sensor captures", wait::WAIT_TIMEOUT, || {
                Ok(sensor.status().is_ok_and(|status| status["interfaces"][0]["open"] == true))
            })?;
            traffic::sent(lab, "port-scan-at", &["--attacker-ip", "10.20.30.116", "--speed", "20"])?;
            sensor.wait_for_alert("port_scan", "open", "10.20.30.116")?;
            let told = sensor.status()?["privileges"]["missing"].to_string();
            for what in missing {
                ensure!(told.contains(&format!("{what}: this kernel has none")), "{told}");
            }
            program.terminate(wait::WAIT_TIMEOUT)
        })?;
    }
    Ok(())
}
