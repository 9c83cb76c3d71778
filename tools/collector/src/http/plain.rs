//! The answer to a client that speaks HTTP without TLS where TLS is spoken: which address is right, instead of bytes that it cannot
//! read.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// First byte of a TLS connection: a record of the type handshake (RFC 8446 section 5.1).
const HANDSHAKE: u8 = 0x16;
/// Time for the client to read the answer and close.
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);
/// Bytes of the client that are read and dropped meanwhile.
const MAX_LINGER_BYTES: u64 = 32 * 1024;

const BODY: &str = "{\"allowed\":[\"https://\"],\"error\":\"this address speaks HTTPS only\"}\n";

/// Returns true if the first byte is a letter, as methods of HTTP begin. Waits for it.
pub(super) async fn is_plain(stream: &TcpStream) -> bool {
    let mut first = [HANDSHAKE];
    matches!(stream.peek(&mut first).await, Ok(1)) && first.iter().all(u8::is_ascii_uppercase)
}

/// Answers `400` and closes, as [`super::rejection`] does.
pub(super) async fn answer(mut stream: TcpStream) {
    let length = BODY.len();
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         cache-control: no-store\r\nconnection: close\r\n\r\n{BODY}"
    );
    let exchange = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        tokio::io::copy(&mut (&mut stream).take(MAX_LINGER_BYTES), &mut tokio::io::sink()).await
    };
    // The client has the answer or does not want it: nothing to do about an error.
    let _ = tokio::time::timeout(LINGER_TIMEOUT, exchange).await;
}
