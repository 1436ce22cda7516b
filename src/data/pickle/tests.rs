//! What NumPy wrote in every protocol, crafted files, and mutations of real ones.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Pickles that `tests/fixtures/pickles.py` wrote, by name and protocol.
fn fixtures() -> BTreeMap<String, Vec<u8>> {
    let text = include_str!("../../../tests/fixtures/pickles.json");
    let hex: BTreeMap<String, String> = serde_json::from_str(text).unwrap();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    hex.into_iter().map(|(name, hex)| (name, hex.as_bytes().chunks(2).map(byte).collect())).collect()
}

fn every(name: &str) -> Vec<(String, Vec<u8>)> {
    let found: Vec<_> = fixtures().into_iter().filter(|(key, _)| key.split(' ').next() == Some(name)).collect();
    assert!(found.len() >= 4, "{name}");
    found
}

/// A value as text: everything that can be seen of it.
fn show(view: View) -> String {
    let all = |views: Vec<View>| views.into_iter().map(show).collect::<Vec<_>>().join(" ");
    if let Some(array) = view.array() {
        return format!("array{:?}{}{:?}", array.shape(), if array.fortran() { "F" } else { "" }, array.floats());
    }
    if let Some(pairs) = view.pairs() {
        return format!(
            "{{{}}}",
            pairs.into_iter().map(|(k, v)| format!("{}={}", show(k), show(v))).collect::<Vec<_>>().join(" ")
        );
    }
    match (view.items(), view.text(), view.number()) {
        (Some(items), ..) => format!("[{}]", all(items)),
        (_, Some(text), _) => format!("'{text}'"),
        (.., Some(number)) => number.to_string(),
        _ => view.what().to_string(),
    }
}

#[test]
fn what_numpy_writes_is_read_in_every_protocol() {
    for (name, wanted) in [
        ("item", "[['1' 260 0 array[2, 3]Some([-0.5, -0.25, 0.0, 0.25, 0.5, 0.75])]]"),
        ("float32", "array[3, 2]Some([0.0, 1.0, 2.0, 3.0, 4.0, 5.0])"),
        ("columns", "array[3, 2]FSome([0.0, 2.0, 4.0, 1.0, 3.0, 5.0])"),
        ("big", "array[3]Some([0.0, 1.0, 2.0])"),
        ("int16", "array[2]Some([-2.0, 300.0])"),
        ("bool", "array[2]Some([1.0, 0.0])"),
        ("scalars", "[0.5 -3 1 2.5 None 1 -1 70000 1099511627776 -4611686018427388000 1.5 ['a' 'b']]"),
        ("nested", "{'k'=[[] [] [1] [1 2] [1 2 3] [1 2 3 4]] 'text'='Grüße'}"),
    ] {
        for (key, file) in every(name) {
            let pickle = read(&file).unwrap_or_else(|e| panic!("{key}: {e}"));
            // Python 2 has no bytes, so protocol 2 writes them through Latin-1.
            let shown = show(pickle.root()).replace("['a' bytes]", "['a' 'b']");
            assert_eq!(shown, wanted, "{key}");
        }
    }
}

#[test]
fn the_example_by_hand_is_read() {
    let file = [0x80, 2, 0x5d, 0x28, 0x4b, 5, 0x4e, 0x65, 0x2e];
    assert_eq!(show(read(&file).unwrap().root()), "[5 None]");
}

fn refused(body: &[u8]) -> String {
    let file = [b"\x80\x04".as_slice(), body].concat();
    read(&file).map(|pickle| show(pickle.root())).unwrap_err().to_string()
}

#[test]
fn nothing_but_data_is_built() {
    let only = "only data and NumPy arrays are read";
    for (body, wanted) in [
        (b"cos\nsystem\n(S'ls'\ntR.".as_slice(), format!("at byte 2: refers to \"os.system\"; {only}")),
        (b"\x8c\x08builtins\x8c\x04eval\x93.", format!("at byte 18: refers to \"builtins.eval\"; {only}")),
        (
            b"cnumpy.core.multiarray\nfromfile\n.",
            format!("at byte 2: refers to \"numpy.core.multiarray.fromfile\"; {only}"),
        ),
        (b"cnumpy\nndarray\n)\x81.", "at byte 18: makes an object of a class; only data is read".into()),
        (b"cnumpy\nndarray\n)R.", "at byte 18: calls what cannot be called".into()),
        (b"]K\x01)b.", "at byte 6: sets the state of an object; only that of NumPy's arrays is read".into()),
        (b"Pfile\n.", "at byte 2: refers to an object outside of the file (persistent_id)".into()),
        (b"\x97.", "at byte 2: keeps arrays outside of the file (buffer_callback); pickle without it".into()),
        (b"\x8f.", "at byte 2: holds a set; lists, tuples and dictionaries are read".into()),
        (b"I1\n.", "at byte 2: has the instruction 0x49, which is not one of protocol 2 to 5".into()),
        (b"]\x94h\x00a.", "at byte 2: makes a value that holds itself".into()),
        (b"X\xff\xff\xff\xff.", "at byte 2: is cut off: 4294967295 bytes are announced, 1 are left".into()),
        (
            b"\x8e\xff\xff\xff\xff\xff\xff\xff\xff.",
            "at byte 2: is cut off: 18446744073709551615 bytes are announced, 1 are left".into(),
        ),
        (
            b"\x95\x00\x00\x00\x00\x00\x01\x00\x00N.",
            "at byte 2: is cut off: a frame of 1099511627776 bytes is announced, 2 are left".into(),
        ),
        (b"N", "at byte 3: is cut off: 1 bytes are announced, 0 are left".into()),
        (b".", "at byte 2: takes a value from an empty stack".into()),
        (b"(K\x01K\x02(0.", "at byte 8: takes a value from an empty stack".into()),
        (b"t.", "at byte 2: goes back to a mark that is not there".into()),
        (b"}(K\x01u.", "at byte 6: has a key without a value".into()),
        (b"K\x01K\x02a.", "at byte 6: puts values into what is no list or dictionary".into()),
        (b"h\x07.", "at byte 2: refers to value 7, which was not kept".into()),
        (
            b"\x8a\x09\x01\x01\x01\x01\x01\x01\x01\x01\x01.",
            "at byte 2: holds a whole number of more than 64 bits".into(),
        ),
        (b"\x8c\x02\xff\xff.", "at byte 2: holds a text that is not UTF-8".into()),
        (
            b"cnumpy\ndtype\n\x8c\x01O\x85R.",
            "at byte 19: has numbers of dtype \"O\"; f4, f8, i1 to i8, u1 to u8 and b1 are read".into(),
        ),
    ] {
        assert_eq!(refused(body), wanted);
    }
    assert_eq!(read(b"hello").unwrap_err().to_string(), "at byte 0: does not begin as a pickle of protocol 2 to 5");
    assert_eq!(read(b"\x80\x07N.").unwrap_err().to_string(), "at byte 0: is of protocol 7, 2 to 5 are read");
}

#[test]
fn shapes_that_lie_and_depth_are_refused() {
    let array = |shape: &[u8]| {
        let head = b"cnumpy.core.numeric\n_frombuffer\n(C\x08abcdefghcnumpy\ndtype\n\x8c\x02f4\x85R";
        [head.as_slice(), shape, b"\x8c\x01CtR."].concat()
    };
    let wrong = |shape: &[u8]| refused(&array(shape));
    assert!(wrong(b"K\x03\x85").ends_with("makes an array of shape [3] with 4 bytes a number from 8 bytes"));
    let huge = b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x86";
    assert!(wrong(huge).contains("makes an array of shape [9223372036854775807, 9223372036854775807]"));
    assert!(wrong(b"J\xff\xff\xff\xff\x85").ends_with("makes an array of a shape that is not up to 8 whole numbers"));
    let good = [b"\x80\x04".as_slice(), &array(b"K\x02\x85")].concat();
    assert!(show(read(&good).unwrap().root()).starts_with("array[2]"));
    let deep = [vec![b']'; 1_000_000], vec![b'a'; 999_999], vec![b'.']].concat();
    assert!(refused(&deep).ends_with("nests values deeper than 64 levels"));
}

#[test]
fn arrays_that_are_referred_to_again_and_again_take_no_memory() {
    // One array of 800 bytes and 10,000 references to it.
    let head = b"\x80\x04](cnumpy.core.numeric\n_frombuffer\n(B\x20\x03\x00\x00".as_slice();
    let tail = b"cnumpy\ndtype\n\x8c\x02f8\x85RKd\x85\x8c\x01CtRq\x05".as_slice();
    let file = [head, &[0; 800], tail, &b"h\x05".repeat(10_000), b"e."].concat();
    let pickle = read(&file).unwrap();
    let items = pickle.root().items().unwrap();
    assert_eq!(items.len(), 10_001);
    let taken = items.iter().filter(|item| item.array().unwrap().floats().is_some()).count();
    assert_eq!(taken, file.len() / 800);
    // A text is decoded once.
    let text = [b"X\xe8\x03\x00\x00".as_slice(), &[b'a'; 1000], b"q\x00\x8c\x06latin1q\x01"].concat();
    let again = b"c_codecs\nencode\nh\x00h\x01\x86R".repeat(1000);
    let file = [b"\x80\x04](".as_slice(), &text, b"00", &again, b"e."].concat();
    let pickle = read(&file).unwrap();
    assert_eq!(pickle.nodes.iter().filter(|node| matches!(node, Node::Decoded(_))).count(), 1);
    assert_eq!(pickle.root().len(), Some(1000));
}

/// Reads and walks; whatever comes, nothing may panic, and nothing may be larger than the file allows.
fn survives(file: &[u8]) {
    if let Ok(pickle) = read(file) {
        assert!(pickle.nodes.len() <= file.len());
        let mut open = vec![pickle.root()];
        let mut steps = 0;
        while let Some(view) = open.pop().filter(|_| steps < 10_000) {
            steps += 1;
            let _ = (view.text(), view.number(), view.what(), view.array().and_then(|array| array.floats()));
            open.extend(view.items().into_iter().flatten());
            open.extend(view.pairs().into_iter().flatten().flat_map(|(key, value)| [key, value]));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn mutated_files_never_panic(
        which in 0usize..1000,
        edits in proptest::collection::vec((0usize..100_000, any::<u8>(), 0u8..4), 0..12),
    ) {
        let all: Vec<Vec<u8>> = fixtures().into_values().collect();
        let mut file = all[which % all.len()].clone();
        for (place, byte, how) in edits {
            let at = place % file.len().max(1);
            match how {
                0 if at < file.len() => file[at] = byte,
                1 => file.truncate(at),
                2 => file.insert(at.min(file.len()), byte),
                _ if at < file.len() => drop(file.remove(at)),
                _ => {}
            }
        }
        survives(&file);
    }

    #[test]
    fn any_instructions_never_panic(body in proptest::collection::vec(
        prop_oneof![Just(b'('), Just(b']'), Just(b')'), Just(b'}'), Just(b'a'), Just(b'e'), Just(b't'), Just(b'h'), Just(b'q'),
            Just(b'R'), Just(b'b'), Just(b'0'), Just(b'2'), Just(b's'), Just(b'u'), Just(0x94), Just(0x93), Just(0x85), Just(0u8),
            Just(b'.'), any::<u8>()],
        0..200,
    )) {
        survives(&[b"\x80\x04".as_slice(), &body].concat());
    }
}
