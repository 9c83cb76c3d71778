//! The engine with default settings, without the program around it.

use sentinel_detect::{
    Capacities, Configs, DETECTORS, Engine, HomeNet, IncidentLimits, ListedPort, PortProtocol,
    ReassemblyCapacities, ReassemblyStorage, Storage,
};
use sentinel_track::allocator::TableAllocator;
use sentinel_track::hash::HashKey;
use sentinel_units::Port;

struct Leaked;

impl TableAllocator<'static> for Leaked {
    fn allocate<T: Clone + 'static>(&mut self, count: usize, empty: T) -> &'static mut [T] {
        vec![empty; count].leak()
    }
}

pub(crate) fn home_net() -> HomeNet {
    let mut home_net = HomeNet::default();
    for prefix in ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"] {
        home_net.add(prefix.parse().unwrap()).unwrap();
    }
    home_net
}

pub(crate) fn incident_limits() -> IncidentLimits {
    let seconds = std::time::Duration::from_secs;
    IncidentLimits { idle_timeout: seconds(60), update: seconds(30), burst: 32 }
}

pub(crate) fn configs() -> Configs {
    DETECTORS.map(|detector| detector.default_config())
}

/// Over tables of these sizes.
pub(crate) fn engine(capacities: Capacities) -> Engine<'static> {
    let storage = Storage::allocate(&capacities, &mut Leaked);
    let mut engine = Engine::new(storage, HashKey::new(1), home_net(), incident_limits(), &configs());
    let label = "test".try_into().unwrap();
    engine
        .enable_reassembly(ReassemblyStorage::allocate(&ReassemblyCapacities::within(1 << 16), &mut Leaked));
    engine.set_listed_ports(&[ListedPort { protocol: PortProtocol::Tcp, port: Port(4444), label }]);
    engine
}
