//! Compiler of lists of indicators. The layout of the file is in `sentinel-appliance/detect/FORMAT.md`.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a tool: an index of its own making, and lines for its user"
)]

mod fuse;
mod sources;

use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sentinel_detect::indicators::{ADDRESSES, BLOCK, BUCKETS, Geometry};
use sentinel_seal::digest::sha256;

use sources::{Allowed, Indicator, List};

/// Numbers of a file that was written.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    addresses: usize,
    keys: usize,
    allowed: usize,
    memory: usize,
    second: usize,
}

impl fmt::Display for Summary {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { addresses, keys, allowed, memory, second } = self;
        write!(
            out,
            "{addresses} IPv4 addresses and {keys} names, URLs, fingerprints and IPv6 addresses; {allowed} left out, because they are never \
             malicious; {memory} bytes in memory, {second} beside them in the file"
        )
    }
}

/// Compiles lists into `output`.
pub(crate) fn compile(lists: &[PathBuf], allow: &[PathBuf], small: bool, output: &Path) -> Result<Summary> {
    let mut allowed = Allowed::built_in();
    for path in allow {
        allowed.read(path)?;
    }
    let mut entries = Vec::new();
    for path in lists {
        let List { entries: more, refused } = sources::read(path)?;
        for (reason, (count, line, text)) in refused {
            eprintln!("{}:{line}: {reason}: {text} ({count} lines)", path.display());
        }
        entries.extend(more);
    }
    let before = entries.len();
    entries.retain(|entry| !allowed.holds(entry));
    let left_out = before - entries.len();
    let (bytes, summary) = pack(&entries, small)?;
    // A sensor that reads meanwhile gets the old file or the new one, never a part.
    let directory = output.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = output.file_name().context("the output is no file")?.to_string_lossy();
    let draft = directory.join(format!(".{name}.{}", std::process::id()));
    let mut file = std::fs::File::create(&draft).with_context(|| draft.display().to_string())?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    std::fs::rename(&draft, output).with_context(|| output.display().to_string())?;
    Ok(Summary { allowed: left_out, ..summary })
}

/// Bytes of the file with these entries.
pub(crate) fn pack(entries: &[Indicator], small: bool) -> Result<(Vec<u8>, Summary)> {
    let mut addresses: Vec<u32> = Vec::new();
    let mut keys: Vec<u64> = Vec::new();
    let mut contents = 0;
    for entry in entries {
        if let Indicator::Addresses(first, last) = entry {
            addresses.extend(*first..=*last);
            contents |= ADDRESSES;
        } else if let Some((key, kind)) = entry.key() {
            keys.push(key);
            contents |= kind.bit();
        }
    }
    addresses.sort_unstable();
    addresses.dedup();
    keys.sort_unstable();
    keys.dedup();
    if contents == 0 {
        bail!("the lists have no entries");
    }
    let (segment_log, segments) = fuse::sizes(keys.len());
    let mut geometry = Geometry {
        contents,
        addresses: u32::try_from(addresses.len())?,
        low_bits: low_bits(addresses.len()),
        keys: u32::try_from(keys.len())?,
        seed: 0,
        segment_log,
        segments,
        has_second: !small && !keys.is_empty(),
    };
    let mut memory = elias_fano(&addresses, &geometry);
    let mut second = Vec::new();
    if !keys.is_empty() {
        let filter = fuse::build(&keys, &geometry)?;
        geometry.seed = filter.seed;
        memory.extend(filter.filter.iter().flat_map(|bits| bits.to_le_bytes()));
        if geometry.has_second {
            second.extend(filter.second.iter().flat_map(|bits| bits.to_le_bytes()));
        }
    }
    let summary = Summary {
        addresses: addresses.len(),
        keys: keys.len(),
        allowed: 0,
        memory: memory.len(),
        second: second.len(),
    };
    Ok((with_checksums(&geometry, &memory, &second), summary))
}

/// Header, checksums of all blocks, and sections.
fn with_checksums(geometry: &Geometry, memory: &[u8], second: &[u8]) -> Vec<u8> {
    let sums = memory.chunks(BLOCK).chain(second.chunks(BLOCK)).flat_map(|block| checksum(&[block]));
    let sums: Vec<u8> = sums.collect();
    let mut header = geometry.header();
    let (fields, sum) = header.split_at_mut(56);
    sum.copy_from_slice(&checksum(&[fields, &sums]));
    [&header[..], &sums, memory, second].concat()
}

fn checksum(parts: &[&[u8]]) -> [u8; 8] {
    *sha256(parts).first_chunk().expect("a digest has 32 bytes")
}

/// Low bits of each of so many addresses: those that are not shared by the average.
fn low_bits(addresses: usize) -> u32 {
    let addresses = u64::try_from(addresses.max(1)).unwrap_or(u64::MAX);
    ((1_u64 << 32) / addresses).checked_ilog2().unwrap_or(0).min(24)
}

/// Low bits, upper bits in unary, and the directory of sorted addresses.
fn elias_fano(addresses: &[u32], geometry: &Geometry) -> Vec<u8> {
    let [low_len, upper_len, directory_len] = geometry.address_parts();
    let (mut low, mut upper) = (vec![0_u8; low_len], vec![0_u8; upper_len]);
    if addresses.is_empty() {
        return Vec::new();
    }
    let mut directory = Vec::with_capacity(directory_len);
    let low_bits = geometry.low_bits;
    let buckets = 1_u64 << (32 - low_bits);
    let (mut at, mut next) = (0_usize, 0_usize);
    for bucket in 0..buckets {
        if bucket % u64::try_from(BUCKETS).unwrap_or(1) == 0 {
            directory.extend(u32::try_from(at).expect("fewer than 2^32 bits").to_le_bytes());
        }
        while let Some(address) =
            addresses.get(next).filter(|address| u64::from(**address >> low_bits) == bucket)
        {
            upper[at / 8] |= 1 << (at % 8);
            let bit = next * usize::try_from(low_bits).unwrap_or(0);
            let part = u64::from(address & ((1 << low_bits) - 1)) << (bit % 8);
            for (place, byte) in low[bit / 8..].iter_mut().zip(part.to_le_bytes()) {
                *place |= byte;
            }
            (at, next) = (at + 1, next + 1);
        }
        // The zero that ends the bucket.
        at += 1;
    }
    [low, upper, directory].concat()
}

#[cfg(test)]
mod tests;
