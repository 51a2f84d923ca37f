//! What counts as a number of units, a reason and a hold, by whichever way it comes in.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use inventory_domain::{HoldFor, Quantity, Reason, StockQuantity, Timestamp};

#[test]
fn numbers_of_units_go_from_their_least_to_their_most() {
    let quantity = |given: i64| Quantity::try_from(given).map(i64::from).map_err(|error| error.to_string());
    for units in [1, 7, 1_000_000_000] {
        assert_eq!(quantity(units), Ok(units));
    }
    for units in [i64::MIN, -1, 0, 1_000_000_001, i64::MAX] {
        assert_eq!(quantity(units), Err(format!("must be from 1 to 1000000000, got {units}")));
        assert_eq!(Quantity::new(units), Quantity::try_from(units));
    }
    let on_hand = |given: i64| StockQuantity::try_from(given).map(i64::from).map_err(|error| error.to_string());
    for units in [0, 7, 1_000_000_000_000_000] {
        assert_eq!(on_hand(units), Ok(units));
    }
    for units in [i64::MIN, -1, 1_000_000_000_000_001, i64::MAX] {
        assert_eq!(on_hand(units), Err(format!("must be from 0 to 1000000000000000, got {units}")));
        assert_eq!(StockQuantity::new(units), StockQuantity::try_from(units));
    }
}

#[test]
fn numbers_of_units_are_shown_as_numbers() {
    assert_eq!(format!("{:>3}|{}", Quantity::new(7).unwrap(), Quantity::new(1_000_000_000).unwrap()), "  7|1000000000");
    assert_eq!(format!("{:>3}|{}", StockQuantity::default(), StockQuantity::new(12).unwrap()), "  0|12");
}

#[test]
fn what_is_left_of_a_quantity_is_a_quantity_or_nothing() {
    let less = |units, part| Quantity::new(units).unwrap().less(Quantity::new(part).unwrap()).map(Quantity::units);
    assert_eq!((less(5, 2), less(5, 5), less(5, 6)), (Some(3), None, None));
}

#[test]
fn a_reason_is_trimmed_and_counted_in_characters() {
    let reason = |given: &str| Reason::try_from(given.to_owned()).map(String::from).map_err(|error| error.to_string());
    assert_eq!(reason("  a delivery\n").as_deref(), Ok("a delivery"));
    let longest = "é".repeat(500);
    assert_eq!(reason(&format!(" {longest} ")), Ok(longest.clone()));
    let refused = |characters| Err(format!("must have 1 to 500 characters after trimming, got {characters}"));
    assert_eq!(reason(&format!("{longest}é")), refused(501));
    assert_eq!((reason(""), reason(" \t\n")), (refused(0), refused(0)));
    let shown = Reason::new(" damaged ").unwrap();
    assert_eq!((shown.to_string().as_str(), shown.as_str()), ("damaged", "damaged"));
}

#[test]
fn a_hold_lasts_a_minute_to_a_day() {
    let hold = |given: i64| HoldFor::try_from(given).map(i64::from).map_err(|error| error.to_string());
    assert_eq!((hold(1), hold(1_440)), (Ok(1), Ok(1_440)));
    for minutes in [i64::MIN, -1, 0, 1_441, 65_537, i64::MAX] {
        assert_eq!(hold(minutes), Err(format!("must be from 1 to 1440 minutes, got {minutes}")));
    }
}

#[test]
fn a_hold_at_the_end_of_time_ends_there() {
    let hold = HoldFor::from_minutes(2).unwrap();
    assert_eq!(Timestamp::from_millis(5) + hold, Timestamp::from_millis(120_005));
    assert_eq!(Timestamp::from_millis(i64::MAX - 1) + hold, Timestamp::from_millis(i64::MAX));
}
