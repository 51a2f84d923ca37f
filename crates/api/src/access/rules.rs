//! What a request needs: the whole table of who may do what.
//!
//! A path that isn't named here needs credentials, so a new route is closed until somebody opens it.

use actix_web::http::Method;

use super::scopes::Scope;

/// What a request needs to be let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing, and nobody counts it: a probe must not be refused because others ask too often.
    Probe,
    /// Nothing.
    Open,
    /// What the settings say: a caller who may ask questions, or nothing; nobody counts it.
    Metrics,
    /// A caller who may do this.
    Scope(Scope),
}

impl Need {
    /// What a request needs that has this method, path (as the router reads it, decoded) and query.
    #[must_use]
    pub fn of(method: &Method, path: &str, query: &str) -> Self {
        match path {
            "/health" | "/health/live" | "/health/ready" => Self::Probe,
            "/metrics" => Self::Metrics,
            "/openapi.json" | "/redoc" | "/swagger" => Self::Open,
            _ if path.starts_with("/swagger/") || path.starts_with("/redoc/") => Self::Open,
            _ if path == "/admin" || path.starts_with("/admin/") => Self::Scope(Scope::Admin),
            _ if is_question(method, path, query) => Self::Scope(Scope::Read),
            _ => Self::Scope(Scope::Write),
        }
    }
}

/// Whether a request changes nothing. A dry run is one only where the query can't be read in another way.
fn is_question(method: &Method, path: &str, query: &str) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
        || (method == Method::POST && path == "/api/v1/inventory/availability")
        || (method == Method::POST && path == "/api/v1/orders" && query == "dry_run=true")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_request_needs() {
        for (request, need) in [
            ("GET /health", Need::Probe),
            ("GET /health/ready", Need::Probe),
            ("GET /openapi.json", Need::Open),
            ("GET /swagger", Need::Open),
            ("GET /swagger/index.html", Need::Open),
            ("GET /redoc", Need::Open),
            ("GET /redoc/redoc.js", Need::Open),
            ("GET /metrics", Need::Metrics),
            ("GET /admin/log", Need::Scope(Scope::Admin)),
            ("POST /admin/projections/stock_levels/rebuild", Need::Scope(Scope::Admin)),
            ("GET /api/v1/stock", Need::Scope(Scope::Read)),
            ("HEAD /api/v1/events", Need::Scope(Scope::Read)),
            ("POST /api/v1/inventory/availability", Need::Scope(Scope::Read)),
            ("POST /api/v1/inventory/stock", Need::Scope(Scope::Write)),
            ("POST /api/v1/orders?dry_run=true", Need::Scope(Scope::Read)),
            ("POST /api/v1/orders?dry_run=false", Need::Scope(Scope::Write)),
            ("POST /api/v1/orders?dry_run=true&dry_run=false", Need::Scope(Scope::Write)),
            ("POST /api/v1/orders/x/commit?dry_run=true", Need::Scope(Scope::Write)),
            ("DELETE /anything", Need::Scope(Scope::Write)),
            ("GET /nothing", Need::Scope(Scope::Read)),
            ("GET /healthy", Need::Scope(Scope::Read)),
            ("GET /health/x", Need::Scope(Scope::Read)),
            ("GET /swaggerish", Need::Scope(Scope::Read)),
            ("GET //admin/log", Need::Scope(Scope::Read)),
        ] {
            let (method, target) = request.split_once(' ').unwrap();
            let (path, query) = target.split_once('?').unwrap_or((target, ""));
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            assert_eq!(Need::of(&method, path, query), need, "{request}");
        }
    }
}
