//! The rules of one stock: one rule a test, all of them through one `check`.
//!
//! The little language: `add 5`, `reserve r1 3 [30m|forever]`, `commit r1 [2]`, `release r1`, `extend r1 10m`,
//! `count 7 [[of 30s] then 5 [corrected -2]]`, `expire 10`, `reserve r1 3 line o1`, `commit-line r1 o1`, `free-line r1 o1`, `send 3`, `take 3`,
//! `take-back 3`. A moment in front (`@90s add 5`) sets the clock, counted from noon; it stays until the next one.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use inventory_domain::inventory::{
    Adjust, Closing, Command, Commit, CountedThen, Event, Extend, OrderLineRef, PartsDontFit, Rejection, Release,
    ReleaseCause, Reserve, decide, evolve, reject_closed,
};
use inventory_domain::{
    CustomerId, HoldFor, Inventory, OrderId, Quantity, Reason, ReservationId, StockQuantity, StoreId, Timestamp,
    TransferId,
};

const NOON: i64 = 1_700_000_000_000;

#[test]
fn added_units_are_available() {
    check("", "add 5", "added 5", "5/0 v1");
    check("add 5", "add 2", "added 2", "7/0 v2");
}

#[test]
fn a_stock_holds_no_more_than_its_limit() {
    let full = "count 999999999999995";
    check(full, "add 5", "added 5", "1000000000000000/0 v2");
    check(
        full,
        "add 6",
        "rejected: 999999999999995 units on hand and 6 more would pass the limit of 1000000000000000",
        "999999999999995/0 v1",
    );
}

#[test]
fn reserved_units_stay_on_hand_but_are_not_available() {
    check("add 5", "reserve r1 3", "reserved r1 3 until 1800s", "5/3 v2");
    check("add 5", "reserve r1 5", "reserved r1 5 until 1800s", "5/5 v2");
}

#[test]
fn a_reservation_without_a_deadline_never_expires() {
    check("add 5", "reserve r1 3 forever", "reserved r1 3", "5/3 v2");
    check("add 5, reserve r1 3 forever", "@99999999s commit r1", "committed r1 3", "2/0 v3");
}

#[test]
fn reserving_one_unit_too_many_is_rejected() {
    check("add 5, reserve r1 3", "reserve r2 3", "rejected: 3 units asked for, 2 available", "5/3 v2");
    check("", "reserve r1 1", "rejected: 1 units asked for, 0 available", "0/0 v0");
}

#[test]
fn the_same_reservation_again_holds_once() {
    check("add 5, reserve r1 3", "@60s reserve r1 3", "nothing", "5/3 v2");
    check("add 5, reserve r1 5", "reserve r1 5", "nothing", "5/5 v2");
    check("add 5, reserve r1 3, extend r1 60m", "@60s reserve r1 3", "nothing", "5/3 v3");
}

#[test]
fn a_reservation_id_stands_for_one_request() {
    let taken = "rejected: reservation r1 exists already";
    check("add 5, reserve r1 3", "reserve r1 2", taken, "5/3 v2");
    check("add 5, reserve r1 3", "reserve r1 3 10m", taken, "5/3 v2");
    check("add 5, reserve r1 3", "reserve r1 3 forever", taken, "5/3 v2");
    check("add 5, reserve r1 3", "reserve r1 3 for c2", taken, "5/3 v2");
    check("add 5, reserve r1 3", "@1800s reserve r1 3", taken, "5/3 v2");
    check("add 5, reserve r1 3, commit r1", "reserve r1 3", taken, "2/0 v3");
    check("add 5, reserve r1 3, release r1", "reserve r1 3", taken, "5/0 v3");
}

#[test]
fn committed_units_leave_the_shelf() {
    check("add 5, reserve r1 3", "commit r1", "committed r1 3", "2/0 v3");
    check("add 5, reserve r1 3", "commit r1 3", "committed r1 3", "2/0 v3");
}

#[test]
fn what_a_part_commit_leaves_is_freed() {
    check("add 5, reserve r1 3", "commit r1 1", "committed r1 1, freed r1 2 uncommitted-part", "4/0 v4");
    check("add 5, reserve r1 3, commit r1 1", "commit r1 1", "rejected: reservation r1 is committed", "4/0 v4");
}

#[test]
fn no_more_is_committed_than_is_held() {
    check("add 5, reserve r1 3", "commit r1 4", "rejected: 4 units to commit, 3 held by the reservation", "5/3 v2");
}

#[test]
fn released_units_are_available_again() {
    check("add 5, reserve r1 3", "release r1", "freed r1 3 requested", "5/0 v3");
}

#[test]
fn a_reservation_that_was_never_made_is_not_found() {
    for command in ["commit r1", "release r1", "extend r1 10m"] {
        check("add 5", command, "rejected: no reservation r1 on this stock", "5/0 v1");
    }
}

#[test]
fn a_closed_reservation_says_how_it_ended() {
    for command in ["commit r1", "release r1", "extend r1 10m"] {
        check("add 5, reserve r1 3, commit r1", command, "rejected: reservation r1 is committed", "2/0 v3");
        check("add 5, reserve r1 3, release r1", command, "rejected: reservation r1 is released", "5/0 v3");
        let expired = "add 5, reserve r1 3, @1800s reserve r2 5";
        check(expired, command, "rejected: reservation r1 has expired", "5/5 v4");
    }
}

#[test]
fn a_reservation_expires_at_the_very_millisecond_of_its_deadline() {
    for command in ["commit r1", "release r1", "extend r1 10m"] {
        check("add 5, reserve r1 3, @1800000ms", command, "rejected: reservation r1 has expired", "5/3 v2");
    }
    check("add 5, reserve r1 3", "@1799999ms commit r1", "committed r1 3", "2/0 v3");
    check("add 5, reserve r1 3", "@1799999ms reserve r2 3", "rejected: 3 units asked for, 2 available", "5/3 v2");
    check("add 5, reserve r1 3", "@1800000ms reserve r2 3", "freed r1 3 expired, reserved r2 3 until 3600s", "5/3 v4");
}

#[test]
fn only_as_many_expired_units_are_freed_as_are_needed_earliest_first() {
    let given = "add 6, reserve r1 2 20m, reserve r2 2 10m, reserve r3 2";
    check(given, "@1500s reserve r4 1", "freed r2 2 expired, reserved r4 1 until 3300s", "6/5 v6");
    check(given, "@1500s reserve r4 3", "freed r2 2 expired, freed r1 2 expired, reserved r4 3 until 3300s", "6/5 v7");
    check(given, "@1500s reserve r4 5", "rejected: 5 units asked for, 4 available", "6/6 v4");
    check("add 9, reserve r1 2 1m", "@1500s reserve r2 3", "reserved r2 3 until 3300s", "9/5 v3");
}

#[test]
fn extending_counts_from_now() {
    check("add 5, reserve r1 3", "@60s extend r1 60m", "extended r1 until 3660s", "5/3 v3");
    check("add 5, reserve r1 3 forever", "extend r1 1m", "extended r1 until 60s", "5/3 v3");
    check("add 5, reserve r1 3, extend r1 60m", "@1800s commit r1", "committed r1 3", "2/0 v4");
    check("add 5, reserve r1 3, extend r1 1m", "@60s commit r1", "rejected: reservation r1 has expired", "5/3 v3");
}

#[test]
fn a_count_sets_what_is_on_hand_and_keeps_reservations() {
    check("add 5, reserve r1 3", "count 9", "counted 9 (+4)", "9/3 v3");
    check("add 5, reserve r1 3", "count 3", "counted 3 (-2)", "3/3 v3");
    check("add 5", "count 5", "counted 5 (+0)", "5/0 v2");
    check("add 5", "count 0", "counted 0 (-5)", "0/0 v2");
    check("", "count 0", "counted 0 (+0)", "0/0 v1");
}

#[test]
fn a_count_below_what_is_reserved_is_rejected() {
    check("add 5, reserve r1 3", "count 2", "rejected: 2 units counted, 3 reserved", "5/3 v2");
    check("add 5, reserve r1 3", "@1800s count 2", "freed r1 3 expired, counted 2 (-3)", "2/0 v4");
}

#[test]
fn a_late_count_keeps_what_has_happened_since() {
    check("add 5, add 4", "count 6 then 5", "counted 6 (+1) then", "10/0 v3");
    check("add 5, reserve r1 3, commit r1", "count 4 then 5", "counted 4 (-1) then", "1/0 v4");
    check("add 5, reserve r1 3", "count 2 then 5", "rejected: 2 units counted, 3 reserved", "5/3 v2");
    check("add 5, reserve r1 3, commit r1", "count 1 then 5", "rejected: 0 units counted, 0 reserved", "2/0 v3");
    check("add 5, reserve r1 3", "@1800s count 2 then 5", "freed r1 3 expired, counted 2 (-3) then", "2/0 v4");
    check(
        "count 1000000000000000",
        "count 6 of 0s then 5 corrected 1000000000000000",
        "rejected: 1000000000000000 units on hand and 1 more would pass the limit of 1000000000000000",
        "1000000000000000/0 v1",
    );
}

#[test]
fn expired_reservations_are_freed_when_somebody_asks_earliest_first() {
    let given = "add 9, reserve r1 2 20m, reserve r2 2 10m, reserve r3 2, reserve r4 1 forever";
    check(given, "@1500s expire 10", "freed r2 2 expired, freed r1 2 expired", "9/3 v7");
    check(given, "@1500s expire 1", "freed r2 2 expired", "9/5 v6");
    check(given, "@599s expire 10", "nothing", "9/7 v5");
}

#[test]
fn a_line_of_an_order_is_only_changed_by_its_order() {
    let given = "add 5, reserve r1 3 line o1";
    for command in ["commit r1", "release r1", "extend r1 10m", "@1800s commit r1"] {
        check(given, command, "rejected: reservation r1 is a line of order o1", "5/3 v2");
    }
    check(given, "commit-line r1 o1", "committed r1 3", "2/0 v3");
    check(given, "free-line r1 o1", "freed r1 3 expired", "5/0 v3");
    check(given, "commit-line r1 o2", "rejected: no reservation r1 on this stock", "5/3 v2");
    check("add 5, reserve r1 3", "free-line r1 o1", "rejected: no reservation r1 on this stock", "5/3 v2");
    check(given, "reserve r1 3", "rejected: reservation r1 exists already", "5/3 v2");
}

#[test]
fn a_line_of_an_expired_order_is_not_freed_alone() {
    let given = "add 5, reserve r1 3 line o1, reserve r2 1 40m";
    check(given, "@1800s reserve r3 2", "rejected: order o1 has expired, and has to be closed first", "5/4 v3");
    check(given, "@1800s reserve r3 1", "reserved r3 1 until 3600s", "5/5 v4");
    check(given, "@1800s count 3", "rejected: order o1 has expired, and has to be closed first", "5/4 v3");
    check(given, "@2400s expire 10", "freed r2 1 expired", "5/3 v4");
    let single_first = "add 5, reserve r2 1 10m, reserve r1 3 line o1";
    check(single_first, "@1800s reserve r3 2", "freed r2 1 expired, reserved r3 2 until 3600s", "5/5 v5");
    check(single_first, "@1800s reserve r3 3", "rejected: order o1 has expired, and has to be closed first", "5/4 v3");
}

#[test]
fn units_go_to_another_store_and_back() {
    check("add 5, reserve r1 3", "send 2", "sent 2", "3/3 v3");
    check("add 5, reserve r1 3", "send 3", "rejected: 3 units asked for, 2 available", "5/3 v2");
    check("add 5, reserve r1 3", "@1800s send 3", "freed r1 3 expired, sent 3", "2/0 v4");
    check("", "take 3", "took 3", "3/0 v1");
    check("add 5, send 3", "take-back 3", "took back 3", "5/0 v3");
    let full = "count 1000000000000000";
    let no = "rejected: 1000000000000000 units on hand and 1 more would pass the limit of 1000000000000000";
    check(full, "take 1", no, "1000000000000000/0 v1");
    check(full, "take-back 1", no, "1000000000000000/0 v1");
}

#[test]
fn a_stock_says_up_to_which_version_it_has_forgotten() {
    let mut state = Inventory::remembering(1);
    state = run(state, "add 5, reserve r1 1, reserve r2 1, release r1").0;
    assert_eq!(state.forgotten_version(), 0);
    state = run(state, "release r2").0;
    assert_eq!(state.forgotten_version(), 4, "r1 was closed at version 4");
    assert_eq!(outcome(&state, "release r2", NOON), "rejected: reservation r2 is released");
}

#[test]
fn a_forgotten_reservation_is_refused_like_one_that_is_remembered() {
    let id = ReservationId::from_u128(1);
    for (closing, how) in
        [(Closing::Committed, "is committed"), (Closing::Released, "is released"), (Closing::Expired, "has expired")]
    {
        assert_eq!(
            render(&Err(reject_closed(id, closing, &parse("reserve r1 3")))),
            "rejected: reservation r1 exists already"
        );
        for command in ["commit r1", "release r1", "extend r1 1m"] {
            assert_eq!(
                render(&Err(reject_closed(id, closing, &parse(command)))),
                format!("rejected: reservation r1 {how}")
            );
        }
    }
}

#[test]
fn parts_that_break_an_invariant_make_no_stock() {
    let good = run(Inventory::remembering(2), "add 5, reserve r1 3, reserve r2 1, release r2").0.to_parts();
    assert!(Inventory::from_parts(good.clone()).is_ok());
    let mut bad = good.clone();
    bad.quantity = 2;
    assert_eq!(Inventory::from_parts(bad), Err(PartsDontFit::Units { reserved: 3, quantity: 2 }));
    let mut bad = good.clone();
    bad.reservations.push(good.reservations[0]);
    bad.quantity = 9;
    assert_eq!(Inventory::from_parts(bad), Err(PartsDontFit::Reservations));
    let mut bad = good;
    bad.closed_remembered = 0;
    assert_eq!(Inventory::from_parts(bad), Err(PartsDontFit::Reservations));
}

#[test]
fn a_clock_that_goes_back_revives_nothing() {
    let expired = "add 5, reserve r1 3, @1800s add 1";
    check(expired, "@0s commit r1", "rejected: reservation r1 has expired", "6/3 v3");
    check("@100s add 5", "@0s reserve r1 3 1m", "reserved r1 3 until 160s", "5/3 v2");
}

#[test]
fn a_stock_forgets_the_oldest_closed_reservations() {
    let mut state = Inventory::remembering(1);
    let given = "add 5, reserve r1 1, reserve r2 1, release r1, release r2";
    state = run(state, given).0;
    assert_eq!(outcome(&state, "release r1", NOON), "rejected: no reservation r1 on this stock");
    assert_eq!(outcome(&state, "release r2", NOON), "rejected: reservation r2 is released");
}

#[test]
fn quantities_reasons_and_holds_have_their_range() {
    for (given, allowed) in [
        (i64::MIN, false),
        (-1, false),
        (0, false),
        (1, true),
        (1_000_000_000, true),
        (1_000_000_001, false),
        (i64::MAX, false),
    ] {
        assert_eq!(Quantity::new(given).is_ok(), allowed, "quantity {given}");
    }
    for (given, allowed) in [(-1, false), (0, true), (1_000_000_000_000_000, true), (1_000_000_000_000_001, false)] {
        assert_eq!(StockQuantity::new(given).is_ok(), allowed, "stock quantity {given}");
    }
    for (given, allowed) in [(0, false), (1, true), (1440, true), (1441, false), (i64::MAX, false)] {
        assert_eq!(HoldFor::from_minutes(given).is_ok(), allowed, "{given} minutes");
    }
    for (given, allowed) in [
        (String::new(), false),
        (" \t".into(), false),
        (" a ".into(), true),
        ("ä".repeat(500), true),
        ("a".repeat(501), false),
    ] {
        assert_eq!(Reason::new(&given).is_ok(), allowed, "reason of {} characters", given.chars().count());
    }
    assert_eq!(Reason::new(" a b ").unwrap().as_str(), "a b");
}

#[test]
fn a_late_count_rests_on_what_other_counts_have_told() {
    let counted = "add 100, @60s count 90 of 30s then 100 corrected 0";
    check(counted, "@61s count 90 of 30s then 100 corrected 0", "counted 90 (+0) then", "90/0 v3");
    check(counted, "@61s count 90 of 40s then 100 corrected 0", "counted 90 (+0) then", "90/0 v3");
    check(counted, "@61s count 88 of 40s then 100 corrected 0", "counted 88 (-2) then", "88/0 v3");
    check(counted, "@61s count 85 of 20s then 100 corrected 0", "counted 85 (+0) then", "90/0 v3");
    check(counted, "@61s count 80 of 60s then 90 corrected -10", "counted 80 (-10) then", "80/0 v3");
    let now = "add 100, @50s count 80, @55s add 5";
    check(now, "@60s count 70 of 40s then 100 corrected 0", "counted 70 (+0) then", "85/0 v4");
    check(now, "@60s count 79 of 51s then 80 corrected -20", "counted 79 (-1) then", "84/0 v4");
}

#[test]
fn a_count_may_lie_30_days_back() {
    let days = |days: i64| days * 24 * 3_600;
    let when = |seconds: i64| format!("@{seconds}s count 1 of 0s then 5 corrected 0");
    check("add 5", &when(days(30)), "counted 1 (-4) then", "1/0 v2");
    check("add 5", &when(days(30) + 1), "rejected: a count may lie 30 days back, not more", "5/0 v1");
}

/// Given what has happened, when this is asked for, then these events (or this rejection) and this level come of it.
#[track_caller]
fn check(given: &str, when: &str, then: &str, level: &str) {
    let (state, clock) = run(Inventory::default(), given);
    let (clock, command) = moment(when, clock);
    let decided = decide(&state, &parse(command), at(clock));
    assert_eq!(render(&decided), then, "given {given}, when {when}");
    let state = decided.unwrap_or_default().iter().fold(state, |state, event| evolve(state, event, at(clock)));
    let shown = format!("{}/{} v{}", state.quantity(), state.reserved(), state.version());
    assert_eq!(shown, level, "given {given}, when {when}");
    let held: u64 = state.reservations().map(|(_, reservation)| reservation.quantity.units()).sum();
    assert_eq!(held, state.reserved(), "given {given}, when {when}");
}

fn outcome(state: &Inventory, when: &str, clock: i64) -> String {
    render(&decide(state, &parse(when), Timestamp::from_millis(clock)))
}

fn run(mut state: Inventory, given: &str) -> (Inventory, i64) {
    let mut clock = 0;
    for step in given.split(", ").filter(|step| !step.is_empty()) {
        let (now, command) = moment(step, clock);
        clock = now;
        if !command.is_empty() {
            let events = decide(&state, &parse(command), at(clock)).unwrap_or_else(|no| panic!("{step}: {no}"));
            state = events.iter().fold(state, |state, event| evolve(state, event, at(clock)));
        }
    }
    (state, clock)
}

fn at(clock: i64) -> Timestamp {
    Timestamp::from_millis(NOON + clock)
}

fn moment(step: &str, clock: i64) -> (i64, &str) {
    let Some(step) = step.strip_prefix('@') else { return (clock, step) };
    let (moment, command) = step.split_once(' ').unwrap_or((step, ""));
    let millis = match moment.strip_suffix("ms") {
        Some(millis) => millis.parse().unwrap(),
        None => moment.strip_suffix('s').unwrap().parse::<i64>().unwrap() * 1000,
    };
    (millis, command)
}

fn parse(command: &str) -> Command {
    let words: Vec<&str> = command.split(' ').collect();
    let units = |word: &str| Quantity::new(word.parse().unwrap()).unwrap();
    let minutes = |word: &str| HoldFor::from_minutes(word.strip_suffix('m').unwrap().parse().unwrap()).unwrap();
    let reservation = |word: &str| ReservationId::from_u128(word[1..].parse().unwrap());
    let reason = || Reason::new("test").unwrap();
    let reserve = |id: &str, quantity: &str, customer: u128, hold_for: Option<HoldFor>| {
        let (reservation_id, quantity) = (reservation(id), units(quantity));
        let customer_id = CustomerId::from_u128(customer);
        Command::Reserve(Reserve { reservation_id, quantity, customer_id, hold_for, order_id: None })
    };
    let order = |word: &str| OrderId::from_u128(word[1..].parse().unwrap());
    let line = |id: &str, of: &str| OrderLineRef { order_id: order(of), reservation_id: reservation(id) };
    let count = |counted: &str, then: Option<(&str, &str, &str)>| {
        let counted = StockQuantity::new(counted.parse().unwrap()).unwrap();
        let then = then.map(|(seconds, quantity, corrected)| CountedThen {
            counted_at: at(seconds.strip_suffix('s').unwrap().parse::<i64>().unwrap() * 1000),
            quantity: quantity.parse().unwrap(),
            corrected: corrected.parse().unwrap(),
        });
        Command::Adjust(Adjust { counted, reason: reason(), then })
    };
    let transfer_id = TransferId::from_u128(1);
    let commit = |id: &str, quantity| {
        let order_id = OrderId::from_u128(1);
        Command::Commit(Commit { reservation_id: reservation(id), order_id, quantity })
    };
    match words[..] {
        ["add", quantity] => Command::Add { quantity: units(quantity), reason: reason() },
        ["reserve", id, quantity] => reserve(id, quantity, 1, Some(HoldFor::DEFAULT)),
        ["reserve", id, quantity, "forever"] => reserve(id, quantity, 1, None),
        ["reserve", id, quantity, "for", "c2"] => reserve(id, quantity, 2, Some(HoldFor::DEFAULT)),
        ["reserve", id, quantity, hold] => reserve(id, quantity, 1, Some(minutes(hold))),
        ["commit", id] => commit(id, None),
        ["commit", id, part] => commit(id, Some(units(part))),
        ["release", id] => Command::Release(Release { reservation_id: reservation(id), reason: reason() }),
        ["extend", id, hold] => Command::Extend(Extend { reservation_id: reservation(id), hold_for: minutes(hold) }),
        ["count", counted] => count(counted, None),
        ["count", counted, "then", quantity] => count(counted, Some(("0s", quantity, "0"))),
        ["count", counted, "of", moment, "then", quantity, "corrected", corrected] => {
            count(counted, Some((moment, quantity, corrected)))
        }
        ["expire", most] => Command::ReleaseExpired { reservations_max: most.parse().unwrap() },
        ["reserve", id, quantity, "line", of] => match reserve(id, quantity, 1, Some(HoldFor::DEFAULT)) {
            Command::Reserve(reserve) => Command::Reserve(Reserve { order_id: Some(order(of)), ..reserve }),
            other => other,
        },
        ["commit-line", id, of] => Command::CommitOrderLine(line(id, of)),
        ["free-line", id, of] => Command::ReleaseOrderLine { line: line(id, of), cause: ReleaseCause::Expired },
        ["send", quantity] => Command::TransferOut {
            transfer_id,
            to_store_id: StoreId::from_u128(2),
            quantity: units(quantity),
            reason: reason(),
        },
        ["take", quantity] => {
            Command::TransferIn { transfer_id, from_store_id: StoreId::from_u128(2), quantity: units(quantity) }
        }
        ["take-back", quantity] => Command::CancelTransfer { transfer_id, quantity: units(quantity) },
        _ => panic!("unknown command {command:?}"),
    }
}

fn render(decided: &Result<Vec<Event>, Rejection>) -> String {
    match decided {
        Err(no) => format!("rejected: {no}")
            .replace("order 00000000-0000-0000-0000-00000000000", "order o")
            .replace("00000000-0000-0000-0000-00000000000", "r"),
        Ok(events) if events.is_empty() => "nothing".into(),
        Ok(events) => events.iter().map(render_event).collect::<Vec<_>>().join(", "),
    }
}

fn render_event(event: &Event) -> String {
    let reservation = |id: &ReservationId| format!("r{}", id.uuid().as_u128());
    let seconds = |moment: Timestamp| format!("{}s", (moment.millis() - NOON) / 1000);
    match event {
        Event::StockAdded { quantity, .. } => format!("added {quantity}"),
        Event::StockReserved { reservation_id, quantity, expires_at, .. } => {
            let until = expires_at.map(|moment| format!(" until {}", seconds(moment))).unwrap_or_default();
            format!("reserved {} {quantity}{until}", reservation(reservation_id))
        }
        Event::StockCommitted { reservation_id, quantity, .. } => {
            format!("committed {} {quantity}", reservation(reservation_id))
        }
        Event::StockReleased { reservation_id, quantity, cause } => {
            let cause = match cause {
                ReleaseCause::Requested(_) => "requested",
                ReleaseCause::Expired => "expired",
                ReleaseCause::UncommittedPart => "uncommitted-part",
            };
            format!("freed {} {quantity} {cause}", reservation(reservation_id))
        }
        Event::ReservationExtended { reservation_id, expires_at, .. } => {
            format!("extended {} until {}", reservation(reservation_id), seconds(*expires_at))
        }
        Event::StockAdjusted { counted, change, counted_at, .. } => {
            format!("counted {counted} ({change:+}){}", if counted_at.is_some() { " then" } else { "" })
        }
        Event::StockTransferredOut { quantity, .. } => format!("sent {quantity}"),
        Event::StockTransferredIn { quantity, .. } => format!("took {quantity}"),
        Event::StockTransferCancelled { quantity, .. } => format!("took back {quantity}"),
    }
}
