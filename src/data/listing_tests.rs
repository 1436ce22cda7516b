//! Layouts of all ten data sets, and files that are refused.

use super::*;
use crate::data::{ModalityShape, outline};

fn parsed(text: &str) -> std::result::Result<Listing, String> {
    parse(text.as_bytes(), "partition.replay.path = p.json")
}

/// Five samples of which the last two are for testing.
fn data(keys: Option<&[&str]>) -> Dataset {
    let mut data = outline("mine", vec![ModalityShape::pooled("a", 1)], 3, false);
    data.labels = Labels::Single(vec![0, 1, 2, 0, 1]);
    data.client = vec![0; 5];
    data.parts = Some(vec![Part::Train, Part::Test, Part::Train, Part::Dev, Part::Test]);
    data.keys = keys.map(|keys| keys.iter().map(|key| key.to_string()).collect());
    data
}

#[test]
fn the_order_of_the_file_is_kept_and_rows_count_parts() {
    let text =
        r#"{"test": [["2", 1, 1], ["2", 0, 1]], "dev": [["1", 2, 0]], "1-10": [["1", 1, 2]], "1-2": [["1", 0, 0]]}"#;
    let listing = parsed(text).unwrap();
    assert_eq!(listing.clients.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["1-10", "1-2"]);
    let rows = listing.rows(&data(None)).unwrap();
    assert_eq!(rows, Rows { clients: vec![vec![2], vec![0]], dev: vec![3], test: vec![4, 1] });
}

#[test]
fn samples_are_found_by_the_names_of_their_files() {
    let keys = ["1001_DFA", "test/dia0_utt0", "train/dia0_utt0", "x#3", "00001_lr"];
    let text = r#"{"s": [["s/1001_DFA", "/data/AudioWAV/1001_DFA.wav", 0, 1001], ["dia0_utt0", "waves/dia0_utt0.wav", 2, "Hi [0, 1]"],
        [3, "a/x.csv", 0]], "test": [["dia0_utt0", "waves/dia0_utt0.wav", 1], ["0.0/00001_lr", "records100/00001_lr", 1]]}"#;
    let rows = parsed(text).unwrap().rows(&data(Some(&keys))).unwrap();
    assert_eq!(rows, Rows { clients: vec![vec![0, 2, 3]], dev: vec![], test: vec![1, 4] });
}

#[test]
fn simulations_are_read() {
    let text = r#"{"a": [["1", 0, 4, [0, 1, 3, 1]], ["k", "p", [0.0, 1.0], [1, 0, [0.0, 1.0], 0]]]}"#;
    let items = &parsed(text).unwrap().clients[0].1;
    let first = Simulated { missing: [false, true], label: Label::Class(3), unlabelled: true };
    assert_eq!(items[0].simulated, Some(first));
    assert_eq!(items[1].label, Label::Classes(vec![0.0, 1.0]));
    assert_eq!(items[1].simulated.as_ref().unwrap().label, Label::Classes(vec![0.0, 1.0]));
}

#[test]
fn a_number_is_tagged_as_the_reference_does() {
    let tags = [tagged("alpha", 5.0), tagged("mm", 0.25), tagged("alpha", 0.1)];
    assert_eq!(tags, ["alpha50", "mm025", "alpha01"]);
}

#[test]
fn every_wrong_file_says_what_is_wrong() {
    for (text, wanted) in [
        (
            "[1]",
            "is not a JSON object of clients with their lists of samples (invalid type: sequence, expected an object of clients at line 1 column 0)",
        ),
        ("{\"a\": [[1]]}", "client \"a\", sample 0: \"[1]\" is not [key, place, label, …]"),
        ("{\"a\": [[\"1\", 0, -1]]}", "client \"a\", sample 0: \"[\"1\",0,-1]\" is not [key, place, label, …]"),
        (
            "{\"a\": [[\"1\", 0, 0, [0, 2, 0, 0]]]}",
            "client \"a\", sample 0: \"[\"1\",0,0,[0,2,0,0]]\" is not [key, place, label, …]",
        ),
        ("{\"a\": [], \"a\": []}", "names the client \"a\" twice"),
        ("{\"dev\": []}", "has no client besides dev and test"),
    ] {
        assert_eq!(parsed(text).unwrap_err(), wanted);
    }
    let deep = format!("{{\"a\": {}", "[".repeat(100_000));
    assert!(parsed(&deep).unwrap_err().contains("recursion limit exceeded"));
    let subject = "partition.replay.path = p.json";
    for (text, wanted) in [
        ("{\"a\": [[\"1\", 9, 0]]}", "client \"a\", sample 0: mine has no sample \"9\"; it is a file of other data"),
        (
            "{\"a\": [[\"1\", 1, 0]]}",
            "client \"a\", sample 0: \"1\" has another label in mine (row 2); it is a file of other data",
        ),
        ("{\"a\": [[\"1\", 0, 0], [\"1\", 0, 0]]}", "client \"a\", sample 1: \"0\" is listed twice"),
    ] {
        let error = parsed(text).unwrap().rows(&data(None)).unwrap_err();
        assert_eq!(error.to_string(), format!("{subject}: {wanted}"));
    }
}
