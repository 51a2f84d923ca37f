//! What clients were told, by the log: done once or not at all, as it was said, and refused for what was true.

use std::collections::BTreeMap;

use inventory_application::ports::StoreError;
use inventory_application::{Answer, CommandError, Position, StreamId, Verdict};
use inventory_domain::Timestamp;

use crate::account::{Attempt, End, Moment};
use crate::client::name_of;
use crate::history::{Group, History};
use crate::serial::{Decided, decide, moments};

/// The groups of the log by who has asked for them.
struct Effects<'a> {
    history: &'a History,
    attempts: &'a [Attempt],
    by_attempt: BTreeMap<usize, Vec<&'a Group>>,
    by_key: BTreeMap<&'a str, Vec<&'a Group>>,
    skew_ms_max: i64,
    /// Whether requests can be decided anew.
    is_sound: bool,
}

/// Checks every attempt. `ended_well` has the lives, by node, that ended because the node was asked to; `is_sound` says that the log
/// breaks no rule.
pub(crate) fn check(
    history: &History,
    attempts: &[Attempt],
    skew_ms_max: i64,
    ended_well: &[Vec<u64>],
    is_sound: bool,
    findings: &mut Vec<String>,
) {
    let (mut by_attempt, mut by_key): (BTreeMap<_, Vec<_>>, BTreeMap<_, Vec<_>>) = Default::default();
    for group in &history.groups {
        if let Some(number) = group.attempt() {
            by_attempt.entry(number).or_default().push(group);
        }
        if let Some(key) = group.key() {
            by_key.entry(key).or_default().push(group);
        }
    }
    for (key, groups) in by_key.iter().filter(|(_, groups)| groups.len() > 1) {
        let at: Vec<_> = groups.iter().map(|group| group.last().0).collect();
        findings.push(format!("key {key} has {} effects, at {at:?}", groups.len()));
    }
    let effects = Effects { history, attempts, by_attempt, by_key, skew_ms_max, is_sound };
    for (number, attempt) in attempts.iter().enumerate() {
        if let Err(finding) = effects.check(number, attempt) {
            findings.push(format!("request {number}: {finding}; it was {attempt:?}"));
        }
        let was_abandoned = matches!(attempt.answered, Some((_, Err(CommandError::Abandoned))));
        if was_abandoned && ended_well[attempt.node].contains(&attempt.life) {
            findings.push(format!("request {number}: a node that was asked to end owes the answer"));
        }
    }
    effects.repeats(findings);
}

impl Effects<'_> {
    fn check(&self, number: usize, attempt: &Attempt) -> Result<(), String> {
        let own = self.by_attempt.get(&number).map_or(&[][..], Vec::as_slice);
        match (attempt.end(), own.len()) {
            (_, 0) | (End::Granted | End::Unknown, 1) => (),
            (end, count) => return Err(format!("it was told {end:?}, and has {count} effects")),
        }
        match &attempt.answered {
            Some((answered, Ok(answer))) => self.granted(attempt, *answered, answer, own.first().copied()),
            Some((answered, verdict @ Err(_))) if attempt.end() == End::Refused => {
                self.refused(attempt, *answered, verdict)
            }
            Some((_, Err(CommandError::Store(error)))) if matches!(**error, StoreError::Damaged(_)) => {
                Err(format!("the store is said to be damaged: {error:?}"))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// What was granted is in the log, as the answer says; or it changes nothing, at some moment while the client waited.
    fn granted(&self, attempt: &Attempt, answered: Moment, answer: &Answer, own: Option<&Group>) -> Result<(), String> {
        if answer.is_repeat() {
            let Some(key) = attempt.key else {
                return Err("it has no key, and is told that it is a repeat".to_owned());
            };
            if own.is_some() {
                return Err("it is told that it is a repeat, and has an effect of its own".to_owned());
            }
            return match self.by_key.get(&*name_of(key.append_id)).and_then(|groups| groups.first()) {
                Some(first) => self.fits(attempt, answer, first),
                None => self.was_nothing(attempt, answered, answer),
            };
        }
        match own {
            Some(group) => self.fits(attempt, answer, group),
            None => self.changes_nothing(attempt, attempt.sent, answered, answer),
        }
    }

    /// A repeat of what has changed nothing: any try under its key may have been it, each with ids of its own.
    fn was_nothing(&self, attempt: &Attempt, answered: Moment, answer: &Answer) -> Result<(), String> {
        let is_same = |other: &&Attempt| other.key == attempt.key && other.sent.happening < answered.happening;
        let mut all =
            self.attempts.iter().filter(is_same).map(|one| self.changes_nothing(one, one.sent, answered, answer));
        all.find(Result::is_ok).unwrap_or_else(|| self.changes_nothing(attempt, attempt.sent, answered, answer))
    }

    /// The answer tells what stood after the group.
    fn fits(&self, attempt: &Attempt, answer: &Answer, group: &Group) -> Result<(), String> {
        // A repeat may have been given other ids than the first attempt; the group knows which stream it is about.
        let of_stream = |stream: StreamId| group.events.iter().rev().find(|event| event.stream == stream);
        let (stream, position, holds) = match answer {
            Answer::Stock(answer) => {
                let stream = attempt.ask.stream();
                let state = stream.stock_id().map(|stock_id| self.history.stock_at(stock_id, group.last()));
                let held = answer.reservation_id.and_then(|id| state?.reservation(id)?.expires_at);
                let holds = state.is_some_and(|state| state.level() == answer.level) && held == answer.expires_at;
                (stream, answer.position, holds)
            }
            Answer::Order(answer) => {
                let order = self.history.order_at(answer.order_id, group.last());
                (answer.order_id.into(), answer.position, *order == answer.order)
            }
            Answer::Transfer(answer) => {
                let transfer = self.history.transfer_at(answer.transfer_id, group.last());
                (answer.transfer_id.into(), answer.position, *transfer == answer.transfer)
            }
        };
        if of_stream(stream).map(|event| event.position) != Some(position) || !holds {
            return Err(format!("its answer doesn't fit the group at {}", group.last()));
        }
        Ok(())
    }

    fn changes_nothing(
        &self,
        attempt: &Attempt,
        sent: Moment,
        answered: Moment,
        answer: &Answer,
    ) -> Result<(), String> {
        let is_dry_run = matches!(attempt.ask, inventory_application::Ask::Order { is_dry_run: true, .. });
        let is_so = |at: Position, decided: Decided| {
            let Decided::Granted(events) = decided else { return false };
            let stands = match answer {
                Answer::Stock(answer) => {
                    let stream = attempt.ask.stream();
                    stream.stock_id().is_some_and(|id| self.history.stock_at(id, at).level() == answer.level)
                        && self.history.position_at(stream, at) == answer.position
                }
                Answer::Order(_) if is_dry_run => return true,
                Answer::Order(answer) => *self.history.order_at(answer.order_id, at) == answer.order,
                Answer::Transfer(answer) => *self.history.transfer_at(answer.transfer_id, at) == answer.transfer,
            };
            events.is_empty() && stands
        };
        self.some_moment(attempt, sent, answered, is_so)
            .ok_or_else(|| "it is not in the log, and at no moment did it change nothing, as it was told".to_owned())
    }

    /// Whatever it was refused for was true at some moment while the client waited.
    fn refused(&self, attempt: &Attempt, answered: Moment, verdict: &Verdict) -> Result<(), String> {
        if let Err(CommandError::KeyReused) = verdict {
            let is_other = |other: &Attempt| match (other.key, attempt.key) {
                (Some(other), Some(own)) => other.append_id == own.append_id && other.request_hash != own.request_hash,
                _ => false,
            };
            let earlier = self.attempts.iter().filter(|other| other.sent.happening < answered.happening);
            return earlier
                .into_iter()
                .any(is_other)
                .then_some(())
                .ok_or_else(|| "nobody else has used its key".to_owned());
        }
        let said = format!("{:?}", verdict.as_ref().err());
        let is_so = |_, decided| matches!(decided, Decided::Refused(error) if format!("{:?}", Some(&error)) == said);
        self.some_moment(attempt, attempt.sent, answered, is_so)
            .ok_or_else(|| "what it was refused for was true at no moment while it waited".to_owned())
    }

    /// Looks for a moment between two at which the request, decided all alone, comes to what is wanted.
    fn some_moment(
        &self,
        attempt: &Attempt,
        sent: Moment,
        answered: Moment,
        is_so: impl Fn(Position, Decided) -> bool,
    ) -> Option<()> {
        if !self.is_sound {
            return Some(());
        }
        let from = Timestamp::from_millis(sent.wall.millis() - self.skew_ms_max);
        let to = Timestamp::from_millis(answered.wall.millis() + self.skew_ms_max);
        let mut ends = self.history.ends(sent.head, answered.head);
        let found = ends.find(|at| {
            let decided = |now| decide(self.history, *at, &attempt.ask, &attempt.condition, now);
            moments(self.history, *at, from, to).into_iter().any(|now| is_so(*at, decided(now)))
        });
        found.map(drop)
    }

    /// Who repeats a request that was granted is told the same again.
    fn repeats(&self, findings: &mut Vec<String>) {
        let mut by_key: BTreeMap<_, Vec<(usize, &Attempt)>> = BTreeMap::new();
        for (number, attempt) in self.attempts.iter().enumerate() {
            if let Some(key) = attempt.key {
                by_key.entry((key.append_id, key.request_hash)).or_default().push((number, attempt));
            }
        }
        for same in by_key.into_values() {
            let granted = same.iter().filter_map(|(number, attempt)| match &attempt.answered {
                Some((at, Ok(answer))) => Some((*number, at.happening, answer)),
                _ => None,
            });
            let Some((first, granted_at, answer)) = granted.min_by_key(|(_, at, _)| *at) else { continue };
            let later = same.iter().filter(|(_, attempt)| attempt.sent.happening > granted_at);
            for (number, attempt) in later {
                match &attempt.answered {
                    Some((_, Ok(again))) if again.is_repeat() && is_same(answer, again) => (),
                    Some((_, Ok(_))) => {
                        findings.push(format!("request {number} repeats {first}, and is told something else"));
                    }
                    Some((_, Err(_))) if attempt.end() == End::Refused => {
                        findings.push(format!("request {number} repeats {first}, which was granted, and is refused"));
                    }
                    Some((_, Err(_))) | None => (),
                }
            }
        }
    }
}

/// Whether two answers say the same, but for whether they say it again.
fn is_same(one: &Answer, other: &Answer) -> bool {
    let mut one = one.clone();
    match &mut one {
        Answer::Stock(answer) => answer.is_repeat = true,
        Answer::Order(answer) => answer.is_repeat = true,
        Answer::Transfer(answer) => answer.is_repeat = true,
    }
    one == *other
}
