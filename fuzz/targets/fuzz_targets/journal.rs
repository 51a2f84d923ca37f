#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| inventory_fuzz::journal::check(input));
