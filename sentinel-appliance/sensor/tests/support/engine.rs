//! The engine with default settings, without the program around it.

use sentinel_detect::registry::{Config, DETECTORS};
use sentinel_detect::{Capacities, Engine, Inside, ListedPort, Pace, PortProtocol, Storage};
use sentinel_track::hash::HashKey;
use sentinel_track::table::WAYS;
use sentinel_units::Port;

fn lend<T: Clone + Default>(count: usize) -> &'static mut [T] {
    Box::leak(vec![T::default(); count].into_boxed_slice())
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
    let storage = Storage {
        flows: lend(capacities.flows / WAYS),
        scans: lend(capacities.scans / WAYS),
        requests: lend(capacities.requests / WAYS),
        echoes: lend(capacities.echoes / WAYS),
        doors: lend(capacities.doors / WAYS),
        outbound: lend(capacities.outbound / WAYS),
        neighbours: lend(capacities.neighbours / WAYS),
        incidents: lend(capacities.incidents),
        listed_ports: lend(capacities.listed_ports),
    };
    let mut engine = Engine::new(storage, HashKey::new(1), inside(), pace(), &configs());
    let label = "test".try_into().unwrap();
    engine.set_listed_ports(&[ListedPort { protocol: PortProtocol::Tcp, port: Port(4444), label }]);
    engine
}
