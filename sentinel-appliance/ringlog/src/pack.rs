//! Compression of blocks: raw deflate (RFC 1951) of whole blocks, inflated record by record.

use core::fmt;

use flate2::{Compress, Compression, FlushCompress, Status};
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_HAS_MORE_INPUT;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress_with_limit};

use crate::format::Packing;
use crate::pending::LENGTH_LEN;
use crate::record::MAX_RECORD;

/// Compressor. Its state takes 320 KB from first use to [`Packer::release`].
#[derive(Default)]
pub(crate) struct Packer(Option<Compress>);

impl Packer {
    /// Packs `records` into `out`, deflated if that makes them shorter. Returns the packing and the length; `None` if they fit
    /// neither way.
    pub(crate) fn pack(&mut self, records: &[u8], out: &mut [u8]) -> Option<(Packing, usize)> {
        if let Some(len) = self.deflate(records, out).filter(|len| *len < records.len()) {
            return Some((Packing::Deflated, len));
        }
        // Deflating may lengthen incompressible records. They are stored then, so packed records are never
        // longer than unpacked ones.
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

/// Size of the output window: two of the longest records, so that the longest one always fits behind a partial one.
const WINDOW_LEN: usize = 2 * (LENGTH_LEN + MAX_RECORD);

/// Decompressor that yields the records of a block one by one. Its state takes 43 KB from first use to
/// [`Unpacker::release`]; what one call unpacks is bounded by the window, whatever the block claims to expand to.
pub(crate) struct Unpacker {
    state: Option<Inflater>,
    packing: Packing,
    /// Bytes of the packed block consumed.
    used: usize,
    /// Unpacked bytes `start..end` are not yet consumed.
    window: [u8; WINDOW_LEN],
    start: usize,
    end: usize,
}

impl Default for Unpacker {
    fn default() -> Self {
        Self { state: None, packing: Packing::Stored, used: 0, window: [0; WINDOW_LEN], start: 0, end: 0 }
    }
}

impl Unpacker {
    /// Starts a new block.
    pub(crate) fn begin(&mut self, packing: Packing) {
        if packing == Packing::Deflated {
            self.state.get_or_insert_with(Inflater::new).reset();
        }
        self.packing = packing;
        self.used = 0;
        self.start = 0;
        self.end = 0;
    }

    pub(crate) fn release(&mut self) {
        self.state = None;
    }

    /// Next record of `packed`, which must be the same bytes at each call since [`Self::begin`]. `None` at the end, and for
    /// bytes that [`Packer::pack`] does not produce.
    pub(crate) fn record(&mut self, packed: &[u8]) -> Option<&[u8]> {
        self.fill_window(packed, LENGTH_LEN)?;
        let len = self.window.get(self.start..)?.first_chunk::<LENGTH_LEN>()?;
        let len = usize::from(u16::from_be_bytes(*len));
        // Bounded before use: the window holds a record of MAX_RECORD bytes and no longer one.
        if len > MAX_RECORD {
            return None;
        }
        self.fill_window(packed, LENGTH_LEN + len)?;
        let at = self.start + LENGTH_LEN;
        self.start = at + len;
        self.window.get(at..at + len)
    }

    /// Returns true if all of `packed` was consumed and no unpacked byte is left.
    pub(crate) fn is_at_end(&mut self, packed: &[u8]) -> bool {
        self.fill_window(packed, 1).is_none() && self.start == self.end && self.used == packed.len()
    }

    /// Unpacks until the window holds at least `wanted` unread bytes; `None` if the block ends before.
    fn fill_window(&mut self, packed: &[u8], wanted: usize) -> Option<()> {
        if self.end - self.start >= wanted {
            return Some(());
        }
        self.window.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        // Each iteration unpacks at least a byte or returns; the window bounds what one call unpacks.
        while self.end < wanted {
            let input = packed.get(self.used..)?;
            let output = self.window.get_mut(self.end..)?;
            let (consumed, produced) = match self.packing {
                Packing::Stored => {
                    let count = input.len().min(output.len());
                    output.get_mut(..count)?.copy_from_slice(input.get(..count)?);
                    (count, count)
                }
                Packing::Deflated => self.state.as_mut()?.inflate(input, output)?,
            };
            self.used += consumed;
            self.end += produced;
            if produced == 0 {
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

/// Bytes that a match of raw deflate may reach back.
const HISTORY_LEN: usize = 32 * 1024;

/// Raw inflate over a ring buffer of the last 32 KiB of output.
///
/// Not `flate2::Decompress`, which is this and the same buffer, but builds its 43 KB twice on the stack before it moves them
/// to the heap: half of what the control thread's stack then held for the rest of the run.
struct Inflater {
    decompressor: Box<DecompressorOxide>,
    history: Box<[u8]>,
    /// Position in `history` of the next byte; below `HISTORY_LEN`.
    next: usize,
}

impl Inflater {
    fn new() -> Self {
        Self { decompressor: Box::default(), history: vec![0; HISTORY_LEN].into_boxed_slice(), next: 0 }
    }

    /// Starts a new stream.
    fn reset(&mut self) {
        self.decompressor.init();
        self.next = 0;
    }

    /// Inflates as much as fits. Returns the bytes consumed and produced; `None` for bytes that are not a deflate stream.
    fn inflate(&mut self, input: &[u8], output: &mut [u8]) -> Option<(usize, usize)> {
        let Self { decompressor, history, next } = self;
        let limit = output.len().min(HISTORY_LEN - *next);
        let (status, consumed, produced) =
            decompress_with_limit(decompressor, input, history, *next, limit, TINFL_FLAG_HAS_MORE_INPUT);
        if !matches!(status, TINFLStatus::Done | TINFLStatus::NeedsMoreInput | TINFLStatus::HasMoreOutput) {
            return None;
        }
        let produced_end = *next + produced;
        output.get_mut(..produced)?.copy_from_slice(history.get(*next..produced_end)?);
        *next = produced_end % HISTORY_LEN;
        Some((consumed, produced))
    }
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
    fn packed_records_are_unpacked_unchanged() {
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
    fn incompressible_records_are_stored_and_records_that_do_not_fit_are_rejected() {
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
    fn every_cut_of_a_block_gives_fewer_records() {
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
