//! PhysioNet's layout, written here and read back.

use super::*;
use std::fs;

const STATEMENTS: &str = ",description,diagnostic,form,diagnostic_class\nNORM,normal,1.0,,NORM\nIMI,inferior,1.0,,MI\n\
    LVH,left,1.0,,HYP\nSR,rhythm,,,\nNDT,form,,1.0,STTC\n";
const HEAD: &str = "ecg_id,report,site,scp_codes,strat_fold,filename_lr\n";

/// A record whose lead k has sample k in steps of 1/1000 mV, plus its time.
fn record(root: &Path, name: &str, values: impl Fn(usize, usize) -> i16) {
    let leads: Vec<&str> = LEADS.iter().flat_map(|(_, leads)| *leads).collect();
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let stem = path.file_name().unwrap().to_string_lossy().into_owned();
    let sum = |k: usize| (0..STEPS).map(|t| i32::from(values(t, k))).sum::<i32>() as u16 as i16;
    let line = |k: usize| format!("{stem}.dat 16 1000.0(0)/mV 16 0 0 {} 0 {}\n", sum(k), leads[k]);
    let header = format!("{stem} 12 100 1000\n") + &(0..12).map(line).collect::<String>();
    fs::write(path.with_file_name(format!("{stem}.hea")), header).unwrap();
    let bytes: Vec<u8> = (0..STEPS * 12).flat_map(|i| values(i / 12, i % 12).to_le_bytes()).collect();
    fs::write(path.with_file_name(format!("{stem}.dat")), bytes).unwrap();
}

fn folder(rows: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("scp_statements.csv"), STATEMENTS).unwrap();
    fs::write(folder.path().join("ptbxl_database.csv"), format!("{HEAD}{rows}")).unwrap();
    for i in 1..=4 {
        record(folder.path(), &format!("records100/00000/0000{i}_lr"), |t, k| (t as i16 % 7) - 100 * k as i16 + i);
    }
    folder
}

const ROWS: &str = "1,\"sinus, normal\",0.0,\"{'NORM': 100.0, 'SR': 0.0}\",3.0,records100/00000/00001_lr\n\
    2,x,0.0,\"{'IMI': 35.0, 'LVH': 100.0, 'NDT': 100.0}\",9,records100/00000/00002_lr\n\
    3,x,,{},10,records100/00000/00003_lr\n\
    4,x,12.0,\"{'IMI': 80.0}\",1,records100/00000/00004_lr\n";

fn config(path: &Path) -> Config {
    toml::from_str(&format!("path = {:?}", path.display().to_string())).unwrap()
}

#[test]
fn records_sites_folds_and_labels_are_read() {
    let folder = folder(ROWS);
    let data = load(&config(folder.path()), Path::new("")).unwrap();
    assert_eq!((data.len(), data.client_names.as_slice()), (3, &["0.0".to_string(), "12.0".to_string()][..]));
    assert_eq!(data.parts, Some(vec![Part::Train, Part::Dev, Part::Train]));
    let any = ndarray::arr2(&[[1., 0., 0., 0., 0.], [0., 1., 0., 0., 1.], [0., 1., 0., 0., 0.]]);
    assert_eq!(data.labels, Labels::Multi(any));
    let limb = &data.modalities[0].values;
    assert_eq!((limb[[0, 0, 0]], limb[[1, 1, 5]], data.modalities[1].values[[0, 6, 0]]), (0.001, -0.497, -0.593));
    assert_eq!(data.shapes(), config(folder.path()).outline().shapes());
    assert_eq!(data.keys.as_ref().unwrap()[0], "00001_lr");
    let certain = Config { labels: Rule::Certain, min_records: 1, ..config(folder.path()) };
    let data = load(&certain, Path::new("")).unwrap();
    let wanted = ndarray::arr2(&[[1., 0., 0., 0., 0.], [0., 0., 0., 0., 1.], [0.; 5]]);
    assert_eq!(data.labels, Labels::Multi(wanted));
    let large = Config { min_records: 2, ..config(folder.path()) };
    assert_eq!(load(&large, Path::new("")).unwrap().len(), 1);
}

#[test]
fn what_is_wrong_is_said() {
    for (rows, wanted) in [
        (ROWS.replace(",9,", ",11,"), "ptbxl_database.csv: row 3: strat_fold \"11\" is not 1 to 10"),
        (
            ROWS.replace("80.0}", "80.0"),
            "ptbxl_database.csv: row 5: scp_codes \"{'IMI': 80.0\" are not {'CODE': number, …}",
        ),
        (
            ROWS.replace("00001_lr", "00009_lr"),
            "has no file records100/00000/00009_lr.hea (a record's header); name the folder that holds it",
        ),
    ] {
        let folder = folder(&rows);
        let said = load(&config(folder.path()), Path::new("")).unwrap_err().to_string();
        assert_eq!(said, format!("data.ptb-xl.path = {}: {wanted}", folder.path().display()));
    }
    let folder = folder(ROWS);
    let at = folder.path().join("records100/00000/00004_lr.dat");
    let bytes = fs::read(&at).unwrap();
    fs::write(&at, &bytes[..24]).unwrap();
    let said = load(&config(folder.path()), Path::new("")).unwrap_err().to_string();
    assert!(
        said.contains("00004_lr.hea: announces 1000 samples of 12 signals, the signal file has 24 bytes"),
        "{said}"
    );
}

#[test]
fn real_records_are_read_as_they_are() {
    let Ok(shared) = std::env::var("FEDROBUST_DATA") else {
        eprintln!("skipped: FEDROBUST_DATA is not set");
        return;
    };
    let npz = super::super::npz::Config { path: "data/ptbxl500.npz".into(), modalities: None, classes: None };
    let real = super::super::npz::load(&npz, Path::new(&shared)).unwrap();
    let folder = folder("");
    let Labels::Multi(labels) = &real.labels else { unreachable!() };
    let mut rows = HEAD.to_string();
    for i in 0..40 {
        let code = ["NORM", "IMI", "NDT", "CD", "LVH"];
        let codes: Vec<String> =
            (0..5).filter(|&c| labels[[i, c]] > 0.5).map(|c| format!("'{}': 50.0", code[c])).collect();
        let fold = match real.parts.as_ref().unwrap()[i] {
            Part::Train => 1,
            Part::Dev => 9,
            Part::Test => 10,
        };
        rows += &format!("{i},,{}.0,\"{{{}}}\",{fold},records100/{i}_lr\n", real.client[i], codes.join(", "));
        record(folder.path(), &format!("records100/{i}_lr"), |t, k| {
            (f64::from(real.modalities[k / 6].values[[i, t, k % 6]]) * 1000.0).round() as i16
        });
    }
    fs::write(folder.path().join("ptbxl_database.csv"), rows).unwrap();
    let statements = STATEMENTS.replace("NDT,form,,1.0", "NDT,form,1.0,") + "CD,x,1.0,,CD\n";
    fs::write(folder.path().join("scp_statements.csv"), statements).unwrap();
    let data = load(&config(folder.path()), Path::new("")).unwrap();
    for m in 0..2 {
        let wanted = real.modalities[m].values.slice(ndarray::s![..40, .., ..]);
        let worst = data.modalities[m].values.iter().zip(wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-6, "{worst}");
    }
    let Labels::Multi(found) = &data.labels else { unreachable!() };
    assert_eq!(found, labels.slice(ndarray::s![..40, ..]));
    assert_eq!(data.parts.unwrap()[..], real.parts.unwrap()[..40]);
}
