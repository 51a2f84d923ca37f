//! What was shown: a level that the stock had, not before it was in the log, and as fresh as was promised.

use inventory_application::Position;
use inventory_domain::{Level, StockId};

use crate::account::{Attempt, Read};
use crate::history::History;

/// A level that a node has told a client that it stands.
struct Acknowledged {
    node: usize,
    happening: u64,
    stock_id: StockId,
    version: u64,
}

/// Checks every read.
pub(crate) fn check(history: &History, attempts: &[Attempt], reads: &[Read], findings: &mut Vec<String>) {
    let acknowledged = acknowledged(history, attempts);
    for read in reads {
        for (stock_id, level) in &read.shown {
            let known = |one: &&Acknowledged| {
                one.node == read.node && one.stock_id == *stock_id && one.happening < read.sent.happening
            };
            let own = acknowledged.iter().filter(known).map(|one| one.version).max().unwrap_or(0);
            if let Err(finding) = check_level(history, read, *stock_id, *level, own) {
                findings.push(format!(
                    "a read at node {} showed {level:?} of {stock_id}: {finding}; it was {read:?}",
                    read.node
                ));
            }
        }
    }
}

fn check_level(
    history: &History,
    read: &Read,
    stock_id: StockId,
    level: Option<Level>,
    own: u64,
) -> Result<(), String> {
    let version = level.map_or(0, |level| level.version);
    let version_at = |at: Position| history.stock_at(stock_id, at).version();
    if let Some(level) = level
        && history.stock_of_version(stock_id, version).map(inventory_domain::Inventory::level) != Some(level)
    {
        return Err("the stock never had that level".to_owned());
    }
    if version > version_at(read.answered.head) {
        return Err("it wasn't in the log yet".to_owned());
    }
    if version < own {
        return Err(format!("the node had acknowledged version {own} before"));
    }
    let wanted = read.wanted;
    let strong = if wanted.is_strong { version_at(read.sent.head) } else { 0 };
    let needed = wanted.min_version.max(version_at(wanted.min_position)).max(strong);
    if version < needed {
        return Err(format!("it had to be version {needed} at least"));
    }
    Ok(())
}

/// What nodes have told clients that it was done, of every stock that it has changed.
fn acknowledged(history: &History, attempts: &[Attempt]) -> Vec<Acknowledged> {
    let mut all = Vec::new();
    for group in &history.groups {
        let Some(attempt) = group.attempt().and_then(|number| attempts.get(number)) else { continue };
        let Some((answered, Ok(_))) = &attempt.answered else { continue };
        for event in &group.events {
            if let Some(stock_id) = event.stream.stock_id() {
                let (node, happening, version) = (attempt.node, answered.happening, event.version);
                all.push(Acknowledged { node, happening, stock_id, version });
            }
        }
    }
    all
}
