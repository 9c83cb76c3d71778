//! Alert as one sentence.

use core::fmt;

use sentinel_units::ByteCount;

use crate::{Alert, Evidence, Kind, Phase, Subject, Test, vendor};

/// Displays an alert as one sentence of fixed words, numbers, addresses and names.
///
/// In names taken from traffic every character outside printable ASCII is replaced by `?`, so that captured bytes cannot control
/// a terminal.
#[derive(Clone, Copy, Debug)]
pub struct Summary<'a>(pub(crate) &'a Alert);

impl fmt::Display for Summary<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let alert = self.0;
        let subject = &alert.subject;
        if let Evidence::Damage { what } = &alert.evidence {
            // About the sensor: nobody in the traffic acted.
            return write!(out, "state of the sensor damaged: {}", Printable(what));
        }
        if let Evidence::Stations { count, days, silent_s } = alert.evidence {
            return stations(alert, count, (days, silent_s), out);
        }
        match (subject.source, &alert.evidence) {
            (Some(source), _) => write!(out, "{source} ")?,
            (None, Evidence::ManySources { sources, .. }) => write!(out, "about {sources} sources ")?,
            (None, _) if subject.mac.is_some() => write!(out, "{} ", subject.mac.unwrap_or_default())?,
            (None, _) => out.write_str("many sources ")?,
        }
        action(alert, out)?;
        if let Some(destination) = subject.destination {
            write!(out, " {} {destination}", alert.test.preposition())?;
            if let Evidence::ManySources { prefix_bits, .. } | Evidence::Rhythm { prefix_bits, .. } =
                alert.evidence
                && prefix_bits < if destination.is_v4() { 32 } else { 128 }
            {
                write!(out, "/{prefix_bits}")?;
            }
            if let Some(port) = subject.destination_port {
                write!(out, " port {port}")?;
            }
        }
        match (alert.phase, window_s(alert)) {
            // Something seen once lasts no time.
            _ if matches!(alert.evidence, Evidence::Device { .. }) => Ok(()),
            // This time includes the idle timeout after the last evidence.
            (Phase::Close, _) => {
                write!(out, ", over {} s after it began", alert.time.since(alert.first).as_secs())
            }
            // The evidence is that of the whole incident, no longer of one window.
            (Phase::Update, _) => {
                write!(out, ", going on for {} s", alert.time.since(alert.first).as_secs())
            }
            (Phase::Open, Some(window_s)) => write!(out, " within {window_s} s"),
            (Phase::Open, None) => Ok(()),
        }
    }
}

/// Writes the verb and the measurement.
fn action(alert: &Alert, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    let counted = alert.test.counted();
    match &alert.evidence {
        Evidence::Ports { at_least, at_most, .. } if at_least == at_most => {
            write!(out, "tried {at_least} {counted}")
        }
        Evidence::Ports { at_least, at_most, .. } => {
            write!(out, "tried at least {at_least}, at most {at_most} {counted}")
        }
        Evidence::Packets { count, .. } => write!(out, "sent {count} {counted}"),
        Evidence::ManySources { packets, .. } => write!(out, "sent about {packets} {counted}"),
        Evidence::Attempts { count, .. } => write!(out, "made {count} {counted}"),
        Evidence::Listed { count, label } => listed(alert, *count, &Printable(label), out),
        Evidence::Binding { before, after, .. } => write!(out, "moved from {before} to {after}"),
        Evidence::Name { length, count: 1, suffix, .. } => {
            write!(out, "asked for a name of {length} characters ending in {}", Printable(suffix))
        }
        Evidence::Name { length, count, suffix, .. } => {
            write!(out, "asked for {count} {counted} of up to {length} characters")?;
            match suffix.as_str() {
                "" => Ok(()),
                _ => write!(out, " ending in {}", Printable(suffix)),
            }
        }
        Evidence::Bytes { count, .. } => {
            write!(out, "sent {}", Decimal(*count))?;
            out.write_str(if alert.test == Test::LargeTransfer { "" } else { " out" })
        }
        Evidence::Contacts { failed, hosts, ports } => {
            write!(out, "had {failed} first contacts without success")?;
            let (count, noun) =
                if alert.subject.destination.is_some() { (ports, "ports") } else { (hosts, "hosts") };
            if *count > 1 {
                write!(out, ", at least {count} {noun}")?;
            }
            match alert.subject.destination_port {
                Some(port) if alert.subject.destination.is_none() => write!(out, " at port {port}"),
                _ => Ok(()),
            }
        }
        Evidence::Domains { names: 1, name, .. } => {
            write!(out, "asked for a name that looks generated: {}", Printable(name))
        }
        Evidence::Domains { names, nonexistent, name, .. } => {
            write!(
                out,
                "asked for {names} {counted} that look generated, {nonexistent} nonexistent, such as {}",
                Printable(name)
            )
        }
        Evidence::Leak { bytes, messages, suffix, .. } => {
            let bytes = Decimal(ByteCount(*bytes));
            write!(out, "exchanged about {bytes} of information in {messages} DNS {counted}")?;
            match suffix.as_str() {
                "" => out.write_str(" about several domains"),
                _ => write!(out, " about {}", Printable(suffix)),
            }
        }
        Evidence::Observed { what, .. } => {
            out.write_str(counted)?;
            match what.as_str() {
                "" => Ok(()),
                what => write!(out, " ({what})"),
            }
        }
        Evidence::Server { known, other, named, .. } if known == other => write!(out, "{counted}: {named}"),
        Evidence::Server { known, named, .. } => write!(out, "{counted} beside {known}, and names {named}"),
        Evidence::Answers { count, networks, named, name, .. } => {
            let asked = Printable(name);
            match alert.test {
                Test::DnsRebinding => write!(
                    out,
                    "asked for {asked}, which was answered with public addresses and with {named}"
                ),
                Test::PunycodeLookalike => {
                    let (asked, like) = name.split_once(' ').unwrap_or((name, ""));
                    write!(out, "asked for {}, which reads like {}", Printable(asked), Printable(like))
                }
                Test::PunycodeMixedScripts => {
                    write!(out, "asked for {asked}, whose letters are of several alphabets")
                }
                Test::FastFlux => write!(
                    out,
                    "was told at least {count} {counted} in at least {networks} networks for {asked}"
                ),
                _ => write!(out, "asked for at least {count} {counted}, such as {asked}"),
            }
        }
        Evidence::Rhythm { contacts, period_s, is_named, .. } => {
            write!(out, "made {contacts} {counted}, one about every {period_s} s,")?;
            out.write_str(if *is_named { "" } else { " without a DNS answer that names the address," })
        }
        Evidence::Device { is_random } => {
            let Subject { source, mac, host, .. } = &alert.subject;
            out.write_str(if source.is_some() { "is used by" } else { "is" })?;
            out.write_str(" a device not seen before")?;
            if let (Some(_), Some(mac)) = (source, mac) {
                write!(out, ", {mac}")?;
            }
            out.write_str(if *is_random { " (random)" } else { "" })?;
            named_vendor(alert).map_or(Ok(()), |name| write!(out, " ({name})"))?;
            host.as_ref().map_or(Ok(()), |name| write!(out, ", which calls itself {}", Printable(name)))
        }
        // Written as a whole by the caller.
        Evidence::Damage { .. } | Evidence::Stations { .. } => Ok(()),
    }
}

/// Vendor of the source, in alerts about devices.
pub(crate) fn named_vendor(alert: &Alert) -> Option<&'static str> {
    let is_device = matches!(alert.evidence, Evidence::Device { .. } | Evidence::Stations { .. });
    alert.subject.mac.filter(|_| is_device).and_then(vendor)
}

/// Writes the sentence about stations.
fn stations(
    alert: &Alert,
    count: u32,
    (days, silent_s): (u32, u32),
    out: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    if alert.test == Test::NewDevices {
        return write!(out, "{count} {}", alert.test.counted());
    }
    match (alert.subject.mac, alert.subject.source) {
        (Some(mac), source) => {
            write!(out, "{mac}")?;
            named_vendor(alert).map_or(Ok(()), |name| write!(out, " ({name})"))?;
            source.map_or(Ok(()), |address| write!(out, ", last seen as {address},"))?;
            out.write_str(" is silent")?;
        }
        (None, _) => write!(out, "{count} {} are silent", alert.test.counted())?,
    }
    write!(out, " for {} minutes or longer, after {days} days around the clock", silent_s / 60)
}

/// Writes the verb and what a list says of a contact.
fn listed(alert: &Alert, count: u64, label: &Printable<'_>, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    let says = alert.test.counted();
    match alert.test.kind() {
        Kind::SuspiciousPort if count > 1 => {
            return write!(out, "contacted a listed port {count} times ({label})");
        }
        Kind::SuspiciousPort => return write!(out, "contacted a listed port ({label})"),
        Kind::ChatApp | Kind::CloudStorage => write!(out, "asked for {says} {label}")?,
        Kind::SuspiciousTld | Kind::MaliciousDomain => {
            // An incident is about one entry of the list, which several names may match.
            let others = if count > 1 { " or others of the same entry" } else { "" };
            write!(out, "asked for {label}{others} ({says})")?;
        }
        _ => write!(out, "contacted an address listed as {says}")?,
    }
    if count > 1 { write!(out, " {count} times") } else { Ok(()) }
}

/// Window of the evidence, if it has one; of a flood of many sources the time that it took to reach the threshold.
fn window_s(alert: &Alert) -> Option<u64> {
    match alert.evidence {
        Evidence::Ports { window_s, .. }
        | Evidence::Packets { window_s, .. }
        | Evidence::Attempts { window_s, .. }
        | Evidence::Bytes { window_s, .. } => Some(window_s.into()),
        Evidence::Answers { window_s, .. } => Some(u64::from(window_s)).filter(|window_s| *window_s > 0),
        Evidence::ManySources { .. } => Some(alert.time.since(alert.first).as_secs() + 1),
        _ => None,
    }
}

/// Displays bytes in decimal units with one digit after the point, rounded down: thresholds are set in them, and 4.7 MiB would
/// look less than 5 MB.
struct Decimal(ByteCount);

impl fmt::Display for Decimal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ByteCount(bytes) = self.0;
        let units = [(1_000_000_000_000, "TB"), (1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
        match units.into_iter().find(|(unit, _)| bytes >= *unit) {
            Some((unit, name)) => write!(out, "{}.{} {name}", bytes / unit, bytes % unit / (unit / 10)),
            None => write!(out, "{bytes} B"),
        }
    }
}

/// Displays text with every character outside printable ASCII replaced by `?`.
struct Printable<'a>(&'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        self.0.chars().try_for_each(|char| {
            out.write_char(if char.is_ascii_graphic() || char == ' ' { char } else { '?' })
        })
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::Severity;
    use sentinel_units::{Address, Timestamp};
    use std::string::ToString;

    /// Found in use: an update said that all packets of a long flood had arrived within five seconds.
    #[test]
    fn only_an_opening_message_names_the_window() {
        let at = |second: u64| Timestamp::from_parts(1_700_000_000 + second, 0);
        let mut alert = Alert {
            time: at(4),
            first: at(0),
            test: Test::SynFloodPerSource,
            severity: Severity::High,
            phase: Phase::Open,
            incident: 1,
            suppressed: 0,
            subject: Subject { source: Some(Address::v4(0x0a00_0007)), ..Subject::default() },
            evidence: Evidence::Packets { count: 200, threshold: 200, window_s: 5 },
        };
        assert_eq!(alert.summary().to_string(), "10.0.0.7 sent 200 connection requests within 5 s");
        alert.evidence = Evidence::Packets { count: 90_000, threshold: 200, window_s: 5 };
        (alert.time, alert.phase) = (at(60), Phase::Update);
        assert_eq!(alert.summary().to_string(), "10.0.0.7 sent 90000 connection requests, going on for 60 s");
        (alert.time, alert.phase) = (at(90), Phase::Close);
        assert_eq!(
            alert.summary().to_string(),
            "10.0.0.7 sent 90000 connection requests, over 90 s after it began"
        );
    }

    #[test]
    fn a_flood_of_many_sources_names_the_victim_and_estimates() {
        let at = |millis: u64| Timestamp::from_micros(1_700_000_000_000_000 + millis * 1_000);
        let flood = |destination, prefix_bits| Alert {
            time: at(850),
            first: at(100),
            test: Test::SynFloodPerVictim,
            subject: Subject { destination: Some(destination), ..Subject::default() },
            evidence: Evidence::ManySources { packets: 90, sources: 80, threshold_per_s: 60, prefix_bits },
            ..crate::testing::sample()
        };
        let start = "about 80 sources sent about 90 incomplete connection requests to";
        for (destination, bits, end) in [
            (Address::v4(0x0a00_0007), 32, " 10.0.0.7 within 1 s"),
            (Address::v4(0x0a00_0000), 24, " 10.0.0.0/24 within 1 s"),
            (Address::v6([0xfd00_0000, 0, 0, 0]), 64, " fd00::/64 within 1 s"),
            (Address::v6([0xfd00_0000, 0, 0, 7]), 128, " fd00::7 within 1 s"),
        ] {
            assert_eq!(flood(destination, bits).summary().to_string(), std::format!("{start}{end}"));
        }
    }

    #[test]
    fn damage_of_the_sensor_names_no_source_and_controls_no_terminal() {
        let what = "log.key: 12 bytes, not 40\x1b[31m".try_into().unwrap();
        let alert = Alert {
            test: Test::StateDamage,
            evidence: Evidence::Damage { what },
            phase: Phase::Close,
            ..crate::testing::sample()
        };
        assert_eq!(
            alert.summary().to_string(),
            "state of the sensor damaged: log.key: 12 bytes, not 40?[31m"
        );
    }

    /// An alert said "4.7 MiB" of a threshold of 5 MB.
    #[test]
    fn bytes_have_the_units_of_the_threshold() {
        for (bytes, text) in [
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (4_999_999, "4.9 MB"),
            (5_000_000, "5.0 MB"),
            (1_250_000_000, "1.2 GB"),
            (u64::MAX, "18446744.0 TB"),
        ] {
            assert_eq!(Decimal(ByteCount(bytes)).to_string(), text);
        }
    }
}
