//! The reference page of application protocols is the one that the table gives.
//!
//! After an intended change: `GOLDEN_BLESS=1 cargo test -p sentinel-appliance --test reference`.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fmt::Write;
use std::fs;
use std::path::Path;

use sentinel_dissect::application::protocols;
use sentinel_units::service::{Ports, SERVICES};

fn list(ports: &[u16]) -> String {
    ports.iter().map(u16::to_string).collect::<Vec<_>>().join(" ")
}

fn both(ports: &Ports) -> String {
    let transports = [("TCP", ports.tcp), ("UDP", ports.udp)];
    let named = transports.iter().filter(|(_, ports)| !ports.is_empty());
    named.map(|(transport, ports)| format!("{transport} {}", list(ports))).collect::<Vec<_>>().join(", ")
}

fn page() -> String {
    let mut page = "# Application protocols\n\n\
        Written by `tests/reference.rs` from the tables in `units` (names, ports) and `dissect` (bytes).\n\n\
        A flow is named by the first bytes of either side where the table recognises them, else by the port of its server.\n\
        `--protocol` selects by port alone.\n\n\
        | `app` | defined in | recognised by bytes | server ports | `--protocol` ports |\n\
        |---|---|---|---|---|\n"
        .to_owned();
    for service in SERVICES {
        let protocol = protocols().find(|protocol| protocol.service.name == service.name);
        let server = both(&service.server);
        if protocol.is_none() && server.is_empty() {
            continue; // only the kernel program has it
        }
        let number = protocol.and_then(|protocol| protocol.packet).map(|(number, _)| format!("IP {number}"));
        let bytes = match protocol.map(|protocol| (protocol.segment.is_some(), protocol.datagram.is_some())) {
            Some((true, true)) => "TCP, UDP",
            Some((true, false)) => "TCP",
            Some((false, true)) => "UDP",
            _ => number.as_deref().unwrap_or(""),
        };
        let source = protocol.map_or("", |protocol| protocol.source);
        writeln!(page, "| `{}` | {source} | {bytes} | {server} | {} |", service.name, both(service.filter))
            .unwrap();
    }
    page
}

#[test]
fn the_page_is_that_of_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("PROTOCOLS.md");
    let page = page();
    if std::env::var_os("GOLDEN_BLESS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    assert!(fs::read_to_string(&path).unwrap() == page, "{} differs from the table", path.display());
}
