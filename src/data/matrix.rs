//! Matrices from and to files: `.npy` or `.csv`.

use super::arrays::{LONGEST, check_header};
use crate::fault::{Error, Result};
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;
use tch::{Device, Kind, Tensor};

/// Longest header of an npy file that is read.
const HEADER: u64 = 2048;

/// Numbers of a file that are held besides the matrix while it is read.
const PIECE: usize = 1 << 20;

/// Rows `[n, P]` from a `.npy` file of floats or integers or a `.csv` file of numbers without a header: in f32 where the file's
/// floats have at most 32 bits, so that a large file takes its own size, else in f64.
///
/// # Errors
/// A file that is missing, of another kind, not rectangular or without a number in it.
pub fn read(path: &Path) -> Result<Tensor> {
    let rows = match extension(path) {
        "npy" => read_npy(path)?,
        "csv" => read_csv(path)?,
        _ => return Err(wrong(path, "is neither .npy nor .csv; save the matrix as one of the two")),
    };
    if rows.numel() == 0 {
        return Err(wrong(path, "holds no number; needed: one row or more of one number or more"));
    }
    Ok(rows)
}

/// Writes rows `[n, P]` to a `.npy` file in f64, or to standard output as CSV with as many digits as read back the same
/// number.
///
/// # Errors
/// A file that cannot be written or is not `.npy`; what was there before then stays.
pub fn write(rows: &Tensor, path: Option<&Path>, print: impl Fn(&str)) -> Result<()> {
    let (n, columns) = rows.size2()?;
    let single = rows.kind() == Kind::Float;
    let values = Vec::<f64>::try_from(rows.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double)?.f_reshape([-1_i64])?)?;
    let Some(path) = path else {
        let number = |x: &f64| if single { (*x as f32).to_string() } else { x.to_string() };
        for row in values.chunks(columns.max(1) as usize) {
            print(&row.iter().map(number).collect::<Vec<_>>().join(","));
        }
        return Ok(());
    };
    if extension(path) != "npy" {
        return Err(wrong(path, "is not a .npy file; leave --out away to print CSV"));
    }
    let save = || -> std::io::Result<()> {
        use npyz::WriterBuilder;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // Beside it first, so that a full disk leaves no half file.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        let mut buffer = BufWriter::new(&mut file);
        let builder = npyz::WriteOptions::new().default_dtype().shape(&[n as u64, columns as u64]);
        let mut writer = builder.writer(&mut buffer).begin_nd()?;
        writer.extend(values.iter().copied())?;
        writer.finish()?;
        buffer.flush()?;
        drop(buffer);
        file.persist(path).map(drop).map_err(|error| error.error)
    };
    save().map_err(|error| Error::io(format!("cannot write {}", path.display()), &error))
}

/// `row 2`, or `rows 2, 5 and 7 more`: places from 1, the first few by number.
pub fn places(rows: &[usize]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<String> = rows.iter().take(SHOWN).map(|row| (row + 1).to_string()).collect();
    let more = if rows.len() > SHOWN { format!(" and {} more", rows.len() - SHOWN) } else { String::new() };
    format!("row{} {}{more}", if rows.len() == 1 { "" } else { "s" }, shown.join(", "))
}

/// Rows with a value that is NaN or an infinity.
///
/// # Errors
/// libtorch runs out of memory.
pub fn non_finite(rows: &Tensor) -> Result<Vec<usize>> {
    // Both propagate NaN, so a row is finite exactly when its extremes are; no copy of the rows is made.
    let finite = rows.f_amin([1], false)?.f_isfinite()?.f_logical_and(&rows.f_amax([1], false)?.f_isfinite()?)?;
    let finite = Vec::<bool>::try_from(finite.f_to_device(Device::Cpu)?)?;
    Ok((0..finite.len()).filter(|&row| !finite[row]).collect())
}

/// Refuses finite values that an f32, in which rules work, cannot hold.
///
/// # Errors
/// The first such value with its place.
pub fn check_single(rows: &Tensor, path: &Path) -> Result<()> {
    if rows.kind() == Kind::Float {
        return Ok(());
    }
    let lost = rows.f_abs()?.f_gt(f64::from(f32::MAX))?.f_logical_and(&rows.f_isfinite()?)?.f_nonzero()?;
    if lost.size()[0] == 0 {
        return Ok(());
    }
    let (row, column) = (lost.f_int64_value(&[0, 0])?, lost.f_int64_value(&[0, 1])?);
    let value = rows.f_double_value(&[row, column])?;
    let place = format!("row {}, column {}: {value:e}", row + 1, column + 1);
    Err(wrong(
        path,
        format!("{place} is beyond what an f32 holds (3.4e38), and rules work in f32; scale the rows down"),
    ))
}

fn extension(path: &Path) -> &str {
    path.extension().and_then(|extension| extension.to_str()).unwrap_or_default()
}

fn wrong(path: &Path, problem: impl std::fmt::Display) -> Error {
    Error::Invalid(format!("{}: {problem}", path.display()))
}

fn open(path: &Path) -> Result<File> {
    if path.is_dir() {
        return Err(wrong(path, "is a folder; name a .npy or .csv file"));
    }
    match File::open(path) {
        Ok(file) => Ok(file),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(wrong(path, "there is no such file; check the path"))
        }
        Err(error) => Err(Error::io(format!("cannot read {}", path.display()), &error)),
    }
}

/// Numbers apart by commas, bare or in double quotes; blank lines do not count.
fn read_csv(path: &Path) -> Result<Tensor> {
    let (mut rows, mut columns, mut values) = (0_usize, 0_usize, Vec::new());
    for (line, text) in BufReader::new(open(path)?).lines().enumerate() {
        let line = line + 1;
        let text = text.map_err(|error| wrong(path, format!("line {line} is not text ({error})")))?;
        let text = text.trim_start_matches('\u{feff}').trim();
        if text.is_empty() {
            continue;
        }
        let before = values.len();
        for (column, cell) in text.split(',').enumerate() {
            let cell = cell.trim().trim_matches('"').trim();
            let problem =
                |_| wrong(path, format!("line {line}, column {}: {}", column + 1, not_a_number(cell, rows == 0)));
            values.push(cell.parse().map_err(problem)?);
        }
        let found = values.len() - before;
        if rows == 0 {
            columns = found;
        } else if found != columns {
            return Err(wrong(path, format!("line {line} has {found} numbers, the first row has {columns}")));
        }
        rows += 1;
    }
    Ok(Tensor::f_from_slice::<f64>(&values)?.f_view([rows as i64, columns as i64])?)
}

/// Why a cell is no number, and what to do.
fn not_a_number(cell: &str, first: bool) -> String {
    let apart = |c: char| cell.contains(c) && cell.split(c).all(|part| part.trim().parse::<f64>().is_ok());
    if cell.is_empty() {
        "is empty; give every row a number in every column".into()
    } else if let Some(c) = [';', '\t', ' '].into_iter().find(|&c| apart(c)) {
        format!("{cell:?} is several numbers apart by {c:?}; separate columns by commas")
    } else if first {
        format!("{cell:?} is not a number; a header is not taken: remove the line")
    } else {
        format!("{cell:?} is not a number")
    }
}

fn read_npy(path: &Path) -> Result<Tensor> {
    let file = open(path)?;
    let size = file.metadata().map_or(0, |meta| meta.len());
    let broken = |what: &dyn std::fmt::Display| wrong(path, format!("is not a readable npy file ({what})"));
    let mut file = BufReader::new(file);
    let mut head = Vec::new();
    file.by_ref().take(LONGEST as u64 + 12).read_to_end(&mut head).map_err(|error| broken(&error))?;
    check_header(&head, size as usize).map_err(|what| broken(&what))?;
    file.rewind().map_err(|error| broken(&error))?;
    let npy = npyz::NpyFile::new(file).map_err(|error| broken(&error))?;
    let [rows, columns] = match npy.shape() {
        [columns] => [1, *columns],
        [rows, columns] => [*rows, *columns],
        other => return Err(wrong(path, format!("has {} axes; a matrix has two", other.len()))),
    };
    // A file may lie about its shape: what is there decides how much memory is taken.
    if rows.checked_mul(columns).is_none_or(|count| count > size.max(HEADER)) {
        return Err(broken(&format!("it says {rows} x {columns} and is {size} bytes long")));
    }
    let order = npy.order();
    let dtype = npy.dtype().descr();
    let numbers = match dtype.trim_matches('\'').get(1..) {
        Some("f8") => filled(npy, |x: f64| x),
        Some("f4") => filled(npy, |x: f32| x),
        Some("f2") => filled(npy, |x: half::f16| x.to_f32()),
        Some("i8") => filled(npy, |x: i64| x as f64),
        Some("i4") => filled(npy, |x: i32| f64::from(x)),
        Some("i2") => filled(npy, |x: i16| f64::from(x)),
        Some("i1") => filled(npy, |x: i8| f64::from(x)),
        Some("u1") => filled(npy, |x: u8| f64::from(x)),
        _ => {
            return Err(wrong(
                path,
                format!("has dtype {dtype}; floats or integers are needed: convert it with .astype"),
            ));
        }
    };
    let numbers = numbers.map_err(|error| broken(&error))?;
    let (n, p) = (rows as i64, columns as i64);
    Ok(match order {
        npyz::Order::C => numbers.f_view([n, p])?,
        npyz::Order::Fortran => numbers.f_view([p, n])?.f_transpose(0, 1)?.f_contiguous()?,
    })
}

/// The numbers of a file in its own order, read piece by piece.
fn filled<T, E>(npy: npyz::NpyFile<BufReader<File>>, to: impl Fn(T) -> E) -> std::io::Result<Tensor>
where
    T: npyz::Deserialize,
    E: tch::kind::Element,
{
    let failed = std::io::Error::other::<tch::TchError>;
    let count = npy.shape().iter().product::<u64>() as i64;
    let all = Tensor::f_empty([count], (E::KIND, Device::Cpu)).map_err(failed)?;
    let mut numbers = npy.data::<T>().map_err(std::io::Error::other)?;
    let mut at = 0;
    while at < count {
        let piece = numbers.by_ref().take(PIECE).map(|x| x.map(&to)).collect::<std::io::Result<Vec<E>>>()?;
        let piece = Tensor::f_from_slice(&piece).map_err(failed)?;
        let mut place = all.f_narrow(0, at, piece.numel() as i64).map_err(failed)?;
        place.f_copy_(&piece).map_err(failed)?;
        at += piece.numel() as i64;
        if piece.numel() == 0 {
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof));
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use npyz::WriterBuilder;

    #[test]
    fn a_shape_whose_product_overflows_is_refused() {
        let header = "{'descr': '<f8', 'fortran_order': False, 'shape': (4611686018427387904, 8), }\n";
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        let path = file("overflow.npy", "");
        std::fs::write(&path, bytes).unwrap();
        let error = refused(&path);
        std::fs::remove_file(&path).unwrap();
        assert!(error.ends_with("is not a readable npy file (a shape larger than the file)"), "{error}");
    }

    fn file(name: &str, content: &str) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("fedrobust-matrix-{}-{name}", std::process::id()));
        std::fs::write(&path, content).unwrap();
        path
    }

    fn refused(path: &Path) -> String {
        let message = read(path).unwrap_err().to_string();
        message.replace(&path.display().to_string(), "FILE")
    }

    #[test]
    fn npy_and_csv_hold_the_same_numbers() {
        let csv = file("same.csv", "1, 2.5,-3e-7\n4,0.1,inf\n");
        let rows = read(&csv).unwrap();
        let npy = csv.with_extension("npy");
        write(&rows, Some(&npy), |_| {}).unwrap();
        assert_eq!(read(&npy).unwrap(), rows);
        assert_eq!(rows, Tensor::from_slice2(&[[1.0, 2.5, -3e-7], [4.0, 0.1, f64::INFINITY]]));
        [csv, npy].iter().for_each(|path| std::fs::remove_file(path).unwrap());
    }

    fn npy<T: npyz::AutoSerialize + Copy>(name: &str, values: &[T], order: npyz::Order) -> Tensor {
        let path = file(name, "");
        let options = npyz::WriteOptions::<T>::new().default_dtype().order(order).shape(&[2, 3]);
        let mut writer = options.writer(File::create(&path).unwrap()).begin_nd().unwrap();
        writer.extend(values.iter().copied()).unwrap();
        writer.finish().unwrap();
        let rows = read(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        rows
    }

    #[test]
    fn floats_and_integers_of_all_widths_are_read_in_both_orders() {
        let expected = Tensor::from_slice2(&[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]);
        let half = [1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0].map(half::f16::from_f32);
        assert_eq!(npy("f2.npy", &half, npyz::Order::C), expected);
        assert_eq!(npy("i8.npy", &[1_i64, 2, 3, 4, 5, 6], npyz::Order::C), expected);
        assert_eq!(npy("u1.npy", &[1_u8, 4, 2, 5, 3, 6], npyz::Order::Fortran), expected);
        assert_eq!(npy("f4.npy", &[1.0_f32, 4.0, 2.0, 5.0, 3.0, 6.0], npyz::Order::Fortran), expected);
    }

    #[test]
    fn a_value_beyond_f32_is_named_with_its_place_and_infinities_are_not() {
        let rows = Tensor::from_slice2(&[[1.0, f64::INFINITY], [f64::NAN, -1e39]]);
        let error = check_single(&rows, Path::new("x.csv")).unwrap_err().to_string();
        let expected = "x.csv: row 2, column 2: -1e39 is beyond what an f32 holds (3.4e38), and rules work in f32; scale the rows down";
        assert_eq!(error, expected);
        assert!(check_single(&rows.narrow(0, 0, 1), Path::new("x.csv")).is_ok());
        assert_eq!((non_finite(&rows).unwrap(), places(&[0, 1])), (vec![0, 1], "rows 1, 2".to_string()));
        assert_eq!(
            (places(&[4]), places(&[1, 2, 3, 4, 5, 6, 7])),
            ("row 5".into(), "rows 2, 3, 4, 5, 6 and 2 more".into())
        );
    }

    #[test]
    fn what_is_no_matrix_is_refused_with_its_place() {
        for (name, content, expected) in [
            ("ragged.csv", "1,2\n3\n", "FILE: line 2 has 1 numbers, the first row has 2"),
            (
                "header.csv",
                "a,b\n1,2\n",
                "FILE: line 1, column 1: \"a\" is not a number; a header is not taken: remove the line",
            ),
            ("text.csv", "1,2\n\n3,x\n", "FILE: line 3, column 2: \"x\" is not a number"),
            ("hole.csv", "1,2\n3,\n", "FILE: line 2, column 2: is empty; give every row a number in every column"),
            (
                "semi.csv",
                "1;2\n",
                "FILE: line 1, column 1: \"1;2\" is several numbers apart by ';'; separate columns by commas",
            ),
            ("empty.csv", "", "FILE: holds no number; needed: one row or more of one number or more"),
            ("matrix.txt", "1", "FILE: is neither .npy nor .csv; save the matrix as one of the two"),
        ] {
            let path = file(name, content);
            assert_eq!(refused(&path), expected);
            std::fs::remove_file(path).unwrap();
        }
        let bools = file("bools.npy", "");
        let mut made = npyz::WriteOptions::<bool>::new()
            .default_dtype()
            .shape(&[1])
            .writer(File::create(&bools).unwrap())
            .begin_nd()
            .unwrap();
        made.push(&true).unwrap();
        made.finish().unwrap();
        assert_eq!(refused(&bools), "FILE: has dtype '|b1'; floats or integers are needed: convert it with .astype");
        std::fs::remove_file(bools).unwrap();
        assert_eq!(refused(Path::new("/nowhere/x.npy")), "FILE: there is no such file; check the path");
    }
}
