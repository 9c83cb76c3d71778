//! State of the handlers: the use cases, and the limits of HTTP clients.

use std::sync::Arc;

use axum::extract::FromRef;

use super::body_cache::BodyCache;
use super::idempotency::Idempotency;
use crate::http::{AddressLimiter, HttpLimit, HttpLimits};
use crate::service::Service;

/// State of the handlers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ApiState {
    pub(super) service: Service,
    /// Event streams that are open.
    pub(super) streams: AddressLimiter,
    /// Searches that run or wait. How many run is limited by the service, for all transports.
    pub(super) searches: AddressLimiter,
    /// Answers that show every sensor: the list, and the metrics.
    pub(super) sensor_list: BodyCache,
    pub(super) sensor_metrics: BodyCache,
    /// Answers to requests with an `Idempotency-Key`.
    pub(super) idempotency: Idempotency,
}

impl ApiState {
    pub(super) fn new(service: Service, limits: &HttpLimits) -> Self {
        let per_address = (limits.streams_per_address, HttpLimit::StreamsPerAddress);
        let streams = AddressLimiter::new((limits.streams, HttpLimit::Streams), per_address);
        let per_address = (limits.searches_per_address, HttpLimit::SearchesPerAddress);
        let searches = AddressLimiter::new((limits.connections, HttpLimit::Searches), per_address);
        let (sensor_list, sensor_metrics) = (BodyCache::default(), BodyCache::default());
        let idempotency = Idempotency::new(Arc::clone(&service.metrics.http));
        Self { service, streams, searches, sensor_list, sensor_metrics, idempotency }
    }
}

impl FromRef<ApiState> for Service {
    fn from_ref(state: &ApiState) -> Self {
        state.service.clone()
    }
}
