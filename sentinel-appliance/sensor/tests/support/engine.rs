//! The engine with default settings, without the program around it.

use sentinel_detect::registry::{Config, DETECTORS};
use sentinel_detect::{
    AssemblyCapacities, AssemblyStorage, Capacities, Engine, Inside, ListedPort, Pace, PortProtocol, Storage,
};
use sentinel_track::hash::HashKey;
use sentinel_track::lender::Lender;
use sentinel_units::Port;

struct Leaked;

impl Lender<'static> for Leaked {
    fn lend<T: Clone + 'static>(&mut self, count: usize, empty: T) -> &'static mut [T] {
        vec![empty; count].leak()
    }
}

pub(crate) fn inside() -> Inside {
    let mut inside = Inside::default();
    for prefix in ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"] {
        inside.add(prefix.parse().unwrap()).unwrap();
    }
    inside
}

pub(crate) fn pace() -> Pace {
    let seconds = std::time::Duration::from_secs;
    Pace { quiet: seconds(60), update: seconds(30), openings: 32 }
}

pub(crate) fn configs() -> [Config; 8] {
    DETECTORS.map(|detector| detector.default_config())
}

/// Over tables of these sizes.
pub(crate) fn engine(capacities: Capacities) -> Engine<'static> {
    let storage = Storage::lent(&capacities, &mut Leaked);
    let mut engine = Engine::new(storage, HashKey::new(1), inside(), pace(), &configs());
    let label = "test".try_into().unwrap();
    engine.put_together(AssemblyStorage::lent(&AssemblyCapacities::within(1 << 16), &mut Leaked));
    engine.set_listed_ports(&[ListedPort { protocol: PortProtocol::Tcp, port: Port(4444), label }]);
    engine
}
