//! What a running service says, by its API, against the accounts.

use std::time::Instant;

use inventory_tests::{Client, has};
use serde_json::Value;
use uuid::Uuid;

use crate::answers;
use crate::ledger::stock_of;
use crate::life::{Life, PATIENCE};
use crate::log_event::LogEvent;
use crate::shopper::{PRODUCTS, STORES, uuid};

impl Life {
    /// What the service says against the accounts.
    ///
    /// # Errors
    ///
    /// What doesn't fit.
    pub(crate) fn check(&mut self) -> Result<(), String> {
        let client = self.client();
        let end = Instant::now() + PATIENCE;
        loop {
            self.read_log(&client)?;
            self.figures.counts = answers::check(&self.ledger, &self.accounts())?;
            let levels = self.check_levels(&client);
            let before = self.ledger.position;
            self.read_log(&client)?;
            // Something may have run out meanwhile; then what was seen is of another moment.
            if self.ledger.position == before {
                break levels;
            }
            if Instant::now() > end {
                return Err("the log doesn't come to rest".into());
            }
        }
    }

    fn read_log(&mut self, client: &Client) -> Result<(), String> {
        let mut events = Vec::new();
        loop {
            let after = events.last().map_or(self.ledger.position, |event: &LogEvent| event.position);
            let page = client.get(&format!("/api/v1/events?after={after}&limit=1000"));
            let items = page.body["items"].as_array().ok_or_else(|| format!("no events: {}", page.text))?;
            if items.is_empty() {
                break;
            }
            for item in items {
                events.push(LogEvent::read(item)?);
            }
        }
        let mut ledger = std::mem::take(&mut self.ledger);
        let taken = ledger.take(&events, &self.accounts());
        self.ledger = ledger;
        taken
    }

    /// Every level, order and transfer as the accounts have it, and no unit more or less.
    fn check_levels(&self, client: &Client) -> Result<(), String> {
        let shop = &self.ledger.shop;
        let shows = |path: String, wanted: Option<Value>| {
            let answer = client.get(&path);
            let wanted = wanted.unwrap_or_default();
            let fits = answer.status == 200 && has(&answer.body, &wanted);
            if fits {
                Ok(answer.body)
            } else {
                Err(format!("{path} shows {}, and ought to show {wanted}", answer.text))
            }
        };
        // The log shows a batch before the node has acknowledged it; a strong question is answered after that.
        for (product, store) in (1..=PRODUCTS).flat_map(|product| (1..=STORES).map(move |store| (product, store))) {
            let stock = (uuid(product), uuid(store));
            let path = format!("/api/v1/inventory/products/{}/stores/{}?consistency=strong", stock.0, stock.1);
            shows(path, shop.level(stock))?;
        }
        let mut units: u64 = 0;
        for product in (1..=PRODUCTS).map(uuid) {
            let levels = (1..=STORES).map(uuid).map(|store| shop.level((product, store)));
            let levels: Value = levels.collect::<Option<Vec<Value>>>().into();
            shows(format!("/api/v1/inventory/products/{product}"), Some(levels))?;
            for store in (1..=STORES).map(uuid) {
                let path = format!("/api/v1/inventory/products/{product}/stores/{store}");
                let level = shows(path, shop.level((product, store)))?;
                units += level["total"].as_u64().unwrap_or_default();
            }
        }
        let latest = |ids: Vec<Uuid>| ids.into_iter().rev().take(20);
        for order in latest(shop.orders().collect()) {
            shows(format!("/api/v1/orders/{order}"), shop.order(order))?;
        }
        for transfer in latest(shop.transfers().collect()) {
            shows(format!("/api/v1/transfers/{transfer}"), shop.transfer(transfer))?;
        }
        let on_the_way = shop.transfers().filter_map(|id| shop.transfer(id)?["in_transit"].as_u64());
        units += on_the_way.sum::<u64>();
        if i128::from(units) == self.ledger.units && units == shop.units() {
            Ok(())
        } else {
            Err(format!("{units} units are there, {} have come in and not gone out", self.ledger.units))
        }
    }

    /// The history of each stock is what the log has of it.
    ///
    /// # Errors
    ///
    /// The first that isn't.
    pub(crate) fn check_histories(&self, client: &Client) -> Result<(), String> {
        for (stream, positions) in &self.ledger.streams {
            let Some((product, store)) = stock_of(stream) else { continue };
            let (mut shown, mut cursor) = (Vec::new(), String::new());
            loop {
                let path = format!("/api/v1/inventory/products/{product}/stores/{store}/events?limit=1000{cursor}");
                let page = client.get(&path);
                let items = page.body["items"].as_array().ok_or_else(|| format!("{path}: {}", page.text))?;
                shown.extend(items.iter().filter_map(|event| event["position"].as_u64()));
                match page.body["next_cursor"].as_str() {
                    Some(next) if !items.is_empty() => cursor = format!("&cursor={next}"),
                    _ => break,
                }
            }
            // What has run out since then may stand behind it.
            let is_whole =
                shown.starts_with(positions) && shown[positions.len()..].iter().all(|at| *at > self.ledger.position);
            if !is_whole {
                return Err(format!("the history of {stream} has {} events, the log {}", shown.len(), positions.len()));
            }
        }
        Ok(())
    }
}
