//! Several alerts of one run in one message.
//!
//! Layout of `entries`, repeated: step from the sequence number before (varint, at least 1; counted from
//! `first_seq - 1`), length of the alert (varint), alert ([`sentinel_alert::wire`], relative to the base,
//! shortened by pointing at the alerts before). The length costs a byte and lets an older collector step over
//! kinds of alerts that it does not know.

use core::fmt;

use sentinel_alert::wire::{self, MAX_ALERT_LEN, WireError};
use sentinel_alert::{Alert, AlertId};
use sentinel_units::Timestamp;
use serde::{Deserialize, Serialize};

use crate::compress::History;
use crate::message::GAP_BIT;

/// Bytes that a frame spends on everything but the entries of a batch, at most: Noise tag 16, message
/// tag 1, boot 6, first sequence number 10, base 10, length of the entries 3.
pub const BATCH_OVERHEAD_LEN: usize = 16 + 1 + 6 + 10 + 10 + 3;

/// What the batches of a session are relative to; from [`crate::Hello::origin`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Origin {
    /// The run that speaks. Alerts of earlier runs name theirs.
    pub boot: u32,
    /// Start of the sensor.
    pub base: Timestamp,
}

/// Alerts of one run, in sending order.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Batch<'a> {
    /// Not on the wire: both sides know it from the hello.
    #[serde(skip)]
    origin: Origin,
    /// The run that raised them, if it is not the one that speaks.
    boot: Option<u32>,
    first_seq: u64,
    /// Base of the alert times, microseconds after the origin.
    base_after_us: i64,
    entries: &'a [u8],
}

impl<'a> Batch<'a> {
    /// The run that raised the alerts.
    #[must_use]
    pub fn boot(&self) -> u32 {
        self.boot.unwrap_or(self.origin.boot)
    }

    /// The alerts.
    #[must_use]
    pub fn iter(&self) -> BatchIter<'a> {
        let base_us = self.origin.base.as_micros().wrapping_add(self.base_after_us.cast_unsigned());
        BatchIter {
            boot: self.boot(),
            before_next: self.first_seq.checked_sub(1),
            base: Timestamp::from_micros(base_us),
            rest: self.entries,
            history: History::new(),
        }
    }

    /// The same bytes, seen from the origin of their session.
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

/// Why an alert was not taken into a batch. The batch stays as it was.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum PushError {
    /// There is no room left: send the batch and start another.
    Full,
    /// The alert is of another run, or not newer than the one before: send the batch and start another.
    NewBatchNeeded,
    /// Sequence numbers start at 1 and end below 2^62.
    NoSuchSeq,
}

impl fmt::Display for PushError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Full => "the batch is full",
            Self::NewBatchNeeded => "the alert belongs into another batch",
            Self::NoSuchSeq => "an alert has a sequence number that no alert has",
        })
    }
}

impl core::error::Error for PushError {}

/// Collects alerts into the bytes of a batch.
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
    /// An empty batch in `buffer`, of which at most [`crate::SensorSession::batch_limit`] bytes may be lent.
    #[must_use]
    pub fn new(origin: Origin, buffer: &'b mut [u8]) -> Self {
        let none = AlertId { boot: 0, seq: 0 };
        let history = History::new();
        Self { buffer, len: 0, count: 0, origin, first: none, last: none, base: Timestamp::ZERO, history }
    }

    /// Adds an alert.
    ///
    /// # Errors
    /// See [`PushError`]; the batch stays as it was.
    pub fn push(&mut self, id: AlertId, alert: &Alert) -> Result<(), PushError> {
        if id.seq == 0 || id.seq >= GAP_BIT {
            return Err(PushError::NoSuchSeq);
        }
        let before = if self.count == 0 {
            id.seq - 1
        } else if id.boot == self.last.boot && id.seq > self.last.seq {
            self.last.seq
        } else {
            return Err(PushError::NewBatchNeeded);
        };
        let base = if self.count == 0 { alert.time } else { self.base };
        let mut bytes = [0; MAX_ALERT_LEN];
        let bytes: &[u8] = wire::encode(alert, base, &mut bytes).map_err(|_| PushError::Full)?;
        let room = self.buffer.get_mut(self.len..).unwrap_or_default();
        let used = put_entry(id.seq - before, bytes, &mut self.history, room).ok_or(PushError::Full)?;
        if self.count == 0 {
            (self.first, self.base) = (id, base);
        }
        self.last = id;
        self.len += used;
        self.count += 1;
        Ok(())
    }

    /// Alerts in the batch.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// The last alert, by which the whole batch will be acknowledged; `None` while it is empty.
    #[must_use]
    pub const fn last(&self) -> Option<AlertId> {
        if self.count == 0 { None } else { Some(self.last) }
    }

    /// The message; `None` while it is empty.
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
    /// Which one.
    pub id: AlertId,
    /// What it says, or why this version cannot read it; such an alert counts as received all the same.
    pub alert: Result<Alert, WireError>,
    /// Its bytes, relative to [`Entry::base`], for readers that keep what they cannot read.
    pub bytes: heapless::Vec<u8, MAX_ALERT_LEN>,
    /// What its times are relative to.
    pub base: Timestamp,
}

/// The entries of a batch cannot be told apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum BatchError {
    /// An entry ends after the batch does.
    Truncated,
    /// An entry points at bytes that never were, or makes more than an alert may have.
    Expansion,
    /// Sequence numbers start at 0, stand still or reach 2^62.
    Sequence,
}

impl fmt::Display for BatchError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Truncated => "an entry ends after its batch",
            Self::Expansion => "an entry does not expand to an alert",
            Self::Sequence => "sequence numbers of a batch do not rise",
        })
    }
}

impl core::error::Error for BatchError {}

/// Goes through the alerts of a batch. After an error it ends.
#[derive(Clone, Debug)]
pub struct BatchIter<'a> {
    boot: u32,
    before_next: Option<u64>,
    base: Timestamp,
    rest: &'a [u8],
    history: History,
}

impl Iterator for BatchIter<'_> {
    type Item = Result<Entry, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        // Each turn takes two bytes at least, or ends.
        let taken = core::mem::take(&mut self.rest);
        match self.take_entry(taken) {
            Ok((entry, rest)) => {
                self.rest = rest;
                Some(Ok(entry))
            }
            Err(error) => Some(Err(error)),
        }
    }
}

impl<'a> BatchIter<'a> {
    fn take_entry(&mut self, bytes: &'a [u8]) -> Result<(Entry, &'a [u8]), BatchError> {
        let (entry, rest) =
            postcard::take_from_bytes::<WireEntry<'a>>(bytes).map_err(|_| BatchError::Truncated)?;
        let before = self.before_next.filter(|_| entry.step > 0).ok_or(BatchError::Sequence)?;
        let seq = before.checked_add(entry.step).filter(|seq| *seq < GAP_BIT).ok_or(BatchError::Sequence)?;
        self.before_next = Some(seq);
        let bytes = self.history.expand(entry.tokens).map_err(|_| BatchError::Expansion)?;
        // Bytes after the fields we know are those of a later version.
        let alert = wire::decode(bytes, self.base).map(|(alert, _)| alert);
        let bytes = heapless::Vec::from_slice(bytes).map_err(|_| BatchError::Expansion)?;
        Ok((Entry { id: AlertId { boot: self.boot, seq }, alert, bytes, base: self.base }, rest))
    }
}

/// Writes one entry, the alert shortened, and returns its length; `None` if there is no room.
fn put_entry(step: u64, alert: &[u8], history: &mut History, room: &mut [u8]) -> Option<usize> {
    let mut tokens = [0; MAX_TOKENS_LEN];
    let before = history.clone();
    let tokens = history.compress(alert, &mut tokens)?;
    let entry = WireEntry { step, tokens };
    match postcard::to_slice(&entry, room) {
        Ok(used) => Some(used.len()),
        Err(_) => {
            *history = before;
            None
        }
    }
}

/// All literals, in runs of 128 with a byte before each.
const MAX_TOKENS_LEN: usize = MAX_ALERT_LEN + MAX_ALERT_LEN.div_ceil(128);

#[derive(Deserialize, Serialize)]
struct WireEntry<'a> {
    step: u64,
    /// See [`crate::compress`].
    tokens: &'a [u8],
}
