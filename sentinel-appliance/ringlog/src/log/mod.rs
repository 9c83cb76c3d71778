//! The log: opening, appending, flushing and advancing the key. [`read`] reads records, [`list`] describes segments,
//! [`verify`] checks everything.

mod list;
mod read;
mod recover;
mod verify;

use core::ops::Range;

use crate::account::{Recovery, Stats};
use crate::error::{AppendError, FlushError, OpenError};
use crate::geometry::Geometry;
use crate::head::Head;
use crate::journal::{Journal, Replay, SectionContext, max_append_len};
use crate::key::{LogKey, Mode};
use crate::pack::Packer;
use crate::pending::Pending;
use crate::record::{ChainHead, MAX_RECORD, RecordId};
use crate::ring::{Keys, Ring, Writer};
use crate::storage::Storage;
use sentinel_seal::{Recipient, RecipientSecret};

pub use list::{SegmentInfo, SegmentState};
pub use read::Cursor;
use read::Reader;
use recover::replay_journal;
pub use verify::{Finding, Report};

/// Sealed log in a fixed space: a ring of segments (*main*) and a write-ahead journal. The memory it holds is stated in the
/// documentation of the crate.
///
/// One program writes. Others may open the same storages with [`Mode::ReadOnly`] and see the state at that moment.
#[derive(Debug)]
pub struct RingLog<M, J> {
    ring: Ring<M>,
    journal: Journal<J>,
    pending: Pending,
    /// Key of the oldest epoch that must stay readable.
    key: LogKey,
    /// Epoch of the key that the log was opened with. It was stored when main had a segment of that epoch.
    given_epoch: Option<u64>,
    packer: Packer,
    reader: Reader,
    /// End of main at opening, according to the journal.
    journaled_end: Option<ChainHead>,
    /// The journal was torn at opening and has not been written since.
    is_journal_torn: bool,
    /// See [`RingLog::was_journal_complete`].
    was_journal_complete: bool,
    suspended: Suspended,
    stats: Stats,
}

/// Storages that appending does not write; see [`RingLog::suspend_writes`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Suspended {
    /// Main is written by [`RingLog::flush`] only.
    pub main: bool,
    /// The journal is written only when a flush resets it.
    pub journal: bool,
}

impl<M: Storage, J: Storage<Error = M::Error>> RingLog<M, J> {
    /// Opens the log in `main` and `journal`, or starts one if `main` is empty. Writes nothing: the bytes of an unfinished
    /// write stay until the next write covers them.
    ///
    /// # Errors
    /// - [`OpenError::Main`], [`OpenError::Journal`]: a storage cannot be read.
    /// - [`OpenError::Geometry`], [`OpenError::Version`], [`OpenError::WrongKey`]: main holds another log.
    ///
    /// The storages are unchanged in each case. Damage is not an error: it is left out and counted in [`Recovery`].
    pub fn open(
        main: M,
        journal: J,
        geometry: Geometry,
        key: LogKey,
        mode: Mode,
    ) -> Result<(Self, Recovery), OpenError<M::Error>> {
        Self::open_with(main, journal, geometry, Keys { log: key, evidence: None }, mode)
    }

    /// Opens the log for reading with the private key to which segments were sealed, and with the key of the device, if that is
    /// at hand: then the segments from its epoch on and the journal can be read as well.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub fn open_evidence(
        main: M,
        journal: J,
        geometry: Geometry,
        key: Option<LogKey>,
        secret: &RecipientSecret,
    ) -> Result<(Self, Recovery), OpenError<M::Error>> {
        let keys = Keys { log: key.unwrap_or(LogKey::none()), evidence: Some(secret) };
        Self::open_with(main, journal, geometry, keys, Mode::ReadOnly)
    }

    /// Opens the log for checking the chain and listing segments, without any key: no record can be read.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub fn open_sealed(
        main: M,
        journal: J,
        geometry: Geometry,
    ) -> Result<(Self, Recovery), OpenError<M::Error>> {
        Self::open_with(main, journal, geometry, Keys { log: LogKey::none(), evidence: None }, Mode::ReadOnly)
    }

    fn open_with(
        main: M,
        journal: J,
        geometry: Geometry,
        keys: Keys<'_>,
        mode: Mode,
    ) -> Result<(Self, Recovery), OpenError<M::Error>> {
        let salt = match mode {
            Mode::Append(salt) => Some(salt),
            Mode::ReadOnly => None,
        };
        let mut recovery = Recovery::default();
        let given_epoch = (!keys.log.is_none()).then(|| keys.log.epoch());
        let (ring, key) = Ring::open(main, geometry, keys, salt, &mut recovery)?;
        let mut journal = Journal::new(journal);
        // The ring is opened first: its end decides which records of the journal main lacks.
        let mut pending = Pending::new(Ring::<M>::capacity(geometry), ring.head().next_id);
        // Without the key of the device the journal cannot be read, which is no damage.
        let replay = if key.is_none() {
            Replay::default()
        } else {
            replay_journal(&mut journal, &key, &mut pending, &mut recovery).map_err(OpenError::Journal)?
        };
        let journal_end = replay.end.max(replay.main_end.map(|end| end.next_id));
        let was_journal_complete = !replay.is_torn
            && recovery.missing_records == 0
            && journal_end.is_some_and(|end| end >= ring.head().next_id);
        let log = Self {
            ring,
            journal,
            pending,
            key,
            given_epoch,
            packer: Packer::default(),
            reader: Reader::default(),
            journaled_end: replay.main_end,
            is_journal_torn: replay.is_torn,
            was_journal_complete,
            suspended: Suspended::default(),
            stats: Stats::default(),
        };
        recovery.records = log.next_id().since(log.oldest());
        let is_undamaged = recovery.damaged_segments == 0 && recovery.torn_writes == 0;
        recovery.is_rolled_back = log.is_behind_key();
        recovery.is_new = log.ring.newest().is_none() && replay.main_end.is_none() && is_undamaged;
        Ok((log, recovery))
    }

    /// Appends a record in memory and, sealed, in the journal. Writes main only when memory is full, as [`Self::flush`] does;
    /// call [`Self::needs_flush`] before to do that under control.
    ///
    /// # Errors
    /// - [`AppendError::TooLong`], [`AppendError::ReadOnly`], [`AppendError::Full`], [`AppendError::Suspended`]: the record is
    ///   rejected and counted in [`Stats::rejected`]. Records in the log stay readable.
    /// - [`AppendError::NotJournalled`]: the record is in the log, but only in memory.
    pub fn append(&mut self, record: &[u8]) -> Result<RecordId, AppendError<M::Error>> {
        self.ensure_room(record).inspect_err(|_rejected| self.stats.rejected += 1)?;
        // Memory first: a record that the journal does not take is still in the log.
        let id = self.pending.push(record);
        self.stats.appended += 1;
        self.stats.appended_bytes += u64::try_from(record.len()).unwrap_or(0);
        self.append_to_journal().map_err(|error| AppendError::NotJournalled(id, error))?;
        Ok(id)
    }

    /// Sets which storages appending leaves alone, until the next call. For a storage that failed: a full disk stays full for
    /// a while, and each attempt would write what fits. While main is suspended, records are accepted as long as they fit in
    /// memory; while the journal is, they are in memory only and are journaled by the first append after it.
    pub const fn suspend_writes(&mut self, suspended: Suspended) {
        self.suspended = suspended;
    }

    /// Returns true if the records in memory should go to main. Look at [`Self::about_to_overwrite`] then, append again what
    /// must not be lost (an eighth of a segment is kept free for that), and call [`Self::flush`].
    #[must_use]
    pub fn needs_flush(&self) -> bool {
        // In the journal room for half a segment more is kept, in memory for an eighth.
        let reserve = self.ring.buffer().len() / 8;
        self.pending.bytes().len() + reserve > self.pending.capacity() || !self.has_journal_room(4 * reserve)
    }

    /// Range of records that [`Self::flush`] would evict if it were called now. `None` if there is nothing to write, the open
    /// segment has room for it, or the ring is not full yet.
    pub fn about_to_overwrite(&mut self) -> Option<Range<RecordId>> {
        if self.pending.count() == 0 {
            return None;
        }
        let is_unwritten = self.ring.is_unwritten();
        let victim = self.ring.victim(!is_unwritten)?;
        if !is_unwritten {
            // Only packing the records shows whether they fit. It overwrites the buffer of the ring.
            self.reader.invalidate();
            if self.ring.fits(&mut self.packer, self.pending.bytes()) {
                return None;
            }
        }
        Some(victim.first..self.ring.end_of(&victim))
    }

    /// Writes all records in memory to main, makes them durable and resets the journal: when [`Self::needs_flush`] returns
    /// true, on critical alerts, at shutdown. Does nothing if there are none.
    ///
    /// # Errors
    /// - [`FlushError::Main`]: some or all records are still in memory and in the journal only. The next call writes the same
    ///   pages again.
    /// - [`FlushError::Journal`]: all records are in main.
    /// - [`FlushError::ReadOnly`], [`FlushError::Exhausted`]: nothing was written.
    pub fn flush(&mut self) -> Result<(), FlushError<M::Error>> {
        if self.pending.count() == 0 {
            return Ok(());
        }
        self.reader.invalidate();
        let written = self.write_pending();
        self.stats.write_errors += u64::from(matches!(written, Err(FlushError::Main(_))));
        written?;
        // Main is durable before the journal is reset: at every moment each record is in one of them.
        let Some(writer) = self.ring.writer() else { return Ok(()) };
        let reset = self.journal.reset(&section_context(writer, self.ring.head()));
        self.stats.write_errors += u64::from(reset.is_err());
        self.is_journal_torn &= reset.is_err();
        reset.map_err(FlushError::Journal)
    }

    /// Flushes, and lets the next record start a new segment with the next key. [`Self::advance_key`] can make everything
    /// before unreadable once that record is in main.
    ///
    /// # Errors
    /// - [`FlushError::Main`], [`FlushError::Journal`], [`FlushError::ReadOnly`]: as for [`Self::flush`].
    /// - [`FlushError::Exhausted`]: no epoch is left.
    ///
    /// No segment is begun then.
    pub fn rotate(&mut self) -> Result<(), FlushError<M::Error>> {
        self.flush()?;
        self.ring.begin_segment()
    }

    /// Lets the next block start a new segment with the next key, also if records are pending. Writes nothing. Unlike
    /// [`Self::rotate`], it leaves the records of the open segment as they are: once they are delivered and the next flush has
    /// begun the new segment, [`Self::advance_key`] makes them unreadable.
    ///
    /// # Errors
    /// [`FlushError::ReadOnly`], [`FlushError::Exhausted`]: no segment is begun.
    pub fn begin_segment(&mut self) -> Result<(), FlushError<M::Error>> {
        self.ring.begin_segment()
    }

    /// Sets for whom the keys of segments are wrapped (evidence): who has the private key can read them with
    /// [`Self::open_evidence`], whatever the device can still read. Takes effect with the next segment.
    pub const fn seal_to(&mut self, recipient: Option<Recipient>) {
        self.ring.set_recipient(recipient);
    }

    /// Public key for which the key of the newest segment is wrapped.
    #[must_use]
    pub fn sealed_to(&self) -> Option<[u8; Recipient::LEN]> {
        self.ring.newest().and_then(|newest| newest.recipient)
    }

    /// First record of the open segment, if it has a block on flash.
    #[must_use]
    pub fn open_segment(&self) -> Option<RecordId> {
        self.ring.newest().filter(|newest| self.ring.is_open(newest)).map(|newest| newest.first)
    }

    /// First record of the first segment that begins after record `id`.
    #[must_use]
    pub fn segment_after(&self, id: RecordId) -> Option<RecordId> {
        let mut segment = self.ring.first_readable(&self.key)?;
        while segment.first <= id {
            segment = self.ring.after(&segment)?;
        }
        Some(segment.first)
    }

    /// Returns true if main has a segment, readable with this key or not.
    #[must_use]
    pub fn has_segments(&self) -> bool {
        self.ring.newest().is_some()
    }

    /// Continues numbers and hash chain of another log that this one replaces, as a log of another geometry does. `next_id` is
    /// that of the other log. Does nothing if this log has a segment or a record.
    pub fn continue_after(&mut self, head: &Head, next_id: RecordId) {
        if self.ring.newest().is_none() && self.pending.count() == 0 {
            self.ring.start_at(head.position());
            self.pending.set_next(next_id);
        }
    }

    /// Drops all records in memory and in the journal without writing them to main, as a power cut would: their numbers are
    /// assigned again. For records that nobody needs any more, when main must not be written.
    ///
    /// # Errors
    /// The journal failed. Memory is empty; after a kill, the dropped records may come back from the journal.
    pub fn discard_pending(&mut self) -> Result<(), M::Error> {
        self.pending.clear();
        let Some(writer) = self.ring.writer() else { return Ok(()) };
        let reset = self.journal.reset(&section_context(writer, self.ring.head()));
        self.stats.write_errors += u64::from(reset.is_err());
        self.is_journal_torn &= reset.is_err();
        reset
    }

    /// Returns true if the journal, at opening, held every record appended after the end of main: it was neither lost, nor
    /// torn, nor left behind by main, as after a kill while it could be written.
    #[must_use]
    pub const fn was_journal_complete(&self) -> bool {
        self.was_journal_complete
    }

    /// Bytes in memory that the next flush writes to main, before deflating.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.pending.bytes().len()
    }

    /// Number that the next record will get.
    #[must_use]
    pub fn next_id(&self) -> RecordId {
        self.pending.next()
    }

    /// Oldest record that can be read, or [`Self::next_id`] if there is none.
    #[must_use]
    pub fn oldest(&self) -> RecordId {
        self.ring.first_readable(&self.key).map_or(self.pending.first(), |segment| segment.first)
    }

    /// Number of records in memory and in the journal that the next flush writes to main.
    #[must_use]
    pub const fn waiting(&self) -> u32 {
        self.pending.count()
    }

    /// End of main, to be stored outside the device.
    #[must_use]
    pub fn head(&self) -> Head {
        let ChainHead { next_id, chain } = self.ring.head();
        let epoch = self.ring.newest().map_or(self.ring.origin(), |newest| newest.epoch);
        Head { next_id, epoch, chain }
    }

    /// End of main in bytes since epoch 0, as if every segment before the open one were full: the difference of two of them is
    /// at least the bytes that were written to flash in between. Known after a restart too, unlike [`Self::stats`].
    #[must_use]
    pub fn end_position(&self) -> u64 {
        self.ring.end_position()
    }

    /// Returns true if the key that the log was opened with is of a later epoch than the newest segment. The key is stored
    /// only once main has a segment of its epoch: main was rolled back or wiped since.
    fn is_behind_key(&self) -> bool {
        let newest = self.ring.newest().map(|newest| newest.epoch);
        self.given_epoch.is_some_and(|given| given > 0 && newest.is_none_or(|newest| newest < given))
    }

    /// Size of the log.
    #[must_use]
    pub const fn geometry(&self) -> Geometry {
        self.ring.geometry()
    }

    /// Counters since opening.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats { journal_bytes: self.journal.written(), ..self.stats }
    }

    /// Key to be stored now. It advances when the ring overwrites the segments that needed the older one, and by
    /// [`Self::advance_key`].
    #[must_use]
    pub const fn key(&self) -> &LogKey {
        &self.key
    }

    /// Advances the key as far as record `keep_from` stays readable, and returns it to be stored. Segments that end before
    /// that record can then be opened neither by this log nor with the key found on the device, only with an older copy of
    /// the key. The key never passes the newest segment in main nor the epoch that the journal needs.
    pub fn advance_key(&mut self, keep_from: RecordId) -> &LogKey {
        let before = self.key.epoch();
        let mut epoch = before;
        // Ends at the segment that contains `keep_from`: the one after it begins behind that record.
        while let Some(after) = epoch
            .checked_add(1)
            .and_then(|next| self.ring.first_from(next))
            .filter(|segment| segment.first <= keep_from)
        {
            epoch = after.epoch;
        }
        self.advance_key_to(epoch);
        if self.key.epoch() != before {
            // A block of a segment that has become unreadable may be in the buffer.
            self.reader.invalidate();
        }
        &self.key
    }

    /// Allocates the deflate and inflate buffers once and frees them, so that the arena of the allocator reaches its final
    /// size now and later flushes do not raise RSS. Performs no I/O.
    pub fn preallocate(&mut self) {
        self.reader.invalidate();
        // Packing allocates the compressor; the result does not matter.
        let _fits = self.ring.fits(&mut self.packer, self.pending.bytes());
        self.reader.preallocate();
        self.release_buffers();
    }

    /// Frees the memory for deflating and inflating (363 KB) until it is needed again.
    pub fn release_buffers(&mut self) {
        self.packer.release();
        self.reader.release();
    }

    /// Closes the log without flushing and returns its storages.
    #[must_use]
    pub fn into_storages(self) -> (M, J) {
        (self.ring.into_storage(), self.journal.into_storage())
    }

    /// Storage of main, for tests that change it while the log is open.
    #[cfg(test)]
    pub(crate) fn main_storage_mut(&mut self) -> &mut M {
        self.ring.storage_mut()
    }

    /// Skips numbers, for tests that write what an attacker with the key can write. Nothing may be pending.
    #[cfg(test)]
    pub(crate) fn skip_to(&mut self, id: RecordId) {
        self.pending.set_next(id);
    }

    /// Checks that `record` can be appended; flushes if memory or the journal is full.
    fn ensure_room(&mut self, record: &[u8]) -> Result<(), AppendError<M::Error>> {
        if record.len() > MAX_RECORD {
            return Err(AppendError::TooLong(record.len()));
        }
        if self.ring.writer().is_none() {
            return Err(AppendError::ReadOnly);
        }
        if self.pending.has_room(record) && self.has_journal_room(record.len()) {
            return Ok(());
        }
        if self.suspended.main {
            return Err(AppendError::Suspended);
        }
        match self.flush() {
            // A journal that was not reset does not prevent appending: main has its records, and the next frame is written
            // at the front again.
            Ok(()) | Err(FlushError::Journal(_)) => Ok(()),
            Err(error) => Err(AppendError::Full(error)),
        }
    }

    /// Returns true if the journal has room for `len` more bytes. Its limit is four segments: twice what it needs for one
    /// segment of pending records of the usual size.
    fn has_journal_room(&self, len: usize) -> bool {
        let limit = u64::from(self.ring.geometry().segment_bytes()) * 4;
        self.journal.tail() + u64::try_from(max_append_len(len)).unwrap_or(u64::MAX) <= limit
    }

    /// Appends to the journal the pending records that it does not hold yet.
    fn append_to_journal(&mut self) -> Result<(), M::Error> {
        if self.suspended.journal {
            return Ok(());
        }
        let Some(writer) = self.ring.writer() else { return Ok(()) };
        let context = section_context(writer, self.ring.head());
        let appended = self.journal.append_pending(&mut self.pending, &context);
        self.stats.write_errors += u64::from(appended.is_err());
        self.is_journal_torn &= appended.is_err();
        appended
    }

    /// Writes all pending records to main, in few blocks and in at most one new segment (in more only if a journal held
    /// more records than fit in memory).
    ///
    /// Order of attempts: everything as one block; if the open segment has at least a quarter free, half of the records, once,
    /// to fill it up; a new segment; in a new segment, half of the records until they fit. Ends because each iteration writes
    /// a block, halves `count` or begins a segment, and one record always fits into an empty segment.
    fn write_pending(&mut self) -> Result<(), FlushError<M::Error>> {
        let mut count = self.pending.count();
        let mut may_split = true;
        while self.pending.count() > 0 {
            if self.write_first(count)? {
                count = self.pending.count();
            } else if self.ring.is_unwritten() {
                count = (count / 2).max(1);
            } else if may_split && count > 1 && self.ring.free_len() * 4 >= self.ring.buffer().len() {
                may_split = false;
                count /= 2;
            } else {
                self.ring.begin_segment()?;
                count = self.pending.count();
            }
        }
        Ok(())
    }

    /// Writes the first `count` pending records as one block. `Ok(false)` if they do not fit.
    fn write_first(&mut self, count: u32) -> Result<bool, FlushError<M::Error>> {
        let is_all = count == self.pending.count();
        let len = if is_all { self.pending.bytes().len() } else { self.pending.prefix_len(count) };
        let records = self.pending.bytes().get(..len).unwrap_or_default();
        let first = self.pending.first();
        if !self.ring.write_block(&mut self.packer, records, count, first, &mut self.stats)? {
            return Ok(false);
        }
        // The frames of these records stay in the journal; opening skips them, because main has them.
        self.pending.drop_first(count, len);
        self.journal.discard(count);
        if let Some(oldest) = self.ring.first_from(0) {
            self.advance_key_to(oldest.epoch);
        }
        Ok(true)
    }

    /// Advances the key towards `epoch`, never backwards.
    ///
    /// Invariant: the key opens the newest segment and the journal. A power cut may come between storing the key and writing
    /// the log, in either order, and the stored key must open whatever is on the storages then.
    fn advance_key_to(&mut self, epoch: u64) {
        let Some(newest) = self.ring.newest() else { return };
        let needed = self.journal.epoch().unwrap_or(u64::MAX).min(newest.epoch);
        if let Ok(key) = self.key.advance_to(epoch.min(needed)) {
            self.key = key;
        }
    }
}

fn section_context(writer: &Writer, main_end: ChainHead) -> SectionContext<'_> {
    SectionContext { key: &writer.key, salt: writer.salt, main_end }
}
