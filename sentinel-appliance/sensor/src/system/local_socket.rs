//! Listening Unix sockets in the run directory, for status and commands.

use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use rustix::fs::Mode;
use rustix::process::umask;

use crate::terminal::failure::Failure;

/// Opens a socket that only the own user may connect to. One left over by a killed sensor is replaced.
///
/// # Errors
/// If another sensor answers on it, or the file system refuses.
pub(crate) fn listen(path: &Path) -> Result<UnixListener, Failure> {
    let at = |error: std::io::Error| Failure::new(format!("{}: {error}", path.display()));
    if UnixStream::connect(path).is_ok() {
        return Err(Failure::new(format!(
            "{}: another sensor is running; stop it first, or set another run_dir and state_dir",
            path.display()
        )));
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(at(error)),
        _ => {}
    }
    // By the mask, because a change of the mode afterwards would follow a link. There is one thread at the start, so no other
    // file is made meanwhile.
    let mask = umask(Mode::RWXG | Mode::RWXO | Mode::XUSR);
    let listener = UnixListener::bind(path).map_err(at);
    umask(mask);
    listener
}
