//! Table of vendors of hardware addresses, `sentinel-appliance/alert/src/vendors.table`: of each vendor of the list below its name and all of
//! its prefixes in the registry of the IEEE.
//!
//! Read first: IEEE 802-2014 clause 8 (MA-L assignments of 24 bits). Layout, again and again until the end: length and text of the name, number
//! of prefixes, prefixes of three bytes in ascending order.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// Bytes of the table at most: it is part of the device program.
const MAX_LEN: usize = 2_048;

/// Name, and the beginnings of the names under which the vendor registered. Vendors of devices that are common in homes and
/// have few prefixes: those of phones and laptops have a thousand each, and phones make up their addresses.
const VENDORS: &[(&str, &[&str])] = &[
    ("AVM", &["AVM Audiovisuelles", "AVM GmbH"]),
    ("Arlo", &["Arlo Technology"]),
    ("Axis", &["AXIS COMMUNICATIONS"]),
    ("BSH", &["BSH Hausger"]),
    ("Bang & Olufsen", &["Bang & Olufsen A/S"]),
    ("Bose", &["Bose Corporation"]),
    ("Brother", &["Brother industries"]),
    ("Canon", &["CANON INC."]),
    ("D&M", &["D&M Holdings"]),
    ("Dyson", &["Dyson Limited"]),
    ("Enphase", &["Enphase Energy"]),
    ("Epson", &["Seiko Epson"]),
    ("Espressif", &["Espressif Inc."]),
    ("Facebook", &["Facebook", "Oculus VR"]),
    ("Fronius", &["Fronius"]),
    ("Garmin", &["Garmin International"]),
    ("Google", &["Google, Inc.", "Nest Labs"]),
    ("IKEA", &["IKEA of Sweden"]),
    ("Lexmark", &["LEXMARK INTERNATIONAL"]),
    ("Lutron", &["Lutron Electronics"]),
    ("Miele", &["Miele & Cie"]),
    ("MikroTik", &["Routerboard.com"]),
    ("Nanoleaf", &["Nanoleaf"]),
    ("Netatmo", &["Netatmo"]),
    ("Philips Lighting", &["Philips Lighting", "Signify"]),
    ("QNAP", &["QNAP Systems"]),
    ("Raspberry Pi", &["Raspberry Pi"]),
    ("Reolink", &["Reolink"]),
    ("Resideo", &["Resideo"]),
    ("Ring", &["Ring LLC"]),
    ("Roku", &["Roku, Inc"]),
    ("SMA", &["SMA Solar"]),
    ("SolarEdge", &["SolarEdge"]),
    ("Somfy", &["Somfy"]),
    ("Sonos", &["Sonos, Inc"]),
    ("Sony Interactive", &["Sony Interactive"]),
    ("Synology", &["Synology"]),
    ("Tesla", &["Tesla,Inc"]),
    ("Tuya", &["Tuya Smart"]),
    ("Ubiquiti", &["Ubiquiti"]),
    ("Valve", &["Valve Corporation"]),
    ("Vizio", &["Vizio, Inc"]),
    ("Western Digital", &["WESTERN DIGITAL"]),
    ("Withings", &["Withings"]),
    ("Wyze", &["Wyze Labs"]),
    ("devolo", &["devolo AG"]),
    ("eQ-3", &["eQ-3"]),
    ("ecobee", &["ecobee"]),
    ("iRobot", &["iRobot"]),
    ("tado", &["tado GmbH"]),
];

/// Writes the table from the registry in the form of `oui.csv`, and returns a sentence about it.
pub(crate) fn write(registry: &Path, output: &Path) -> Result<String> {
    let text = std::fs::read_to_string(registry)
        .with_context(|| format!("{} cannot be read", registry.display()))?;
    let table = table(&text)?;
    let bytes = table.concat();
    ensure!(bytes.len() <= MAX_LEN, "{} bytes, {MAX_LEN} at most: leave out vendors", bytes.len());
    std::fs::write(output, &bytes).with_context(|| format!("{} cannot be written", output.display()))?;
    Ok(format!("{} vendors, {} bytes", table.len(), bytes.len()))
}

/// Records of the table.
fn table(registry: &str) -> Result<Vec<Vec<u8>>> {
    let assignments: Vec<([u8; 3], &str)> = registry.lines().filter_map(assignment).collect();
    ensure!(assignments.len() > 20_000, "only {} assignments: not the registry", assignments.len());
    let record = |(name, holders): &(&str, &[&str])| {
        let is_one = |holder: &str| holders.iter().any(|known| begins(holder, known));
        let prefixes: BTreeSet<[u8; 3]> =
            assignments.iter().filter(|(_, holder)| is_one(holder)).map(|(prefix, _)| *prefix).collect();
        ensure!(!prefixes.is_empty(), "{name} has no prefix in the registry");
        let mut bytes = vec![u8::try_from(name.len())?];
        bytes.extend(name.bytes());
        bytes.push(u8::try_from(prefixes.len()).with_context(|| format!("too many prefixes of {name}"))?);
        bytes.extend(prefixes.into_iter().flatten());
        Ok(bytes)
    };
    VENDORS.iter().map(record).collect()
}

/// Prefix and holder of a line `MA-L,PREFIX,HOLDER,ADDRESS`; the holder may be in quotes.
fn assignment(line: &str) -> Option<([u8; 3], &str)> {
    let (prefix, behind) = line.strip_prefix("MA-L,")?.split_once(',')?;
    let [_, high, middle, low] = u32::from_str_radix(prefix, 16).ok()?.to_be_bytes();
    let holder = match behind.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next()?,
        None => behind.split(',').next()?,
    };
    Some(([high, middle, low], holder))
}

fn begins(text: &str, with: &str) -> bool {
    text.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_registry_are_read() {
        assert_eq!(
            assignment("MA-L,B827EB,Raspberry Pi Foundation,Mitchell Wood House"),
            Some(([0xb8, 0x27, 0xeb], "Raspberry Pi Foundation"))
        );
        assert_eq!(
            assignment("MA-L,3C5AB4,\"Google, Inc.\",1600 Amphitheatre"),
            Some(([0x3c, 0x5a, 0xb4], "Google, Inc."))
        );
        assert_eq!(assignment("Registry,Assignment,Organization Name,Organization Address"), None);
    }

    #[test]
    fn another_file_is_refused() {
        assert!(table("MA-L,B827EB,Raspberry Pi Foundation,x").unwrap_err().to_string().contains("only 1"));
    }
}
