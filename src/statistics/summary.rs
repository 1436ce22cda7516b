//! Mean and interval over seeds.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// What the values of one point over its seeds amount to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// Values.
    pub n: usize,
    /// Their mean.
    pub mean: f64,
    /// Sample standard deviation; `None` for one value.
    pub sd: Option<f64>,
    /// Half the width of the 95 % interval of the mean; `None` for one value.
    pub half: Option<f64>,
}

impl Summary {
    /// Lower end of the interval.
    pub fn low(&self) -> Option<f64> {
        self.half.map(|half| self.mean - half)
    }

    /// Upper end of the interval.
    pub fn high(&self) -> Option<f64> {
        self.half.map(|half| self.mean + half)
    }

    /// `0.71 ±0.03`, or `0.71` for one value.
    pub fn text(&self) -> String {
        match self.half {
            Some(half) => format!("{:.2} ±{half:.2}", self.mean),
            None => format!("{:.2}", self.mean),
        }
    }
}

/// Mean and 95 % interval: `mean ± t(0.975, n − 1) · sd / √n` (Student, 1908). `None` without values.
///
/// By hand: of 0.6, 0.7 and 0.8 the mean is 0.7, the deviation 0.1, t(0.975, 2) = 4.3027, so ± 0.2484.
pub fn summarise(values: &[f64]) -> Option<Summary> {
    let n = values.len();
    if n == 0 {
        return None;
    }
    let mean = values.iter().sum::<f64>() / n as f64;
    if n == 1 {
        return Some(Summary { n, mean, sd: None, half: None });
    }
    let sd = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1) as f64).sqrt();
    let t = StudentsT::new(0.0, 1.0, (n - 1) as f64).ok()?.inverse_cdf(0.975);
    Some(Summary { n, mean, sd: Some(sd), half: Some(t * sd / (n as f64).sqrt()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn three_values_have_the_interval_of_the_table_of_t() {
        let s = summarise(&[0.6, 0.7, 0.8]).unwrap();
        assert!((s.mean - 0.7).abs() < 1e-12 && (s.half.unwrap() - 4.302653 * 0.1 / 3f64.sqrt()).abs() < 1e-6);
        assert_eq!(s.text(), "0.70 ±0.25");
    }

    #[test]
    fn one_value_has_a_mean_and_no_interval_and_none_has_nothing() {
        assert_eq!(summarise(&[0.5]), Some(Summary { n: 1, mean: 0.5, sd: None, half: None }));
        assert_eq!(summarise(&[]), None);
    }

    proptest! {
        #[test]
        fn the_interval_moves_with_the_values_and_holds_the_mean(values in prop::collection::vec(-1.0..1.0f64, 2..9), by in -1.0..1.0f64) {
            let (a, b) = (summarise(&values).unwrap(), summarise(&values.iter().map(|v| v + by).collect::<Vec<f64>>()).unwrap());
            prop_assert!((a.mean + by - b.mean).abs() < 1e-9);
            prop_assert!((a.half.unwrap() - b.half.unwrap()).abs() < 1e-9);
            prop_assert!(a.low().unwrap() <= a.mean && a.mean <= a.high().unwrap());
        }
    }
}
