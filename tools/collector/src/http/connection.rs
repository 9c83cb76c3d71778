//! One connection: TLS if the listener has it, then HTTP/1.1 or HTTP/2 requests until the client, a limit or the end of the process
//! closes it.

use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::{http1, http2};
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::activity::{Activity, Peer, RequestGuard};
use super::connections::Admitted;
use super::stream::WatchedStream;
use super::{HttpLimit, HttpLimits, plain};
use crate::tls::HTTP_2;

/// Requests of one HTTP/2 connection at the same time.
const MAX_STREAMS: u32 = 32;

/// A connection and its limits.
pub(super) struct Session<'s> {
    pub(super) peer: SocketAddr,
    pub(super) limits: &'s HttpLimits,
    pub(super) router: Router,
    pub(super) stopping: watch::Receiver<bool>,
}

/// Polls a connection of hyper until it ends, a limit takes effect, or the process stops.
macro_rules! drive {
    ($connection:expr, $admitted:expr, $stopping:expr, $limits:expr, $is_idle_limited:expr) => {{
        let mut connection = pin!($connection);
        let activity = $admitted.activity.clone();
        let mut looks = tokio::time::interval($limits.header_timeout / 4);
        let (mut is_stopping, mut is_idle) = (false, false);
        loop {
            tokio::select! {
                result = connection.as_mut() => {
                    let ended = result.err().and_then(|error| limit_of(&error, &activity));
                    break if is_idle { Some(HttpLimit::IdleTimeout) } else { ended };
                }
                limit = &mut $admitted.close => break limit.ok(),
                _ = looks.tick(), if $is_idle_limited && !is_idle => {
                    let is_over = |since: Instant| since.elapsed() > $limits.header_timeout;
                    if activity.idle_since().is_some_and(is_over) {
                        connection.as_mut().graceful_shutdown();
                        is_idle = true;
                    }
                }
                _ = $stopping.wait_for(|stop| *stop), if !is_stopping => {
                    // Finishes the requests that are being answered, and takes no other.
                    connection.as_mut().graceful_shutdown();
                    is_stopping = true;
                }
            }
        }
    }};
}

/// Serves the requests of one connection. Returns the limit that ended it, if one did.
pub(super) async fn serve(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    admitted: &mut Admitted,
    session: Session<'_>,
) -> Option<HttpLimit> {
    let Some(tls) = tls else {
        let stream = WatchedStream::new(stream, admitted.activity.clone(), session.limits.write_timeout);
        return serve_http_1(stream, false, admitted, session).await;
    };
    let limits = session.limits;
    let activity = admitted.activity.clone();
    // Half a handshake costs what half a header costs, and makes room for another connection like it.
    let handshake = async {
        if plain::is_plain(&stream).await {
            plain::answer(stream).await;
            return None;
        }
        let stream = WatchedStream::new(stream, activity, limits.write_timeout);
        tls.accept(stream).await.ok()
    };
    let accepted = tokio::select! {
        accepted = tokio::time::timeout(limits.header_timeout, handshake) => accepted,
        limit = &mut admitted.close => return limit.ok(),
    };
    let Ok(accepted) = accepted else { return Some(HttpLimit::HeaderTimeout) };
    let stream = accepted?;
    if stream.get_ref().1.alpn_protocol() == Some(HTTP_2) {
        serve_http_2(stream, admitted, session).await
    } else {
        serve_http_1(stream, true, admitted, session).await
    }
}

async fn serve_http_1<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    is_encrypted: bool,
    admitted: &mut Admitted,
    session: Session<'_>,
) -> Option<HttpLimit> {
    let Session { peer, limits, router, mut stopping } = session;
    let answers = admitted.activity.clone();
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request: Request<Incoming>| {
        let (request, guard) = received(request, peer, is_encrypted, &answers);
        let answer = router.call(request);
        async move { answer.await.map(|response| tracked(response, guard)) }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(limits.header_bytes);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    drive!(connection, admitted, stopping, limits, false)
}

/// HTTP/2, which browsers speak over TLS only. An idle connection ends as one of HTTP/1.1 does, which hyper leaves to its caller
/// here; a stream that its client does not read is bounded by the time of its request.
async fn serve_http_2<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    admitted: &mut Admitted,
    session: Session<'_>,
) -> Option<HttpLimit> {
    let Session { peer, limits, router, mut stopping } = session;
    let answers = admitted.activity.clone();
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request: Request<Incoming>| {
        let (request, guard) = received(request, peer, true, &answers);
        let answer = router.call(request);
        async move { answer.await.map(|response| tracked(response, guard)) }
    });
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .keep_alive_interval(Some(limits.write_timeout))
        .keep_alive_timeout(limits.header_timeout);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    drive!(connection, admitted, stopping, limits, true)
}

fn received(
    mut request: Request<Incoming>,
    peer: SocketAddr,
    is_encrypted: bool,
    activity: &Activity,
) -> (Request<Incoming>, RequestGuard) {
    let guard = activity.begin_request();
    request.extensions_mut().insert(Peer::new(peer, is_encrypted, &guard));
    (request, guard)
}

/// The limit for which a connection failed; none if the client closed it or broke the protocol.
fn limit_of(error: &hyper::Error, activity: &Activity) -> Option<HttpLimit> {
    if activity.has_stalled() {
        return Some(HttpLimit::SlowReader);
    }
    error.is_timeout().then(|| activity.header_limit())
}

fn tracked(response: Response<Body>, guard: RequestGuard) -> Response<TrackedBody> {
    response.map(|body| TrackedBody { body, _guard: guard })
}

/// The body of an answer. The request counts as being served until it is dropped.
struct TrackedBody {
    body: Body,
    _guard: RequestGuard,
}

impl hyper::body::Body for TrackedBody {
    type Data = <Body as hyper::body::Body>::Data;
    type Error = <Body as hyper::body::Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
