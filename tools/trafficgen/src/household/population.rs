//! Population: who lives in a household, and what every device of it does.

use super::builder::Builder;
use super::{link, media, office, peers, people, storage, things, vpn};

/// Fills the household: people with phones and computers, entertainment, small devices, and in some a home server, a home office
/// or a small office.
pub(super) fn population(builder: &mut Builder) {
    for _ in 0..builder.random.within(2..5) {
        people::person(builder);
    }
    media::devices(builder);
    things::devices(builder);
    storage::devices(builder);
    vpn::devices(builder);
    peers::devices(builder);
    office::devices(builder);
    link::devices(builder);
    for device in builder.devices.clone() {
        link::every_device(builder, device);
    }
}
