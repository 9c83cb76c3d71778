//! Input of a capture file, from a file or a pipe, that a signal ends.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::rc::Rc;

use rustix::event::{PollFd, PollFlags};

use crate::packets::pipeline::PacketPipeline;
use crate::system::signals::{Interrupt, poll};
use crate::terminal::failure::Failure;

/// Reader of a file or pipe. While it waits for a pipe, the output is flushed; a signal is the end of the input.
pub(crate) struct PacketInput {
    file: File,
    interrupt: Rc<Interrupt>,
    packets: Rc<RefCell<PacketPipeline>>,
    stopped: Rc<Cell<bool>>,
    /// Reads left before the next check for a signal; only of a regular file, which never blocks.
    reads_before_poll: u8,
    is_file: bool,
}

/// Reads of a regular file between two checks for a signal: about a millisecond.
const READS_BEFORE_POLL: u8 = 32;

impl PacketInput {
    /// Reads `file`; sets `stopped` if a signal ended the input.
    pub(crate) fn new(
        file: File,
        interrupt: Rc<Interrupt>,
        packets: Rc<RefCell<PacketPipeline>>,
        stopped: Rc<Cell<bool>>,
    ) -> Self {
        let is_file = file.metadata().is_ok_and(|about| about.is_file());
        Self { file, interrupt, packets, stopped, reads_before_poll: 0, is_file }
    }

    /// Length of a regular file; `None` for a pipe.
    pub(crate) fn length(&self) -> Option<u64> {
        self.file.metadata().ok().filter(std::fs::Metadata::is_file).map(|about| about.len())
    }
}

/// Name of the input in messages.
pub(crate) fn name(path: &Path) -> String {
    if is_standard_input(path) { "standard input".to_owned() } else { path.display().to_string() }
}

fn is_standard_input(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Opens the file, or standard input if the path is `-`.
pub(crate) fn open(path: &Path) -> Result<File, Failure> {
    open_file(path).map_err(|error| Failure::new(format!("{}: {error}", name(path))))
}

/// Opens standard input without the buffer of the standard library: `poll` does not see bytes in that buffer.
fn open_file(path: &Path) -> io::Result<File> {
    if is_standard_input(path) {
        return Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?));
    }
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(file)
}

impl Read for PacketInput {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_file && self.reads_before_poll > 0 {
            self.reads_before_poll -= 1;
            return self.file.read(buffer);
        }
        self.reads_before_poll = READS_BEFORE_POLL;
        let mut timeout = Some(std::time::Duration::ZERO);
        loop {
            let mut entries =
                [PollFd::new(&*self.interrupt, PollFlags::IN), PollFd::new(&self.file, PollFlags::IN)];
            match poll(&mut entries, timeout) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let [signal, input] = entries.map(|entry| !entry.revents().is_empty());
            if signal {
                self.stopped.set(true);
                return Ok(0);
            }
            if input {
                return self.file.read(buffer);
            }
            // A write that fails is reported with the next packet.
            let _unwritten = self.packets.borrow_mut().flush();
            timeout = None;
        }
    }
}
