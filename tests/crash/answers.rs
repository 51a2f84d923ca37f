//! The answers against what they have come to.

use inventory_tests::{Asked, has};
use uuid::Uuid;

use crate::account::{Call, Reply, Told};
use crate::ledger::{Effect, Ledger};

/// What all accounts come to, added up.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// Commands that were granted, refused, and those that never had an answer.
    pub granted: u64,
    pub refused: u64,
    pub unknown: u64,
    /// Those of them that had happened.
    pub unknown_done: u64,
    /// Sendings of something that had been sent before, and answers that said so.
    pub sent_again: u64,
    pub told_again: u64,
}

/// Checks each answer that the clients were given.
///
/// # Errors
///
/// The first that isn't true.
pub(crate) fn check(ledger: &Ledger, accounts: &[&[Call]]) -> Result<Counts, String> {
    let mut counts = Counts::default();
    for (client, calls) in accounts.iter().enumerate() {
        let mut last = 0;
        for (number, call) in calls.iter().enumerate() {
            counts.sent_again += call.attempts.len().saturating_sub(1) as u64;
            for place in 0..call.commands.len() {
                let effect = ledger.effects.get(&(client, number, place));
                check_command(ledger, call, place, effect, &mut counts)
                    .map_err(|why| format!("client {client}: {why}: {call:#?}, which has come to {effect:?}"))?;
            }
            // A client asks one thing after the other, so its effects follow one another; those of a batch stand together.
            let effects = (0..call.commands.len()).filter_map(|place| ledger.effects.get(&(client, number, place)));
            let firsts = effects.filter(|effect| effect.attempt == 0).map(|effect| effect.position);
            let (first, highest) =
                firsts.fold((u64::MAX, last), |(first, highest), at| (first.min(at), highest.max(at)));
            if first < last {
                return Err(format!(
                    "client {client}: {call:#?} has come to something before what it had asked before"
                ));
            }
            last = highest;
        }
    }
    Ok(counts)
}

fn check_command(
    ledger: &Ledger,
    call: &Call,
    place: usize,
    effect: Option<&Effect>,
    counts: &mut Counts,
) -> Result<(), String> {
    let key = call.key_of(place);
    let mut first: Option<&Reply> = None;
    let (mut is_answered, mut is_granted) = (false, false);
    for (attempt, sent) in call.attempts.iter().enumerate() {
        let is_done_now = effect.is_some_and(|effect| effect.attempt == attempt);
        let was_done_before = effect.is_some_and(|effect| effect.attempt < attempt);
        let reply = match &sent.told {
            Told::Nothing => continue,
            Told::NotDone if is_done_now => return Err("it was told that nothing was done".into()),
            Told::NotDone => {
                is_answered = true;
                continue;
            }
            Told::Replies(replies) => replies.get(place).ok_or("there is no answer to each command")?,
        };
        is_answered = true;
        if !reply.is_granted() {
            if is_done_now {
                return Err(format!("it was told {}, and it was done", reply.summary));
            }
            if was_done_before && key.is_some() {
                return Err(format!("the key of what was done was told {}", reply.summary));
            }
            check_refusal(ledger, call, place, sent.after, &reply.summary)?;
            continue;
        }
        is_granted = true;
        let effect = effect.ok_or("it was acknowledged, and is nowhere in the log")?;
        let shows_it = has(&reply.body, &effect.shown) && reply.body["position"] == effect.position;
        if reply.is_repeat {
            counts.told_again += 1;
            if key.is_none() || !was_done_before {
                return Err("it was told that it was done before".into());
            }
            if first.is_some_and(|first| (&first.summary, &first.body) != (&reply.summary, &reply.body)) {
                return Err("the first answer was another".into());
            }
        } else if was_done_before && (key.is_some() || !may_be_asked_twice(&call.commands[place].asked)) {
            return Err("it was done before, and it wasn't told so".into());
        } else if effect.attempt > attempt {
            return Err("it was acknowledged before it was done".into());
        }
        if (is_done_now || reply.is_repeat) && !shows_it {
            return Err("the answer isn't what the log says".into());
        }
        first = first.or(Some(reply));
    }
    counts.granted += u64::from(is_granted);
    counts.refused += u64::from(is_answered && !is_granted);
    counts.unknown += u64::from(call.attempts.iter().any(|attempt| matches!(attempt.told, Told::Nothing)));
    counts.unknown_done +=
        u64::from(effect.is_some_and(|effect| matches!(call.attempts[effect.attempt].told, Told::Nothing)));
    Ok(())
}

/// What is granted again without a key, because it has an id of the client's own, and changes nothing then.
fn may_be_asked_twice(asked: &Asked) -> bool {
    matches!(
        asked,
        Asked::Reserve { reservation: Some(_), .. } | Asked::PlaceOrder { .. } | Asked::StartTransfer { .. }
    )
}

/// Whether a no can be true, for all that the log says by now. What has ended stays ended, so that can be looked at later; what is
/// there now may have been made since, when everything that had been told when it was asked stood before `after`.
fn check_refusal(ledger: &Ledger, call: &Call, place: usize, after: u64, summary: &str) -> Result<(), String> {
    let asked = &call.commands[place].asked;
    let shop = &ledger.shop;
    let is_made_since = |id: &Uuid| ledger.made.get(id).is_none_or(|position| *position > after);
    let is_true = match asked {
        _ if summary == "412 version-mismatch" => call.if_match.is_some(),
        Asked::Add { .. } => false,
        Asked::Reserve { stock, reservation, .. } => match summary {
            "409 insufficient-stock" => true,
            "409 reservation-exists" => reservation.is_some_and(|id| shop.reservation(*stock, id).is_some()),
            _ => false,
        },
        Asked::Commit { stock, reservation, .. }
        | Asked::Release { stock, reservation }
        | Asked::Extend { stock, reservation, .. } => match (shop.reservation(*stock, *reservation), summary) {
            (_, "404 reservation-not-found") => is_made_since(reservation),
            (None, _) => false,
            (Some("active"), _) => summary == "409 reservation-expired" && ledger.is_due(*stock, *reservation),
            (Some(ending), _) => summary == format!("409 reservation-{ending}"),
        },
        Asked::Adjust { .. } => summary == "409 below-reserved",
        Asked::PlaceOrder { .. } => summary == "409 insufficient-stock",
        Asked::CommitOrder { order } | Asked::ReleaseOrder { order } => match shop.order(*order) {
            _ if summary == "404 order-not-found" => is_made_since(order),
            None => false,
            Some(order) if order["state"] == "active" => summary == "409 order-expired",
            Some(order) => summary == format!("409 order-{}", order["state"].as_str().unwrap_or_default()),
        },
        Asked::StartTransfer { transfer, .. } => match shop.transfer(*transfer) {
            _ if summary == "409 insufficient-stock" => is_made_since(transfer),
            None => false,
            Some(transfer) => summary == "409 transfer-exists" && transfer["state"] != "in_transit",
        },
        Asked::ReceiveTransfer { transfer, .. } | Asked::CancelTransfer { transfer } => {
            match shop.transfer(*transfer) {
                _ if summary == "404 transfer-not-found" => is_made_since(transfer),
                None => false,
                Some(transfer) => summary == format!("409 transfer-{}", transfer["state"].as_str().unwrap_or_default()),
            }
        }
    };
    if is_true { Ok(()) } else { Err(format!("{asked:?} was told {summary}, and that can't be")) }
}
