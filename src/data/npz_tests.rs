//! Tests of the npz layout: what is read, and what every wrong file says.

use super::*;
use npyz::npz::NpzWriter;
use npyz::{AutoSerialize, WriterBuilder};
use std::io::Cursor;

/// An npz file in the making.
struct Maker(NpzWriter<Cursor<Vec<u8>>>);

impl Maker {
    fn new() -> Self {
        Maker(NpzWriter::new(Cursor::new(Vec::new())))
    }

    fn with<T: AutoSerialize>(mut self, name: &str, shape: &[u64], values: &[T]) -> Self {
        let array = self.0.array::<T>(name, Default::default()).unwrap();
        let mut writer = array.default_dtype().shape(shape).begin_nd().unwrap();
        values.iter().for_each(|value| writer.push(value).unwrap());
        writer.finish().unwrap();
        self
    }

    fn raw(mut self, name: &str, bytes: &[u8]) -> Self {
        use std::io::Write;
        let zip = self.0.zip_writer();
        zip.start_file(format!("{name}.npy"), Default::default()).unwrap();
        zip.write_all(bytes).unwrap();
        self
    }

    fn bytes(mut self) -> Vec<u8> {
        self.0.zip_writer().finish().unwrap().into_inner()
    }

    fn read(self, modalities: Option<&[String]>, classes: Option<usize>) -> Result<Dataset> {
        read(Cursor::new(self.bytes()), "my.npz", &Wanted { modalities, classes })
    }

    fn error(self) -> String {
        self.read(None, None).err().map(|e| e.to_string()).unwrap_or_default()
    }
}

/// Two samples of one modality `[2, 2, 1]`.
fn audio() -> Maker {
    Maker::new().with("audio", &[2, 2, 1], &[1.0f32, 2.0, 3.0, 4.0])
}

fn good() -> Maker {
    audio().with("label", &[2], &[0i64, 2])
}

#[test]
fn sequences_pooled_features_scales_lengths_parts_and_clients_are_read() {
    let data = good()
        .with("video", &[2, 3], &[1i16, 2, 3, 4, 5, 6])
        .with("video_scale", &[3], &[0.5f64, 1.0, 2.0])
        .with("audio_length", &[2], &[1i32, 2])
        .with("client", &[2], &[10i64, 9])
        .with("split", &[2], &[2u8, 0])
        .read(None, None)
        .unwrap();
    assert_eq!(
        data.shapes().iter().map(|s| (s.name.as_str(), s.time, s.width, s.sequence)).collect::<Vec<_>>(),
        [("audio", 2, 1, true), ("video", 1, 3, false)]
    );
    assert_eq!(data.modalities[0].values.iter().copied().collect::<Vec<_>>(), [1.0, 0.0, 3.0, 4.0]);
    assert_eq!(data.modalities[0].lengths, Some(vec![1, 2]));
    assert_eq!(data.modalities[1].values.iter().copied().collect::<Vec<_>>(), [0.5, 2.0, 6.0, 2.0, 5.0, 12.0]);
    assert_eq!((data.labels.clone(), data.classes), (Labels::Single(vec![0, 2]), 3));
    assert_eq!((data.client.clone(), data.client_names.clone()), (vec![1, 0], vec!["9".to_string(), "10".to_string()]));
    assert_eq!(data.parts, Some(vec![Part::Test, Part::Train]));
}

#[test]
fn without_clients_all_samples_belong_to_one() {
    assert_eq!(good().read(None, None).unwrap().client_names, ["all"]);
}

#[test]
fn modalities_are_picked_and_ordered() {
    let names = ["b".to_string(), "audio".to_string()];
    let data = good().with("b", &[2, 1], &[0.0f64, 1.0]).read(Some(&names), None).unwrap();
    assert_eq!(data.shapes().iter().map(|s| s.name.clone()).collect::<Vec<_>>(), names);
    let error = good().read(Some(&["sound".to_string()]), None).err().map(|e| e.to_string());
    assert_eq!(error.as_deref(), Some("my.npz: has no modality `sound`; it has: audio"));
}

#[test]
fn the_checksum_is_of_the_content() {
    let sum = |maker: Maker| maker.read(None, None).unwrap().checksum;
    assert_eq!(sum(good()), sum(audio().with("label", &[2], &[0u8, 2])));
    assert_ne!(sum(good()), sum(audio().with("label", &[2], &[0i64, 1])));
}

#[test]
fn multilabel_is_two_dimensional() {
    let data = audio().with("label", &[2, 2], &[1i64, 0, 1, 1]).read(None, None).unwrap();
    assert!(data.multilabel());
    assert_eq!(data.classes, 2);
}

#[test]
fn every_wrong_file_says_what_is_wrong() {
    let cases = [
        (
            audio().error(),
            "my.npz: has no array `label`; save the classes as `label`, [N] whole numbers from 0 (there are: audio)",
        ),
        (
            Maker::new().with("label", &[1], &[0i64]).error(),
            "my.npz: has no modality; save at least one array [N, T, D] or [N, D] besides label, client and split",
        ),
        (
            audio().with("label", &[3], &[0i64, 1, 2]).error(),
            "my.npz: array `audio` has 2 rows, array `label` has 3; every array needs one row a sample, in the same order",
        ),
        (
            audio().with("label", &[2], &[0i64, -1]).error(),
            "my.npz: array `label` has -1 in row 1; labels go from 0 to 0 here",
        ),
        (
            audio().with("label", &[2, 2], &[0i64, 1, 1, 3]).error(),
            "my.npz: array `label` has 3 in row 1; multilabel labels are 0 or 1",
        ),
        (
            good().with("audio_length", &[2], &[1i64, 3]).error(),
            "my.npz: array `audio_length` has 3 in row 1; lengths go from 0 to 2",
        ),
        (
            good().with("audio_scale", &[2], &[1.0f32, 1.0]).error(),
            "my.npz: array `audio_scale` has shape [2]; [1] is needed, one number a feature of `audio`",
        ),
        (
            good().with("split", &[2], &[0i64, 7]).error(),
            "my.npz: array `split` has 7 in row 1; 0 train, 1 development or 2 test is needed",
        ),
        (
            good().with("video", &[2, 1], &[0.0f32, f32::NAN]).error(),
            "my.npz: array `video` has a NaN or infinity in row 1; fill or drop such samples",
        ),
        (
            Maker::new().with("a", &[0, 1], &[0f32; 0]).with("label", &[0], &[0i64; 0]).error(),
            "my.npz: array `label` is empty; at least one sample is needed",
        ),
        (
            audio().with("label", &[2], &[0.5f64, 1.0]).error(),
            "my.npz: array `label` has dtype '<f8'; whole numbers are needed: convert it with .astype before saving",
        ),
    ];
    for (found, wanted) in cases {
        assert_eq!(found, wanted);
    }
    let error = good().read(None, Some(2)).err().map(|e| e.to_string());
    let wanted =
        "my.npz: array `label` has 2 in row 1; labels go from 0 to 1 here; mend the label or raise data.npz.classes";
    assert_eq!(error.as_deref(), Some(wanted));
    let many = (0..33).fold(Maker::new(), |m, i| m.with(&format!("m{i}"), &[1, 1], &[0f32]));
    let wanted = "my.npz: has 33 modalities, at most 32 are possible; choose some with data.npz.modalities";
    assert_eq!(many.with("label", &[1], &[0i64]).error(), wanted);
}

#[test]
fn a_file_that_is_missing_or_no_npz_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { path: "my.npz".into(), modalities: None, classes: None };
    let message = || load(&config, folder.path()).err().map(|e| e.to_string()).unwrap_or_default();
    let at = folder.path().join("my.npz");
    assert_eq!(
        message(),
        format!(
            "data.npz.path = my.npz: there is no file {}; a relative path starts at the scenario's folder",
            at.display()
        )
    );
    std::fs::write(&at, b"hello").unwrap();
    assert_eq!(message(), "my.npz: is not an npz file; write one with numpy.savez_compressed(path, ...)");
}

/// An npy file with this header and eight bytes.
fn npy(header: &str) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend_from_slice(&(header.len() as u16).to_le_bytes());
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(&[0; 8]);
    bytes
}

#[test]
fn a_header_that_lies_takes_no_memory_and_does_not_panic() {
    let dict =
        |shape: &str, descr: &str| npy(&format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape})}}"));
    let bad = "my.npz: array `x` is damaged";
    for (bytes, why) in [
        (dict("1000000000000,", "<f4"), "a shape larger than the file"),
        (dict("0, 18446744073709551615, 4", "<f4"), "a shape larger than the file"),
        (dict("50,", "<f4"), "shape [50] of '<f4' does not fit in its"),
        (dict("-1,", "<f4"), "a size that is no number"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff".to_vec(), "the header is cut off"),
        (b"\x93NUMPY\x01\x00".to_vec(), "the header is cut off"),
        (b"what".to_vec(), "no npy header"),
        (npy(&"[".repeat(3000)), "the header is too long"),
        // The parser would take minutes over these thirty bytes.
        (npy(&("[[[{".repeat(7) + "'shape': (4, 4)")), "the header nests too deep"),
        (npy("{'shape': (1,), 'descr': '<f4', 'fortran_order': False, 'shape': (9,)}"), "not one shape"),
    ] {
        let error = Maker::new().raw("x", &bytes).with("label", &[1], &[0i64]).error();
        assert!(error.starts_with(&format!("{bad} ({why}")), "{error}");
    }
    let complex = Maker::new().raw("x", &dict("1,", "<c8")).with("label", &[1], &[0i64]).error();
    let wanted = "my.npz: array `x` has dtype '<c8'; f32, f64, integers or text are needed: convert it with .astype before saving";
    assert_eq!(complex, wanted);
}

#[test]
fn column_order_is_turned_into_row_order() {
    let mut bytes = npy("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 4)}");
    let start = bytes.len() - 8;
    (0..8).for_each(|i| bytes[start + i] = i as u8);
    let data = Maker::new().raw("x", &bytes).with("label", &[2], &[0i64, 1]).read(None, None).unwrap();
    assert_eq!(data.modalities[0].values.iter().copied().collect::<Vec<_>>(), [0., 2., 4., 6., 1., 3., 5., 7.]);
}

#[test]
fn text_names_clients() {
    let text: Vec<u8> = "ba".chars().flat_map(|c| (c as u32).to_le_bytes()).collect();
    let mut bytes = npy("{'descr': '<U1', 'fortran_order': False, 'shape': (2,)}");
    let start = bytes.len() - 8;
    bytes[start..].copy_from_slice(&text);
    let data = good().raw("client", &bytes).read(None, None).unwrap();
    assert_eq!((data.client, data.client_names), (vec![1, 0], vec!["a".to_string(), "b".to_string()]));
}

#[test]
fn all_real_sets_are_read() {
    let Ok(folder) = std::env::var("FEDROBUST_DATA") else {
        eprintln!("skipped: FEDROBUST_DATA is not set");
        return;
    };
    let sets = [
        ("shoulder", 1050, 2, 7, 10),
        ("uci_har", 10299, 2, 6, 30),
        ("ptbxl500", 500, 2, 5, 4),
        ("phone_watch", 3604, 4, 5, 23),
        ("stress", 6821, 4, 2, 34),
        ("mosi", 2199, 3, 2, 93),
    ];
    for (name, n, modalities, classes, clients) in sets {
        let config = Config { path: format!("data/{name}.npz").into(), modalities: None, classes: None };
        let data = load(&config, Path::new(&folder)).unwrap();
        assert_eq!(data.name, name);
        assert_eq!(
            (data.len(), data.modalities.len(), data.classes, data.client_names.len()),
            (n, modalities, classes, clients)
        );
    }
}
