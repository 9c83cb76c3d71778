//! Records in memory that main lacks, packed as they will lie in a block: length (16 bits, big-endian), bytes.

use crate::record::{MAX_RECORD, RecordId};

/// Bytes before each record.
pub(crate) const LENGTH_BYTES: usize = 2;

/// Records waiting for main. Their numbers are consecutive.
#[derive(Debug)]
pub(crate) struct Pending {
    bytes: Vec<u8>,
    capacity: usize,
    first: RecordId,
    count: u32,
    /// Where a record was read last: its place in the sequence and in `bytes`. Makes reading on cheap.
    found: (u32, usize),
}

impl Pending {
    pub(crate) fn new(capacity: usize, first: RecordId) -> Self {
        // Written once, so that the memory is there from the start and not when an attack fills it.
        let mut bytes = vec![1; capacity];
        bytes.clear();
        Self { bytes, capacity, first, count: 0, found: (0, 0) }
    }

    pub(crate) const fn first(&self) -> RecordId {
        self.first
    }

    pub(crate) const fn count(&self) -> u32 {
        self.count
    }

    pub(crate) fn next(&self) -> RecordId {
        self.first.plus(u64::from(self.count))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) const fn capacity(&self) -> usize {
        self.capacity
    }

    pub(crate) fn has_room(&self, record: &[u8]) -> bool {
        self.bytes.len() + LENGTH_BYTES + record.len() <= self.capacity
    }

    /// Adds a record of at most [`MAX_RECORD`] bytes. Only replaying a journal, whose length bounds it, goes past the
    /// capacity.
    pub(crate) fn push(&mut self, record: &[u8]) -> RecordId {
        debug_assert!(record.len() <= MAX_RECORD, "checked by the caller");
        let id = self.next();
        let len = u16::try_from(record.len()).unwrap_or(u16::MAX);
        self.bytes.extend_from_slice(&len.to_be_bytes());
        self.bytes.extend_from_slice(record);
        self.count += 1;
        id
    }

    /// Lets the next record have the number `id`. Only when there is none.
    pub(crate) fn restart(&mut self, id: RecordId) {
        debug_assert!(self.count == 0, "numbers are consecutive");
        self.first = id;
    }

    /// The record `id`, if it is here.
    pub(crate) fn record(&mut self, id: RecordId) -> Option<&[u8]> {
        let index =
            u32::try_from(id.0.checked_sub(self.first.0)?).ok().filter(|index| *index < self.count)?;
        let (mut here, mut at) = if self.found.0 <= index { self.found } else { (0, 0) };
        while here < index {
            at += LENGTH_BYTES + self.len_at(at)?;
            here += 1;
        }
        self.found = (here, at);
        let start = at + LENGTH_BYTES;
        self.bytes.get(start..start + self.len_at(at)?)
    }

    /// How many bytes the first `count` records take.
    pub(crate) fn prefix(&self, count: u32) -> usize {
        let mut at = 0;
        for _ in 0..count {
            let Some(len) = self.len_at(at) else { break };
            at += LENGTH_BYTES + len;
        }
        at
    }

    /// Forgets the first `count` records, which take `len` bytes.
    pub(crate) fn drop_first(&mut self, count: u32, len: usize) {
        self.bytes.drain(..len.min(self.bytes.len()));
        self.first = self.first.plus(u64::from(count));
        self.count = self.count.saturating_sub(count);
        self.found = (0, 0);
    }

    fn len_at(&self, at: usize) -> Option<usize> {
        let len = self.bytes.get(at..)?.first_chunk::<LENGTH_BYTES>()?;
        Some(usize::from(u16::from_be_bytes(*len)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_in_any_order_and_are_dropped_from_the_front() {
        let mut pending = Pending::new(64, RecordId(10));
        for record in [&b"one"[..], b"", b"three"] {
            assert!(pending.has_room(record));
            pending.push(record);
        }
        assert_eq!(pending.bytes(), b"\0\x03one\0\0\0\x05three");
        assert_eq!(pending.record(RecordId(12)), Some(&b"three"[..]));
        assert_eq!(pending.record(RecordId(10)), Some(&b"one"[..]));
        assert_eq!(pending.record(RecordId(11)), Some(&b""[..]));
        assert_eq!(pending.record(RecordId(13)), None);
        assert_eq!(pending.record(RecordId(9)), None);
        assert_eq!((pending.prefix(0), pending.prefix(1), pending.prefix(3)), (0, 5, 14));
        pending.drop_first(2, 7);
        assert_eq!((pending.first(), pending.count(), pending.next()), (RecordId(12), 1, RecordId(13)));
        assert_eq!(pending.record(RecordId(12)), Some(&b"three"[..]));
        assert!(pending.has_room(&[0; 55]));
        assert!(!pending.has_room(&[0; 56]));
    }
}
