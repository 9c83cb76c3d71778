//! Private keys of the collector.
//!
//! | file | holds |
//! |---|---|
//! | `collector.key` | the key in force: in new tokens, and what logs are sealed to |
//! | `collector_next.key` | the key that is announced |
//! | `collector_replaced_KEY.key` | a key that was replaced, by the first 8 characters of its public key; kept for good, because it opens the logs that were sealed to it |
//!
//! A switch is two steps: the present key gets its second name, then the next key takes the first one. After a crash in between
//! the same key has both names, and the switch is made again.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};
use sentinel_uplink::{KeyPair, PublicKey};

use crate::store::Files;
use crate::store::key::{hex, read_private, unhex, write_private};

/// Replaced keys that are tried for a connection, the latest: each costs one X25519 operation for a peer that asks for none of
/// the others.
const MAX_REPLACED: usize = 2;

const NEXT: &str = "collector_next.key";
const REPLACED: &str = "collector_replaced_";

/// Key pairs of the collector.
#[derive(Clone, Debug)]
pub struct KeyFiles {
    /// The key in force.
    pub current: KeyPair,
    /// The key that is announced.
    pub next: Option<KeyPair>,
    /// Keys that were replaced, the latest first.
    pub replaced: Vec<KeyPair>,
}

impl KeyFiles {
    /// Reads the keys; makes the first one if there is none.
    ///
    /// # Errors
    /// A key file that others can read, that holds no key, or that cannot be written.
    pub fn load(files: &Files) -> anyhow::Result<Self> {
        let current = first_key(files)?;
        let path = files.directory().join(NEXT);
        let next = if path.exists() { Some(read(&path)?) } else { None };
        let mut replaced = Vec::new();
        for entry in fs::read_dir(files.directory())? {
            let entry = entry?;
            if entry
                .file_name()
                .to_str()
                .is_some_and(|name| name.starts_with(REPLACED) && name.ends_with(".key"))
            {
                replaced.push((entry.metadata()?.modified()?, read(&entry.path())?));
            }
        }
        replaced.sort_by_key(|(written, _)| std::cmp::Reverse(*written));
        let mut replaced: Vec<KeyPair> = replaced.into_iter().map(|(_, pair)| pair).collect();
        // A crash within a switch.
        replaced.retain(|pair| pair.public() != current.public());
        Ok(Self { current, next, replaced })
    }

    /// Makes the next key, if there is none.
    ///
    /// # Errors
    /// Errors of the file system and of the random source.
    pub fn make_next(&mut self, files: &Files) -> anyhow::Result<PublicKey> {
        if let Some(next) = &self.next {
            return Ok(next.public());
        }
        let next = KeyPair::generate()?;
        let path = files.directory().join(NEXT);
        write_private(&path, text(&next).as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))?;
        let key = next.public();
        self.next = Some(next);
        Ok(key)
    }

    /// Puts the next key in force.
    ///
    /// # Errors
    /// Errors of the file system. The keys in the files are complete whatever happens.
    pub fn switch(files: &Files) -> anyhow::Result<()> {
        let keys = Self::load(files)?;
        if keys.next.is_none() {
            return Ok(());
        }
        let name = keys.current.public().to_string();
        let replaced = files.directory().join(format!("{REPLACED}{}.key", name.get(..8).unwrap_or_default()));
        match write_private(&replaced, text(&keys.current).as_bytes()) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(error).with_context(|| format!("cannot write {}", replaced.display()));
            }
            _ => {}
        }
        fs::rename(files.directory().join(NEXT), files.identity())?;
        Ok(fs::File::open(files.directory())?.sync_all()?)
    }

    /// Keys with which connections are answered, the likeliest first.
    #[must_use]
    pub fn answering(&self) -> Vec<KeyPair> {
        let replaced = self.replaced.iter().take(MAX_REPLACED);
        std::iter::once(&self.current).chain(&self.next).chain(replaced).cloned().collect()
    }
}

/// Static key pair of this collector, made at the first call.
fn first_key(files: &Files) -> anyhow::Result<KeyPair> {
    let path = files.identity();
    if !path.exists() {
        let pair = KeyPair::generate()?;
        match write_private(&path, text(&pair).as_bytes()) {
            Ok(()) => return Ok(pair),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {} // another process made it meanwhile
            Err(error) => return Err(error).with_context(|| format!("cannot write {}", path.display())),
        }
    }
    read(&path)
}

fn text(pair: &KeyPair) -> String {
    format!("{}\n", hex(pair.secret_bytes().as_slice()))
}

fn read(path: &Path) -> anyhow::Result<KeyPair> {
    let text = read_private(path)?;
    let secret = unhex(text.trim()).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    let Some(secret) = secret else {
        bail!("{} does not hold a key of 64 hexadecimal digits", path.display());
    };
    Ok(KeyPair::from_bytes(&secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_keeps_every_key_and_survives_a_crash_in_its_middle() {
        let directory = tempfile::tempdir().unwrap();
        let files = Files::locate(directory.path(), Some(&"0f".repeat(32))).unwrap();
        let mut keys = KeyFiles::load(&files).unwrap();
        let first = keys.current.public();
        let second = keys.make_next(&files).unwrap();
        assert_eq!(keys.make_next(&files).unwrap(), second);
        let publics = |keys: &KeyFiles| keys.answering().iter().map(KeyPair::public).collect::<Vec<_>>();
        assert_eq!(publics(&KeyFiles::load(&files).unwrap()), [first, second]);
        // The crash: the present key has its second name, and the first one still.
        let name = format!("{REPLACED}{}.key", &first.to_string()[..8]);
        fs::copy(files.identity(), directory.path().join(name)).unwrap();
        assert_eq!(publics(&KeyFiles::load(&files).unwrap()), [first, second]);
        KeyFiles::switch(&files).unwrap();
        KeyFiles::switch(&files).unwrap();
        let mut keys = KeyFiles::load(&files).unwrap();
        assert_eq!(publics(&keys), [second, first]);
        for _ in 0..3 {
            keys.make_next(&files).unwrap();
            KeyFiles::switch(&files).unwrap();
            keys = KeyFiles::load(&files).unwrap();
        }
        assert_eq!((keys.replaced.len(), keys.answering().len()), (4, 3), "old ones open old logs only");
    }
}
