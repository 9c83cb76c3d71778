//! TLS of the HTTP listener, and the certificates that `init` makes.
//!
//! TLS 1.2 and 1.3 (RFC 8446) by rustls with ring; ALPN (RFC 7301) offers `h2` and `http/1.1`. The certificate is read at
//! start and at SIGHUP; one that cannot be used is refused with its reason, and the one before it stays in force.

mod authority;
mod certificate;

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::ResolvesServerCert;
use rustls::version::{TLS12, TLS13};
use tokio_rustls::TlsAcceptor;

pub use authority::{Authority, AuthorityError, Issued, MAX_NAMES};
pub use certificate::{CertificateError, CertificateFiles, Fingerprint};
use certificate::{CurrentCertificate, provider};

/// The ALPN name of HTTP/2 (RFC 9113 section 3.2).
pub(crate) const HTTP_2: &[u8] = b"h2";

/// TLS of one listener. Cheap to clone; clones share the certificate.
#[derive(Clone, Debug)]
pub struct Tls {
    files: Arc<CertificateFiles>,
    current: Arc<CurrentCertificate>,
    config: Arc<ServerConfig>,
}

impl Tls {
    /// Reads the certificate and its key.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn load(files: CertificateFiles) -> Result<Self, CertificateError> {
        let current = Arc::new(CurrentCertificate::new(files.read()?));
        let builder = ServerConfig::builder_with_provider(provider());
        let builder =
            builder.with_protocol_versions(&[&TLS13, &TLS12]).map_err(CertificateError::Configuration)?;
        let resolver: Arc<dyn ResolvesServerCert> = current.clone();
        let mut config = builder.with_no_client_auth().with_cert_resolver(resolver);
        config.alpn_protocols = vec![HTTP_2.to_vec(), b"http/1.1".to_vec()];
        Ok(Self { files: Arc::new(files), current, config: Arc::new(config) })
    }

    /// Reads the files again; new connections get the new certificate.
    ///
    /// # Errors
    /// [`CertificateError`]; the certificate in force stays.
    pub fn reload(&self) -> Result<Fingerprint, CertificateError> {
        let certificate = self.files.read()?;
        self.current.replace(certificate);
        Ok(self.fingerprint())
    }

    /// SHA-256 of the certificate in force, as browsers show it.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.current.fingerprint()
    }

    /// Acceptor of connections.
    #[must_use]
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }
}
