//! Disk with a volatile cache: what was not flushed may be lost in part when the power is cut.

use std::collections::BTreeMap;
use std::ops::Range;

use anyhow::{Context as _, Result};

/// Bytes that reach the medium together or not at all.
const SECTOR_BYTES: usize = 512;

/// Sectors of the superblock of ext4, which it writes in place and takes to be whole: with half of it the file system is not
/// mounted before a repair, and nothing is learned about the program.
const SUPERBLOCK: Range<usize> = 2..4;

/// Share of the unflushed sectors that is on the medium after a power cut.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kept {
    /// Nothing: the cache held everything back.
    Nothing,
    /// For each sector by itself the old content or that of any write since the last flush: torn and reordered writes.
    Any,
    /// All but a sector in eight.
    Most,
    /// Everything: the power failed after the cache was written.
    Everything,
}

impl Kept {
    /// Half of all numbers give [`Kept::Any`].
    #[must_use]
    pub const fn of(number: u64) -> Self {
        match number % 8 {
            0 => Self::Nothing,
            1 => Self::Everything,
            2 | 3 => Self::Most,
            _ => Self::Any,
        }
    }
}

/// Content of a disk in memory, and what was written since the last flush.
#[derive(Debug)]
pub struct VolatileDisk {
    medium: Vec<u8>,
    /// Content that a reader gets.
    current: Vec<u8>,
    /// Contents of each sector since the last flush, oldest first.
    unflushed: BTreeMap<usize, Vec<[u8; SECTOR_BYTES]>>,
}

impl VolatileDisk {
    /// Disk with this content, whose length is a multiple of 512.
    #[must_use]
    pub fn new(content: Vec<u8>) -> Self {
        Self { medium: content.clone(), current: content, unflushed: BTreeMap::new() }
    }

    /// Size in bytes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.medium.len()
    }

    /// Returns true if it has no sectors.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.medium.is_empty()
    }

    /// Number of sectors written since the last flush.
    #[must_use]
    pub fn unflushed(&self) -> usize {
        self.unflushed.len()
    }

    /// Bytes in `range`.
    ///
    /// # Errors
    /// If they are not all on the disk.
    pub fn read(&self, range: Range<usize>) -> Result<&[u8]> {
        self.current.get(range).context("a read past the end")
    }

    /// Writes whole sectors; with `is_durable` past the cache.
    ///
    /// # Errors
    /// If they are not all on the disk, or not whole.
    pub fn write(&mut self, offset: usize, bytes: &[u8], is_durable: bool) -> Result<()> {
        let (sectors, rest) = bytes.as_chunks::<SECTOR_BYTES>();
        anyhow::ensure!(rest.is_empty() && offset.is_multiple_of(SECTOR_BYTES), "part of a sector");
        let range = offset..offset.checked_add(bytes.len()).context("a write past the end")?;
        self.current.get_mut(range.clone()).context("a write past the end")?.copy_from_slice(bytes);
        for (number, sector) in (offset / SECTOR_BYTES..).zip(sectors) {
            if is_durable {
                self.unflushed.remove(&number);
            } else {
                self.unflushed.entry(number).or_default().push(*sector);
            }
        }
        if is_durable {
            self.medium.get_mut(range).context("a write past the end")?.copy_from_slice(bytes);
        }
        Ok(())
    }

    /// Brings everything written until now onto the medium.
    pub fn flush(&mut self) {
        for (number, contents) in std::mem::take(&mut self.unflushed) {
            if let Some(newest) = contents.last() {
                self.put(number, newest);
            }
        }
    }

    /// Loses the cache but what is kept; `next` returns random numbers. Returns the number of sectors that were not flushed, and of
    /// those that do not have their newest content.
    pub fn cut(&mut self, kept: Kept, next: &mut impl FnMut() -> usize) -> (usize, usize) {
        let unflushed = std::mem::take(&mut self.unflushed);
        let mut outdated = 0;
        let mut superblock = None;
        for (number, contents) in &unflushed {
            let newest = contents.len();
            // Zero is what is on the medium.
            let mut version = match kept {
                Kept::Nothing => 0,
                Kept::Any => next() % (newest + 1),
                Kept::Most if next().is_multiple_of(8) => next() % newest,
                Kept::Most | Kept::Everything => newest,
            };
            if SUPERBLOCK.contains(number) {
                version = *superblock.get_or_insert(version);
            }
            outdated += usize::from(version != newest);
            if let Some(content) = version.checked_sub(1).and_then(|index| contents.get(index)) {
                self.put(*number, content);
            }
        }
        self.current.clone_from(&self.medium);
        (unflushed.len(), outdated)
    }

    fn put(&mut self, number: usize, content: &[u8; SECTOR_BYTES]) {
        let start = number * SECTOR_BYTES;
        if let Some(sector) = self.medium.get_mut(start..start + SECTOR_BYTES) {
            sector.copy_from_slice(content);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: [u8; 512] = [b'a'; 512];
    const B: [u8; 512] = [b'b'; 512];

    fn disk() -> VolatileDisk {
        VolatileDisk::new(vec![b'0'; 4 * 512])
    }

    fn firsts(disk: &VolatileDisk) -> Vec<u8> {
        disk.read(0..disk.len()).unwrap().chunks(512).map(|sector| sector[0]).collect()
    }

    #[test]
    fn only_what_was_flushed_survives_a_cut_that_keeps_nothing() {
        let mut disk = disk();
        disk.write(0, &A, false).unwrap();
        disk.flush();
        disk.write(0, &B, false).unwrap();
        disk.write(512, &B, true).unwrap();
        disk.write(1_024, &B, false).unwrap();
        assert_eq!(firsts(&disk), *b"bbb0", "a reader sees the newest");
        assert_eq!(disk.cut(Kept::Nothing, &mut || 0), (2, 2));
        assert_eq!(firsts(&disk), *b"ab00");
    }

    #[test]
    fn each_sector_keeps_one_of_its_contents() {
        let mut disk = disk();
        disk.write(0, &[A, A, A].concat(), false).unwrap();
        disk.write(0, &[B, B, B].concat(), false).unwrap();
        let mut versions = [0, 1, 2].into_iter();
        assert_eq!(disk.cut(Kept::Any, &mut || versions.next().unwrap()), (3, 2));
        assert_eq!(firsts(&disk), *b"0ab0");
        disk.write(1_024, &[A, A].concat(), false).unwrap();
        let mut versions = [1, 0].into_iter();
        assert_eq!(disk.cut(Kept::Any, &mut || versions.next().unwrap()), (2, 0));
        assert_eq!(firsts(&disk), *b"0aaa", "the superblock is whole");
        assert_eq!(disk.cut(Kept::Any, &mut || 0), (0, 0), "nothing is left to lose");
    }

    #[test]
    fn a_durable_write_replaces_older_ones_in_the_cache() {
        let mut disk = disk();
        disk.write(0, &A, false).unwrap();
        disk.write(0, &B, true).unwrap();
        assert_eq!(disk.cut(Kept::Any, &mut || 1), (0, 0));
        assert_eq!(firsts(&disk), *b"b000");
    }

    #[test]
    fn accesses_past_the_end_or_of_part_of_a_sector_are_refused() {
        let mut disk = disk();
        assert!(disk.read(2_000..2_049).is_err() && disk.write(1_536, &[A, A].concat(), false).is_err());
        assert!(disk.write(1, &A, false).is_err() && disk.write(0, &[1], false).is_err());
        assert_eq!(firsts(&disk), *b"0000");
    }
}
