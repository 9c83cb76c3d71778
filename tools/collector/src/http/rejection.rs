//! The answer to a connection for which there is no place.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::HttpLimit;

/// Body of the answer, as JSON.
pub type RejectionBody = fn(HttpLimit) -> String;

/// Time for the client to read the answer and close.
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);
/// Bytes of the client that are read and dropped meanwhile.
const MAX_LINGER_BYTES: u64 = 32 * 1024;

/// Answers `503` and closes.
///
/// Reads what the client sends until it closes: closing a socket with unread bytes resets the connection, and the client
/// would see an error instead of the answer (RFC 9112 section 9.6).
pub(super) async fn reject(mut stream: TcpStream, body: &str) {
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         retry-after: 1\r\ncache-control: no-store\r\nconnection: close\r\n\r\n{body}"
    );
    let exchange = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        let mut unread = (&mut stream).take(MAX_LINGER_BYTES);
        tokio::io::copy(&mut unread, &mut tokio::io::sink()).await
    };
    // The client has the answer or does not want it: nothing to do about an error.
    let _ = tokio::time::timeout(LINGER_TIMEOUT, exchange).await;
}
