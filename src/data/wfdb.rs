//! Records of PhysioNet's WFDB format, as far as PTB-XL uses it: a text header `<record>.hea` and one signal file of format 16
//! (little-endian 16-bit samples, one of each signal in turn).
//!
//! The header's first line is `record signals frequency samples`, then a line a signal: `file format gain(baseline)/units
//! resolution zero first checksum block name`. A value in physical units is `(sample − baseline) / gain`; the checksum is the sum of
//! all samples modulo 2¹⁶, and is checked.
//!
//! By hand: gain `1000.0(0)/mV` and sample −119 are −0.119 mV.
//!
//! Source: WFDB Applications Guide, header(5) and signal(5).

/// Signals by name, each a column.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Record {
    /// Names, in file order.
    pub names: Vec<String>,
    /// Values, time-major `[samples][signals]`.
    pub values: Vec<f32>,
    /// Samples a second.
    pub frequency: f64,
}

struct Signal {
    file: String,
    gain: f64,
    baseline: f64,
    checksum: Option<i32>,
    name: String,
}

/// The signal file that a header names.
pub(super) fn signal_file(header: &str) -> Option<&str> {
    lines(header).nth(1)?.split_ascii_whitespace().next()
}

fn lines(header: &str) -> impl Iterator<Item = &str> {
    header.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// Reads a record from the text of its header and the bytes of its signal file.
///
/// # Errors
/// What is not of the format, as a phrase.
pub(super) fn read(header: &str, bytes: &[u8]) -> Result<Record, String> {
    let mut lines = lines(header);
    let first: Vec<&str> = lines.next().unwrap_or_default().split_ascii_whitespace().collect();
    let [_, signals, frequency, samples, ..] = first.as_slice() else {
        return Err("does not begin with record, signals, frequency and samples".to_string());
    };
    let number = |text: &str| text.parse::<usize>().map_err(|_| format!("{} is no count", super::shown(text)));
    let (count, samples) = (number(signals)?, number(samples)?);
    let frequency: f64 = frequency.split('/').next().and_then(|f| f.parse().ok()).ok_or("has no frequency")?;
    let signals: Vec<Signal> = lines.take(count).map(signal).collect::<Result<_, String>>()?;
    if count == 0 || signals.len() != count || signals.iter().any(|signal| signal.file != signals[0].file) {
        return Err(format!("announces {count} signals in one file and describes {} there", signals.len()));
    }
    let needed = count.checked_mul(samples).and_then(|n| n.checked_mul(2));
    if needed != Some(bytes.len()) {
        return Err(format!(
            "announces {samples} samples of {count} signals, the signal file has {} bytes",
            bytes.len()
        ));
    }
    let mut sums = vec![0i32; count];
    let mut values = Vec::with_capacity(bytes.len() / 2);
    for (i, pair) in bytes.chunks_exact(2).enumerate() {
        let (sample, k) = (i16::from_le_bytes([pair[0], pair[1]]), i % count);
        if sample == i16::MIN {
            return Err(format!("lacks sample {} of {}", i / count, signals[k].name));
        }
        sums[k] = sums[k].wrapping_add(i32::from(sample));
        values.push(((f64::from(sample) - signals[k].baseline) / signals[k].gain) as f32);
    }
    for (signal, sum) in signals.iter().zip(sums) {
        if signal.checksum.is_some_and(|wanted| wanted as u16 != sum as u16) {
            return Err(format!("has another checksum than the samples of {}", signal.name));
        }
    }
    Ok(Record { names: signals.into_iter().map(|signal| signal.name).collect(), values, frequency })
}

fn signal(line: &str) -> Result<Signal, String> {
    let wrong = || format!("describes a signal by {}", super::shown(line));
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let (&file, &format, &gain) = match fields.as_slice() {
        [file, format, gain, ..] => (file, format, gain),
        _ => return Err(wrong()),
    };
    if format != "16" {
        return Err(format!("has a signal of format {}; 16 is read", super::shown(format)));
    }
    let gain = gain.split('/').next().unwrap_or_default();
    let (gain, baseline) = match gain.split_once('(') {
        Some((gain, baseline)) => (gain, baseline.trim_end_matches(')').parse::<f64>().ok()),
        // Without a baseline it is the zero of the converter.
        None => (gain, fields.get(4).map_or(Some(0.0), |zero| zero.parse().ok())),
    };
    let gain: f64 = gain.parse().ok().filter(|gain: &f64| gain.is_finite()).ok_or_else(wrong)?;
    let baseline = baseline.filter(|baseline| baseline.is_finite()).ok_or_else(wrong)?;
    // 0 stands for a gain that was not given: 200.
    let gain = if gain == 0.0 { 200.0 } else { gain };
    let checksum = fields.get(6).map(|sum| sum.parse::<i32>().map_err(|_| wrong())).transpose()?;
    let name = fields.get(8..).map(|name| name.join(" ")).filter(|name| !name.is_empty()).ok_or_else(wrong)?;
    Ok(Signal { file: file.to_string(), gain, baseline, checksum, name })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str =
        "r 2 100 3\nr.dat 16 1000.0(0)/mV 16 0 -119 -117 0 I\nr.dat 16 200(5)/mV 16 0 5 17 0 AVR\n# comment\n";

    fn bytes(samples: &[i16]) -> Vec<u8> {
        samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
    }

    #[test]
    fn a_record_is_read_in_physical_units() {
        let record = read(HEADER, &bytes(&[-119, 5, 1, 7, 1, 5])).unwrap();
        assert_eq!((record.names, record.frequency), (vec!["I".to_string(), "AVR".to_string()], 100.0));
        assert_eq!(record.values, [-0.119, 0.0, 0.001, 0.01, 0.001, 0.0]);
        assert_eq!(signal_file(HEADER), Some("r.dat"));
    }

    #[test]
    fn what_is_not_of_the_format_is_said() {
        let good = bytes(&[-119, 5, 1, 7, 1, 5]);
        let said = |header: &str, bytes: &[u8]| read(header, bytes).unwrap_err();
        assert_eq!(said("r 2", &good), "does not begin with record, signals, frequency and samples");
        assert_eq!(said(HEADER, &good[..10]), "announces 3 samples of 2 signals, the signal file has 10 bytes");
        let huge = HEADER.replace("100 3", "100 18446744073709551615");
        assert!(said(&huge, &good).starts_with("announces 18446744073709551615 samples"));
        assert_eq!(said(&HEADER.replace("r 2", "r 3"), &good), "announces 3 signals in one file and describes 2 there");
        assert_eq!(said(HEADER, &bytes(&[-119, 5, 1, 7, 2, 5])), "has another checksum than the samples of I");
        assert_eq!(said(HEADER, &bytes(&[-119, 5, i16::MIN, 7, 2, 5])), "lacks sample 1 of I");
        assert!(said(&HEADER.replace("1000.0(0)", "nan(0)"), &good).starts_with("describes a signal by "));
        assert!(said(&HEADER.replace("(5)", "(inf)"), &good).starts_with("describes a signal by "));
        assert_eq!(said(&HEADER.replace("dat 16 2", "dat 212 2"), &good), "has a signal of format \"212\"; 16 is read");
    }
}
