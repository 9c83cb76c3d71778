//! Answers that cost as much as there are sensors: made for one request at a time, and for a bounded share of the time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use tokio::sync::Mutex;

use super::Problem;

/// An answer is given again for this many times the time that it took to make: at most a twentieth of a processor is spent on
/// making it, however often it is asked for. With thousands of sensors that is a second or two.
const KEPT_FOR: u32 = 19;

/// The latest answer. Cheap to clone. Memory: that of one answer, and of those that are being sent.
#[derive(Clone, Debug, Default)]
pub(super) struct BodyCache(Arc<Mutex<Option<Kept>>>);

/// An answer.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) body: Bytes,
    /// Start of the reading of the store that it shows.
    pub(super) read_at: Instant,
    until: Instant,
}

impl BodyCache {
    /// The answer that was made, or the one that `make` makes of the reading that began at `read_at`, on a thread that may block.
    ///
    /// # Errors
    /// [`Problem`] if `make` panicked or the process stops.
    pub(super) async fn body(
        &self,
        read_at: Instant,
        make: impl FnOnce() -> String + Send + 'static,
    ) -> Result<Kept, Problem> {
        let mut latest = self.0.lock().await; // those that wait get what the first one makes
        if let Some(kept) = latest.as_ref().filter(|kept| Instant::now() < kept.until) {
            return Ok(kept.clone());
        }
        let work = tokio::task::spawn_blocking(move || {
            let began = Instant::now();
            (Bytes::from(make()), began.elapsed())
        });
        let (body, took) = work.await.map_err(|_| Problem::internal("the answer cannot be made"))?;
        let kept_for =
            if body.len() < LARGE { Duration::ZERO } else { took.saturating_mul(KEPT_FOR).min(LONGEST) };
        let kept = Kept { body, read_at, until: Instant::now() + kept_for };
        *latest = Some(kept.clone());
        Ok(kept)
    }
}

/// Length of an answer in bytes below which it is always a new one: that about some hundred sensors.
const LARGE: usize = 512 * 1024;
/// Time after which an answer is made again in any case.
const LONGEST: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn an_answer_that_takes_long_is_made_once_for_all_who_ask_meanwhile() {
        let (cache, made) = (BodyCache::default(), Arc::new(AtomicU32::new(0)));
        let ask = || {
            let (cache, made) = (cache.clone(), Arc::clone(&made));
            tokio::spawn(async move {
                let make = move || {
                    std::thread::sleep(Duration::from_millis(100));
                    format!("{}{}", made.fetch_add(1, Ordering::Relaxed), " ".repeat(LARGE))
                };
                cache.body(Instant::now(), make).await.unwrap()
            })
        };
        let asked: Vec<_> = (0..20).map(|_| ask()).collect();
        let mut until = Vec::new();
        for answer in asked {
            let answer = answer.await.unwrap();
            assert_eq!(answer.body[..2], *b"0 ");
            until.push(answer.until - Instant::now());
        }
        assert!(until[0] > Duration::from_secs(1) && until[0] < LONGEST, "{until:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_short_answer_is_made_for_each() {
        let cache = BodyCache::default();
        for number in 0..20 {
            let kept = cache.body(Instant::now(), move || number.to_string()).await.unwrap();
            assert_eq!(kept.body, number.to_string());
        }
    }
}
