//! Write-ahead journal: every record that main does not hold yet, sealed one by one, on a RAM disk. It survives the end of
//! the program, but not of the power.
//!
//! The journal is written from byte 0, and again from byte 0 once main holds everything. Nothing is truncated: bytes of an
//! earlier round are sealed with another section key and never open behind the new ones (see [`replay`]).
//!
//! A frame is written over the end mark before it, together with the next end mark, in one call. A kill during that write
//! leaves a frame that does not open, and so loses the record being appended and no other. A kill between the flush of
//! main and [`Journal::reset`] leaves records in both; opening skips those that main has.

mod replay;

use sentinel_seal::{Sealer, TAG_LEN};

use crate::format::{SectionHeader, Tag, frame_associated_data, journal_key};
use crate::key::{LogKey, Salt};
use crate::pending::{LENGTH_LEN, Pending};
use crate::record::{ChainHead, MAX_RECORD, RecordId};
use crate::storage::{Storage, write_at};

pub(crate) use replay::Replay;

/// Value after the last frame, at the place of the next length: everything before it was written completely.
const END_MARK: u16 = 0xffff;
const MARK_LEN: usize = 2;

/// Longest frame: length, record, tag.
const MAX_FRAME_LEN: usize = LENGTH_LEN + MAX_RECORD + TAG_LEN;

/// Bytes that appending a record of `len` bytes may need: a section header, a frame and the end mark.
pub(crate) const fn max_append_len(len: usize) -> usize {
    SectionHeader::LEN + LENGTH_LEN + len + TAG_LEN + MARK_LEN
}

#[derive(Debug)]
pub(crate) struct Journal<J> {
    storage: J,
    /// Byte at which the next section or frame goes.
    tail: u64,
    /// Tag that ends at `tail`; zeros at the front.
    tag: Tag,
    /// Sealer of the section being written. `None` after opening and after a failed write: the next record begins a section.
    sealer: Option<Sealer>,
    /// Sections begun since opening.
    sections: u64,
    /// Number of the first pending records that are in the journal.
    journaled: u32,
    /// Epoch of the first section.
    epoch: u64,
    /// Bytes written since opening.
    written: u64,
}

/// Content of a section header besides its numbers: key and salt of this opening, and the end of main.
pub(crate) struct SectionContext<'k> {
    pub(crate) key: &'k LogKey,
    pub(crate) salt: Salt,
    pub(crate) main_end: ChainHead,
}

impl<J: Storage> Journal<J> {
    pub(crate) const fn new(storage: J) -> Self {
        Self {
            storage,
            tail: 0,
            tag: [0; TAG_LEN],
            sealer: None,
            sections: 0,
            journaled: 0,
            epoch: 0,
            written: 0,
        }
    }

    /// Continues behind what `replay` read, which holds `journaled` records that main lacks. With none of them the journal
    /// is written from the front.
    pub(crate) const fn resume(&mut self, replay: &Replay, journaled: u32) {
        if journaled > 0
            && let Some(epoch) = replay.epoch
        {
            self.tail = replay.tail;
            self.tag = replay.tag;
            self.journaled = journaled;
            self.epoch = epoch;
        }
    }

    pub(crate) const fn tail(&self) -> u64 {
        self.tail
    }

    /// Returns true if `replay`, read just now, ends before what was written.
    pub(crate) const fn is_cut_short(&self, replay: &Replay) -> bool {
        replay.tail < self.tail
    }

    pub(crate) const fn written(&self) -> u64 {
        self.written
    }

    /// Oldest epoch whose key is needed to read the journal; `None` if it holds nothing that main lacks.
    pub(crate) const fn epoch(&self) -> Option<u64> {
        if self.journaled > 0 { Some(self.epoch) } else { None }
    }

    /// Appends the pending records that are not in the journal yet: one in the usual case, more after failed writes.
    ///
    /// # Errors
    /// The storage failed; records before the failure are in the journal, the others are tried again by the next call.
    pub(crate) fn append_pending(
        &mut self,
        pending: &mut Pending,
        context: &SectionContext<'_>,
    ) -> Result<(), J::Error> {
        while self.journaled < pending.count() {
            let id = pending.first().plus(u64::from(self.journaled));
            let Some(record) = pending.record(id) else { return Ok(()) };
            if self.sealer.is_none() {
                self.write_section(id, context)?;
            }
            self.write_frame(id, record)?;
            self.journaled += 1;
        }
        Ok(())
    }

    /// Counts the first `count` pending records as written to main. Their frames stay until [`Self::reset`].
    pub(crate) const fn discard(&mut self, count: u32) {
        self.journaled = self.journaled.saturating_sub(count);
    }

    /// Begins again at byte 0, because main holds everything.
    ///
    /// # Errors
    /// The storage failed. The front of the journal may be damaged; main holds all records, so none is lost.
    pub(crate) fn reset(&mut self, context: &SectionContext<'_>) -> Result<(), J::Error> {
        // State first: if the write fails, the next record begins a section at byte 0 all the same.
        self.tail = 0;
        self.tag = [0; TAG_LEN];
        self.sealer = None;
        self.journaled = 0;
        self.write_section(context.main_end.next_id, context)
    }

    fn write_section(&mut self, first: RecordId, context: &SectionContext<'_>) -> Result<(), J::Error> {
        // Counted before the write: a section that is tried again gets another number and so another key.
        let section = self.sections;
        self.sections += 1;
        let header = SectionHeader {
            epoch: context.key.epoch(),
            first,
            main_end: context.main_end,
            salt: context.salt,
            section,
        };
        let mut sealer = Sealer::new(&journal_key(context.key.key(), context.salt, section));
        // A new sealer has nonces left, so this always succeeds.
        let Some((header, tag)) = header.seal(&mut sealer, &self.tag) else { return Ok(()) };
        let mut bytes = [0; SectionHeader::LEN + MARK_LEN];
        let (start, end) = bytes.split_at_mut(SectionHeader::LEN);
        start.copy_from_slice(&header);
        end.copy_from_slice(&END_MARK.to_be_bytes());
        self.write(&bytes)?;
        if self.tail == 0 {
            self.epoch = context.key.epoch();
        }
        self.tail += u64::try_from(SectionHeader::LEN).unwrap_or(0);
        self.tag = tag;
        self.sealer = Some(sealer);
        Ok(())
    }

    fn write_frame(&mut self, id: RecordId, record: &[u8]) -> Result<(), J::Error> {
        let Some(sealer) = &mut self.sealer else { return Ok(()) };
        let mut bytes = [0; MAX_FRAME_LEN + MARK_LEN];
        let len = u16::try_from(record.len()).unwrap_or(u16::MAX);
        let (length, remaining) = bytes.split_at_mut(LENGTH_LEN);
        let (text, remaining) = remaining.split_at_mut(record.len().min(MAX_RECORD));
        let (tag, remaining) = remaining.split_at_mut(TAG_LEN);
        let (mark, _) = remaining.split_at_mut(MARK_LEN);
        length.copy_from_slice(&len.to_be_bytes());
        text.copy_from_slice(record.get(..text.len()).unwrap_or_default());
        // Cannot run out: a section ends long before 2^64 frames.
        let Ok(sealed) = sealer.seal(&frame_associated_data(&self.tag, id, len), text) else { return Ok(()) };
        tag.copy_from_slice(&sealed.tag);
        mark.copy_from_slice(&END_MARK.to_be_bytes());
        let frame_len = LENGTH_LEN + record.len() + TAG_LEN;
        // One write for frame and end mark: a kill in between would else leave a journal that looks cut off.
        self.write(bytes.get(..frame_len + MARK_LEN).unwrap_or_default())?;
        self.tail += u64::try_from(frame_len).unwrap_or(0);
        self.tag = sealed.tag;
        Ok(())
    }

    /// Writes at the tail. A failed write ends the section, because its nonce may be used already in bytes that reached the
    /// storage in part.
    fn write(&mut self, bytes: &[u8]) -> Result<(), J::Error> {
        self.written += u64::try_from(bytes.len()).unwrap_or(0);
        let written = write_at(&mut self.storage, self.tail, bytes);
        if written.is_err() {
            self.sealer = None;
        }
        written
    }

    pub(crate) fn into_storage(self) -> J {
        self.storage
    }
}
