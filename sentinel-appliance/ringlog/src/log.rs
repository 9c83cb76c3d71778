//! The log itself.

use core::ops::Range;

use crate::error::{AppendError, FlushError, OpenError, ReadError};
use crate::geometry::Geometry;
use crate::key::{LogKey, Mode};
use crate::record::RecordId;
use crate::storage::Storage;
use crate::verify::{Finding, Head, Report, SegmentInfo};

/// The log. One writer at a time.
#[derive(Debug)]
pub struct RingLog<M, J> {
    main: M,
    journal: J,
    key: LogKey,
}

/// What was found when opening.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Recovery {
    /// There was no log: this one starts with its first record.
    pub is_new: bool,
    /// Records in the log, those from the journal included; records sealed with an older key not included.
    pub records: u64,
    /// Of these, records that only the journal had.
    pub from_journal: u64,
    /// Bytes of unfinished writes that were left out: at the end of main, and at the end of the journal.
    pub torn_bytes: u64,
    /// Segments whose header is damaged.
    pub damaged_segments: u32,
    /// Segments that this key does not reach back to.
    pub older_key_segments: u32,
    /// Records that main once had, by the journal's word, and has no more.
    pub missing_records: u64,
}

/// Counters since opening. All only grow.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Stats {
    /// Records appended.
    pub appended: u64,
    /// Bytes of these records.
    pub appended_bytes: u64,
    /// Records not accepted: the caller lost them.
    pub refused: u64,
    /// Records destroyed by rotation.
    pub overwritten: u64,
    /// Segments begun.
    pub rotations: u64,
    /// Blocks written to main.
    pub blocks: u64,
    /// Bytes of sealed records in them: after deflating, with headers, before padding to pages.
    pub sealed_bytes: u64,
    /// Bytes written to main, failed writes included: what wears out the flash.
    pub main_bytes: u64,
    /// Bytes written to the journal.
    pub journal_bytes: u64,
    /// Writes and flushes that failed.
    pub write_errors: u64,
    /// Blocks that could not be opened while reading.
    pub damaged_blocks: u64,
}

/// A place in the log for reading on. Costs nothing to keep; reading with several in turns inflates blocks again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cursor {
    next: RecordId,
}

impl Cursor {
    /// Reads from the record `from` on, or from the first one after it that is still there.
    #[must_use]
    pub const fn new(from: RecordId) -> Self {
        Self { next: from }
    }

    /// The record that is read next, if it is still there.
    #[must_use]
    pub const fn position(&self) -> RecordId {
        self.next
    }
}

#[expect(
    clippy::unimplemented,
    clippy::missing_errors_doc,
    clippy::needless_pass_by_value,
    reason = "signatures first"
)]
#[allow(missing_docs, unused_variables)]
impl<M: Storage, J: Storage<Error = M::Error>> RingLog<M, J> {
    /// Opens the log in `main` and `journal`, or starts one if `main` is empty. Writes nothing.
    pub fn open(
        main: M,
        journal: J,
        geometry: Geometry,
        key: LogKey,
        mode: Mode,
    ) -> Result<(Self, Recovery), OpenError<M::Error>> {
        unimplemented!()
    }

    /// Seals a record into the journal. Writes to main only when memory is full ([`Self::needs_flush`] says so before).
    pub fn append(&mut self, record: &[u8]) -> Result<RecordId, AppendError<M::Error>> {
        unimplemented!()
    }

    /// Whether the records in memory have reached the mark at which they should go to main: look at
    /// [`Self::about_to_overwrite`], append what must not be lost (an eighth of a segment is kept free for that), flush.
    pub fn needs_flush(&self) -> bool {
        unimplemented!()
    }

    /// The records that [`Self::flush`] would destroy if called now; `None` if it needs no new segment or the ring is not full.
    pub fn about_to_overwrite(&mut self) -> Option<Range<RecordId>> {
        unimplemented!()
    }

    /// Brings all records to main and makes them durable: for critical alerts, at shutdown, when [`Self::needs_flush`].
    pub fn flush(&mut self) -> Result<(), FlushError<M::Error>> {
        unimplemented!()
    }

    /// Flushes, and lets the next record start a new segment with the next key.
    pub fn rotate(&mut self) -> Result<(), FlushError<M::Error>> {
        unimplemented!()
    }

    /// The next record at or after the cursor, into `buf` ([`crate::MAX_RECORD`] bytes are always enough); `None` at the end.
    /// A number higher than the cursor's position means that the records between are gone or unreadable.
    pub fn read_next(
        &mut self,
        cursor: &mut Cursor,
        buf: &mut [u8],
    ) -> Result<Option<(RecordId, usize)>, ReadError<M::Error>> {
        unimplemented!()
    }

    /// The oldest record that can be read, or [`Self::next_id`] if there is none.
    pub fn oldest(&self) -> RecordId {
        unimplemented!()
    }

    /// The number that the next record will get.
    pub fn next_id(&self) -> RecordId {
        unimplemented!()
    }

    /// Where main ends: to be remembered elsewhere, so that [`Self::verify`] notices when the log is rolled back.
    pub fn head(&self) -> Head {
        unimplemented!()
    }

    /// Describes each segment, oldest first.
    pub fn list(&mut self, each: &mut dyn FnMut(&SegmentInfo)) -> Result<(), ReadError<M::Error>> {
        unimplemented!()
    }

    /// Checks everything; tells `each` what is wrong. `expected` is a [`Head`] remembered elsewhere.
    pub fn verify(
        &mut self,
        expected: Option<&Head>,
        each: &mut dyn FnMut(&Finding),
    ) -> Result<Report, ReadError<M::Error>> {
        unimplemented!()
    }

    /// Counters since opening.
    pub fn stats(&self) -> Stats {
        unimplemented!()
    }

    /// The key as the program should store it now.
    pub const fn key(&self) -> &LogKey {
        &self.key
    }

    /// Moves the key on so far that records before `keep_from` become unreadable wherever their segment ends before it,
    /// and gives the key to be stored. Never past the segment being written or what the journal holds.
    pub fn advance_key(&mut self, keep_from: RecordId) -> &LogKey {
        unimplemented!()
    }

    /// Gives back the memory for deflating and inflating (363 KB) until it is needed again.
    pub fn release_buffers(&mut self) {
        unimplemented!()
    }

    /// Ends without flushing and gives the storages back.
    pub fn into_storages(self) -> (M, J) {
        (self.main, self.journal)
    }
}
