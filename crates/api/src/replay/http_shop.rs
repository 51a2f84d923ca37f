//! The shop behind a URL.

use std::time::Duration;

use async_trait::async_trait;
use awc::http::header::{ACCEPT, HeaderMap, RETRY_AFTER};
use awc::http::uri::Scheme;
use awc::http::{StatusCode, Uri};
use awc::{Client, ClientRequest, Connector, SendClientRequest};
use inventory_domain::{CustomerId, Level, OrderId, ProductId, Quantity, Reason, ReservationId, StockId, StoreId};
use serde::{Deserialize, Serialize, Serializer};
use thiserror::Error;
use uuid::Uuid;

use super::shop::{Shop, ShopError};

/// Connections for each basket in flight: its lines are asked for side by side.
const CONNECTIONS_A_BASKET: usize = 4;

/// The most connections; a process may often have no more than 1,024 files open.
const CONNECTIONS_MAX: usize = 512;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Longer than a server lets a command wait before it says that it is overloaded.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// An idle connection is closed after this time: before a server closes it, while a request may be on its way.
const IDLE_MAX: Duration = Duration::from_secs(4);

/// A connection is used for as long as a replay may take.
const CONNECTION_AGE_MAX: Duration = Duration::from_hours(1);

/// The largest answer that is read.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// How long to wait where others keep winning the race for a stock.
const CONTENDED_RETRY_AFTER: Duration = Duration::from_millis(50);

/// Refusals of a stock that are no conflict.
const OTHER_REFUSALS: [(StatusCode, &str); 2] =
    [(StatusCode::NOT_FOUND, "reservation-not-found"), (StatusCode::UNPROCESSABLE_ENTITY, "exceeds-reservation")];

/// Asks a running server, over connections that are kept open.
pub struct HttpShop {
    client: Client,
    connections: usize,
    stock: Uri,
    reserve: Uri,
    commit: Uri,
    release: Uri,
    products: String,
}

/// A URL that no server of this service can be at.
#[derive(Debug, Error)]
#[error("{url} is no base URL such as http://127.0.0.1:8080: {problem}")]
pub struct BaseUrlError {
    url: String,
    problem: String,
}

impl HttpShop {
    /// A shop at `base_url`, which is what comes before `/api`, with connections for so many baskets at a time.
    ///
    /// # Errors
    ///
    /// [`BaseUrlError`] unless it is an `http` URL with a host. There is no TLS in here.
    pub fn new(base_url: &str, baskets_in_flight: usize) -> Result<Self, BaseUrlError> {
        let wrong = |problem: String| BaseUrlError { url: base_url.to_owned(), problem };
        let base: Uri = base_url.parse().map_err(|error| wrong(format!("{error}")))?;
        if base.scheme() != Some(&Scheme::HTTP) {
            return Err(wrong("it has to start with http://".to_owned()));
        }
        if base.query().is_some() {
            return Err(wrong("it has a query".to_owned()));
        }
        let inventory = format!("{}/api/v1/inventory", base_url.trim_end_matches('/'));
        let path = |path| format!("{inventory}/{path}").parse::<Uri>().map_err(|error| wrong(error.to_string()));
        let connections = baskets_in_flight.saturating_mul(CONNECTIONS_A_BASKET).clamp(1, CONNECTIONS_MAX);
        let connector = Connector::new()
            .limit(connections)
            .timeout(CONNECT_TIMEOUT)
            .conn_keep_alive(IDLE_MAX)
            .conn_lifetime(CONNECTION_AGE_MAX);
        let client = Client::builder().connector(connector).timeout(ANSWER_TIMEOUT).disable_redirects().finish();
        Ok(Self {
            client,
            connections,
            stock: path("stock")?,
            reserve: path("reserve")?,
            commit: path("commit")?,
            release: path("release")?,
            products: format!("{inventory}/products"),
        })
    }

    async fn post<T: Serialize>(&self, uri: &Uri, body: &T) -> Result<Vec<u8>, ShopError> {
        answer(&format!("POST {}", uri.path()), with_headers(self.client.post(uri)).send_json(body)).await
    }
}

#[async_trait(?Send)]
impl Shop for HttpShop {
    fn operations_max(&self) -> usize {
        self.connections
    }

    async fn level(&self, stock_id: StockId) -> Result<Option<Level>, ShopError> {
        let StockId { product_id, store_id } = stock_id;
        let url = format!("{}/{product_id}/stores/{store_id}", self.products);
        match answer(&format!("GET {url}"), with_headers(self.client.get(url.as_str())).send()).await {
            Ok(body) => {
                let LevelAnswer { total, reserved, version } = read("GET of a level", &body)?;
                Ok(Some(Level { quantity: total, reserved, version }))
            }
            Err(ShopError::Refused(reason)) if reason == "stock-not-found" => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn add(&self, stock_id: StockId, quantity: Quantity, reason: &Reason) -> Result<(), ShopError> {
        let stock = StockBody::of(stock_id);
        self.post(&self.stock, &AddBody { stock, quantity: quantity.units(), reason: reason.as_str() }).await?;
        Ok(())
    }

    async fn reserve(
        &self,
        stock_id: StockId,
        quantity: Quantity,
        customer_id: CustomerId,
    ) -> Result<ReservationId, ShopError> {
        let stock = StockBody::of(stock_id);
        let body = self.post(&self.reserve, &ReserveBody { stock, quantity: quantity.units(), customer_id }).await?;
        let ReserveAnswer { reservation_id } = read("POST of a reservation", &body)?;
        let uuid = Uuid::try_parse(reservation_id).map_err(|error| ShopError::Failed(Box::new(error)))?;
        Ok(ReservationId::new(uuid))
    }

    async fn commit(
        &self,
        stock_id: StockId,
        reservation_id: ReservationId,
        order_id: OrderId,
    ) -> Result<(), ShopError> {
        self.post(&self.commit, &CommitBody { stock: StockBody::of(stock_id), reservation_id, order_id }).await?;
        Ok(())
    }

    async fn release(
        &self,
        stock_id: StockId,
        reservation_id: ReservationId,
        reason: &Reason,
    ) -> Result<(), ShopError> {
        let stock = StockBody::of(stock_id);
        self.post(&self.release, &ReleaseBody { stock, reservation_id, reason: reason.as_str() }).await?;
        Ok(())
    }
}

/// The members that every body has.
#[derive(Serialize)]
struct StockBody {
    #[serde(serialize_with = "as_text")]
    product_id: ProductId,
    #[serde(serialize_with = "as_text")]
    store_id: StoreId,
}

impl StockBody {
    fn of(StockId { product_id, store_id }: StockId) -> Self {
        Self { product_id, store_id }
    }
}

#[derive(Serialize)]
struct AddBody<'a> {
    #[serde(flatten)]
    stock: StockBody,
    quantity: u64,
    reason: &'a str,
}

#[derive(Serialize)]
struct ReserveBody {
    #[serde(flatten)]
    stock: StockBody,
    quantity: u64,
    #[serde(serialize_with = "as_text")]
    customer_id: CustomerId,
}

#[derive(Serialize)]
struct CommitBody {
    #[serde(flatten)]
    stock: StockBody,
    #[serde(serialize_with = "as_text")]
    reservation_id: ReservationId,
    #[serde(serialize_with = "as_text")]
    order_id: OrderId,
}

#[derive(Serialize)]
struct ReleaseBody<'a> {
    #[serde(flatten)]
    stock: StockBody,
    #[serde(serialize_with = "as_text")]
    reservation_id: ReservationId,
    reason: &'a str,
}

#[derive(Deserialize)]
struct LevelAnswer {
    total: u64,
    reserved: u64,
    version: u64,
}

#[derive(Deserialize)]
struct ReserveAnswer<'a> {
    #[serde(borrow)]
    reservation_id: &'a str,
}

/// Problem details, as far as they matter here.
#[derive(Default, Deserialize)]
struct ProblemAnswer {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    detail: String,
}

fn as_text<T: std::fmt::Display, S: Serializer>(id: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

fn with_headers(request: ClientRequest) -> ClientRequest {
    request.insert_header((ACCEPT, "application/json"))
}

/// The body of a success; read to its end, so that the connection can be used again.
async fn answer(asked: &str, request: SendClientRequest) -> Result<Vec<u8>, ShopError> {
    let broken = |error: &dyn std::fmt::Display| ShopError::Failed(format!("{asked}: {error}").into());
    let mut response = request.await.map_err(|error| broken(&error))?;
    let body = response.body().limit(ANSWER_BYTES_MAX).await.map_err(|error| broken(&error))?;
    if response.status().is_success() {
        return Ok(body.into());
    }
    Err(no(asked, response.status(), response.headers(), &body))
}

/// What an answer means that is no success.
fn no(asked: &str, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ShopError {
    let ProblemAnswer { kind, detail } = serde_json::from_slice(body).unwrap_or_default();
    let slug = kind.rsplit('/').next().unwrap_or_default();
    let said = format!("{asked} was answered with {status} {slug} {detail}");
    if let Some(wait) = headers.get(RETRY_AFTER)
        && matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS)
    {
        let seconds = wait.to_str().ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(1);
        return ShopError::Busy { retry_after: Duration::from_secs(seconds), detail: said };
    }
    match slug {
        "concurrency-conflict" => ShopError::Busy { retry_after: CONTENDED_RETRY_AFTER, detail: said },
        "stock-not-found" => ShopError::Refused(slug.to_owned()),
        "" => ShopError::Failed(said.into()),
        _ if status == StatusCode::CONFLICT || OTHER_REFUSALS.contains(&(status, slug)) => {
            ShopError::Refused(slug.to_owned())
        }
        _ => ShopError::Failed(said.into()),
    }
}

fn read<'a, T: Deserialize<'a>>(asked: &str, body: &'a [u8]) -> Result<T, ShopError> {
    serde_json::from_slice(body)
        .map_err(|error| ShopError::Failed(format!("{asked}: the answer can't be read: {error}").into()))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU32, Ordering};

    use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
    use serde_json::{Value, json};

    use super::*;
    use crate::progress::Progress;
    use crate::replay::plan::tests::plan;
    use crate::replay::{ReplayError, replay_plan};

    const RESERVATION: &str = "00000000-0000-7000-8000-000000000009";

    #[actix_web::test]
    async fn every_call_has_the_path_and_the_body_of_the_contract() {
        let server = Server::start(|request, _| match request.path() {
            "/api/v1/inventory/reserve" => {
                HttpResponse::Created().json(json!({ "reservation_id": RESERVATION, "version": 2 }))
            }
            path if path.contains("/stores/") => {
                HttpResponse::Ok().json(json!({ "available": 3, "reserved": 2, "total": 5, "version": 7, "more": [] }))
            }
            _ => HttpResponse::Ok().json(json!({ "message": "ok" })),
        });
        let shop = HttpShop::new(&format!("{}/", server.url), 1).unwrap();
        let reason = Reason::new("why \"so\"").unwrap();
        let (two, customer) = (Quantity::new(2).unwrap(), CustomerId::from_u128(3));
        assert_eq!(shop.level(STOCK).await.unwrap(), Some(Level { quantity: 5, reserved: 2, version: 7 }));
        shop.add(STOCK, two, &reason).await.unwrap();
        let reservation = shop.reserve(STOCK, two, customer).await.unwrap();
        assert_eq!(reservation.to_string(), RESERVATION);
        shop.commit(STOCK, reservation, OrderId::from_u128(4)).await.unwrap();
        shop.release(STOCK, reservation, &reason).await.unwrap();
        let id = |number| format!("00000000-0000-0000-0000-00000000000{number}");
        let body = |more: Value| {
            let mut body = json!({ "product_id": id(1), "store_id": id(2) });
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            body
        };
        let expected = [
            (format!("GET /api/v1/inventory/products/{}/stores/{}", id(1), id(2)), Value::Null),
            ("POST /api/v1/inventory/stock".into(), body(json!({ "quantity": 2, "reason": "why \"so\"" }))),
            ("POST /api/v1/inventory/reserve".into(), body(json!({ "quantity": 2, "customer_id": id(3) }))),
            ("POST /api/v1/inventory/commit".into(), body(json!({ "reservation_id": RESERVATION, "order_id": id(4) }))),
            (
                "POST /api/v1/inventory/release".into(),
                body(json!({ "reservation_id": RESERVATION, "reason": "why \"so\"" })),
            ),
        ];
        assert_eq!(server.asked(), expected);
    }

    #[actix_web::test]
    async fn answers_are_told_apart() {
        for (status, problem, retry_after, then) in [
            (409, "/problems/insufficient-stock", None, "refused: insufficient-stock"),
            (409, "https://example.com/problems/reservation-expired", None, "refused: reservation-expired"),
            (404, "/problems/reservation-not-found", None, "refused: reservation-not-found"),
            (422, "/problems/exceeds-reservation", None, "refused: exceeds-reservation"),
            (409, "/problems/concurrency-conflict", None, "busy for 50 ms"),
            (503, "/problems/overloaded", Some("2"), "busy for 2000 ms"),
            (503, "/problems/unavailable", Some("Wed, 21 Oct 2026 07:28:00 GMT"), "busy for 1000 ms"),
            (429, "/problems/rate-limited", Some("1"), "busy for 1000 ms"),
            (503, "/problems/unavailable", None, "failed"),
            (504, "/problems/outcome-unknown", None, "failed"),
            (404, "/problems/not-found", None, "failed"),
            (422, "/problems/invalid-request", None, "failed"),
            (401, "", None, "failed"),
            (302, "", None, "failed"),
            (500, "about:blank", None, "failed"),
        ] {
            let server = Server::start(move |_, _| {
                let mut response = HttpResponse::build(StatusCode::from_u16(status).unwrap());
                if let Some(seconds) = retry_after {
                    response.insert_header((RETRY_AFTER, seconds));
                }
                response.content_type("application/problem+json").body(json!({ "type": problem }).to_string())
            });
            let shop = HttpShop::new(&server.url, 1).unwrap();
            let said = match shop.add(STOCK, Quantity::new(1).unwrap(), &Reason::new("x").unwrap()).await.unwrap_err() {
                ShopError::Busy { retry_after, .. } => format!("busy for {} ms", retry_after.as_millis()),
                ShopError::Failed(_) => "failed".to_owned(),
                refused @ ShopError::Refused(_) => refused.to_string(),
            };
            assert_eq!(said, then, "{status} {problem}");
        }
    }

    #[actix_web::test]
    async fn a_stock_that_nobody_has_filled_has_no_level() {
        let server =
            Server::start(|_, _| HttpResponse::NotFound().json(json!({ "type": "/problems/stock-not-found" })));
        assert_eq!(HttpShop::new(&server.url, 1).unwrap().level(STOCK).await.unwrap(), None);
    }

    #[actix_web::test]
    async fn an_overload_is_waited_out() {
        let calls = AtomicU32::new(0);
        let server = Server::start(move |request, _| {
            if calls.fetch_add(1, Ordering::SeqCst).is_multiple_of(3) {
                let problem = json!({ "type": "/problems/overloaded" });
                return HttpResponse::ServiceUnavailable().insert_header((RETRY_AFTER, "0")).json(problem);
            }
            let level = json!({ "available": 0, "reserved": 0, "total": 0, "version": 1 });
            if request.path().contains("/stores/") {
                HttpResponse::Ok().json(level)
            } else {
                HttpResponse::Created().json(json!({ "reservation_id": RESERVATION }))
            }
        });
        let shop = HttpShop::new(&server.url, 2).unwrap();
        let report = replay_plan(&shop, &plan("1 10x1 11x1; 2 10x1"), 2, Progress::hidden()).await.unwrap();
        assert!(report.is_clean() && report.retries >= 4, "{report}");
    }

    #[actix_web::test]
    async fn a_server_that_is_not_there_stops_the_replay() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let shop = HttpShop::new(&format!("http://{free}"), 1).unwrap();
        let error = replay_plan(&shop, &plan("1 10x1"), 1, Progress::hidden()).await.unwrap_err();
        assert!(matches!(error, ReplayError::Shop { cause: ShopError::Failed(_), .. }), "{error:?}");
    }

    #[test]
    fn a_base_url_that_can_not_be_is_refused() {
        for (url, named) in [
            ("https://127.0.0.1:8080", "it has to start with http://"),
            ("127.0.0.1:8080", "it has to start with http://"),
            ("/api", "it has to start with http://"),
            ("http://127.0.0.1:8080/?x=1", "it has a query"),
            ("http://", ""),
            ("", ""),
        ] {
            let error = HttpShop::new(url, 1).err().unwrap_or_else(|| panic!("{url}")).to_string();
            assert!(error.contains(named), "{url}: {error}");
        }
    }

    const STOCK: StockId = StockId { product_id: ProductId::from_u128(1), store_id: StoreId::from_u128(2) };

    /// A server that answers what it is told to, and keeps what it was asked.
    struct Server {
        url: String,
        asked: web::Data<Mutex<Vec<(String, Value)>>>,
    }

    impl Server {
        fn start(answer: impl Fn(HttpRequest, &Value) -> HttpResponse + Send + Sync + 'static) -> Self {
            let asked = web::Data::new(Mutex::new(Vec::new()));
            let (answer, asked_here) = (web::Data::new(answer), asked.clone());
            let server = HttpServer::new(move || {
                let (answer, asked) = (answer.clone(), asked_here.clone());
                App::new().default_service(web::to(move |request: HttpRequest, body: web::Bytes| {
                    let body = serde_json::from_slice(&body).unwrap_or_default();
                    let response = answer(request.clone(), &body);
                    asked.lock().unwrap().push((format!("{} {}", request.method(), request.path()), body));
                    async { response }
                }))
            });
            let server = server.workers(1).disable_signals().bind(("127.0.0.1", 0)).unwrap();
            let url = format!("http://{}", server.addrs()[0]);
            actix_web::rt::spawn(server.run());
            Self { url, asked }
        }

        fn asked(&self) -> Vec<(String, Value)> {
            self.asked.lock().unwrap().clone()
        }
    }
}
