//! Pickles: whatever the bytes, no panic, and no more values than bytes.
#![no_main]

use fedrobust::data::pickle;

libfuzzer_sys::fuzz_target!(|file: &[u8]| {
    let Ok(read) = pickle::read(file) else { return };
    let mut open = vec![read.root()];
    let mut steps = 0;
    while let Some(view) = open.pop().filter(|_| steps < 100_000) {
        steps += 1;
        let _ = (view.text(), view.number(), view.what(), view.array().and_then(|array| array.floats()));
        open.extend(view.items().into_iter().flatten());
        open.extend(view.pairs().into_iter().flatten().flat_map(|(key, value)| [key, value]));
    }
});
