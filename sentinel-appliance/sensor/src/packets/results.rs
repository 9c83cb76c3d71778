//! `-o DIR`: a file that describes each packet, and a log of the run.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use sentinel_units::Timestamp;

use crate::packets::show::{Facts, line};
use crate::terminal::calendar;
use crate::terminal::failure::Failure;

/// Line after every packet.
const SEPARATOR: &str = "--------------------------------------------------------------------------------";
/// Files that may begin within one second.
const MAX_PER_SECOND: u32 = 100;

/// File of the packets, and the log.
pub(crate) struct Results {
    path: PathBuf,
    packets: BufWriter<File>,
    log: File,
    text: String,
}

impl Results {
    /// Creates the directory and `sentinel_results_YYYYMMDD_HHMMSS.txt` in it, and opens `sentinel.log` for appending.
    pub(crate) fn open(directory: &Path, now: Timestamp) -> Result<Self, Failure> {
        let name = |path: &Path, error: io::Error| Failure::new(format!("{}: {error}", path.display()));
        fs::create_dir_all(directory).map_err(|error| name(directory, error))?;
        let (path, packets) = create(directory, now).map_err(|error| name(directory, error))?;
        let log = directory.join("sentinel.log");
        let options = OpenOptions::new().create(true).append(true).open(&log);
        let log = options.map_err(|error| name(&log, error))?;
        Ok(Self { path, packets: BufWriter::new(packets), log, text: String::new() })
    }

    /// Appends a packet.
    pub(crate) fn packet(&mut self, at: Timestamp, facts: &Facts<'_>) -> Result<(), Failure> {
        self.text.clear();
        describe(at, facts, &mut self.text).map_err(|_| Failure::new("formatting a packet failed"))?;
        self.packets.write_all(self.text.as_bytes()).map_err(|error| failure(&self.path, &error))
    }

    /// Appends lines to the log, each with the time.
    pub(crate) fn log(&mut self, now: Timestamp, text: &str) -> Result<(), Failure> {
        let mut lines = String::new();
        for entry in text.lines() {
            line::time(now, &mut lines).map_err(|_| Failure::new("formatting a time failed"))?;
            lines.extend([" ", entry, "\n"]);
        }
        self.log.write_all(lines.as_bytes()).map_err(|error| Failure::new(format!("sentinel.log: {error}")))
    }

    /// Writes the buffers.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.packets.flush().map_err(|error| failure(&self.path, &error))
    }

    /// Path of the file of the packets.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

fn failure(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("{}: {error}", path.display()))
}

fn create(directory: &Path, now: Timestamp) -> io::Result<(PathBuf, File)> {
    let stem = format!("sentinel_results_{}", calendar::compact(now));
    let mut number = 1;
    loop {
        let suffix = if number == 1 { String::new() } else { format!("_{number}") };
        let path = directory.join(format!("{stem}{suffix}.txt"));
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < MAX_PER_SECOND => {
                number += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

fn describe(at: Timestamp, facts: &Facts<'_>, out: &mut String) -> std::fmt::Result {
    use std::fmt::Write;
    let (source, destination) = facts.endpoints();
    out.push_str("Time: ");
    line::time(at, out)?;
    write!(out, "\nProtocol: {}\n{source} -> {destination}\nSummary: ", facts.protocol)?;
    line::summary(facts, out)?;
    writeln!(out, "\n{SEPARATOR}")
}
