//! `sentinel read FILE`: the same analysis over a capture file.

use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use sentinel_alert::Alert;
use sentinel_capture::Frame;
use sentinel_capture::file::{FileKind, Reader};
use sentinel_filter::{Packet, Program, Protocol, Simple};
use sentinel_track::hash::HashKey;
use sentinel_units::{LinkType, Port};

use crate::analysis::{Analyser, Tuning};
use crate::failure::Failure;
use crate::filter_command::explain;
use crate::message;
use crate::output::Output;
use crate::record;
use crate::settings::Settings;

/// What `read` was asked to do.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) file: PathBuf,
    pub(crate) view: View,
    /// In tcpdump's language; empty lets everything pass.
    pub(crate) expression: String,
    pub(crate) filter: Simple,
    /// Key of the hash tables; the same for every run unless given, so that runs repeat.
    pub(crate) seed: u64,
}

/// What is printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum View {
    /// Alerts as lines for people, and a summary on standard error.
    Text,
    /// Alerts as NDJSON.
    Alerts,
    /// Protocol records as NDJSON.
    Records,
    /// The number of packets that pass the filter.
    CountOnly,
}

/// Key of the hash tables when reading files.
pub(crate) const FILE_SEED: u64 = 0x5345_4e54_494e_454c;

/// Reads the file.
///
/// # Errors
/// What is wrong with the file, after everything before that place was printed.
pub(crate) fn read(request: &Request, settings: &Settings) -> Result<(), Failure> {
    let name = if is_standard_input(&request.file) {
        "standard input".to_owned()
    } else {
        request.file.display().to_string()
    };
    let source: Box<dyn Read> = if is_standard_input(&request.file) {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(File::open(&request.file).map_err(|error| Failure::new(format!("{name}: {error}")))?)
    };
    let mut reading = Reading::new(request, settings)?;
    let outcome = reading.frames(&name, source);
    reading.finish()?;
    outcome
}

fn is_standard_input(path: &Path) -> bool {
    path.as_os_str() == "-"
}

struct Reading<'r> {
    request: &'r Request,
    /// Only made for the views that show alerts.
    analyser: Option<Analyser>,
    filter: Filter,
    output: Output,
    frames: u64,
    passed: u64,
    alerts: u64,
    unsupported: Option<LinkType>,
}

impl<'r> Reading<'r> {
    fn new(request: &'r Request, settings: &Settings) -> Result<Self, Failure> {
        let analyser = match request.view {
            View::Records | View::CountOnly => None,
            View::Text | View::Alerts => {
                let listed =
                    crate::ports::load(settings.suspicious_ports_file.as_deref()).map_err(Failure::Other)?;
                let tuning = Tuning::new(settings, &[], listed);
                Some(Analyser::new(settings.memory_kib, HashKey::new(request.seed), &tuning))
            }
        };
        Ok(Self {
            request,
            analyser,
            filter: Filter {
                expression: request.expression.clone(),
                simple: request.filter,
                compiled: Vec::new(),
            },
            output: Output::new(),
            frames: 0,
            passed: 0,
            alerts: 0,
            unsupported: None,
        })
    }

    fn frames(&mut self, name: &str, source: Box<dyn Read>) -> Result<(), Failure> {
        let in_file = |error: sentinel_capture::file::FileError| Failure::new(format!("{name}: {error}"));
        let mut reader = Reader::open(source).map_err(in_file)?;
        if reader.kind() == FileKind::Pcap {
            // The one link type of the file stands at byte 20 of its header.
            if let Some(link) = reader.link_types().find(|link| !self.can_read(*link)) {
                return Err(Failure::new(format!("{name}: offset 20: {}", wrong_link(link))));
            }
        }
        while let Some(frame) = reader.next().map_err(in_file)? {
            self.frames += 1;
            if !self.can_read(frame.link) {
                self.unsupported = Some(frame.link);
            } else if self.filter.passes(&frame)? {
                self.passed += 1;
                self.frame(&frame)?;
            }
        }
        match self.unsupported {
            Some(link) if self.passed == 0 => {
                Err(Failure::new(format!("{name}: offset {}: {}", reader.offset(), wrong_link(link))))
            }
            Some(link) => {
                message::warn(format_args!("{name}: frames left out: {}", wrong_link(link)));
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Counting without a filter needs no dissecting.
    fn can_read(&self, link: LinkType) -> bool {
        link.is_supported() || self.request.view == View::CountOnly && self.filter.is_empty()
    }

    fn frame(&mut self, frame: &Frame<'_>) -> Result<(), Failure> {
        match self.request.view {
            View::CountOnly => Ok(()),
            View::Records => record::write(frame, &mut self.output),
            View::Text | View::Alerts => self.with_alerts(|analyser, raise| analyser.frame(frame, raise)),
        }
    }

    /// Runs one step of the analysis and prints what it raises.
    fn with_alerts(
        &mut self,
        step: impl FnOnce(&mut Analyser, &mut dyn FnMut(Alert)),
    ) -> Result<(), Failure> {
        let Some(analyser) = &mut self.analyser else { return Ok(()) };
        let (view, output, alerts) = (self.request.view, &mut self.output, &mut self.alerts);
        let mut outcome = Ok(());
        step(analyser, &mut |alert: Alert| {
            *alerts += 1;
            let written = match view {
                View::Alerts => output.alert_json(&alert, None),
                _ => output.alert_text(&alert),
            };
            if outcome.is_ok() {
                outcome = written;
            }
        });
        outcome
    }

    fn finish(&mut self) -> Result<(), Failure> {
        self.with_alerts(|analyser, raise| analyser.finish(raise))?;
        if self.request.view == View::CountOnly {
            let passed = self.passed;
            self.output.line(|line| {
                use std::fmt::Write;
                write!(line, "{passed}")
            })?;
        }
        self.output.flush()?;
        if self.request.view == View::Text {
            self.summary();
        }
        Ok(())
    }

    fn summary(&self) {
        let counts = self.analyser.as_ref().map(Analyser::counts).unwrap_or_default();
        message::info(format_args!(
            "{} packets, {} analysed, {} filtered, {} malformed, {} cut short; {} alert messages",
            self.frames,
            counts.analysed,
            self.frames - self.passed - counts.unsupported,
            counts.malformed,
            counts.truncated,
            self.alerts
        ));
    }
}

fn wrong_link(link: LinkType) -> String {
    format!(
        "link type {link} is not read; Ethernet (1), raw IP (101, 228, 229), Linux cooked (113, 276) \
         and loopback (0, 108) are"
    )
}

/// Most bytes that a frame may have; a filter that matches returns it.
const SNAP_BYTES: u32 = 262_144;

/// Expression and simple filters, compiled once for each link type that occurs. A frame must pass both.
struct Filter {
    expression: String,
    simple: Simple,
    compiled: Vec<(LinkType, Program)>,
}

impl Filter {
    fn is_empty(&self) -> bool {
        self.simple == Simple::default() && self.expression.is_empty()
    }

    fn compile(&self, link: LinkType) -> Result<Program, Failure> {
        let expression = sentinel_filter::compile(&self.expression, link, SNAP_BYTES)
            .map_err(|error| Failure::Other(explain(&self.expression, &error)))?;
        let simple = self
            .simple
            .compile(link)
            .map_err(|error| Failure::new(format!("filter on link type {link}: {error}")))?;
        expression.and(&simple).map_err(|error| Failure::new(format!("filter: {error}")))
    }

    fn passes(&mut self, frame: &Frame<'_>) -> Result<bool, Failure> {
        if self.is_empty() {
            return Ok(true);
        }
        let index = match self.compiled.iter().position(|(link, _)| *link == frame.link) {
            Some(index) => index,
            None => {
                self.compiled.push((frame.link, self.compile(frame.link)?));
                self.compiled.len() - 1
            }
        };
        let packet = Packet { bytes: frame.bytes, wire_len: frame.wire_len, vlan: frame.vlan };
        Ok(self.compiled.get(index).is_some_and(|(_, program)| program.matches(&packet)))
    }
}

/// `--protocol NAME`.
pub(crate) fn protocol(text: &str) -> Result<Protocol, String> {
    text.parse().map_err(|_| {
        let names: Vec<&str> = Protocol::all().map(Protocol::name).collect();
        format!("protocol '{text}' is not one of {}", names.join(", "))
    })
}

/// `--ip ADDRESS`.
pub(crate) fn address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| format!("'{text}' is not an IPv4 or IPv6 address"))
}

/// `--port NUMBER`.
pub(crate) fn port(text: &str) -> Result<Port, String> {
    text.parse().map(Port).map_err(|_| format!("port '{text}' is not a number from 0 to 65535"))
}
