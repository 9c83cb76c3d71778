//! Programs that the `path` bench measures: the read floor, `sentinel` in several views, and peers.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::PathOptions;
use crate::child;
use crate::peers::{self, REFERENCE};
use crate::settings::Settings;
use crate::touch::ReadMethod;

/// Name in results of `sentinel read --alerts`, whose figure is promised.
pub(super) const SENTINEL: &str = "sentinel-alerts";
/// Prefix of the names of the read floor's programs.
pub(super) const FLOOR_PREFIX: &str = "touch-";
/// Detectors that look at headers only: those that `sentinel-headers` leaves on.
const HEADERS_ONLY: [&str; 5] = ["port_scan", "host_sweep", "syn_flood", "icmp_flood", "udp_flood"];

/// Program to measure: its name in results, and its command for a capture.
pub(super) struct Subject<'s> {
    pub(super) name: String,
    pub(super) command: Box<dyn Fn(&Path) -> Command + 's>,
}

impl<'s> Subject<'s> {
    fn new(name: impl Into<String>, command: impl Fn(&Path) -> Command + 's) -> Self {
        Self { name: name.into(), command: Box::new(command) }
    }
}

/// Returns every subject that can be measured here, and the names of the peers that are not installed. `scratch` is the
/// working directory of the peers.
pub(super) fn subjects<'s>(
    sentinel: &'s Path,
    scratch: &'s Path,
    options: &PathOptions,
) -> Result<(Vec<Subject<'s>>, Vec<String>)> {
    let mut subjects = floor()?;
    subjects.extend(own(sentinel)?);
    let mut absent = Vec::new();
    let known = peers::known().into_iter().filter(|peer| options.with_peers || peer.name == REFERENCE);
    for peer in known.chain(options.more_peers.iter().cloned()) {
        let name = peer.name.clone();
        match peer.installed() {
            Some(program) => {
                subjects.push(Subject::new(name, move |file| peer.command(&program, file, scratch)));
            }
            None => absent.push(name),
        }
    }
    Ok((subjects, absent))
}

/// The hidden command `bench touch`, once with each read method.
fn floor<'s>() -> Result<Vec<Subject<'s>>> {
    let bench = std::env::current_exe().context("path of the running program")?;
    let subject = |method: ReadMethod| {
        let bench = bench.clone();
        Subject::new(format!("{FLOOR_PREFIX}{}", method.name()), move |file| {
            let mut command = Command::new(&bench);
            command.arg("touch").arg(file).arg(method.name());
            command
        })
    };
    Ok(ReadMethod::ALL.into_iter().map(subject).collect())
}

/// `sentinel` counting only, with every detector, and with those of [`HEADERS_ONLY`].
fn own(sentinel: &Path) -> Result<Vec<Subject<'_>>> {
    let view = |name, view| Subject::new(name, move |file| child::read(sentinel, file, view));
    let flags = payload_detectors_off(sentinel)?;
    let headers = Subject::new("sentinel-headers", move |file| {
        let mut command = child::read(sentinel, file, "--alerts");
        command.args(&flags);
        command
    });
    Ok(vec![view("sentinel-count", "--count-only"), view(SENTINEL, "--alerts"), headers])
}

/// Flags that switch off every detector that is not in [`HEADERS_ONLY`].
fn payload_detectors_off(sentinel: &Path) -> Result<Vec<String>> {
    let settings = Settings::of(sentinel)?;
    let names = settings.detectors();
    ensure!(!names.is_empty(), "`sentinel config show` names no detector");
    let off = names.iter().filter(|name| !HEADERS_ONLY.contains(name));
    Ok(off.flat_map(|name| ["--set".to_owned(), format!("{name}.enabled=off")]).collect())
}
