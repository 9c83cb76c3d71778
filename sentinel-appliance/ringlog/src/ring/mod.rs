//! Main: the ring of segments on flash, its table of segments, and the position where it ends.
//!
//! Segment number (epoch) *e* lies in slot *e* mod *S*. [`walk`] reads the blocks of a segment, [`write`] appends blocks.

mod probe;
mod walk;
mod write;

use crate::account::Recovery;
use crate::error::OpenError;
use crate::format::{Layout, SegmentBytes, SegmentHeader, SlotHeader, segment_key};
use crate::geometry::{Geometry, PAGE_BYTES};
use crate::key::{KeyError, LogKey, Salt};
use crate::record::{ChainHead, RecordId};
use crate::storage::Storage;
use sentinel_seal::{Chain, Key, Recipient, RecipientSecret};

pub use probe::stored_geometry;
pub(crate) use walk::{Load, NextBlock, Walk};
pub(crate) use write::Writer;

/// Entry of the segment table: a segment whose header was read or written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Segment {
    pub(crate) epoch: u64,
    pub(crate) first: RecordId,
    /// Hash chain before its header.
    pub(crate) chain_before: Chain,
    /// Hash chain after its header; every block of the segment is bound to it.
    pub(crate) chain_after: Chain,
    pub(crate) layout: Layout,
    /// Epoch of the first segment of this storage, if the header says it.
    pub(crate) origin: Option<u64>,
    /// Public key for which the key of the segment is wrapped.
    pub(crate) recipient: Option<[u8; Recipient::LEN]>,
}

impl Segment {
    fn new(header: &SegmentHeader, bytes: &SegmentBytes) -> Self {
        Self {
            epoch: header.epoch,
            first: header.first,
            chain_before: header.chain_before,
            chain_after: header.chain_after(bytes),
            layout: header.layout,
            origin: header.origin,
            recipient: header.evidence.map(|evidence| evidence.recipient),
        }
    }
}

/// Keys that open a log: the key of the device, and for an analyst the private key for which segment keys were wrapped.
pub(crate) struct Keys<'s> {
    pub(crate) log: LogKey,
    pub(crate) evidence: Option<&'s RecipientSecret>,
}

/// Ring of segments. Memory: one segment for the block being written or read, and 160 bytes for each slot.
#[derive(Debug)]
pub(crate) struct Ring<M> {
    storage: M,
    geometry: Geometry,
    /// Segment table, indexed by slot.
    segments: Vec<Option<Segment>>,
    /// Epoch of the open segment, the one being filled.
    epoch: u64,
    /// Offset of the next block in the open segment; 0 while not even the segment header is written.
    offset: u32,
    head: ChainHead,
    /// The block being written or read.
    buffer: Vec<u8>,
    /// `None` if the log was opened for reading only.
    writer: Option<Writer>,
    /// Keys of segments that were unwrapped, by epoch; empty on the device.
    unwrapped: Vec<(u64, Key)>,
    /// For whom the keys of new segments are wrapped.
    recipient: Option<Recipient>,
    /// Epoch of the first segment of this storage: earlier ones were never in it.
    origin: u64,
}

/// Length of the header that is written.
const SEGMENT_HEADER_LEN: u32 = 256;
const _: () = assert!(SegmentHeader::LEN == 256, "both constants are the length of a segment header");

/// Converts a length within a segment, at most 1 MiB.
fn to_u32(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

fn to_usize(len: u32) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}

const fn page_end(offset: u32) -> u32 {
    offset.next_multiple_of(PAGE_BYTES)
}

impl<M: Storage> Ring<M> {
    /// Reads all segment headers, and the blocks of the newest segment to find the end of main. Returns the ring and the key
    /// advanced to the oldest epoch that main or the journal may need.
    pub(crate) fn open(
        storage: M,
        geometry: Geometry,
        keys: Keys<'_>,
        salt: Option<Salt>,
        recovery: &mut Recovery,
    ) -> Result<(Self, LogKey), OpenError<M::Error>> {
        let Keys { log: key, evidence } = keys;
        let slots = to_usize(geometry.segments());
        let mut ring = Self {
            storage,
            geometry,
            segments: vec![None; slots],
            epoch: key.epoch(),
            offset: 0,
            head: ChainHead::START,
            // Filled with ones: the system backs a zeroed allocation with memory only when it is first written, which would
            // raise RSS during the first flush instead of at start-up.
            buffer: vec![1; to_usize(geometry.segment_bytes())],
            writer: None,
            unwrapped: Vec::new(),
            recipient: None,
            origin: key.epoch(),
        };
        let headers = ring.scan_headers(recovery)?;
        let (key, newest_key) = ring.authenticate_headers(&headers, key, evidence, recovery)?;
        ring.find_origin();
        if let Some(newest) = ring.newest() {
            ring.find_end(newest, &newest_key, recovery).map_err(OpenError::Main)?;
        }
        // A segment of version 1 that is continued keeps its keys.
        let layout = ring.open_segment().ok().filter(|open| ring.is_open(open)).map(|open| open.layout);
        ring.writer = salt.map(|salt| Writer::new(newest_key, layout.unwrap_or(Layout::V2), salt, 0));
        Ok((ring, key))
    }

    /// Reads the header of every slot.
    fn scan_headers(&mut self, recovery: &mut Recovery) -> Result<Headers, OpenError<M::Error>> {
        let mut headers =
            Headers { valid: Vec::with_capacity(self.segments.len()), newer_version: None, other: None };
        for slot in 0..self.geometry.segments() {
            let (bytes, header) = self.read_header(slot).map_err(OpenError::Main)?;
            match header {
                SlotHeader::Blank => {}
                SlotHeader::Damaged => recovery.damaged_segments += 1,
                SlotHeader::NewerVersion(version) => {
                    headers.newer_version = Some(version);
                    recovery.damaged_segments += 1;
                }
                // Compared before the slot, which depends on the geometry.
                SlotHeader::Valid(header) if header.geometry != self.geometry => {
                    headers.other = Some(header.geometry);
                    recovery.damaged_segments += 1;
                }
                SlotHeader::Valid(header) if self.slot(header.epoch) != slot => {
                    recovery.damaged_segments += 1;
                }
                SlotHeader::Valid(header) => headers.valid.push((header, bytes)),
            }
        }
        headers.valid.sort_unstable_by_key(|(header, _)| header.epoch);
        Ok(headers)
    }

    /// Checks the tags of the headers and fills the segment table. Returns the key advanced to the oldest epoch that anything
    /// here may need, and the key of the newest segment (or `key`, if all segments are older than it).
    ///
    /// The key is advanced from one genuine header to the next, each step at most [`crate::key::MAX_STEPS`] epochs: a forged
    /// epoch number cannot make opening take longer than that.
    fn authenticate_headers(
        &mut self,
        headers: &Headers,
        mut key: LogKey,
        evidence: Option<&RecipientSecret>,
        recovery: &mut Recovery,
    ) -> Result<(LogKey, LogKey), OpenError<M::Error>> {
        let mut forged = 0;
        let mut newest_key: Option<LogKey> = None;
        for (header, bytes) in &headers.valid {
            match authenticate(header, bytes, newest_key.as_ref().unwrap_or(&key), evidence) {
                Authenticity::OlderKey => recovery.older_key_segments += 1,
                Authenticity::Unwrapped(key) => self.unwrapped.push((header.epoch, key)),
                Authenticity::Forged => {
                    recovery.damaged_segments += 1;
                    forged += 1;
                    continue;
                }
                Authenticity::Genuine(reached) => {
                    // Headers are in order of epochs, so the first genuine one is the oldest.
                    if newest_key.is_none() {
                        key = self.advance_to_oldest(key, header.epoch);
                    }
                    newest_key = Some(reached);
                }
            }
            self.insert(Segment::new(header, bytes));
        }
        self.drop_stale(recovery);
        // With at least one readable segment this is a log of ours, and other headers are damage.
        match (self.newest(), headers.newer_version, headers.other) {
            (None, _, Some(found)) => Err(OpenError::Geometry { found }),
            (None, Some(version), None) => Err(OpenError::Version(version)),
            (None, None, None) if forged > 0 => Err(OpenError::WrongKey),
            _ => {
                let newest_key = newest_key.unwrap_or_else(|| key.clone());
                Ok((key, newest_key))
            }
        }
    }

    /// Finds the epoch of the first segment that was written to this storage. Headers of version 1 do not say it: their log is
    /// taken to be complete if its oldest segment begins the chain, and to have lost its start otherwise.
    fn find_origin(&mut self) {
        let stated = self.newest().and_then(|newest| newest.origin);
        let guessed = || {
            self.first_from(0)
                .map(|oldest| if oldest.chain_before == Chain::START { oldest.epoch } else { 0 })
        };
        if let Some(origin) = stated.or_else(guessed) {
            self.origin = origin;
        }
    }

    /// Advances `key` to the oldest epoch that main or the journal may need, if the oldest readable segment has epoch
    /// `oldest`. Never goes backwards.
    fn advance_to_oldest(&self, key: LogKey, oldest: u64) -> LogKey {
        // The journal may be up to one ring older than the oldest segment: if flushes fail half-way, segments are
        // overwritten while the journal keeps the section that was begun before them.
        let floor = oldest.saturating_sub(u64::from(self.geometry.segments()));
        key.advance_to(floor.max(key.epoch())).unwrap_or(key)
    }

    /// Removes segments that are a full ring or more older than the newest: they were overwritten once and put back.
    fn drop_stale(&mut self, recovery: &mut Recovery) {
        let Some(newest) = self.newest() else { return };
        // The newest epoch is authentic here, so a forged header cannot push the others out.
        for slot in &mut self.segments {
            let age = slot.map_or(0, |segment| newest.epoch - segment.epoch);
            if age >= u64::from(self.geometry.segments()) {
                *slot = None;
                recovery.damaged_segments += 1;
            }
        }
    }

    /// Finds the last good block of the newest segment, which is the end of main. If `key` does not open that segment, the
    /// next block starts a segment with the epoch of `key`.
    fn find_end(&mut self, newest: Segment, key: &LogKey, recovery: &mut Recovery) -> Result<(), M::Error> {
        self.head = ChainHead { next_id: newest.first, chain: newest.chain_after };
        // A key newer than the newest segment cannot seal into it: the segment stays as it is and a new one follows.
        self.epoch = newest.epoch.max(key.epoch());
        let mut walk = self.walk(newest, key);
        let mut end = 0;
        // A damaged block counts as a torn write only if no good block follows it.
        let mut is_torn = false;
        loop {
            match self.next_block(&mut walk, Load::Chain)? {
                NextBlock::Valid { header, chain, .. } => {
                    self.head = ChainHead { next_id: header.end(), chain: chain.unwrap_or(self.head.chain) };
                    end = walk.offset();
                    is_torn = false;
                }
                NextBlock::Damaged { .. } => is_torn = true,
                NextBlock::End => break,
            }
        }
        recovery.torn_writes += u32::from(is_torn);
        if end == 0 {
            // The header is on flash, its first block is not. Header and block are written again together, under a new nonce,
            // so the chain continues from before this header.
            self.head.chain = newest.chain_before;
            recovery.torn_writes = recovery.torn_writes.max(1);
            self.remove(newest.epoch);
        }
        self.offset = if self.epoch == newest.epoch { end } else { 0 };
        Ok(())
    }

    /// Slot of a segment: its epoch modulo the number of slots.
    pub(crate) fn slot(&self, epoch: u64) -> u32 {
        // The remainder is less than `segments`, a 32-bit number.
        u32::try_from(epoch % u64::from(self.geometry.segments())).unwrap_or(0)
    }

    fn insert(&mut self, segment: Segment) {
        let slot = to_usize(self.slot(segment.epoch));
        if let Some(entry) = self.segments.get_mut(slot) {
            *entry = Some(segment);
        }
    }

    fn remove(&mut self, epoch: u64) {
        let slot = to_usize(self.slot(epoch));
        if let Some(entry) = self.segments.get_mut(slot) {
            *entry = None;
        }
    }

    /// Segment in a slot, according to the table.
    pub(crate) fn segment_in(&self, slot: u32) -> Option<Segment> {
        self.segments.get(to_usize(slot)).copied().flatten()
    }

    /// Segment with the lowest epoch that is at least `epoch`.
    pub(crate) fn first_from(&self, epoch: u64) -> Option<Segment> {
        self.segments
            .iter()
            .flatten()
            .filter(|segment| segment.epoch >= epoch)
            .min_by_key(|segment| segment.epoch)
            .copied()
    }

    /// Segment that follows `segment`, in the order of epochs.
    pub(crate) fn after(&self, segment: &Segment) -> Option<Segment> {
        self.first_from(segment.epoch.checked_add(1)?)
    }

    /// First segment, in the order of epochs, whose records `key` or an unwrapped key opens.
    pub(crate) fn first_readable(&self, key: &LogKey) -> Option<Segment> {
        // `unwrapped` is in the order of epochs, as the headers are.
        let unwrapped = self.unwrapped.first().map(|(epoch, _)| *epoch);
        self.first_from(unwrapped.map_or(key.epoch(), |epoch| epoch.min(key.epoch())))
    }

    /// Key of a segment; `None` if it is sealed with an older key or to somebody else.
    pub(crate) fn key_of(&self, segment: &Segment, key: &LogKey) -> Option<Key> {
        let unwrapped = self.unwrapped.iter().find(|(epoch, _)| *epoch == segment.epoch);
        match unwrapped {
            Some((_, key)) => Some(key.clone()),
            None => key.advance_to(segment.epoch).ok().map(|key| segment_key(segment.layout, key.key())),
        }
    }

    /// Sets for whom the keys of the segments begun from now on are wrapped.
    pub(crate) const fn set_recipient(&mut self, recipient: Option<Recipient>) {
        self.recipient = recipient;
    }

    /// Epoch of the first segment of this storage.
    pub(crate) const fn origin(&self) -> u64 {
        self.origin
    }

    /// Continues the numbers and the chain of another log. There must be no segment.
    pub(crate) const fn start_at(&mut self, head: ChainHead) {
        self.head = head;
    }

    pub(crate) fn newest(&self) -> Option<Segment> {
        self.segments.iter().flatten().max_by_key(|segment| segment.epoch).copied()
    }

    /// Number after the last record of a segment.
    pub(crate) fn end_of(&self, segment: &Segment) -> RecordId {
        self.after(segment).map_or(self.head.next_id, |after| after.first)
    }

    pub(crate) const fn geometry(&self) -> Geometry {
        self.geometry
    }

    pub(crate) const fn head(&self) -> ChainHead {
        self.head
    }

    /// End of main in bytes since epoch 0, as if every segment before the open one were full. Never falls.
    pub(crate) fn end_position(&self) -> u64 {
        let segment_bytes = u64::from(self.geometry.segment_bytes());
        self.epoch.saturating_mul(segment_bytes).saturating_add(self.offset.into())
    }

    pub(crate) const fn writer(&self) -> Option<&Writer> {
        self.writer.as_ref()
    }

    /// Returns true if `segment` is the one being filled.
    pub(crate) const fn is_open(&self, segment: &Segment) -> bool {
        segment.epoch == self.epoch && self.offset > 0
    }

    /// Returns true if the open segment has no block on flash yet.
    pub(crate) const fn is_unwritten(&self) -> bool {
        self.offset == 0
    }

    pub(crate) fn buffer(&self) -> &[u8] {
        &self.buffer
    }

    /// Segment that the next block evicts if it goes into the open segment, or with `in_next` into the one after it.
    pub(crate) fn victim(&self, in_next: bool) -> Option<Segment> {
        // A slot that holds the open segment itself, or nothing, evicts nothing.
        let epoch = if in_next { self.epoch.checked_add(1)? } else { self.epoch };
        self.segment_in(self.slot(epoch)).filter(|segment| segment.epoch < epoch)
    }

    /// Byte position in main of an offset within a slot.
    fn position(&self, slot: u32, offset: u32) -> u64 {
        u64::from(slot) * u64::from(self.geometry.segment_bytes()) + u64::from(offset)
    }

    /// Storage of main, for tests that change it while the log is open.
    #[cfg(test)]
    pub(crate) fn storage_mut(&mut self) -> &mut M {
        &mut self.storage
    }

    pub(crate) fn into_storage(self) -> M {
        self.storage
    }
}

/// Segment headers on the storage.
struct Headers {
    /// Those with a right checksum that are in their slot, in the order of epochs. Tags are not checked yet.
    valid: Vec<(SegmentHeader, SegmentBytes)>,
    /// Version of a header of a newer format, if there is one.
    newer_version: Option<u16>,
    /// Geometry of a header that has another one, if there is one.
    other: Option<Geometry>,
}

/// Result of checking the tag of a segment header.
enum Authenticity {
    /// The segment is older than the key; its tag cannot be checked.
    OlderKey,
    /// The tag is wrong, or the epoch is too far ahead.
    Forged,
    /// The tag is right. Holds the key of the header's epoch.
    Genuine(LogKey),
    /// The tag is right under the key of the segment, which was wrapped for the reader.
    Unwrapped(Key),
}

fn authenticate(
    header: &SegmentHeader,
    bytes: &SegmentBytes,
    key: &LogKey,
    evidence: Option<&RecipientSecret>,
) -> Authenticity {
    match key.advance_to(header.epoch) {
        Ok(key) if header.is_authentic(bytes, &segment_key(header.layout, key.key())) => {
            Authenticity::Genuine(key)
        }
        Err(KeyError::Behind { .. }) => {
            let Some(secret) = evidence.filter(|secret| header.is_sealed_to(&secret.public())) else {
                return Authenticity::OlderKey;
            };
            let key = header.unwrap(bytes, secret).filter(|key| header.is_authentic(bytes, key));
            key.map_or(Authenticity::Forged, Authenticity::Unwrapped)
        }
        Ok(_) | Err(_) => Authenticity::Forged,
    }
}
