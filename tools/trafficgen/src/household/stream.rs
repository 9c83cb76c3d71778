//! Scheduler: actors that record frames a little ahead, merged in time order.

use std::collections::BinaryHeap;
use std::fmt;

use super::builder::Builder;
use super::frame::HouseholdFrame;
use super::house::{HOUR, House, HouseholdParameters};
use super::population::population;
use super::scene::{Actor, Pending, Scene};
use crate::Random;

/// Household: an iterator over its frames in time order. Memory is that of the occasions under way: some megabytes.
pub struct Household {
    house: House,
    random: Random,
    actors: BinaryHeap<Actor>,
    pending: BinaryHeap<Pending>,
    serial: u64,
    last_us: u64,
    end_us: u64,
}

impl Household {
    /// Household of these parameters; equal parameters give equal frames.
    #[must_use]
    pub fn new(parameters: &HouseholdParameters) -> Self {
        let mut builder = Builder::new(parameters);
        population(&mut builder);
        let (house, random, actors) = builder.finish();
        Self {
            house,
            random,
            actors: actors.into(),
            pending: BinaryHeap::new(),
            serial: 0,
            last_us: 0,
            end_us: parameters.hours * HOUR,
        }
    }

    /// Number of devices in the household.
    #[must_use]
    pub const fn hosts(&self) -> u32 {
        self.house.devices
    }

    /// Lets the next actor record its occasion.
    fn act(&mut self) {
        let Some(mut actor) = self.actors.pop() else { return };
        let mut spawned = Vec::new();
        let mut scene = Scene {
            now: actor.at_us,
            behaviour: actor.behaviour,
            random: &mut self.random,
            house: &self.house,
            pending: &mut self.pending,
            serial: &mut self.serial,
            spawned: &mut spawned,
        };
        let next = (actor.act)(&mut scene);
        let now = scene.now;
        self.actors.extend(spawned);
        if let Some(wait_us) = next {
            // At least a millisecond, so that every actor gets on.
            actor.at_us = now.max(actor.at_us) + wait_us.max(1_000);
            self.actors.push(actor);
        }
    }
}

impl Iterator for Household {
    type Item = HouseholdFrame;

    fn next(&mut self) -> Option<HouseholdFrame> {
        while let Some(actor) = self.actors.peek() {
            if actor.at_us >= self.end_us
                || self.pending.peek().is_some_and(|next| next.frame.at_us < actor.at_us)
            {
                break;
            }
            self.act();
        }
        let mut frame = self.pending.pop()?.frame;
        frame.at_us = frame.at_us.max(self.last_us + 1);
        self.last_us = frame.at_us;
        (frame.at_us < self.end_us).then_some(frame)
    }
}

impl fmt::Debug for Household {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Household").field("house", &self.house).finish_non_exhaustive()
    }
}
