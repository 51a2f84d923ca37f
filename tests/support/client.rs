//! A client that shows every answer as it is, whatever its status.

use std::time::Duration;

use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::{Method, Request};

use crate::id;

/// Talks to one service over kept connections.
#[derive(Clone, Debug)]
pub struct Client {
    agent: Agent,
    base: String,
}

/// An answer: its status, its headers and its body.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body as JSON; null where it has none.
    pub body: Value,
    /// The body as it came.
    pub text: String,
}

impl Answer {
    /// The header with this name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The status, with the end of the problem's type where it is one: `"201"`, `"409 insufficient-stock"`.
    #[must_use]
    pub fn summary(&self) -> String {
        match self.body["type"].as_str() {
            Some(kind) => format!("{} {}", self.status, kind.rsplit('/').next().unwrap_or(kind)),
            None => self.status.to_string(),
        }
    }

    /// Available and reserved units and the version, where the body is a level: `"2/3 v4"`.
    #[must_use]
    pub fn level(&self) -> String {
        let Value::Object(body) = &self.body else { return self.summary() };
        match (body.get("available"), body.get("reserved"), body.get("version")) {
            (Some(available), Some(reserved), Some(version)) => format!("{available}/{reserved} v{version}"),
            _ => self.summary(),
        }
    }
}

impl Client {
    /// A client that waits so long for an answer.
    pub(crate) fn new(base: String, patience: Duration) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(patience))
            .allow_non_standard_methods(true)
            .build();
        Self { agent: config.into(), base }
    }

    /// Sends a request with any body and headers; an error is a connection that broke.
    ///
    /// # Errors
    ///
    /// When no answer came.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer, ureq::Error> {
        let method = Method::from_bytes(method.as_bytes()).map_err(ureq::http::Error::from)?;
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = self.agent.run(request.body(body)?)?;
        let headers = response.headers().iter();
        let headers = headers.map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()));
        let (status, headers) = (response.status().as_u16(), headers.collect());
        let text = response.body_mut().read_to_string()?;
        Ok(Answer { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::Null), text })
    }

    /// Posts JSON to a path below `/api/v1/inventory`.
    ///
    /// # Errors
    ///
    /// When no answer came.
    pub fn try_post(&self, command: &str, body: &Value) -> Result<Answer, ureq::Error> {
        let json = [("content-type", "application/json")];
        self.send("POST", &format!("/api/v1/inventory/{command}"), &json, body.to_string().as_bytes())
    }

    /// Posts JSON to a path below `/api/v1/inventory`.
    ///
    /// # Panics
    ///
    /// When no answer came.
    #[must_use]
    pub fn post(&self, command: &str, body: &Value) -> Answer {
        self.try_post(command, body).unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// Posts JSON to a path below `/api/v1`, with these headers.
    ///
    /// # Panics
    ///
    /// When no answer came.
    #[must_use]
    pub fn post_with(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let mut all = vec![("content-type", "application/json")];
        all.extend(headers);
        let answer = self.send("POST", &format!("/api/v1{path}"), &all, body.to_string().as_bytes());
        answer.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Gets a path.
    ///
    /// # Panics
    ///
    /// When no answer came.
    #[must_use]
    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"").unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// The level of a product in a store, both by number.
    #[must_use]
    pub fn level(&self, product: u128, store: u128) -> Answer {
        self.get(&format!("/api/v1/inventory/products/{}/stores/{}", id(product), id(store)))
    }

    /// Adds units to a stock.
    #[must_use]
    pub fn add(&self, product: u128, store: u128, quantity: u64) -> Answer {
        let (product, store) = (id(product), id(store));
        self.post("stock", &json!({"product_id": product, "store_id": store, "quantity": quantity, "reason": "test"}))
    }

    /// Reserves units for customer 1.
    ///
    /// # Errors
    ///
    /// When no answer came.
    pub fn try_reserve(&self, product: u128, store: u128, quantity: u64) -> Result<Answer, ureq::Error> {
        let (product, store) = (id(product), id(store));
        let body = json!({"product_id": product, "store_id": store, "quantity": quantity, "customer_id": id(1)});
        self.try_post("reserve", &body)
    }
}
