//! How much is logged.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::logging::levels::{Levels, LogPart};
use crate::settings::LogLevel;

/// How much is logged: of each part that is named, and of all others.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = LogLevels)]
pub struct LogLevelsBody {
    /// What is logged of parts that are not named.
    default: LogLevel,
    /// Parts with a level of their own.
    #[serde(default)]
    parts: BTreeMap<LogPart, LogLevel>,
}

impl From<LogLevelsBody> for Levels {
    fn from(body: LogLevelsBody) -> Self {
        Self { default: body.default, parts: body.parts }
    }
}

impl From<Levels> for LogLevelsBody {
    fn from(levels: Levels) -> Self {
        Self { default: levels.default, parts: levels.parts }
    }
}
