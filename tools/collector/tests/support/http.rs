//! HTTP client.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::WAIT_TIMEOUT;

/// Status and body of `GET path`.
pub(crate) async fn get(http: SocketAddr, path: &str) -> (u16, String) {
    request(http, &format!("GET {path} HTTP/1.0\r\nHost: {http}\r\n\r\n")).await
}

pub(crate) async fn get_json(http: SocketAddr, path: &str) -> (u16, serde_json::Value) {
    let (status, body) = get(http, path).await;
    (status, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}")))
}

pub(crate) async fn request(http: SocketAddr, text: &str) -> (u16, String) {
    let (status, _, body) = request_with_headers(http, text).await;
    (status, body)
}

pub(crate) async fn request_with_headers(http: SocketAddr, text: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(http).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(WAIT_TIMEOUT, stream.read_to_string(&mut answer)).await.expect("no answer").unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_lowercase(), body.into())
}

/// The value of one line of the metrics.
pub(crate) async fn metric(http: SocketAddr, line: &str) -> Option<String> {
    let (status, body) = get(http, "/metrics").await;
    assert_eq!(status, 200, "{body}");
    body.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(' ').map(str::to_owned))
}

/// A connection from `from`, an address of the loopback network, that takes few bytes at a time.
pub(crate) async fn connect_from(from: [u8; 4], http: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    socket.bind(SocketAddr::from((from, 0))).unwrap();
    socket.connect(http).await.unwrap()
}

/// Status and body of a request on `stream`, which the server closes.
pub(crate) async fn exchange(stream: &mut TcpStream, text: &str) -> (u16, String) {
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(WAIT_TIMEOUT, stream.read_to_string(&mut answer)).await.expect("no answer").unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.into())
}

/// Times that `limit` took effect.
pub(crate) async fn limited(http: SocketAddr, limit: &str) -> u64 {
    let line = format!("sentinel_collector_http_limited_total{{limit=\"{limit}\"}}");
    metric(http, &line).await.unwrap().parse().unwrap()
}
