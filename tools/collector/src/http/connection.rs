//! One connection: HTTP/1.1 requests until the client, a limit or the end of the process closes it.

use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::activity::{Activity, Peer, RequestGuard};
use super::connections::Admitted;
use super::stream::WatchedStream;
use super::{HttpLimit, HttpLimits};

/// Serves the requests of one connection. Returns the limit that ended it, if one did.
///
/// HTTP/1.1 only: browsers do not speak HTTP/2 without TLS, and its streams would be a second place to limit.
pub(super) async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    admitted: &mut Admitted,
    limits: &HttpLimits,
    router: Router,
    mut stopping: watch::Receiver<bool>,
) -> Option<HttpLimit> {
    let activity = admitted.activity.clone();
    let io = TokioIo::new(WatchedStream::new(stream, activity.clone(), limits.write_timeout));
    let router = TowerToHyperService::new(router);
    let answers = activity.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        let guard = answers.begin_request();
        request.extensions_mut().insert(Peer::new(peer, answers.clone()));
        let answer = router.call(request);
        async move { answer.await.map(|response| tracked(response, guard)) }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(limits.header_bytes);
    let mut connection = pin!(builder.serve_connection(io, service));
    let mut is_stopping = false;
    loop {
        tokio::select! {
            result = connection.as_mut() => return result.err().and_then(|error| limit_of(&error, &activity)),
            limit = &mut admitted.close => return limit.ok(),
            _ = stopping.wait_for(|stop| *stop), if !is_stopping => {
                // Finishes the request that is being answered, and takes no other.
                connection.as_mut().graceful_shutdown();
                is_stopping = true;
            }
        }
    }
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
