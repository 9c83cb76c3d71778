//! `sentinel read FILE`: packets of a capture file.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use sentinel_capture::Frame;
use sentinel_capture::file::{FileError, FileKind, Reader};
use sentinel_filter::Target;
use sentinel_units::{LinkType, Timestamp};

use crate::packets::filter::PacketFilter;
use crate::packets::input::{self, PacketInput};
use crate::packets::options::{PacketOptions, View};
use crate::packets::pipeline::PacketPipeline;
use crate::packets::show::progress::Progress;
use crate::packets::totals::{PacketSource, Totals};
use crate::settings::Settings;
use crate::system::signals::Interrupt;
use crate::terminal::failure::Failure;
use crate::terminal::log;

/// Arguments of `read`.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) file: PathBuf,
    pub(crate) options: PacketOptions,
    /// Key of the hash tables; constant unless given, so that runs are repeatable.
    pub(crate) seed: u64,
    /// A progress bar may be drawn on the terminal.
    pub(crate) progress: bool,
}

/// Frames of one bulk read, after which progress and signals are checked.
const BATCH_FRAMES: u64 = 1_024;

/// Key of the hash tables when reading files.
pub(crate) const FILE_SEED: u64 = 0x5345_4e54_494e_454c;

/// Reads the file.
///
/// # Errors
/// The file is damaged; everything before that place was printed.
pub(crate) fn read(request: &Request, settings: &Settings) -> Result<(), Failure> {
    // Before the pipeline is made, which creates the file and so empties it.
    if let Some(save) = &request.options.save
        && is_same_file(&save.path, &request.file)
    {
        return Err(Failure::usage(format!("-w {}: this is the file that is read", save.path.display())));
    }
    let filter = PacketFilter::new(request.options.expression.clone(), request.options.filter);
    // Before anything is opened or created: a wrong filter must not leave empty files and totals of nothing.
    filter.check(Target::File)?;
    let file = input::open(&request.file)?;
    let interrupt = Rc::new(Interrupt::catch()?);
    let packets = PacketPipeline::new(&request.options, settings, request.seed, Vec::new(), &[])?;
    let packets = Rc::new(RefCell::new(packets));
    let stopped = Rc::new(Cell::new(false));
    let input = PacketInput::new(file, interrupt, packets.clone(), stopped.clone());
    let is_file = input.length().is_some();
    let progress = input.length().filter(|_| request.progress).and_then(Progress::new);
    let name = input::name(&request.file);
    packets.borrow_mut().log(&format!("reading {name}{}", request.options.filter_text()))?;
    let mut reading = Reading {
        name,
        options: &request.options,
        filter,
        packets,
        stopped,
        is_file,
        progress,
        frames: 0,
        end: None,
        unsupported: None,
    };
    let outcome = reading.frames(input);
    reading.finish(&outcome)?;
    outcome
}

struct Reading<'r> {
    /// Name of the input in messages.
    name: String,
    options: &'r PacketOptions,
    filter: PacketFilter,
    packets: Rc<RefCell<PacketPipeline>>,
    /// A signal has ended the input.
    stopped: Rc<Cell<bool>>,
    is_file: bool,
    progress: Option<Progress>,
    frames: u64,
    /// Packet time at which the duration has passed.
    end: Option<Timestamp>,
    unsupported: Option<LinkType>,
}

impl Reading<'_> {
    fn frames(&mut self, input: PacketInput) -> Result<(), Failure> {
        let mut reader = Reader::open(input).map_err(|error| self.in_file(&error))?;
        if reader.kind() == FileKind::Pcap {
            // The link type of a pcap file is at byte 20 of its header.
            if let Some(link) = reader.link_types().find(|link| !self.can_read(*link)) {
                return Err(Failure::new(format!("{}: offset 20: {}", self.name, wrong_link(link))));
            }
        }
        if self.bypasses_pipeline() {
            self.read_bulk(&mut reader)?;
        }
        // After its last frame the reader stays at the end.
        if let Some(link) = reader.link_types().next() {
            self.packets.borrow_mut().announce(link);
        }
        // Ends at once after a bulk read: behind its end, or an error, the reader gives no frame.
        self.read_packets(&mut reader)?;
        match self.unsupported {
            Some(link) if self.packets.borrow().count() == 0 => {
                Err(Failure::new(format!("{}: offset {}: {}", self.name, reader.offset(), wrong_link(link))))
            }
            Some(link) => {
                log::warn(format_args!("{}: frames skipped: {}", self.name, wrong_link(link)));
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn in_file(&self, error: &FileError) -> Failure {
        Failure::new(format!("{}: {error}", self.name))
    }

    /// Reads in bulk up to the end of the file, or up to a signal.
    fn read_bulk(&mut self, reader: &mut Reader<'_>) -> Result<(), Failure> {
        loop {
            // The pipeline is borrowed while the reader reads. `PacketInput` borrows it only to flush while it waits,
            // which a regular file never makes it do.
            let bulk = self.packets.borrow_mut().bulk_read(reader, BATCH_FRAMES)?;
            self.frames += bulk.frames;
            self.unsupported = bulk.unsupported.or(self.unsupported);
            if let Some(progress) = &mut self.progress {
                progress.packet(reader.offset());
            }
            match bulk.error {
                Some(error) if !self.stopped.get() => return Err(self.in_file(&error)),
                error if bulk.is_over || error.is_some() => return Ok(()),
                _ => {}
            }
        }
    }

    /// Reads frame by frame up to the end of the file, a signal, or a limit of the options.
    fn read_packets(&mut self, reader: &mut Reader<'_>) -> Result<(), Failure> {
        loop {
            let frame = match reader.next() {
                Ok(Some(frame)) => frame,
                // The input was cut by a signal: no error of the file.
                Err(_) if self.stopped.get() => return Ok(()),
                Ok(None) => return Ok(()),
                Err(error) => return Err(self.in_file(&error)),
            };
            if self.is_too_late(frame.at) {
                return Ok(());
            }
            // Counted before the filter: the totals show frames read and frames filtered.
            self.frames += 1;
            if !self.can_read(frame.link) {
                self.unsupported = Some(frame.link);
            } else if self.filter.passes(&frame)? && self.is_last(&frame)? {
                return Ok(());
            }
            if let Some(progress) = &mut self.progress {
                progress.packet(reader.offset());
            }
        }
    }

    /// Processes a frame that passes the filter; returns true if a limit is reached. A frame past the last file of `-G -W` is
    /// not processed, and so not counted as read: it would look filtered.
    fn is_last(&mut self, frame: &Frame<'_>) -> Result<bool, Failure> {
        let mut packets = self.packets.borrow_mut();
        let before = packets.count();
        let is_last = packets.packet(frame)?.is_break();
        if is_last && packets.count() == before {
            self.frames -= 1;
        }
        Ok(is_last)
    }

    /// Returns true if frames are read in bulk. Not from a pipe, which may block between two frames.
    fn bypasses_pipeline(&self) -> bool {
        self.is_file
            && self.options.duration.is_none()
            && self.filter.is_empty()
            && self.packets.borrow().can_bulk_read()
    }

    /// Returns true if the duration has passed, in packet time from the first packet on.
    fn is_too_late(&mut self, at: Timestamp) -> bool {
        let Some(duration) = self.options.duration else { return false };
        at >= *self.end.get_or_insert(at.after(duration))
    }

    /// Returns true if frames of this link type can be processed. Views of single packets, counting and saving take every link
    /// type; filters, detectors, records and flows need a supported one.
    fn can_read(&self, link: LinkType) -> bool {
        let dissects =
            self.options.view.has_alerts() || matches!(self.options.view, View::Records | View::Flows);
        link.is_supported() || !dissects && self.filter.is_empty()
    }

    fn finish(&mut self, outcome: &Result<(), Failure>) -> Result<(), Failure> {
        if let Some(progress) = &mut self.progress {
            progress.finish();
        }
        let mut packets = self.packets.borrow_mut();
        if let Err(failure) = outcome {
            packets.log(&failure.to_string())?;
        }
        let filtered = self.frames.saturating_sub(packets.count());
        packets.finish(&Totals {
            received: self.frames,
            filtered: Some(filtered),
            dropped: None,
            source: PacketSource::File,
        })
    }
}

fn wrong_link(link: LinkType) -> String {
    format!(
        "link type {link} is not read; Ethernet (1), raw IP (101, 228, 229), Linux cooked (113, 276) \
         and loopback (0, 108) are"
    )
}

/// Returns true if two paths are the same file, which `-w` would truncate before it is read.
fn is_same_file(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let about = |path: &Path| std::fs::metadata(path).map(|about| (about.dev(), about.ino()));
    matches!((about(one), about(other)), (Ok(one), Ok(other)) if one == other)
}
