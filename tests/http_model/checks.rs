//! What the service says, and what the model says, side by side.

use inventory_tests::{Asked, has};
use serde_json::{Value, json};

use crate::bugs::{Line, Told};
use crate::steps::{Expected, RESERVATIONS, Step, Verdict, uuid};

type Checked = Result<(), String>;

/// The answers to a step.
pub(crate) fn check_answers(step: &Step, answers: &[Told], expected: &Expected) -> Checked {
    let (asked, verdicts) = (step.asked(), &expected.verdicts);
    if answers.len() != verdicts.len() {
        return Err(format!("{} answers to {} commands", answers.len(), verdicts.len()));
    }
    for ((asked, told), verdict) in asked.iter().zip(answers).zip(verdicts) {
        let Told { summary, body, is_repeat, etag } = told;
        let fits = match verdict {
            Verdict::Refused(refusal) => {
                *summary == refusal.summary && has(body, &refusal.members) && etag.is_none() && !is_repeat
            }
            Verdict::Granted { status, shown, is_repeat: was_known } => {
                let version = format!("\"{}\"", shown["version"]);
                *summary == status.to_string()
                    && has(body, shown)
                    && is_repeat == was_known
                    && etag.as_ref().is_none_or(|etag| *etag == version)
                    && names_its_reservation(asked, body)
            }
        };
        if !fits {
            return Err(format!("{asked:?} is told {told:?}, and ought to be told {verdict:?}"));
        }
    }
    Ok(())
}

fn names_its_reservation(asked: &Asked, body: &Value) -> bool {
    match asked {
        Asked::Reserve { reservation, ttl, .. } => {
            let id = &body["reservation_id"];
            let is_named = reservation.map_or(id.is_string(), |own| *id == json!(own.to_string()));
            // A deadline that was moved since stays moved: only its absence at the beginning can be told.
            is_named && (ttl.is_none() || body["expires_at"].is_string())
        }
        Asked::Extend { reservation, .. } => {
            body["reservation_id"] == json!(reservation.to_string()) && body["expires_at"].is_string()
        }
        _ => true,
    }
}

/// What a question about the same thing is told right after it.
pub(crate) fn check_shown(line: &Line<'_>, step: &Step, expected: &Expected) -> Checked {
    step.asked().into_iter().try_for_each(|asked| match asked {
        Asked::PlaceOrder { order, .. } | Asked::CommitOrder { order } | Asked::ReleaseOrder { order } => {
            check(line, &format!("/api/v1/orders/{order}"), expected.shop.order(*order).as_ref(), "404 order-not-found")
        }
        Asked::StartTransfer { transfer, .. }
        | Asked::ReceiveTransfer { transfer, .. }
        | Asked::CancelTransfer { transfer } => {
            let path = format!("/api/v1/transfers/{transfer}");
            check(line, &path, expected.shop.transfer(*transfer).as_ref(), "404 transfer-not-found")
        }
        _ => asked.stock().map_or(Ok(()), |(product, store)| {
            let path = format!("/api/v1/inventory/products/{product}/stores/{store}");
            check(line, &path, expected.shop.level((product, store)).as_ref(), "404 stock-not-found")
        }),
    })
}

/// Every level, order, transfer, reservation and event.
pub(crate) fn check_everything(line: &Line<'_>, expected: &Expected) -> Checked {
    let shop = &expected.shop;
    for order in shop.orders() {
        check(line, &format!("/api/v1/orders/{order}"), shop.order(order).as_ref(), "")?;
    }
    for transfer in shop.transfers() {
        check(line, &format!("/api/v1/transfers/{transfer}"), shop.transfer(transfer).as_ref(), "")?;
    }
    for (product, store) in shop.stocks() {
        let stock = format!("/api/v1/inventory/products/{product}/stores/{store}");
        check(line, &stock, shop.level((product, store)).as_ref(), "")?;
        let events = line.get(&format!("{stock}/events?limit=1000"))?;
        let stream = format!("inventory-{product}-{store}");
        let facts = expected.facts.iter().filter(|fact| fact.stream == stream);
        let wanted: Value = facts
            .map(|fact| json!({"event_type": fact.event_type, "version": fact.version, "data": fact.data}))
            .collect();
        if !has(&events.body["items"], &wanted) {
            return Err(format!("{stream} has {}, and ought to have {wanted}", events.text));
        }
        let levels: Vec<Value> =
            shop.stocks().filter(|other| other.0 == product).filter_map(|other| shop.level(other)).collect();
        check(line, &format!("/api/v1/inventory/products/{product}"), Some(&json!(levels)), "")?;
    }
    check_reservations(line, expected)
}

/// The reservations under the clients' own ids, in the read side's list.
fn check_reservations(line: &Line<'_>, expected: &Expected) -> Checked {
    for number in RESERVATIONS {
        let id = uuid(number);
        let path = format!("/api/v1/reservations?reservation_id={id}&consistency=strong");
        let listed = line.get(&path)?;
        let items = listed.body["items"].as_array().ok_or_else(|| format!("{path}: {}", listed.text))?;
        for stock in expected.shop.stocks() {
            let of_stock = json!({"product_id": stock.0.to_string(), "store_id": stock.1.to_string()});
            let state = items.iter().find(|item| has(item, &of_stock)).and_then(|item| item["state"].as_str());
            let ought = expected.shop.reservation(stock, id);
            if state != ought {
                return Err(format!("{path}: that of {stock:?} ought to be {ought:?}: {}", listed.text));
            }
        }
    }
    Ok(())
}

/// What is at the path is this; where it is nothing, the problem is this one.
fn check(line: &Line<'_>, path: &str, wanted: Option<&Value>, missing: &str) -> Checked {
    let answer = line.get(path)?;
    let fits = match wanted {
        Some(wanted) => answer.status == 200 && has(&answer.body, wanted),
        None => answer.summary() == missing,
    };
    if fits {
        Ok(())
    } else {
        Err(format!("{path} shows {} {}, and ought to show {wanted:?}", answer.status, answer.text))
    }
}
