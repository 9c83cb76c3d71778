//! Records in memory that main does not hold yet, in the layout of a block: length (16 bits, big-endian), then the bytes.

use crate::record::{MAX_RECORD, RecordId};

/// Length of the length field before each record, in bytes.
pub(crate) const LENGTH_LEN: usize = 2;

/// Queue of records with consecutive numbers, at most one segment of bytes, that the next flush writes to main.
#[derive(Debug)]
pub(crate) struct Pending {
    bytes: Vec<u8>,
    capacity: usize,
    first: RecordId,
    count: u32,
    /// Index and byte offset of the record that was read last. Reading in order costs one step for each record instead of a
    /// walk from the start.
    last_read: (u32, usize),
}

impl Pending {
    pub(crate) fn new(capacity: usize, first: RecordId) -> Self {
        // Filled once: the system backs memory when it is first written, which must not happen only under an attack.
        let mut bytes = vec![1; capacity];
        bytes.clear();
        Self { bytes, capacity, first, count: 0, last_read: (0, 0) }
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
        self.bytes.len() + LENGTH_LEN + record.len() <= self.capacity
    }

    /// Adds a record of at most [`MAX_RECORD`] bytes. Callers check [`Self::has_room`], except for the replay of a journal,
    /// which may exceed the capacity and is bounded by the length of the journal.
    pub(crate) fn push(&mut self, record: &[u8]) -> RecordId {
        debug_assert!(record.len() <= MAX_RECORD, "checked by the caller");
        let id = self.next();
        let len = u16::try_from(record.len()).unwrap_or(u16::MAX);
        self.bytes.extend_from_slice(&len.to_be_bytes());
        self.bytes.extend_from_slice(record);
        self.count += 1;
        id
    }

    /// Sets the number of the next record, to skip numbers that must not be assigned again. The queue must be empty.
    pub(crate) fn set_next(&mut self, id: RecordId) {
        debug_assert!(self.count == 0, "numbers are consecutive");
        self.first = id;
    }

    /// Record `id`, if it is in the queue.
    pub(crate) fn record(&mut self, id: RecordId) -> Option<&[u8]> {
        let index =
            u32::try_from(id.0.checked_sub(self.first.0)?).ok().filter(|index| *index < self.count)?;
        // Lengths are stored before each record only, so a record is found by walking from one that is known.
        let (mut reached, mut at) = if self.last_read.0 <= index { self.last_read } else { (0, 0) };
        while reached < index {
            at += LENGTH_LEN + self.len_at(at)?;
            reached += 1;
        }
        self.last_read = (reached, at);
        let start = at + LENGTH_LEN;
        self.bytes.get(start..start + self.len_at(at)?)
    }

    /// Bytes that the first `count` records take.
    pub(crate) fn prefix_len(&self, count: u32) -> usize {
        let mut at = 0;
        for _ in 0..count {
            let Some(len) = self.len_at(at) else { break };
            at += LENGTH_LEN + len;
        }
        at
    }

    /// Removes the first `count` records, which take `len` bytes.
    pub(crate) fn drop_first(&mut self, count: u32, len: usize) {
        // Moves the remaining bytes; happens once for each block written.
        self.bytes.drain(..len.min(self.bytes.len()));
        self.first = self.first.plus(u64::from(count));
        self.count = self.count.saturating_sub(count);
        self.last_read = (0, 0);
    }

    /// Removes all records; their numbers are assigned again.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
        self.last_read = (0, 0);
    }

    fn len_at(&self, at: usize) -> Option<usize> {
        let len = self.bytes.get(at..)?.first_chunk::<LENGTH_LEN>()?;
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
        assert_eq!((pending.prefix_len(0), pending.prefix_len(1), pending.prefix_len(3)), (0, 5, 14));
        pending.drop_first(2, 7);
        assert_eq!((pending.first(), pending.count(), pending.next()), (RecordId(12), 1, RecordId(13)));
        assert_eq!(pending.record(RecordId(12)), Some(&b"three"[..]));
        assert!(pending.has_room(&[0; 55]));
        assert!(!pending.has_room(&[0; 56]));
    }
}
