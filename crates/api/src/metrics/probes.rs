//! Numbers that are kept elsewhere, and asked for when somebody looks.

use std::collections::HashMap;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

use super::Readings;

/// How a number moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// A metric that reads its numbers from somewhere.
pub(super) struct Probe {
    kind: Kind,
    label: Option<&'static str>,
    desc: Desc,
    read: Box<dyn Fn() -> Readings + Send + Sync>,
}

impl Probe {
    pub(super) fn new(
        kind: Kind,
        name: &str,
        help: &str,
        label: Option<&'static str>,
        read: impl Fn() -> Readings + Send + Sync + 'static,
    ) -> prometheus::Result<Self> {
        let labels = label.map(str::to_owned).into_iter().collect();
        let desc = Desc::new(name.to_owned(), help.to_owned(), labels, HashMap::new())?;
        Ok(Self { kind, label, desc, read: Box::new(read) })
    }

    fn metric(&self, value: &str, number: f64) -> Metric {
        let label = self.label.map(|name| {
            let mut pair = LabelPair::default();
            pair.set_name(name.to_owned());
            pair.set_value(value.to_owned());
            pair
        });
        let mut metric = Metric::from_label(label.into_iter().collect());
        match self.kind {
            Kind::Counter => {
                let mut counter = Counter::default();
                counter.set_value(number);
                metric.set_counter(counter);
            }
            Kind::Gauge => {
                let mut gauge = Gauge::default();
                gauge.set_value(number);
                metric.set_gauge(gauge);
            }
        }
        metric
    }
}

impl Collector for Probe {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut family = MetricFamily::default();
        family.set_name(self.desc.fq_name.clone());
        family.set_help(self.desc.help.clone());
        family.set_field_type(match self.kind {
            Kind::Counter => MetricType::COUNTER,
            Kind::Gauge => MetricType::GAUGE,
        });
        family.set_metric((self.read)().into_iter().map(|(value, number)| self.metric(value, number)).collect());
        vec![family]
    }
}
