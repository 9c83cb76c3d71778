//! `sentinel interfaces`: what there is to capture on.

use std::fmt::Write;

use sentinel_alert::json;
use sentinel_capture::interfaces::{self, Interface};

use crate::failure::Failure;
use crate::output::Output;

/// Lists the interfaces as a table or as one JSON array.
pub(crate) fn list(as_json: bool) -> Result<(), Failure> {
    let all = interfaces::list().map_err(|error| Failure::new(format!("listing interfaces: {error}")))?;
    let mut output = Output::new();
    if as_json {
        output.line(|line| write_json(&all, line))?;
    } else {
        output
            .line(|line| write!(line, "{:15} {:17}  {:8} {:10} addresses", "name", "mac", "state", "kind"))?;
        for interface in &all {
            output.line(|line| write_row(interface, line))?;
        }
    }
    output.flush()
}

fn write_row(interface: &Interface, line: &mut String) -> std::fmt::Result {
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
    Ok(())
}

fn write_json(all: &[Interface], out: &mut String) -> std::fmt::Result {
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
        optional(interface.driver.as_deref(), out)?;
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
