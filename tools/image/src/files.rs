//! Files of a package by path, as they lie on the device. Owner of all is root.

use std::cmp::Ordering;

use anyhow::{Context as _, Result, bail, ensure};

/// Longest path in bytes: what a tar header without extensions holds, less `./` and a slash.
pub const MAX_PATH: usize = 96;

/// Content of one path.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Content {
    /// A directory; its files have entries of their own.
    Directory,
    /// A regular file.
    File(Vec<u8>),
    /// A symbolic link and its target.
    Link(String),
}

/// One path of a package.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Path without a leading slash; the root directory itself has no entry.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// File, folder or link that is there.
    pub content: Content,
}

impl Entry {
    /// Bytes of a regular file.
    #[must_use]
    pub fn bytes(&self) -> Option<&[u8]> {
        match &self.content {
            Content::File(bytes) => Some(bytes),
            Content::Directory | Content::Link(_) => None,
        }
    }
}

/// Paths of one package, sorted by their components; every path's directory is there and precedes it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Files(Vec<Entry>);

impl Files {
    /// Adds a regular file, and its directories with mode 0755.
    ///
    /// # Errors
    /// If the path is taken or is not a plain relative path.
    pub fn file(&mut self, path: &str, mode: u32, bytes: impl Into<Vec<u8>>) -> Result<()> {
        self.add(Entry { path: path.to_owned(), mode, content: Content::File(bytes.into()) })
    }

    /// Adds an entry, and its directories with mode 0755.
    ///
    /// # Errors
    /// If the path is taken or is not a plain relative path.
    pub fn add(&mut self, entry: Entry) -> Result<()> {
        check_path(&entry.path)?;
        if let Some((parent, _)) = entry.path.rsplit_once('/') {
            match self.get(parent) {
                None => {
                    let path = parent.to_owned();
                    self.add(Entry { path, mode: 0o755, content: Content::Directory })?;
                }
                Some(found) => ensure!(found.content == Content::Directory, "{parent} is no directory"),
            }
        }
        match self.position(&entry.path) {
            Ok(_) => bail!("{} is there twice", entry.path),
            Err(at) => self.0.insert(at, entry),
        }
        Ok(())
    }

    /// Entry of a path without a leading slash.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Entry> {
        self.position(path).ok().and_then(|at| self.0.get(at))
    }

    /// Bytes of a regular file.
    ///
    /// # Errors
    /// If there is none of that path.
    pub fn bytes(&self, path: &str) -> Result<&[u8]> {
        self.get(path).and_then(Entry::bytes).with_context(|| format!("no file {path}"))
    }

    /// All entries, a directory before what is in it.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.0.iter()
    }

    /// Sum of the sizes of regular files.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        let sizes = self.0.iter().filter_map(Entry::bytes).map(|bytes| u64::try_from(bytes.len()));
        sizes.map(|size| size.unwrap_or(u64::MAX)).fold(0, u64::saturating_add)
    }

    fn position(&self, path: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|entry| by_components(&entry.path, path))
    }
}

/// Order of `tar --sort=name`: what is in a directory comes before a sibling whose name only begins like it.
#[must_use]
pub fn by_components(one: &str, other: &str) -> Ordering {
    one.split('/').cmp(other.split('/'))
}

fn check_path(path: &str) -> Result<()> {
    let is_plain = |part: &str| !matches!(part, "" | "." | "..");
    ensure!(path.split('/').all(is_plain), "{path:?} is not a plain relative path");
    ensure!(
        path.bytes().all(|byte| byte.is_ascii_graphic()) && path.len() <= MAX_PATH,
        "{path:?} is not a path of at most {MAX_PATH} printing characters"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_precede_their_files_and_longer_names_follow() -> Result<()> {
        let mut files = Files::default();
        files.file("etc/init-more", 0o644, "b")?;
        files.file("etc/init/x", 0o600, "a")?;
        let paths: Vec<&str> = files.iter().map(|entry| entry.path.as_str()).collect();
        assert_eq!(paths, ["etc", "etc/init", "etc/init/x", "etc/init-more"]);
        Ok(())
    }

    #[test]
    fn paths_that_leave_the_package_or_come_twice_are_refused() -> Result<()> {
        let mut files = Files::default();
        files.file("a/b", 0o644, "")?;
        for path in ["/etc/x", "../x", "a//b", "", "a/./b", "a b", "a/b", "a/b/c", &"x".repeat(97)] {
            assert!(files.file(path, 0o644, "").is_err(), "{path}");
        }
        Ok(())
    }
}
