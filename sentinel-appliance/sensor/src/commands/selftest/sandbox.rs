//! `sentinel selftest --sandbox`: gives up what `sentinel run` gives up, and tries what must fail from then on.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::Path;

use rustix::process::{Resource, getrlimit};
use sentinel_privilege::trial::SYSTEM_CALLS;

use super::Report;
use crate::settings::{Sandbox, Settings};
use crate::system::privileges::{Privileges, Target};
use crate::terminal::failure::Failure;
use crate::terminal::output::Output;

/// File of the system that everybody may read, outside all directories of the sensor.
const FOREIGN: [&str; 2] = ["/bin/sh", "/lib"];
/// File that only root may write.
const OF_ROOT: &str = "/etc/passwd";
/// Version of Landlock that knows ports.
const LANDLOCK_WITH_PORTS: u32 = 4;

/// Prints a line for each attempt and how many were refused, and what this kernel or account has no defence against.
///
/// # Errors
/// Something that must be refused was not.
pub(crate) fn selftest(settings: &Settings, settings_file: Option<&Path>) -> Result<(), Failure> {
    let mut settings = settings.clone();
    if settings.sandbox != Sandbox::Off {
        // A call that is stopped must not kill this process; the lists are the same.
        settings.sandbox = Sandbox::On;
    }
    let privileges = Privileges::drop_all(Target::of(&settings), &settings, settings_file);
    let mut report = Report { output: Output::new(), checks: 0, passed: 0 };
    if privileges.is_filtered() {
        for attempt in SYSTEM_CALLS {
            report.check(attempt.name, refused(attempt.is_refused()))?;
        }
    }
    if privileges.landlock() > 0 {
        let denied = FOREIGN.iter().all(|path| is_denied(File::open(path)));
        report.check("read a foreign file", refused(denied))?;
    }
    if privileges.landlock() >= LANDLOCK_WITH_PORTS {
        report.check("listen on a TCP port", refused(is_denied(TcpListener::bind("127.0.0.1:0"))))?;
    }
    if privileges.landlock() > 0 || !privileges.is_root() {
        report.check(
            "write a file of root",
            refused(is_denied(OpenOptions::new().append(true).open(OF_ROOT))),
        )?;
    }
    report.check("capabilities but net_raw", refused(privileges.has_no_other_capability()))?;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let is_fixed = status.lines().any(|line| line.starts_with("NoNewPrivs:") && line.ends_with('1'));
    report.check("new privileges by a program", refused(is_fixed || status.is_empty()))?;
    report.check("core files", refused(getrlimit(Resource::Core).maximum == Some(0)))?;
    let Report { mut output, checks, passed } = report;
    for missing in privileges.missing() {
        output.line(|line| {
            line.push_str("not available here: ");
            line.push_str(missing);
            Ok(())
        })?;
    }
    output.line(|line| {
        use std::fmt::Write;
        write!(line, "{passed} of {checks} refused")
    })?;
    output.flush()?;
    if passed == checks { Ok(()) } else { Err(Failure::new("the sandbox lets through what it must refuse")) }
}

fn refused(is_refused: bool) -> Result<(), String> {
    if is_refused { Ok(()) } else { Err("NOT REFUSED".into()) }
}

/// Returns true if the kernel refused it for want of a right. A file that is not there shows nothing, and counts as refused.
fn is_denied<T>(outcome: std::io::Result<T>) -> bool {
    outcome.is_err_and(|error| matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::NotFound))
}
