//! Capture files in the form that every program to measure can read.

use std::fs::File;
use std::io::{BufWriter, IntoInnerError, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sentinel_capture::file::{FileKind, MAX_FRAME, Reader};
use sentinel_capture::write::PcapWriter;

use crate::child;

/// Magic numbers of pcap files with microseconds and with nanoseconds.
const PCAP_MAGIC: [u32; 2] = [0xa1b2_c3d4, 0xa1b2_3c4d];

/// Number of packets, as `sentinel read --count-only` counts them.
pub(super) fn count(sentinel: &Path, file: &Path) -> Result<u64> {
    let output = child::read(sentinel, file, "--count-only").output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().with_context(|| {
        format!("counting {}: {}", file.display(), String::from_utf8_lossy(&output.stderr).trim())
    })
}

/// Returns the capture itself if it is a little-endian pcap file, which every program reads; else a copy of that kind in
/// `directory`.
pub(super) fn as_pcap(file: &Path, directory: &Path) -> Result<PathBuf> {
    let context = || file.display().to_string();
    let open = || File::open(file).with_context(context);
    let reader = Reader::open(open()?).with_context(context)?;
    let mut magic = [0; 4];
    open()?.read_exact(&mut magic)?;
    if reader.kind() == FileKind::Pcap && PCAP_MAGIC.contains(&u32::from_le_bytes(magic)) {
        return Ok(file.canonicalize()?);
    }
    let copied = directory.join("copy.pcap");
    copy(file, &copied, u64::MAX)?;
    Ok(copied)
}

/// Copies the first `max_frames` frames into a little-endian pcap file. Such a file has one link type, that of the first
/// frame: frames of another link type are left out.
pub(super) fn copy(from: &Path, to: &Path, max_frames: u64) -> Result<()> {
    let context = || from.display().to_string();
    let mut reader = Reader::open(File::open(from).with_context(context)?).with_context(context)?;
    let mut writer = None;
    let mut written = 0;
    while written < max_frames {
        let Some(frame) = reader.next().with_context(context)? else { break };
        let (link, writer) = match &mut writer {
            Some(writer) => writer,
            none => none.insert((
                frame.link,
                PcapWriter::new(BufWriter::new(File::create(to)?), frame.link, MAX_FRAME)?,
            )),
        };
        if frame.link == *link {
            writer.write(&frame)?;
            written += 1;
        }
    }
    let (_, writer) = writer.with_context(|| format!("{}: no packets", from.display()))?;
    writer.into_inner().into_inner().map_err(IntoInnerError::into_error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sentinel_trafficgen::stream::Traffic;

    #[test]
    fn a_copy_has_the_first_frames_only() {
        let directory = tempfile::tempdir().unwrap();
        let file = Traffic::Bulk.capture(directory.path(), 5).unwrap();
        let copied = directory.path().join("copy");
        copy(&file, &copied, 2).unwrap();
        let mut reader = Reader::open(File::open(&copied).unwrap()).unwrap();
        let mut frames = 0;
        while reader.next().unwrap().is_some() {
            frames += 1;
        }
        assert_eq!(frames, 2);
        assert_eq!(as_pcap(&file, directory.path()).unwrap(), file.canonicalize().unwrap());
    }
}
