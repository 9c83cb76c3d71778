//! Serial device: a character device that is a terminal, opened without waiting, in raw mode.
//!
//! Read first: `termios(3)`, `proc_pid_stat(5)`. A terminal that is the controlling terminal of some process is refused: a getty, a
//! shell or the terminal of this program. Two readers would each get half of what is typed, a password among it.

use std::fmt;
use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use embedded_io::{ErrorKind, ErrorType, Read, Write};
use rustix::fs::{FileType, Mode, OFlags, fstat, major, minor, open};
use rustix::io::Errno;
use rustix::termios::{ControlModes, OptionalActions, tcgetattr, tcsetattr};

/// Error of a device. One that would have to wait is [`ErrorKind::TimedOut`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct PortError(pub(crate) Errno);

impl fmt::Display for PortError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl std::error::Error for PortError {}

impl embedded_io::Error for PortError {
    fn kind(&self) -> ErrorKind {
        match self.0 {
            Errno::AGAIN => ErrorKind::TimedOut,
            Errno::INTR => ErrorKind::Interrupted,
            _ => ErrorKind::Other,
        }
    }
}

/// Open serial device.
#[derive(Debug)]
pub(crate) struct Port(OwnedFd);

impl Port {
    /// Opens the device with this speed, in bits a second.
    ///
    /// # Errors
    /// The reason, for the operator.
    pub(crate) fn open(path: &Path, speed: u32) -> Result<Self, String> {
        // Without waiting for a carrier, and without becoming the terminal of this process.
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let device = open(path, flags, Mode::empty()).map_err(|errno| errno.to_string())?;
        let stat = fstat(&device).map_err(|errno| errno.to_string())?;
        let is_character = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice;
        let mut modes =
            tcgetattr(&device).ok().filter(|_| is_character).ok_or("no terminal, want a serial device")?;
        if let Some(holder) = holder(terminal_number(major(stat.st_rdev), minor(stat.st_rdev))) {
            return Err(format!("in use by {holder}; take its getty away first"));
        }
        modes.make_raw();
        // Whoever is at the other end has three wires.
        modes.control_modes |= ControlModes::CLOCAL | ControlModes::CREAD;
        modes.set_speed(speed).map_err(|_| format!("{speed} bits a second are not supported"))?;
        tcsetattr(&device, OptionalActions::Now, &modes).map_err(|errno| errno.to_string())?;
        Ok(Self(device))
    }
}

impl AsFd for Port {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl ErrorType for &Port {
    type Error = PortError;
}

impl Read for &Port {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, PortError> {
        rustix::io::read(&self.0, buffer).map_err(PortError)
    }
}

impl Write for &Port {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, PortError> {
        // None written of some is a line that takes nothing now.
        match rustix::io::write(&self.0, bytes) {
            Ok(0) | Err(Errno::AGAIN) => Err(PortError(Errno::AGAIN)),
            outcome => outcome.map_err(PortError),
        }
    }

    fn flush(&mut self) -> Result<(), PortError> {
        Ok(())
    }
}

/// Number of a terminal as `/proc/PID/stat` has it (`new_encode_dev` of the kernel).
const fn terminal_number(major: u32, minor: u32) -> u32 {
    minor & 0xff | major << 8 | (minor & 0xfff_ff00) << 12
}

/// Process whose controlling terminal has this number: `process 812 (agetty)`. None without `/proc`, or if it hides others.
fn holder(terminal: u32) -> Option<String> {
    fs::read_dir("/proc").ok()?.filter_map(Result::ok).find_map(|entry| {
        let name = entry.file_name();
        let process: u32 = name.to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        (controlling_terminal(&stat)? == terminal).then(|| {
            let command = stat.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')'));
            format!("process {process} ({})", command.map_or("?", |(command, _)| command))
        })
    })
}

/// Seventh field of `/proc/PID/stat`; the second is a name in parentheses, which may hold any.
fn controlling_terminal(stat: &str) -> Option<u32> {
    let (_, fields) = stat.rsplit_once(')')?;
    // State, parent, group, session, terminal: a signed number, zero without one.
    let number: i32 = fields.split_whitespace().nth(4)?.parse().ok()?;
    Some(number.cast_unsigned()).filter(|number| *number != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_controlling_terminal_is_read() {
        let stat = "812 (a) b (c)) S 1 812 812 1088 812 4194560 210 0";
        assert_eq!(controlling_terminal(stat), Some(terminal_number(4, 64)), "ttyS0");
        assert_eq!(controlling_terminal("9 (x) S 1 9 9 0 -1"), None, "a daemon");
        assert_eq!(controlling_terminal("9 (x) S 1"), None);
        assert_eq!(controlling_terminal(""), None);
        assert_eq!(terminal_number(136, 300), 0x0010_882c, "pts/300");
    }

    #[test]
    fn what_is_no_terminal_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for path in [Path::new("/dev/null"), file.path()] {
            assert!(Port::open(path, 115_200).unwrap_err().contains("no terminal"), "{}", path.display());
        }
        assert!(Port::open(Path::new("/no/such/device"), 9_600).unwrap_err().contains("No such file"));
    }
}
