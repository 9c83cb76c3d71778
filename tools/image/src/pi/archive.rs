//! Archive of an initramfs: `cpio` in the format `newc`.
//!
//! Read first: Linux, Documentation/driver-api/early-userspace/buffer-format.rst.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, ensure};

use crate::files::{Content, Entry, Files};

const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;

/// All files, owned by root, of one time.
///
/// # Errors
/// If a file is longer than 4 GiB, or the time does not fit into 32 bits.
pub fn archive(files: &Files, time: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let time = u32::try_from(time).context("a time before 2106")?;
    for (index, entry) in files.iter().enumerate() {
        let (kind, content) = match &entry.content {
            Content::Directory => (DIRECTORY, &[][..]),
            Content::File(content) => (FILE, content.as_slice()),
            Content::Link(target) => (LINK, target.as_bytes()),
        };
        // The kernel takes files with one number for links to each other.
        let number = u32::try_from(index)?.saturating_add(1);
        member(&mut bytes, &entry.path, [number, kind | mode(entry)?, time], content)?;
    }
    member(&mut bytes, "TRAILER!!!", [0, 0, 0], &[])?;
    Ok(bytes)
}

fn mode(entry: &Entry) -> Result<u32> {
    ensure!(entry.mode <= 0o7777, "{}: mode {:o}", entry.path, entry.mode);
    Ok(if matches!(entry.content, Content::Link(_)) { 0o777 } else { entry.mode })
}

fn member(bytes: &mut Vec<u8>, path: &str, [number, mode, time]: [u32; 3], content: &[u8]) -> Result<()> {
    let (length, name) = (u32::try_from(content.len())?, u32::try_from(path.len())?.saturating_add(1));
    // Number, mode, owner, group, links, time, length, four numbers of devices, length of the name with its end, no checksum.
    let fields = [number, mode, 0, 0, 1, time, length, 0, 0, 0, 0, name, 0];
    let mut head = String::from("070701");
    for field in fields {
        let _infallible = write!(head, "{field:08X}");
    }
    bytes.extend(head.as_bytes());
    bytes.extend(path.as_bytes());
    bytes.push(0);
    pad(bytes);
    bytes.extend(content);
    pad(bytes);
    Ok(())
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_and_contents_begin_at_multiples_of_four() -> Result<()> {
        let mut files = Files::default();
        files.file("etc/a", 0o640, "hello")?;
        files.add(Entry { path: "sh".into(), mode: 0o777, content: Content::Link("bin/b".into()) })?;
        let bytes = archive(&files, 0x1234)?;
        let text = String::from_utf8_lossy(&bytes);
        let file = "07070100000002000081A0000000000000000000000001000012340000000500000000000000000000000000000000\
                    0000000600000000etc/a\0hello\0\0\0";
        let link = "070701000000030000A1FF000000000000000000000001000012340000000500000000000000000000000000000000\
                    0000000300000000sh\0\0\0\0bin/b\0\0\0";
        assert!(text.contains(file) && text.contains(link), "{text}");
        assert!(text.trim_end_matches('\0').ends_with("TRAILER!!!"));
        Ok(())
    }
}
