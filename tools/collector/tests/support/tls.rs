//! A collector that `init` has set up, and a client that speaks TLS with it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use sentinel_collector::configuration::Configuration;
use sentinel_collector::first_start::{InitRequest, init};
use sentinel_collector::model::Role;
use sentinel_collector::run::{CollectorSettings, RunningCollector};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{WAIT_TIMEOUT, files, settings};

/// Name of the collector in its certificate.
pub(crate) const NAME: &str = "collector.example";
pub(crate) const ALL_VERSIONS: &[&SupportedProtocolVersion] =
    &[&rustls::version::TLS13, &rustls::version::TLS12];

/// One-time code and key that `init` printed.
pub(crate) struct Secrets {
    pub(crate) code: String,
    pub(crate) key: String,
}

pub(crate) fn set_up(directory: &Path) -> Secrets {
    let request = InitRequest {
        names: vec![NAME.into(), "192.0.2.7".into()],
        http: SocketAddr::from(([127, 0, 0, 1], 0)),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        key_role: Role::Viewer,
    };
    let printed = init(files(directory), &request).unwrap();
    let after = |label: &str| {
        let line = printed.lines().find(|line| line.starts_with(label)).unwrap();
        line[label.len()..].split_whitespace().next().unwrap().to_owned()
    };
    Secrets { code: after("administrator code"), key: after("API key (viewer)") }
}

/// Starts the collector of [`set_up`] with the settings that it made.
pub(crate) async fn start_set_up(directory: &Path) -> RunningCollector {
    let made = Configuration::load(None, directory).unwrap();
    let settings = CollectorSettings {
        certificate: made.certificate,
        loopback: made.loopback,
        ..settings(directory, 100)
    };
    RunningCollector::start(settings).await.unwrap()
}

/// A client that trusts the authority of one collector.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) http: SocketAddr,
    /// Host that it asks for: its own name makes it a client of another machine, `localhost` one of this.
    pub(crate) host: &'static str,
    /// Address that it comes from.
    pub(crate) from: [u8; 4],
    pub(crate) roots: Arc<RootCertStore>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// `name=value` of a cookie that is set.
    pub(crate) fn cookie(&self, name: &str) -> String {
        let start = format!("set-cookie: {name}=");
        let line =
            self.head.lines().find(|line| line.starts_with(&start)).unwrap_or_else(|| panic!("{self:?}"));
        line["set-cookie: ".len()..].split(';').next().unwrap().to_owned()
    }
}

impl Client {
    pub(crate) fn new(directory: &Path, http: SocketAddr) -> Self {
        let text = std::fs::read(directory.join("certs/ca.crt")).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&text).unwrap()).unwrap();
        Self { http, host: NAME, from: [127, 0, 0, 1], roots: Arc::new(roots) }
    }

    pub(crate) async fn connect(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        protocols: &[&str],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
        let mut config = builder.with_root_certificates(Arc::clone(&self.roots)).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((self.from, 0))).unwrap();
        let stream = socket.connect(self.http).await?;
        let server = ServerName::try_from(self.host).unwrap();
        TlsConnector::from(Arc::new(config)).connect(server, stream).await
    }

    /// Sends a request with these lines of its header, and reads until the collector closes.
    pub(crate) async fn send(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
        let mut stream = self.connect(ALL_VERSIONS, &["http/1.1"]).await.unwrap();
        let mut text = format!("{method} {path} HTTP/1.0\r\nHost: {}\r\n", self.host);
        for header in headers {
            text.push_str(&format!("{header}\r\n"));
        }
        text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let read = tokio::time::timeout(WAIT_TIMEOUT, stream.read_to_string(&mut answer));
        read.await.expect("no answer").unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.into(), body: body.into() }
    }

    /// `Origin` of a page of this collector.
    pub(crate) fn origin(&self) -> String {
        format!("Origin: https://{}", self.host)
    }

    pub(crate) async fn get(&self, path: &str, headers: &[&str]) -> Answer {
        self.send("GET", path, headers, "").await
    }

    /// A change, as a page of this collector asks for it.
    pub(crate) async fn change(&self, method: &str, path: &str, cookie: &str, body: &str) -> Answer {
        self.send(method, path, &[&self.origin(), &format!("Cookie: {cookie}")], body).await
    }

    pub(crate) async fn log_in(&self, name: &str, password: &str, cookies: &str) -> Answer {
        let body = serde_json::json!({ "name": name, "password": password }).to_string();
        self.change("POST", "/api/v1/login", cookies, &body).await
    }

    /// Sets the administrator `anna` and returns her cookie.
    pub(crate) async fn administrator(&self, code: &str) -> String {
        let body = serde_json::json!({ "code": code, "name": "anna", "password": PASSWORD }).to_string();
        let answer = self.change("POST", "/api/v1/administrator", "", &body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.cookie(SESSION)
    }
}

pub(crate) const SESSION: &str = "__Host-sentinel";
pub(crate) const DEVICE: &str = "__Host-sentinel-device";
pub(crate) const PASSWORD: &str = "correct horse battery";
