//! `-w FILE`: capture files, with the rotation by size and time of tcpdump.

use std::fs::File;
use std::io::{self, BufWriter};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;

use sentinel_capture::Frame;
use sentinel_capture::file::FileKind;
use sentinel_capture::write::{InterfaceId, PcapWriter, PcapngWriter};
use sentinel_units::{LinkType, Timestamp};

use crate::terminal::calendar;
use crate::terminal::failure::Failure;
use crate::terminal::zone::Zone;

/// Path, format and rotation of capture files.
#[derive(Clone, Debug)]
pub(crate) struct SaveRequest {
    /// `-` is standard output. With `rotate_after`, a pattern of `strftime(3)`.
    pub(crate) path: PathBuf,
    pub(crate) kind: FileKind,
    /// `-C`: another file once this one is larger.
    pub(crate) rotate_bytes: Option<u64>,
    /// `-G`: another file after this time.
    pub(crate) rotate_after: Option<Duration>,
    /// `-W`: number of files; with `rotate_bytes` the first is overwritten after the last, without it the capture ends.
    pub(crate) files: Option<u64>,
    /// Zone of the dates in names.
    pub(crate) zone: &'static Zone,
    /// Longest frame; [`MAX_FRAME`](sentinel_capture::file::MAX_FRAME) if frames are not cut.
    pub(crate) snap_bytes: u32,
}

/// Capture file that is being written, and the naming of the next.
pub(crate) struct Save {
    request: SaveRequest,
    /// Names of live interfaces, indexed by the number in their frames.
    interfaces: Vec<String>,
    writer: Option<Writer>,
    /// Time at which the files of this name began.
    began: Timestamp,
    /// Files of this name before the current one.
    numbered: u64,
    /// Names before the current one.
    named: u64,
}

struct Writer {
    name: String,
    link: LinkType,
    snap_bytes: u32,
    format: Format,
}

enum Format {
    Pcap(PcapWriter<BufWriter<File>>),
    /// With the interfaces described so far.
    Pcapng(PcapngWriter<BufWriter<File>>, Vec<((u16, LinkType), InterfaceId)>),
}

/// Outcome of writing a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Saved {
    Yes,
    /// The packet was not written: the last of the files is full.
    AllFilesFull,
}

const BUFFER_BYTES: usize = 64 * 1024;

impl Save {
    /// Creates no file yet.
    pub(crate) fn new(request: SaveRequest, interfaces: Vec<String>) -> Self {
        Self { request, interfaces, writer: None, began: Timestamp::ZERO, numbered: 0, named: 0 }
    }

    /// Creates the first file, if there is none, so that it is there even if no packet comes.
    pub(crate) fn begin(&mut self, at: Timestamp, link: LinkType) -> Result<(), Failure> {
        if self.writer.is_none() {
            self.began = at;
            self.open(link)?;
        }
        Ok(())
    }

    /// Writes a frame, after rotation if it is due.
    pub(crate) fn write(&mut self, frame: &Frame<'_>) -> Result<Saved, Failure> {
        self.begin(frame.at, frame.link)?;
        // Both limits are checked before a frame is written, as tcpdump does: a file may exceed `rotate_bytes` by its
        // last frame, and the next period starts with a frame, not with the clock.
        if self.request.rotate_after.is_some_and(|after| frame.at.since(self.began) >= after) {
            self.named += 1;
            if self.request.rotate_bytes.is_none()
                && self.request.files.is_some_and(|most| self.named >= most)
            {
                return Ok(Saved::AllFilesFull);
            }
            self.began = frame.at;
            self.numbered = 0;
            self.open(frame.link)?;
        }
        let written = self.writer.as_ref().map_or(0, Writer::written);
        if self.request.rotate_bytes.is_some_and(|most| written > most) {
            self.numbered += 1;
            if self.request.files.is_some_and(|most| self.numbered >= most) {
                // The first file is created again, which empties it.
                self.numbered = 0;
            }
            self.open(frame.link)?;
        }
        let name = interface_name(&self.interfaces, frame.interface);
        match &mut self.writer {
            Some(writer) => writer.write(frame, name)?,
            None => return Ok(Saved::AllFilesFull),
        }
        Ok(Saved::Yes)
    }

    /// Writes the buffer.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.writer.as_mut().map_or(Ok(()), Writer::flush)
    }

    fn open(&mut self, link: LinkType) -> Result<(), Failure> {
        // The buffer of the file before is written here, because its drop would ignore the error of a full disk.
        self.flush()?;
        let (name, file) = if self.request.path.as_os_str() == "-" {
            // A duplicate: dropping the writer does not close standard output.
            let file = io::stdout().as_fd().try_clone_to_owned().map(File::from);
            ("standard output".to_owned(), file)
        } else {
            let path = PathBuf::from(self.name()?);
            (path.display().to_string(), File::create(&path))
        };
        let file = file.map_err(|error| Failure::new(format!("{name}: {error}")))?;
        let out = BufWriter::with_capacity(BUFFER_BYTES, file);
        let format = match self.request.kind {
            FileKind::Pcap => PcapWriter::new(out, link, self.request.snap_bytes).map(Format::Pcap),
            FileKind::Pcapng => PcapngWriter::new(out).map(|writer| Format::Pcapng(writer, Vec::new())),
        };
        let format = format.map_err(|error| failure(&name, &error))?;
        self.writer = Some(Writer { name, link, snap_bytes: self.request.snap_bytes, format });
        Ok(())
    }

    /// Name of the next file: the pattern with its date, then the number.
    fn name(&self) -> Result<String, Failure> {
        let pattern = self.request.path.to_str().ok_or_else(|| Failure::new("-w: the name is not UTF-8"))?;
        let mut name = String::new();
        if self.request.rotate_after.is_some() {
            calendar::format(pattern, self.began, self.request.zone, &mut name)
                .map_err(Failure::bad_usage)?;
        } else {
            name.push_str(pattern);
        }
        if self.request.rotate_bytes.is_some() {
            let width = self.request.files.map_or(0, digits);
            if self.numbered > 0 || width > 0 {
                name.push_str(&format!("{:0width$}", self.numbered));
            }
        }
        Ok(name)
    }
}

/// Digits of the largest number of `files` files; zero if there is only one.
fn digits(files: u64) -> usize {
    let last = files.saturating_sub(1);
    if last == 0 { 0 } else { last.to_string().len() }
}

fn interface_name(interfaces: &[String], number: u16) -> &str {
    interfaces.get(usize::from(number)).map_or("", String::as_str)
}

fn failure(name: &str, error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::BrokenPipe && name == "standard output" {
        return Failure::output_closed();
    }
    Failure::new(format!("{name}: {error}"))
}

impl Writer {
    fn write(&mut self, frame: &Frame<'_>, interface: &str) -> Result<(), Failure> {
        let written = match &mut self.format {
            Format::Pcap(_) if frame.link != self.link => {
                return Err(Failure::new(format!(
                    "{}: frames of link types {} and {} do not go into one pcap file; want pcapng (--format pcapng)",
                    self.name, self.link, frame.link
                )));
            }
            Format::Pcap(writer) => writer.write(frame),
            Format::Pcapng(writer, known) => describe(writer, known, frame, interface, self.snap_bytes)
                .and_then(|id| writer.write(id, frame)),
        };
        written.map_err(|error| failure(&self.name, &error))
    }

    fn written(&self) -> u64 {
        match &self.format {
            Format::Pcap(writer) => writer.written(),
            Format::Pcapng(writer, _) => writer.written(),
        }
    }

    fn flush(&mut self) -> Result<(), Failure> {
        let flushed = match &mut self.format {
            Format::Pcap(writer) => writer.flush(),
            Format::Pcapng(writer, _) => writer.flush(),
        };
        flushed.map_err(|error| failure(&self.name, &error))
    }
}

/// Interface of a frame; written to the file before its first frame.
fn describe(
    writer: &mut PcapngWriter<BufWriter<File>>,
    known: &mut Vec<((u16, LinkType), InterfaceId)>,
    frame: &Frame<'_>,
    name: &str,
    snap_bytes: u32,
) -> io::Result<InterfaceId> {
    // A pcapng interface has one link type, and a live interface that comes back may have another.
    let key = (frame.interface, frame.link);
    if let Some((_, id)) = known.iter().find(|(other, _)| *other == key) {
        return Ok(*id);
    }
    let id = writer.add_interface(name, frame.link, snap_bytes)?;
    known.push((key, id));
    Ok(id)
}
