//! To the receiver: OTLP over HTTP, in batches, by a thread of its own.

use super::Counts;
use opentelemetry_otlp::{SpanExporter as OtlpExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanExporter, SpanProcessor,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Spans that wait for the receiver at most.
const QUEUE: usize = 16_384;
const BATCH: usize = 512;
const DELAY: Duration = Duration::from_secs(1);
/// For one request.
const PATIENCE: Duration = Duration::from_secs(5);

/// The receiver's address cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("traces cannot go to {endpoint}: {problem}")]
pub struct TraceError {
    endpoint: String,
    problem: String,
}

/// Counts what becomes of spans, and tells once when the receiver fails and when it is back.
#[derive(Debug)]
pub struct Exporter {
    otlp: OtlpExporter,
    endpoint: String,
    counts: Arc<Counts>,
    is_failing: AtomicBool,
}

impl Exporter {
    pub fn to(endpoint: &str, counts: Arc<Counts>) -> Result<Exporter, TraceError> {
        let endpoint = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
        let builder = OtlpExporter::builder().with_http();
        let built = builder.with_endpoint(&endpoint).with_timeout(PATIENCE).build();
        match built {
            Ok(otlp) => Ok(Exporter { otlp, endpoint, counts, is_failing: AtomicBool::new(false) }),
            Err(error) => Err(TraceError { endpoint, problem: error.to_string() }),
        }
    }
}

pub fn processor(exporter: Exporter) -> BatchSpanProcessor {
    let config = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUE)
        .with_max_export_batch_size(BATCH)
        .with_scheduled_delay(DELAY)
        .build();
    let mut processor = BatchSpanProcessor::new(exporter, config);
    let resource = Resource::builder_empty().with_service_name("pointsman");
    let version = opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    processor.set_resource(&resource.with_attribute(version).build());
    processor
}

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let n_spans = batch.len() as u64;
        let exported = self.otlp.export(batch).await;
        let was_failing = self.is_failing.swap(exported.is_err(), Ordering::Relaxed);
        let endpoint = &self.endpoint;
        match &exported {
            Ok(()) => {
                self.counts.exported.fetch_add(n_spans, Ordering::Relaxed);
                if was_failing {
                    tracing::info!(endpoint, "traces are taken again");
                }
            }
            Err(error) => {
                self.counts.failed.fetch_add(n_spans, Ordering::Relaxed);
                if !was_failing {
                    tracing::warn!(endpoint, %error, "traces are not taken; they are dropped until they are");
                }
            }
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.otlp.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.otlp.set_resource(resource);
    }
}
