//! Backup of a collector, with its keys, into one encrypted file, and the way back.
//!
//! ```text
//! data directory --copy of the database, key files--> entries --container--> FILE --container--> entries --> new data directory
//! ```
//!
//! An entry is the length of its name (2 bytes), its name, the length of its content (8 bytes, big-endian), its content. The first one is
//! `manifest`, JSON; the database is the last one. `container` describes the file around them.

mod container;
mod make;
mod restore;

pub use container::{BackupError, Cost};
pub use make::{Made, make};
pub use restore::{Contents, check, restore};

use std::time::Duration;

use sentinel_units::Timestamp;
use serde_json::{Value, json};

use crate::store::{DATABASE, StoreSummary};

/// Version of the entries.
const FORMAT: u64 = 1;
/// Longest manifest and longest key file, in bytes.
const MAX_SMALL: u64 = 1 << 20;

/// Description of a backup: its first entry.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Manifest {
    /// Time of the copy of the database.
    pub at: Timestamp,
    /// Version of the collector that made it.
    pub version: String,
    /// Figures of the store.
    pub store: StoreSummary,
    /// The key of the database was in `SENTINEL_DB_KEY` and is not in the backup.
    pub has_foreign_key: bool,
}

impl Manifest {
    fn json(&self) -> String {
        let object = json!({
            "format": FORMAT,
            "time_us": self.at.as_micros(),
            "version": self.version,
            "schema": self.store.schema,
            "sensors": self.store.sensors,
            "alerts": self.store.alerts,
            "foreign_key": self.has_foreign_key,
        });
        object.to_string()
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let object: Value = serde_json::from_slice(text).ok()?;
        let number = |name: &str| object.get(name)?.as_u64();
        (number("format")? == FORMAT).then_some(())?;
        Some(Self {
            at: Timestamp::ZERO.after(Duration::from_micros(number("time_us")?)),
            version: object.get("version")?.as_str()?.chars().take(64).collect(),
            store: StoreSummary {
                schema: i64::try_from(number("schema")?).ok()?,
                sensors: number("sensors")?,
                alerts: number("alerts")?,
            },
            has_foreign_key: object.get("foreign_key")?.as_bool()?,
        })
    }
}

/// Returns true for the names of the files that a backup has: those of the data directory that cannot be made again.
fn is_known(name: &str) -> bool {
    let is_plain = |name: &str| {
        !name.starts_with('.')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
    };
    match name.strip_prefix("certs/") {
        Some(file) => !file.is_empty() && is_plain(file),
        None => {
            [DATABASE, "db.key", "collector.toml"].contains(&name)
                || (name.starts_with("collector") && name.ends_with(".key") && is_plain(name))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_the_directory() {
        for name in ["sentinel.db", "db.key", "collector.key", "collector_replaced_abcd.key", "certs/ca.crt"]
        {
            assert!(is_known(name), "{name}");
        }
        for name in [
            "",
            "../x",
            "certs/../x",
            "certs/",
            "certs/.x",
            "/etc/passwd",
            "collector/../../x.key",
            "x",
            "manifest",
        ] {
            assert!(!is_known(name), "{name}");
        }
    }

    #[test]
    fn a_manifest_comes_back() {
        let manifest = Manifest {
            at: Timestamp::from_micros(1_700_000_000_000_000),
            version: "0.1.0".into(),
            store: StoreSummary { schema: 8, sensors: 3, alerts: 5 },
            has_foreign_key: true,
        };
        assert_eq!(Manifest::parse(manifest.json().as_bytes()), Some(manifest));
        assert_eq!(Manifest::parse(b"{}"), None);
    }
}
