//! Listening Unix sockets in the run directory, for status and commands.

use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use rustix::fs::Mode;
use rustix::process::umask;

use crate::terminal::failure::Failure;
use crate::terminal::log;

/// Opens a socket that only the own user may connect to. One left over by a killed sensor is replaced. `None` if the file system
/// refuses, as a full RAM disk does: the sensor watches without it.
///
/// # Errors
/// Another sensor answers on it.
pub(crate) fn listen(path: &Path) -> Result<Option<UnixListener>, Failure> {
    if UnixStream::connect(path).is_ok() {
        return Err(Failure::new(format!(
            "{}: another sensor is running; stop it first, or set another run_dir and state_dir",
            path.display()
        )));
    }
    // An empty directory in its place, too. What stays is an error of binding.
    let _is_gone = std::fs::remove_file(path).or_else(|_| std::fs::remove_dir(path));
    // By the mask, because a change of the mode afterwards would follow a link. There is one thread at the start, so no other
    // file is made meanwhile.
    let mask = umask(Mode::RWXG | Mode::RWXO | Mode::XUSR);
    let listener = UnixListener::bind(path);
    umask(mask);
    Ok(match listener {
        Ok(listener) => Some(listener),
        Err(error) => {
            log::error(format_args!("{}: {error}; the sensor watches without this socket", path.display()));
            None
        }
    })
}
