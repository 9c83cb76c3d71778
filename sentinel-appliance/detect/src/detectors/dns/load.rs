//! Choice of the messages that are read in full when there are more than the budget.
//!
//! A bucket of readings for all clients together is enough for homes and offices. Once it is empty, each client has a share of its own,
//! so that one that floods does not blind the others; of its other queries only those are read whose digest falls in one of 8, or of 64
//! far above the share. What they say counts 8 or 64 times: the sum over distinct names stays right
//! ("Efficient Distinct Heavy Hitters for DNS `DDoS` Attack Detection", Afek, Bremler-Barr, Cohen, Landau Feibish, Shagam, 2016), with a
//! greater deviation.
//!
//! Digests have a key, so a client cannot find names that are never read; a name that is read at one rate is read at all higher ones,
//! so repeating names, in whatever order, changes nothing. Responses have a bucket of their own; beyond it every 64th is
//! read and counts once, because many say the same. All messages that are not read are counted.

/// Queries, and responses, read in each second for all clients together, and those saved up at most.
const RATE: u32 = 32;
const BURST: u32 = 128;
/// Clients share a share by the highest bits of their hash.
const CLIENTS: usize = 64;
/// Queries of one client in a second, once the bucket is empty: read all, and read one of 8.
const SHARE: u8 = 1;
const SHARE_OF_8: u8 = 4;
/// Binary logarithms of the rates of sampling.
const ONE_OF_8: u32 = 3;
const ONE_OF_64: u32 = 6;

/// Buckets and shares of the current second.
#[derive(Debug)]
pub(super) struct Load {
    second: u32,
    queries: u32,
    responses: u32,
    asked: [u8; CLIENTS],
    turn: u32,
    /// Messages that were not read.
    unread: u64,
}

impl Default for Load {
    fn default() -> Self {
        Self { second: 0, queries: BURST, responses: BURST, asked: [0; CLIENTS], turn: 0, unread: 0 }
    }
}

impl Load {
    pub(super) const fn unread(&self) -> u64 {
        self.unread
    }

    #[inline]
    fn advance(&mut self, second: u32) {
        if second != self.second {
            // A clock that was set back counts as one second.
            let saved = second.checked_sub(self.second).unwrap_or(1).saturating_mul(RATE);
            self.queries = self.queries.saturating_add(saved).min(BURST);
            self.responses = self.responses.saturating_add(saved).min(BURST);
            self.asked = [0; CLIENTS];
            self.second = second;
        }
    }

    /// Returns the binary logarithm of the times that a query counts; `None` if it is not read.
    #[inline]
    pub(super) fn query(&mut self, second: u32, client_hash: u32, digest: u32) -> Option<u32> {
        self.advance(second);
        if let Some(queries) = self.queries.checked_sub(1) {
            self.queries = queries;
            return Some(0);
        }
        let asked = self.asked.get_mut(usize::try_from(client_hash >> 26).unwrap_or(0))?;
        *asked = asked.saturating_add(1);
        if *asked <= SHARE {
            return Some(0);
        }
        let shift = if *asked <= SHARE_OF_8 { ONE_OF_8 } else { ONE_OF_64 };
        // Neither the bits of a slot of `Recent` nor those of its tag alone.
        if digest >> 8 & ((1 << shift) - 1) == 0 {
            return Some(shift);
        }
        self.unread += 1;
        None
    }

    /// Returns true if the response to a query will be read.
    #[inline]
    pub(super) fn expects_response(&mut self, second: u32) -> bool {
        self.advance(second);
        self.responses > 0 || self.takes_turn()
    }

    /// Takes a response from the bucket; false if it is empty.
    #[inline]
    pub(super) fn take_response(&mut self, second: u32) -> bool {
        self.advance(second);
        let is_saved = self.responses > 0;
        self.responses -= u32::from(is_saved);
        is_saved
    }

    /// Returns true if a response is read although the bucket is empty.
    pub(super) const fn takes_turn(&mut self) -> bool {
        self.turn = self.turn.wrapping_add(1);
        let is_read = self.turn & ((1 << ONE_OF_64) - 1) == 0;
        if !is_read {
            self.unread += 1;
        }
        is_read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Number of queries of a client that count so many times, among 10,000 in a second.
    fn of_10_000(load: &mut Load, second: u32, client_hash: u32, shift: u32) -> usize {
        let digest = |number: u32| number.wrapping_mul(0x9e37_79b9) ^ number << 13;
        (0..10_000).filter(|number| load.query(second, client_hash, digest(*number)) == Some(shift)).count()
    }

    #[test]
    fn one_of_64_is_read_at_last_and_the_others_are_counted() {
        let mut load = Load::default();
        let (all, some) = (of_10_000(&mut load, 5, 0, 0), of_10_000(&mut load, 6, 0, ONE_OF_64));
        assert_eq!(all, 129);
        assert!((100..210).contains(&some), "{some}");
        assert!(load.unread() > 19_000, "{}", load.unread());
        assert_eq!(of_10_000(&mut load, 7, 0, 0), 33, "what is saved in a second, and the share");
        assert_eq!(of_10_000(&mut load, 100, 0, 0), 129);
        assert_eq!(of_10_000(&mut load, 99, 0, 0), 33, "a clock that was set back");
    }

    #[test]
    fn a_flood_of_one_client_leaves_the_others_their_share() {
        let mut load = Load::default();
        of_10_000(&mut load, 5, 0, 0);
        for client in 1..64 {
            assert_eq!(load.query(5, client << 26, u32::MAX), Some(0));
            assert_eq!(load.query(5, client << 26, u32::MAX), None);
            assert_eq!(load.query(5, client << 26, 0), Some(ONE_OF_8));
        }
    }

    #[test]
    fn beyond_the_budget_every_64th_response_is_read() {
        let mut load = Load::default();
        assert_eq!((0..6_400).filter(|_| load.take_response(5)).count(), 128);
        assert_eq!((0..6_400).filter(|_| load.expects_response(5)).count(), 100);
        assert_eq!(load.unread(), 6_300);
        assert!(load.expects_response(6), "more are saved each second");
        assert_eq!(load.query(5, 0, 1), Some(0), "queries have a bucket of their own");
    }
}
