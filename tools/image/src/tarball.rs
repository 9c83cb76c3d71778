//! tar archives as GNU tar writes them with `--format=gnu --sort=name --numeric-owner --owner=0 --group=0 --mtime=@TIME .`.

use std::io::{Cursor, Read as _};

use anyhow::{Context as _, Result, bail, ensure};
use tar::{Archive, Builder, EntryType, Header};

use crate::files::{Content, Entry, Files, by_components};

/// Archive of a package's files, its root directory first.
///
/// # Errors
/// If a path or link is longer than a header without extensions holds.
pub fn write(files: &Files, time: u64) -> Result<Vec<u8>> {
    let mut builder = Builder::new(Vec::new());
    let root = Entry { path: String::new(), mode: 0o755, content: Content::Directory };
    for entry in std::iter::once(&root).chain(files.iter()) {
        append(&mut builder, entry, time)?;
    }
    Ok(builder.into_inner()?)
}

/// Archive of a few members beside each other, in the order given, without a directory.
///
/// # Errors
/// As [`write()`].
pub fn write_members(members: &[(&str, &[u8])], time: u64) -> Result<Vec<u8>> {
    let mut builder = Builder::new(Vec::new());
    for (name, bytes) in members {
        let content = Content::File(bytes.to_vec());
        append(&mut builder, &Entry { path: (*name).to_owned(), mode: 0o644, content }, time)?;
    }
    Ok(builder.into_inner()?)
}

fn append(builder: &mut Builder<Vec<u8>>, entry: &Entry, time: u64) -> Result<()> {
    let mut header = Header::new_gnu();
    let (kind, bytes, slash) = match &entry.content {
        Content::Directory => (EntryType::Directory, &[][..], if entry.path.is_empty() { "" } else { "/" }),
        Content::File(bytes) => (EntryType::Regular, bytes.as_slice(), ""),
        Content::Link(_) => (EntryType::Symlink, &[][..], ""),
    };
    let name = format!("./{}{slash}", entry.path);
    let old = header.as_old_mut();
    let room = old.name.get_mut(..name.len()).with_context(|| format!("{name}: too long"))?;
    room.copy_from_slice(name.as_bytes());
    if let Content::Link(target) = &entry.content {
        let room = old.linkname.get_mut(..target.len()).with_context(|| format!("{target}: too long"))?;
        room.copy_from_slice(target.as_bytes());
    }
    header.set_entry_type(kind);
    header.set_mode(entry.mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(time);
    header.set_size(u64::try_from(bytes.len())?);
    header.set_cksum();
    let sum = checksum(&header)?;
    header.as_old_mut().cksum = sum;
    Ok(builder.append(&header, bytes)?)
}

/// Six digits, as POSIX and GNU tar have it; the crate writes seven.
fn checksum(header: &Header) -> Result<[u8; 8]> {
    let text = format!("{:06o}\0 ", header.cksum()?);
    Ok(text.as_bytes().try_into()?)
}

/// Archive that was read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Read {
    /// Everything in it but the root directory.
    pub files: Files,
    /// Time of all members, seconds since 1970.
    pub time: u64,
}

/// Reads what [`write()`] writes.
///
/// # Errors
/// If it is cut or altered, is not in order, has an owner other than root, several times, or anything but directories, regular
/// files and symbolic links.
pub fn read(bytes: &[u8]) -> Result<Read> {
    let mut members = members(bytes)?.into_iter();
    let (root, time) = members.next().context("an empty archive")?;
    ensure!(
        root.path.is_empty() && root.content == Content::Directory && root.mode == 0o755,
        "the archive does not begin with its root directory"
    );
    let (mut files, mut before) = (Files::default(), String::new());
    for (entry, own_time) in members {
        let path = entry.path.clone();
        ensure!(own_time == time, "{path}: its time is {own_time}, that of the others {time}");
        ensure!(before.is_empty() || by_components(&before, &path).is_lt(), "{path} stands after {before}");
        if let Some((parent, _)) = path.rsplit_once('/') {
            ensure!(files.get(parent).is_some(), "{path} stands before its directory");
        }
        files.add(entry)?;
        before = path;
    }
    Ok(Read { files, time })
}

/// Reads what [`write_members`] writes: names and bytes, in their order.
///
/// # Errors
/// As [`read`]; anything but regular files is one too.
pub fn read_members(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>> {
    let members = members(bytes)?.into_iter().map(|(entry, _)| match entry.content {
        Content::File(bytes) => Ok((entry.path, bytes)),
        Content::Directory | Content::Link(_) => bail!("{}: not a regular file", entry.path),
    });
    members.collect()
}

fn members(bytes: &[u8]) -> Result<Vec<(Entry, u64)>> {
    let mut archive = Archive::new(Cursor::new(bytes));
    let (mut found, mut end) = (Vec::new(), 0_u64);
    for member in archive.entries()? {
        let mut member = member.context("an archive that is cut or altered")?;
        let header = member.header().clone();
        let name = String::from_utf8(header.path_bytes().into_owned()).context("a name that is no text")?;
        ensure!(header.as_old().cksum == checksum(&header)?, "{name}: not the checksum of GNU tar");
        ensure!(header.uid()? == 0 && header.gid()? == 0, "{name}: its owner is not root");
        let path = name.strip_prefix("./").with_context(|| format!("{name}: want ./ before every name"))?;
        let mut data = Vec::new();
        let length = u64::try_from(member.read_to_end(&mut data)?)?;
        ensure!(length == header.entry_size()?, "{name}: cut");
        end = member.raw_file_position().saturating_add(length.next_multiple_of(512));
        let content = match header.entry_type() {
            EntryType::Directory if length == 0 => Content::Directory,
            EntryType::Regular => Content::File(data),
            EntryType::Symlink if length == 0 => {
                let target = header.link_name_bytes().context("a link without a target")?.into_owned();
                Content::Link(String::from_utf8(target).context("a link that is no text")?)
            }
            other => bail!("{name}: neither directory, file nor symbolic link ({other:?})"),
        };
        ensure!(
            (content == Content::Directory) == name.ends_with('/'),
            "{name}: want a slash after directories only"
        );
        let path = path.trim_end_matches('/').to_owned();
        found.push((Entry { path, mode: header.mode()?, content }, header.mtime()?));
    }
    let rest = bytes.get(usize::try_from(end)?..).unwrap_or_default();
    ensure!(
        rest.len() >= 1024 && rest.iter().all(|byte| *byte == 0),
        "the archive does not end with two empty blocks"
    );
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Result<Files> {
        let mut files = Files::default();
        files.file("etc/config/demo", 0o600, "config\n")?;
        files.file("usr/sbin/demo", 0o755, vec![1; 700])?;
        files.add(Entry {
            path: "usr/sbin/alias".into(),
            mode: 0o777,
            content: Content::Link("demo".into()),
        })?;
        Ok(files)
    }

    #[test]
    fn what_was_written_is_read_and_every_cut_is_an_error() -> Result<()> {
        let archive = write(&sample()?, 1_700_000_000)?;
        assert_eq!(read(&archive)?, Read { files: sample()?, time: 1_700_000_000 });
        for length in (0..archive.len()).step_by(64) {
            assert!(read(archive.get(..length).unwrap_or_default()).is_err(), "{length}");
        }
        Ok(())
    }

    #[test]
    fn every_altered_header_byte_is_an_error() -> Result<()> {
        let archive = write(&sample()?, 1_700_000_000)?;
        for at in 0..512 {
            let mut altered = archive.clone();
            if let Some(byte) = altered.get_mut(at) {
                *byte ^= 1;
            }
            assert!(read(&altered).is_err(), "byte {at}");
        }
        Ok(())
    }
}
