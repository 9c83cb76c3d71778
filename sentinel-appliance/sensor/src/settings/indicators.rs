//! Compiled indicators: the file of the setting `indicators_file`, which [`sentinel_detect::indicators`] looks up in.
//!
//! All checksums are verified when a file is read. The first section, which every look-up needs, is in memory of its own, and not a map of the file:
//! who copies a new list over the old one cuts it for a moment, and a read of a map behind the end of its file kills the program. The second
//! section stays in the file and is read only if a key passes the filter; if the file was changed in its place since, what passes is
//! not confirmed. All workers share one list, which is freed with the last reference to it.

use std::cell::RefCell;
use std::fmt;
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sentinel_detect::indicators::{BLOCK, Geometry, HEADER, IndicatorLookup, Indicators, MAGIC, Slots};
use sentinel_seal::digest::sha256;

use super::Settings;
use crate::terminal::failure::Failure;

/// Bytes that the first section takes at most.
const MAX_MEMORY: usize = 4 << 20;
/// Profile `full` of `memory_kib`.
const MIN_MEMORY_KIB: u32 = 8_192;
/// Bytes of the header that its checksum is of.
const FIELDS: usize = HEADER - 8;

/// A list that was read.
#[derive(Debug)]
pub(crate) struct Loaded {
    geometry: Geometry,
    memory: Vec<u8>,
    file: File,
    /// Position of the second section.
    second_at: u64,
    stamp: (u64, i64, i64),
}

/// A list that threads share.
pub(crate) type Shared = Option<Arc<Loaded>>;

thread_local! {
    /// List that this thread looks up in. Each thread has its own reference and no lock: a new list comes to a worker with its other settings.
    static CURRENT: RefCell<Shared> = const { RefCell::new(None) };
}

/// Look-ups in the list of the thread.
#[derive(Debug)]
struct Lookup;

/// List of this thread.
pub(crate) fn current() -> Shared {
    CURRENT.with_borrow(Clone::clone)
}

/// Gives this thread a list; gives the one before.
pub(crate) fn replace(list: Shared) -> Shared {
    CURRENT.replace(list)
}

/// Gives this thread a list; gives the look-ups in it, for its engine.
pub(crate) fn enter(list: Shared) -> Option<&'static dyn IndicatorLookup> {
    let is_any = list.is_some();
    replace(list);
    is_any.then_some(&Lookup)
}

/// Reason why a file is not read, with the file.
#[derive(Debug)]
pub(crate) struct IndicatorsError {
    file: PathBuf,
    cause: Fault,
}

#[derive(Debug)]
enum Fault {
    Io(std::io::Error),
    /// No file of this format.
    Other,
    /// Header of another version.
    Version,
    /// Bytes of the file, and those that the header says.
    Length(u64, u64),
    /// Bytes of the first section.
    TooLarge(usize),
    /// Value of `memory_kib`.
    Memory(u32),
    /// Bytes from the first to the last whose checksum is wrong.
    Damaged(u64, u64),
}

impl fmt::Display for IndicatorsError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: ", self.file.display())?;
        match &self.cause {
            Fault::Io(error) => error.fmt(out),
            Fault::Other => {
                out.write_str("not a compiled list of indicators: make one with 'sentinel-learn indicators'")
            }
            Fault::Version => {
                out.write_str("a list of another version: compile it again with the tools of this one")
            }
            Fault::Length(has, wants) if has < wants => write!(out, "cut at byte {has} of {wants}"),
            Fault::Length(has, wants) => write!(out, "{} bytes behind its end at byte {wants}", has - wants),
            Fault::TooLarge(bytes) => {
                write!(out, "takes {bytes} bytes of memory, at most {MAX_MEMORY}: leave out some lists")
            }
            Fault::Memory(has) => write!(
                out,
                "a compiled list takes up to 4 MiB beside the tables: it needs memory_kib full ({MIN_MEMORY_KIB}) or more, not {has}; small lists \
                 fit into signatures_file"
            ),
            Fault::Damaged(from, to) => write!(out, "damaged between bytes {from} and {to}"),
        }
    }
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads the list of the settings; `None` if they name none.
///
/// # Errors
/// The file cannot be read, is no sound list of this version, or the sensor has less memory than the profile `full`.
pub(crate) fn load(settings: &Settings) -> Result<Shared, IndicatorsError> {
    let Some(path) = settings.indicators_file.as_deref() else { return Ok(None) };
    let has_room = settings.memory_kib >= MIN_MEMORY_KIB;
    match if has_room { read(path) } else { Err(Fault::Memory(settings.memory_kib)) } {
        Ok(loaded) => Ok(Some(Arc::new(loaded))),
        Err(cause) => Err(IndicatorsError { file: path.to_owned(), cause }),
    }
}

/// Puts the list of the settings in force, for a program that has just begun.
pub(crate) fn begin(settings: &Settings) -> Result<(), Failure> {
    replace(load(settings).map_err(Failure::new)?);
    Ok(())
}

fn read(path: &Path) -> Result<Loaded, Fault> {
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    let mut header = [0; HEADER];
    let has = file.read_at(&mut header, 0)?;
    if !header.starts_with(&MAGIC) {
        return Err(Fault::Other);
    }
    if has < HEADER {
        return Err(Fault::Length(metadata.len(), bytes(HEADER)));
    }
    let geometry = Geometry::parse(&header).ok_or(Fault::Version)?;
    let (memory_len, second_len) = geometry.sections();
    let sums_len = geometry.checksums();
    let second_at = bytes(HEADER) + bytes(sums_len) + bytes(memory_len);
    let wants = second_at + bytes(second_len);
    if metadata.len() != wants {
        return Err(Fault::Length(metadata.len(), wants));
    }
    if memory_len > MAX_MEMORY {
        return Err(Fault::TooLarge(memory_len));
    }
    file.read_exact(&mut header)?;
    let mut sums = vec![0; sums_len];
    file.read_exact(&mut sums)?;
    let (fields, sum) = header.split_at(FIELDS);
    if !is_sum(&[fields, &sums], sum) {
        return Err(Fault::Damaged(0, bytes(HEADER) + bytes(sums_len)));
    }
    let mut memory = vec![0; memory_len];
    file.read_exact(&mut memory)?;
    let mut sums = sums.chunks_exact(8);
    let mut at = second_at - bytes(memory_len);
    for block in memory.chunks(BLOCK) {
        at = checked(block, sums.next(), at)?;
    }
    let mut block = vec![0; BLOCK.min(second_len)];
    let mut left = second_len;
    while left > 0 {
        let len = left.min(BLOCK);
        let part = block.get_mut(..len).unwrap_or_default();
        file.read_exact(part)?;
        at = checked(part, sums.next(), at)?;
        left -= len;
    }
    Ok(Loaded { geometry, memory, stamp: stamp(&metadata), file, second_at })
}

fn bytes(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn is_sum(parts: &[&[u8]], sum: &[u8]) -> bool {
    sha256(parts).starts_with(sum)
}

/// Compares a block at this position with its checksum; gives the position behind it.
fn checked(block: &[u8], sum: Option<&[u8]>, at: u64) -> Result<u64, Fault> {
    let end = at + bytes(block.len());
    if sum.is_some_and(|sum| is_sum(&[block], sum)) { Ok(end) } else { Err(Fault::Damaged(at, end)) }
}

/// Length and time of the last change, by which a file that was changed in its place is known.
fn stamp(metadata: &Metadata) -> (u64, i64, i64) {
    (metadata.len(), metadata.mtime(), metadata.mtime_nsec())
}

impl Loaded {
    /// Compares a key that passes the filter with the second section; `None` if it is not listed.
    #[cold]
    fn confirm(&self, slots: Slots) -> Option<bool> {
        let mut bits = slots.second;
        for place in slots.places {
            let mut word = [0; 4];
            let at = self.second_at + u64::from(place) * 4;
            if !self.geometry.has_second || self.file.read_exact_at(&mut word, at).is_err() {
                return Some(false);
            }
            bits ^= u32::from_le_bytes(word);
        }
        let is_unchanged = self.file.metadata().is_ok_and(|metadata| stamp(&metadata) == self.stamp);
        match (bits, is_unchanged) {
            (0, _) => Some(true),
            (_, true) => None,
            (_, false) => Some(false),
        }
    }
}

impl IndicatorLookup for Lookup {
    fn contents(&self) -> u32 {
        CURRENT.with_borrow(|list| list.as_ref().map_or(0, |loaded| loaded.geometry.contents))
    }

    fn has_address(&self, address: u32) -> bool {
        CURRENT.with_borrow(|list| {
            let list = list.as_ref().and_then(|loaded| Indicators::of(loaded.geometry, &loaded.memory));
            list.is_some_and(|list| list.has_address(address))
        })
    }

    fn find(&self, key: u64) -> Option<bool> {
        CURRENT.with_borrow(|list| {
            let loaded = list.as_ref()?;
            loaded.confirm(Indicators::of(loaded.geometry, &loaded.memory)?.passes(key)?)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sentinel_detect::indicators::{ADDRESSES, KeyHash, KeyKind};

    /// A list of the addresses 198.51.100.7 and 198.51.100.9, and of one key, as the compiler of lists makes it.
    fn list(key: u64) -> Vec<u8> {
        let mut geometry = Geometry {
            contents: ADDRESSES | KeyKind::Name.bit(),
            addresses: 2,
            low_bits: 24,
            keys: 1,
            seed: 5,
            segment_log: 2,
            segments: 1,
            has_second: true,
        };
        geometry.seed = 5;
        // Low bits; bucket 198 of 256 has two ones in front of its zero; one entry of the directory.
        let mut memory = vec![7, 100, 51, 9, 100, 51, 0, 0, 0, 0];
        let mut upper = vec![0; 33];
        upper[198 / 8] = 3 << (198 % 8);
        memory.extend([upper, vec![0; 4]].concat());
        let slots = geometry.slots(key);
        let (mut filter, mut second) = (vec![0_u16; 12], vec![0_u32; 12]);
        let place = usize::try_from(slots.places[0]).unwrap();
        (filter[place], second[place]) = (slots.filter, slots.second);
        memory.extend(filter.iter().flat_map(|bits| bits.to_le_bytes()));
        let second: Vec<u8> = second.iter().flat_map(|bits| bits.to_le_bytes()).collect();
        let sums: Vec<u8> =
            [&memory, &second].iter().flat_map(|block| sha256(&[block.as_slice()])[..8].to_vec()).collect();
        let mut header = geometry.header();
        let sum = sha256(&[&header[..FIELDS], &sums]);
        header[FIELDS..].copy_from_slice(&sum[..8]);
        [&header[..], &sums, &memory, &second].concat()
    }

    fn evil() -> u64 {
        KeyHash::default().before(b"evil.test").key(KeyKind::Name)
    }

    fn load(path: &Path) -> Result<Shared, IndicatorsError> {
        super::load(&settings(path, MIN_MEMORY_KIB))
    }

    fn settings(path: &Path, memory_kib: u32) -> Settings {
        Settings { indicators_file: Some(path.to_owned()), memory_kib, ..Settings::default() }
    }

    fn text(error: &IndicatorsError) -> String {
        error.to_string().split_once(": ").unwrap().1.to_owned()
    }

    #[test]
    fn a_list_is_read_and_looked_up() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("list");
        std::fs::write(&path, list(evil())).unwrap();
        let current = enter(load(&path).unwrap()).unwrap();
        assert_eq!(current.contents(), ADDRESSES | KeyKind::Name.bit());
        let found = [6, 7, 8, 9].map(|last| current.has_address(0xc633_6400 + last));
        assert_eq!(found, [false, true, false, true]);
        assert!(!current.has_address(0xc733_6407) && !current.has_address(0));
        assert_eq!([current.find(evil()), current.find(evil() ^ 1)], [Some(true), None]);
        // Replaced by renaming: the list in force stays as it is.
        std::fs::write(directory.path().join("new"), list(7)).unwrap();
        std::fs::rename(directory.path().join("new"), &path).unwrap();
        assert_eq!(current.find(evil()), Some(true));
        assert!(replace(load(&path).unwrap()).is_some());
        assert_eq!([current.find(evil()), current.find(7)], [None, Some(true)]);
        assert!(super::load(&Settings::default()).unwrap().is_none());
        let little = super::load(&settings(&path, MIN_MEMORY_KIB - 1)).unwrap_err();
        assert!(little.to_string().contains("needs memory_kib full (8192) or more, not 8191"), "{little}");
    }

    /// `cp` cuts the file that it writes to. A map of it would kill the program at the next look-up.
    #[test]
    fn a_file_that_is_changed_in_its_place_leaves_the_list_in_force_without_confirmation() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("list");
        std::fs::write(&path, list(evil())).unwrap();
        let current = enter(load(&path).unwrap()).unwrap();
        for changed in [&b""[..], &[0; 500], &list(7)[..150]] {
            std::fs::write(&path, changed).unwrap();
            assert!(current.has_address(0xc633_6407));
            assert_eq!([current.find(evil()), current.find(evil() ^ 1)], [Some(false), None]);
            assert!(load(&path).is_err());
        }
    }

    #[test]
    fn a_cut_or_damaged_file_is_refused_with_its_place() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("list");
        let whole = list(evil());
        let error = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            text(&load(&path).unwrap_err())
        };
        for len in 0..whole.len() {
            let message = error(&whole[..len]);
            let is_right = if len < 7 {
                message.contains("compiled list")
            } else {
                message.contains(&format!("cut at byte {len} of"))
            };
            assert!(is_right, "{len}: {message}");
        }
        assert!(error(&[&whole[..], &[0]].concat()).starts_with("1 bytes behind its end"));
        for at in 0..whole.len() {
            let mut wrong = whole.clone();
            wrong[at] ^= 0x10;
            let message = error(&wrong);
            assert!(at < HEADER || message.starts_with("damaged between bytes"), "{at}: {message}");
        }
        assert!(error(b"evil.test\n").contains("sentinel-learn indicators"));
    }
}
