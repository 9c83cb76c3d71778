//! Alert as one JSON object (RFC 8259), for scripts, the log export and the API of the collector.
//!
//! Field names are stable; new fields may be added in any version.

use core::fmt::{self, Write};

use sentinel_units::Port;

use crate::{Alert, AlertId, Evidence};

/// Writes the object without a line end; with `id`, its first fields are `boot` and `seq`.
///
/// # Errors
/// Only those of `out`, which then holds part of the object.
pub fn write(alert: &Alert, id: Option<AlertId>, out: &mut impl Write) -> fmt::Result {
    out.write_char('{')?;
    write_members(alert, id, out)?;
    out.write_char('}')
}

/// Writes the members of the object without its braces, so that a caller can put members of its own before them.
///
/// # Errors
/// Only those of `out`; what was written before stays written.
pub fn write_members(alert: &Alert, id: Option<AlertId>, out: &mut impl Write) -> fmt::Result {
    if let Some(AlertId { boot, seq }) = id {
        write!(out, "\"boot\":{boot},\"seq\":{seq},")?;
    }
    let kind = alert.test.kind();
    // Names of kinds, tests and severities, times and addresses contain no character that JSON escapes.
    write!(out, "\"time\":\"{}\",\"kind\":\"{kind}\"", alert.time.rfc3339())?;
    write!(out, ",\"test\":\"{}\",\"severity\":\"{}\"", alert.test.name(), alert.severity)?;
    let subject = &alert.subject;
    optional_address(out, "src", subject.source)?;
    optional_address(out, "dst", subject.destination)?;
    optional_port(out, "src_port", subject.source_port)?;
    optional_port(out, "dst_port", subject.destination_port)?;
    out.write_str(",\"summary\":\"")?;
    write!(Escaped(out), "{}", alert.summary())?;
    out.write_str("\",\"evidence\":{")?;
    evidence(&alert.evidence, out)?;
    write!(out, "}},\"phase\":\"{}\"", alert.phase)?;
    write!(out, ",\"first_time\":\"{}\",\"incident\":{}", alert.first.rfc3339(), alert.incident)?;
    write!(out, ",\"suppressed\":{},\"technique\":\"{}\"", alert.suppressed, kind.technique())?;
    if let Some(mac) = subject.mac {
        write!(out, ",\"src_mac\":\"{mac}\"")?;
        if let Some(name) = crate::summary::named_vendor(alert) {
            write!(out, ",\"src_vendor\":\"{name}\"")?;
        }
    }
    if let Some(host) = &subject.host {
        out.write_str(",\"host\":")?;
        string(host, out)?;
    }
    Ok(())
}

/// Writes `text` as a JSON string with quotes.
///
/// # Errors
/// Only those of `out`, which then holds part of the string.
pub fn string(text: &str, out: &mut impl Write) -> fmt::Result {
    out.write_char('"')?;
    Escaped(out).write_str(text)?;
    out.write_char('"')
}

/// Writer that escapes quotes, backslashes and all control characters, those above U+007F included: RFC 8259 section 7 requires
/// it below U+0020, and the others could control a terminal.
struct Escaped<'w, W>(&'w mut W);

impl<W: Write> Write for Escaped<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for char in text.chars() {
            match char {
                '"' => self.0.write_str("\\\"")?,
                '\\' => self.0.write_str("\\\\")?,
                '\n' => self.0.write_str("\\n")?,
                '\t' => self.0.write_str("\\t")?,
                '\r' => self.0.write_str("\\r")?,
                control if control.is_control() => write!(self.0, "\\u{:04x}", u32::from(control))?,
                plain => self.0.write_char(plain)?,
            }
        }
        Ok(())
    }
}

fn optional_address(
    out: &mut impl Write,
    name: &str,
    address: Option<sentinel_units::Address>,
) -> fmt::Result {
    match address {
        Some(address) => write!(out, ",\"{name}\":\"{address}\""),
        None => write!(out, ",\"{name}\":null"),
    }
}

fn optional_port(out: &mut impl Write, name: &str, port: Option<Port>) -> fmt::Result {
    match port {
        Some(port) => write!(out, ",\"{name}\":{port}"),
        None => write!(out, ",\"{name}\":null"),
    }
}

fn evidence(evidence: &Evidence, out: &mut impl Write) -> fmt::Result {
    match evidence {
        Evidence::Ports { at_least, at_most, threshold, window_s } => write!(
            out,
            "\"ports_at_least\":{at_least},\"ports_at_most\":{at_most},\
             \"threshold_ports\":{threshold},\"window_s\":{window_s}"
        ),
        Evidence::Packets { count, threshold, window_s } => {
            write!(out, "\"packets\":{count},\"threshold_packets\":{threshold},\"window_s\":{window_s}")
        }
        Evidence::Attempts { count, threshold, window_s } => {
            write!(out, "\"attempts\":{count},\"threshold_attempts\":{threshold},\"window_s\":{window_s}")
        }
        Evidence::Listed { count, label } => {
            write!(out, "\"contacts\":{count},\"label\":")?;
            string(label, out)
        }
        Evidence::Binding { before, after, changes } => {
            write!(out, "\"mac_before\":\"{before}\",\"mac_after\":\"{after}\",\"changes\":{changes}")
        }
        Evidence::Name { length, threshold, count, suffix } => {
            write!(out, "\"name_characters\":{length},\"threshold_characters\":{threshold}")?;
            write!(out, ",\"names\":{count},\"name_suffix\":")?;
            string(suffix, out)
        }
        Evidence::Bytes { count, threshold, window_s } => {
            write!(out, "\"bytes\":{},\"threshold_bytes\":{},\"window_s\":{window_s}", count.0, threshold.0)
        }
        Evidence::ManySources { packets, sources, threshold_per_s, prefix_bits } => write!(
            out,
            "\"packets_about\":{packets},\"sources_about\":{sources},\
             \"threshold_packets_per_s\":{threshold_per_s},\"dst_prefix_bits\":{prefix_bits}"
        ),
        Evidence::Contacts { failed, hosts, ports } => {
            write!(out, "\"failed_contacts\":{failed},\"hosts_at_least\":{hosts},\"ports_at_least\":{ports}")
        }
        Evidence::Domains { names, nonexistent, score, threshold, name } => {
            write!(out, "\"names\":{names},\"nonexistent\":{nonexistent},\"score\":{score}")?;
            write!(out, ",\"threshold_score\":{threshold},\"name\":")?;
            string(name, out)
        }
        Evidence::Observed { count, what } => {
            write!(out, "\"count\":{count},\"what\":")?;
            string(what, out)
        }
        Evidence::Leak { bytes, threshold, messages, suffix } => {
            write!(out, "\"bytes_estimated\":{bytes},\"threshold_bytes\":{threshold}")?;
            write!(out, ",\"messages\":{messages},\"name_suffix\":")?;
            string(suffix, out)
        }
        Evidence::Server { known, other, named, messages } => write!(
            out,
            "\"mac_known\":\"{known}\",\"mac_other\":\"{other}\",\"named\":\"{named}\",\"messages\":{messages}"
        ),
        Evidence::Answers { count, networks, threshold, window_s, named, name } => {
            write!(out, "\"count_at_least\":{count},\"networks_at_least\":{networks}")?;
            write!(
                out,
                ",\"threshold\":{threshold},\"window_s\":{window_s},\"named\":\"{named}\",\"name\":"
            )?;
            string(name, out)
        }
        Evidence::Rhythm { contacts, period_s, deviation_percent, hosts, is_named, prefix_bits } => write!(
            out,
            "\"contacts\":{contacts},\"period_s\":{period_s},\"deviation_percent\":{deviation_percent},\
             \"hosts\":{hosts},\"named\":{is_named},\"dst_prefix_bits\":{prefix_bits}"
        ),
        Evidence::Device { is_random } => write!(out, "\"random_mac\":{is_random}"),
        Evidence::Stations { count, days, silent_s } => {
            write!(out, "\"count_at_least\":{count},\"days\":{days},\"silent_s\":{silent_s}")
        }
        Evidence::Damage { what } => {
            out.write_str("\"damage\":")?;
            string(what, out)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::sample;
    use crate::wire::tests::every_evidence;

    #[test]
    fn strings_from_traffic_are_escaped() {
        let mut out = heapless::String::<64>::new();
        string("a\"b\\c\n\u{1b}[31m\u{9b}", &mut out).unwrap();
        assert_eq!(out, "\"a\\\"b\\\\c\\n\\u001b[31m\\u009b\"");
    }

    #[test]
    fn quotes_in_a_label_do_not_end_the_summary() {
        let label = crate::ShortName::try_from("a\"},\\").unwrap();
        let mut out = heapless::String::<1024>::new();
        let evidence = Evidence::Listed { count: 1, label };
        write(&Alert { test: crate::Test::SuspiciousPort, evidence, ..sample() }, None, &mut out).unwrap();
        assert!(out.contains("listed port (a\\\"},\\\\)"), "{out}");
    }

    #[test]
    fn the_object_is_stable() {
        let mut out = heapless::String::<1024>::new();
        write(&sample(), Some(AlertId { boot: 7, seq: 9 }), &mut out).unwrap();
        assert_eq!(
            out,
            "{\"boot\":7,\"seq\":9,\"time\":\"2023-11-14T22:13:29.000000Z\",\"kind\":\"port_scan\",\
             \"test\":\"ports_in_window\",\"severity\":\"medium\",\"src\":\"10.20.30.66\",\
             \"dst\":\"10.20.30.10\",\"src_port\":null,\"dst_port\":null,\
             \"summary\":\"10.20.30.66 tried 15 ports of 10.20.30.10 within 10 s\",\
             \"evidence\":{\"ports_at_least\":15,\"ports_at_most\":15,\"threshold_ports\":15,\"window_s\":10},\
             \"phase\":\"open\",\"first_time\":\"2023-11-14T22:13:20.000000Z\",\"incident\":1,\"suppressed\":0,\
             \"technique\":\"T1046\",\"src_mac\":\"02:20:30:00:00:66\"}"
        );
    }

    #[test]
    fn every_evidence_makes_balanced_json() {
        for evidence in every_evidence() {
            let mut out = heapless::String::<1024>::new();
            write(&Alert { evidence, ..sample() }, None, &mut out).unwrap();
            assert!(out.starts_with("{\"time\":") && out.ends_with('}'));
            assert_eq!(out.matches('{').count(), out.matches('}').count());
            assert_eq!(out.matches('"').count() % 2, 0, "{out}");
        }
    }
}
