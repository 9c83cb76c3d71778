//! The journal: every record that main lacks, sealed one by one, in RAM that outlives the program but not the power.
//!
//! It is written from the front, and from the front again when main has everything. Nothing needs to be cut off: what is
//! left of an older round was sealed with another key, so it never follows on.

use sentinel_seal::{Opener, Sealer, TAG_LEN};

use crate::format::{SECTION_MARK, SectionHeader, Tag, frame_associated, journal_key};
use crate::key::{LogKey, Salt};
use crate::pending::{LENGTH_BYTES, Pending};
use crate::record::{MAX_RECORD, RecordId};
use crate::storage::{Storage, read_at, write_at};
use crate::log::ChainHead;

/// Stands after the last frame, where the length of the next one will be: what came before was written in full.
const END_MARK: u16 = 0xffff;
const MARK_BYTES: usize = 2;

/// Longest frame: length, record, tag.
const MAX_FRAME: usize = LENGTH_BYTES + MAX_RECORD + TAG_LEN;

/// Bytes that a record of `len` bytes may add, a section header included.
pub(crate) const fn room_for(len: usize) -> usize {
    SectionHeader::LEN + LENGTH_BYTES + len + TAG_LEN + MARK_BYTES
}

#[derive(Debug)]
pub(crate) struct Journal<J> {
    storage: J,
    /// Where the next section or frame goes.
    tail: u64,
    /// The tag before `tail`; zeros at the front.
    link: Tag,
    /// Of the section that is being written. `None` after opening and after an error: then the next record starts one.
    sealer: Option<Sealer>,
    /// Sections begun since opening.
    sections: u64,
    /// How many of the first pending records lie here.
    covered: u32,
    /// Epoch of the first section.
    epoch: u64,
    /// Bytes written since opening.
    written: u64,
}

/// What a journal holds.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    tail: u64,
    link: Tag,
    /// Epoch of the first section.
    epoch: Option<u64>,
    /// Where main ended when the last section was begun.
    pub(crate) anchor: Option<ChainHead>,
    /// The last write was not finished, or the journal was changed.
    pub(crate) is_torn: bool,
}

/// Where main ends and with what key and salt to go on: what a new section of the journal is made of.
pub(crate) struct Present<'k> {
    pub(crate) key: &'k LogKey,
    pub(crate) salt: Salt,
    pub(crate) head: ChainHead,
}

impl Replay {
    /// Where reading ended.
    pub(crate) const fn tail(&self) -> u64 {
        self.tail
    }
}

impl<J: Storage> Journal<J> {
    pub(crate) const fn new(storage: J) -> Self {
        Self {
            storage,
            tail: 0,
            link: [0; TAG_LEN],
            sealer: None,
            sections: 0,
            covered: 0,
            epoch: 0,
            written: 0,
        }
    }

    /// Reads all records from the front, as far as the seals hold.
    pub(crate) fn replay(
        &mut self,
        key: &LogKey,
        each: &mut dyn FnMut(RecordId, &[u8]),
    ) -> Result<Replay, J::Error> {
        let mut found = Replay::default();
        let mut section: Option<(Opener, RecordId, u64)> = None;
        let mut bytes = [0; MAX_FRAME];
        // Bounded by the storage: each round moves on by a section or a frame, or ends the loop.
        loop {
            let count = read_at(&mut self.storage, found.tail, &mut bytes)?;
            let bytes = bytes.get_mut(..count).unwrap_or_default();
            let Some((mark, rest)) = bytes.split_first_chunk_mut::<LENGTH_BYTES>() else {
                found.is_torn = found.tail > 0 || count > 0;
                return Ok(found);
            };
            let mark = u16::from_be_bytes(*mark);
            if mark == END_MARK && found.tail > 0 {
                return Ok(found);
            }
            let moved = if mark == SECTION_MARK {
                begin_section(bytes, key, &mut found).map(|next| {
                    section = Some(next);
                    SectionHeader::LEN
                })
            } else if let Some(open) = &mut section {
                read_frame(mark, rest, &mut found.link, open, each)
            } else {
                None
            };
            match moved {
                Some(moved) => found.tail += u64::try_from(moved).unwrap_or(0),
                None => {
                    found.is_torn = true;
                    return Ok(found);
                }
            }
        }
    }

    /// Goes on behind what was found, with `covered` records that main lacks; at the front if there are none.
    pub(crate) const fn resume(&mut self, found: &Replay, covered: u32) {
        if covered > 0
            && let Some(epoch) = found.epoch
        {
            self.tail = found.tail;
            self.link = found.link;
            self.covered = covered;
            self.epoch = epoch;
        }
    }

    pub(crate) const fn tail(&self) -> u64 {
        self.tail
    }

    /// Whether `found`, read just now, ends before what was written.
    pub(crate) const fn lacks(&self, found: &Replay) -> bool {
        found.tail < self.tail
    }

    pub(crate) const fn written(&self) -> u64 {
        self.written
    }

    /// The oldest epoch whose key is needed to read it, if it holds anything that main lacks.
    pub(crate) const fn epoch(&self) -> Option<u64> {
        if self.covered > 0 { Some(self.epoch) } else { None }
    }

    /// Puts the pending records here that are not here yet.
    pub(crate) fn cover(&mut self, pending: &mut Pending, present: &Present<'_>) -> Result<(), J::Error> {
        while self.covered < pending.count() {
            let id = pending.first().plus(u64::from(self.covered));
            let Some(record) = pending.record(id) else { return Ok(()) };
            if self.sealer.is_none() {
                self.write_section(id, present)?;
            }
            self.write_frame(id, record)?;
            self.covered += 1;
        }
        Ok(())
    }

    /// `count` of the first pending records went to main.
    pub(crate) const fn uncover(&mut self, count: u32) {
        self.covered = self.covered.saturating_sub(count);
    }

    /// Starts from the front: main has everything.
    pub(crate) fn reset(&mut self, present: &Present<'_>) -> Result<(), J::Error> {
        self.tail = 0;
        self.link = [0; TAG_LEN];
        self.sealer = None;
        self.covered = 0;
        self.write_section(present.head.next_id, present)
    }

    fn write_section(&mut self, first: RecordId, present: &Present<'_>) -> Result<(), J::Error> {
        let section = self.sections;
        self.sections += 1;
        let header = SectionHeader {
            epoch: present.key.epoch(),
            first,
            main_next: present.head.next_id,
            main_chain: present.head.chain,
            salt: present.salt,
            section,
        };
        let mut sealer = Sealer::new(&journal_key(present.key.key(), present.salt, section));
        // A fresh sealer has nonces left.
        let Some((header, tag)) = header.seal(&mut sealer, &self.link) else { return Ok(()) };
        let mut bytes = [0; SectionHeader::LEN + MARK_BYTES];
        let (start, end) = bytes.split_at_mut(SectionHeader::LEN);
        start.copy_from_slice(&header);
        end.copy_from_slice(&END_MARK.to_be_bytes());
        self.write(&bytes)?;
        if self.tail == 0 {
            self.epoch = present.key.epoch();
        }
        self.tail += u64::try_from(SectionHeader::LEN).unwrap_or(0);
        self.link = tag;
        self.sealer = Some(sealer);
        Ok(())
    }

    fn write_frame(&mut self, id: RecordId, record: &[u8]) -> Result<(), J::Error> {
        let Some(sealer) = &mut self.sealer else { return Ok(()) };
        let mut bytes = [0; MAX_FRAME + MARK_BYTES];
        let len = u16::try_from(record.len()).unwrap_or(u16::MAX);
        let (length, rest) = bytes.split_at_mut(LENGTH_BYTES);
        let (text, rest) = rest.split_at_mut(record.len().min(MAX_RECORD));
        let (tag, rest) = rest.split_at_mut(TAG_LEN);
        let (mark, _) = rest.split_at_mut(MARK_BYTES);
        length.copy_from_slice(&len.to_be_bytes());
        text.copy_from_slice(record.get(..text.len()).unwrap_or_default());
        // A section ends long before 2^64 frames.
        let Ok(sealed) = sealer.seal(&frame_associated(&self.link, id, len), text) else { return Ok(()) };
        tag.copy_from_slice(&sealed.tag);
        mark.copy_from_slice(&END_MARK.to_be_bytes());
        let frame = LENGTH_BYTES + record.len() + TAG_LEN;
        let written = bytes.get(..frame + MARK_BYTES).unwrap_or_default();
        self.write(written)?;
        self.tail += u64::try_from(frame).unwrap_or(0);
        self.link = sealed.tag;
        Ok(())
    }

    /// Writes at the tail. After an error the section is over: its next nonce may lie half written on the storage.
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

/// Reads a section header at the tail: its opener, the number of its first record, the nonce of its first frame.
fn begin_section(bytes: &[u8], key: &LogKey, found: &mut Replay) -> Option<(Opener, RecordId, u64)> {
    let (header, whole) = SectionHeader::decode(bytes)?;
    let key = key.advance_to(header.epoch).ok()?;
    let opener = Opener::new(&journal_key(key.key(), header.salt, header.section));
    found.link = SectionHeader::is_genuine(&whole, &opener, &found.link)?;
    found.epoch.get_or_insert(header.epoch);
    found.anchor = Some(ChainHead { next_id: header.main_next, chain: header.main_chain });
    Some((opener, header.first, 1))
}

/// Reads a frame whose length was taken off already; gives the bytes of the whole frame.
fn read_frame(
    len: u16,
    rest: &mut [u8],
    link: &mut Tag,
    (opener, next, counter): &mut (Opener, RecordId, u64),
    each: &mut dyn FnMut(RecordId, &[u8]),
) -> Option<usize> {
    let count = usize::from(len);
    if count > MAX_RECORD {
        return None;
    }
    let (text, rest) = rest.split_at_mut_checked(count)?;
    let tag = *rest.first_chunk::<TAG_LEN>()?;
    let sealed = sentinel_seal::Sealed { counter: *counter, tag };
    opener.open(&frame_associated(link, *next, len), text, &sealed).ok()?;
    each(*next, text);
    *link = tag;
    *next = next.next();
    *counter = counter.checked_add(1)?;
    Some(LENGTH_BYTES + count + TAG_LEN)
}
