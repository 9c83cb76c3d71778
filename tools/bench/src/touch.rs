//! Read floor: goes from record to record of a capture and reads the first cache line of each frame, the least that any
//! reader does.
//!
//! There are four read methods, because which one is cheapest depends on the machine; the cheapest is the floor.

use std::fs::File;
use std::hint::black_box;
use std::io::Read;
use std::path::Path;
use std::ptr;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use crate::output;

const HEADER_LEN: usize = 24;
const RECORD_LEN: usize = 16;
const CACHE_LINE: usize = 64;
/// Distance in bytes at which frames are prefetched.
const PREFETCH_DISTANCE: usize = 4_096;
/// Bytes of one `read` call.
const READ_LEN: usize = 128 * 1_024;

/// Method of reading the file's bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum ReadMethod {
    /// Map the file
    Map,
    /// Map the file, and prefetch 4 KiB ahead
    MapPrefetch,
    /// Map the file with all its pages at once, and prefetch
    PopulatePrefetch,
    /// Read the file block by block into one buffer
    Read,
}

impl ReadMethod {
    pub(crate) const ALL: [Self; 4] = [Self::Map, Self::MapPrefetch, Self::PopulatePrefetch, Self::Read];

    /// Name on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Map => "map",
            Self::MapPrefetch => "map-prefetch",
            Self::PopulatePrefetch => "populate-prefetch",
            Self::Read => "read",
        }
    }
}

/// Reads the file by `method` and prints its number of records.
pub(crate) fn touch(path: &Path, method: ReadMethod) -> Result<()> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let count = match method {
        ReadMethod::Read => read_blocks(file)?,
        ReadMethod::Map => mapped(&file, MapFlags::PRIVATE, |_| ())?,
        ReadMethod::MapPrefetch => mapped(&file, MapFlags::PRIVATE, prefetch)?,
        ReadMethod::PopulatePrefetch => mapped(&file, MapFlags::PRIVATE | MapFlags::POPULATE, prefetch)?,
    };
    output::line(count);
    Ok(())
}

/// Maps the file and counts its records.
#[expect(
    unsafe_code,
    reason = "a mapping is the cheapest way to read a file, hence the floor; read() copies"
)]
fn mapped(file: &File, flags: MapFlags, ahead: impl Fn(&[u8])) -> Result<u64> {
    let length = usize::try_from(file.metadata()?.len())?;
    ensure!(length >= HEADER_LEN, "not a pcap file");
    // SAFETY: a new mapping at an address of the kernel's choice, which no other reference points to.
    // JUSTIFICATION: this is the reference that other readers are measured against; read() copies.
    let start = unsafe { mmap(ptr::null_mut(), length, ProtFlags::READ, flags, file, 0) }?;
    // SAFETY: the mapping is `length` readable bytes. The file is one that this bench has written or was given to measure,
    // and is not truncated meanwhile.
    let bytes = unsafe { std::slice::from_raw_parts(start.cast::<u8>().cast_const(), length) };
    check(bytes)?;
    let (count, _) = records(bytes.get(HEADER_LEN..).unwrap_or_default(), ahead);
    // SAFETY: the slice is not used after this.
    unsafe { munmap(start, length) }?;
    Ok(count)
}

/// Reads the file in blocks of [`READ_LEN`] bytes and counts its records.
fn read_blocks(mut file: File) -> Result<u64> {
    let mut header = [0; HEADER_LEN];
    file.read_exact(&mut header)?;
    check(&header)?;
    // A frame of 256 KiB is the longest that a capture has.
    let mut buffer = vec![0; 4 * READ_LEN];
    let (mut count, mut held) = (0, 0);
    loop {
        let end = buffer.len().min(held + READ_LEN);
        let read = file.read(buffer.get_mut(held..end).unwrap_or_default())?;
        held += read;
        let (more, remaining) = records(buffer.get(..held).unwrap_or_default(), |_| ());
        count += more;
        if read == 0 {
            return Ok(count);
        }
        buffer.copy_within(held - remaining..held, 0);
        held = remaining;
    }
}

fn check(bytes: &[u8]) -> Result<()> {
    let magic = bytes.first_chunk::<4>();
    let known = [0xa1b2_c3d4_u32, 0xa1b2_3c4d].iter().any(|known| magic == Some(&known.to_le_bytes()));
    ensure!(known, "only little-endian pcap files can be read");
    Ok(())
}

/// Reads the record header and the first cache line of each complete record. Returns the number of records, and of bytes
/// after the last one.
fn records(bytes: &[u8], ahead: impl Fn(&[u8])) -> (u64, usize) {
    let mut remaining = bytes;
    let (mut count, mut sum) = (0_u64, 0_u8);
    while let Some((header, after)) = remaining.split_first_chunk::<RECORD_LEN>() {
        let [_, _, _, _, _, _, _, _, a, b, c, d, ..] = *header;
        let length = usize::try_from(u32::from_le_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        let Some((frame, next)) = after.split_at_checked(length) else { break };
        ahead(after);
        sum = sum.wrapping_add(frame.first().copied().unwrap_or(0));
        sum = sum.wrapping_add(frame.get(CACHE_LINE - 1).copied().unwrap_or(0));
        count += 1;
        remaining = next;
    }
    black_box(sum);
    (count, remaining.len())
}

/// Prefetches the two cache lines that lie [`PREFETCH_DISTANCE`] bytes after the start of `bytes`.
#[inline]
#[cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "the prefetch intrinsic takes a raw pointer")
)]
fn prefetch(bytes: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    for line in [PREFETCH_DISTANCE, PREFETCH_DISTANCE + CACHE_LINE] {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint never faults, wherever it points, and the pointer is not dereferenced.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(bytes.as_ptr().wrapping_add(line).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _no_stable_intrinsic = bytes;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_complete_records_are_counted() {
        let mut file = Vec::new();
        assert_eq!(records(&file, prefetch), (0, 0));
        for length in [0_u8, 3, 200] {
            file.extend([0; 8]);
            file.extend([length, 0, 0, 0, length, 0, 0, 0]);
            file.extend(vec![7; usize::from(length)]);
        }
        assert_eq!(records(&file, prefetch), (3, 0));
        assert_eq!(records(&file[..file.len() - 1], |_| ()), (2, 16 + 199));
        assert!(check(&[0; 40]).is_err() && check(&0xa1b2_3c4d_u32.to_le_bytes()).is_ok());
    }

    #[test]
    fn every_read_method_finds_the_same_records() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.pcap");
        let mut file = [&0xa1b2_3c4d_u32.to_le_bytes()[..], &[0; 20]].concat();
        for index in 0..5_000_u32 {
            let length = index % 1_515;
            file.extend([[0; 4], [0; 4], length.to_le_bytes(), length.to_le_bytes()].concat());
            file.extend(vec![1; usize::try_from(length).unwrap()]);
        }
        std::fs::write(&path, file).unwrap();
        assert_eq!(read_blocks(File::open(&path).unwrap()).unwrap(), 5_000);
        assert_eq!(mapped(&File::open(&path).unwrap(), MapFlags::PRIVATE, prefetch).unwrap(), 5_000);
    }
}
