//! What the node's health is made of.

use std::sync::Arc;

use inventory_projections::RunnerStatus;
use inventory_resilience::{BreakerState, CircuitBreaker};

use crate::health::{Health, Part, PartCondition};
use crate::opened_store::StoreControl;
use crate::server::Drain;

/// The health of the node: what its parts say, each asked without waiting.
pub(super) fn health_of(
    drain: Drain,
    store: Arc<dyn StoreControl>,
    store_breaker: Arc<CircuitBreaker>,
    views_breaker: Arc<CircuitBreaker>,
    status: impl Fn() -> RunnerStatus + Send + Sync + 'static,
) -> Health {
    Health::new(
        drain,
        vec![
            part("event_store", move || match (store.is_poisoned(), store_breaker.state()) {
                (true, _) => PartCondition::Down("a write has failed, the file is being checked"),
                (false, BreakerState::Open) => PartCondition::Down("too many calls have failed"),
                (false, BreakerState::Closed | BreakerState::HalfOpen) => {
                    store.is_degraded().map_or(PartCondition::Fine, |problem| PartCondition::Degraded(problem.into()))
                }
            }),
            part("read_models", move || match views_breaker.state() {
                BreakerState::Open => PartCondition::Degraded("too many calls have failed".into()),
                BreakerState::Closed | BreakerState::HalfOpen => PartCondition::Fine,
            }),
            part("projections", move || {
                let status = status();
                let stopped = status.projections.iter().filter(|projection| !projection.is_running());
                let stopped: Vec<&str> = stopped.map(|projection| projection.name).collect();
                if !stopped.is_empty() {
                    PartCondition::Degraded(format!("{} can't go on", stopped.join(", ")).into())
                } else if status.failure.is_some() {
                    PartCondition::Degraded("the log or the read models can't be reached".into())
                } else {
                    PartCondition::Fine
                }
            }),
        ],
    )
}

fn part(name: &'static str, condition: impl Fn() -> PartCondition + Send + Sync + 'static) -> Part {
    Part { name, condition: Box::new(condition) }
}
