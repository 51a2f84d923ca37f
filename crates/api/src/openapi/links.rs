//! Ways from an answer to what a client may do next.

use serde_json::{Map, Value};
use utoipa::openapi::link::{Link, LinkBuilder};

/// What a client may do next, with values of the answer: the operation's id and what it is for.
pub(super) fn next(operation: &'static str, text: &'static str) -> Next {
    Next { operation, text, parameters: Vec::new(), body: Map::new() }
}

/// A way from an answer to another operation.
pub(super) struct Next {
    operation: &'static str,
    text: &'static str,
    parameters: Vec<&'static str>,
    body: Map<String, Value>,
}

impl Next {
    /// With these members of the answer as parameters of the same names.
    pub(super) fn parameters(mut self, names: &[&'static str]) -> Self {
        self.parameters.extend(names);
        self
    }

    /// With these members of the answer as fields of the same names.
    pub(super) fn fields(mut self, names: &[&str]) -> Self {
        self.body.extend(names.iter().map(|name| ((*name).to_owned(), member(name))));
        self
    }

    /// With this field.
    pub(super) fn field(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.body.insert(name.to_owned(), value.into());
        self
    }

    /// The name of the way: the operation's.
    pub(super) fn name(&self) -> &'static str {
        self.operation
    }

    pub(super) fn link(self) -> Link {
        let link = LinkBuilder::new().operation_id(self.operation).description(self.text);
        let link = self.parameters.iter().fold(link, |link, name| link.parameter(*name, member(name)));
        let body = Some(self.body).filter(|body| !body.is_empty());
        link.request_body(body).build()
    }
}

/// A member of the answer.
fn member(name: &str) -> Value {
    format!("$response.body#/{name}").into()
}
