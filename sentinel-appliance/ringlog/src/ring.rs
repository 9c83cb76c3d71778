//! Main: the ring of segments, where it ends, and how blocks are written and found.

use sentinel_seal::{Chain, Opener, Sealed, Sealer, TAG_LEN};

use crate::account::{Recovery, Stats};
use crate::error::{FlushError, OpenError};
use crate::format::{BlockHeader, FoundHeader, SegmentHeader, main_key};
use crate::geometry::{Geometry, PAGE_BYTES};
use crate::key::{LogKey, Salt};

use crate::pack::Packer;
use crate::record::RecordId;
use crate::storage::{Storage, read_at, write_at};
use crate::verify::Head;

/// A segment whose header was read, or written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Segment {
    pub(crate) epoch: u64,
    pub(crate) first: RecordId,
    /// The chain before its header.
    pub(crate) previous: Chain,
    /// The chain after its header.
    pub(crate) binding: Chain,
}

/// What it takes to write.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) salt: Salt,
    /// The key of the segment being filled.
    pub(crate) key: LogKey,
    sealer: Sealer,
}

#[derive(Debug)]
pub(crate) struct Ring<M> {
    storage: M,
    geometry: Geometry,
    /// By slot.
    segments: Vec<Option<Segment>>,
    /// The segment being filled.
    epoch: u64,
    /// Where its next block goes; 0 while not even its header is written.
    offset: u32,
    head: Head,
    /// The block being written or read.
    buffer: Vec<u8>,
    writer: Option<Writer>,
}

/// How much [`Ring::step`] does with a block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Load {
    /// Looks at its header only.
    Header,
    /// Opens it: its packed records then lie in the buffer.
    Records,
    /// Opens it and computes the chain after it.
    Chain,
}

/// A way through the blocks of one segment.
pub(crate) struct Walk {
    pub(crate) segment: Segment,
    slot: u32,
    offset: u32,
    /// Nothing from here on is a block.
    end: u32,
    /// Blocks with earlier records are not taken.
    pub(crate) next: RecordId,
    /// With [`Load::Records`], blocks that end before this record are passed by without opening them.
    pub(crate) wanted: RecordId,
    /// `None` if the segment is sealed with an older key.
    key: Option<LogKey>,
    opener: Option<(Salt, Opener)>,
}

impl Walk {
    pub(crate) const fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// Where the next block is looked for.
    pub(crate) const fn offset(&self) -> u32 {
        self.offset
    }
}

/// What [`Ring::step`] came upon.
#[derive(Debug)]
pub(crate) enum Step {
    /// A block. Its seal was checked if it was opened and the key is there.
    Block {
        header: BlockHeader,
        /// Byte in the segment where it starts.
        offset: u32,
        /// The chain after it, if asked for.
        chain: Option<Chain>,
    },
    /// A block header whose block is not whole.
    Damaged { offset: u32 },
    /// No more blocks.
    End,
}

const SEGMENT_HEADER: u32 = 128;
const _: () = assert!(SegmentHeader::LEN == 128, "the two constants are one");

fn to_u32(len: usize) -> u32 {
    // Lengths here are within a segment, at most 1 MiB.
    u32::try_from(len).unwrap_or(u32::MAX)
}

fn to_usize(len: u32) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}

const fn page_end(offset: u32) -> u32 {
    offset.next_multiple_of(PAGE_BYTES)
}

impl<M: Storage> Ring<M> {
    /// Reads the segment headers, and the newest segment to find its end.
    pub(crate) fn open(
        storage: M,
        geometry: Geometry,
        key: &LogKey,
        salt: Option<Salt>,
        recovery: &mut Recovery,
    ) -> Result<Self, OpenError<M::Error>> {
        let slots = to_usize(geometry.segments());
        let mut ring = Self {
            storage,
            geometry,
            segments: vec![None; slots],
            epoch: key.epoch(),
            offset: 0,
            head: Head { next_id: RecordId(0), chain: Chain::START },
            buffer: vec![0; to_usize(geometry.segment_bytes())],
            writer: None,
        };
        ring.read_headers(key, recovery)?;
        if let Some(newest) = ring.newest() {
            ring.find_end(newest, key, recovery).map_err(OpenError::Main)?;
        }
        ring.writer = match salt {
            // The epoch was reached by steps from the key when the headers were read.
            Some(salt) => key.advance_to(ring.epoch).ok().map(|key| Writer::new(key, salt, 0)),
            None => None,
        };
        Ok(ring)
    }

    fn read_headers(&mut self, key: &LogKey, recovery: &mut Recovery) -> Result<(), OpenError<M::Error>> {
        let mut found = Vec::with_capacity(self.segments.len());
        let mut later = None;
        for slot in 0..self.geometry.segments() {
            let (bytes, header) = self.read_header(slot).map_err(OpenError::Main)?;
            match header {
                FoundHeader::Blank => {}
                FoundHeader::Damaged => recovery.damaged_segments += 1,
                FoundHeader::Later(version) => {
                    later = Some(version);
                    recovery.damaged_segments += 1;
                }
                FoundHeader::Whole(header) if header.geometry != self.geometry => {
                    return Err(OpenError::Geometry { found: header.geometry });
                }
                FoundHeader::Whole(header) if self.slot(header.epoch) != slot => {
                    recovery.damaged_segments += 1;
                }
                FoundHeader::Whole(header) => found.push((header, bytes)),
            }
        }
        found.sort_unstable_by_key(|(header, _)| header.epoch);
        let mut forged = 0;
        let mut key = key.clone();
        for (header, bytes) in &found {
            if header.epoch < key.epoch() {
                recovery.older_key_segments += 1;
            } else {
                let reached = key.advance_to(header.epoch).ok();
                let Some(reached) = reached.filter(|key| header.is_genuine(bytes, key.key())) else {
                    recovery.damaged_segments += 1;
                    forged += 1;
                    continue;
                };
                key = reached;
            }
            let (epoch, first, previous) = (header.epoch, header.first, header.previous);
            self.set(Segment { epoch, first, previous, binding: header.binding(bytes) });
        }
        self.drop_left_over(recovery);
        match (self.newest(), later) {
            (None, Some(version)) => Err(OpenError::Version(version)),
            (None, None) if forged > 0 => Err(OpenError::WrongKey),
            _ => Ok(()),
        }
    }

    /// A segment that the ring must have overwritten long ago came back: not part of the log.
    fn drop_left_over(&mut self, recovery: &mut Recovery) {
        let Some(newest) = self.newest() else { return };
        for slot in &mut self.segments {
            let age = slot.map_or(0, |segment| newest.epoch - segment.epoch);
            if age >= u64::from(self.geometry.segments()) {
                *slot = None;
                recovery.damaged_segments += 1;
            }
        }
    }

    /// Finds where the newest segment ends; a segment with a later key follows if this key does not open it.
    fn find_end(&mut self, newest: Segment, key: &LogKey, recovery: &mut Recovery) -> Result<(), M::Error> {
        self.head = Head { next_id: newest.first, chain: newest.binding };
        self.epoch = newest.epoch.max(key.epoch());
        let mut walk = self.walk(newest, key);
        let mut end = 0;
        let mut torn = false;
        loop {
            match self.step(&mut walk, Load::Chain)? {
                Step::Block { header, chain, .. } => {
                    self.head = Head { next_id: header.end(), chain: chain.unwrap_or(self.head.chain) };
                    end = walk.offset;
                    torn = false;
                }
                Step::Damaged { .. } => torn = true,
                Step::End => break,
            }
        }
        recovery.torn_writes += u32::from(torn);
        if end == 0 {
            // Only its header came through. The next block writes both.
            self.head.chain = newest.previous;
            recovery.torn_writes = recovery.torn_writes.max(1);
            self.clear(newest.epoch);
        }
        self.offset = if self.epoch == newest.epoch { end } else { 0 };
        Ok(())
    }

    pub(crate) fn slot(&self, epoch: u64) -> u32 {
        // The remainder is below a 32-bit number.
        u32::try_from(epoch % u64::from(self.geometry.segments())).unwrap_or(0)
    }

    fn set(&mut self, segment: Segment) {
        let slot = to_usize(self.slot(segment.epoch));
        if let Some(place) = self.segments.get_mut(slot) {
            *place = Some(segment);
        }
    }

    fn clear(&mut self, epoch: u64) {
        let slot = to_usize(self.slot(epoch));
        if let Some(place) = self.segments.get_mut(slot) {
            *place = None;
        }
    }

    /// What the log knows to lie in a slot.
    pub(crate) fn at(&self, slot: u32) -> Option<Segment> {
        self.segments.get(to_usize(slot)).copied().flatten()
    }

    /// The segment with the lowest epoch that is at least `epoch`.
    pub(crate) fn first_from(&self, epoch: u64) -> Option<Segment> {
        self.segments
            .iter()
            .flatten()
            .filter(|segment| segment.epoch >= epoch)
            .min_by_key(|s| s.epoch)
            .copied()
    }

    pub(crate) fn newest(&self) -> Option<Segment> {
        self.segments.iter().flatten().max_by_key(|segment| segment.epoch).copied()
    }

    /// The number after the last record of a segment.
    pub(crate) fn end_of(&self, segment: &Segment) -> RecordId {
        self.first_from(segment.epoch.saturating_add(1)).map_or(self.head.next_id, |after| after.first)
    }

    pub(crate) const fn geometry(&self) -> Geometry {
        self.geometry
    }

    pub(crate) const fn head(&self) -> Head {
        self.head
    }

    pub(crate) const fn writer(&self) -> Option<&Writer> {
        self.writer.as_ref()
    }

    /// Epoch of the segment being filled.
    pub(crate) const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Whether the segment being filled has no block yet.
    pub(crate) const fn is_fresh(&self) -> bool {
        self.offset == 0
    }

    pub(crate) fn buffer(&self) -> &[u8] {
        &self.buffer
    }

    /// What the next block would destroy if it went into the segment being filled, or into the one after it.
    pub(crate) fn doomed(&self, in_next: bool) -> Option<Segment> {
        let epoch = if in_next { self.epoch.checked_add(1)? } else { self.epoch };
        self.at(self.slot(epoch)).filter(|segment| segment.epoch < epoch)
    }

    /// Bytes for packed records that the segment being filled has left.
    pub(crate) fn room(&self) -> usize {
        let used = to_usize(self.offset.max(SEGMENT_HEADER)) + BlockHeader::OVERHEAD;
        self.buffer.len().saturating_sub(used)
    }

    /// Bytes for packed records in an empty segment.
    pub(crate) fn capacity(geometry: Geometry) -> usize {
        to_usize(geometry.segment_bytes()) - SegmentHeader::LEN - BlockHeader::OVERHEAD
    }

    /// Whether `records` fit into the segment being filled.
    pub(crate) fn fits(&mut self, packer: &mut Packer, records: &[u8]) -> bool {
        let room = self.room();
        self.buffer.get_mut(..room).is_some_and(|out| packer.pack(records, out).is_some())
    }

    /// Lets the next block start a segment.
    pub(crate) fn begin_segment(&mut self) -> Result<(), FlushError<M::Error>> {
        if self.offset == 0 {
            return Ok(());
        }
        let writer = self.writer.as_mut().ok_or(FlushError::ReadOnly)?;
        let epoch = self.epoch.checked_add(1).ok_or(FlushError::Exhausted)?;
        let key = LogKey::new(epoch, writer.key.key().next());
        *writer = Writer::new(key, writer.salt, writer.sealer.next_counter());
        self.epoch = epoch;
        self.offset = 0;
        Ok(())
    }

    /// Writes `records` as one block at the end and makes it durable. `Ok(false)` if they do not fit.
    pub(crate) fn write_block(
        &mut self,
        packer: &mut Packer,
        records: &[u8],
        count: u32,
        first: RecordId,
        stats: &mut Stats,
    ) -> Result<bool, FlushError<M::Error>> {
        let room = self.room();
        let lead = if self.is_fresh() { SegmentHeader::LEN } else { 0 };
        let body = lead + BlockHeader::LEN;
        let Some(out) = self.buffer.get_mut(body..body + room) else { return Ok(false) };
        let Some((packing, sealed_len)) = packer.pack(records, out) else { return Ok(false) };

        let writer = self.writer.as_mut().ok_or(FlushError::ReadOnly)?;
        let sealer = &mut writer.sealer;
        let segment = if lead > 0 {
            let mut header = SegmentHeader {
                geometry: self.geometry,
                epoch: self.epoch,
                first,
                counter: 0,
                salt: writer.salt,
                previous: self.head.chain,
            };
            let bytes = header.seal(sealer).ok_or(FlushError::Exhausted)?;
            if let Some(to) = self.buffer.get_mut(..lead) {
                to.copy_from_slice(&bytes);
            }
            Segment { epoch: self.epoch, first, previous: header.previous, binding: header.binding(&bytes) }
        } else {
            // A segment with an offset is in the table.
            self.at(self.slot(self.epoch)).ok_or(FlushError::Exhausted)?
        };
        let writer = self.writer.as_mut().ok_or(FlushError::ReadOnly)?;
        let sealer = &mut writer.sealer;
        let header = BlockHeader {
            packing,
            count,
            sealed_len: to_u32(sealed_len),
            raw_len: to_u32(records.len()),
            epoch: self.epoch,
            first,
            counter: sealer.next_counter(),
            salt: writer.salt,
            previous: if lead > 0 { segment.binding } else { self.head.chain },
        };
        let header_bytes = header.encode();
        let block = self.buffer.get_mut(lead..).unwrap_or_default();
        let (head, rest) = block.split_at_mut(BlockHeader::LEN);
        let (text, rest) = rest.split_at_mut(sealed_len);
        let (tag, padding) = rest.split_at_mut(TAG_LEN);
        head.copy_from_slice(&header_bytes);
        let associated = BlockHeader::associated(&segment.binding, &header_bytes);
        let sealed = sealer.seal(&associated, text).map_err(|_exhausted| FlushError::Exhausted)?;
        tag.copy_from_slice(&sealed.tag);
        padding.fill(0);
        let chain = header.previous.link(&[&header_bytes, text, tag]);

        let used = lead + BlockHeader::OVERHEAD + sealed_len;
        let end = page_end(self.offset + to_u32(used));
        if lead > 0 {
            self.give_up_slot(stats);
        }
        self.put(end, stats)?;
        stats.blocks += 1;
        stats.sealed_bytes += u64::from(to_u32(used));
        if lead > 0 {
            stats.rotations += 1;
            self.set(segment);
        }
        self.offset = end;
        self.head = Head { next_id: header.end(), chain };
        Ok(true)
    }

    /// The oldest segment is overwritten from now on.
    fn give_up_slot(&mut self, stats: &mut Stats) {
        if let Some(doomed) = self.doomed(false) {
            stats.overwritten += self.end_of(&doomed).since(doomed.first);
            self.clear(self.epoch);
        }
    }

    /// Writes the buffer from the offset to `end`, and makes it durable.
    fn put(&mut self, end: u32, stats: &mut Stats) -> Result<(), FlushError<M::Error>> {
        let at = self.place(self.slot(self.epoch), self.offset);
        let len = end - self.offset;
        stats.main_bytes += u64::from(len);
        let bytes = self.buffer.get(..to_usize(len)).unwrap_or_default();
        write_at(&mut self.storage, at, bytes).and_then(|()| self.storage.flush()).map_err(FlushError::Main)
    }

    fn place(&self, slot: u32, offset: u32) -> u64 {
        u64::from(slot) * u64::from(self.geometry.segment_bytes()) + u64::from(offset)
    }

    /// What stands at the start of a slot.
    pub(crate) fn read_header(
        &mut self,
        slot: u32,
    ) -> Result<([u8; SegmentHeader::LEN], FoundHeader), M::Error> {
        let mut bytes = [0; SegmentHeader::LEN];
        let at = self.place(slot, 0);
        let count = read_at(&mut self.storage, at, &mut bytes)?;
        let header = SegmentHeader::find(bytes.get(..count).unwrap_or_default());
        Ok((bytes, header))
    }

    /// A way through a segment, with the key that opens it if `key` reaches it.
    pub(crate) fn walk(&self, segment: Segment, key: &LogKey) -> Walk {
        let is_open = segment.epoch == self.epoch && self.offset > 0;
        Walk {
            segment,
            slot: self.slot(segment.epoch),
            offset: SEGMENT_HEADER,
            end: if is_open { self.offset } else { self.geometry.segment_bytes() },
            next: segment.first,
            wanted: RecordId(0),
            key: key.advance_to(segment.epoch).ok(),
            opener: None,
        }
    }

    /// Goes to the next block. Where none starts, it looks at the next page: blocks start at pages, and damage to one must
    /// not hide those behind it.
    pub(crate) fn step(&mut self, walk: &mut Walk, load: Load) -> Result<Step, M::Error> {
        let shortest = to_u32(BlockHeader::OVERHEAD);
        // Bounded by the pages of a segment.
        while walk.offset.saturating_add(shortest) <= walk.end {
            let offset = walk.offset;
            let mut bytes = [0; BlockHeader::LEN];
            let at = self.place(walk.slot, offset);
            let count = read_at(&mut self.storage, at, &mut bytes)?;
            if count == 0 {
                break;
            }
            walk.offset = page_end(offset + 1);
            let header = BlockHeader::decode(&bytes).filter(|header| header.epoch == walk.segment.epoch);
            let Some(header) = header else { continue };
            let room = walk.end.saturating_sub(offset).saturating_sub(shortest);
            if header.sealed_len > room || header.first < walk.next {
                return Ok(Step::Damaged { offset });
            }
            let end = page_end(offset + shortest + header.sealed_len);
            let is_wanted = load != Load::Records || header.end() > walk.wanted;
            let mut chain = None;
            if load != Load::Header && is_wanted {
                match self.load(walk, &header, &bytes, offset, load)? {
                    Some(after) => chain = after,
                    None => return Ok(Step::Damaged { offset }),
                }
            }
            walk.offset = end;
            walk.next = header.end();
            if !is_wanted {
                continue;
            }
            return Ok(Step::Block { header, offset, chain });
        }
        walk.offset = walk.end;
        Ok(Step::End)
    }

    /// Reads the block at `offset` and opens it. `None` if it is not whole; the chain after it if asked for.
    fn load(
        &mut self,
        walk: &mut Walk,
        header: &BlockHeader,
        header_bytes: &[u8; BlockHeader::LEN],
        offset: u32,
        load: Load,
    ) -> Result<Option<Option<Chain>>, M::Error> {
        let at = self.place(walk.slot, offset + to_u32(BlockHeader::LEN));
        let sealed_len = to_usize(header.sealed_len);
        let whole = self.buffer.get_mut(..sealed_len + TAG_LEN).unwrap_or_default();
        if read_at(&mut self.storage, at, whole)? < whole.len() {
            return Ok(None);
        }
        let Some((text, rest)) = whole.split_at_mut_checked(sealed_len) else { return Ok(None) };
        let Some(tag) = rest.first_chunk::<TAG_LEN>() else { return Ok(None) };
        let chain = match load {
            Load::Chain => Some(header.previous.link(&[header_bytes, text, tag])),
            Load::Header | Load::Records => None,
        };
        let Some(key) = &walk.key else { return Ok(Some(chain)) };
        let opener = match walk.opener.take() {
            Some((salt, opener)) if salt == header.salt => opener,
            _ => Opener::new(&main_key(key.key(), header.salt)),
        };
        let associated = BlockHeader::associated(&walk.segment.binding, header_bytes);
        let opened = opener.open(&associated, text, &Sealed { counter: header.counter, tag: *tag });
        walk.opener = Some((header.salt, opener));
        Ok(opened.is_ok().then_some(chain))
    }

    /// The storage, to be changed behind the log's back.
    #[cfg(test)]
    pub(crate) fn storage_mut(&mut self) -> &mut M {
        &mut self.storage
    }

    pub(crate) fn into_storage(self) -> M {
        self.storage
    }
}

impl Writer {
    fn new(key: LogKey, salt: Salt, counter: u64) -> Self {
        let sealer = Sealer::resume(&main_key(key.key(), salt), counter);
        Self { salt, key, sealer }
    }
}
