//! A step that has gone wrong, written so that it can be done once more, alone.

use std::fmt;
use std::str::FromStr;

use crate::fault::{Aim, Fault, How};
use crate::power_cut::Survival;

/// The variable that asks for one step alone.
pub const ONLY: &str = "INVENTORY_FAULTS_ONLY";

/// One step of a campaign: `Changes:17:Tears`, `Reads:4:Fails`, `Power:17:Nothing`, `Power:17:3` with the seed of what is left, or
/// `Forgets:17:40:3` with the sync, the step and the look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// An operation fails.
    Fault(Fault),
    /// A sync fails, the process is killed, and at the next start the kernel forgets what the sync has left.
    Forgets {
        /// Which sync, from 1 on.
        sync: u64,
        /// After so many steps the process is killed.
        steps: usize,
        /// At which look, from 1 on, it is forgotten.
        look: u64,
    },
    /// The power goes.
    PowerCut {
        /// After so many steps.
        steps: usize,
        /// What is left.
        survival: Survival,
    },
}

impl Again {
    /// What was wrong, and how to see it again.
    #[must_use]
    pub fn told(self, problem: &str) -> String {
        format!("{self}: {problem}\nthis test does only this step with {ONLY}={self}")
    }

    /// That the step was asked for, and the campaign was over before it.
    #[must_use]
    pub fn never_came(self) -> String {
        format!("{self} never came: this campaign is over before it, or another test was meant")
    }
}

impl fmt::Display for Again {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault(Fault { aim, nth, how }) => write!(out, "{aim:?}:{nth}:{how:?}"),
            Self::Forgets { sync, steps, look } => write!(out, "Forgets:{sync}:{steps}:{look}"),
            Self::PowerCut { steps, survival: Survival::Some(seed) } => write!(out, "Power:{steps}:{seed}"),
            Self::PowerCut { steps, survival } => write!(out, "Power:{steps}:{survival:?}"),
        }
    }
}

impl FromStr for Again {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = || {
            let mut parts = text.split(':');
            let (kind, number, rest) = (parts.next()?, parts.next()?, parts.next()?);
            let fault = |aim| {
                let how = How::ALL.into_iter().find(|how| format!("{how:?}") == rest)?;
                Some(Self::Fault(Fault { aim, nth: number.parse().ok()?, how }))
            };
            match kind {
                "Changes" => fault(Aim::Changes),
                "Reads" => fault(Aim::Reads),
                "Forgets" => {
                    let (sync, steps) = (number.parse().ok()?, rest.parse().ok()?);
                    Some(Self::Forgets { sync, steps, look: parts.next()?.parse().ok()? })
                }
                "Power" => {
                    let survival = match rest {
                        "Nothing" => Survival::Nothing,
                        "Everything" => Survival::Everything,
                        seed => Survival::Some(seed.parse().ok()?),
                    };
                    Some(Self::PowerCut { steps: number.parse().ok()?, survival })
                }
                _ => None,
            }
        };
        parsed().ok_or_else(|| format!("{text} is no step, such as Changes:17:Tears or Power:17:Nothing"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_read_as_it_was_told() {
        for text in ["Changes:17:Tears", "Reads:4:Fails", "Power:17:Nothing", "Power:9:4294967305", "Forgets:3:40:7"] {
            assert_eq!(text.parse::<Again>().unwrap().to_string(), text);
        }
        for text in
            ["", "Changes:17", "Forgets:3:40", "Changes:x:Tears", "Changes:17:Bends", "Power:17:", "Else:1:Fails"]
        {
            assert!(text.parse::<Again>().is_err(), "{text}");
        }
    }
}
