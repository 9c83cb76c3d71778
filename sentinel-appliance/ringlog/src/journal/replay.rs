//! Reading the journal from its front, as far as its seals hold.
//!
//! Invariant of the loop: everything before `tail` opened with the key of its section and was bound to the tag before it.
//! Reading ends at the first bytes for which that is not true, so what is returned is always a prefix of what was written.
//! Bytes of an earlier round behind the tail cannot follow on: their section key differs, and so does the tag they are bound
//! to.

use sentinel_seal::{Opener, Sealed, TAG_LEN};

use super::{END_MARK, Journal, MAX_FRAME_LEN};
use crate::format::{SECTION_MARK, SectionHeader, Tag, frame_associated_data, journal_key};
use crate::key::LogKey;
use crate::pending::LENGTH_LEN;
use crate::record::{ChainHead, MAX_RECORD, RecordId};
use crate::storage::{Storage, read_at};

/// State of a journal after reading it.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    /// Byte after the last section header or frame that opened.
    pub(super) tail: u64,
    /// Tag that ends at `tail`; zeros at the front.
    pub(super) tag: Tag,
    /// Epoch of the first section.
    pub(super) epoch: Option<u64>,
    /// End of main when the last section was begun.
    pub(crate) main_end: Option<ChainHead>,
    /// Number after the last record of the last section.
    pub(crate) end: Option<RecordId>,
    /// The bytes at the tail are neither a frame, a section nor the end mark: the last write was cut off, or the journal was
    /// changed.
    pub(crate) is_torn: bool,
    /// The first section claims an epoch before that of the key, as a journal does whose log was replaced.
    is_older: bool,
}

impl Replay {
    /// Byte at which reading ended.
    pub(crate) const fn tail(&self) -> u64 {
        self.tail
    }

    /// Returns true if the journal holds bytes of which nothing opens, although its key may be this one or a later one.
    pub(crate) const fn is_unreadable(&self) -> bool {
        self.is_torn && self.tail == 0 && !self.is_older
    }
}

/// Section whose frames are being read.
struct Section {
    opener: Opener,
    /// Number of the next record.
    next: RecordId,
    /// Nonce counter of the next frame. The header has 0, the frames 1, 2, 3 and so on.
    counter: u64,
}

impl<J: Storage> Journal<J> {
    /// Passes all records to `each`, from the front to the first frame or section that does not open.
    ///
    /// # Errors
    /// The storage cannot be read; `each` may have seen some of the records.
    pub(crate) fn replay(
        &mut self,
        key: &LogKey,
        each: &mut dyn FnMut(RecordId, &[u8]),
    ) -> Result<Replay, J::Error> {
        let mut replay = Replay::default();
        let mut section: Option<Section> = None;
        let mut bytes = [0; MAX_FRAME_LEN];
        // Bounded by the storage: each iteration advances by a section header or a frame, or returns.
        loop {
            let count = read_at(&mut self.storage, replay.tail, &mut bytes)?;
            let bytes = bytes.get_mut(..count).unwrap_or_default();
            let Some((mark, frame)) = bytes.split_first_chunk_mut::<LENGTH_LEN>() else {
                // An empty journal is not torn; one that ends without its end mark is.
                replay.is_torn = replay.tail > 0 || count > 0;
                return Ok(replay);
            };
            let advanced = match (u16::from_be_bytes(*mark), &mut section) {
                (END_MARK, _) if replay.tail > 0 => return Ok(replay),
                (SECTION_MARK, section) => {
                    // A record is at most MAX_RECORD bytes long, so no length of a frame equals a mark.
                    *section = replay.begin_section(bytes, key);
                    replay.end = section.as_ref().map(|section| section.next).or(replay.end);
                    section.is_some().then_some(SectionHeader::LEN)
                }
                (len, Some(section)) => {
                    let advanced = section.read_frame(len, frame, &mut replay.tag, each);
                    replay.end = Some(section.next);
                    advanced
                }
                // A journal begins with a section.
                (_, None) => None,
            };
            let Some(advanced) = advanced else {
                replay.is_torn = true;
                return Ok(replay);
            };
            replay.tail += u64::try_from(advanced).unwrap_or(0);
        }
    }
}

impl Replay {
    /// Opens the section header at the tail. `None` if it is damaged, bound to another tag, or of an epoch before `key`.
    fn begin_section(&mut self, bytes: &[u8], key: &LogKey) -> Option<Section> {
        let (header, encoded) = SectionHeader::decode(bytes)?;
        self.is_older |= self.tail == 0 && header.epoch < key.epoch();
        let key = key.advance_to(header.epoch).ok()?;
        let opener = Opener::new(&journal_key(key.key(), header.salt, header.section));
        self.tag = SectionHeader::authenticate(&encoded, &opener, &self.tag)?;
        self.epoch.get_or_insert(header.epoch);
        self.main_end = Some(header.main_end);
        Some(Section { opener, next: header.first, counter: 1 })
    }
}

impl Section {
    /// Opens the frame whose length field was `len` and whose remaining bytes start `frame`. Returns the length of the whole
    /// frame; `None` if it does not open.
    fn read_frame(
        &mut self,
        len: u16,
        frame: &mut [u8],
        tag: &mut Tag,
        each: &mut dyn FnMut(RecordId, &[u8]),
    ) -> Option<usize> {
        let count = usize::from(len);
        if count > MAX_RECORD {
            return None;
        }
        let (record, frame_tag) = frame.split_at_mut_checked(count)?;
        let frame_tag = *frame_tag.first_chunk::<TAG_LEN>()?;
        let sealed = Sealed { counter: self.counter, tag: frame_tag };
        self.opener.open(&frame_associated_data(tag, self.next, len), record, &sealed).ok()?;
        each(self.next, record);
        *tag = frame_tag;
        self.next = self.next.next();
        self.counter = self.counter.checked_add(1)?;
        Some(LENGTH_LEN + count + TAG_LEN)
    }
}
