//! Holds that run out within seconds. The shortest hold is a minute, so they are made by a service, exported, put back by most of a
//! minute, and imported into the folder that the rounds begin with.

use std::fs;

use inventory_tests::{Asked, RunningService, Stock};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::life::first_delivery;
use crate::read_models::run;
use crate::shopper::{PRODUCTS, STORES, Shared, Shopper, uuid};

/// How far apart the deadlines of one product are from those of the next.
const APART_MS: i64 = 1_300;

/// A service with stock, holds and orders, whose deadlines are near. They are in the clients' accounts.
///
/// # Errors
///
/// When it doesn't come about.
pub(crate) fn plant(
    shoppers: &mut [Shopper],
    shared: &Shared,
    settings: &[(&str, String)],
) -> Result<RunningService, String> {
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut first = RunningService::start_with(&[], &settings);
    let client = first.patient_client();
    first_delivery().try_for_each(|asked| shoppers[0].ask(&client, shared, asked))?;
    for (number, shopper) in shoppers.iter_mut().enumerate() {
        let customer = uuid(100 + number as u128);
        for product in 1..=PRODUCTS {
            let stocks: Vec<Stock> = (1..=STORES).map(|store| (uuid(product), uuid(store))).collect();
            for stock in &stocks {
                let reservation = None;
                let held = Asked::Reserve { stock: *stock, reservation, quantity: 2, customer, ttl: Some(1) };
                shopper.ask(&client, shared, held)?;
            }
            let order = uuid((9 << 60) + ((number as u128) << 8) + product);
            let lines = stocks.iter().map(|stock| (*stock, 1)).collect();
            shopper.ask(&client, shared, Asked::PlaceOrder { order, lines, customer, ttl: Some(1) })?;
        }
    }
    first.ask_to_stop();
    if !first.wait().success() {
        return Err("it doesn't stop as it should".into());
    }
    let lines = run(&mut first.command(&["export", "-"]))?;
    let earlier = lines.lines().map(put_back).collect::<Option<Vec<String>>>().ok_or("an event without its product")?;
    let data = tempfile::tempdir().map_err(|error| error.to_string())?;
    let file = data.path().join("seeds.jsonl");
    fs::write(&file, earlier.concat()).map_err(|error| error.to_string())?;
    let mut import = first.command(&["import"]);
    run(import.arg(&file).env("INVENTORY__DATA__DIR", data.path()))?;
    Ok(RunningService::start_on_folder(data, &settings))
}

/// An exported event, with its times put back by nearly a minute, by so much for all that is about the same product.
fn put_back(line: &str) -> Option<String> {
    let mut event: Value = serde_json::from_str(line).ok()?;
    let of_stock = event["stream_id"].as_str()?.strip_prefix("inventory-").and_then(|ids| ids.get(..36));
    let product = of_stock.or(event["data"]["lines"][0]["product_id"].as_str())?.to_owned();
    let number = (1..=PRODUCTS).find(|number| uuid(*number).to_string() == product)?;
    let by = SignedDuration::from_millis(60_000 - APART_MS * i64::try_from(number).ok()?);
    let moved = |time: &Value| Some(json!((time.as_str()?.parse::<Timestamp>().ok()? - by).to_string()));
    event["recorded_at"] = moved(&event["recorded_at"])?;
    if event["data"]["expires_at"].is_string() {
        event["data"]["expires_at"] = moved(&event["data"]["expires_at"])?;
    }
    Some(format!("{event}\n"))
}
