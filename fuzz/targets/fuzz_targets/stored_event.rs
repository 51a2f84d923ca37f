#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| inventory_fuzz::stored_event::check(input));
