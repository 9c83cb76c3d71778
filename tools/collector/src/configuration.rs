//! The settings file that `init` makes: `collector.toml`, all of it optional. Flags and variables win.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::Deserialize;

use crate::model::{Loopback, Role};
use crate::tls::CertificateFiles;

/// Name of the file in the data directory.
pub const FILE: &str = "collector.toml";

/// Settings of a file.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Configuration {
    /// Address for sensors.
    pub listen: Option<SocketAddr>,
    /// Address for the page and the API.
    pub http: Option<SocketAddr>,
    /// Certificate of it.
    pub certificate: Option<CertificateFiles>,
    /// Rights of clients on this machine that have not logged in.
    pub loopback: Loopback,
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    listen: Option<SocketAddr>,
    http: Option<SocketAddr>,
    certificate: Option<PathBuf>,
    certificate_key: Option<PathBuf>,
    loopback: Option<String>,
}

impl Configuration {
    /// Reads `given`, which must exist then, else the file of the data directory, if there is one. Paths in it are relative to
    /// its directory.
    ///
    /// # Errors
    /// A file that cannot be read, or has an unknown setting or a wrong value, with its line.
    pub fn load(given: Option<&Path>, data: &Path) -> anyhow::Result<Self> {
        let path = given.map_or_else(|| data.join(FILE), Path::to_owned);
        if given.is_none() && !path.exists() {
            return Ok(Self::default());
        }
        let shown = path.display();
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read the settings {shown}"))?;
        let text: Text = toml::from_str(&text).with_context(|| format!("the settings {shown} are wrong"))?;
        let directory = path.parent().unwrap_or_else(|| Path::new(""));
        let certificate = match (text.certificate, text.certificate_key) {
            (Some(certificate), Some(key)) => {
                Some(CertificateFiles { certificate: directory.join(certificate), key: directory.join(key) })
            }
            (None, None) => None,
            _ => bail!("the settings {shown} have only one of certificate and certificate_key"),
        };
        let loopback = text.loopback.as_deref().map(loopback).transpose();
        let loopback =
            loopback.map_err(|error| anyhow::anyhow!("the settings {shown}: loopback: {error}"))?;
        let loopback = loopback.unwrap_or_default();
        Ok(Self { listen: text.listen, http: text.http, certificate, loopback })
    }
}

/// `none` or the name of a role.
///
/// # Errors
/// A text that says which there are.
pub fn loopback(text: &str) -> Result<Loopback, String> {
    if text == "none" {
        return Ok(Loopback::LogIn);
    }
    let role = Role::from_name(text).map(Loopback::Role);
    role.ok_or_else(|| format!("{text:?} is none of none, viewer, analyst, operator, admin"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> anyhow::Result<Configuration> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(FILE), text).unwrap();
        let mut loaded = Configuration::load(None, directory.path())?;
        if let Some(files) = &mut loaded.certificate {
            files.certificate = files.certificate.strip_prefix(directory.path()).unwrap().into();
        }
        Ok(loaded)
    }

    #[test]
    fn a_file_gives_settings_and_a_missing_one_none() {
        let loaded = load(
            "http = \"0.0.0.0:8443\"\ncertificate = \"a\"\ncertificate_key = \"b\"\nloopback = \"none\"",
        )
        .unwrap();
        assert_eq!(loaded.http, Some(SocketAddr::from(([0, 0, 0, 0], 8443))));
        assert_eq!((loaded.certificate.unwrap().certificate, loaded.loopback), ("a".into(), Loopback::LogIn));
        let none = Configuration::load(None, Path::new("/nowhere")).unwrap();
        assert_eq!(none, Configuration::default());
    }

    #[test]
    fn mistakes_are_named() {
        for (text, complaint) in [
            ("htp = \"0.0.0.0:1\"", "htp"),
            ("http = \"everywhere\"", "http"),
            ("certificate = \"a\"", "only one of"),
            ("loopback = \"all\"", "none of none, viewer"),
            ("http", "wrong"),
        ] {
            let error = format!("{:#}", load(text).unwrap_err());
            assert!(error.contains(complaint) && error.contains(FILE), "{error}");
        }
        assert!(Configuration::load(Some(Path::new("/nowhere/x")), Path::new("/")).is_err());
    }
}
