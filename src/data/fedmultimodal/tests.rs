//! Folders in the reference's layout, written here and read back, and the reference's own files.

use super::*;
use crate::data::{Labels, Part};
use std::fs;

/// `\x8c` text, `K`/`J` numbers: a list of items as protocol 5 writes it.
#[derive(Default)]
struct Maker(Vec<u8>);

/// One element of an item.
enum E<'a> {
    T(&'a str),
    I(i32),
    L(&'a [f64]),
    /// An array of f64 by shape.
    A(&'a [usize], &'a [f64]),
    N,
}

impl Maker {
    fn put(&mut self, element: &E) {
        let bytes = &mut self.0;
        let int = |bytes: &mut Vec<u8>, i: i32| {
            bytes.push(b'J');
            bytes.extend(i.to_le_bytes());
        };
        match element {
            E::T(text) => {
                bytes.extend([0x8c, text.len() as u8]);
                bytes.extend(text.as_bytes());
            }
            E::I(i) => int(bytes, *i),
            E::N => bytes.push(b'N'),
            E::L(values) => {
                bytes.extend(b"](");
                values.iter().for_each(|x| {
                    bytes.push(b'G');
                    bytes.extend(x.to_be_bytes());
                });
                bytes.push(b'e');
            }
            E::A(shape, values) => {
                bytes.extend(b"cnumpy._core.numeric\n_frombuffer\n(\x96");
                bytes.extend((8 * values.len() as u64).to_le_bytes());
                values.iter().for_each(|x| bytes.extend(x.to_le_bytes()));
                bytes.extend(b"cnumpy\ndtype\n\x8c\x02f8\x85R(");
                shape.iter().for_each(|&n| int(bytes, n as i32));
                bytes.extend(b"t\x8c\x01CtR");
            }
        }
    }
}

fn pickle(items: &[Vec<E>]) -> Vec<u8> {
    let mut maker = Maker(b"\x80\x05](".to_vec());
    for item in items {
        maker.0.extend(b"](");
        item.iter().for_each(|element| maker.put(element));
        maker.0.push(b'e');
    }
    maker.0.extend(b"e.");
    maker.0
}

fn write(root: &Path, file: &str, items: &[Vec<E>]) {
    let path = root.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, pickle(items)).unwrap();
}

fn config(root: &Path, dataset: Set) -> Config {
    Config {
        path: root.to_path_buf(),
        dataset,
        alpha: dataset.source().alpha.then_some(0.1),
        fold: (dataset.source().folds > 0).then_some(1),
        features: BTreeMap::new(),
        modalities: None,
    }
}

fn read(config: &Config) -> Result<Dataset> {
    load(config, Path::new(""))
}

/// Emotions: lengths differ, and one video could not be extracted.
fn emotions(root: &Path) {
    let audio = "feature/audio/mfcc/crema_d/fold1";
    let video = "feature/video/mobilenet_v2/crema_d/fold1";
    let one = |key: &'static str, label, array| vec![E::T(key), E::T("x.wav"), E::I(label), array];
    for (client, [a, b], label) in [
        ("1002", ["1002/a", "1002/b"], 0),
        ("1001", ["1001/a", "1001/b"], 3),
        ("dev", ["1001/c", "1002/c"], 1),
        ("test", ["1003/a", "1004/a"], 2),
    ] {
        let long = E::A(&[2, 2], &[1.0, 2.0, 3.0, 4.0]);
        write(
            root,
            &format!("{audio}/{client}.pkl"),
            &[one(a, label, long), one(b, label, E::A(&[1, 2], &[5.0, 6.0]))],
        );
        let none = if client == "1001" { E::N } else { E::A(&[1, 1], &[7.0]) };
        write(root, &format!("{video}/{client}.pkl"), &[one(a, label, none), one(b, label, E::A(&[1, 1], &[8.0]))]);
    }
    write(root, &format!("{video}/feature.pkl"), &[]);
}

#[test]
fn clients_are_read_in_the_order_of_their_names_and_aligned_by_position() {
    let folder = tempfile::tempdir().unwrap();
    emotions(folder.path());
    let data = read(&config(folder.path(), Set::CremaD)).unwrap();
    let shapes = [ModalityShape::sequence("audio", 2, 2), ModalityShape::sequence("video", 1, 1)];
    assert_eq!((data.name.as_str(), data.shapes(), data.classes), ("crema_d", shapes.to_vec(), 4));
    assert_eq!(data.labels, Labels::Single(vec![3, 3, 0, 0, 1, 1, 2, 2]));
    assert_eq!(data.client_names, ["1001", "1002", "1003", "1004"]);
    assert_eq!(data.client, [0, 0, 1, 1, 0, 1, 2, 3]);
    let parts = data.parts.as_ref().unwrap();
    assert_eq!(parts.iter().filter(|p| **p == Part::Train).count(), 4);
    assert_eq!(parts[4..], [Part::Dev, Part::Dev, Part::Test, Part::Test]);
    assert_eq!(data.modalities[0].lengths, Some(vec![2, 1, 2, 1, 2, 1, 2, 1]));
    assert_eq!(data.modalities[1].lengths, Some(vec![0, 1, 1, 1, 1, 1, 1, 1]));
    let audio: Vec<f32> = data.modalities[0].values.iter().take(8).copied().collect();
    assert_eq!(audio, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 0.0, 0.0]);
    let alone = Config { modalities: Some(vec!["video".into()]), ..config(folder.path(), Set::CremaD) };
    assert_eq!(read(&alone).unwrap().shapes(), shapes[1..]);
}

#[test]
fn every_data_set_lies_where_the_reference_puts_it() {
    let cases = [
        (Set::UciHar, ["acc/uci-har/alpha01", "gyro/uci-har/alpha01"]),
        (Set::KuHar, ["acc/ku-har/fold1", "gyro/ku-har/fold1"]),
        (Set::PtbXl, ["I_to_AVF/ptb-xl", "V1_to_V6/ptb-xl"]),
        (Set::Meld, ["audio/mfcc/meld", "text/mobilebert/meld"]),
        (Set::CremaD, ["audio/mfcc/crema_d/fold1", "video/mobilenet_v2/crema_d/fold1"]),
        (Set::Ucf101, ["audio/mfcc/ucf101/alpha01/fold1", "video/mobilenet_v2/ucf101/alpha01/fold1"]),
        (Set::Mit10, ["audio/mfcc/mit10/alpha01", "video/mobilenet_v2/mit10/alpha01"]),
        (Set::Mit51, ["audio/mfcc/mit51/alpha01", "video/mobilenet_v2/mit51/alpha01"]),
        (Set::CrisisMmd, ["img/mobilenet_v2/crisis-mmd/alpha01", "text/mobilebert/crisis-mmd/alpha01"]),
        (Set::HatefulMemes, ["img/mobilenet_v2/hateful_memes/alpha01", "text/mobilebert/hateful_memes/alpha01"]),
    ];
    for (set, folders) in cases {
        let folder = tempfile::tempdir().unwrap();
        let multilabel = set.source().multilabel;
        for place in folders {
            for client in ["0", "dev", "test"] {
                let label = if multilabel { E::L(&[0.0, 1.0, 0.0, 0.0, 1.0]) } else { E::I(1) };
                let item = vec![E::T("3/k"), E::T("p/k.wav"), label, E::A(&[1, 2], &[1.0, 2.0])];
                write(folder.path(), &format!("feature/{place}/{client}.pkl"), &[item]);
            }
        }
        let config = config(folder.path(), set);
        let data = read(&config).unwrap_or_else(|e| panic!("{set:?}: {e}"));
        assert_eq!((data.len(), data.modalities.len(), data.multilabel()), (3, 2, multilabel), "{set:?}");
        let outline = config.outline();
        assert_eq!((outline.classes, outline.multilabel()), (data.classes, multilabel));
        let kinds = |data: &Dataset| data.shapes().iter().map(|s| (s.name.clone(), s.sequence)).collect::<Vec<_>>();
        assert_eq!(kinds(&outline), kinds(&data), "{set:?}");
    }
}

#[test]
fn what_is_wrong_with_the_folder_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let subject = format!("data.fedmultimodal.path = {}", root.display());
    let message = || read(&config(root, Set::CremaD)).unwrap_err().to_string();
    let audio = "feature/audio/mfcc/crema_d/fold1";
    let missing = format!("has no folder {audio} (one .pkl a client, audio); name the folder that holds it");
    assert_eq!(message(), format!("{subject}: {missing}"));
    fs::create_dir_all(root.join(audio)).unwrap();
    let none = format!("{audio} holds no client's .pkl file; run the reference's feature extraction");
    assert_eq!(message(), format!("{subject}: {none}"));
    let one = |label, array| vec![E::T("1001/a"), E::T("x.wav"), label, array];
    let broken = |items: &[Vec<E>], wanted: &str| {
        emotions(root);
        write(root, &format!("{audio}/1001.pkl"), items);
        assert_eq!(message(), format!("{subject}: {wanted}"));
    };
    let place = format!("{audio}/1001.pkl: sample 0");
    let wide = E::A(&[1, 1, 1], &[1.0]);
    broken(&[one(E::I(3), wide)], &format!("{place}: has an array of shape [1, 1, 1]; [steps, features] is needed"));
    broken(&[one(E::I(4), E::N)], &format!("{place}: has the label 4; 0 to 3 are allowed"));
    broken(&[one(E::T("3"), E::N)], &format!("{place}: has the label a text; 0 to 3 are allowed"));
    broken(&[one(E::I(3), E::T("x"))], &format!("{place}: ends with a text, not with an array"));
    broken(&[one(E::I(3), E::A(&[1, 1], &[f64::NAN]))], &format!("{place}: holds a NaN or infinity"));
    broken(&[vec![E::I(3)]], &format!("{place}: is not [key, path, …, label, array]"));
    broken(&[], "client 1001 has 0 samples of audio and 2 of video");
    let two = || one(E::I(3), E::A(&[1, 2], &[1.0, 2.0]));
    broken(&[two(), two()], "client 1001: sample 1 of audio is another than that of video");
    fs::write(root.join(audio).join("1001.pkl"), b"\x80\x04cos\nsystem\n.").unwrap();
    let unsafe_file = "at byte 2: refers to \"os.system\"; only data and NumPy arrays are read";
    assert_eq!(message(), format!("{subject}: {audio}/1001.pkl: {unsafe_file}"));
    emotions(root);
    fs::remove_file(root.join(audio).join("1001.pkl")).unwrap();
    assert_eq!(message(), format!("{subject}: client 1001 has a file of one of audio and video, not of the other"));
}

#[test]
fn alpha_and_fold_are_those_of_the_data_set() {
    let said = |config: Config| {
        let mut checker = Checker::default();
        config.check(&mut checker);
        checker.faults.iter().map(|f| format!("{} {}", f.path, f.problem)).collect::<Vec<_>>()
    };
    let root = Path::new("x");
    for set in [Set::UciHar, Set::KuHar, Set::PtbXl, Set::Ucf101] {
        assert_eq!(said(config(root, set)), Vec::<String>::new());
    }
    let bare = |dataset| Config { alpha: None, fold: None, ..config(root, dataset) };
    assert_eq!(
        said(bare(Set::Ucf101)),
        ["alpha is missing: the features of ucf101 lie in a folder an alpha", "fold is missing: ucf101 has folds"]
    );
    let both = |dataset| Config { alpha: Some(5.0), fold: Some(6), ..config(root, dataset) };
    assert_eq!(
        said(both(Set::PtbXl)),
        ["alpha is not of ptb-xl, whose clients are natural", "fold is not of ptb-xl, which has no folds"]
    );
    assert_eq!(said(both(Set::KuHar)), ["alpha is not of ku-har, whose clients are natural", "fold is out of range"]);
    let features = Config { features: [("image".to_string(), "x".to_string())].into(), ..config(root, Set::Meld) };
    assert_eq!(said(features), ["features.image is no modality of meld with a choice of features"]);
}

/// The reference's own files, arranged as it does; only four clients are there, so one of them stands in for dev and test.
#[test]
fn the_references_own_pickles_are_its_data() {
    let Ok(shared) = std::env::var("FEDROBUST_DATA") else {
        eprintln!("skipped: FEDROBUST_DATA is not set");
        return;
    };
    let (shared, folder) = (Path::new(&shared), tempfile::tempdir().unwrap());
    for modality in ["acc", "gyro"] {
        let from = shared.join(format!("reference/fedmultimodal/features/{modality}/uci-har/alpha01"));
        let to = folder.path().join(format!("feature/{modality}/uci-har/alpha01"));
        fs::create_dir_all(&to).unwrap();
        for client in ["1-0", "1-1", "11-3", "30-4"] {
            fs::copy(from.join(format!("{client}.pkl")), to.join(format!("{client}.pkl"))).unwrap();
        }
    }
    let data = read(&config(folder.path(), Set::UciHar)).unwrap();
    assert_eq!(data.client_names, ["1-0", "1-1", "11-3", "30-4"]);
    let npz = crate::data::npz::Config { path: "data/uci_har.npz".into(), modalities: None, classes: None };
    let mut raw = crate::data::npz::load(&npz, shared).unwrap();
    crate::data::prepare::Normalise::PerWindow.normalise(&mut raw);
    let keys = data.keys.as_ref().unwrap();
    let (Labels::Single(labels), Labels::Single(wanted)) = (&data.labels, &raw.labels) else { unreachable!() };
    for (i, key) in keys.iter().enumerate() {
        let row: usize = key.strip_prefix("train/").unwrap().parse().unwrap();
        assert_eq!(labels[i], wanted[row]);
        for m in 0..2 {
            let (mine, theirs) = (&data.modalities[m].values, &raw.modalities[m].values);
            for (a, b) in mine.index_axis(ndarray::Axis(0), i).iter().zip(theirs.index_axis(ndarray::Axis(0), row)) {
                assert!((a - b).abs() <= 2e-6 * b.abs().max(1.0), "{key}: {a} {b}");
            }
        }
    }
    assert!(keys.len() > 150, "{}", keys.len());
}
