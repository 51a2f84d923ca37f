//! Whether the node can do its work, and what of it can't.

use std::borrow::Cow;

use serde::Serialize;
use utoipa::ToSchema;

use crate::server::Drain;

/// How one part of the node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartCondition {
    /// It does its work.
    Fine,
    /// It doesn't, and the node serves all the same; says why, in words that may be shown to anybody.
    Degraded(Cow<'static, str>),
    /// It doesn't, and the node can't serve without it; says why likewise.
    Down(&'static str),
}

/// A part of the node, and how to ask it.
pub struct Part {
    /// The part's name.
    pub name: &'static str,
    /// Asks it, without waiting.
    pub condition: Box<dyn Fn() -> PartCondition + Send + Sync>,
}

/// The parts of the node.
pub struct Health {
    drain: Drain,
    parts: Vec<Part>,
}

/// How the node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// All parts do their work.
    Ready,
    /// It serves, but not all parts do their work.
    Degraded,
    /// Nothing should be asked of it.
    NotReady,
}

/// What is told about the node.
#[derive(Debug, Serialize, ToSchema)]
pub struct Report {
    /// How the node is.
    #[serde(rename = "status")]
    pub condition: Condition,
    /// The parts that don't do their work, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<PartProblem>,
}

/// A part that doesn't do its work.
#[derive(Debug, Serialize, ToSchema)]
pub struct PartProblem {
    /// The part's name.
    pub part: &'static str,
    /// Why it doesn't.
    pub problem: Cow<'static, str>,
}

impl Health {
    /// The health of a node with these parts.
    #[must_use]
    pub fn new(drain: Drain, parts: Vec<Part>) -> Self {
        Self { drain, parts }
    }

    /// The parts.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Asks every part.
    #[must_use]
    pub fn report(&self) -> Report {
        let mut report = Report { condition: Condition::Ready, problems: Vec::new() };
        if self.drain.is_draining() {
            report.condition = Condition::NotReady;
            report.problems.push(PartProblem { part: "server", problem: "is going down".into() });
        }
        for part in &self.parts {
            let (condition, problem) = match (part.condition)() {
                PartCondition::Fine => continue,
                PartCondition::Degraded(problem) => (Condition::Degraded, problem),
                PartCondition::Down(problem) => (Condition::NotReady, problem.into()),
            };
            if report.condition != Condition::NotReady {
                report.condition = condition;
            }
            report.problems.push(PartProblem { part: part.name, problem });
        }
        report
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_as_well_as_its_worst_part() {
        let (degraded, down) = (PartCondition::Degraded("lags".into()), PartCondition::Down("is gone"));
        for (parts, expected) in [
            (vec![], Condition::Ready),
            (vec![PartCondition::Fine], Condition::Ready),
            (vec![PartCondition::Fine, degraded.clone()], Condition::Degraded),
            (vec![down.clone(), degraded.clone()], Condition::NotReady),
            (vec![degraded, down], Condition::NotReady),
        ] {
            let part = |condition: PartCondition| Part { name: "part", condition: Box::new(move || condition.clone()) };
            let health = Health::new(Drain::default(), parts.into_iter().map(part).collect());
            assert_eq!(health.report().condition, expected);
        }
    }
}
