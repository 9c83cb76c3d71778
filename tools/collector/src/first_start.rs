//! `sentinel-collector init`: certificates, a one-time code for the administrator, the first API key, and settings.
//!
//! Nothing that exists is written again; what is missing is made. Files have mode 0600. The code lies in `administrator.code`, beside
//! the key of the database, until it has been used; the database has its SHA-256.

use std::fmt::Write as _;
use std::fs;
use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};

use crate::access::Access;
use crate::clock;
use crate::configuration;
use crate::enroll;
use crate::log::Log;
use crate::model::Role;
use crate::service::Caller;
use crate::service::accounts::{self, Rights};
use crate::store::Files;
use crate::store::key::{private_directory, read_private, write_private};
use crate::tls::{Authority, CertificateFiles, Issued, Tls};

/// Directory of the certificates in the data directory.
const CERTIFICATES: &str = "certs";
/// File of the one-time code.
const CODE: &str = "administrator.code";
/// Name of the first API key.
const FIRST_KEY: &str = "first";

/// Request of [`init`].
#[derive(Debug)]
pub struct InitRequest {
    /// Names and addresses by which browsers reach the collector, the most used one first.
    pub names: Vec<String>,
    /// Address for the page and the API.
    pub http: SocketAddr,
    /// Address for sensors.
    pub listen: SocketAddr,
    /// Role of the first API key.
    pub key_role: Role,
}

/// Makes what is missing, and says what it made and what exists.
///
/// # Errors
/// Names that are none, a file of a pair without the other, files that cannot be written; and an error that says what exists if
/// nothing was missing.
pub fn init(files: Files, request: &InitRequest) -> anyhow::Result<String> {
    let directory = files.directory().to_owned();
    let mut report = Report::default();
    certificates(&directory, &request.names, &mut report)?;
    settings(&directory, request, &mut report)?;
    let files = Arc::new(files);
    drop(files.open_writer()?); // makes the database and its key
    enroll::identity(&files)?;
    let access = Access::new(Arc::clone(&files), Log::default());
    access.refresh()?;
    let mut secrets = String::new();
    let port = request.http.port();
    let host = request.names.first().map_or("localhost", String::as_str);
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    if access.directory().has_administrator() {
        report.exists("an administrator; `users code` lets one set a new password".into());
    } else {
        let code = make_code(&access, &directory, &mut report)?;
        let _ = writeln!(
            secrets,
            "administrator code  {code}  (once, within 7 days, at https://{host}:{port}/start)"
        );
    }
    let keys = accounts::list_keys(&access, &Caller::Operator)?;
    if keys.iter().any(|key| key.name == FIRST_KEY) {
        report.exists(format!("API key {FIRST_KEY}; `keys add` makes another one"));
    } else {
        let rights = Rights { role: request.key_role, groups: None };
        let key = accounts::add_key(&access, &Caller::Operator, FIRST_KEY, &rights, None)?;
        let _ = writeln!(secrets, "API key ({})    {}  (shown this once)", request.key_role, key.reveal());
    }
    if report.made.is_empty() && secrets.is_empty() {
        bail!("nothing to make in {}: there are already {}", directory.display(), report.existing.join(", "));
    }
    let mut text = report.text(&directory);
    text.push_str(&secrets);
    let _ = writeln!(
        text,
        "next                sentinel-collector run --data {}; give certs/ca.crt to browsers and to `watch --ca`",
        directory.display()
    );
    Ok(text)
}

/// Files that were made, and those that were there.
#[derive(Default)]
struct Report {
    made: Vec<String>,
    existing: Vec<String>,
}

impl Report {
    fn exists(&mut self, what: String) {
        self.existing.push(what);
    }

    fn text(&self, directory: &Path) -> String {
        let mut text = String::new();
        for made in &self.made {
            let _ = writeln!(text, "made                {made}");
        }
        for existing in &self.existing {
            let _ = writeln!(text, "exists, unchanged   {existing}");
        }
        let _ = writeln!(text, "directory           {}", directory.display());
        text
    }
}

/// Names of a certificate and its key in the data directory, and whether they exist.
fn pair(directory: &Path, name: &str) -> anyhow::Result<(PathBuf, PathBuf, bool)> {
    let certificates = directory.join(CERTIFICATES);
    let (certificate, key) =
        (certificates.join(format!("{name}.crt")), certificates.join(format!("{name}.key")));
    match (certificate.exists(), key.exists()) {
        (true, true) => Ok((certificate, key, true)),
        (false, false) => Ok((certificate, key, false)),
        (has_certificate, _) => {
            let (there, missing) = if has_certificate { (&certificate, &key) } else { (&key, &certificate) };
            bail!(
                "{} exists and {} does not: put the other one back, or take it away as well; nothing is overwritten",
                there.display(),
                missing.display()
            )
        }
    }
}

fn certificates(directory: &Path, names: &[String], report: &mut Report) -> anyhow::Result<()> {
    let (authority_pair, server_pair) = (pair(directory, "ca")?, pair(directory, "server")?);
    if server_pair.2 {
        let files = CertificateFiles { certificate: server_pair.0, key: server_pair.1 };
        let tls = Tls::load(files).context("the certificate that is there cannot be used")?;
        report.exists(format!("certs/server.crt and its key, SHA-256 {}", tls.fingerprint()));
        if authority_pair.2 {
            report.exists("certs/ca.crt and its key".into());
        }
        return Ok(());
    }
    private_directory(&directory.join(CERTIFICATES))?;
    let authority = if authority_pair.2 {
        report.exists("certs/ca.crt and its key, which sign the new certificate".into());
        Authority::load(&read_private(&authority_pair.1)?)?
    } else {
        let (authority, issued) = Authority::generate(names, clock::now())?;
        write_pair((&authority_pair.0, &authority_pair.1), &issued)?;
        report.made.push(format!("certs/ca.crt and its key, SHA-256 {}", issued.fingerprint));
        authority
    };
    let issued = authority.issue(names, clock::now())?;
    write_pair((&server_pair.0, &server_pair.1), &issued)?;
    report.made.push(format!(
        "certs/server.crt and its key for {}, SHA-256 {}",
        names.join(", "),
        issued.fingerprint
    ));
    Ok(())
}

/// The key first: a certificate that exists has its key.
fn write_pair((certificate, key): (&Path, &Path), issued: &Issued) -> anyhow::Result<()> {
    for (path, text) in [(key, &issued.key), (certificate, &issued.certificate)] {
        write_private(path, text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn settings(directory: &Path, request: &InitRequest, report: &mut Report) -> anyhow::Result<()> {
    let path = directory.join(configuration::FILE);
    if path.exists() {
        configuration::Configuration::load(Some(&path), directory)?;
        report.exists(configuration::FILE.into());
        return Ok(());
    }
    let text = format!(
        "# Settings of sentinel-collector, made by `init`. Flags and variables win; paths are relative to this file.\n\
         listen = \"{}\"\n\
         http = \"{}\"\n\
         # A certificate of your own, such as one by ACME, goes here; SIGHUP reads it again.\n\
         certificate = \"{CERTIFICATES}/server.crt\"\n\
         certificate_key = \"{CERTIFICATES}/server.key\"\n\
         # Role of clients on this machine that have not logged in: none, viewer, analyst, operator, admin.\n\
         loopback = \"none\"\n",
        request.listen, request.http
    );
    write_private(&path, text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
    report.made.push(configuration::FILE.into());
    Ok(())
}

/// The code that is there, or a new one.
fn make_code(access: &Access, directory: &Path, report: &mut Report) -> anyhow::Result<String> {
    let path = directory.join(CODE);
    if path.exists() && access.directory().has_code() {
        report.exists(CODE.into());
        return Ok(read_private(&path)?.trim().to_owned());
    }
    let code = replace_code(access, directory)?;
    report.made.push(CODE.into());
    Ok(code)
}

/// Makes a one-time code in place of those before it, and keeps it in its file until it has been used.
///
/// # Errors
/// Errors of the store and of the file.
pub fn replace_code(access: &Access, directory: &Path) -> anyhow::Result<String> {
    let (path, code) = (directory.join(CODE), accounts::new_code(access)?);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot replace {}", path.display()));
        }
        _ => {}
    }
    write_private(&path, format!("{code}\n").as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(code)
}

/// Says at the start of `run` how the first administrator comes in, and removes a code that has been used. The code itself goes to
/// a terminal only, never into a log.
///
/// # Errors
/// Errors of the store and of the file.
pub fn announce(
    access: &Access,
    directory: &Path,
    (url, needs_log_in): (&str, bool),
    log: &Log,
) -> anyhow::Result<()> {
    let path = directory.join(CODE);
    let known = access.directory();
    if known.has_administrator() {
        if path.exists() && !known.has_code() {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        return Ok(());
    }
    if !known.is_set_up() && !needs_log_in {
        return Ok(()); // nobody has asked for a log-in
    }
    let code = if known.has_code() && path.exists() {
        read_private(&path)?.trim().to_owned()
    } else {
        replace_code(access, directory)?
    };
    log.info(format_args!("no administrator yet: open {url}; the one-time code is in {}", path.display()));
    if std::io::stderr().is_terminal() {
        eprintln!("one-time code: {code}");
    }
    Ok(())
}
