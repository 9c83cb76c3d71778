//! The page: files compiled into the program, nothing from any other host.
//!
//! Needs nothing of the interface it reads: any router can serve it. The source is `tools/collector/web`, `bundle` is made from it.
//! Scripts and styles are named by the hash of their content, compressed, and never change under their name; documents are read
//! anew each time. Text that comes from a sensor becomes a text node of the page, never markup.

use std::io::Read as _;

use axum::Router;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use flate2::read::GzDecoder;
use sentinel_alert::Kind;

const HTML: &str = "text/html; charset=utf-8";
/// A year, the longest that caches take (RFC 9111 section 1.2.1).
const IMMUTABLE: &str = "private, max-age=31536000, immutable";

/// One file that is named by the hash of its content.
struct Asset {
    path: &'static str,
    media_type: &'static str,
    gzip: &'static [u8],
}

const ASSETS: &[Asset] = include!("bundle/files.rs");

/// Routes of the page, for a router with any state.
pub fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let index = include_str!("bundle/index.html").replace("{kinds}", &kinds());
    let documents = Router::new()
        .route("/", get(move || async move { ([(header::CONTENT_TYPE, HTML)], index) }))
        .route("/login", get(|| document(include_str!("bundle/login.html"))))
        .route("/start", get(|| document(include_str!("bundle/start.html"))));
    ASSETS.iter().fold(documents, |router, asset| {
        router.route(asset.path, get(move |headers: HeaderMap| async move { serve(asset, &headers) }))
    })
}

async fn document(body: &'static str) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, HTML)], body)
}

fn serve(asset: &Asset, headers: &HeaderMap) -> Response {
    let fixed = [
        (header::CONTENT_TYPE, HeaderValue::from_static(asset.media_type)),
        (header::CACHE_CONTROL, HeaderValue::from_static(IMMUTABLE)),
        (header::VARY, HeaderValue::from_static("accept-encoding")),
    ];
    if takes_gzip(headers) {
        return (fixed, [(header::CONTENT_ENCODING, "gzip")], asset.gzip).into_response();
    }
    match unpacked(asset) {
        Ok(body) => (fixed, body).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(), // `every_asset_unpacks` keeps it from happening
    }
}

/// The file for clients that take no compression: browsers all do.
fn unpacked(asset: &Asset) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    GzDecoder::new(asset.gzip).read_to_end(&mut body)?;
    Ok(body)
}

/// True if the client names `gzip`, and not with the weight 0 (RFC 9110 section 12.5.3).
fn takes_gzip(headers: &HeaderMap) -> bool {
    let lists = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|item| {
        let (name, weight) = item.split_once(';').unwrap_or((item, "q=1"));
        let weight = weight.trim().strip_prefix("q=").and_then(|number| number.trim().parse::<f32>().ok());
        name.trim().eq_ignore_ascii_case("gzip") && weight.is_some_and(|weight| weight > 0.0)
    })
}

/// Titles and techniques of the kinds of alerts, by name, as JSON in the document. All are constants of the program: letters, digits,
/// spaces, dots, hyphens and underscores, so that neither JSON nor HTML needs to escape them.
fn kinds() -> String {
    let members =
        Kind::ALL.map(|kind| format!("\"{}\":[\"{}\",\"{}\"]", kind.name(), kind.title(), kind.technique()));
    format!("{{{}}}", members.join(","))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn accepting(text: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(text));
        headers
    }

    #[test]
    fn compression_is_used_where_it_is_taken() {
        for text in ["gzip", "deflate, GZIP;q=0.5", "br,gzip"] {
            assert!(takes_gzip(&accepting(text)), "{text}");
        }
        for text in ["", "br", "gzip;q=0", "gzip;q=0.0, br", "xgzip", "gzip;level=9"] {
            assert!(!takes_gzip(&accepting(text)), "{text}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn every_asset_unpacks_and_all_of_them_fit() {
        for asset in ASSETS {
            assert!(!unpacked(asset).unwrap().is_empty(), "{}", asset.path);
        }
        let documents = [
            include_str!("bundle/index.html"),
            include_str!("bundle/login.html"),
            include_str!("bundle/start.html"),
        ];
        let size = ASSETS.iter().map(|asset| asset.gzip.len()).sum::<usize>()
            + documents.iter().map(|document| document.len()).sum::<usize>();
        assert!(size <= 150 * 1024, "{size} bytes");
    }

    #[test]
    fn documents_name_files_that_exist() {
        for document in [
            include_str!("bundle/index.html"),
            include_str!("bundle/login.html"),
            include_str!("bundle/start.html"),
        ] {
            let named: Vec<&str> = document
                .split('"')
                .filter(|text| text.starts_with('/') && !text.starts_with("/api/") && text.contains('.'))
                .collect();
            assert!(named.len() >= 3, "{named:?}");
            for path in named {
                assert!(ASSETS.iter().any(|asset| asset.path == path), "{path}");
            }
        }
    }

    /// Every kind has texts: what happened, why it may be harmless, what to do next.
    #[test]
    fn every_kind_is_explained() {
        let texts: Value = serde_json::from_str(include_str!("../../web/src/kinds.json")).unwrap();
        for kind in Kind::ALL {
            for part in ["what", "harmless", "todo"] {
                let text = texts[kind.name()][part].as_str().unwrap_or_default();
                assert!(text.ends_with('.') || text.ends_with('?'), "{kind}: {part}: {text:?}");
            }
        }
        let named: Value = serde_json::from_str(&kinds()).unwrap();
        assert_eq!(named["port_scan"], serde_json::json!(["Port scan", "T1046"]));
        assert!(!kinds().contains('<'));
    }
}
