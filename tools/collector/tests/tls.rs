//! TLS of the one HTTP listener, and `init`, which makes its certificates.

#![expect(
    clippy::unwrap_used,
    reason = "the lints spare test functions only, and what they call serves tests alone"
)]

mod support;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use sentinel_collector::clock;
use sentinel_collector::first_start::{InitRequest, init};
use sentinel_collector::model::Role;
use sentinel_collector::tls::{Authority, CertificateFiles, Tls};
use support::http::request;
use support::tls::{ALL_VERSIONS, Client, NAME, set_up, start_set_up};
use support::{eventually, files, log_text};

fn made(directory: &Path) -> BTreeMap<String, (u32, Vec<u8>)> {
    let names = [
        "certs/ca.crt",
        "certs/ca.key",
        "certs/server.crt",
        "certs/server.key",
        "collector.toml",
        "administrator.code",
    ];
    let entry = |name: &str| {
        let path = directory.join(name);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
        (name.to_owned(), (mode, std::fs::read(&path).unwrap()))
    };
    names.map(entry).into()
}

#[test]
fn init_makes_private_files_and_never_writes_one_again() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    set_up(&data);
    let first = made(&data);
    assert!(
        first.values().all(|(mode, _)| *mode == 0o600),
        "{:?}",
        first.values().map(|(mode, _)| mode).collect::<Vec<_>>()
    );
    let request = InitRequest {
        names: vec!["other.example".into()],
        http: ([0, 0, 0, 0], 1).into(),
        listen: ([0, 0, 0, 0], 2).into(),
        key_role: Role::Admin,
    };
    let again = init(files(&data), &request).unwrap();
    assert!(!again.contains("made ") && !again.contains("API key (admin)"), "{again}");
    for name in ["certs/ca.crt", "certs/server.crt", "collector.toml", "administrator.code", "API key first"]
    {
        assert!(again.contains(name), "{name} in {again}");
    }
    assert_eq!(made(&data), first);
    // What is missing is made, and signed by the authority that is there.
    for name in ["certs/server.crt", "certs/server.key"] {
        std::fs::remove_file(data.join(name)).unwrap();
    }
    assert!(init(files(&data), &request).unwrap().contains("made                certs/server.crt"));
    assert_eq!(made(&data)["certs/ca.crt"], first["certs/ca.crt"]);
    std::fs::remove_file(data.join("certs/ca.crt")).unwrap();
    let error = init(files(&data), &request).unwrap_err().to_string();
    assert!(error.contains("ca.key exists and") && error.contains("nothing is overwritten"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_version_and_protocol_that_is_offered_is_spoken() {
    let directory = tempfile::tempdir().unwrap();
    set_up(directory.path());
    let collector = start_set_up(directory.path()).await;
    let client = Client::new(directory.path(), collector.http);
    for version in ALL_VERSIONS {
        for (offered, chosen) in
            [(&["h2", "http/1.1"][..], Some("h2")), (&["http/1.1"], Some("http/1.1")), (&[], None)]
        {
            let stream = client.connect(&[version], offered).await.unwrap();
            let (_, connection) = stream.get_ref();
            assert_eq!(connection.alpn_protocol().map(|name| std::str::from_utf8(name).unwrap()), chosen);
            assert_eq!(connection.protocol_version(), Some(version.version));
        }
    }
    for host in [NAME, "192.0.2.7", "localhost", "127.0.0.1"] {
        let client = Client { host, ..client.clone() };
        assert_eq!(client.get("/health", &[]).await.status, 200, "{host}");
    }
    let foreign = Client { host: "other.example", ..client.clone() };
    let error = foreign.connect(ALL_VERSIONS, &[]).await.unwrap_err().to_string();
    assert!(error.contains("not valid for name"), "{error}");
    let (status, body) = request(collector.http, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(
        (status, body.as_str()),
        (400, "{\"allowed\":[\"https://\"],\"error\":\"this address speaks HTTPS only\"}\n")
    );
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http_2_serves_many_requests_at_once_on_one_connection() {
    let directory = tempfile::tempdir().unwrap();
    set_up(directory.path());
    let collector = start_set_up(directory.path()).await;
    let client = Client::new(directory.path(), collector.http);
    let stream = client.connect(ALL_VERSIONS, &["h2"]).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (sender, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
    let task = tokio::spawn(connection);
    let requests: Vec<_> = (0..20)
        .map(|_| {
            let mut sender = sender.clone();
            tokio::spawn(async move {
                let uri = format!("https://{NAME}/api/v1/alerts");
                let request = hyper::Request::builder().uri(uri).body(axum::body::Body::empty()).unwrap();
                sender.send_request(request).await.unwrap().status()
            })
        })
        .collect();
    for request in requests {
        assert_eq!(request.await.unwrap(), 401);
    }
    // It is closed like any other that does nothing.
    tokio::time::timeout(Duration::from_secs(20), task)
        .await
        .expect("an idle connection stays")
        .unwrap()
        .unwrap();
    drop(sender);
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_handshake_is_closed_in_time() {
    let directory = tempfile::tempdir().unwrap();
    set_up(directory.path());
    let collector = start_set_up(directory.path()).await;
    let mut silent = tokio::net::TcpStream::connect(collector.http).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut silent, &[0x16, 3, 1, 0xff]).await.unwrap();
    let mut buffer = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut silent, &mut buffer);
    let _ = tokio::time::timeout(Duration::from_secs(20), read).await.expect("it stays open");
    let limit = sentinel_collector::http::HttpLimit::HeaderTimeout;
    eventually("it is counted", || async { collector.metrics.http.limited(limit) == 1 }).await;
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_read_at_sighup_and_a_broken_one_refused() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    set_up(data);
    let collector = start_set_up(data).await;
    let client = Client::new(data, collector.http);
    let served = || async {
        let stream = client.connect(ALL_VERSIONS, &[]).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].clone()
    };
    let (certificate, key) = (data.join("certs/server.crt"), data.join("certs/server.key"));
    let first = served().await;
    let authority = Authority::load(&std::fs::read_to_string(data.join("certs/ca.key")).unwrap()).unwrap();
    let renewed = authority.issue(&[NAME.to_owned()], clock::now()).unwrap();
    let long_ago = sentinel_units::Timestamp::from_parts(clock::now().as_secs() - 900 * 86_400, 0);
    let expired = authority.issue(&[NAME.to_owned()], long_ago).unwrap();
    let good_key = std::fs::read_to_string(&key).unwrap();
    let good = std::fs::read_to_string(&certificate).unwrap();
    for (text, key_text, reason) in [
        ("", &good_key, "holds no certificate"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &good_key, "server.crt"),
        (&renewed.certificate, &good_key, "cannot be used together"),
        (&expired.certificate, &expired.key, "expired"),
        (&good, &String::from("no key"), "server.key is no PEM"),
    ] {
        std::fs::write(&certificate, text).unwrap();
        std::fs::write(&key, key_text).unwrap();
        collector.reload();
        let log = log_text(data);
        let last = log.lines().last().unwrap();
        assert!(last.contains("the new certificate is refused") && last.contains(reason), "{reason}: {last}");
        assert_eq!(served().await, first, "{reason}");
    }
    std::fs::write(&certificate, &renewed.certificate).unwrap();
    std::fs::write(&key, &renewed.key).unwrap();
    collector.reload();
    assert_ne!(served().await, first);
    assert!(log_text(data).lines().last().unwrap().contains(&renewed.fingerprint.to_string()));
    collector.stop().await;
}

#[test]
fn a_key_that_every_user_can_read_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    set_up(directory.path());
    let path = |name: &str| directory.path().join("certs").join(name);
    std::fs::set_permissions(path("server.key"), std::fs::Permissions::from_mode(0o604)).unwrap();
    let error =
        Tls::load(CertificateFiles { certificate: path("server.crt"), key: path("server.key") }).unwrap_err();
    assert!(error.to_string().contains("mode 0604"), "{error}");
}

#[test]
fn the_authority_signs_for_its_own_names_only() {
    let (authority, issued) = Authority::generate(&[NAME.to_owned()], clock::now()).unwrap();
    let foreign = authority.issue(&["bank.example".to_owned()], clock::now()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    roots.add(CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let verifier =
        rustls::client::WebPkiServerVerifier::builder_with_provider(std::sync::Arc::new(roots), provider)
            .build()
            .unwrap();
    let verify = |text: &str, name: &str| {
        use rustls::client::danger::ServerCertVerifier as _;
        let certificate = CertificateDer::from_pem_slice(text.as_bytes()).unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        verifier.verify_server_cert(&certificate, &[], &name, &[], UnixTime::now()).map(drop)
    };
    let own = authority.issue(&[NAME.to_owned()], clock::now()).unwrap();
    assert!(verify(&own.certificate, NAME).is_ok());
    assert!(verify(&foreign.certificate, "bank.example").is_err());
    for wrong in ["", "a b", "*.example", "-a", "a..b", "1.2.3", "https://a", &"a".repeat(64)] {
        assert!(Authority::generate(&[wrong.to_owned()], clock::now()).is_err(), "{wrong}");
    }
}
