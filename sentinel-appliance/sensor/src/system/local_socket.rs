//! Listening Unix sockets in the run directory, for status and commands.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

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
    // The run directory has mode 0700, so no other user reaches the socket between these two calls.
    let listener = UnixListener::bind(path).map_err(at)?;
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).map_err(at)?;
    Ok(listener)
}
