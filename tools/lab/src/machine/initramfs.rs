//! File system in memory with which a machine starts: a cpio archive of the kind "newc".
//!
//! Read first: the kernel's Documentation/driver-api/early-userspace/buffer-format.rst.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::program::run;

const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const LINK: u32 = 0o120_000;

/// Archive that grows entry by entry.
#[derive(Debug, Default)]
pub struct Initramfs {
    archive: Vec<u8>,
    /// Paths that are in it.
    paths: BTreeSet<String>,
}

impl Initramfs {
    /// Archive with the directories that every system has.
    pub(super) fn new() -> Result<Self> {
        let mut archive = Self::default();
        for path in ["/proc", "/sys", "/dev", "/run", "/tmp", "/data", "/etc"] {
            archive.entry(path, DIRECTORY | 0o755, &[])?;
        }
        Ok(archive)
    }

    /// Adds a file with this content.
    ///
    /// # Errors
    /// If it is longer than an archive allows.
    pub fn text(&mut self, path: &str, mode: u32, content: &str) -> Result<()> {
        self.entry(path, REGULAR | mode, content.as_bytes())
    }

    pub(super) fn link(&mut self, path: &str, target: &str) -> Result<()> {
        self.entry(path, LINK | 0o777, target.as_bytes())
    }

    pub(super) fn file(&mut self, from: &Path, path: &str, mode: u32) -> Result<()> {
        let content = fs::read(from).with_context(|| from.display().to_string())?;
        self.entry(path, REGULAR | mode, &content)
    }

    /// Adds a program and the libraries that it is linked with.
    pub(super) fn program(&mut self, from: &Path, path: &str) -> Result<()> {
        self.file(from, path, 0o755)?;
        // It fails for a static program.
        let libraries = run(Command::new("ldd").arg(from)).unwrap_or_default();
        for word in libraries.split_whitespace().filter(|word| word.starts_with('/')) {
            if !self.paths.contains(word) {
                self.file(Path::new(word), word, 0o755)?;
            }
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.append("TRAILER!!!", 0, &[], 0);
        self.archive
    }

    fn entry(&mut self, path: &str, mode: u32, content: &[u8]) -> Result<()> {
        let (parent, _) = path.rsplit_once('/').context("a path begins with /")?;
        if !parent.is_empty() && !self.paths.contains(parent) {
            self.entry(parent, DIRECTORY | 0o755, &[])?;
        }
        let length = u32::try_from(content.len())?;
        self.paths.insert(path.to_owned());
        self.append(path.trim_start_matches('/'), mode, content, length);
        Ok(())
    }

    fn append(&mut self, name: &str, mode: u32, content: &[u8], length: u32) {
        // Number of the file, mode, owner, group, links, time, length, four device numbers, length of the name, checksum.
        let name_length = u32::try_from(name.len()).unwrap_or(0) + 1;
        let number = u32::try_from(self.paths.len()).unwrap_or(0);
        let fields = [number, mode, 0, 0, 1, 0, length, 0, 0, 0, 0, name_length, 0];
        let head: String = fields.iter().map(|field| format!("{field:08X}")).collect();
        self.archive.extend_from_slice(b"070701");
        self.archive.extend_from_slice(head.as_bytes());
        self.archive.extend_from_slice(name.as_bytes());
        self.archive.push(0);
        self.align();
        self.archive.extend_from_slice(content);
        self.align();
    }

    fn align(&mut self) {
        self.archive.resize(self.archive.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_aligned_and_follow_their_directories() {
        let mut archive = Initramfs::default();
        archive.text("/etc/a", 0o600, "text").unwrap();
        let bytes = archive.finish();
        assert_eq!(bytes.len() % 4, 0);
        let text = String::from_utf8_lossy(&bytes);
        let names: Vec<&str> = text.split("070701").skip(1).map(|entry| &entry[104..]).collect();
        let begins = |index: usize, what: &str| names[index].starts_with(what);
        assert!(begins(0, "etc\0") && begins(1, "etc/a\0") && begins(2, "TRAILER!!!\0"), "{names:?}");
        assert!(text.contains("00008180"), "the mode of a regular file, 0600");
    }
}
