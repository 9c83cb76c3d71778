//! Directories and files that only the sensor may change. Links are never followed at the last component of a path; earlier
//! components belong to the operator.

use std::fs::{DirBuilder, OpenOptions};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{
    Dir, FileType, FlockOperation, Gid, Mode, OFlags, Stat, Uid, fchmod, fchown, flock, fstat, open, openat,
};
use rustix::io::Errno;
use sentinel_privilege::account::Account;

use crate::terminal::failure::Failure;

/// Bits of the mode that let others than the owner write.
const OTHERS_WRITE: u32 = 0o022;
/// Files that only the sensor makes: a directory with one of them is its own.
const OWN_FILES: [&str; 4] = ["sensor.key", "log.key", "log", "journal"];
/// Entries of a directory that are looked at, so that a wrong path with millions of files costs little.
const MAX_ENTRIES: usize = 256;

/// Options that refuse a link (`ELOOP`), and do not wait for the writer of a pipe.
pub(crate) fn no_links() -> OpenOptions {
    let mut options = OpenOptions::new();
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    options.custom_flags(i32::try_from(flags.bits()).unwrap_or(0));
    options
}

/// Creates the directory with mode 0700 if it is not there, and checks that no other user than root and `account` can change
/// it. As root it is given to `account` with its files, if it is new, empty, or one of the sensor.
///
/// # Errors
/// A link, a foreign owner, or a mode with which others may write; each with the command that mends it.
pub(crate) fn prepare_directory(path: &Path, account: Account) -> Result<(), Failure> {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700);
    let is_new = std::fs::symlink_metadata(path).is_err();
    builder.create(path).map_err(|error| at(path, &error))?;
    let directory = open_directory(path)?;
    let stat = fstat(&directory).map_err(|error| at(path, &error))?;
    if stat.st_uid != account.user && Account::current().is_root() && (is_new || is_own(&directory)) {
        give(&directory, account).map_err(|error| at(path, &error))?;
        return check_owner(path, &directory, account);
    }
    check_owner(path, &directory, account)
}

/// Locks the directory against another sensor, for as long as the result lives. `None` if it is not there or cannot be locked,
/// in which case the locks of the files in it are all there is.
///
/// # Errors
/// Another sensor has it.
pub(crate) fn lock_directory(path: &Path) -> Result<Option<OwnedFd>, Failure> {
    let Ok(directory) = open_directory(path) else { return Ok(None) };
    match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(directory)),
        Err(Errno::WOULDBLOCK) => {
            Err(at(path, &"another sensor uses this directory; give this one other directories"))
        }
        Err(_) => Ok(None),
    }
}

/// Account that the files of the directory must belong to: its owner, if it is there and not root's.
pub(crate) fn owner_of(path: &Path) -> Result<Option<Account>, Failure> {
    if std::fs::symlink_metadata(path).is_err() {
        return Ok(None);
    }
    let stat = fstat(open_directory(path)?).map_err(|error| at(path, &error))?;
    Ok(Some(Account { user: stat.st_uid, group: stat.st_gid }).filter(|owner| !owner.is_root()))
}

fn open_directory(path: &Path) -> Result<OwnedFd, Failure> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    open(path, flags, Mode::empty()).map_err(|error| match error {
        Errno::LOOP | Errno::NOTDIR => Failure::new(format!(
            "{}: a link or no directory; set state_dir and run_dir to the directories themselves",
            path.display()
        )),
        error => at(path, &error),
    })
}

fn check_owner(path: &Path, directory: &OwnedFd, account: Account) -> Result<(), Failure> {
    let stat = fstat(directory).map_err(|error| at(path, &error))?;
    let shown = path.display();
    let (owner, mode) = (stat.st_uid, Mode::from_raw_mode(stat.st_mode).bits());
    if owner != account.user {
        return Err(Failure::new(format!(
            "{shown}: belongs to user {owner}, the sensor runs as {}; run 'chown -R {account} {shown}'",
            account.user
        )));
    }
    if mode & OTHERS_WRITE != 0 {
        return Err(Failure::new(format!(
            "{shown}: mode {mode:04o} lets other users replace its files; run 'chmod 700 {shown}'"
        )));
    }
    Ok(())
}

/// Returns true if the directory is empty, or has a file that only the sensor makes.
fn is_own(directory: &OwnedFd) -> bool {
    let is_empty = || -> Result<bool, Errno> {
        for entry in Dir::read_from(directory)? {
            if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
                return Ok(false);
            }
        }
        Ok(true)
    };
    OWN_FILES.iter().any(|name| plain_file(directory, *name).is_ok()) || is_empty() == Ok(true)
}

/// Gives the directory and the plain files in it to `account`, and closes the directory to others.
fn give(directory: &OwnedFd, account: Account) -> Result<(), Errno> {
    let (user, group) = (Some(Uid::from_raw(account.user)), Some(Gid::from_raw(account.group)));
    for entry in Dir::read_from(directory)?.take(MAX_ENTRIES) {
        // Sockets and the like are made anew at the start.
        if let Ok((file, _)) = plain_file(directory, entry?.file_name()) {
            fchown(&file, user, group)?;
        }
    }
    // Last: while files are given away, the new owner cannot exchange them.
    fchmod(directory, Mode::RWXU)?;
    fchown(directory, user, group)
}

/// Opens a file that is no link, and has no second name under which it may be another user's.
fn plain_file(directory: &OwnedFd, name: impl rustix::path::Arg) -> Result<(OwnedFd, Stat), Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat(directory.as_fd(), name, flags, Mode::empty())?;
    let stat = fstat(&file)?;
    let is_plain = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && stat.st_nlink == 1;
    if is_plain { Ok((file, stat)) } else { Err(Errno::INVAL) }
}

fn at(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    fn mode_of(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn a_directory_is_private_and_no_link() {
        let folder = tempfile::tempdir().unwrap();
        let (own, link) = (folder.path().join("a/own"), folder.path().join("link"));
        prepare_directory(&own, Account::current()).unwrap();
        assert_eq!(mode_of(&own), 0o700);
        fs::set_permissions(&own, fs::Permissions::from_mode(0o755)).unwrap();
        prepare_directory(&own, Account::current()).unwrap();
        for mode in [0o770, 0o707, 0o1777] {
            fs::set_permissions(&own, fs::Permissions::from_mode(mode)).unwrap();
            let error = prepare_directory(&own, Account::current()).unwrap_err().to_string();
            assert!(error.contains("run 'chmod 700"), "{error}");
        }
        symlink(&own, &link).unwrap();
        let error = prepare_directory(&link, Account::current()).unwrap_err().to_string();
        assert!(error.contains("a link or no directory"), "{error}");
    }

    #[test]
    fn root_gives_its_own_directories_away_and_no_others() {
        let account = Account { user: 64_123, group: 64_124 };
        if !Account::current().is_root() {
            return eprintln!("skipped: needs root");
        }
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let owner = |name: &str| fs::symlink_metadata(at(name)).unwrap().uid();
        prepare_directory(&at("new"), account).unwrap();
        assert_eq!((owner("new"), owner_of(&at("new")).unwrap()), (account.user, Some(account)));

        fs::create_dir(at("empty")).unwrap();
        prepare_directory(&at("empty"), account).unwrap();
        assert_eq!(owner("empty"), account.user);

        fs::create_dir(at("used")).unwrap();
        fs::write(at("victim"), "another user's").unwrap();
        fs::write(at("used/sensor.key"), "").unwrap();
        fs::hard_link(at("victim"), at("used/collector")).unwrap();
        symlink(at("victim"), at("used/log")).unwrap();
        prepare_directory(&at("used"), account).unwrap();
        assert_eq!(
            (owner("used"), owner("used/sensor.key"), mode_of(&at("used"))),
            (account.user, account.user, 0o700)
        );
        assert_eq!(
            (owner("victim"), owner("used/log")),
            (0, 0),
            "neither through a link nor through a second name"
        );

        fs::create_dir(at("foreign")).unwrap();
        fs::write(at("foreign/passwd"), "").unwrap();
        let error = prepare_directory(&at("foreign"), account).unwrap_err().to_string();
        assert!(error.contains("run 'chown -R 64123:64124"), "{error}");
        assert_eq!((owner("foreign"), owner("foreign/passwd")), (0, 0));
    }

    #[test]
    fn a_link_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "").unwrap();
        symlink(&file, &link).unwrap();
        assert!(no_links().read(true).open(&file).is_ok());
        assert!(no_links().read(true).open(&link).is_err());
        assert!(no_links().write(true).create(true).truncate(false).open(&link).is_err());
    }
}
