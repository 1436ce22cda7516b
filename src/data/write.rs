//! Writes a data set as an npz file in the layout of [`super::npz`]: whatever it was read from, it reads back equal.

use super::{Dataset, Labels, Part};
use crate::fault::{Error, Result};
use npyz::WriterBuilder;
use npyz::npz::NpzWriter;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Writes `data` to `path` by a temporary file beside it, so that a failure leaves what was there.
///
/// # Errors
/// A folder that is not there or cannot be written to, a full disk.
pub fn write(data: &Dataset, path: &Path) -> Result<()> {
    let doing = || format!("cannot write {}", path.display());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = tempfile::NamedTempFile::new_in(folder).map_err(|error| Error::io(doing(), &error))?;
    fill(data, file.as_file()).map_err(|error| Error::io(doing(), &error))?;
    file.as_file().sync_all().map_err(|error| Error::io(doing(), &error))?;
    file.persist(path).map_err(|error| Error::io(doing(), &error.error))?;
    Ok(())
}

fn fill(data: &Dataset, file: &File) -> std::io::Result<()> {
    let n = data.len() as u64;
    let mut npz = NpzWriter::new(BufWriter::new(file));
    for modality in &data.modalities {
        let shape = &modality.shape;
        let (time, width) = (shape.time as u64, shape.width as u64);
        let sizes: &[u64] = if shape.sequence { &[n, time, width] } else { &[n, width] };
        array(&mut npz, &shape.name, sizes, modality.values.iter().copied())?;
        if let Some(lengths) = &modality.lengths {
            array(&mut npz, &format!("{}_length", shape.name), &[n], lengths.iter().copied())?;
        }
    }
    match &data.labels {
        Labels::Single(labels) => array(&mut npz, "label", &[n], labels.iter().copied())?,
        Labels::Multi(labels) => {
            let flags = labels.iter().map(|&label| u8::from(label > 0.5));
            array(&mut npz, "label", &[n, labels.ncols() as u64], flags)?;
        }
    }
    let names = data.client.iter().map(|&client| data.client_names[client as usize].as_str());
    let text = texts(&names.collect::<Vec<_>>());
    let zip = npz.zip_writer();
    zip.start_file("client.npy", Default::default()).map_err(std::io::Error::other)?;
    zip.write_all(&text)?;
    if let Some(parts) = &data.parts {
        let number = |part: &Part| match part {
            Part::Train => 0u8,
            Part::Dev => 1,
            Part::Test => 2,
        };
        array(&mut npz, "split", &[n], parts.iter().map(number))?;
    }
    npz.zip_writer().finish().map_err(std::io::Error::other)?.flush()
}

fn array<T: npyz::AutoSerialize>(
    npz: &mut NpzWriter<BufWriter<&File>>,
    name: &str,
    shape: &[u64],
    values: impl Iterator<Item = T>,
) -> std::io::Result<()> {
    let options = npz.array::<T>(name, Default::default())?;
    let mut writer = options.default_dtype().shape(shape).begin_nd()?;
    writer.extend(values)?;
    writer.finish()
}

/// An npy file of texts, `<U…`: the crate writes no arrays of them.
fn texts(names: &[&str]) -> Vec<u8> {
    let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(1);
    let mut header = format!("{{'descr': '<U{longest}', 'fortran_order': False, 'shape': ({},), }}", names.len());
    let unpadded = 10 + header.len() + 1;
    header.extend(std::iter::repeat_n(' ', unpadded.next_multiple_of(64) - unpadded));
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    for name in names {
        let end = bytes.len() + 4 * longest;
        name.chars().for_each(|c| bytes.extend(u32::from(c).to_le_bytes()));
        bytes.resize(end, 0);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{ModalityShape, npz, outline};
    use ndarray::Array3;

    fn there_and_back(data: &Dataset) -> Dataset {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.npz");
        write(data, &path).unwrap();
        npz::load(&npz::Config { path, modalities: None, classes: Some(data.classes) }, Path::new("")).unwrap()
    }

    /// Two modalities of three samples, one of which has no video.
    fn small(multilabel: bool) -> Dataset {
        let shapes = vec![ModalityShape::sequence("video", 2, 3), ModalityShape::pooled("text", 4)];
        let mut data = outline("small", shapes, 3, multilabel);
        for modality in &mut data.modalities {
            let (time, width) = (modality.shape.time, modality.shape.width);
            modality.values = Array3::from_shape_fn((3, time, width), |(i, t, d)| (i * 100 + t * 10 + d) as f32 + 0.1);
        }
        data.modalities[0].values.slice_mut(ndarray::s![1, .., ..]).fill(0.0);
        data.modalities[0].values.slice_mut(ndarray::s![2, 1.., ..]).fill(0.0);
        data.modalities[0].lengths = Some(vec![2, 0, 1]);
        data.labels = match multilabel {
            true => Labels::Multi(ndarray::arr2(&[[1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]])),
            false => Labels::Single(vec![2, 0, 1]),
        };
        (data.client, data.client_names) = crate::data::clients(&["Zoë", "a", "Zoë"].map(String::from));
        data.parts = Some(vec![Part::Test, Part::Train, Part::Dev]);
        data
    }

    #[test]
    fn a_data_set_is_read_back_equal() {
        for multilabel in [false, true] {
            let data = small(multilabel);
            let back = there_and_back(&data);
            assert_eq!(back.checksum, crate::data::checksum(&data));
            assert_eq!((back.client_names, back.parts, back.labels), (data.client_names, data.parts, data.labels));
            assert_eq!(back.modalities[0].lengths, data.modalities[0].lengths);
        }
    }

    #[test]
    fn what_cannot_be_written_leaves_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let error = write(&small(false), &folder.path().join("no/out.npz")).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        assert!(error.to_string().starts_with("cannot write "), "{error}");
    }
}
