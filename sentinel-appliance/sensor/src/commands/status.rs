//! `sentinel status`: state of the running sensor in 80 by 24 characters, or as JSON.

use std::fmt::Write;
use std::io::{IsTerminal, Read};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use sentinel_units::{ByteCount, Rate};
use tinyjson::JsonValue;

use crate::control::status_socket;
use crate::settings::json::{self, member};
use crate::terminal::failure::Failure;
use crate::terminal::output::Output;

/// Longest answer in bytes.
const MAX_ANSWER: u64 = 64 * 1024;
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
const WATCH_INTERVAL: Duration = Duration::from_secs(1);
/// Moves the cursor home and clears the screen below it.
const REPAINT: &str = "\x1b[H\x1b[J";

/// Form of the output.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Show {
    pub(crate) json: bool,
    pub(crate) watch: bool,
    pub(crate) memory: bool,
}

/// Tables of the profile `tiny`, which a small device takes by itself.
const TINY_KIB: u64 = 384;

/// Lines of a serial terminal.
const MAX_LINES: usize = 24;

/// Shows the status once, or every second.
pub(crate) fn status(run_dir: &Path, show: Show) -> Result<(), Failure> {
    let mut before = None;
    loop {
        let answer = ask(run_dir)?;
        let mut output = Output::new();
        if show.json {
            output.line(|line| line.write_str(answer.trim_end()))?;
        } else {
            let now = StatusView::new(&answer)?;
            output.line(|line| {
                if show.watch && std::io::stdout().is_terminal() {
                    line.push_str(REPAINT);
                }
                if show.memory { now.memory(line) } else { now.text(before.as_ref(), line) }
            })?;
            before = Some(now);
        }
        output.flush()?;
        if !show.watch {
            return Ok(());
        }
        std::thread::sleep(WATCH_INTERVAL);
    }
}

/// Writes the page of an answer of the status socket, for a serial line.
pub(crate) fn page(answer: &str, out: &mut String) -> std::fmt::Result {
    StatusView::new(answer).map_err(|_| std::fmt::Error)?.text(None, out)
}

/// Answer of the running sensor: one JSON object.
pub(crate) fn ask(run_dir: &Path) -> Result<String, Failure> {
    let path = status_socket::path(run_dir);
    let at = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => Failure::new(format!(
            "{}: no sensor is running here; start it with 'service sentinel-appliance start', or 'sentinel run'",
            path.display()
        )),
        _ => Failure::new(format!("{}: {error}", path.display())),
    };
    let stream = UnixStream::connect(&path).map_err(at)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT)).map_err(at)?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER).read_to_string(&mut answer).map_err(at)?;
    Ok(answer)
}

/// Answer of the sensor, with values by path.
#[derive(Debug)]
struct StatusView(JsonValue);

impl StatusView {
    fn new(answer: &str) -> Result<Self, Failure> {
        json::parse(answer).map(Self).map_err(|what| Failure::new(format!("the sensor's answer is {what}")))
    }

    fn number(&self, path: &str) -> u64 {
        whole(path.split('.').try_fold(&self.0, |value, name| member(value, name)))
    }

    fn string(&self, path: &str) -> Option<&str> {
        let found = path.split('.').try_fold(&self.0, |value, name| member(value, name));
        found.and_then(JsonValue::get::<String>).map(String::as_str)
    }

    fn flag(&self, path: &str) -> bool {
        let found = path.split('.').try_fold(&self.0, |value, name| member(value, name));
        found.and_then(JsonValue::get::<bool>).copied().unwrap_or(false)
    }

    fn list(&self, path: &str) -> &[JsonValue] {
        let found = path.split('.').try_fold(&self.0, |value, name| member(value, name));
        found.and_then(JsonValue::get::<Vec<JsonValue>>).map_or(&[], Vec::as_slice)
    }

    /// Writes the page. It fits 80x24 with up to four interfaces whatever it has to report, without blank lines if it has much, and has
    /// no colour, because a serial line may not have any.
    fn text(&self, before: Option<&Self>, out: &mut String) -> std::fmt::Result {
        let mut page = String::new();
        self.sections(before, &mut page)?;
        let is_long = page.lines().count() > MAX_LINES;
        let lines: Vec<&str> = page.lines().filter(|line| !is_long || !line.is_empty()).collect();
        out.push_str(&lines.join("\n"));
        Ok(())
    }

    fn sections(&self, before: Option<&Self>, out: &mut String) -> std::fmt::Result {
        let version = self.string("version").unwrap_or("?");
        let host = self.string("host").unwrap_or("?");
        writeln!(out, "sentinel {version} on {host:.30}, up {}", span(self.number("uptime_ms")))?;
        let rate = before.map_or(Rate::default(), |before| self.rate_since(before));
        writeln!(out)?;
        self.interfaces(out)?;
        writeln!(out)?;
        self.frames(rate, out)?;
        if let Some(filter) = self.string("filter").filter(|filter| !filter.is_empty()) {
            match self.string("filter_source") {
                Some("ctl") => writeln!(out, "filter  {filter:.49} (set by 'sentinel ctl')")?,
                _ => writeln!(out, "filter  {filter:.70}")?,
            }
        }
        self.reload(out)?;
        self.visibility(out)?;
        self.alerts(out)?;
        self.uplink(out)?;
        self.log(out)?;
        self.damage(out)?;
        let tables = self.number("memory.tables_kib");
        writeln!(
            out,
            "memory  {} resident, tables {}{}, {} entries evicted",
            ByteCount(self.number("memory.resident_kib") * 1024),
            ByteCount(tables * 1024),
            if tables == TINY_KIB { " (tiny)" } else { "" },
            self.number("memory.evictions")
        )?;
        self.health(out)?;
        self.privileges(out)
    }

    /// One line: the oldest answer of a canary packet, and restarts.
    fn health(&self, out: &mut String) -> std::fmt::Result {
        let canaries = || self.list("workers").iter().filter_map(|worker| member(worker, "canary"));
        let oldest = canaries().max_by_key(|canary| whole(member(canary, "age_ms")));
        let value = |name: &str| oldest.map_or(0, |canary| whole(member(canary, name)));
        let wrong: u64 = canaries().map(|canary| whole(member(canary, "wrong"))).sum();
        if wrong > 0 {
            write!(out, "health  canary packets ANALYSED WRONGLY: {wrong}")?;
        } else if value("answered") == 0 {
            write!(out, "health  no canary packet analysed yet")?;
        } else {
            write!(out, "health  canary {} ms ago in {} us", value("age_ms"), value("took_us"))?;
        }
        match (self.string("watchdog.canary_problem"), self.number("watchdog.canary_frames_missed")) {
            (Some(_), _) => out.push_str(", none by the kernel"),
            (None, 0) => {}
            (None, missed) => write!(out, ", {missed} MISSED")?,
        }
        let restarts = self.number("restarts.since_boot");
        write!(out, "; {restarts} restart{}", if restarts == 1 { "" } else { "s" })?;
        match self.string("restarts.latest") {
            Some(cause) => writeln!(out, " ({cause})"),
            None => writeln!(out),
        }
    }

    /// One line: the user, what the kernel enforces, and the first restriction that did not take effect.
    fn privileges(&self, out: &mut String) -> std::fmt::Result {
        let user = self.string("privileges.user").unwrap_or("?");
        let seccomp = self.string("privileges.seccomp").unwrap_or("?");
        let mut line = format!("rights  user {user:.20}, seccomp {seccomp}, landlock ");
        match self.number("privileges.landlock") {
            0 => line.push_str("off"),
            version => write!(line, "{version}")?,
        }
        if let Some(missing) = self.list("privileges.missing").first().and_then(JsonValue::get::<String>) {
            write!(line, "; {missing}")?;
        }
        write!(out, "{line:.80}")
    }

    /// One line if the last reload failed, or else if settings were set aside. All of it is in the JSON form and in the log.
    fn reload(&self, out: &mut String) -> std::fmt::Result {
        if let Some(error) = self.string("reload.error") {
            let time = self.string("reload.time").and_then(|time| time.get(11..19)).unwrap_or("?");
            return writeln!(out, "reload  failed at {time} UTC: {:.48}", without_folders(error));
        }
        let first = self.list("set_aside.settings").first().and_then(|first| member(first, "problem"));
        let Some(problem) = first.and_then(JsonValue::get::<String>) else { return Ok(()) };
        let count = self.number("set_aside.count");
        let line = format!("settings not in force: {count}; {}", without_folders(problem));
        writeln!(out, "{line:.80}")
    }

    fn interfaces(&self, out: &mut String) -> std::fmt::Result {
        let is_capturing = self.flag("capturing");
        writeln!(out, "interface              seen     dropped   ring full  state")?;
        for interface in self.list("interfaces") {
            let name =
                member(interface, "name").and_then(JsonValue::get::<String>).map_or("?", String::as_str);
            let value = |name: &str| whole(member(interface, name));
            let is_open =
                member(interface, "open").and_then(JsonValue::get::<bool>).copied().unwrap_or(false);
            let state = match (is_open, is_capturing) {
                (true, true) => "capturing",
                (true, false) => "stopped by 'sentinel ctl'",
                (false, _) => &format!("waiting for {name:.15}"),
            };
            writeln!(
                out,
                "{name:15} {:>11} {:>11} {:>11}  {state}",
                value("seen"),
                value("dropped"),
                value("freezes")
            )?;
        }
        Ok(())
    }

    /// One line if files of the sensor were damaged at its start. All of it is in the JSON form and in the log.
    fn damage(&self, out: &mut String) -> std::fmt::Result {
        let damages = self.list("damage");
        let Some(first) = damages.first() else { return Ok(()) };
        let text = |name| member(first, name).and_then(JsonValue::get::<String>).map_or("?", String::as_str);
        let mut line = format!("damage  {}: {:.45}", text("file"), text("problem"));
        if let Some(others @ 1..) = damages.len().checked_sub(1) {
            write!(line, " (and {others} more)")?;
        }
        writeln!(out, "{line:.80}")
    }

    fn log(&self, out: &mut String) -> std::fmt::Result {
        writeln!(
            out,
            "log     {} records, {} written to flash, {} write errors",
            self.number("log.records"),
            ByteCount(self.number("log.flash_bytes")),
            self.number("log.write_errors")
        )?;
        if self.flag("log.flash_limit_reached") {
            writeln!(out, "        daily limit of writes reached (log_daily_kib); new alerts stay in RAM")?;
        }
        match (self.string("log.delivered_alerts"), self.string("log.evidence_key")) {
            (Some("sealed"), Some(key)) => writeln!(out, "        delivered alerts: sealed to {key:.40}..")?,
            (Some("unreadable"), _) => writeln!(out, "        delivered alerts: unreadable here")?,
            (Some("readable"), _) => writeln!(out, "        delivered alerts: READABLE on this device")?,
            _ => {}
        }
        // Damage takes the line of the note: the page has no line for both.
        let has_damage = !self.list("damage").is_empty();
        for (name, what) in [("log.notice", "note"), ("log.last_error", "last error")] {
            if let Some(text) = self.string(name).filter(|_| what != "note" || !has_damage) {
                writeln!(out, "        {what}: {text:.60}")?;
            }
        }
        Ok(())
    }

    fn frames(&self, rate: Rate, out: &mut String) -> std::fmt::Result {
        write!(out, "frames  {} seen", self.number("frames.seen"))?;
        if rate.0 > 0 {
            write!(out, " ({rate})")?;
        }
        writeln!(
            out,
            " = {} analysed + {} filtered + {} dropped",
            self.number("frames.analysed"),
            self.number("frames.filtered"),
            self.number("frames.dropped")
        )?;
        writeln!(
            out,
            "        + {} unsupported + {} in the ring; {} malformed, {} truncated",
            self.number("frames.unsupported"),
            self.number("frames.in_ring"),
            self.number("frames.malformed"),
            self.number("frames.truncated")
        )
    }

    fn visibility(&self, out: &mut String) -> std::fmt::Result {
        let path = ["visibility", "score_percent"];
        let percent = path.iter().try_fold(&self.0, |value, name| member(value, name));
        match percent.and_then(json::whole) {
            Some(percent) => writeln!(out, "visible {percent} % of the bytes on these interfaces")?,
            None => writeln!(out, "visible not known yet: too little traffic")?,
        }
        match self.string("visibility.advice") {
            // The commands of a line can be copied as they stand.
            Some(advice) => advice.splitn(2, "; ").try_for_each(|part| writeln!(out, "    {part:.76}")),
            None => Ok(()),
        }
    }

    fn alerts(&self, out: &mut String) -> std::fmt::Result {
        let number = |name: &str| self.number(&format!("alerts.{name}"));
        write!(out, "alerts  {} raised", number("raised"))?;
        if number("earlier_runs.kept") > 0 {
            write!(out, " + {} of earlier runs", number("earlier_runs.kept"))?;
        }
        writeln!(
            out,
            " = {} delivered + {} waiting + {} lost",
            number("delivered"),
            number("waiting"),
            number("lost")
        )?;
        write!(out, "        {} incidents open", number("open_incidents"))?;
        if number("log_only") > 0 {
            write!(out, "; {} alerts in the log only (alert_daily_messages)", number("log_only"))?;
        }
        if number("allowed_findings") > 0 {
            write!(out, "; {} findings allowed (allow)", number("allowed_findings"))?;
        }
        out.push('\n');
        if self.string("alerts.previous_run.end").is_some() && !self.flag("alerts.previous_run.complete") {
            writeln!(
                out,
                "        the run before was cut off; its alerts from {} on may be lost",
                number("previous_run.next_seq")
            )?;
        }
        Ok(())
    }

    fn uplink(&self, out: &mut String) -> std::fmt::Result {
        let collector = self.string("uplink.collector").unwrap_or("no collector");
        let since = span(self.number("uplink.since_ms"));
        let what = match self.string("uplink.state") {
            Some("connected") => format!("connected to {collector:.40} for {since}"),
            Some("connecting") => format!("connecting to {collector:.40}"),
            Some("waiting") => format!("waiting to connect to {collector:.40}"),
            Some("disabled") => "switched off (uplink_enabled)".to_owned(),
            _ => match self.string("uplink.enrollment_problem") {
                Some(problem) => format!("{problem:.71}"),
                None => "not enrolled; run 'sentinel enroll TOKEN'".to_owned(),
            },
        };
        writeln!(out, "uplink  {what}")?;
        if self.flag("uplink.key_waiting") {
            writeln!(out, "        a new key waits until the collector has accepted it")?;
        }
        match self.string("uplink.last_error") {
            Some(error) => writeln!(out, "        last error: {error:.60}"),
            None => Ok(()),
        }
    }

    /// Frames per second between two answers.
    fn rate_since(&self, before: &Self) -> Rate {
        let frames = self.number("frames.seen").saturating_sub(before.number("frames.seen"));
        let millis = self.number("uptime_ms").saturating_sub(before.number("uptime_ms"));
        Rate::over(frames, Duration::from_millis(millis))
    }

    /// Writes the page of `--memory`: bytes of each table.
    fn memory(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "table             slots        bytes")?;
        let mut sum = 0;
        for table in self.list("memory.tables") {
            let name = member(table, "name").and_then(JsonValue::get::<String>).map_or("?", String::as_str);
            let (slots, bytes) = (whole(member(table, "slots")), whole(member(table, "bytes")));
            writeln!(out, "{name:13} {slots:>9} {bytes:>12}")?;
            sum += bytes;
        }
        writeln!(out, "tables together         {sum:>12}")?;
        writeln!(out, "each ring               {:>12}", self.number("memory.ring_kib") * 1024)?;
        write!(out, "resident                {:>12}", self.number("memory.resident_kib") * 1024)
    }
}

/// Error without the folders of the file that it begins with, which would leave no room for the problem.
fn without_folders(error: &str) -> &str {
    let path_end = error.find(": ").unwrap_or(0);
    let name = error.get(..path_end).and_then(|path| path.rfind('/')).map_or(0, |slash| slash + 1);
    error.get(name..).unwrap_or(error)
}

fn whole(value: Option<&JsonValue>) -> u64 {
    value.and_then(json::whole).unwrap_or(0)
}

/// `3d 04:05:06`
fn span(millis: u64) -> String {
    let seconds = millis / 1_000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    let clock = format!("{hours:02}:{minutes:02}:{:02}", seconds % 60);
    if days > 0 { format!("{days}d {clock}") } else { clock }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = r#"{"version":"0.1.0","uptime_ms":90061000,"boot":7,"host":"router","capturing":true,"filter":"not port 22",
        "filter_source":"settings","reload":{"time":"2026-11-21T20:00:01.000000Z","ok":true,"error":null},
        "visibility":{"score_percent":97,"advice":"a flow table hides some; switch it off"},
        "interfaces":[{"name":"br-lan","open":true,"seen":9007199254740991,"dropped":4,"freezes":1},
                      {"name":"eth1","open":false,"seen":0,"dropped":0,"freezes":0}],
        "frames":{"seen":100,"analysed":90,"filtered":2,"unsupported":1,"dropped":4,"in_ring":3,"freezes":1,"malformed":2,"truncated":5},
        "alerts":{"raised":9,"stored":8,"delivered":7,"waiting":1,"lost":6,"lost_queue_full":1,"lost_spool_full":2,
                  "lost_storage":3,"lost_flash_limit":0,"log_only":12,"earlier_runs":{"kept":5,"delivered":4,"waiting":1,"lost":0},
                  "previous_run":{"boot":6,"next_seq":51,"complete":false,"end":"cut off"},"open_incidents":2},
        "uplink":{"state":"waiting","since_ms":1000,"collector":"c.example:4430","failures":3,"last_error":"gone"},
        "log":{"records":12,"flash_bytes":65536,"journal_bytes":1,"rotations":1,"overwritten":0,"write_errors":0,
               "relocated":0,"flushes_deferred":0,"flash_bytes_day":7,"flash_limit_reached":true,"last_error":null,
               "delivered_alerts":"sealed",
               "evidence_key":"abcdefghijklmnopqrstuvwxyz234567abcdefghijklmnopqrsa","notice":"log has another size"},
        "privileges":{"user":"root","seccomp":"on","landlock":0,"missing":["Landlock: this kernel has none"]},
        "workers":[{"seen":60,"canary":{"answered":450,"wrong":0,"age_ms":120,"took_us":14}},
                   {"seen":40,"canary":{"answered":449,"wrong":0,"age_ms":180,"took_us":9}}],
        "watchdog":{"service_manager":true,"limit_ms":30000,"fed":45,"restarts_in_log":3,"canary_frames":900,
                    "canary_frames_missed":0,"canary_problem":null},
        "restarts":{"since_boot":3,"latest":"killed","stopped":0,"killed":2,"power_lost":0,"watchdog":1},
        "set_aside":{"count":0,"settings":[]},
        "memory":{"resident_kib":3456,"tables_kib":384,"evictions":11,"incidents_closed_early":0,"tables":[
            {"name":"flows","slots":8192,"bytes":655360}],"ring_kib":1024}}"#;

    #[test]
    fn the_text_is_stable_and_fits_a_serial_line() {
        let mut text = String::new();
        StatusView::new(ANSWER).unwrap().text(None, &mut text).unwrap();
        assert_eq!(
            text,
            "sentinel 0.1.0 on router, up 1d 01:01:01\n\
             \n\
             interface              seen     dropped   ring full  state\n\
             br-lan          9007199254740991           4           1  capturing\n\
             eth1                      0           0           0  waiting for eth1\n\
             \n\
             frames  100 seen = 90 analysed + 2 filtered + 4 dropped\n\
             \x20       + 1 unsupported + 3 in the ring; 2 malformed, 5 truncated\n\
             filter  not port 22\n\
             visible 97 % of the bytes on these interfaces\n\
             \x20   a flow table hides some\n\
             \x20   switch it off\n\
             alerts  9 raised + 5 of earlier runs = 7 delivered + 1 waiting + 6 lost\n\
             \x20       2 incidents open; 12 alerts in the log only (alert_daily_messages)\n\
             \x20       the run before was cut off; its alerts from 51 on may be lost\n\
             uplink  waiting to connect to c.example:4430\n\
             \x20       last error: gone\n\
             log     12 records, 64.0 KiB written to flash, 0 write errors\n\
             \x20       daily limit of writes reached (log_daily_kib); new alerts stay in RAM\n\
             \x20       delivered alerts: sealed to abcdefghijklmnopqrstuvwxyz234567abcdefgh..\n\
             \x20       note: log has another size\n\
             memory  3.3 MiB resident, tables 384.0 KiB (tiny), 11 entries evicted\n\
             health  canary 180 ms ago in 9 us; 3 restarts (killed)\n\
             rights  user root, seccomp on, landlock off; Landlock: this kernel has none"
        );
        assert!(text.lines().count() <= 24 && text.lines().all(|line| line.len() <= 80));
    }

    /// A reload that failed was in the log only.
    #[test]
    fn a_failed_reload_and_a_filter_of_ctl_are_shown() {
        let error = format!("/etc/x/F:6:14: ports 'many' is not a whole number; {}", "x".repeat(100));
        let answer = ANSWER
            .replace("\"ok\":true,\"error\":null", &format!("\"ok\":false,\"error\":\"{error}\""))
            .replace("\"filter_source\":\"settings\"", "\"filter_source\":\"ctl\"");
        let mut text = String::new();
        StatusView::new(&answer).unwrap().text(None, &mut text).unwrap();
        let expected = "filter  not port 22 (set by 'sentinel ctl')\n\
             reload  failed at 20:00:01 UTC: F:6:14: ports 'many' is not a whole number; xxxx";
        assert!(text.contains(expected), "{text}");
        assert!(text.lines().count() <= 24 && text.lines().all(|line| line.len() <= 80), "{text}");
    }

    #[test]
    fn wrong_and_missing_answers_to_canary_packets_are_shown() {
        let line = |answer: &str| {
            let mut text = String::new();
            StatusView::new(answer).unwrap().text(None, &mut text).unwrap();
            text.lines().find(|line| line.starts_with("health")).unwrap().to_owned()
        };
        let wrong = line(&ANSWER.replacen("\"wrong\":0", "\"wrong\":7", 1));
        assert_eq!(wrong, "health  canary packets ANALYSED WRONGLY: 7; 3 restarts (killed)");
        let missed = line(&ANSWER.replace("\"canary_frames_missed\":0", "\"canary_frames_missed\":12"));
        assert_eq!(missed, "health  canary 180 ms ago in 9 us, 12 MISSED; 3 restarts (killed)");
        let none = line(&ANSWER.replace("\"workers\":", "\"other\":"));
        assert_eq!(none, "health  no canary packet analysed yet; 3 restarts (killed)");
    }

    #[test]
    fn settings_that_are_not_in_force_are_shown_with_the_first() {
        let problem = format!("/etc/config/F:3:9: unknown option 'prots'; {}", "x".repeat(90));
        let aside = format!("\"set_aside\":{{\"count\":2,\"settings\":[{{\"problem\":\"{problem}\"}}]}}");
        let answer = ANSWER.replace("\"set_aside\":{\"count\":0,\"settings\":[]}", &aside);
        let mut text = String::new();
        StatusView::new(&answer).unwrap().text(None, &mut text).unwrap();
        assert!(text.contains("\nsettings not in force: 2; F:3:9: unknown option 'prots'; xxx"), "{text}");
        assert!(text.lines().count() <= 24 && text.lines().all(|line| line.len() <= 80), "{text}");
    }

    #[test]
    fn damage_of_the_state_is_shown_in_a_line_each() {
        let damage = r#""damage":[{"file":"sensor.key","moved_aside":true,"problem":"a directory, not a file"},
            {"file":"collector","moved_aside":true,"problem":"x"}],"memory""#;
        let problem = "\"state\":\"not_enrolled\",\"enrollment_problem\":\"enrollment damaged: run 'sentinel enroll TOKEN'\"";
        let answer = ANSWER.replace("\"memory\"", damage).replace("\"state\":\"waiting\"", problem);
        let mut text = String::new();
        StatusView::new(&answer).unwrap().text(None, &mut text).unwrap();
        assert!(
            text.contains("\ndamage  sensor.key: a directory, not a file (and 1 more)\nmemory"),
            "{text}"
        );
        assert!(text.contains("\nuplink  enrollment damaged: run 'sentinel enroll TOKEN'\n"), "{text}");
        assert!(text.lines().count() <= 24 && text.lines().all(|line| line.len() <= 80), "{text}");
    }

    #[test]
    fn an_answer_cut_short_is_an_error() {
        assert!(StatusView::new(&ANSWER[..50]).is_err());
    }
}
