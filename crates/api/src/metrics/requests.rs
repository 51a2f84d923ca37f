//! How long requests take, by route, method and class of status.
//!
//! Each worker counts for itself, in memory that no other worker writes to, so that two of them never wait for the same cache
//! line; whoever looks adds up.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::http::{Method, StatusCode};
use prometheus::IntCounterVec;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Histogram, LabelPair, Metric, MetricFamily, MetricType};

const NAME: &str = "inventory_http_request_duration_seconds";
const HELP: &str = "From the head of a request to the head of its answer, by route, method and class of status.";
const LABELS: [&str; 3] = ["route", "method", "status"];

/// The upper bounds of the buckets, in microseconds: close enough together for a p99 at 100 us as well as at 1 s.
const BOUNDS_US: [u64; 17] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000,
];

/// Methods by name; the last one stands for all others, of which a client can invent as many as it likes.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "other"];

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// What stands for the route where none matches.
pub const NO_ROUTE: &str = "unmatched";

/// The requests of all workers.
pub(super) struct RequestMetrics {
    series: Mutex<Vec<Arc<Series>>>,
}

/// The requests of one worker on one route, with one method and one class of status.
struct Series {
    route: Arc<str>,
    method: usize,
    class: usize,
    /// Requests up to each bound, and more than the last one; not cumulated.
    counts: [AtomicU64; BOUNDS_US.len() + 1],
    sum_ns: AtomicU64,
}

impl Series {
    fn observe(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let place = BOUNDS_US.partition_point(|bound| *bound < micros);
        self.counts[place].fetch_add(1, Ordering::Relaxed);
        self.sum_ns.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl RequestMetrics {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { series: Mutex::default() })
    }

    fn add(&self, route: &Arc<str>, method: usize, class: usize) -> Arc<Series> {
        let counts = std::array::from_fn(|_| AtomicU64::new(0));
        let series = Arc::new(Series { route: Arc::clone(route), method, class, counts, sum_ns: AtomicU64::new(0) });
        self.series.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&series));
        series
    }

    /// What all workers have counted, by route, method and class.
    fn sums(&self) -> BTreeMap<(Arc<str>, usize, usize), Sum> {
        let mut sums: BTreeMap<_, Sum> = BTreeMap::new();
        for series in &*self.series.lock().unwrap_or_else(PoisonError::into_inner) {
            let sum = sums.entry((Arc::clone(&series.route), series.method, series.class)).or_default();
            for (total, count) in sum.counts.iter_mut().zip(&series.counts) {
                *total += count.load(Ordering::Relaxed);
            }
            sum.nanos += series.sum_ns.load(Ordering::Relaxed);
        }
        sums
    }
}

#[derive(Default)]
struct Sum {
    counts: [u64; BOUNDS_US.len() + 1],
    nanos: u64,
}

impl Sum {
    fn histogram(&self) -> Histogram {
        let mut cumulated = 0;
        let buckets = BOUNDS_US.iter().zip(self.counts).map(|(bound, count)| {
            cumulated += count;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(Duration::from_micros(*bound).as_secs_f64());
            bucket.set_cumulative_count(cumulated);
            bucket
        });
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(self.counts.iter().sum());
        histogram.set_sample_sum(Duration::from_nanos(self.nanos).as_secs_f64());
        histogram
    }
}

/// Adds up when somebody looks.
pub(super) struct RequestCollector {
    desc: Desc,
    requests: Arc<RequestMetrics>,
}

impl RequestCollector {
    pub(super) fn of(requests: Arc<RequestMetrics>) -> prometheus::Result<Self> {
        let labels = LABELS.map(str::to_owned).to_vec();
        Ok(Self { desc: Desc::new(NAME.to_owned(), HELP.to_owned(), labels, HashMap::new())?, requests })
    }
}

impl Collector for RequestCollector {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut family = MetricFamily::default();
        family.set_name(self.desc.fq_name.clone());
        family.set_help(self.desc.help.clone());
        family.set_field_type(MetricType::HISTOGRAM);
        let metrics = self.requests.sums().into_iter().map(|((route, method, class), sum)| {
            // In the order of their names, as everything is in this format.
            let labels = [("method", METHODS[method]), ("route", &*route), ("status", CLASSES[class])];
            let mut metric = Metric::from_label(labels.map(|(name, value)| label(name, value)).to_vec());
            metric.set_histogram(sum.histogram());
            metric
        });
        family.set_metric(metrics.collect());
        vec![family]
    }
}

fn label(name: &str, value: &str) -> LabelPair {
    let mut label = LabelPair::default();
    label.set_name(name.to_owned());
    label.set_value(value.to_owned());
    label
}

/// Where one worker takes down its requests; it stays on the worker's thread.
pub struct WorkerMetrics {
    requests: Arc<RequestMetrics>,
    problems: IntCounterVec,
    routes: RefCell<HashMap<Arc<str>, Route>>,
}

/// The series of a route by method and class, as far as they were needed.
type Route = [[Option<Arc<Series>>; CLASSES.len()]; METHODS.len()];

impl WorkerMetrics {
    pub(super) fn of(requests: Arc<RequestMetrics>, problems: IntCounterVec) -> Self {
        Self { requests, problems, routes: RefCell::default() }
    }

    /// A request was answered.
    pub fn answered(&self, route: &str, method: &Method, status: StatusCode, took: Duration) {
        let method = METHODS.iter().position(|known| *known == method.as_str()).unwrap_or(METHODS.len() - 1);
        let class = (usize::from(status.as_u16()) / 100).clamp(1, CLASSES.len()) - 1;
        let mut routes = self.routes.borrow_mut();
        if let Some(series) = routes.get(route).and_then(|route| route[method][class].as_ref()) {
            series.observe(took);
            return;
        }
        let name: Arc<str> = route.into();
        let series = self.requests.add(&name, method, class);
        series.observe(took);
        routes.entry(name).or_default()[method][class] = Some(series);
    }

    /// An answer told of this problem.
    pub fn problem(&self, slug: &str) {
        self.problems.with_label_values(&[slug]).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn workers_count_for_themselves_and_whoever_looks_adds_up() {
        let metrics = Metrics::new().unwrap();
        let workers = [metrics.worker(), metrics.worker()];
        for worker in &workers {
            worker.answered("/a/{b}", &Method::GET, StatusCode::OK, Duration::from_micros(50));
            worker.answered("/a/{b}", &Method::GET, StatusCode::OK, Duration::from_micros(51));
            worker.answered("/a/{b}", &Method::GET, StatusCode::NOT_FOUND, Duration::from_secs(11));
        }
        let text = metrics.text().unwrap();
        for line in [
            r#"inventory_http_request_duration_seconds_bucket{method="GET",route="/a/{b}",status="2xx",le="0.00005"} 2"#,
            r#"inventory_http_request_duration_seconds_bucket{method="GET",route="/a/{b}",status="2xx",le="0.0001"} 4"#,
            r#"inventory_http_request_duration_seconds_count{method="GET",route="/a/{b}",status="2xx"} 4"#,
            r#"inventory_http_request_duration_seconds_sum{method="GET",route="/a/{b}",status="2xx"} 0.000202"#,
            r#"inventory_http_request_duration_seconds_bucket{method="GET",route="/a/{b}",status="4xx",le="10"} 0"#,
            r#"inventory_http_request_duration_seconds_bucket{method="GET",route="/a/{b}",status="4xx",le="+Inf"} 2"#,
        ] {
            assert!(text.lines().any(|one| one == line), "{line} in {text}");
        }
    }

    #[test]
    fn a_method_that_a_client_has_made_up_makes_no_series_of_its_own() {
        let metrics = Metrics::new().unwrap();
        let worker = metrics.worker();
        for name in ["BREW", "WHEN"] {
            let method = Method::from_bytes(name.as_bytes()).unwrap();
            worker.answered(NO_ROUTE, &method, StatusCode::NOT_FOUND, Duration::ZERO);
        }
        let text = metrics.text().unwrap();
        let counts: Vec<_> = text.lines().filter(|line| line.contains("request_duration_seconds_count")).collect();
        assert_eq!(
            counts,
            [r#"inventory_http_request_duration_seconds_count{method="other",route="unmatched",status="4xx"} 2"#]
        );
    }
}
