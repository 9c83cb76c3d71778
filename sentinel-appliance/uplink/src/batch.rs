//! Batches: several alerts of one run in one message, delta-encoded.
//!
//! Layout of `entries`, repeated until the bytes end:
//!
//! | field | encoding |
//! |---|---|
//! | step | varint, at least 1: difference to the previous sequence number, at first to `first_seq - 1` |
//! | length | varint, bytes of the compressed alert |
//! | alert | [`sentinel_alert::wire`], times relative to the base of the batch, compressed against the alerts before it ([`crate::compress`]) |
//!
//! The length costs a byte and lets an older collector skip a kind of alert that it does not know: it still
//! decompresses the bytes, which later alerts may refer to, and continues with the next entry.

use core::fmt;

use sentinel_alert::wire::{self, MAX_ALERT_LEN, WireError};
use sentinel_alert::{Alert, AlertId};
use sentinel_units::Timestamp;
use serde::{Deserialize, Serialize};

use crate::compress::History;

/// Bit 62 of a sequence number. Those of alerts are below it; it is set in the id that acknowledges a gap.
pub(crate) const GAP_BIT: u64 = 1 << 62;
/// Bit 63 of a sequence number; it is set in the id that acknowledges the end of a run.
pub(crate) const RUN_END_BIT: u64 = 1 << 63;

/// Largest number of bytes of a frame besides the entries of a batch: Noise tag 16, message
/// tag 1, boot 6, first sequence number 10, base 10, length of the entries 3.
pub const BATCH_OVERHEAD_LEN: usize = 16 + 1 + 6 + 10 + 10 + 3;

/// Run and time that the batches of a session are relative to; from [`crate::Hello::origin`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Origin {
    /// Run that sent the hello. Batches of earlier runs name theirs.
    pub boot: u32,
    /// Time at which that run started.
    pub base: Timestamp,
}

/// Alerts of one run, in sending order.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Batch<'a> {
    /// Not transmitted: both sides know it from the hello.
    #[serde(skip)]
    origin: Origin,
    /// Run that raised the alerts, if it is not the one of the hello.
    boot: Option<u32>,
    first_seq: u64,
    /// Base of the alert times, in microseconds after the origin. The time of the first alert, so that the
    /// times in a batch are short.
    base_after_us: i64,
    entries: &'a [u8],
}

impl<'a> Batch<'a> {
    /// Run that raised the alerts.
    #[must_use]
    pub fn boot(&self) -> u32 {
        self.boot.unwrap_or(self.origin.boot)
    }

    /// Iterates over the alerts.
    #[must_use]
    pub fn iter(&self) -> BatchIter<'a> {
        // Wraps: a hostile base gives a wrong time, which decoding the alert checks, and not a panic.
        let base_us = self.origin.base.as_micros().wrapping_add(self.base_after_us.cast_unsigned());
        BatchIter {
            boot: self.boot(),
            previous_seq: self.first_seq.checked_sub(1),
            base: Timestamp::from_micros(base_us),
            remaining: self.entries,
            history: History::new(),
        }
    }

    /// Sets the origin, which is not transmitted.
    pub(crate) const fn with_origin(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }
}

impl<'a> IntoIterator for Batch<'a> {
    type Item = Result<Entry, BatchError>;
    type IntoIter = BatchIter<'a>;

    fn into_iter(self) -> BatchIter<'a> {
        self.iter()
    }
}

/// Reason why an alert was not added to a batch. The batch is unchanged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum PushError {
    /// The buffer is full: send the batch and start another.
    Full,
    /// The alert is of another run, or its number does not rise: send the batch and start another.
    NewBatchNeeded,
    /// The sequence number is 0 or at least 2^62, which no alert has.
    InvalidSeq,
}

impl fmt::Display for PushError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Full => "the batch is full",
            Self::NewBatchNeeded => "the alert belongs into another batch",
            Self::InvalidSeq => "the sequence number is 0 or at least 2^62",
        })
    }
}

impl core::error::Error for PushError {}

/// Encodes alerts into the buffer of a batch, one at a time.
#[derive(Debug)]
pub struct BatchBuilder<'b> {
    buffer: &'b mut [u8],
    len: usize,
    count: u32,
    origin: Origin,
    first: AlertId,
    last: AlertId,
    base: Timestamp,
    history: History,
}

impl<'b> BatchBuilder<'b> {
    /// Starts an empty batch in `buffer`, which may have at most [`crate::SensorSession::batch_limit`] bytes.
    #[must_use]
    pub fn new(origin: Origin, buffer: &'b mut [u8]) -> Self {
        let none = AlertId { boot: 0, seq: 0 };
        let history = History::new();
        Self { buffer, len: 0, count: 0, origin, first: none, last: none, base: Timestamp::ZERO, history }
    }

    /// Adds an alert.
    ///
    /// # Errors
    /// - [`PushError::Full`]: the buffer is full.
    /// - [`PushError::NewBatchNeeded`]: the alert is of another run, or its number does not rise.
    /// - [`PushError::InvalidSeq`]: its number is 0 or at least 2^62.
    ///
    /// The batch is unchanged.
    pub fn push(&mut self, id: AlertId, alert: &Alert) -> Result<(), PushError> {
        if id.seq == 0 || id.seq >= GAP_BIT {
            return Err(PushError::InvalidSeq);
        }
        // Steps are differences, so they need rising numbers; the first counts from its own predecessor.
        let previous = if self.count == 0 {
            id.seq - 1
        } else if id.boot == self.last.boot && id.seq > self.last.seq {
            self.last.seq
        } else {
            return Err(PushError::NewBatchNeeded);
        };
        // The first alert sets the base, so its own time takes one byte and those after it two or three.
        let base = if self.count == 0 { alert.time } else { self.base };
        let mut bytes = [0; MAX_ALERT_LEN];
        let bytes: &[u8] = wire::encode(alert, base, &mut bytes).map_err(|_| PushError::Full)?;
        let free = self.buffer.get_mut(self.len..).unwrap_or_default();
        let used = put_entry(id.seq - previous, bytes, &mut self.history, free).ok_or(PushError::Full)?;
        if self.count == 0 {
            (self.first, self.base) = (id, base);
        }
        self.last = id;
        self.len += used;
        self.count += 1;
        Ok(())
    }

    /// Number of alerts in the batch.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Id of the last alert, which acknowledges the whole batch; `None` while it is empty.
    #[must_use]
    pub const fn last(&self) -> Option<AlertId> {
        if self.count == 0 { None } else { Some(self.last) }
    }

    /// Batch to be sent; `None` while it is empty.
    #[must_use]
    pub fn batch(&self) -> Option<Batch<'_>> {
        self.last()?;
        let after_us = self.base.as_micros().wrapping_sub(self.origin.base.as_micros());
        Some(Batch {
            origin: self.origin,
            boot: (self.first.boot != self.origin.boot).then_some(self.first.boot),
            first_seq: self.first.seq,
            base_after_us: after_us.cast_signed(),
            entries: self.buffer.get(..self.len)?,
        })
    }
}

/// One alert of a batch.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Its id.
    pub id: AlertId,
    /// Decoded alert, or the reason why this version cannot read it; such an alert counts as received.
    pub alert: Result<Alert, WireError>,
    /// Encoded alert, relative to [`Entry::base`], for collectors that keep alerts they cannot read.
    pub bytes: heapless::Vec<u8, MAX_ALERT_LEN>,
    /// Time that its times are relative to.
    pub base: Timestamp,
}

/// Reason why the entries of a batch cannot be decoded any further.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum BatchError {
    /// An entry is longer than the batch.
    Truncated,
    /// The compressed bytes are invalid, or expand to more than [`MAX_ALERT_LEN`].
    Decompression,
    /// A sequence number is 0, does not rise or reaches 2^62.
    Sequence,
}

impl fmt::Display for BatchError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Truncated => "an entry is longer than its batch",
            Self::Decompression => "an entry does not decompress to an alert",
            Self::Sequence => "sequence numbers of a batch do not rise",
        })
    }
}

impl core::error::Error for BatchError {}

/// Iterator over the alerts of a batch. Ends after the first error.
#[derive(Clone, Debug)]
pub struct BatchIter<'a> {
    boot: u32,
    /// Previous sequence number; `None` if the batch starts at 0, which is invalid.
    previous_seq: Option<u64>,
    base: Timestamp,
    remaining: &'a [u8],
    history: History,
}

impl Iterator for BatchIter<'_> {
    type Item = Result<Entry, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.remaining.is_empty() {
            return None;
        }
        // Each call consumes at least two bytes; after an error nothing remains.
        let bytes = core::mem::take(&mut self.remaining);
        match self.take_entry(bytes) {
            Ok((entry, remaining)) => {
                self.remaining = remaining;
                Some(Ok(entry))
            }
            Err(error) => Some(Err(error)),
        }
    }
}

impl<'a> BatchIter<'a> {
    fn take_entry(&mut self, bytes: &'a [u8]) -> Result<(Entry, &'a [u8]), BatchError> {
        let (entry, remaining) =
            postcard::take_from_bytes::<WireEntry<'a>>(bytes).map_err(|_| BatchError::Truncated)?;
        let previous = self.previous_seq.filter(|_| entry.step > 0).ok_or(BatchError::Sequence)?;
        let seq =
            previous.checked_add(entry.step).filter(|seq| *seq < GAP_BIT).ok_or(BatchError::Sequence)?;
        self.previous_seq = Some(seq);
        let bytes = self.history.decompress(entry.compressed).map_err(|_| BatchError::Decompression)?;
        // Bytes after the known fields belong to a newer version and are ignored.
        let alert = wire::decode(bytes, self.base).map(|(alert, _)| alert);
        let bytes = heapless::Vec::from_slice(bytes).map_err(|_| BatchError::Decompression)?;
        Ok((Entry { id: AlertId { boot: self.boot, seq }, alert, bytes, base: self.base }, remaining))
    }
}

/// Compresses an alert and writes its entry to `out`. Returns the length; `None` if there is no room.
///
/// Both ends must have the same history: if the entry does not fit, the collector never sees it, so the history
/// is restored.
fn put_entry(step: u64, alert: &[u8], history: &mut History, out: &mut [u8]) -> Option<usize> {
    let mut compressed = [0; MAX_COMPRESSED_LEN];
    let before = history.clone();
    let compressed = history.compress(alert, &mut compressed)?;
    let entry = WireEntry { step, compressed };
    match postcard::to_slice(&entry, out) {
        Ok(used) => Some(used.len()),
        Err(_) => {
            *history = before;
            None
        }
    }
}

/// Longest compressed alert: literals only, in runs of 128 with a byte before each.
const MAX_COMPRESSED_LEN: usize = MAX_ALERT_LEN + MAX_ALERT_LEN.div_ceil(128);

#[derive(Deserialize, Serialize)]
struct WireEntry<'a> {
    step: u64,
    /// Output of [`History::compress`].
    compressed: &'a [u8],
}
