//! Replacement of keys within a session: messages about keys, and what they change on flash.
//!
//! Own key: it is announced in every session while it waits; once the collector has accepted it, the sensor connects with it.
//! Key of the collector: it is stored before it is confirmed, and used once it is in force.

use std::time::Duration;

use sentinel_uplink::{CollectorKey, KEY_VERSION, KeyAnswer, KeyPair, PublicKey, ToCollector};

use crate::control::route::Route;
use crate::control::state::Shared;
use crate::system::keyring::Keyring;
use crate::system::keys::{self, Collector};
use crate::terminal::failure::Failure;
use crate::terminal::log;

/// Most keys of the collector that are written to flash in one session; an honest one announces one.
const MAX_PINNED: u8 = 4;

/// Least time between two keys that are made because the collector wants them: each is three writes to flash.
const REPLACE_INTERVAL: Duration = Duration::from_secs(60);

/// State of one session.
pub(crate) struct KeyExchange<'s> {
    ring: &'s mut Keyring,
    route: &'s mut Route,
    collector: &'s Collector,
    /// Key that the collector proved in this session.
    collector_key: PublicKey,
    /// Key that this sensor proved in this session.
    own: PublicKey,
    /// The collector reads messages about keys.
    is_wanted: bool,
    /// Key to be announced.
    announce: Option<PublicKey>,
    /// Key to be confirmed.
    confirm: Option<PublicKey>,
    pinned: u8,
    /// The next session is with other keys.
    pub(crate) must_reconnect: bool,
}

impl<'s> KeyExchange<'s> {
    pub(crate) const fn new(
        ring: &'s mut Keyring,
        route: &'s mut Route,
        collector: &'s Collector,
        collector_key: PublicKey,
        own: PublicKey,
    ) -> Self {
        Self {
            ring,
            route,
            collector,
            collector_key,
            own,
            is_wanted: false,
            announce: None,
            confirm: None,
            pinned: 0,
            must_reconnect: false,
        }
    }

    /// The collector serves the key of this session: it is the own one from now on.
    pub(crate) fn welcomed(&mut self, shared: &Shared, protocol: u16) {
        self.is_wanted = protocol >= KEY_VERSION;
        let settled =
            if self.own == self.ring.own.public() { self.ring.drop_old() } else { self.ring.return_to_old() };
        report(settled);
        report(self.settle_collector(shared));
        self.route.settled();
        self.offer(shared);
    }

    /// Makes the key that the collector proved the one in its file, if it was the next one.
    fn settle_collector(&mut self, shared: &Shared) -> Result<(), Failure> {
        if self.collector_key != self.collector.key {
            let found = Collector { key: self.collector_key, ..self.collector.clone() };
            keys::store_collector(&shared.settings.borrow().state_dir, &found)?;
            log::info(format_args!("the collector has a new key: {}", found.key));
            shared.collector.replace(Some(found));
            shared.apply_evidence();
        }
        match self.ring.collector_next {
            Some(next) if next == self.collector_key => self.ring.unpin_collector(),
            _ => Ok(()),
        }
    }

    /// Announces the next key, if there is one.
    fn offer(&mut self, shared: &Shared) {
        self.announce = self.ring.next.as_ref().filter(|_| self.is_wanted).map(KeyPair::public);
        shared.link.borrow_mut().is_key_waiting = self.ring.next.is_some();
    }

    /// Message to be sent, once.
    pub(crate) fn take(&mut self) -> Option<ToCollector<'static>> {
        let confirm = self.confirm.take().map(ToCollector::KeyPinned);
        confirm.or_else(|| self.announce.take().map(ToCollector::NextKey))
    }

    /// Answer to the announcement.
    pub(crate) fn answered(&mut self, shared: &Shared, answer: KeyAnswer) {
        if self.ring.next.as_ref().map(KeyPair::public) != Some(answer.key) {
            return;
        }
        if answer.is_accepted {
            self.must_reconnect = report(self.ring.accept_next());
            log::info(format_args!("this sensor has a new key: {}", answer.key));
        } else {
            report(self.ring.drop_next());
            log::warn(format_args!("the collector refused the new key of this sensor; the old one stays"));
        }
        shared.link.borrow_mut().is_key_waiting = self.ring.next.is_some();
    }

    /// The collector has another key, now or soon.
    pub(crate) fn announced(&mut self, key: CollectorKey) {
        if key.key == self.collector_key || self.pinned >= MAX_PINNED {
            return;
        }
        self.pinned += 1;
        if !report(self.ring.pin_collector(key.key)) {
            return;
        }
        // Only what is on flash is confirmed: the collector may give up its old key then.
        self.confirm = Some(key.key);
        if key.is_in_force && self.route.may_use_next_collector() {
            self.route.use_next_collector();
            self.must_reconnect = true;
        }
    }

    /// The operator of the collector wants a new key.
    pub(crate) fn replace_own(&mut self, shared: &Shared) {
        let now = shared.clock.uptime();
        if now < self.route.replace_after {
            return;
        }
        self.route.replace_after = now.after(REPLACE_INTERVAL);
        if let Err(failure) = self.ring.make_next() {
            log::warn(format_args!("{failure}"));
        }
        self.offer(shared);
    }
}

/// Logs a failure; returns true if there was none.
fn report(outcome: Result<(), Failure>) -> bool {
    match outcome {
        Ok(()) => true,
        Err(failure) => {
            log::warn(format_args!("{failure}"));
            false
        }
    }
}
