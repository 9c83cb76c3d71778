//! Deflating records into a block and inflating them one by one.

use core::fmt;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use crate::format::Packing;
use crate::pending::LENGTH_BYTES;
use crate::record::MAX_RECORD;

/// Deflates. 320 KB while it holds its state.
#[derive(Default)]
pub(crate) struct Packer(Option<Compress>);

impl Packer {
    /// Packs `records` into `out`, deflated if that makes them smaller. `None` if they do not fit either way.
    pub(crate) fn pack(&mut self, records: &[u8], out: &mut [u8]) -> Option<(Packing, usize)> {
        if let Some(len) = self.deflate(records, out).filter(|len| *len < records.len()) {
            return Some((Packing::Deflated, len));
        }
        out.get_mut(..records.len())?.copy_from_slice(records);
        Some((Packing::Stored, records.len()))
    }

    pub(crate) fn release(&mut self) {
        self.0 = None;
    }

    fn deflate(&mut self, records: &[u8], out: &mut [u8]) -> Option<usize> {
        let state = self.0.get_or_insert_with(|| Compress::new(Compression::fast(), false));
        state.reset();
        match state.compress(records, out, FlushCompress::Finish) {
            Ok(Status::StreamEnd) => usize::try_from(state.total_out()).ok(),
            // The output is full.
            Ok(Status::Ok | Status::BufError) | Err(_) => None,
        }
    }
}

impl fmt::Debug for Packer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Packer({})", if self.0.is_some() { "allocated" } else { "empty" })
    }
}

/// Room for the longest record and some more to inflate into.
const WINDOW: usize = 2 * (LENGTH_BYTES + MAX_RECORD);

/// Takes records out of a packed block one by one. 43 KB while it holds its state.
pub(crate) struct Unpacker {
    state: Option<Decompress>,
    packing: Packing,
    /// Bytes of the packed block that were used.
    used: usize,
    window: [u8; WINDOW],
    start: usize,
    end: usize,
}

impl Default for Unpacker {
    fn default() -> Self {
        Self { state: None, packing: Packing::Stored, used: 0, window: [0; WINDOW], start: 0, end: 0 }
    }
}

impl Unpacker {
    /// Starts with another block.
    pub(crate) fn begin(&mut self, packing: Packing) {
        if packing == Packing::Deflated {
            self.state.get_or_insert_with(|| Decompress::new(false)).reset(false);
        }
        self.packing = packing;
        self.used = 0;
        self.start = 0;
        self.end = 0;
    }

    pub(crate) fn release(&mut self) {
        self.state = None;
    }

    /// The next record of `packed`, which must be the same bytes at each call since [`Self::begin`]. `None` if there is
    /// none, or the bytes are not what [`Packer::pack`] makes.
    pub(crate) fn record(&mut self, packed: &[u8]) -> Option<&[u8]> {
        self.gather(packed, LENGTH_BYTES)?;
        let len = self.window.get(self.start..)?.first_chunk::<LENGTH_BYTES>()?;
        let len = usize::from(u16::from_be_bytes(*len));
        if len > MAX_RECORD {
            return None;
        }
        self.gather(packed, LENGTH_BYTES + len)?;
        let at = self.start + LENGTH_BYTES;
        self.start = at + len;
        self.window.get(at..at + len)
    }

    /// Whether all of `packed` was used and nothing is left over.
    pub(crate) fn is_at_end(&mut self, packed: &[u8]) -> bool {
        self.gather(packed, 1).is_none() && self.start == self.end && self.used == packed.len()
    }

    /// Makes at least `wanted` bytes lie in the window.
    fn gather(&mut self, packed: &[u8], wanted: usize) -> Option<()> {
        if self.end - self.start >= wanted {
            return Some(());
        }
        self.window.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        // Each round moves on or ends the loop; the window bounds what one call unpacks.
        while self.end < wanted {
            let from = packed.get(self.used..)?;
            let to = self.window.get_mut(self.end..)?;
            let (used, made) = match self.packing {
                Packing::Stored => {
                    let count = from.len().min(to.len());
                    to.get_mut(..count)?.copy_from_slice(from.get(..count)?);
                    (count, count)
                }
                Packing::Deflated => inflate(self.state.as_mut()?, from, to)?,
            };
            self.used += used;
            self.end += made;
            if made == 0 {
                return None;
            }
        }
        Some(())
    }
}

impl fmt::Debug for Unpacker {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Unpacker({})", if self.state.is_some() { "allocated" } else { "empty" })
    }
}

/// Bytes taken and bytes made.
fn inflate(state: &mut Decompress, from: &[u8], to: &mut [u8]) -> Option<(usize, usize)> {
    let (taken, made) = (state.total_in(), state.total_out());
    state.decompress(from, to, FlushDecompress::None).ok()?;
    let taken = usize::try_from(state.total_in() - taken).ok()?;
    let made = usize::try_from(state.total_out() - made).ok()?;
    Some((taken, made))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(count: usize) -> Vec<Vec<u8>> {
        (0..count).map(|at| format!("record {at}").repeat(at % 90).into_bytes()).collect()
    }

    fn framed(records: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for record in records {
            bytes.extend(u16::try_from(record.len()).unwrap().to_be_bytes());
            bytes.extend(record);
        }
        bytes
    }

    fn unpack(packing: Packing, packed: &[u8], unpacker: &mut Unpacker) -> (Vec<Vec<u8>>, bool) {
        unpacker.begin(packing);
        let mut found = Vec::new();
        while let Some(record) = unpacker.record(packed) {
            found.push(record.to_vec());
        }
        (found, unpacker.is_at_end(packed))
    }

    #[test]
    fn packed_records_come_back() {
        let mut packer = Packer::default();
        let mut unpacker = Unpacker::default();
        let mut out = vec![0; 200_000];
        for count in [1, 2, 100, 400] {
            let records = records(count);
            let raw = framed(&records);
            let (packing, len) = packer.pack(&raw, &mut out).unwrap();
            assert!(count < 3 || len * 4 < raw.len(), "repeated text deflates well");
            assert_eq!(unpack(packing, &out[..len], &mut unpacker), (records, true));
        }
    }

    #[test]
    fn what_does_not_deflate_is_stored_and_what_does_not_fit_is_refused() {
        let noise = crate::tests::noise(1, 1000);
        let raw = framed(std::slice::from_ref(&noise));
        let mut out = vec![0; raw.len()];
        let mut packer = Packer::default();
        assert_eq!(packer.pack(&raw, &mut out), Some((Packing::Stored, raw.len())));
        assert_eq!(unpack(Packing::Stored, &out, &mut Unpacker::default()), (vec![noise], true));
        out.pop();
        assert_eq!(packer.pack(&raw, &mut out), None);
    }

    #[test]
    fn every_cut_gives_fewer_records_and_no_clean_end() {
        let records = records(60);
        let raw = framed(&records);
        let mut out = vec![0; raw.len()];
        let (packing, len) = Packer::default().pack(&raw, &mut out).unwrap();
        let mut unpacker = Unpacker::default();
        for cut in 0..len {
            let (found, _) = unpack(packing, &out[..cut], &mut unpacker);
            assert!(found.len() <= records.len() && found[..] == records[..found.len()], "cut at {cut}");
        }
        for cut in 0..raw.len() {
            let (found, _) = unpack(Packing::Stored, &raw[..cut], &mut unpacker);
            assert_eq!(found[..], records[..found.len()], "cut at {cut}");
            assert!(found.len() < records.len());
        }
    }
}
