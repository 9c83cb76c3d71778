//! Damaged files of the sensor: recognised, moved aside, and remembered until an alert about them is on flash.
//!
//! A file is damaged if it was read and is not what the sensor writes: another length, a wrong checksum, a link, a directory. A
//! read that fails (no permission, a failing medium) is not damage, and moves nothing: it may succeed the next time.
//!
//! A damaged file `NAME` is renamed to `NAME.damaged-new`, and to `NAME.damaged` once the alert about it is on flash; a start
//! in between tells it again. Each name exists once, so that damage in a loop takes at most the space of two files.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::system::private_files::no_links;
use crate::terminal::log;

/// Last part of the name of a damaged file.
const SUFFIX: &str = ".damaged";
/// Suffix before the alert about the file is on flash.
const NEW_SUFFIX: &str = ".damaged-new";

/// State of a file that the sensor wrote.
#[derive(Debug)]
pub(crate) enum FileState<T> {
    Absent,
    Good(T),
    /// Reason why it counts as damaged.
    Damaged(String),
    /// Reason why it cannot be read, which says nothing about its content.
    Unreadable(String),
}

impl<T> FileState<T> {
    /// Decodes the content; `None` is damage.
    pub(crate) fn and_then<U>(self, decode: impl FnOnce(T) -> Result<U, String>) -> FileState<U> {
        match self {
            Self::Absent => FileState::Absent,
            Self::Good(content) => match decode(content) {
                Ok(content) => FileState::Good(content),
                Err(what) => FileState::Damaged(what),
            },
            Self::Damaged(what) => FileState::Damaged(what),
            Self::Unreadable(why) => FileState::Unreadable(why),
        }
    }
}

/// Looks at the entry of a directory, without following a link.
pub(crate) fn look(path: &Path) -> FileState<()> {
    let kind = match fs::symlink_metadata(path) {
        Ok(about) => about.file_type(),
        Err(error) if error.kind() == ErrorKind::NotFound => return FileState::Absent,
        Err(error) => return FileState::Unreadable(error.to_string()),
    };
    match (kind.is_file(), kind.is_symlink(), kind.is_dir()) {
        (true, ..) => FileState::Good(()),
        (_, true, _) => {
            let target = fs::read_link(path).unwrap_or_default();
            // It is shown on terminals.
            let shown = |char: char| if char.is_ascii_graphic() { char } else { '?' };
            let target: String = target.to_string_lossy().chars().map(shown).collect();
            FileState::Damaged(format!("not a file, a link to {target}"))
        }
        (.., true) => FileState::Damaged("not a file, a directory".into()),
        _ => FileState::Damaged("not a file".into()),
    }
}

/// Reads a file into `buffer`; gives its length, which is that of the buffer if the file is longer. One that others can read is
/// closed to them.
pub(crate) fn read(path: &Path, buffer: &mut [u8]) -> FileState<usize> {
    match look(path) {
        FileState::Good(()) => {}
        other => return other.and_then(|()| Ok(0)),
    }
    match try_read(path, buffer) {
        Ok(length) => FileState::Good(length),
        Err(error) => FileState::Unreadable(error.to_string()),
    }
}

fn try_read(path: &Path, buffer: &mut [u8]) -> io::Result<usize> {
    let mut file = no_links().read(true).open(path)?;
    let mode = file.metadata()?.mode() & 0o777;
    if mode & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600))?;
        log::warn(format_args!("{}: mode {mode:03o} let others read it; set to 600", path.display()));
    }
    let mut length = 0;
    while let Some(rest) = buffer.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// A damaged file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Damage {
    /// Name of the file in its directory.
    pub(crate) file: &'static str,
    pub(crate) problem: String,
    /// Directory in which it was moved aside; `None` if it stays in use, as far as it is good.
    pub(crate) moved_in: Option<PathBuf>,
}

/// Damage found at the start.
#[derive(Debug, Default)]
pub(crate) struct Damages(Vec<Damage>);

impl Damages {
    /// Moves `file` aside.
    ///
    /// # Errors
    /// It cannot be moved, and stays.
    pub(crate) fn move_aside(
        &mut self,
        directory: &Path,
        file: &'static str,
        problem: &str,
    ) -> io::Result<()> {
        let path = directory.join(file);
        match rename(&path, &with_suffix(&path, NEW_SUFFIX)) {
            // Landlock lets the sensor remove a link, not make one; `problem` has all that is in it.
            Err(error) if error.kind() == ErrorKind::PermissionDenied && path.is_symlink() => {
                fs::remove_file(&path)?;
            }
            outcome => outcome?,
        }
        log::error(format_args!(
            "{}: damaged, {problem}; moved aside as {file}{SUFFIX}, the sensor goes on with a new one",
            path.display()
        ));
        self.0.push(Damage { file, problem: problem.to_owned(), moved_in: Some(directory.to_owned()) });
        Ok(())
    }

    /// Records damage to a file that stays where it is.
    pub(crate) fn note(&mut self, file: &'static str, problem: String) {
        log::error(format_args!("{file}: damaged, {problem}"));
        self.0.push(Damage { file, problem, moved_in: None });
    }

    /// Records what an earlier start moved aside and could not tell.
    pub(crate) fn find_untold(&mut self, directory: &Path, files: &[&'static str]) {
        for file in files {
            let path = with_suffix(&directory.join(file), NEW_SUFFIX);
            if fs::symlink_metadata(path).is_ok() {
                let (problem, moved_in) =
                    ("moved aside by an earlier start".into(), Some(directory.to_owned()));
                self.0.push(Damage { file, problem, moved_in });
            }
        }
    }

    /// The alerts about all of it are on flash: what was moved aside gets its last name, in place of an older one.
    pub(crate) fn told(&self) {
        for damage in &self.0 {
            if let Some(directory) = &damage.moved_in {
                let path = directory.join(damage.file);
                // What stays under its first name is told again by the next start.
                let _told_again = rename(&with_suffix(&path, NEW_SUFFIX), &with_suffix(&path, SUFFIX));
            }
        }
    }

    pub(crate) fn list(&self) -> &[Damage] {
        &self.0
    }
}

/// Returns true if `file` was moved aside by this start or an earlier one.
pub(crate) fn was_moved_aside(directory: &Path, file: &str) -> bool {
    let path = directory.join(file);
    [SUFFIX, NEW_SUFFIX].iter().any(|suffix| fs::symlink_metadata(with_suffix(&path, suffix)).is_ok())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Renames, over a file, a link or an empty directory of the new name, and makes that durable.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    crash_point();
    if let Err(first) = fs::rename(from, to) {
        // A file does not replace a directory, nor the other way round.
        fs::remove_file(to).or_else(|_| fs::remove_dir(to)).map_err(|_| first)?;
        crash_point();
        fs::rename(from, to)?;
    }
    crash_point();
    let directory = to.parent().unwrap_or(Path::new("."));
    fs::File::open(directory)?.sync_all()
}

/// Place between two changes of the state directory at which a program may be killed.
#[cfg(not(test))]
pub(crate) const fn crash_point() {}

#[cfg(test)]
pub(crate) use crashing::crash_point;

/// Kills for tests: a panic at the nth crash point of this thread.
#[cfg(test)]
pub(crate) mod crashing {
    use std::cell::Cell;

    thread_local! {
        static LEFT: Cell<u32> = const { Cell::new(u32::MAX) };
    }

    pub(crate) fn crash_point() {
        let left = LEFT.get();
        LEFT.set(left.saturating_sub(1));
        assert!(left > 0, "killed");
    }

    /// Runs `run` up to its crash point `number`; `None` if it was killed there.
    pub(crate) fn until<T>(number: u32, run: impl FnOnce() -> T) -> Option<T> {
        LEFT.set(number);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
        LEFT.set(u32::MAX);
        outcome.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// Every kind of entry that can stand in place of a file.
    #[test]
    fn everything_is_moved_aside_over_everything_and_takes_two_names() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path();
        let at = |name: &str| directory.join(name);
        let make = |kind: usize| match kind {
            0 => fs::write(at("log"), "some").unwrap(),
            1 => fs::create_dir(at("log")).unwrap(),
            _ => symlink("/etc/passwd", at("log")).unwrap(),
        };
        for (first, second) in (0..9).map(|pair| (pair / 3, pair % 3)) {
            for kind in [first, second] {
                make(kind);
                let mut damages = Damages::default();
                damages.move_aside(directory, "log", "of the test").unwrap();
                assert!(matches!(look(&at("log")), FileState::Absent));
                assert!(was_moved_aside(directory, "log"));
                let mut again = Damages::default();
                again.find_untold(directory, &["log", "log.key"]);
                assert_eq!((again.list().len(), again.list()[0].file), (1, "log"));
                damages.told();
                again = Damages::default();
                again.find_untold(directory, &["log"]);
                assert_eq!(again.list(), []);
                let moved = fs::symlink_metadata(at("log.damaged")).unwrap().file_type();
                assert_eq!([moved.is_file(), moved.is_dir(), moved.is_symlink()].map(usize::from)[kind], 1);
            }
        }
        assert_eq!(fs::read_dir(directory).unwrap().count(), 1);
        assert!(fs::metadata("/etc/passwd").unwrap().is_file(), "no link was followed");
    }

    #[test]
    fn what_cannot_be_moved_stays() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("log"), "some").unwrap();
        fs::create_dir_all(at("log.damaged-new/full")).unwrap();
        let mut damages = Damages::default();
        assert!(damages.move_aside(folder.path(), "log", "of the test").is_err());
        assert_eq!((damages.list(), fs::read(at("log")).unwrap()), (&[][..], b"some".to_vec()));
    }

    #[test]
    fn a_file_that_others_can_read_is_closed_to_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, "12345").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let mut buffer = [0; 4];
        assert!(matches!(read(&path, &mut buffer), FileState::Good(4)), "longer than the buffer");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert!(matches!(read(&folder.path().join("none"), &mut buffer), FileState::Absent));
        assert!(matches!(read(folder.path(), &mut buffer), FileState::Damaged(_)));
        // Reading at address 0 fails with EIO.
        let failing = Path::new("/proc/self/mem");
        assert!(matches!(read(failing, &mut buffer), FileState::Unreadable(_)), "an error is not damage");
        assert!(matches!(look(&path.join("below")), FileState::Unreadable(_)));
    }
}
