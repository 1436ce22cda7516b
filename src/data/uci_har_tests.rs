//! The official layout, written here and read back.

use super::*;
use crate::data::npz;
use std::fmt::Write;

/// A number as the official files write it: `  1.8085150e-004`.
fn official(x: f32) -> String {
    let text = format!("{x:.7e}");
    let (mantissa, exponent) = text.split_once('e').unwrap();
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
    format!("{:>16}", format!("{mantissa}e{sign}{digits:0>3}"))
}

/// The folder with the windows of a data set, by official part.
fn write(root: &Path, data: &Dataset) {
    let Labels::Single(labels) = &data.labels else { unreachable!() };
    for (part, name) in [(Part::Train, "train"), (Part::Test, "test")] {
        let rows: Vec<usize> = (0..data.len()).filter(|&i| data.parts.as_ref().unwrap()[i] == part).collect();
        let folder = root.join(name).join("Inertial Signals");
        std::fs::create_dir_all(&folder).unwrap();
        let lines = |text: &dyn Fn(usize) -> String| rows.iter().map(|&i| text(i) + "\n").collect::<String>();
        let activity = lines(&|i| (labels[i] + 1).to_string());
        std::fs::write(root.join(name).join(format!("y_{name}.txt")), activity).unwrap();
        let person = lines(&|i| data.client_names[data.client[i] as usize].clone());
        std::fs::write(root.join(name).join(format!("subject_{name}.txt")), person).unwrap();
        for (m, (_, file)) in SIGNALS.iter().enumerate() {
            for (d, axis) in ["x", "y", "z"].iter().enumerate() {
                let window = |i: usize| {
                    (0..STEPS).fold(String::new(), |mut line, t| {
                        write!(line, "{}", official(data.modalities[m].values[[i, t, d]])).unwrap();
                        line
                    })
                };
                std::fs::write(folder.join(format!("{file}_{axis}_{name}.txt")), lines(&window)).unwrap();
            }
        }
    }
}

fn small() -> Dataset {
    let mut data =
        outline("uci-har", SIGNALS.map(|(name, _)| ModalityShape::sequence(name, STEPS, 3)).to_vec(), 6, false);
    for m in 0..2 {
        data.modalities[m].values = Array3::from_shape_fn((3, STEPS, 3), |(i, t, d)| {
            // Few binary places, so that eight digits hold them.
            (i as f32 - 1.0) * 0.375 + (t * 3 + d) as f32 / 128.0 - m as f32
        });
    }
    data.labels = Labels::Single(vec![4, 0, 5]);
    data.parts = Some(vec![Part::Train, Part::Train, Part::Test]);
    (data.client, data.client_names) = clients(&["10", "2", "9"].map(String::from));
    data
}

use crate::data::{clients, outline};

fn config(path: &Path) -> Config {
    Config { path: path.to_path_buf(), modalities: None }
}

fn same(a: &Dataset, b: &Dataset) {
    for (a, b) in a.modalities.iter().zip(&b.modalities) {
        assert_eq!(a.shape, b.shape);
        assert!(a.values == b.values, "{}", a.shape.name);
    }
    assert_eq!((&a.labels, &a.client, &a.client_names, &a.parts), (&b.labels, &b.client, &b.client_names, &b.parts));
}

#[test]
fn a_number_of_the_official_files_is_written_as_there() {
    assert_eq!(official(2.0f32.powi(-12)), "  2.4414062e-004");
    assert_eq!(official(-12.5), " -1.2500000e+001");
}

#[test]
fn the_official_folder_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let wanted = small();
    write(folder.path(), &wanted);
    let data = load(&config(folder.path()), Path::new("")).unwrap();
    same(&data, &wanted);
    assert_eq!(data.client_names, ["2", "9", "10"]);
    assert_eq!(data.class_names.as_ref().unwrap()[4], "standing");
    let one = Config { modalities: Some(vec!["gyroscope".into()]), ..config(folder.path()) };
    let one_read = load(&one, Path::new("")).unwrap();
    assert_eq!(one_read.shapes(), [ModalityShape::sequence("gyroscope", STEPS, 3)]);
    assert_eq!(one_read.shapes(), one.outline().shapes());
    assert!(one_read.modalities[0].values == wanted.modalities[1].values);
}

#[test]
fn the_real_data_is_read_from_the_official_format() {
    let Ok(shared) = std::env::var("FEDROBUST_DATA") else {
        eprintln!("skipped: FEDROBUST_DATA is not set");
        return;
    };
    let npz = npz::Config { path: "data/uci_har.npz".into(), modalities: None, classes: None };
    let wanted = npz::load(&npz, Path::new(&shared)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &wanted);
    let data = load(&config(folder.path()), Path::new("")).unwrap();
    same(&data, &wanted);
    assert_eq!(data.checksum, wanted.checksum);
}

#[test]
fn what_is_wrong_with_the_folder_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("UCI HAR Dataset");
    let config = Config { path: "UCI HAR Dataset".into(), modalities: None };
    let message = || load(&config, folder.path()).unwrap_err();
    let subject = "data.uci-har.path = UCI HAR Dataset";
    let error = message();
    assert!(matches!(error, crate::fault::Error::Absent(_)));
    assert_eq!(
        error.to_string(),
        format!(
            "{subject}: there is no folder {}; {GET}, or name where it is: --set data.uci-har.path=FOLDER",
            root.display()
        )
    );
    write(&root, &small());
    let broken = |file: &str, text: &str| {
        let path = root.join(file);
        let before = std::fs::read(&path).unwrap();
        std::fs::write(&path, text).unwrap();
        let error = message();
        assert_eq!(error.exit_code(), 2);
        std::fs::write(&path, before).unwrap();
        error.to_string()
    };
    assert_eq!(
        broken("train/y_train.txt", "5\n7\n"),
        format!("{subject}: train/y_train.txt:2: \"7\" is not a whole number from 1 to 6; unpack the archive again")
    );
    assert_eq!(
        broken("train/subject_train.txt", "5\n"),
        format!("{subject}: train/subject_train.txt has 1 lines, train/y_train.txt has 2; unpack the archive again")
    );
    let file = "test/Inertial Signals/body_acc_x_test.txt";
    assert_eq!(
        broken(file, "1 2 3\n"),
        format!("{subject}: {file}:1: has 3 numbers, 128 are needed; unpack the archive again")
    );
    assert_eq!(
        broken(file, "1 NaN 3\n"),
        format!("{subject}: {file}:1: \"NaN\" is not a finite number; unpack the archive again")
    );
    assert_eq!(
        broken(file, ""),
        format!("{subject}: {file}: has 0 windows, the labels have 1; unpack the archive again")
    );
    std::fs::remove_file(root.join(file)).unwrap();
    assert_eq!(
        message().to_string(),
        format!("{subject}: has no file {file} (128 numbers a line); name the folder that holds it")
    );
}
