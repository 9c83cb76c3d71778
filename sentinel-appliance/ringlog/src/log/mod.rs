//! The log itself: opening, appending, flushing, keys.

use core::ops::Range;

use crate::account::{Recovery, Stats};
use crate::error::{AppendError, FlushError, OpenError};
use crate::geometry::Geometry;
use crate::journal::{Journal, Present, room_for};
use crate::key::{LogKey, Mode};
use crate::pack::Packer;
use crate::pending::Pending;
use crate::record::{MAX_RECORD, RecordId};
use crate::ring::{Ring, Writer};
use crate::storage::Storage;

mod read;
mod verify;

pub use read::Cursor;
use read::Reader;
pub use verify::{ChainHead, Finding, Report, SegmentInfo, SegmentState};

/// The log. See the crate's documentation for the memory it holds.
///
/// One program writes; others may open the same storages with [`Mode::ReadOnly`] and see what was there at that moment.
#[derive(Debug)]
pub struct RingLog<M, J> {
    pub(crate) ring: Ring<M>,
    pub(crate) journal: Journal<J>,
    pub(crate) pending: Pending,
    /// As old as anything that must stay readable.
    pub(crate) key: LogKey,
    packer: Packer,
    pub(crate) reader: Reader,
    /// Where main ended by the journal's word when it was opened.
    pub(crate) anchor: Option<ChainHead>,
    /// The journal was torn when it was opened and has not been written since.
    pub(crate) is_journal_torn: bool,
    suspended: Suspended,
    pub(crate) stats: Stats,
}

/// Which storages the log leaves alone; see [`RingLog::spare`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Suspended {
    /// Main, unless the program flushes.
    pub main: bool,
    /// The journal, unless it starts from the front after a flush.
    pub journal: bool,
}

impl<M: Storage, J: Storage<Error = M::Error>> RingLog<M, J> {
    /// Opens the log in `main` and `journal`, or starts one if `main` is empty. Writes nothing: an unfinished write stays
    /// where it is until the next one covers it.
    ///
    /// # Errors
    /// - [`OpenError::Main`], [`OpenError::Journal`]: a storage cannot be read.
    /// - [`OpenError::Geometry`], [`OpenError::Version`], [`OpenError::WrongKey`]: main holds another log.
    ///
    /// Damage is no error: it is left out and counted in [`Recovery`].
    pub fn open(
        main: M,
        journal: J,
        geometry: Geometry,
        key: LogKey,
        mode: Mode,
    ) -> Result<(Self, Recovery), OpenError<M::Error>> {
        let salt = match mode {
            Mode::Append(salt) => Some(salt),
            Mode::ReadOnly => None,
        };
        let mut recovery = Recovery::default();
        let (ring, key) = Ring::open(main, geometry, key, salt, &mut recovery)?;
        let mut journal = Journal::new(journal);
        let mut pending = Pending::new(Ring::<M>::capacity(geometry), ring.head().next_id);
        let found = journal
            .replay(&key, &mut |id, record| {
                if id > pending.next() && pending.count() == 0 {
                    recovery.missing_records += id.since(pending.next());
                    pending.restart(id);
                }
                if id == pending.next() {
                    pending.push(record);
                }
            })
            .map_err(OpenError::Journal)?;
        if let Some(anchor) =
            found.anchor.filter(|anchor| anchor.next_id > pending.next() && pending.count() == 0)
        {
            // Main lost its end after the journal was reset: those numbers must not be given again.
            recovery.missing_records += anchor.next_id.since(pending.next());
            pending.restart(anchor.next_id);
        }
        journal.resume(&found, pending.count());
        recovery.torn_writes += u32::from(found.is_torn);
        recovery.from_journal = u64::from(pending.count());
        let log = Self {
            ring,
            journal,
            pending,
            key,
            packer: Packer::default(),
            reader: Reader::default(),
            anchor: found.anchor,
            is_journal_torn: found.is_torn,
            suspended: Suspended::default(),
            stats: Stats::default(),
        };
        recovery.records = log.next_id().since(log.oldest());
        let is_untouched = recovery.damaged_segments == 0 && recovery.torn_writes == 0;
        recovery.is_new = log.ring.newest().is_none() && found.anchor.is_none() && is_untouched;
        Ok((log, recovery))
    }

    /// Takes a record in: into memory and, sealed, into the journal. Main is written only when memory is full, and then
    /// as by [`Self::flush`]; [`Self::needs_flush`] tells before.
    ///
    /// # Errors
    /// - [`AppendError::TooLong`], [`AppendError::ReadOnly`]: the record is refused.
    /// - [`AppendError::Full`]: memory is full and main cannot be written; the record is refused. What is in the log stays
    ///   readable. All refused records are counted.
    /// - [`AppendError::Suspended`]: memory is full and main is left alone; the record is refused.
    /// - [`AppendError::NotJournalled`]: the record is in the log, but only in memory.
    pub fn append(&mut self, record: &[u8]) -> Result<RecordId, AppendError<M::Error>> {
        self.make_room(record).inspect_err(|_refused| self.stats.refused += 1)?;
        let id = self.pending.push(record);
        self.stats.appended += 1;
        self.stats.appended_bytes += u64::try_from(record.len()).unwrap_or(0);
        self.cover().map_err(|error| AppendError::NotJournalled(id, error))?;
        Ok(id)
    }

    /// Leaves storages alone that have refused, until told otherwise: a disk that is full stays full for a while, and each
    /// attempt would write what it can. Records go into memory only as long as they fit, and to an idle journal later.
    pub const fn suspend_writes(&mut self, suspended: Suspended) {
        self.suspended = suspended;
    }

    /// Whether the records in memory should go to main: look at [`Self::about_to_overwrite`], append again what must not be
    /// lost (an eighth of a segment is kept free for that), then [`Self::flush`].
    #[must_use]
    pub fn needs_flush(&self) -> bool {
        let reserve = self.ring.buffer().len() / 8;
        self.pending.bytes().len() + reserve > self.pending.capacity() || !self.has_journal_room(4 * reserve)
    }

    /// The records that [`Self::flush`] would destroy if it were called now. `None` if it would destroy nothing: there is
    /// nothing to write, the segment being filled has room for it, or the ring is not full yet.
    pub fn about_to_overwrite(&mut self) -> Option<Range<RecordId>> {
        if self.pending.count() == 0 {
            return None;
        }
        let is_fresh = self.ring.is_fresh();
        let doomed = self.ring.doomed(!is_fresh)?;
        if !is_fresh {
            self.reader.forget();
            if self.ring.fits(&mut self.packer, self.pending.bytes()) {
                return None;
            }
        }
        Some(doomed.first..self.ring.end_of(&doomed))
    }

    /// Brings all records in memory to main, makes them durable and empties the journal: when [`Self::needs_flush`] says
    /// so, on critical alerts, at shutdown. Does nothing if there are none.
    ///
    /// # Errors
    /// - [`FlushError::Main`]: some or all records are still in memory and in the journal only. Call again later; the same
    ///   pages are written again.
    /// - [`FlushError::Journal`]: all records are in main.
    /// - [`FlushError::ReadOnly`], [`FlushError::Exhausted`]: nothing was written.
    pub fn flush(&mut self) -> Result<(), FlushError<M::Error>> {
        if self.pending.count() == 0 {
            return Ok(());
        }
        self.reader.forget();
        let drained = self.drain();
        self.stats.write_errors += u64::from(matches!(drained, Err(FlushError::Main(_))));
        drained?;
        let Some(writer) = self.ring.writer() else { return Ok(()) };
        let reset = self.journal.reset(&present(writer, self.ring.head()));
        self.stats.write_errors += u64::from(reset.is_err());
        self.is_journal_torn &= reset.is_err();
        reset.map_err(FlushError::Journal)
    }

    /// Flushes, and lets the next record start a new segment with the next key: what came before can then be closed for
    /// good with [`Self::advance_key`], once that record is in main.
    ///
    /// # Errors
    /// As [`Self::flush`].
    pub fn rotate(&mut self) -> Result<(), FlushError<M::Error>> {
        self.flush()?;
        self.ring.begin_segment()
    }

    /// The number that the next record will get.
    #[must_use]
    pub fn next_id(&self) -> RecordId {
        self.pending.next()
    }

    /// The oldest record that can be read, or [`Self::next_id`] if there is none.
    #[must_use]
    pub fn oldest(&self) -> RecordId {
        self.ring.first_from(self.key.epoch()).map_or(self.pending.first(), |segment| segment.first)
    }

    /// How many records wait in memory and in the journal for the next flush.
    #[must_use]
    pub const fn waiting(&self) -> u32 {
        self.pending.count()
    }

    /// Where main ends. Remembered elsewhere, it lets [`Self::verify`] notice that an older state of the log was put back.
    #[must_use]
    pub const fn head(&self) -> ChainHead {
        self.ring.head()
    }

    /// The size of the log.
    #[must_use]
    pub const fn geometry(&self) -> Geometry {
        self.ring.geometry()
    }

    /// Counters since opening.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats { journal_bytes: self.journal.written(), ..self.stats }
    }

    /// The key to be stored now. It moves on when the ring overwrites what needed it, and by [`Self::advance_key`].
    #[must_use]
    pub const fn key(&self) -> &LogKey {
        &self.key
    }

    /// Moves the key on as far as `keep_from` stays readable, and gives it to be stored. Segments that end before that
    /// record cannot be opened any more, by this log or by who steals the device; only an older copy of the key opens them.
    /// The key never passes the newest segment in main nor what the journal needs.
    pub fn advance_key(&mut self, keep_from: RecordId) -> &LogKey {
        let mut epoch = self.key.epoch();
        while let Some(after) = self.ring.first_from(epoch.saturating_add(1)).filter(|s| s.first <= keep_from)
        {
            epoch = after.epoch;
        }
        self.reader.forget();
        self.move_key(epoch);
        &self.key
    }

    /// Takes the memory for deflating and inflating and gives it back: what the allocator needs beside it, it keeps, so that
    /// later nothing grows for good. Writes nothing.
    pub fn preallocate(&mut self) {
        self.reader.forget();
        let _fits = self.ring.fits(&mut self.packer, self.pending.bytes());
        self.reader.preallocate();
        self.release_buffers();
    }

    /// Gives back the memory for deflating and inflating (363 KB) until it is needed again.
    pub fn release_buffers(&mut self) {
        self.packer.release();
        self.reader.release();
    }

    /// Ends without flushing and gives the storages back.
    #[must_use]
    pub fn into_storages(self) -> (M, J) {
        (self.ring.into_storage(), self.journal.into_storage())
    }

    fn make_room(&mut self, record: &[u8]) -> Result<(), AppendError<M::Error>> {
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
            // A journal that was not reset is no reason to refuse: main has what it holds.
            Ok(()) | Err(FlushError::Journal(_)) => Ok(()),
            Err(error) => Err(AppendError::Full(error)),
        }
    }

    /// The journal may take four segments: twice what it needs for a full memory of records of usual size.
    fn has_journal_room(&self, len: usize) -> bool {
        let limit = u64::from(self.ring.geometry().segment_bytes()) * 4;
        self.journal.tail() + u64::try_from(room_for(len)).unwrap_or(u64::MAX) <= limit
    }

    /// Puts into the journal what it lacks.
    fn cover(&mut self) -> Result<(), M::Error> {
        if self.suspended.journal {
            return Ok(());
        }
        let Some(writer) = self.ring.writer() else { return Ok(()) };
        let covered = self.journal.cover(&mut self.pending, &present(writer, self.ring.head()));
        self.stats.write_errors += u64::from(covered.is_err());
        self.is_journal_torn &= covered.is_err();
        covered
    }

    /// Writes all pending records to main, in few blocks and in at most one new segment (in more only if a journal held
    /// more than memory does).
    fn drain(&mut self) -> Result<(), FlushError<M::Error>> {
        let mut count = self.pending.count();
        let mut may_split = true;
        while self.pending.count() > 0 {
            if self.write_first(count)? {
                count = self.pending.count();
            } else if self.ring.is_fresh() {
                // One record always fits into an empty segment.
                count = (count / 2).max(1);
            } else if may_split && count > 1 && self.ring.room() * 4 >= self.ring.buffer().len() {
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
        let all = count == self.pending.count();
        let len = if all { self.pending.bytes().len() } else { self.pending.prefix(count) };
        let records = self.pending.bytes().get(..len).unwrap_or_default();
        let first = self.pending.first();
        if !self.ring.write_block(&mut self.packer, records, count, first, &mut self.stats)? {
            return Ok(false);
        }
        self.pending.drop_first(count, len);
        self.journal.uncover(count);
        if let Some(oldest) = self.ring.first_from(0) {
            self.move_key(oldest.epoch);
        }
        Ok(true)
    }

    /// Moves the key towards `epoch`, but not past what is still needed, and not back.
    fn move_key(&mut self, epoch: u64) {
        let Some(newest) = self.ring.newest() else { return };
        let needed = self.journal.epoch().unwrap_or(u64::MAX).min(newest.epoch);
        if let Ok(key) = self.key.advance_to(epoch.min(needed)) {
            self.key = key;
        }
    }
}

fn present(writer: &Writer, head: ChainHead) -> Present<'_> {
    Present { key: &writer.key, salt: writer.salt, head }
}
