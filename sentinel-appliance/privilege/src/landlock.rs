//! Landlock: files and sockets that the program may still open.
//!
//! Read first: `Documentation/userspace-api/landlock.rst` of the kernel; `linux/landlock.h`.
//!
//! Files that are open stay usable. Reading links and attributes of files is not restricted by any version.

use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::io::Errno;

use crate::kernel::{Ruleset, landlock_allow, landlock_restrict, landlock_ruleset, landlock_version};

const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
const REMOVE_DIR: u64 = 1 << 4;
const REMOVE_FILE: u64 = 1 << 5;
const MAKE_DIR: u64 = 1 << 7;
const MAKE_REG: u64 = 1 << 8;
const MAKE_SOCK: u64 = 1 << 9;
const TRUNCATE: u64 = 1 << 14;
const IOCTL_DEVICE: u64 = 1 << 15;

/// All rights to files of each ABI, from the first: thirteen rights, then `REFER`, `TRUNCATE`, nothing, `IOCTL_DEV`.
const FILE_RIGHTS: [u64; 5] = [0x1fff, 0x3fff, 0x7fff, 0x7fff, 0xffff];
/// `LANDLOCK_ACCESS_NET_BIND_TCP`, since ABI 4. Connecting stays allowed: the next enrollment may name any port.
const BIND_TCP: u64 = 1;
/// Abstract Unix sockets, and signals, of processes outside; since ABI 6.
const SCOPED: u64 = 3;

/// Use of a path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    /// Reading of a file, or of the files in a directory.
    Read,
    /// Reading, creating, replacing and removing of files and sockets in a directory, and renaming of a directory that
    /// stands in place of one.
    Write,
    /// Reading, writing and configuring of a device.
    Device,
}

impl Access {
    const fn rights(self) -> u64 {
        match self {
            Self::Read => READ_FILE,
            Self::Device => READ_FILE | WRITE_FILE | IOCTL_DEVICE,
            Self::Write => {
                let renamed = REMOVE_DIR | MAKE_DIR;
                READ_FILE | READ_DIR | WRITE_FILE | REMOVE_FILE | MAKE_REG | MAKE_SOCK | TRUNCATE | renamed
            }
        }
    }
}

/// Restricts the calling thread, and those that it starts, to `paths`; returns the version that took effect. A path that
/// does not exist is left out. TCP sockets cannot be bound to a port any more.
///
/// # Errors
/// The kernel has no Landlock (`NOSYS`), it is switched off (`OPNOTSUPP`), or `no_new_privs` is not set.
pub fn restrict(paths: &[(&Path, Access)]) -> Result<u32, Errno> {
    let version = landlock_version()?;
    let index = usize::try_from(version).unwrap_or(0).clamp(1, FILE_RIGHTS.len()) - 1;
    let files = FILE_RIGHTS.get(index).copied().unwrap_or_default();
    let ruleset = Ruleset {
        files,
        network: if version >= 4 { BIND_TCP } else { 0 },
        scoped: if version >= 6 { SCOPED } else { 0 },
    };
    // A kernel refuses attributes that it does not know unless they are zero, and an older one takes the first field only.
    let rules = landlock_ruleset(
        &ruleset,
        if version >= 6 {
            24
        } else if version >= 4 {
            16
        } else {
            8
        },
    )?;
    for (path, access) in paths {
        allow(&rules, path, access.rights() & files)?;
    }
    landlock_restrict(rules.as_fd())?;
    Ok(version)
}

fn allow(rules: &impl AsFd, path: &Path, rights: u64) -> Result<(), Errno> {
    let parent = match open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) {
        Ok(parent) => parent,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => return Ok(()),
        Err(errno) => return Err(errno),
    };
    // The kernel refuses rights of directories for a file.
    let is_directory = FileType::from_raw_mode(fstat(&parent)?.st_mode) == FileType::Directory;
    let rights =
        if is_directory { rights } else { rights & (READ_FILE | WRITE_FILE | TRUNCATE | IOCTL_DEVICE) };
    landlock_allow(rules.as_fd(), parent.as_fd(), rights)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::ErrorKind;

    /// In a thread of its own, because a restriction cannot be undone.
    #[test]
    fn other_paths_are_out_of_reach() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["kept", "read", "other"] {
            fs::create_dir(at(name)).unwrap();
            fs::write(at(name).join("file"), name).unwrap();
        }
        std::thread::scope(|scope| {
            scope.spawn(|| {
                crate::capability::no_new_privileges().unwrap();
                let paths = [
                    (at("kept"), Access::Write),
                    (at("read"), Access::Read),
                    (at("other/file"), Access::Read),
                    (at("missing"), Access::Read),
                ];
                let paths = paths.each_ref().map(|(path, access)| (path.as_path(), *access));
                match restrict(&paths) {
                    Ok(version) => assert!(version >= 1),
                    Err(Errno::NOSYS | Errno::OPNOTSUPP) => return eprintln!("skipped: no Landlock here"),
                    Err(errno) => panic!("{errno}"),
                }
                let denied = |outcome: std::io::Result<()>| {
                    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::PermissionDenied);
                };
                fs::write(at("kept/new"), "new").unwrap();
                fs::rename(at("kept/new"), at("kept/file")).unwrap();
                assert_eq!(fs::read_to_string(at("kept/file")).unwrap(), "new");
                fs::remove_file(at("kept/file")).unwrap();
                assert_eq!(fs::read_to_string(at("read/file")).unwrap(), "read");
                denied(fs::write(at("read/file"), "changed"));
                assert_eq!(fs::read_to_string(at("other/file")).unwrap(), "other");
                denied(fs::write(at("other/new"), ""));
                denied(fs::read("/etc/passwd").map(drop));
                // To rename one, the right to make one is needed.
                fs::create_dir(at("kept/directory")).unwrap();
                fs::rename(at("kept/directory"), at("kept/moved")).unwrap();
                denied(fs::create_dir(at("read/directory")));
                denied(std::os::unix::fs::symlink("/etc", at("kept/link")));
            });
        });
    }
}
