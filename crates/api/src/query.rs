//! Query parameters: every one is known, and stands there once.

use actix_web::HttpRequest;
use actix_web::web::Query;
use inventory_application::{Freshness, Position};
use inventory_domain::Timestamp;
use uuid::Uuid;

use crate::problem::Problem;

/// What every question takes: which events have to be in the answer, or that all have to be that are acknowledged.
const FRESHNESS: [&str; 2] = ["min_position", "consistency"];

/// What a question about one thing takes besides: the version that it has to be at.
pub const MIN_VERSION: &str = "min_version";

/// How an answer may be asked for: from the read side, or with all that is acknowledged.
pub const CONSISTENCY: [(&str, bool); 2] = [("eventual", false), ("strong", true)];

/// The parameters of one request.
#[derive(Debug, Default)]
pub struct QueryParameters(Vec<(String, String)>);

impl QueryParameters {
    /// The parameters of this request, each of which has to be in `known`.
    ///
    /// # Errors
    ///
    /// A problem that names one that is unknown or there twice.
    pub fn of(request: &HttpRequest, known: &[&str]) -> Result<Self, Problem> {
        if request.query_string().is_empty() {
            return Ok(Self::default());
        }
        let pairs = Query::<Vec<(String, String)>>::from_query(request.query_string())
            .map_err(|_| Problem::invalid_field("", "the query can't be read"))?
            .into_inner();
        for (place, (name, _)) in pairs.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                return Err(Problem::invalid_field(name, "unknown query parameter"));
            }
            if pairs[..place].iter().any(|(other, _)| other == name) {
                return Err(Problem::invalid_field(name, "must be given once"));
            }
        }
        Ok(Self(pairs))
    }

    /// The parameters of a question, each of which has to be in `known` or say how fresh the answer has to be.
    ///
    /// # Errors
    ///
    /// As [`QueryParameters::of`], and a problem where what they say of that can't be.
    pub fn of_question(request: &HttpRequest, known: &[&str]) -> Result<(Self, Freshness), Problem> {
        if request.query_string().is_empty() {
            return Ok((Self::default(), Freshness::ANY));
        }
        let query = Self::of(request, &[known, &FRESHNESS].concat())?;
        let number = |name| Ok::<_, Problem>(query.number(name, 0, i64::MAX.unsigned_abs())?.unwrap_or(0));
        let consistency = query.choice("consistency", &CONSISTENCY)?;
        let freshness = Freshness {
            min_position: Position(number("min_position")?),
            min_version: number(MIN_VERSION)?,
            is_strong: consistency.unwrap_or(false),
        };
        Ok((query, freshness))
    }

    /// The parameter with this name.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The parameter with this name, as a number from `least` to `most`.
    ///
    /// # Errors
    ///
    /// A problem that names it when it is something else.
    pub fn number(&self, name: &str, least: u64, most: u64) -> Result<Option<u64>, Problem> {
        let is_plain = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit());
        let number = |text: &str| {
            let number = Some(text).filter(is_plain)?.parse().ok();
            number.filter(|number| (least..=most).contains(number))
        };
        let refused = || Problem::invalid_field(name, format!("must be a number from {least} to {most}"));
        self.text(name).map(|text| number(text).ok_or_else(refused)).transpose()
    }

    /// The parameter with this name, as a UUID.
    ///
    /// # Errors
    ///
    /// A problem that names it when it is something else.
    pub fn uuid(&self, name: &str) -> Result<Option<Uuid>, Problem> {
        let refused = |_| Problem::invalid_field(name, "must be a UUID");
        self.text(name).map(|text| Uuid::try_parse(text).map_err(refused)).transpose()
    }

    /// The parameter with this name, as `true` or `false`; false when it is missing.
    ///
    /// # Errors
    ///
    /// A problem that names it when it is something else.
    pub fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.text(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Problem::invalid_field(name, "must be true or false")),
        }
    }

    /// The parameter with this name, as an RFC 3339 time.
    ///
    /// # Errors
    ///
    /// A problem that names it when it is something else.
    pub fn moment(&self, name: &str) -> Result<Option<Timestamp>, Problem> {
        let refused = || Problem::invalid_field(name, "must be an RFC 3339 time, such as 2026-01-31T12:00:00Z");
        self.text(name).map(|text| crate::moment::parse(text).ok_or_else(refused)).transpose()
    }

    /// The parameter with this name, as one of the names of `choices`.
    ///
    /// # Errors
    ///
    /// A problem that names it and the choices when it is something else.
    pub fn choice<T: Copy>(&self, name: &str, choices: &[(&str, T)]) -> Result<Option<T>, Problem> {
        let refused = || {
            let names: Vec<_> = choices.iter().map(|(choice, _)| *choice).collect();
            Problem::invalid_field(name, format!("must be one of {}", names.join(", ")))
        };
        let choose = |text: &str| choices.iter().find(|(choice, _)| *choice == text).map(|(_, value)| *value);
        self.text(name).map(|text| choose(text).ok_or_else(refused)).transpose()
    }
}
