//! Judgement of what a board's guest has told: alerts, books, log, memory, rights, kernel.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::budget::Limits;
use super::guest::USER;
use super::report::Report;
use super::wire::FrameSet;
use crate::json;

/// Texts of the kernel's log that tell of a program that crashed or was killed by the kernel.
const FATAL: [&str; 7] = [
    "fatal signal",
    "segfault",
    "Unhandled fault",
    "unhandled level",
    "do_page_fault",
    "Oops",
    "Out of memory",
];
/// Text of the kernel's log that tells of a system call refused by seccomp.
const REFUSED: &str = "type=1326";
/// `CAP_NET_RAW` in the lines of `/proc/PID/status`.
const NET_RAW: &str = "0000000000002000";

/// Capture with the alerts that are committed beside it.
#[derive(Debug)]
pub(super) struct Golden {
    pub(super) name: &'static str,
    pub(super) frames: u64,
    /// Text of its file of alerts.
    pub(super) alerts: String,
}

impl Golden {
    /// Alerts as [`sequence`] has them.
    fn sequence(&self) -> Result<Vec<String>> {
        let alerts: Vec<Value> =
            self.alerts.lines().map(serde_json::from_str).collect::<Result<_, _>>().context(self.name)?;
        sequence(&alerts)
    }
}

/// Phase, kind and source of every alert: those that open with their test, in order, then those that close. Updates, the test that
/// closes an incident, and which of two ends first depend on the millisecond in which evidence arrives.
fn sequence(alerts: &[Value]) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for alert in alerts.iter().filter(|alert| alert["phase"] != "update") {
        let phase = json::text(alert, "/phase")?;
        let test = if phase == "open" { json::text(alert, "/test")? } else { "" };
        let source = alert["src"].as_str().unwrap_or("nobody");
        found.push(format!("{phase} {} {source} {test}", json::text(alert, "/kind")?));
    }
    sort_ends(&mut found);
    Ok(found)
}

/// Leaves openings in their order and sorts the others behind them.
fn sort_ends(alerts: &mut [String]) {
    alerts.sort_by_cached_key(|alert| if alert.starts_with("open ") { String::new() } else { alert.clone() });
}

/// Alerts and other records of a log.
struct Log {
    alerts: Vec<Value>,
    others: Vec<Value>,
}

fn log(report: &Report, section: &str) -> Result<Log> {
    let (alerts, others) =
        report.json_lines(section)?.into_iter().partition(|record| record.get("kind").is_some());
    Ok(Log { alerts, others })
}

/// One run before an empty log: started, fed with a capture, stopped.
pub(super) fn trial(report: &Report, name: &str, golden: &Golden) -> Result<String> {
    for step in ["start", "replay", "arrived"] {
        let section = format!("{name}.{step}");
        if report.has(&section) {
            report.text(&section)?;
        }
    }
    books(&report.json(&format!("{name}.status"))?, golden.frames)?;
    let log = stopped(report, name)?;
    let (expected, found) = (golden.sequence()?, sequence(&log.alerts)?);
    ensure!(found == expected, "alerts are {found:?}, those of the golden file {expected:?}");
    Ok(format!("{} frames, {} alerts", golden.frames, log.alerts.len()))
}

/// Frames and alerts of a status add up, and nothing was lost.
fn books(status: &Value, frames: u64) -> Result<()> {
    let count = |pointer: &str| json::number(status, pointer);
    for pointer in ["/frames/seen", "/frames/analysed", "/interfaces/0/seen"] {
        ensure!(count(pointer)? == frames, "{pointer} is {} of {frames}", count(pointer)?);
    }
    for pointer in [
        "/frames/filtered",
        "/frames/unsupported",
        "/frames/dropped",
        "/frames/in_ring",
        "/alerts/lost",
        "/log/write_errors",
        "/log/dropped",
    ] {
        ensure!(count(pointer)? == 0, "{pointer} is {}", count(pointer)?);
    }
    ensure!(count("/alerts/raised")? == count("/alerts/stored")?, "{}", status["alerts"]);
    ensure!(json::list(status, "/damage")?.is_empty(), "{}", status["damage"]);
    Ok(())
}

/// End of a run by SIGTERM: exit status 0, a log without a finding, and every number of an alert in it.
fn stopped(report: &Report, name: &str) -> Result<Log> {
    report.text(&format!("{name}.stop"))?;
    let verified = report.text(&format!("{name}.verify"))?;
    ensure!(verified.contains(" 0 findings"), "{verified}");
    let log = log(report, &format!("{name}.alerts"))?;
    let mut runs: BTreeMap<u64, u64> = BTreeMap::new();
    for alert in &log.alerts {
        let last = runs.entry(json::number(alert, "/boot")?).or_default();
        *last += 1;
        ensure!(json::number(alert, "/seq")? == *last, "alert {last} is not in the log: {alert}");
    }
    let end = log.others.iter().rfind(|record| record["record"] == "end").context("no end record")?;
    let last = runs.get(&json::number(end, "/boot")?).copied().unwrap_or(0);
    ensure!(end["complete"] == true && end["cause"] == "stopped", "{end}");
    ensure!(json::number(end, "/next_seq")? == last + 1, "{last} alerts of {end}");
    Ok(log)
}

/// Reload, kill, restart: `before` are the captures before the kill, `after` the one behind it.
pub(super) fn life(report: &Report, before: [&Golden; 2], after: &Golden) -> Result<String> {
    for step in ["start", "first", "reload", "second", "restart", "third"] {
        report.text(&format!("life.{step}"))?;
    }
    let killed = report.json("life.before.status")?;
    books(&killed, before.iter().map(|golden| golden.frames).sum())?;
    let status = report.json("life.after.status")?;
    books(&status, after.frames)?;
    let (boot, raised) = (json::number(&killed, "/boot")?, json::number(&killed, "/alerts/raised")?);
    let previous = status.pointer("/alerts/previous_run").context("nothing about the run before")?;
    // The run after a kill closes the incidents that were open, with numbers of the run that was killed.
    let next = json::number(previous, "/next_seq")?;
    ensure!(
        previous["complete"] == true && json::number(previous, "/boot")? == boot && next > raised,
        "{raised} alerts raised before the kill, the run after it tells {previous}"
    );
    let log = stopped(report, "life")?;
    let (of_killed, of_next): (Vec<Value>, Vec<Value>) =
        log.alerts.into_iter().partition(|alert| alert["boot"] == boot);
    ensure!(
        of_killed.len() + 1 == usize::try_from(next)?,
        "{} alerts are left, not those before {next}",
        of_killed.len()
    );
    let mut expected = Vec::new();
    for golden in before {
        expected.extend(golden.sequence()?);
    }
    sort_ends(&mut expected);
    let found = sequence(&of_killed)?;
    ensure!(found == expected, "{found:?} before the kill, not {expected:?}");
    let (expected, found) = (after.sequence()?, sequence(&of_next)?);
    ensure!(found == expected, "{found:?} after the restart, not {expected:?}");
    Ok(format!("SIGHUP, kill -9 after {raised} alerts, all of them in the log of the next run, SIGTERM"))
}

/// Alerts of files are byte for byte the committed ones, although the settings file of the system would change them.
pub(super) fn from_files(report: &Report, captures: &[Golden], control: &Golden) -> Result<String> {
    for golden in captures {
        let text = report.text(&format!("{}.read", golden.name))?;
        ensure!(text == golden.alerts, "{}: {text}", golden.name);
    }
    let changed = report.text("control")?;
    ensure!(changed != control.alerts, "the settings file of the system changes nothing: this shows nothing");
    Ok(format!("{} of {} byte for byte", captures.len(), captures.len()))
}

/// Highest resident memory of the runs whose names are given, in KiB.
pub(super) fn memory(report: &Report, runs: &[&str], limit_kib: u64) -> Result<String> {
    let mut highest = (0, 0);
    for name in runs {
        let status = report.text(&format!("{name}.memory"))?;
        let kib = |field: &str| -> Result<u64> {
            let found = value(status, field).context("no memory in the status of the process")?;
            Ok(found.trim_end_matches(" kB").parse()?)
        };
        highest = highest.max((kib("VmHWM")?, kib("VmRSS")?));
    }
    let (peak, resident) = highest;
    ensure!(peak > 0 && peak <= limit_kib, "{peak} KiB at most, {limit_kib} allowed");
    Ok(format!("{peak} KiB at most, {resident} afterwards, {limit_kib} allowed"))
}

/// Value of a field in the status of a process.
fn value<'s>(status: &'s str, field: &str) -> Option<&'s str> {
    status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).map(str::trim)
}

/// Rights of every thread. A kernel without seccomp has no such line.
pub(super) fn privileges(report: &Report) -> Result<String> {
    let text = report.text("life.privileges")?;
    let ids = [USER; 4].map(|id| id.to_string()).join("\t");
    let mut threads = 0;
    let mut absent = Vec::new();
    for thread in text.split("Name:").skip(1) {
        threads += 1;
        let thread = format!("Name:{thread}");
        for (field, expected) in
            [("Uid", ids.as_str()), ("Gid", &ids), ("CapEff", NET_RAW), ("NoNewPrivs", "1"), ("Seccomp", "2")]
        {
            match value(&thread, field) {
                Some(found) => ensure!(found == expected, "{field} is {found} in {thread}"),
                None if field == "Seccomp" => absent.push(field),
                None => bail!("no {field} in {thread}"),
            }
        }
    }
    ensure!(threads >= 3, "{threads} threads: {text}");
    let seccomp = if absent.is_empty() { "Seccomp 2" } else { "no seccomp in this kernel" };
    Ok(format!("{threads} threads: uid and gid {USER}, CapEff {NET_RAW}, no_new_privs, {seccomp}"))
}

/// Trials of what the rights must prevent.
pub(super) fn sandbox(report: &Report) -> Result<String> {
    let text = report.text("sandbox")?;
    Ok(text.lines().last().unwrap_or_default().to_owned())
}

/// No program crashed, none was killed by the kernel, and after the trials of the sandbox no system call was refused.
pub(super) fn kernel(report: &Report) -> Result<String> {
    let (boot, text) = (report.text("boot")?, report.text("kernel")?);
    let crash = boot.lines().chain(text.lines()).find(|line| FATAL.iter().any(|word| line.contains(word)));
    let fatal = crash.or_else(|| text.lines().find(|line| line.contains(REFUSED)));
    ensure!(fatal.is_none(), "{}", fatal.unwrap_or_default());
    let version = boot.lines().find_map(|line| line.split_once("Linux version ")).context("no kernel log")?.1;
    Ok(version.split_whitespace().next().unwrap_or_default().to_owned())
}

/// Frames that left the device are among those that came in: canary frames stay inside.
pub(super) fn frames_left(left: &[Vec<Vec<u8>>], sent: &FrameSet) -> Result<String> {
    let all: Vec<&Vec<u8>> = left.iter().flatten().collect();
    let own = all.iter().find(|frame| !sent.contains(frame));
    ensure!(own.is_none(), "a frame that nobody sent left the device: {own:02x?}");
    ensure!(left.iter().all(|card| !card.is_empty()), "no frame left a card: this shows nothing");
    Ok(format!("{} frames left the cards, none of them the device's own", all.len()))
}

/// Name of a check with its outcome.
pub(super) type Checked = (String, Result<String>);

/// All checks of the trials.
pub(super) fn all(
    report: &Report,
    left: &[Vec<Vec<u8>>],
    sent: &FrameSet,
    captures: &[Golden],
    limits: &Limits,
) -> Vec<Checked> {
    let named = |name: &str| -> Result<&Golden> {
        captures.iter().find(|golden| golden.name == name).with_context(|| format!("no capture {name}"))
    };
    let mut checks: Vec<Checked> = vec![
        ("kernel".into(), kernel(report)),
        ("config check".into(), report.text("check").map(|text| text.trim().to_owned())),
        ("sandbox".into(), sandbox(report)),
        ("files".into(), named("syn-flood-at").and_then(|control| from_files(report, captures, control))),
    ];
    let tried = captures.iter().filter(|golden| report.has(&format!("{}.start", golden.name)));
    let tried: Vec<&Golden> = tried.collect();
    checks.extend(tried.iter().map(|golden| (golden.name.to_owned(), trial(report, golden.name, golden))));
    let lives = || {
        let before = [named("port-scan-ipv6")?, named("credentials-ftp")?];
        life(report, before, named("suspicious-port-4444")?)
    };
    checks.push(("life".into(), lives()));
    checks.push(("rights".into(), privileges(report)));
    checks.push(("frames out".into(), frames_left(left, sent)));
    let runs: Vec<&str> =
        tried.iter().map(|golden| golden.name).chain(["life.before", "life.after"]).collect();
    checks.push(("memory".into(), memory(report, &runs, limits.rss_kib)));
    checks.push(("tiny".into(), named("mac-flood").and_then(|golden| trial(report, "tiny", golden))));
    checks.push(("memory, tiny".into(), memory(report, &["tiny"], limits.rss_tiny_kib)));
    checks
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::report;
    use super::super::wire::Frame;
    use super::*;

    const SCAN: &str = r#"{"boot":7,"seq":1,"kind":"port_scan","test":"t","phase":"open","src":"10.0.0.1"}
{"boot":7,"seq":2,"kind":"port_scan","test":"u","phase":"close","src":"10.0.0.1"}
"#;
    const END: &str = r#"{"record":"end","boot":7,"next_seq":3,"complete":true,"cause":"stopped"}"#;
    const STATUS: &str = r#"{"boot":7,"frames":{"seen":30,"analysed":30,"filtered":0,"unsupported":0,"dropped":0,"in_ring":0},
        "interfaces":[{"seen":30}],"alerts":{"raised":1,"stored":1,"lost":0,"previous_run":null},"log":{"write_errors":0,"dropped":0},"damage":[]}"#;

    fn golden() -> Golden {
        Golden { name: "scan", frames: 30, alerts: SCAN.to_owned() }
    }

    /// Outcome of a trial whose sections are right but for one, in which `from` is replaced by `to`.
    fn outcome(section: &str, from: &str, to: &str, status: i32) -> Result<String> {
        let log = format!("{SCAN}{END}\n");
        let mut sections = [
            ("scan.start", String::new(), 0),
            ("scan.status", STATUS.replace('\n', ""), 0),
            ("scan.stop", String::new(), 0),
            ("scan.verify", "1 segments, 0 findings".to_owned(), 0),
            ("scan.alerts", log, 0),
        ];
        for (name, text, code) in &mut sections {
            if *name == section {
                assert!(from.is_empty() || text.contains(from), "{text}");
                (*text, *code) = (text.replace(from, to), status);
            }
        }
        let sections: Vec<(&str, &str, i32)> =
            sections.iter().map(|(name, text, code)| (*name, text.as_str(), *code)).collect();
        trial(&report(&sections), "scan", &golden())
    }

    #[test]
    fn a_trial_passes_only_with_everything_right() {
        assert_eq!(outcome("", "", "", 0).unwrap(), "30 frames, 2 alerts");
        for (section, from, to) in [
            ("scan.status", "\"seen\":30,\"analysed\":30", "\"seen\":30,\"analysed\":29"),
            ("scan.status", "\"interfaces\":[{\"seen\":30", "\"interfaces\":[{\"seen\":31"),
            ("scan.status", "\"dropped\":0,\"in_ring\"", "\"dropped\":1,\"in_ring\""),
            ("scan.status", "\"stored\":1", "\"stored\":0"),
            ("scan.status", "\"damage\":[]", "\"damage\":[{}]"),
            ("scan.verify", " 0 findings", " 1 findings"),
            ("scan.alerts", "\"seq\":2", "\"seq\":3"),
            ("scan.alerts", "10.0.0.1\"}\n{\"boot\":7,\"seq\":2", "10.0.0.2\"}\n{\"boot\":7,\"seq\":2"),
            ("scan.alerts", "port_scan\",\"test\":\"u", "brute_force\",\"test\":\"u"),
            ("scan.alerts", "\"test\":\"t\"", "\"test\":\"another\""),
            ("scan.alerts", "\"next_seq\":3", "\"next_seq\":4"),
            ("scan.alerts", "\"complete\":true", "\"complete\":false"),
            ("scan.alerts", END, ""),
        ] {
            assert!(outcome(section, from, to, 0).is_err(), "{section}: {to}");
        }
        for section in ["scan.start", "scan.stop", "scan.verify", "scan.alerts"] {
            assert!(outcome(section, "", "", 135).is_err(), "{section} ends with SIGBUS");
        }
        // The test that closes an incident depends on time.
        assert!(outcome("scan.alerts", "\"test\":\"u\"", "\"test\":\"another\"", 0).is_ok());
    }

    #[test]
    fn a_killed_run_keeps_its_alerts() {
        let third = SCAN.replace("\"boot\":7", "\"boot\":8");
        let after = STATUS.replace("\"boot\":7", "\"boot\":8");
        let second = Golden { name: "none", frames: 0, alerts: String::new() };
        let judged = |log: &str, previous: &str| {
            let after = after.replace("null", previous).replace('\n', "");
            let log = format!("{log}{third}{}", END.replace("\"boot\":7", "\"boot\":8"));
            let before = STATUS.replace('\n', "");
            let mut sections = ["start", "first", "reload", "second", "restart", "third", "stop"]
                .map(|step| (format!("life.{step}"), String::new()))
                .to_vec();
            sections.push(("life.before.status".to_owned(), before));
            sections.push(("life.after.status".to_owned(), after));
            sections.push(("life.alerts".to_owned(), log));
            sections.push(("life.verify".to_owned(), "1 segments, 0 findings".to_owned()));
            let sections: Vec<(&str, &str, i32)> =
                sections.iter().map(|(name, text)| (name.as_str(), text.as_str(), 0)).collect();
            life(&report(&sections), [&golden(), &second], &golden())
        };
        let told = r#"{"boot":7,"complete":true,"next_seq":3}"#;
        judged(SCAN, told).unwrap();
        assert!(judged(SCAN, &told.replace("true", "false")).is_err());
        assert!(judged(SCAN, &told.replace('3', "2")).is_err(), "an alert less is told");
        assert!(judged("", told).is_err(), "the killed run left nothing");
        assert!(judged(&SCAN.replace("10.0.0.1", "10.0.0.9"), told).is_err());
    }

    #[test]
    fn memory_is_the_highest_of_all_runs() {
        let status = |kib: u32| format!("Name:\ts\nVmHWM:\t{kib} kB\nVmRSS:\t 900 kB\n");
        let report = report(&[("a.memory", &status(1_000), 0), ("b.memory", &status(1_024), 0)]);
        let line = memory(&report, &["a", "b"], 1_024).unwrap();
        assert_eq!(line, "1024 KiB at most, 900 afterwards, 1024 allowed");
        assert!(memory(&report, &["a", "b"], 1_023).is_err());
        assert!(memory(&report, &[], 1_024).is_err(), "no run shows nothing");
    }

    #[test]
    fn every_thread_must_have_lost_its_rights() {
        let thread = "Name:\tworker\nUid:\t600\t600\t600\t600\nGid:\t600\t600\t600\t600\nCapEff:\t0000000000002000\n\
                      NoNewPrivs:\t1\nSeccomp:\t2\n";
        let judged =
            |last: &str| privileges(&report(&[("life.privileges", &[thread, thread, last].concat(), 0)]));
        assert!(judged(thread).unwrap().ends_with("Seccomp 2"));
        for (from, to) in [
            ("Uid:\t600", "Uid:\t0"),
            ("2000\n", "3fff\n"),
            ("NoNewPrivs:\t1", "NoNewPrivs:\t0"),
            ("Seccomp:\t2", "Seccomp:\t0"),
            ("CapEff", "CapInh"),
        ] {
            assert!(judged(&thread.replace(from, to)).is_err(), "{to}");
        }
        assert!(judged("").is_err(), "two threads");
        let old = judged(&thread.replace("Seccomp:\t2\n", "")).unwrap();
        assert!(old.ends_with("no seccomp in this kernel"), "{old}");
    }

    #[test]
    fn a_crash_in_the_log_of_the_kernel_is_found() {
        let version = "[0] Linux version 6.1 (gcc)\n";
        let judged = |line: &str| kernel(&report(&[("boot", version, 0), ("kernel", line, 0)]));
        assert_eq!(judged("[9] br-lan: port 1 entered forwarding state").unwrap(), "6.1");
        for line in [
            "[9] potentially unexpected fatal signal 10.",
            "[9] audit: type=1326 audit(1): sig=31",
            "[9] Out of memory: Killed process 9 (sentinel)",
        ] {
            assert!(judged(line).is_err(), "{line}");
        }
        let booting =
            |line: &str| kernel(&report(&[("boot", &format!("{version}{line}"), 0), ("kernel", "", 0)]));
        assert!(booting("[9] audit: type=1326 audit(1): sig=0").is_ok(), "the trials of the sandbox");
        assert!(booting("[9] potentially unexpected fatal signal 11.").is_err());
        assert!(kernel(&report(&[("boot", "", 0), ("kernel", "", 0)])).is_err(), "no log shows nothing");
    }

    #[test]
    fn a_settings_file_that_changes_nothing_shows_nothing() {
        let judged = |read: &str, control: &str| {
            from_files(&report(&[("scan.read", read, 0), ("control", control, 0)]), &[golden()], &golden())
        };
        assert_eq!(judged(SCAN, "").unwrap(), "1 of 1 byte for byte");
        assert!(judged(SCAN, SCAN).is_err() && judged(&SCAN.replace("10.0", "10.1"), "").is_err());
    }

    #[test]
    fn a_frame_of_the_device_itself_is_found() {
        let mut sent = FrameSet::default();
        sent.add(&[Frame { offset: std::time::Duration::ZERO, bytes: vec![1, 2] }]);
        let card = |frames: &[&[u8]]| frames.iter().map(|frame| frame.to_vec()).collect::<Vec<_>>();
        assert!(frames_left(&[card(&[&[1, 2]]), card(&[&[1, 2, 0]])], &sent).is_ok());
        assert!(frames_left(&[card(&[&[1, 2]]), card(&[&[3]])], &sent).is_err());
        assert!(frames_left(&[card(&[&[1, 2]]), card(&[])], &sent).is_err());
    }
}
