//! `sentinel interfaces`: network interfaces of this machine.

use std::fmt::Write;

use sentinel_alert::json;
use sentinel_capture::interfaces::{self, FlowTable, Interface};

use crate::terminal::failure::Failure;
use crate::terminal::output::Output;

/// Lists the interfaces as a table or as one JSON array.
pub(crate) fn list(as_json: bool) -> Result<(), Failure> {
    let mut output = Output::new();
    if as_json {
        let text = json_array()?;
        output.line(|line| line.write_str(&text))?;
    } else {
        let (all, tables) = found()?;
        output
            .line(|line| write!(line, "{:15} {:17}  {:8} {:10} addresses", "name", "mac", "state", "kind"))?;
        for interface in &all {
            output.line(|line| write_row(interface, tables.as_deref().unwrap_or_default(), line))?;
        }
    }
    output.flush()
}

/// The interfaces as one JSON array.
pub(crate) fn json_array() -> Result<String, Failure> {
    let ((all, tables), mut text) = (found()?, String::new());
    write_json(&all, tables.as_deref(), &mut text).map_err(Failure::new)?;
    Ok(text)
}

/// Interfaces, and flow tables if the kernel lists them, which takes `CAP_NET_ADMIN`.
fn found() -> Result<(Vec<Interface>, Option<Vec<FlowTable>>), Failure> {
    let all = interfaces::list().map_err(|error| Failure::new(format!("listing interfaces: {error}")))?;
    Ok((all, interfaces::flow_tables().ok()))
}

fn write_row(interface: &Interface, tables: &[FlowTable], line: &mut String) -> std::fmt::Result {
    let mac = interface.mac.map_or_else(|| "-".to_owned(), |mac| mac.to_string());
    let state = match (interface.is_up, interface.is_running) {
        (true, true) => "up",
        (true, false) => "no link",
        (false, _) => "down",
    };
    write!(line, "{:15} {mac:17}  {state:8} {:10}", interface.name, interface.kind)?;
    for address in &interface.addresses {
        write!(line, " {}/{}", address.address, address.prefix_length)?;
    }
    if let Some(bridge) = &interface.bridge {
        write!(line, " [port of {bridge}]")?;
    }
    if !interface.ports.is_empty() {
        write!(line, " [ports: {}]", interface.ports.join(", "))?;
    }
    if let Some(driver) = driver(interface) {
        write!(line, " [driver: {driver}]")?;
    }
    let features = interfaces::features(&interface.name).unwrap_or_default();
    if !features.is_empty() {
        let names: Vec<&str> = features.iter().map(|feature| feature.name()).collect();
        write!(line, " [offload: {}]", names.join(", "))?;
    }
    for table in tables_of(interface, tables) {
        write!(line, " [{} flow table: {}]", kind(table), table.name)?;
    }
    Ok(())
}

/// Flow tables that forward packets of this interface or of its ports.
fn tables_of<'t>(interface: &'t Interface, tables: &'t [FlowTable]) -> impl Iterator<Item = &'t FlowTable> {
    let is_of = |device: &String| *device == interface.name || interface.ports.contains(device);
    tables.iter().filter(move |table| table.devices.iter().any(is_of))
}

fn driver(interface: &Interface) -> Option<String> {
    interface.driver.clone().or_else(|| interfaces::driver(&interface.name).ok().flatten())
}

fn kind(table: &FlowTable) -> &'static str {
    if table.hardware { "hardware" } else { "software" }
}

fn write_json(all: &[Interface], tables: Option<&[FlowTable]>, out: &mut String) -> std::fmt::Result {
    out.push('[');
    for (index, interface) in all.iter().enumerate() {
        out.push_str(if index == 0 { "{\"name\":" } else { ",{\"name\":" });
        json::string(&interface.name, out)?;
        write!(out, ",\"index\":{},\"mac\":", interface.index)?;
        match interface.mac {
            Some(mac) => write!(out, "\"{mac}\"")?,
            None => out.push_str("null"),
        }
        write!(out, ",\"up\":{},\"running\":{}", interface.is_up, interface.is_running)?;
        write!(out, ",\"mtu_bytes\":{},\"kind\":\"{}\",\"addresses\":[", interface.mtu, interface.kind)?;
        for (index, address) in interface.addresses.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(out, "{comma}\"{}/{}\"", address.address, address.prefix_length)?;
        }
        out.push_str("],\"bridge\":");
        optional(interface.bridge.as_deref(), out)?;
        out.push_str(",\"ports\":[");
        for (index, port) in interface.ports.iter().enumerate() {
            out.push_str(if index == 0 { "" } else { "," });
            json::string(port, out)?;
        }
        out.push_str("],\"driver\":");
        optional(driver(interface).as_deref(), out)?;
        out.push_str(",\"offload\":[");
        for (index, feature) in interfaces::features(&interface.name).unwrap_or_default().iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(out, "{comma}\"{feature}\"")?;
        }
        out.push_str("],\"flow_table\":");
        let table = tables_of(interface, tables.unwrap_or_default()).next();
        optional(table.map(kind).or(tables.map(|_| "none")), out)?;
        out.push('}');
    }
    out.push(']');
    Ok(())
}

fn optional(text: Option<&str>, out: &mut String) -> std::fmt::Result {
    match text {
        Some(text) => json::string(text, out),
        None => {
            out.push_str("null");
            Ok(())
        }
    }
}
