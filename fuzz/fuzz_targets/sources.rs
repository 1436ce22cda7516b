#![no_main]

#[path = "../checks.rs"]
#[allow(dead_code)]
mod checks;
#[path = "../place.rs"]
mod place;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::sources(bytes, place::folder()));
