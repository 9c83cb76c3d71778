//! Household under construction: devices, and actors with their first occasions.

use super::behaviour::Behaviour;
use super::house::{Device, House, HouseholdParameters};
use super::scene::{Act, Actor, Scene};
use crate::Random;

/// Household under construction.
pub(super) struct Builder {
    pub(super) house: House,
    pub(super) random: Random,
    /// Devices so far.
    pub(super) devices: Vec<Device>,
    actors: Vec<Actor>,
    next_number: u8,
}

impl Builder {
    pub(super) fn new(parameters: &HouseholdParameters) -> Self {
        let mut random = Random::new(parameters.seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0x5eed);
        let house = House::new(parameters, &mut random);
        Self { house, random, devices: Vec::new(), actors: Vec::new(), next_number: 20 }
    }

    pub(super) fn finish(self) -> (House, Random, Vec<Actor>) {
        (self.house, self.random, self.actors)
    }

    /// New device with a lease.
    pub(super) fn device(&mut self) -> Device {
        self.device_with(0, false)
    }

    pub(super) fn device_with(&mut self, vlan: u16, is_random: bool) -> Device {
        let device = Device { vlan, is_random, ..self.guest() };
        self.devices.push(device);
        device
    }

    /// New device that does only what its actors do: it is away at other times, so that nothing else may use its address.
    pub(super) fn guest(&mut self) -> Device {
        let device = Device { number: self.next_number, vlan: 0, is_random: false };
        self.next_number = self.next_number.saturating_add(1);
        self.house.devices += 1;
        device
    }

    /// Adds an actor whose first occasion is at a random time within `within_us`.
    pub(super) fn add(
        &mut self,
        behaviour: Behaviour,
        within_us: u64,
        act: impl FnMut(&mut Scene<'_>) -> Option<u64> + 'static,
    ) {
        let at_us = self.random.within(0..within_us.max(1));
        self.add_at(behaviour, at_us, act);
    }

    /// Adds an actor whose first occasion is at `at_us`.
    pub(super) fn add_at(
        &mut self,
        behaviour: Behaviour,
        at_us: u64,
        act: impl FnMut(&mut Scene<'_>) -> Option<u64> + 'static,
    ) {
        let act: Act = Box::new(act);
        self.actors.push(Actor { at_us, behaviour, act });
    }
}
