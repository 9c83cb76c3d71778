//! The queue before the writer: three lanes, of which the prompt one is served first and the background one last.

use std::time::Duration;
use std::{fmt, io};

use tokio::runtime::{self, Runtime};
use tokio::sync::mpsc;

/// Order in which the writer serves a job.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Lane {
    /// In the next transaction: what a sensor sends while it keeps a modest rate, so that its acknowledgement does not wait for
    /// the full spools of others.
    Prompt,
    /// In turn, in transactions of their own.
    Bulk,
    /// When nothing else waits, and after every few transactions if something always does: work that follows from what is stored.
    Background,
}

/// Jobs of each lane that wait for the writer. Senders wait when it is full, and with them the sensors.
const QUEUE_LEN: usize = 256;

/// Sending side. Cheap to clone; the queue ends when the last one is dropped.
pub(super) struct LaneSender<T> {
    prompt: mpsc::Sender<T>,
    bulk: mpsc::Sender<T>,
}

/// Sending side of the background lane alone, so that it does not keep the others open: the writer gives up a commit that fails when
/// nobody is left to send deliveries.
pub(super) struct BackgroundSender<T>(mpsc::Sender<T>);

impl<T> fmt::Debug for BackgroundSender<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("BackgroundSender").finish_non_exhaustive()
    }
}

impl<T> BackgroundSender<T> {
    /// Queues a background job; waits while there is one. False if the receiving side is gone. Must not be called on a thread that
    /// runs tasks.
    pub(super) fn send(&self, job: T) -> bool {
        self.0.blocking_send(job).is_ok()
    }
}

/// Receiving side, for a thread that may block.
pub(super) struct Lanes<T> {
    prompt: mpsc::Receiver<T>,
    bulk: mpsc::Receiver<T>,
    background: mpsc::Receiver<T>,
    /// Waits for all lanes at once.
    waits: Runtime,
}

/// An empty queue.
///
/// # Errors
/// Errors of making what the receiving side waits with.
pub(super) fn lanes<T>() -> io::Result<(LaneSender<T>, BackgroundSender<T>, Lanes<T>)> {
    let ((prompt, prompt_jobs), (bulk, bulk_jobs)) = (mpsc::channel(QUEUE_LEN), mpsc::channel(QUEUE_LEN));
    let (background, background_jobs) = mpsc::channel(1);
    let waits = runtime::Builder::new_current_thread().build()?;
    let lanes = Lanes { prompt: prompt_jobs, bulk: bulk_jobs, background: background_jobs, waits };
    Ok((LaneSender { prompt, bulk }, BackgroundSender(background), lanes))
}

impl<T> fmt::Debug for LaneSender<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("LaneSender").finish_non_exhaustive() // jobs hold secrets of tokens
    }
}

impl<T> Clone for LaneSender<T> {
    fn clone(&self) -> Self {
        Self { prompt: self.prompt.clone(), bulk: self.bulk.clone() }
    }
}

impl<T> LaneSender<T> {
    /// Queues a job; waits while its lane is full. False if the receiving side is gone.
    pub(super) async fn send(&self, lane: Lane, job: T) -> bool {
        let lane = match lane {
            Lane::Prompt => &self.prompt,
            Lane::Bulk => &self.bulk,
            // Nothing but background work is sent there, by its own sender.
            Lane::Background => &self.bulk,
        };
        lane.send(job).await.is_ok()
    }
}

impl<T> Lanes<T> {
    /// The next job, waiting for one, with its lane; none if every sender is gone and all lanes are empty.
    pub(super) fn next(&mut self) -> Option<(Lane, T)> {
        let Self { prompt, bulk, background, waits } = self;
        waits.block_on(async {
            tokio::select! {
                biased;
                Some(job) = prompt.recv() => Some((Lane::Prompt, job)),
                Some(job) = bulk.recv() => Some((Lane::Bulk, job)),
                Some(job) = background.recv() => Some((Lane::Background, job)),
                else => None,
            }
        })
    }

    /// The next job of `lane`, without waiting.
    pub(super) fn try_next(&mut self, lane: Lane) -> Option<T> {
        match lane {
            Lane::Prompt => self.prompt.try_recv().ok(),
            Lane::Bulk => self.bulk.try_recv().ok(),
            Lane::Background => self.background.try_recv().ok(),
        }
    }

    /// Returns true if every sender is gone.
    pub(super) fn is_closed(&self) -> bool {
        self.prompt.is_closed()
    }
}

/// Entries of one transaction: as many as it takes [`Pace::SPAN`] to store, by the transactions before. A prompt job waits for
/// the transaction under way and for its own, which is short.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    entry_ns: u64,
}

impl Pace {
    /// Time of a transaction.
    const SPAN: Duration = Duration::from_millis(40);
    /// Fewest and most entries: enough to pay for the flush of a slow disk, and no more than an enrollment or another process,
    /// which wait for the write lock, can wait for.
    const ENTRIES: (usize, usize) = (512, 8_192);
    /// Entries below which the time of a transaction is that of the flush.
    const MIN_SAMPLE: usize = 256;

    /// The pace of a fast machine, before the first transaction.
    pub(super) const fn new() -> Self {
        Self { entry_ns: 25_000 }
    }

    /// Entries after which no further bulk job is taken.
    pub(super) fn entries(self) -> usize {
        let span = u64::try_from(Self::SPAN.as_nanos()).unwrap_or(u64::MAX);
        let entries = span.checked_div(self.entry_ns).unwrap_or(u64::MAX);
        usize::try_from(entries).unwrap_or(usize::MAX).clamp(Self::ENTRIES.0, Self::ENTRIES.1)
    }

    /// Takes account of a transaction; a moving average over four of them.
    pub(super) fn record(&mut self, entries: usize, took: Duration) {
        if entries < Self::MIN_SAMPLE {
            return;
        }
        let count = u64::try_from(entries).unwrap_or(u64::MAX);
        let entry_ns =
            u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).checked_div(count).unwrap_or_default();
        self.entry_ns = self.entry_ns.saturating_mul(3).saturating_add(entry_ns) / 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompt_jobs_overtake_bulk_jobs_and_each_lane_keeps_its_order() {
        let (sender, background, mut queue) = lanes().unwrap();
        let runtime = runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            for (lane, job) in [(Lane::Bulk, 1), (Lane::Bulk, 2), (Lane::Prompt, 3), (Lane::Prompt, 4)] {
                assert!(sender.send(lane, job).await);
            }
        });
        assert!(background.send(5));
        drop(sender);
        assert!(queue.is_closed(), "background work keeps nobody waiting");
        drop(background);
        assert_eq!((queue.try_next(Lane::Bulk), queue.try_next(Lane::Prompt)), (Some(1), Some(3)));
        assert_eq!(
            [queue.next(), queue.next(), queue.next()],
            [Some((Lane::Prompt, 4)), Some((Lane::Bulk, 2)), Some((Lane::Background, 5))]
        );
    }

    #[test]
    fn a_transaction_takes_the_same_time_on_machines_of_any_speed() {
        for (per_entry_us, entries) in [(1, 8_192), (10, 4_000), (50, 800), (1_000, 512)] {
            let mut pace = Pace::new();
            for _ in 0..40 {
                let count = u32::try_from(pace.entries()).unwrap();
                pace.record(pace.entries(), Duration::from_micros(per_entry_us) * count);
                pace.record(1, Duration::from_secs(1)); // a flush
            }
            let difference = pace.entries().abs_diff(entries);
            assert!(difference <= entries / 50, "{} instead of {entries}", pace.entries());
        }
    }
}
