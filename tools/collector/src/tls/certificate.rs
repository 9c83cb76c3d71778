//! A certificate chain with its key, read from PEM files (RFC 7468) and checked before it is used.

use std::fmt;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError as Fault, RootCertStore};
use sha2::{Digest as _, Sha256};

/// Certificates in one chain; more are refused.
const MAX_CHAIN_LEN: usize = 10;

/// Cryptography of every TLS connection of this program.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The files of a certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CertificateFiles {
    /// The certificate, then those that signed it, as PEM.
    pub certificate: PathBuf,
    /// Its private key, as PEM; other users must not be able to read it.
    pub key: PathBuf,
}

impl CertificateFiles {
    /// The chain and its key: they fit each other, and the certificate is valid now.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub(super) fn read(&self) -> Result<CertifiedKey, CertificateError> {
        let chain = read_chain(&self.certificate)?;
        let key = read_key(&self.key)?;
        check_time(&self.certificate, &chain)?;
        CertifiedKey::from_der(chain, key, &provider())
            .map_err(|error| CertificateError::Pair(self.certificate.clone(), self.key.clone(), error))
    }
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let text = std::fs::read(path).map_err(|error| CertificateError::Io(path.into(), error))?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).take(MAX_CHAIN_LEN + 1).collect();
    match chain {
        Ok(chain) if chain.is_empty() => Err(CertificateError::NoCertificate(path.into())),
        Ok(chain) if chain.len() > MAX_CHAIN_LEN => Err(CertificateError::ChainTooLong(path.into())),
        Ok(chain) => Ok(chain),
        Err(error) => Err(CertificateError::Pem(path.into(), error.to_string())),
    }
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, CertificateError> {
    let wrap = |error| CertificateError::Io(path.into(), error);
    let mode = std::fs::metadata(path).map_err(wrap)?.permissions().mode() & 0o7777;
    // A group may read it: certificates that ACME clients issue belong to a group of their own on many systems.
    if mode & 0o007 != 0 {
        return Err(CertificateError::KeyExposed(path.into(), mode));
    }
    let text = std::fs::read(path).map_err(wrap)?;
    PrivateKeyDer::from_pem_slice(&text)
        .map_err(|error| CertificateError::Pem(path.into(), error.to_string()))
}

/// Refuses a certificate that is expired, not valid yet, or not readable. Names and issuer are not judged: who trusts it is for
/// clients to decide.
fn check_time(path: &Path, chain: &[CertificateDer<'static>]) -> Result<(), CertificateError> {
    let (Some(leaf), Some(last)) = (chain.first(), chain.last()) else {
        return Err(CertificateError::NoCertificate(path.into()));
    };
    let fault = |error: rustls::Error| CertificateError::Certificate(path.into(), error);
    let mut roots = RootCertStore::empty();
    roots.add(last.clone()).map_err(fault)?;
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build();
    let Ok(verifier) = verifier else { return Ok(()) }; // only without roots, and there is one
    let Ok(name) = ServerName::try_from("localhost") else { return Ok(()) };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let intermediates = chain.get(1..).unwrap_or_default();
    let now = UnixTime::since_unix_epoch(now);
    match verifier.verify_server_cert(leaf, intermediates, &name, &[], now) {
        Err(
            error @ rustls::Error::InvalidCertificate(
                Fault::Expired
                | Fault::ExpiredContext { .. }
                | Fault::NotValidYet
                | Fault::NotValidYetContext { .. }
                | Fault::BadEncoding,
            ),
        ) => Err(fault(error)),
        _ => Ok(()),
    }
}

/// The certificate in force.
#[derive(Debug)]
pub(super) struct CurrentCertificate(RwLock<Arc<CertifiedKey>>);

impl CurrentCertificate {
    pub(super) fn new(certificate: CertifiedKey) -> Self {
        Self(RwLock::new(Arc::new(certificate)))
    }

    pub(super) fn replace(&self, certificate: CertifiedKey) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(certificate);
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        let current = self.current();
        Fingerprint::of(current.cert.first().map(AsRef::as_ref).unwrap_or_default())
    }

    fn current(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ResolvesServerCert for CurrentCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

/// SHA-256 of a certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Fingerprint of a certificate in DER.
    #[must_use]
    pub fn of(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }
}

/// `AB:CD:...`, as browsers show it.
impl fmt::Display for Fingerprint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ":" };
            write!(out, "{separator}{byte:02X}")?;
        }
        Ok(())
    }
}

/// Reason for which a certificate is not used.
#[derive(Debug)]
#[non_exhaustive]
pub enum CertificateError {
    /// A file cannot be read.
    Io(PathBuf, std::io::Error),
    /// A file is not PEM, or holds no key.
    Pem(PathBuf, String),
    /// The file holds no certificate.
    NoCertificate(PathBuf),
    /// The file holds more certificates than a chain has.
    ChainTooLong(PathBuf),
    /// The key file with this mode can be read by every user.
    KeyExposed(PathBuf, u32),
    /// The certificate is not valid now, or not readable.
    Certificate(PathBuf, rustls::Error),
    /// The key cannot be used, or is that of another certificate.
    Pair(PathBuf, PathBuf, rustls::Error),
    /// No version of TLS can be offered.
    Configuration(rustls::Error),
}

impl fmt::Display for CertificateError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, error) => write!(out, "{}: {error}", path.display()),
            Self::Pem(path, error) => {
                write!(out, "{} is no PEM file with what is needed: {error}", path.display())
            }
            Self::NoCertificate(path) => {
                write!(out, "{} holds no certificate (-----BEGIN CERTIFICATE-----)", path.display())
            }
            Self::ChainTooLong(path) => {
                write!(
                    out,
                    "{} holds more than {MAX_CHAIN_LEN} certificates; it needs the chain only",
                    path.display()
                )
            }
            Self::KeyExposed(path, mode) => {
                write!(out, "{} has mode {mode:04o}, every user can read it; run chmod 600", path.display())
            }
            Self::Certificate(path, error) => write!(out, "{}: {error}", path.display()),
            Self::Pair(certificate, key, error) => {
                write!(
                    out,
                    "{} and {} cannot be used together: {error}",
                    certificate.display(),
                    key.display()
                )
            }
            Self::Configuration(error) => error.fmt(out),
        }
    }
}

impl std::error::Error for CertificateError {}
