//! Gateways: the hardware addresses from which packets of external hosts come, on each link.
//!
//! At most one packet of an external host in each unit of 67 ms is looked at. The hardware address of a link that sent most of
//! them, and at least [`PROVEN`], is its gateway, until it is silent for an hour: who comes later cannot take its place.

use core::time::Duration;

use sentinel_track::neighbour::{Span, Tick};
use sentinel_units::Mac;

/// Samples that prove a gateway.
const PROVEN: u8 = 4;
/// Links with gateways, and further senders, at most. The least proven makes room.
const MAX_SENDERS: usize = 8;
/// Silence after which another may become the gateway.
const LIFETIME: Span = Span::at_least(Duration::from_secs(3_600));

#[derive(Clone, Copy, Debug, Default)]
struct Sender {
    link: u32,
    mac: Mac,
    samples: u8,
    seen: Tick,
    /// Hash of the first address of each family that it claimed: its own.
    own: [u64; 2],
}

/// Senders of external packets, in the order in which they were first seen.
#[derive(Debug, Default)]
pub(super) struct Gateways([Sender; MAX_SENDERS]);

impl Gateways {
    /// `mac` sent a packet of an external host on `link`.
    pub(super) fn sample(&mut self, link: u32, mac: Mac, now: Tick) {
        let known =
            self.0.iter_mut().find(|sender| sender.samples > 0 && (sender.link, sender.mac) == (link, mac));
        if let Some(sender) = known {
            sender.samples = sender.samples.saturating_add(1);
            sender.seen = now;
            return;
        }
        let is_over = |sender: &Sender| now.distance(sender.seen) > LIFETIME;
        let order = |sender: &&mut Sender| if is_over(sender) { 0 } else { sender.samples };
        if let Some(sender) = self.0.iter_mut().min_by_key(order)
            && (sender.samples < PROVEN || is_over(sender))
        {
            *sender = Sender { link, mac, samples: 1, seen: now, own: [0; 2] };
        }
    }

    fn of(&mut self, link: u32, now: Tick) -> Option<&mut Sender> {
        self.0
            .iter_mut()
            .filter(|sender| {
                sender.link == link && sender.samples >= PROVEN && now.distance(sender.seen) <= LIFETIME
            })
            .max_by_key(|sender| sender.samples)
    }

    /// The gateway of `link`, and the time of its last sample.
    pub(super) fn sender(&mut self, link: u32, now: Tick) -> Option<(Mac, Tick)> {
        self.of(link, now).map(|sender| (sender.mac, sender.seen))
    }

    /// The gateway of `link`.
    pub(super) fn mac(&mut self, link: u32, now: Tick) -> Option<Mac> {
        self.of(link, now).map(|sender| sender.mac)
    }

    /// Returns true if the address with this hash is the gateway's own. `user` is a station that uses it otherwise than in answers: of a
    /// gateway, which answers for others as well, the first such address is its own.
    pub(super) fn is_own(
        &mut self,
        (link, hash, is_v4): (u32, u64, bool),
        user: Option<Mac>,
        now: Tick,
    ) -> bool {
        let Some(gateway) = self.of(link, now) else { return false };
        let [v4, v6] = &mut gateway.own;
        let own = if is_v4 { v4 } else { v6 };
        if *own == 0 && user == Some(gateway.mac) {
            *own = hash;
        }
        *own == hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sentinel_units::Timestamp;

    const REAL: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const OTHER: Mac = Mac([2, 0, 0, 0, 0, 0x66]);

    fn at(seconds: u64) -> Tick {
        Tick::of(Timestamp::from_parts(1_700_000_000 + seconds, 0))
    }

    #[test]
    fn the_first_proven_sender_stays_the_gateway() {
        let mut gateways = Gateways::default();
        for second in 0..3 {
            gateways.sample(1, REAL, at(second));
            assert_eq!(gateways.mac(1, at(second)), None);
        }
        gateways.sample(1, REAL, at(3));
        assert_eq!((gateways.mac(1, at(3)), gateways.mac(2, at(3))), (Some(REAL), None));
        // Of several the one with the most samples; the last to come has fewer.
        for second in 4..8 {
            gateways.sample(1, OTHER, at(second));
            gateways.sample(1, REAL, at(second));
        }
        assert_eq!(gateways.mac(1, at(8)), Some(REAL));
        assert_eq!(gateways.mac(1, at(4_000)), None);
    }

    #[test]
    fn made_up_senders_do_not_push_out_a_proven_one() {
        let mut gateways = Gateways::default();
        (0..4).for_each(|second| gateways.sample(1, REAL, at(second)));
        for number in 0..255 {
            gateways.sample(1, Mac([2, 0, 0, 0, 1, number]), at(5));
        }
        assert_eq!(gateways.mac(1, at(6)), Some(REAL));
    }

    #[test]
    fn the_first_address_of_the_gateway_is_its_own() {
        let mut gateways = Gateways::default();
        (0..4).for_each(|second| gateways.sample(1, REAL, at(second)));
        let mut is_own = |hash, is_v4, user| gateways.is_own((1, hash, is_v4), user, at(5));
        assert!(!is_own(7, true, Some(OTHER)) && !is_own(7, true, None));
        assert!(is_own(7, true, Some(REAL)) && is_own(7, true, Some(OTHER)) && is_own(7, true, None));
        assert!(!is_own(8, true, Some(REAL)), "another address");
        assert!(is_own(9, false, Some(REAL)), "one of each family");
    }
}
