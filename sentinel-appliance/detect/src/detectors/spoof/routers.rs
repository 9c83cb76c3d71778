//! `rogue_ra`: a router advertises itself beside the known one, or in its name.
//!
//! Read first: RFC 4861 sections 4.2 and 6.2; RFC 6104 (rogue advertisements, most of them by mistake); RFC 4191 section 2.3 and RFC 8106.
//!
//! Advertisements with a lifetime of zero make nobody a router: those of border routers of sensor networks (Thread) are of that kind.
//! A new prefix of a known router is no finding, because providers change theirs daily.

use core::cmp::Reverse;
use core::time::Duration;

use sentinel_alert::{Kind, Severity, Test};
use sentinel_track::neighbour::{Span, Tick};
use sentinel_units::{Address, Mac};

use super::servers::{Reported, Rogue};
use crate::registry::Detector;

/// Routers at most, over all links. The one silent for longest makes room.
const MAX_ROUTERS: usize = 8;
/// Silence after which a router is gone: the longest usual interval of advertisements (RFC 4861 section 6.2.1: ten minutes) and some.
const ABSENCE: Span = Span::at_least(Duration::from_secs(700));

/// Declaration of `rogue_ra`; `link_layer` detects it.
#[derive(Debug)]
pub(crate) struct RogueRa;

impl RogueRa {
    pub(crate) const DETECTOR: Detector = Detector {
        kind: Kind::RogueRa,
        about: "a router advertises itself beside another that is active, or in its name",
        source: "RFC 6104; RFC 4861 section 6.2.1: advertisements at least every ten minutes by default",
        severity: Severity::Medium,
        thresholds: &[],
        ports: None,
    };
}

/// Advertisement of a router.
#[derive(Clone, Copy, Debug)]
pub(super) struct Advertisement {
    pub(super) link: u32,
    /// Sender of the packet and of the frame.
    pub(super) address: Address,
    pub(super) mac: Mac,
    pub(super) lifetime_s: u16,
    pub(super) prefix: Option<Address>,
    pub(super) resolver: Option<Address>,
}

#[derive(Clone, Copy, Debug)]
struct Router {
    last: Advertisement,
    seen: Tick,
    reported: Reported,
}

/// Routers that advertised themselves.
#[derive(Debug, Default)]
pub(super) struct Routers {
    list: [Option<Router>; MAX_ROUTERS],
    overwritten: u64,
}

impl Routers {
    /// Routers that made room for others.
    pub(super) const fn evictions(&self) -> u64 {
        self.overwritten
    }

    /// Returns true if `address` is that of a router of `link`.
    pub(super) fn is_router(&self, link: u32, address: Address) -> bool {
        self.list.iter().flatten().any(|router| (router.last.link, router.last.address) == (link, address))
    }

    /// Records an advertisement, and returns what is wrong with it. `gateway` is the proven one of the link.
    pub(super) fn advertise(
        &mut self,
        new: &Advertisement,
        gateway: Option<Mac>,
        now: Tick,
    ) -> Option<Rogue> {
        let found = |rogue: &Advertisement, known: Mac, test, named| Rogue {
            test,
            is_certain: test == Test::RogueRa,
            known,
            other: rogue.mac,
            address: rogue.address,
            named,
        };
        let is_same =
            |router: &&mut Router| (router.last.link, router.last.address) == (new.link, new.address);
        if let Some(router) = self.list.iter_mut().flatten().find(is_same) {
            let before = router.last;
            let is_forged = before.mac != new.mac && !new.mac.is_virtual_router();
            if is_forged && now.distance(router.seen) <= ABSENCE {
                return router
                    .reported
                    .is_due(now)
                    .then(|| found(new, before.mac, Test::RogueRa, new.address));
            }
            let resolver = new.resolver.or(before.resolver);
            (router.last, router.seen) = (Advertisement { resolver, ..*new }, now);
            return resolver
                .filter(|resolver| before.resolver.is_some_and(|before| before != *resolver))
                .map(|resolver| found(new, new.mac, Test::RogueDns, resolver));
        }
        if new.lifetime_s == 0 {
            return None;
        }
        let is_active = |router: &&Router| {
            router.last.link == new.link && router.last.lifetime_s > 0 && now.distance(router.seen) <= ABSENCE
        };
        let known = self.list.iter().flatten().find(is_active).map(|router| router.last);
        let idle = |slot: &&mut Option<Router>| {
            slot.map_or((false, Reverse(Span::default())), |router| {
                (true, Reverse(now.distance(router.seen)))
            })
        };
        let slot = self.list.iter_mut().min_by_key(idle)?;
        self.overwritten += u64::from(slot.is_some());
        let router = slot.insert(Router { last: *new, seen: now, reported: Reported::default() });
        let known = known.filter(|_| router.reported.is_due(now))?;
        let is_gateway = gateway == Some(new.mac) && known.mac != new.mac;
        let (known, rogue) = if is_gateway { (new, &known) } else { (&known, new) };
        let named = rogue.prefix.or(rogue.resolver).unwrap_or(rogue.address);
        Some(found(rogue, known.mac, Test::RogueRa, named))
    }
}
