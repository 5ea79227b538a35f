//! Metrics in the Prometheus text format.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();

/// The one recorder of this process, installed by the first call.
pub(crate) fn metrics() -> PrometheusHandle {
    HANDLE
        .get_or_init(|| {
            let recorder = PrometheusBuilder::new().build_recorder();
            let handle = recorder.handle();
            if metrics::set_global_recorder(recorder).is_err() {
                tracing::warn!("another metrics recorder is installed; /metrics stays empty");
            }
            metrics::describe_counter!("tam_requests_total", "TEEP requests by subject and HTTP status");
            metrics::describe_histogram!("tam_exchange_seconds", "Time to answer a TEEP request in seconds");
            metrics::describe_counter!("tam_api_requests_total", "REST requests by HTTP status");
            handle
        })
        .clone()
}
