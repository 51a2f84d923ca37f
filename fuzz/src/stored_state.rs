//! What is read as a stock's state keeps the stock's invariants, and is written so that the same is read again.
//!
//! The first byte says how many closed reservations a state remembers, the rest is a snapshot.

use inventory_domain::Inventory;
use inventory_eventstore::state_codec::{decode_state, encode_state};

/// Writes a state.
pub type Encode = fn(&Inventory) -> Vec<u8>;

/// Tries the codec.
pub fn check(input: &[u8]) {
    check_with(input, encode_state);
}

/// Tries the codec with this way to write a state.
pub fn check_with(input: &[u8], encode: Encode) {
    let Some((remembered, stored)) = input.split_first() else { return };
    let remembered = usize::from(*remembered);
    let Some(state) = decode_state(stored, remembered) else { return };
    let parts = state.to_parts();
    let held: u64 = parts.reservations.iter().map(|(_, held)| held.quantity.units()).sum();
    assert!(held <= parts.quantity && parts.closed.len() <= remembered);
    let written = encode(&state);
    assert_eq!(decode_state(&written, remembered).as_ref(), Some(&state), "{}", String::from_utf8_lossy(&written));
    assert_eq!(encode(&decode_state(&written, remembered).unwrap()), written);
}
