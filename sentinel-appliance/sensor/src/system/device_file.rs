//! File of the stations that the sensor knows (`devices` in the state directory), so that a restart reports none of them again.
//!
//! `SENTDEV1`, one byte that is 1 if the stations are all, 16 bytes for each, and 16 bytes of a hash chain over all before. It is replaced as
//! a whole. It decides only what is reported as new: a damaged one is not used, and the next one replaces it.

use std::path::Path;

use sentinel_detect::Device;
use sentinel_seal::Chain;

use crate::system::damage::{self, FileState};
use crate::system::keys;
use crate::terminal::failure::Failure;

/// Station as the file has it.
pub(crate) type DeviceBytes = [u8; Device::LEN];

const FILE: &str = "devices";
const MAGIC: &[u8; 8] = b"SENTDEV1";
const CHECKSUM_LEN: usize = 16;
/// More stations than any table holds.
const MAX_DEVICES: usize = 256;
const MAX_LEN: usize = MAGIC.len() + 1 + MAX_DEVICES * Device::LEN + CHECKSUM_LEN;

/// Stations of the file, and whether these were all; none without a file.
///
/// # Errors
/// It cannot be read, or is damaged.
pub(crate) fn read(state_dir: &Path) -> Result<(Vec<Device>, bool), Failure> {
    let path = state_dir.join(FILE);
    let mut bytes = vec![0; MAX_LEN + 1];
    let failed = |what: &dyn std::fmt::Display| Failure::new(format!("{}: {what}", path.display()));
    match damage::read(&path, &mut bytes) {
        FileState::Absent => Ok((Vec::new(), false)),
        FileState::Good(length) => decode(bytes.get(..length).unwrap_or_default())
            .ok_or_else(|| failed(&"damaged; all stations are new to the sensor, which learns them again")),
        FileState::Damaged(what) | FileState::Unreadable(what) => Err(failed(&what)),
    }
}

/// Replaces the file.
///
/// # Errors
/// Those of the file system; the file before stays.
pub(crate) fn write(state_dir: &Path, devices: &[DeviceBytes], is_complete: bool) -> Result<(), Failure> {
    keys::write_private(&state_dir.join(FILE), &encode(devices, is_complete))
}

fn encode(devices: &[DeviceBytes], is_complete: bool) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.push(is_complete.into());
    devices.iter().take(MAX_DEVICES).for_each(|device| bytes.extend(device));
    bytes.extend(checksum(&bytes));
    bytes
}

fn decode(bytes: &[u8]) -> Option<(Vec<Device>, bool)> {
    let (content, sum) = bytes.split_at_checked(bytes.len().checked_sub(CHECKSUM_LEN)?)?;
    let (is_complete, records) = content.strip_prefix(MAGIC)?.split_first()?;
    let (records, []) = records.as_chunks() else { return None };
    let devices: Option<Vec<Device>> = records.iter().map(Device::from_bytes).collect();
    devices.filter(|_| sum == checksum(content)).map(|devices| (devices, *is_complete == 1))
}

fn checksum(content: &[u8]) -> [u8; CHECKSUM_LEN] {
    let chain = Chain::START.link(&[b"sentinel device file v1", content]);
    chain.as_bytes().first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn devices() -> Vec<Device> {
        let mac = |number: u8| [0x3c, 0, 0, 0, 0, number, 78, 1, 10, 0, 0, number, 1, 2, 3, 4];
        (1..=48).map(|number| Device::from_bytes(&mac(number)).unwrap()).collect()
    }

    #[test]
    fn what_is_written_is_read() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(read(directory.path()).unwrap(), (Vec::new(), false));
        for is_complete in [false, true] {
            let written: Vec<DeviceBytes> = devices().iter().map(Device::to_bytes).collect();
            write(directory.path(), &written, is_complete).unwrap();
            assert_eq!(read(directory.path()).unwrap(), (devices(), is_complete));
        }
    }

    #[test]
    fn every_change_and_every_cut_is_damage() {
        let directory = tempfile::tempdir().unwrap();
        let good = encode(&devices().iter().map(Device::to_bytes).collect::<Vec<_>>(), true);
        let path = directory.path().join(FILE);
        for cut in 0..good.len() {
            assert!(decode(&good[..cut]).is_none(), "cut at {cut}");
        }
        for place in 0..good.len() {
            let mut changed = good.clone();
            changed[place] ^= 1;
            assert!(decode(&changed).is_none(), "changed at {place}");
        }
        std::fs::write(&path, [0; 3 * MAX_LEN]).unwrap();
        assert!(read(directory.path()).unwrap_err().to_string().contains("damaged"));
    }
}
