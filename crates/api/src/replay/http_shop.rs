//! The shop behind a URL; `bodies` has the JSON that goes to and fro.

mod bodies;

use std::time::Duration;

use async_trait::async_trait;
use awc::http::header::{ACCEPT, HeaderMap, RETRY_AFTER};
use awc::http::uri::Scheme;
use awc::http::{StatusCode, Uri};
use awc::{Client, ClientRequest, Connector, SendClientRequest};
use inventory_domain::order::Place;
use inventory_domain::{CustomerId, Level, OrderId, Quantity, Reason, ReservationId, StockId};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use self::bodies::{
    AddBody, CommitBody, LevelAnswer, OrderAnswer, PlaceBody, ProblemAnswer, ReleaseBody, ReleaseOrderBody,
    ReserveAnswer, ReserveBody, StockBody,
};
use super::shop::{Restocked, Shop, ShopError, ShopOrder};
use crate::request_key::{IDEMPOTENCY_KEY, IDEMPOTENT_REPLAYED, IdempotencyKey};

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

/// Refusals that are no conflict.
const OTHER_REFUSALS: [(StatusCode, &str); 5] = [
    (StatusCode::NOT_FOUND, "stock-not-found"),
    (StatusCode::NOT_FOUND, "reservation-not-found"),
    (StatusCode::NOT_FOUND, "order-not-found"),
    (StatusCode::UNPROCESSABLE_ENTITY, "exceeds-reservation"),
    (StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused"),
];

/// Asks a running server, over connections that are kept open.
pub struct HttpShop {
    client: Client,
    connections: usize,
    stock: Uri,
    reserve: Uri,
    commit: Uri,
    release: Uri,
    products: String,
    place: Uri,
    orders: String,
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
        let api = format!("{}/api/v1", base_url.trim_end_matches('/'));
        let path = |path| format!("{api}/{path}").parse::<Uri>().map_err(|error| wrong(error.to_string()));
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
            stock: path("inventory/stock")?,
            reserve: path("inventory/reserve")?,
            commit: path("inventory/commit")?,
            release: path("inventory/release")?,
            products: format!("{api}/inventory/products"),
            place: path("orders")?,
            orders: format!("{api}/orders"),
        })
    }

    async fn post<T: Serialize>(&self, uri: &Uri, body: &T) -> Result<Vec<u8>, ShopError> {
        let asked = format!("POST {}", uri.path());
        Ok(answer(&asked, with_headers(self.client.post(uri)).send_json(body)).await?.body)
    }

    /// What a GET of `url` answers; `None` where it says `missing`.
    async fn get(&self, url: &str, missing: &str) -> Result<Option<Vec<u8>>, ShopError> {
        match answer(&format!("GET {url}"), with_headers(self.client.get(url)).send()).await {
            Ok(answered) => Ok(Some(answered.body)),
            Err(ShopError::Refused(reason)) if reason == missing => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn close_order<T: Serialize>(&self, order_id: OrderId, how: &str, body: &T) -> Result<(), ShopError> {
        let url = format!("{}/{order_id}/{how}", self.orders);
        answer(&format!("POST {url}"), with_headers(self.client.post(url.as_str())).send_json(body)).await?;
        Ok(())
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
        let Some(body) = self.get(&url, "stock-not-found").await? else { return Ok(None) };
        let LevelAnswer { total, reserved, version } = read("GET of a level", &body)?;
        Ok(Some(Level { quantity: total, reserved, version }))
    }

    async fn add(&self, stock_id: StockId, quantity: Quantity, reason: &Reason) -> Result<(), ShopError> {
        self.post(&self.stock, &AddBody::new(stock_id, quantity, reason)).await?;
        Ok(())
    }

    async fn restock(
        &self,
        key: &IdempotencyKey,
        stock_id: StockId,
        quantity: Quantity,
        reason: &Reason,
    ) -> Result<Restocked, ShopError> {
        let request = with_headers(self.client.post(&self.stock)).insert_header((IDEMPOTENCY_KEY, key.as_str()));
        let body = AddBody::new(stock_id, quantity, reason);
        let answered = answer(&format!("POST {}", self.stock.path()), request.send_json(&body)).await?;
        Ok(if answered.is_repeat { Restocked::Before } else { Restocked::Now })
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

    async fn order(&self, order_id: OrderId) -> Result<Option<ShopOrder>, ShopError> {
        let asked = "GET of an order";
        let Some(body) = self.get(&format!("{}/{order_id}", self.orders), "order-not-found").await? else {
            return Ok(None);
        };
        let order = read::<OrderAnswer<'_>>(asked, &body)?.into_order();
        order.map(Some).map_err(|field| unreadable(asked, &format!("no order has such {field}")))
    }

    async fn place_order(&self, order_id: OrderId, place: &Place) -> Result<(), ShopError> {
        self.post(&self.place, &PlaceBody::new(order_id, place)).await?;
        Ok(())
    }

    async fn commit_order(&self, order_id: OrderId) -> Result<(), ShopError> {
        self.close_order(order_id, "commit", &serde_json::json!({})).await
    }

    async fn release_order(&self, order_id: OrderId, reason: &Reason) -> Result<(), ShopError> {
        self.close_order(order_id, "release", &ReleaseOrderBody { reason: reason.as_str() }).await
    }
}

fn with_headers(request: ClientRequest) -> ClientRequest {
    request.insert_header((ACCEPT, "application/json"))
}

/// A success.
struct Answered {
    body: Vec<u8>,
    /// Whether it is the answer to an earlier request under the same key.
    is_repeat: bool,
}

/// The answer, if it is a success; read to its end, so that the connection can be used again.
async fn answer(asked: &str, request: SendClientRequest) -> Result<Answered, ShopError> {
    let broken = |error: &dyn std::fmt::Display| ShopError::Failed(format!("{asked}: {error}").into());
    let mut response = request.await.map_err(|error| broken(&error))?;
    let body = response.body().limit(ANSWER_BYTES_MAX).await.map_err(|error| broken(&error))?;
    if response.status().is_success() {
        let is_repeat = response.headers().contains_key(IDEMPOTENT_REPLAYED);
        return Ok(Answered { body: body.into(), is_repeat });
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
        "" => ShopError::Failed(said.into()),
        _ if status == StatusCode::CONFLICT || OTHER_REFUSALS.contains(&(status, slug)) => {
            ShopError::Refused(slug.to_owned())
        }
        _ => ShopError::Failed(said.into()),
    }
}

fn read<'a, T: Deserialize<'a>>(asked: &str, body: &'a [u8]) -> Result<T, ShopError> {
    serde_json::from_slice(body).map_err(|error| unreadable(asked, &error))
}

fn unreadable(asked: &str, problem: &dyn std::fmt::Display) -> ShopError {
    ShopError::Failed(format!("{asked}: the answer can't be read: {problem}").into())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU32, Ordering};

    use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
    use inventory_domain::order::{OrderLine, OrderLines, OrderStatus};
    use inventory_domain::{HoldFor, ProductId, StoreId};
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
    async fn every_call_about_an_order_has_the_path_and_the_body_of_the_contract() {
        let id = |number| format!("00000000-0000-0000-0000-00000000000{number}");
        let line = json!({ "product_id": id(1), "store_id": id(2), "quantity": 2 });
        let mut answered = line.clone();
        answered["reservation_id"] = json!(RESERVATION);
        let order = json!({ "order_id": id(4), "customer_id": id(3), "state": "released", "ttl_minutes": 30,
            "expires_at": "2017-01-01T12:30:00Z", "placed_at": "2017-01-01T12:00:00Z", "lines": [answered], "version": 2 });
        let shown = order.clone();
        let server = Server::start(move |request, _| match request.path().rsplit('/').next() {
            Some("orders") => HttpResponse::Created().json(&order),
            Some(last) if last.ends_with('5') => {
                HttpResponse::NotFound().json(json!({ "type": "/problems/order-not-found" }))
            }
            _ => HttpResponse::Ok().json(&order),
        });
        let shop = HttpShop::new(&server.url, 1).unwrap();
        let lines = vec![OrderLine {
            stock_id: STOCK,
            quantity: Quantity::new(2).unwrap(),
            reservation_id: ReservationId::new(Uuid::try_parse(RESERVATION).unwrap()),
        }];
        let (customer_id, lines) = (CustomerId::from_u128(3), OrderLines::new(lines).unwrap());
        let mut place = Place { customer_id, hold_for: None, lines };
        let order_id = OrderId::from_u128(4);
        shop.place_order(order_id, &place).await.unwrap();
        shop.commit_order(order_id).await.unwrap();
        shop.release_order(order_id, &Reason::new("why").unwrap()).await.unwrap();
        assert_eq!(shop.order(OrderId::from_u128(5)).await.unwrap(), None);
        let found = shop.order(order_id).await.unwrap();
        place.hold_for = Some(HoldFor::DEFAULT);
        assert_eq!(found, Some(ShopOrder { place, status: OrderStatus::Released }), "{shown}");
        let placed = json!({ "order_id": id(4), "customer_id": id(3), "ttl_minutes": null, "lines": [line] });
        let expected = [
            ("POST /api/v1/orders".to_owned(), placed),
            (format!("POST /api/v1/orders/{}/commit", id(4)), json!({})),
            (format!("POST /api/v1/orders/{}/release", id(4)), json!({ "reason": "why" })),
            (format!("GET /api/v1/orders/{}", id(5)), Value::Null),
            (format!("GET /api/v1/orders/{}", id(4)), Value::Null),
        ];
        assert_eq!(server.asked(), expected);
    }

    #[actix_web::test]
    async fn an_order_that_can_not_be_is_a_failure() {
        for (field, value) in
            [("state", json!("eaten")), ("lines", json!([])), ("ttl_minutes", json!(0)), ("customer_id", json!("x"))]
        {
            let server = Server::start(move |_, _| {
                let line = json!({ "product_id": RESERVATION, "store_id": RESERVATION, "quantity": 2,
                    "reservation_id": RESERVATION });
                let mut order =
                    json!({ "customer_id": RESERVATION, "state": "active", "ttl_minutes": null, "lines": [line] });
                order[field] = value.clone();
                HttpResponse::Ok().json(order)
            });
            let shop = HttpShop::new(&server.url, 1).unwrap();
            let error = shop.order(OrderId::from_u128(4)).await.unwrap_err();
            assert!(matches!(error, ShopError::Failed(_)), "{field}: {error:?}");
        }
    }

    #[actix_web::test]
    async fn a_restock_carries_its_key_and_tells_whether_it_is_a_repeat() {
        let server = Server::start(|request, _| {
            let mut response = HttpResponse::Created();
            match request.headers().get(&IDEMPOTENCY_KEY).map(|key| key.to_str().unwrap()) {
                Some("first") => (),
                Some("second") => drop(response.insert_header((IDEMPOTENT_REPLAYED, "true"))),
                other => panic!("{other:?}"),
            }
            response.json(json!({ "message": "ok" }))
        });
        let shop = HttpShop::new(&server.url, 1).unwrap();
        let (two, reason) = (Quantity::new(2).unwrap(), Reason::new("x").unwrap());
        for (key, then) in [("first", Restocked::Now), ("second", Restocked::Before)] {
            let key = IdempotencyKey::new(key).unwrap();
            assert_eq!(shop.restock(&key, STOCK, two, &reason).await.unwrap(), then);
        }
        let asked = server.asked();
        assert_eq!(asked[0].0, "POST /api/v1/inventory/stock");
        assert_eq!((&asked[0], asked[0].1["quantity"].as_u64()), (&asked[1], Some(2)));
    }

    #[actix_web::test]
    async fn answers_are_told_apart() {
        for (status, problem, retry_after, then) in [
            (409, "/problems/insufficient-stock", None, "refused: insufficient-stock"),
            (409, "https://example.com/problems/reservation-expired", None, "refused: reservation-expired"),
            (404, "/problems/reservation-not-found", None, "refused: reservation-not-found"),
            (404, "/problems/order-not-found", None, "refused: order-not-found"),
            (422, "/problems/exceeds-reservation", None, "refused: exceeds-reservation"),
            (422, "/problems/idempotency-key-reused", None, "refused: idempotency-key-reused"),
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
