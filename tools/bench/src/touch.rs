//! The least that a reader of a capture can do: map the file, go from record to record, look at each cache line.

use std::fs::File;
use std::hint::black_box;
use std::path::Path;
use std::ptr;

use anyhow::{Context, Result, ensure};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

const HEADER_LEN: usize = 24;
const RECORD_LEN: usize = 16;
const CACHE_LINE: usize = 64;

/// Reads the file so, and prints how many records it has.
pub(crate) fn touch(path: &Path) -> Result<()> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let length = usize::try_from(file.metadata()?.len())?;
    ensure!(length >= HEADER_LEN, "{}: no pcap file", path.display());
    // SAFETY: a new mapping at an address of the kernel's choice; nothing else knows it.
    // JUSTIFICATION: this is the reference that other readers are measured against; read() would copy.
    let start = unsafe { mmap(ptr::null_mut(), length, ProtFlags::READ, MapFlags::PRIVATE, &file, 0) }?;
    // SAFETY: the mapping is `length` readable bytes, and the file is one that this bench has made or was given to
    // measure, which nobody cuts meanwhile.
    let bytes = unsafe { std::slice::from_raw_parts(start.cast::<u8>().cast_const(), length) };
    println!("{}", records(bytes)?);
    // SAFETY: the slice is not used after this.
    unsafe { munmap(start, length) }?;
    Ok(())
}

/// Looks at every cache line of every record of a little-endian pcap file.
fn records(bytes: &[u8]) -> Result<u64> {
    let magic = bytes.first_chunk::<4>();
    let known = [0xa1b2_c3d4_u32, 0xa1b2_3c4d].iter().any(|known| magic == Some(&known.to_le_bytes()));
    ensure!(known, "only little-endian pcap files are touched");
    let mut rest = bytes.get(HEADER_LEN..).unwrap_or_default();
    let (mut count, mut sum) = (0_u64, 0_u8);
    while let Some((header, after)) = rest.split_first_chunk::<RECORD_LEN>() {
        let [_, _, _, _, _, _, _, _, a, b, c, d, ..] = *header;
        let length = usize::try_from(u32::from_le_bytes([a, b, c, d]))?;
        let Some((frame, next)) = after.split_at_checked(length) else { break };
        sum = frame.iter().step_by(CACHE_LINE).fold(sum, |sum, byte| sum.wrapping_add(*byte));
        count += 1;
        rest = next;
    }
    black_box(sum);
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_records_are_counted() {
        let mut file = [&0xa1b2_3c4d_u32.to_le_bytes()[..], &[0; 20]].concat();
        assert_eq!(records(&file).unwrap(), 0);
        for length in [0_u8, 3, 200] {
            file.extend([0; 8]);
            file.extend([length, 0, 0, 0, length, 0, 0, 0]);
            file.extend(vec![7; usize::from(length)]);
        }
        assert_eq!(records(&file).unwrap(), 3);
        assert_eq!(records(&file[..file.len() - 1]).unwrap(), 2);
        assert!(records(&[0; 40]).is_err());
    }
}
