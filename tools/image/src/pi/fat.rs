//! FAT32 with files in its root directory, and room for more.
//!
//! Read first: Microsoft, FAT32 File System Specification 1.03 (BPB, `FSInfo`, directory entries, long names).

use anyhow::{Context as _, Result, ensure};
use sentinel_units::Timestamp;

use super::{Partition, SECTOR, put};

/// Sectors before the first table: boot sector, `FSInfo`, and their copies at 6 and 7.
const RESERVED: usize = 32;
const TABLES: usize = 2;
const FIRST_CLUSTER: usize = 2;
const END: u32 = 0x0FFF_FFFF;
/// Fewer clusters would be FAT16 to those who count them, as all do.
const MIN_CLUSTERS: usize = 65_525;
const ENTRY: usize = 32;
const LONG_NAME: u8 = 0x0F;
const VOLUME: u8 = 0x08;
const ARCHIVE: u8 = 0x20;
/// Both parts of a short name are to be shown in lower case.
const LOWER_CASE: u8 = 0x18;
/// Characters of a long name that one entry holds.
const LONG_PART: usize = 13;

/// A file system of clusters of one sector.
#[derive(Debug)]
pub struct Fat {
    partition: Partition,
    stamp: [u8; 4],
    files: Vec<(String, Vec<u8>)>,
}

impl Fat {
    /// An empty one; all files get `time`.
    #[must_use]
    pub fn new(partition: Partition, time: u64) -> Self {
        Self { partition, stamp: stamp(time), files: Vec::new() }
    }

    /// Adds a file to the root directory.
    ///
    /// # Errors
    /// If the name is taken, or has other characters than lower-case letters, digits, `-`, `_` and one or more dots.
    pub fn file(&mut self, name: &str, bytes: impl Into<Vec<u8>>) -> Result<()> {
        let is_plain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
        ensure!(
            name.bytes().all(is_plain)
                && name
                    .rsplit_once('.')
                    .is_some_and(|(stem, ending)| !stem.is_empty() && (1..=3).contains(&ending.len())),
            "{name:?}: not a name for this file system"
        );
        ensure!(self.files.iter().all(|(other, _)| other != name), "{name} is there twice");
        self.files.push((name.to_owned(), bytes.into()));
        Ok(())
    }

    /// The partition.
    ///
    /// # Errors
    /// If the files do not fit.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        let sectors = self.partition.length / SECTOR;
        let table_sectors = (sectors * 4).div_ceil(SECTOR);
        let data = RESERVED + TABLES * table_sectors;
        let clusters = sectors.saturating_sub(data);
        ensure!(clusters >= MIN_CLUSTERS, "{clusters} clusters are no FAT32, want {MIN_CLUSTERS}");
        let mut table = vec![0x0FFF_FFF8, END];
        let mut room = vec![0; self.partition.length];
        let mut directory = entry(*b"           ", VOLUME, 0, &self.stamp, 0, 0)?;
        put(&mut directory, 0, &self.label()?)?;
        // The root directory comes first; its length is that of its entries, which need no content.
        let entries: usize = 1 + self.files.iter().map(|(name, _)| entries_of(name)).sum::<usize>();
        let root = chain(&mut table, entries * ENTRY)?;
        for (index, (name, bytes)) in self.files.iter().enumerate() {
            let first = chain(&mut table, bytes.len())?;
            directory.extend(named(name, index, &self.stamp, first, bytes.len())?);
            put(&mut room, offset(data, first), bytes)
                .with_context(|| format!("{name}: the partition is full"))?;
        }
        put(&mut room, offset(data, root), &directory)?;
        let used = table.len().saturating_sub(FIRST_CLUSTER);
        ensure!(used <= clusters, "{used} clusters of {clusters}: the partition is full");
        let table: Vec<u8> = table.into_iter().flat_map(u32::to_le_bytes).collect();
        for copy in 0..TABLES {
            put(&mut room, (RESERVED + copy * table_sectors) * SECTOR, &table)?;
        }
        let boot = self.boot_sector(sectors, table_sectors, root)?;
        let information = information(clusters.saturating_sub(used), used)?;
        for at in [0, 6] {
            put(&mut room, at * SECTOR, &boot)?;
            put(&mut room, (at + 1) * SECTOR, &information)?;
        }
        Ok(room)
    }

    fn label(&self) -> Result<Vec<u8>> {
        let label = format!("{:11}", self.partition.label).into_bytes();
        ensure!(label.len() == 11, "a label of {} bytes", label.len());
        Ok(label)
    }

    fn boot_sector(&self, sectors: usize, table_sectors: usize, root: usize) -> Result<Vec<u8>> {
        let mut sector = vec![0; SECTOR];
        let start = u32::try_from(self.partition.start / SECTOR)?;
        put(&mut sector, 0, &[0xEB, 0x58, 0x90])?;
        put(&mut sector, 3, b"SENTINEL")?;
        put(&mut sector, 11, &u16::try_from(SECTOR)?.to_le_bytes())?;
        // Sectors of a cluster, of the reserved area, tables.
        put(&mut sector, 13, &[1, u8::try_from(RESERVED)?, 0, u8::try_from(TABLES)?])?;
        // A hard disk; its geometry is only for systems that do not know LBA.
        put(&mut sector, 21, &[0xF8, 0, 0, 63, 0, 255, 0])?;
        put(&mut sector, 28, &start.to_le_bytes())?;
        put(&mut sector, 32, &u32::try_from(sectors)?.to_le_bytes())?;
        put(&mut sector, 36, &u32::try_from(table_sectors)?.to_le_bytes())?;
        put(&mut sector, 44, &u32::try_from(root)?.to_le_bytes())?;
        // FSInfo, copy of the boot sector.
        put(&mut sector, 48, &[1, 0, 6, 0])?;
        // Number of the drive, extended signature, number of the volume: from the place on the card, so that it is fixed.
        put(&mut sector, 64, &[0x80, 0, 0x29])?;
        put(&mut sector, 67, &(0x5E47_0000 | start).to_le_bytes())?;
        put(&mut sector, 71, &self.label()?)?;
        put(&mut sector, 82, b"FAT32   ")?;
        put(&mut sector, 510, &[0x55, 0xAA])?;
        Ok(sector)
    }
}

fn offset(data: usize, cluster: usize) -> usize {
    data.saturating_add(cluster).saturating_sub(FIRST_CLUSTER).saturating_mul(SECTOR)
}

/// Appends the clusters of `length` bytes to the table and returns the first; 0 for no bytes.
fn chain(table: &mut Vec<u32>, length: usize) -> Result<usize> {
    let (first, count) = (table.len(), length.div_ceil(SECTOR));
    for next in 1..count {
        table.push(u32::try_from(first + next)?);
    }
    table.extend((count > 0).then_some(END));
    Ok(if count > 0 { first } else { 0 })
}

fn information(free: usize, used: usize) -> Result<Vec<u8>> {
    let mut sector = vec![0; SECTOR];
    put(&mut sector, 0, b"RRaA")?;
    put(&mut sector, 484, b"rrAa")?;
    put(&mut sector, 488, &u32::try_from(free)?.to_le_bytes())?;
    put(&mut sector, 492, &u32::try_from(used + FIRST_CLUSTER)?.to_le_bytes())?;
    put(&mut sector, 510, &[0x55, 0xAA])?;
    Ok(sector)
}

fn entries_of(name: &str) -> usize {
    if fits(name) { 1 } else { name.len().div_ceil(LONG_PART) + 1 }
}

/// True for a name of at most eight characters, a dot, and an ending.
fn fits(name: &str) -> bool {
    name.split_once('.').is_some_and(|(stem, ending)| stem.len() <= 8 && !ending.contains('.'))
}

/// Entries of one file: a name that is too long comes in parts, the last part first.
fn named(name: &str, index: usize, stamp: &[u8; 4], first: usize, length: usize) -> Result<Vec<u8>> {
    let (stem, ending) = name.rsplit_once('.').context("a name with an ending")?;
    let stem = if fits(name) {
        stem.to_owned()
    } else {
        format!("{}~{index}", stem.get(..5).unwrap_or(stem).replace('.', "_"))
    };
    let text = format!("{stem:8}{ending:3}").to_ascii_uppercase();
    let short: [u8; 11] =
        text.as_bytes().try_into().ok().with_context(|| format!("{name}: {text:?} is no short name"))?;
    let mut entries = Vec::new();
    if !fits(name) {
        let sum = short.iter().fold(0_u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
        let parts: Vec<&[u8]> = name.as_bytes().chunks(LONG_PART).collect();
        for (at, part) in parts.iter().enumerate().rev() {
            let last = if at + 1 == parts.len() { 0x40 } else { 0 };
            entries.extend(long(u8::try_from(at + 1)? | last, part, sum)?);
        }
    }
    let case = if fits(name) { LOWER_CASE } else { 0 };
    entries.extend(entry(short, ARCHIVE, case, stamp, first, length)?);
    Ok(entries)
}

fn long(number: u8, part: &[u8], sum: u8) -> Result<Vec<u8>> {
    let mut units: Vec<u16> = part.iter().map(|byte| u16::from(*byte)).collect();
    if units.len() < LONG_PART {
        units.push(0);
    }
    units.resize(LONG_PART, 0xFFFF);
    let units: Vec<u8> = units.into_iter().flat_map(u16::to_le_bytes).collect();
    let mut entry = vec![0; ENTRY];
    put(&mut entry, 0, &[number])?;
    put(&mut entry, 11, &[LONG_NAME, 0, sum])?;
    for (at, from, to) in [(1, 0, 10), (14, 10, 22), (28, 22, 26)] {
        put(&mut entry, at, units.get(from..to).context("thirteen characters")?)?;
    }
    Ok(entry)
}

fn entry(
    name: [u8; 11],
    kind: u8,
    case: u8,
    stamp: &[u8; 4],
    first: usize,
    length: usize,
) -> Result<Vec<u8>> {
    let mut entry = vec![0; ENTRY];
    let first = u32::try_from(first)?.to_le_bytes();
    put(&mut entry, 0, &name)?;
    put(&mut entry, 11, &[kind, case, 0])?;
    put(&mut entry, 14, stamp)?;
    put(&mut entry, 18, &stamp[2..])?;
    put(&mut entry, 20, &first[2..])?;
    put(&mut entry, 22, stamp)?;
    put(&mut entry, 26, &first[..2])?;
    put(&mut entry, 28, &u32::try_from(length)?.to_le_bytes())?;
    Ok(entry)
}

/// Time of day and date, UTC, to two seconds; the first moment of 1980 for what is earlier.
fn stamp(time: u64) -> [u8; 4] {
    let text = Timestamp::from_parts(time, 0).rfc3339().to_string();
    let part = |from: usize, to: usize| {
        text.get(from..to).and_then(|part| part.parse::<u16>().ok()).unwrap_or_default()
    };
    let Some(year) = part(0, 4).checked_sub(1980).filter(|year| *year < 128) else { return [0, 0, 0x21, 0] };
    let clock = (part(11, 13) << 11) | (part(14, 16) << 5) | (part(17, 19) / 2);
    let date = (year << 9) | (part(5, 7) << 5) | part(8, 10);
    let ([a, b], [c, d]) = (clock.to_le_bytes(), date.to_le_bytes());
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_dos() {
        // 14 November 2023, 22:13:20: 43 years << 9 | 11 << 5 | 14, and 22 << 11 | 13 << 5 | 10.
        assert_eq!(stamp(1_700_000_000), [0xAA, 0xB1, 0x6E, 0x57]);
        assert_eq!(stamp(0), [0, 0, 0x21, 0]);
    }

    #[test]
    fn names_that_other_systems_could_not_read_are_refused() -> Result<()> {
        let mut fat = Fat::new(super::super::SETUP, 0);
        for name in ["UPPER.TXT", "none", ".txt", "a/b.txt", "a b.txt", "long.ending", "a."] {
            assert!(fat.file(name, "x").is_err(), "{name}");
        }
        fat.file("a.txt", "x")?;
        assert!(fat.file("a.txt", "y").is_err());
        Ok(())
    }

    #[test]
    fn what_does_not_fit_is_refused() -> Result<()> {
        let mut fat = Fat::new(super::super::SETUP, 0);
        fat.file("a.bin", vec![1; 33 * 1024 * 1024])?;
        assert!(fat.bytes().is_ok());
        fat.file("b.bin", vec![1; 1024 * 1024])?;
        assert!(fat.bytes().is_err());
        Ok(())
    }
}
