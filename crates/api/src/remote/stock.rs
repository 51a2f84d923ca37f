//! What is asked about a stock, or done to it.

use serde_json::{Value, json};

use super::Question;
use crate::command_line::remote::{Place, StockCommand};

/// The question that a command stands for.
#[must_use]
pub fn question(command: &StockCommand) -> Question {
    match command {
        StockCommand::Get { product_id, store_id: None, .. } => {
            Question::get(format!("/api/v1/inventory/products/{product_id}"))
        }
        StockCommand::Get { product_id, store_id: Some(store_id), at } => {
            let at = at.as_deref().map(|at| format!("?at={}", encoded(at))).unwrap_or_default();
            Question::get(format!("/api/v1/inventory/products/{product_id}/stores/{store_id}{at}"))
        }
        StockCommand::Add { place, quantity, reason, writing } => {
            let body = of_place(place, json!({ "quantity": quantity, "reason": reason }));
            Question::post("stock", body).written(writing)
        }
        StockCommand::Reserve { place, quantity, customer, ttl_minutes, no_deadline, reservation_id, writing } => {
            let more = json!({
                "quantity": quantity,
                "customer_id": customer,
                "ttl_minutes": ttl_minutes,
                "reservation_id": reservation_id,
            });
            let mut question = Question::post("reserve", of_place(place, more)).written(writing);
            if let (true, Some(Value::Object(body))) = (no_deadline, &mut question.body) {
                body.insert("ttl_minutes".into(), Value::Null); // To leave it out would be half an hour.
            }
            question
        }
        StockCommand::Commit { place, reservation_id, order, quantity, writing } => {
            let more = json!({ "reservation_id": reservation_id, "order_id": order, "quantity": quantity });
            Question::post("commit", of_place(place, more)).written(writing)
        }
        StockCommand::Release { place, reservation_id, reason, writing } => {
            let more = json!({ "reservation_id": reservation_id, "reason": reason });
            Question::post("release", of_place(place, more)).written(writing)
        }
        StockCommand::Extend { place, reservation_id, ttl_minutes, writing } => {
            let more = json!({ "reservation_id": reservation_id, "ttl_minutes": ttl_minutes });
            Question::post("extend", of_place(place, more)).written(writing)
        }
        StockCommand::Adjust { place, quantity, reason, counted_at, writing } => {
            let more = json!({ "quantity": quantity, "reason": reason, "counted_at": counted_at });
            Question::post("adjust", of_place(place, more)).written(writing)
        }
        StockCommand::Availability { place, quantity } => {
            Question::post("availability", of_place(place, json!({ "required_quantity": quantity })))
        }
    }
}

fn of_place(place: &Place, more: Value) -> Value {
    let mut body = json!({ "product_id": place.product_id, "store_id": place.store_id });
    if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
        body.extend(more);
    }
    body
}

/// A value of a query.
pub(super) fn encoded(value: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~,".contains(&byte);
    let one = |byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    value.bytes().map(one).collect::<Vec<_>>().concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_a_query_is_one_whatever_is_in_it() {
        assert_eq!(encoded("2026-01-31T12:00:00+01:00"), "2026-01-31T12%3A00%3A00%2B01%3A00");
        assert_eq!(encoded("a&b=ä"), "a%26b%3D%C3%A4");
    }
}
