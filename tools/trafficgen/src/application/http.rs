//! HTTP/1.1 messages.
//!
//! Read first: RFC 9112.

/// The port of plain HTTP.
pub const PORT: u16 = 80;

/// Request of a browser, without a body.
#[must_use]
pub fn request(method: &str, host: &str, target: &str) -> Vec<u8> {
    format!(
        "{method} {target} HTTP/1.1\r\nHost: {host}\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
         Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\n\
         Accept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\n\r\n"
    )
    .into_bytes()
}

/// Response of a server with `body`.
#[must_use]
pub fn response(status: &str, content_type: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\nServer: nginx\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\
         Connection: keep-alive\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_end_with_an_empty_line() {
        let request = String::from_utf8(request("GET", "example.net", "/")).unwrap();
        assert!(
            request.starts_with("GET / HTTP/1.1\r\nHost: example.net\r\n") && request.ends_with("\r\n\r\n")
        );
        let response = String::from_utf8(response("200 OK", "text/plain", b"hi")).unwrap();
        assert!(response.contains("\r\nContent-Length: 2\r\n") && response.ends_with("\r\n\r\nhi"));
    }
}
