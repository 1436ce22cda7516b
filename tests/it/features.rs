//! `data convert --through`: features of a network that the user brings as a TorchScript module.

use crate::support::{Bench, Npz};
use fedrobust::data::{Modality, npz};
use std::path::Path;

/// Three samples: `sound` of lengths 4, 0 and 3, `picture` pooled, and series of widths that the module cannot work on.
fn bench() -> Bench {
    let bench = Bench::new("");
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/torchscript/features.pt");
    std::fs::copy(fixture, bench.path("network.pt")).unwrap();
    let numbers = |count: u64| (0..count).map(|x| x as f32);
    let mut npz = Npz::create(&bench.path("mine.npz")).with("sound", &[3, 4, 2], numbers(24));
    npz = npz.with("sound_length", &[3], [4_i64, 0, 3]).with("picture", &[3, 3], numbers(9));
    for width in [1, 4, 5, 6, 7] {
        npz = npz.with(&format!("width{width}"), &[3, 4, width], numbers(12 * width));
    }
    for name in ["width6_length", "width7_length"] {
        npz = npz.with(name, &[3], [4_i64, 3, 2]);
    }
    drop(npz.with("label", &[3], [0_i64, 1, 0]).with("client", &[3], [0_i64, 0, 1]));
    bench
}

fn modality(bench: &Bench, file: &str, name: &str) -> Modality {
    let config = npz::Config { path: file.into(), modalities: None, classes: None };
    let data = npz::load(&config, &bench.path("")).unwrap();
    data.modalities.into_iter().find(|modality| modality.shape.name == name).unwrap()
}

#[test]
fn features_replace_the_values_each_sample_cut_to_its_length() {
    let bench = bench();
    let through = ["--through", "sound=network.pt", "--through", "picture=network.pt"];
    let ran = bench.ran(&[&["data", "convert", "mine.npz", "made.npz"][..], &through].concat());
    let said = "made.npz: 3 samples of mine; read it by data.npz = { path = \"made.npz\", classes = 2 }\n";
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (Some(0), said, ""));
    let sound = modality(&bench, "made.npz", "sound");
    // Every second step, sum and maximum: of sample 0 steps 0 and 2, (0, 1) and (4, 5).
    let expected = [1.0, 1.0, 9.0, 5.0, 0.0, 0.0, 0.0, 0.0, 33.0, 17.0, 41.0, 21.0];
    assert_eq!(sound.values.iter().copied().collect::<Vec<f32>>(), expected);
    assert_eq!((sound.values.dim(), sound.lengths, sound.shape.sequence), ((3, 2, 2), Some(vec![2, 0, 2]), true));
    // Pooled features of width 3 come back as their own mean; what no module is named for stays.
    for name in ["picture", "width4"] {
        assert_eq!(modality(&bench, "made.npz", name), modality(&bench, "mine.npz", name));
    }
}

#[test]
fn what_makes_no_features_is_refused_and_nothing_is_written() {
    let bench = bench();
    std::fs::write(bench.path("text.pt"), "no module").unwrap();
    let refused = |through: &str| {
        let ran = bench.ran(&["data", "convert", "mine.npz", "made.npz", "--through", through]);
        assert!(!bench.path("made.npz").exists());
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{through}: {}", ran.err);
        ran.err
    };
    assert_eq!(
        refused("sound"),
        "--through sound: is no modality with a module; allowed: MODALITY=MODULE.pt, as audio=network.pt.\n"
    );
    assert_eq!(
        refused("taste=network.pt"),
        "--through taste=network.pt: names no modality of the data; allowed: sound, picture, width1, width4, width5, width6, width7. Check the name.\n"
    );
    assert_eq!(
        refused("sound=there.pt"),
        "--through sound=there.pt: cannot read the module: No such file or directory (os error 2); give the path of a TorchScript module\n"
    );
    let other = refused("sound=text.pt");
    assert!(other.starts_with("text.pt: is no TorchScript module ("), "{other}");
    let said = [
        ("width1", "s 0 to 2 the module failed in forward(values): RuntimeError: one number is not enough for me"),
        ("width4", "s 0 to 2 the module gave a NaN or an infinity; features are finite numbers"),
        (
            "width5",
            "s 0 to 2 the module gave [2, 4, 5] for values [3, 4, 5]; features are [B, T, D] or [B, D], none of them 0",
        ),
        ("width6", " 1 the module gave features [1, 3, 3], and [1, 4, 4] at first; give all one width"),
        (
            "width7",
            " 2 the module gave [1, 0, 7] for values [1, 2, 7]; features are [B, T, D] or [B, D], none of them 0",
        ),
    ];
    for (name, what) in said {
        let option = format!("{name}=network.pt");
        assert_eq!(refused(&option), format!("--through {option}: for sample{what}\n"));
    }
}
