//! Files of lists that the settings name, read together.

use std::path::Path;
use std::sync::Arc;

use sentinel_detect::ListedPort;

use super::Settings;
use super::signatures::{self, Signatures};
use super::{indicators, suspicious_ports};
use crate::terminal::failure::Failure;
use crate::worker::memory;

/// Lists of the detectors.
#[derive(Clone, Debug)]
pub(crate) struct Lists {
    pub(crate) ports: Vec<ListedPort>,
    pub(crate) signatures: Arc<Signatures>,
}

impl Lists {
    /// Reads the files of `settings`, for the memory of the sensor that runs with `running`.
    pub(crate) fn load(settings: &Settings, running: &Settings) -> Result<Self, Failure> {
        let ports =
            suspicious_ports::load(settings.suspicious_ports_file.as_deref()).map_err(Failure::new)?;
        let signatures =
            signatures::load(settings.signatures_file.as_deref(), room(running)).map_err(Failure::new)?;
        Ok(Self { ports, signatures: Arc::new(signatures) })
    }

    /// The files that the settings name.
    pub(crate) fn files(settings: &Settings) -> impl Iterator<Item = &Path> {
        [&settings.suspicious_ports_file, &settings.signatures_file, &settings.indicators_file]
            .into_iter()
            .flatten()
            .map(AsRef::as_ref)
    }

    /// The first problem of each file, with the name of its setting.
    pub(crate) fn problems(settings: &Settings) -> impl Iterator<Item = (&'static str, String)> {
        let ports = suspicious_ports::load(settings.suspicious_ports_file.as_deref()).err();
        let signatures = signatures::load(settings.signatures_file.as_deref(), room(settings)).err();
        let indicators = indicators::load(settings).err();
        let ports = ports.map(|error| ("suspicious_ports_file", error.to_string()));
        let signatures = signatures.map(|error| ("signatures_file", error.to_string()));
        let indicators = indicators.map(|error| ("indicators_file", error.to_string()));
        ports.into_iter().chain(signatures).chain(indicators)
    }
}

/// Memory for lists of one worker, in bytes.
fn room(settings: &Settings) -> usize {
    memory::list_room(memory::share(settings.memory_kib, settings.workers))
}
